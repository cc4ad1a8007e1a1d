/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A request in a query: "id=ab&kinds=EVENT_KIND_NAME&kinds=...". Only fields of
 * the outermost message, and no messages or maps. */

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "shared/diag.h"

struct cp_http_call;

/* Answers besides 0 and -errno. */
enum {
	CP_REST_QUERY_E_INVALID = 1, /* diag names the field */
};

/* For cp_rpc_json_read_value(). *ret is a new reference. */
int cp_rest_query_read(const struct cp_http_call *call,
		       const ProtobufCMessageDescriptor *type, json_t **ret,
		       struct sn_diag *diag);

/* One pair of it, as sent; object takes the value. */
int cp_rest_query_put(const ProtobufCMessageDescriptor *type, const char *key,
		      const char *value, json_t *object, struct sn_diag *diag);
