/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Protobuf messages as JSON, one generic walk by descriptor, in the style of
 * `-o json` or of HTTP. Pure.
 *
 * PLAIN: keys are the field names of the .proto file, in the order of their numbers.
 * false, 0, "" and [] are printed; an absent sub-message is null. Enums are
 * their value's name without the type's prefix, in lower case with dashes
 * (MODE_BLOCK_ALL: "block-all"); ..._UNSPECIFIED is left out, a value that we
 * do not know is its number. Maps are objects. Integers are numbers, except
 * that an unsigned one over INT64_MAX is a string. Bytes are lower-case hex.
 *
 * PROTO3: as protobuf's own mapping says, with all values: keys are in
 * lowerCamelCase, enums their whole name (MODE_BLOCK_ALL), 64-bit integers
 * strings, bytes base64; an absent sub-message has no key. */

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

enum { CP_RPC_JSON_NAME_BYTES = 64 };

enum cp_rpc_json_style {
	CP_RPC_JSON_STYLE_PLAIN,
	CP_RPC_JSON_STYLE_PROTO3,
};

/* *ret is a new reference. -ENOMEM is the one failure: message comes from
 * cp_rpc_message_unpack(), or our own code keeps its strings valid UTF-8. */
int cp_rpc_json_from_message(const ProtobufCMessage *message,
			     enum cp_rpc_json_style style, json_t **ret);

/* Writes the short name of an enum value ("block-all") to buffer, always
 * NUL-terminated; empty for 0 / UNSPECIFIED. Returns buffer, or NULL if the
 * value is not known or buffer is too small. */
char *cp_rpc_json_enum_name(const ProtobufCEnumDescriptor *type, int value,
			    char *buffer, size_t size);

/* The field's key in style PROTO3. Returns ret. */
char *cp_rpc_json_name(const ProtobufCFieldDescriptor *field,
		       char ret[CP_RPC_JSON_NAME_BYTES]);

/* Is it a map? */
bool cp_rpc_json_is_map(const ProtobufCFieldDescriptor *field);
