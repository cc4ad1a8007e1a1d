/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON of strangers as protobuf messages, by protobuf's own mapping: the text is
 * bounded (controld/rpc/json_scan.h), walked beside the descriptor and written
 * as on the wire, and these bytes are judged and unpacked by what judges gRPC's
 * (controld/rpc/message.h). So one check serves both. Pure.
 *
 * Keys are in lowerCamelCase or as in the .proto file. Integers are numbers or
 * strings of digits, enums a name or a number, bytes base64 of either alphabet;
 * null is an absent field. All else is refused: unknown keys, keys given twice,
 * other types, members of a oneof beside each other, null in a list. */

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "shared/diag.h"

/* Answers besides 0 and -errno. */
enum {
	CP_RPC_JSON_READ_E_INVALID = 1, /* diag names the field and why */
};

/* size 0 is an empty message. *ret is freed with cp_rpc_message_free(). */
int cp_rpc_json_read_text(const ProtobufCMessageDescriptor *type,
			  const char *text, size_t size, ProtobufCMessage **ret,
			  struct sn_diag *diag);

int cp_rpc_json_read_value(const ProtobufCMessageDescriptor *type,
			   const json_t *value, ProtobufCMessage **ret,
			   struct sn_diag *diag);

/* The field with this key, or NULL. */
const ProtobufCFieldDescriptor *
cp_rpc_json_read_find(const ProtobufCMessageDescriptor *type, const char *key);
