/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/message.h"

#include <stdlib.h>
#include <string.h>

#include "controld/rpc/json.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "test/fuzz/ensure.h"

/* The first byte chooses the message type and the mode; the rest is the
 * message. What is accepted as a command must be free of everything that the
 * check refuses, print as JSON, and be accepted again when packed. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
	&sentinel__v1__attach_request__descriptor,
	&sentinel__v1__apply_request__descriptor,
	&sentinel__v1__apply_stream_request__descriptor,
	&sentinel__v1__policy__descriptor,
	&sentinel__v1__get_status_response__descriptor,
};

static void check_json(const ProtobufCMessage *message)
{
	json_t *value = NULL;

	require(!cp_rpc_json_from_message(message, CP_RPC_JSON_STYLE_PLAIN,
					  &value));
	json_decref(value);
}

static void check_packed(const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = malloc(size + 1);
	uint8_t *again = malloc(size + 1);
	ProtobufCMessage *copy = NULL;
	struct sn_diag diag = { 0 };
	int r;

	require(packed && again);
	require(protobuf_c_message_pack(message, packed) == size);
	r = cp_rpc_message_unpack(message->descriptor, packed, size, &copy,
				  &diag);
	/* Packing is at times shorter, and so the limit lower. */
	require(!r || r == CP_RPC_MESSAGE_E_MEMORY);
	if (copy) {
		require(protobuf_c_message_pack(copy, again) == size);
		require(!memcmp(packed, again, size));
	}
	(void)cp_rpc_message_free(copy);
	free(packed);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *type;
	ProtobufCMessage *message = NULL;
	struct sn_diag diag = { 0 };
	bool is_command;
	int r;

	if (!size)
		return 0;
	type = types[(data[0] & 0x7f) % SN_ARRAY_SIZE(types)];
	is_command = !(data[0] & 0x80);
	r = is_command ? cp_rpc_message_unpack(type, data + 1, size - 1,
					       &message, &diag) :
			 cp_rpc_message_unpack_answer(type, data + 1, size - 1,
						      &message, &diag);
	require((r == 0) == (message != NULL));
	require(r >= 0 && (!r || diag.text[0]));
	if (!message)
		return 0;
	check_json(message);
	if (is_command) {
		require(!message->n_unknown_fields);
		check_packed(message);
	}
	(void)cp_rpc_message_free(message);
	return 0;
}
