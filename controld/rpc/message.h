/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Protobuf messages of peers: checked on the wire (controld/rpc/wire.h), then
 * unpacked by protobuf-c through an allocator with a limit. Pure. */

#include <protobuf-c/protobuf-c.h>

#include "controld/rpc/wire.h"
#include "shared/diag.h"
#include "shared/util.h"

enum {
	/* Memory for a message is at most FACTOR x wire size + BASE, the peak
	 * while unpacking included. 8 would refuse long lists of short CIDRs
	 * (about 150 bytes for 15 on the wire: struct, pointer, string, and
	 * protobuf-c's own scratch); empty sub-messages need 60 to 80. */
	CP_RPC_MESSAGE_MEMORY_FACTOR = 16,
	CP_RPC_MESSAGE_MEMORY_BASE = 64 * 1024,
};

/* Answers of the unpack calls besides 0 and -errno; both fill *diag. */
enum {
	CP_RPC_MESSAGE_E_INVALID = 1, /* refused on the wire */
	CP_RPC_MESSAGE_E_MEMORY, /* needs more memory than the limit */
};

/* A command: unknown fields and enum values are refused. */
int cp_rpc_message_unpack(const ProtobufCMessageDescriptor *type,
			  const uint8_t *data, size_t size,
			  ProtobufCMessage **ret, struct sn_diag *diag);

/* An answer of a server that may be newer: they are ignored. */
int cp_rpc_message_unpack_answer(const ProtobufCMessageDescriptor *type,
				 const uint8_t *data, size_t size,
				 ProtobufCMessage **ret, struct sn_diag *diag);

ProtobufCMessage *cp_rpc_message_free(ProtobufCMessage *message);
SN_DEFINE_CLEANUP(ProtobufCMessage, cp_rpc_message_free)
