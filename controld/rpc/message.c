/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/message.h"

#include <malloc.h>
#include <stdlib.h>

/* What protobuf-c allocates comes from malloc() and goes back to free(), so
 * that a finished message no longer needs the allocator that counted it. */
struct budget {
	ProtobufCAllocator allocator;
	size_t left;
	bool is_over;
	bool is_out_of_memory;
};

static void *allocate(void *data, size_t size)
{
	struct budget *budget = data;
	void *block;

	budget->is_over |= size > budget->left;
	if (budget->is_over)
		return NULL;
	block = malloc(size);
	if (!block) {
		budget->is_out_of_memory = true;
		return NULL;
	}
	size = malloc_usable_size(block);
	if (size > budget->left) {
		budget->is_over = true;
		free(block);
		return NULL;
	}
	budget->left -= size;
	return block;
}

static void release(void *data, void *block)
{
	struct budget *budget = data;

	if (!block)
		return;
	budget->left += malloc_usable_size(block);
	free(block);
}

static int unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
		  size_t size, enum cp_rpc_wire_mode mode,
		  ProtobufCMessage **ret, struct sn_diag *diag)
{
	struct budget budget = {
		.allocator = { .alloc = allocate, .free = release },
		.left = CP_RPC_MESSAGE_MEMORY_BASE,
	};
	ProtobufCMessage *message;
	size_t extra;

	if (__builtin_mul_overflow(size, CP_RPC_MESSAGE_MEMORY_FACTOR,
				   &extra) ||
	    __builtin_add_overflow(budget.left, extra, &budget.left))
		return sn_trace(-EOVERFLOW);
	if (cp_rpc_wire_check(type, data, size, mode, diag))
		return CP_RPC_MESSAGE_E_INVALID;

	budget.allocator.allocator_data = &budget;
	message =
		protobuf_c_message_unpack(type, &budget.allocator, size, data);
	if (!message && budget.is_out_of_memory)
		return sn_trace(-ENOMEM);
	if (!message && budget.is_over) {
		sn_diag_set(diag, NULL,
			    "the message needs more memory than its %zu bytes "
			    "allow",
			    size);
		return CP_RPC_MESSAGE_E_MEMORY;
	}
	if (!message) {
		sn_diag_set(diag, NULL, "the message is malformed");
		return CP_RPC_MESSAGE_E_INVALID;
	}
	*ret = message;
	return 0;
}

int cp_rpc_message_unpack(const ProtobufCMessageDescriptor *type,
			  const uint8_t *data, size_t size,
			  ProtobufCMessage **ret, struct sn_diag *diag)
{
	return unpack(type, data, size, CP_RPC_WIRE_MODE_COMMAND, ret, diag);
}

int cp_rpc_message_unpack_answer(const ProtobufCMessageDescriptor *type,
				 const uint8_t *data, size_t size,
				 ProtobufCMessage **ret, struct sn_diag *diag)
{
	return unpack(type, data, size, CP_RPC_WIRE_MODE_ANSWER, ret, diag);
}

ProtobufCMessage *cp_rpc_message_free(ProtobufCMessage *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
	return NULL;
}
