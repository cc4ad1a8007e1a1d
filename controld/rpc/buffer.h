/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Protobuf messages in and out of gRPC byte buffers. */

#include <grpc/byte_buffer.h>
#include <protobuf-c/protobuf-c.h>

#include "controld/rpc/wire.h"
#include "shared/diag.h"
#include "shared/util.h"

/* Answers of cp_rpc_buffer_new() and cp_rpc_buffer_unpack() besides 0 and
 * -errno. */
enum {
	CP_RPC_BUFFER_E_INVALID = 1, /* refused; *diag says why */
	CP_RPC_BUFFER_E_SIZE, /* over the limit, packed or unpacked */
};

/* Packs message; E_SIZE if it has more than max_bytes. */
int cp_rpc_buffer_new(grpc_byte_buffer **ret, const ProtobufCMessage *message,
		      size_t max_bytes);
grpc_byte_buffer *cp_rpc_buffer_free(grpc_byte_buffer *buffer);
SN_DEFINE_CLEANUP(grpc_byte_buffer, cp_rpc_buffer_free)

/* Unpacks what a peer sent; compressed buffers are refused. The message is
 * freed with cp_rpc_message_free(). */
int cp_rpc_buffer_unpack(grpc_byte_buffer *buffer,
			 const ProtobufCMessageDescriptor *type,
			 enum cp_rpc_wire_mode mode, ProtobufCMessage **ret,
			 struct sn_diag *diag);
