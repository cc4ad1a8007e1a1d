/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who calls over TLS: by a bearer token, or else by the certificate that the
 * connection showed, which has to lead to the configured authority. */

#include <stdbool.h>

struct cp_http_call;
struct cp_rest;
struct cp_rest_caller;
struct cp_rest_listener;
struct cp_rpc_method;

/* 0, or the status to refuse with. */
unsigned int cp_rest_remote_judge(const struct cp_rest_listener *listener,
				  struct cp_http_call *call,
				  struct cp_rest_caller *caller,
				  const char **text);

/* Might the caller of a stream open it now? Lists change, and credentials expire.
 * Who came by the Unix socket may. */
bool cp_rest_remote_may_go_on(const struct cp_rest *rest,
			      const struct cp_rest_caller *caller,
			      const struct cp_rpc_method *method);
