/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who calls over TLS: by a bearer token, or else by the certificate that the
 * connection showed, which has to lead to the configured authority. */

struct cp_http_call;
struct cp_rest_caller;
struct cp_rest_listener;

/* 0, or the status to refuse with. */
unsigned int cp_rest_remote_judge(const struct cp_rest_listener *listener,
				  struct cp_http_call *call,
				  struct cp_rest_caller *caller,
				  const char **text);
