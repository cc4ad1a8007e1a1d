/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/outcall.h"

#include <assert.h>
#include <grpc/byte_buffer_reader.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/buffer.h"
#include "controld/rpc/message.h"
#include "controld/rpc/outgoing.h"

/* Four operations can be under way: the wait for the status, which is what
 * tells how the call ended, the wait for the server's metadata, one send and
 * one receive. The object is freed when none is. A unary call is one batch of
 * all of them, in status_op. */
struct cp_rpc_outcall {
	struct cp_rpc_outgoing outgoing;
	struct cp_rpc_channel *channel;
	struct cp_rpc_queue_op status_op;
	struct cp_rpc_queue_op metadata_op;
	struct cp_rpc_queue_op send_op;
	struct cp_rpc_queue_op receive_op;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_metadata token; /* value owned */
	bool has_token;
	grpc_status_code code;
	grpc_slice text;
	grpc_byte_buffer *sending;
	grpc_byte_buffer *received;
	struct cp_rpc_outcall_events events;
	cp_rpc_outcall_done done;
	const ProtobufCMessageDescriptor *response;
	void *userdata;
	/* Why it was ended on our account; code 0: it was not. */
	struct cp_rpc_status own;
	bool is_dropped; /* nobody wants to hear of it */
	bool is_closed; /* the status is there */
};

static void free_call(struct cp_rpc_outcall *call)
{
	(void)cp_rpc_buffer_free(call->sending);
	(void)cp_rpc_buffer_free(call->received);
	grpc_metadata_array_destroy(&call->initial);
	grpc_metadata_array_destroy(&call->trailing);
	if (call->has_token) {
		grpc_slice_unref(call->token.key);
		grpc_slice_unref(call->token.value);
	}
	grpc_slice_unref(call->text);
	grpc_call_unref(call->outgoing.call);
	free(call);
}

static void get_status(const struct cp_rpc_outcall *call,
		       struct cp_rpc_status *ret)
{
	if (call->own.code)
		*ret = call->own;
	else
		cp_rpc_status_set(
			ret, (int)call->code, "%.*s",
			(int)GRPC_SLICE_LENGTH(call->text),
			(const char *)GRPC_SLICE_START_PTR(call->text));
}

static void finish_if_over(struct cp_rpc_outcall *call)
{
	struct cp_rpc_channel *channel = call->channel;
	struct cp_rpc_status status;

	if (!call->is_closed || call->status_op.is_pending ||
	    call->metadata_op.is_pending || call->send_op.is_pending ||
	    call->receive_op.is_pending)
		return;
	LIST_REMOVE(&call->outgoing, link);
	if (!call->is_dropped && call->events.ended) {
		get_status(call, &status);
		call->events.ended(call->userdata, &status);
	}
	free_call(call);
	cp_rpc_channel_call_ended(channel);
}

static void start(struct cp_rpc_outcall *call, const grpc_op *ops, size_t n,
		  struct cp_rpc_queue_op *op)
{
	grpc_call_error error;

	cp_rpc_queue_begin(&call->channel->queue, op);
	error = grpc_call_start_batch(call->outgoing.call, ops, n, op, NULL);
	/* Only a batch that contradicts another one is refused. */
	assert(error == GRPC_CALL_OK);
	(void)error;
}

static void put_status_op(struct cp_rpc_outcall *call, grpc_op *op)
{
	*op = (grpc_op){ .op = GRPC_OP_RECV_STATUS_ON_CLIENT };
	op->data.recv_status_on_client.trailing_metadata = &call->trailing;
	op->data.recv_status_on_client.status = &call->code;
	op->data.recv_status_on_client.status_details = &call->text;
}

static void put_metadata_ops(struct cp_rpc_outcall *call, grpc_op *receive,
			     grpc_op *send)
{
	*receive = (grpc_op){ .op = GRPC_OP_RECV_INITIAL_METADATA };
	receive->data.recv_initial_metadata.recv_initial_metadata =
		&call->initial;
	*send = (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA };
	send->data.send_initial_metadata.count = call->has_token;
	send->data.send_initial_metadata.metadata = &call->token;
}

/* Ends the call on our account: the server did what it must not. */
static void give_up(struct cp_rpc_outcall *call, int code, const char *text)
{
	cp_rpc_status_set(&call->own, code, "%s", text);
	(void)grpc_call_cancel(call->outgoing.call, NULL);
}

