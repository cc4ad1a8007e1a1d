/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* May this be asked, by what its head says? */

struct cp_http_call;

/* Callback of controld/http/http.h; userdata is the listener. Sets the caller of
 * the call for all but pages. */
unsigned int cp_rest_guard(void *userdata, struct cp_http_call *call,
			   const char **text);
