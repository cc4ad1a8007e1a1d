/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The OpenAPI 3.1 document of REST, made of what its routes are made of. */

#include "controld/rpc/server.h"

/* "/v1/Attach" of "/sentinel.v1.DaemonService/Attach"; *ret: free(). */
int cp_rest_openapi_path(const struct cp_rpc_method *method, char **ret);

/* May it be asked for by GET as well? */
bool cp_rest_openapi_has_get(const struct cp_rpc_method *method);

/* Is it offered at all? */
bool cp_rest_openapi_is_offered(const struct cp_rpc_method *method);

/* *ret: free(). Returns 0 or -ENOMEM. */
int cp_rest_openapi_print(const struct cp_rpc_method *methods, size_t n,
			  const char *version, char **ret);