static bool may_tell(const struct cp_rpc_outcall *call)
{
	return !call->is_dropped && !call->is_closed && !call->own.code;
}

static void status_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct cp_rpc_outcall *call =
		sn_container_of(op, struct cp_rpc_outcall, status_op);

	(void)ok;
	call->is_closed = true;
	/* A server that has ended the call reads no more, and a send that flow
	 * control holds back would stay. */
	if (call->send_op.is_pending)
		(void)grpc_call_cancel(call->outgoing.call, NULL);
	finish_if_over(call);
}

static void metadata_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct cp_rpc_outcall *call =
		sn_container_of(op, struct cp_rpc_outcall, metadata_op);

	(void)ok;
	finish_if_over(call);
}

static void send_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct cp_rpc_outcall *call =
		sn_container_of(op, struct cp_rpc_outcall, send_op);

	call->sending = cp_rpc_buffer_free(call->sending);
	if (ok && may_tell(call))
		call->events.writable(call->userdata);
	finish_if_over(call);
}

/* Takes the message out before it is delivered: within the callback the next
 * one may be asked for, and come at any moment. */
static void deliver(struct cp_rpc_outcall *call)
{
	sn_cleanup(cp_rpc_buffer_freep)
		grpc_byte_buffer *received = sn_steal(&call->received);
	grpc_byte_buffer_reader reader;
	grpc_slice slice;

	if (received->data.raw.compression != GRPC_COMPRESS_NONE) {
		give_up(call, GRPC_STATUS_INTERNAL,
			"compressed messages are not accepted");
		return;
	}
	if (!grpc_byte_buffer_reader_init(&reader, received)) {
		give_up(call, GRPC_STATUS_INTERNAL, "unreadable message");
		return;
	}
	slice = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	call->events.message(call->userdata, GRPC_SLICE_START_PTR(slice),
			     GRPC_SLICE_LENGTH(slice));
	grpc_slice_unref(slice);
}

static void receive_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct cp_rpc_outcall *call =
		sn_container_of(op, struct cp_rpc_outcall, receive_op);

	/* Without a message the stream is over, and the status will say so. */
	if (ok && call->received && may_tell(call))
		deliver(call);
	else
		call->received = cp_rpc_buffer_free(call->received);
	finish_if_over(call);
}

static void put_token(struct cp_rpc_outcall *call)
{
	char header[CP_RPC_SECRETS_TOKEN_BYTES + 16];

	if (!call->channel->secrets.token)
		return;
	(void)snprintf(header, sizeof(header), "Bearer %s",
		       call->channel->secrets.token);
	call->token.key = grpc_slice_from_static_string("authorization");
	call->token.value = grpc_slice_from_copied_string(header);
	call->has_token = true;
	explicit_bzero(header, sizeof(header));
}

static int new_call(struct cp_rpc_outcall **ret, struct cp_rpc_channel *channel,
		    const char *method, gpr_timespec deadline)
{
	struct cp_rpc_outcall *call;
	grpc_slice path;

	if (!channel->channel || channel->is_closing)
		return -ENOTCONN;
	call = calloc(1, sizeof(*call));
	if (!call)
		return sn_trace(-ENOMEM);
	call->channel = channel;
	call->text = grpc_empty_slice();
	grpc_metadata_array_init(&call->initial);
	grpc_metadata_array_init(&call->trailing);
	put_token(call);
	path = grpc_slice_from_copied_string(method);
	call->outgoing.call = grpc_channel_create_call(channel->channel, NULL,
						       GRPC_PROPAGATE_DEFAULTS,
						       channel->queue.cq, path,
						       NULL, deadline, NULL);
	grpc_slice_unref(path);
	LIST_INSERT_HEAD(&channel->calls, &call->outgoing, link);
	call->status_op.done = status_done;
	call->metadata_op.done = metadata_done;
	call->send_op.done = send_done;
	call->receive_op.done = receive_done;
	*ret = call;
	return 0;
}

