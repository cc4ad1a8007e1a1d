/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/buffer.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "controld/rpc/message.h"

int cp_rpc_buffer_new(grpc_byte_buffer **ret, const ProtobufCMessage *message,
		      size_t max_bytes)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	grpc_slice slice;

	if (size > max_bytes)
		return CP_RPC_BUFFER_E_SIZE;
	slice = grpc_slice_malloc(size);
	(void)protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
	*ret = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return 0;
}

grpc_byte_buffer *cp_rpc_buffer_free(grpc_byte_buffer *buffer)
{
	if (buffer)
		grpc_byte_buffer_destroy(buffer);
	return NULL;
}

static int unpack(const ProtobufCMessageDescriptor *type, grpc_slice slice,
		  enum cp_rpc_wire_mode mode, ProtobufCMessage **ret,
		  struct sn_diag *diag)
{
	const uint8_t *data = GRPC_SLICE_START_PTR(slice);
	size_t size = GRPC_SLICE_LENGTH(slice);

	if (mode == CP_RPC_WIRE_MODE_COMMAND)
		return cp_rpc_message_unpack(type, data, size, ret, diag);
	return cp_rpc_message_unpack_answer(type, data, size, ret, diag);
}

int cp_rpc_buffer_unpack(grpc_byte_buffer *buffer,
			 const ProtobufCMessageDescriptor *type,
			 enum cp_rpc_wire_mode mode, ProtobufCMessage **ret,
			 struct sn_diag *diag)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	int r;

	/* A small compressed message can unfold into any size. */
	if (buffer->data.raw.compression != GRPC_COMPRESS_NONE) {
		sn_diag_set(diag, NULL, "compressed messages are not accepted");
		return CP_RPC_BUFFER_E_INVALID;
	}
	if (!grpc_byte_buffer_reader_init(&reader, buffer))
		return sn_trace(-EIO);
	slice = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	r = unpack(type, slice, mode, ret, diag);
	grpc_slice_unref(slice);
	if (r == CP_RPC_MESSAGE_E_MEMORY)
		return CP_RPC_BUFFER_E_SIZE;
	return r > 0 ? CP_RPC_BUFFER_E_INVALID : r;
}
