/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Checks a protobuf message on the wire, by its descriptor, before it is
 * unpacked. protobuf-c cuts strings at a NUL, takes bad UTF-8, unknown enum
 * values and truncated integers, and merges repeated singular fields; after
 * unpacking none of that can be seen any more. Pure: no allocation. */

#include <protobuf-c/protobuf-c.h>

#include "shared/diag.h"

enum {
	/* Messages within messages; the outermost one is at depth 1. */
	CP_RPC_WIRE_MAX_DEPTH = 32,
	/* Fields that one message type may declare. */
	CP_RPC_WIRE_MAX_FIELDS = 256,
};

enum cp_rpc_wire_mode {
	/* From a client: unknown fields and enum values are refused, because a
	 * field that we do not know may be the one that narrows. */
	CP_RPC_WIRE_MODE_COMMAND,
	/* From a server that may be newer: they are passed over. */
	CP_RPC_WIRE_MODE_ANSWER,
};

/* Answers of cp_rpc_wire_check() besides 0. */
enum {
	CP_RPC_WIRE_E_INVALID = 1, /* *diag names the field and the reason */
};

/* Refuses malformed bytes, groups, wire types that are not the field's, NUL
 * and bad UTF-8 in strings, values that do not fit 32-bit fields, a singular
 * field or a oneof that is there twice, and nesting over the limit; in mode
 * COMMAND also unknown fields and enum values. diag->field is a path such as
 * "policy.rules[17].cidr". */
int cp_rpc_wire_check(const ProtobufCMessageDescriptor *type,
		      const uint8_t *data, size_t size,
		      enum cp_rpc_wire_mode mode, struct sn_diag *diag);