int cp_rpc_outcall_new(struct cp_rpc_outcall **ret,
		       struct cp_rpc_channel *channel, const char *method,
		       const struct cp_rpc_outcall_events *events,
		       void *userdata)
{
	struct cp_rpc_outcall *call;
	grpc_op status, receive, send;
	int r;

	r = new_call(&call, channel, method,
		     gpr_inf_future(GPR_CLOCK_MONOTONIC));
	if (r < 0)
		return r;
	call->events = *events;
	call->userdata = userdata;
	put_status_op(call, &status);
	put_metadata_ops(call, &receive, &send);
	start(call, &status, 1, &call->status_op);
	start(call, &receive, 1, &call->metadata_op);
	start(call, &send, 1, &call->send_op);
	*ret = call;
	return 0;
}

int cp_rpc_outcall_send(struct cp_rpc_outcall *call, const void *data,
			size_t size)
{
	grpc_op op = { .op = GRPC_OP_SEND_MESSAGE };
	grpc_slice slice;

	if (call->send_op.is_pending || call->is_closed)
		return CP_RPC_OUTCALL_E_BUSY;
	slice = grpc_slice_from_copied_buffer(data, size);
	call->sending = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	op.data.send_message.send_message = call->sending;
	start(call, &op, 1, &call->send_op);
	return 0;
}

void cp_rpc_outcall_next(struct cp_rpc_outcall *call)
{
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

	assert(!call->receive_op.is_pending);
	op.data.recv_message.recv_message = &call->received;
	start(call, &op, 1, &call->receive_op);
}

void cp_rpc_outcall_drop(struct cp_rpc_outcall *call)
{
	call->is_dropped = true;
	(void)grpc_call_cancel(call->outgoing.call, NULL);
}

/* The answer of a unary call, or what is wrong with it in status. */
static ProtobufCMessage *take_answer(struct cp_rpc_outcall *call,
				     struct cp_rpc_status *status)
{
	struct sn_diag diag = { 0 };
	ProtobufCMessage *answer = NULL;
	int r;

	if (status->code != GRPC_STATUS_OK)
		return NULL;
	if (!call->received) {
		cp_rpc_status_set(status, GRPC_STATUS_INTERNAL,
				  "the answer has no message");
		return NULL;
	}
	r = cp_rpc_buffer_unpack(call->received, call->response,
				 CP_RPC_WIRE_MODE_ANSWER, &answer, &diag);
	if (r)
		cp_rpc_status_set(status, GRPC_STATUS_INTERNAL, "%s%s%s",
				  diag.field, diag.field[0] ? ": " : "",
				  r > 0 ? diag.text : strerror(-r));
	return r ? NULL : answer;
}

static void unary_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct cp_rpc_outcall *call =
		sn_container_of(op, struct cp_rpc_outcall, status_op);
	struct cp_rpc_channel *channel = call->channel;
	struct cp_rpc_status status;
	ProtobufCMessage *answer;

	(void)ok;
	get_status(call, &status);
	answer = take_answer(call, &status);
	LIST_REMOVE(&call->outgoing, link);
	call->done(call->userdata, &status, answer);
	free_call(call);
	cp_rpc_channel_call_ended(channel);
}

int cp_rpc_outcall_ask(struct cp_rpc_channel *channel, const char *method,
		       const ProtobufCMessage *request,
		       const ProtobufCMessageDescriptor *response,
		       unsigned int timeout_ms, cp_rpc_outcall_done done,
		       void *userdata)
{
	gpr_timespec deadline =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
			     gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
	struct cp_rpc_outcall *call;
	grpc_op ops[6];
	int r;

	r = new_call(&call, channel, method, deadline);
	if (r < 0)
		return r;
	r = cp_rpc_buffer_new(&call->sending, request, SIZE_MAX);
	assert(r == 0);
	call->done = done;
	call->response = response;
	call->userdata = userdata;
	call->status_op.done = unary_done;
	put_status_op(call, &ops[0]);
	put_metadata_ops(call, &ops[1], &ops[2]);
	ops[3] = (grpc_op){ .op = GRPC_OP_SEND_MESSAGE };
	ops[3].data.send_message.send_message = call->sending;
	ops[4] = (grpc_op){ .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };
	ops[5] = (grpc_op){ .op = GRPC_OP_RECV_MESSAGE };
	ops[5].data.recv_message.recv_message = &call->received;
	start(call, ops, SN_ARRAY_SIZE(ops), &call->status_op);
	return 0;
}
