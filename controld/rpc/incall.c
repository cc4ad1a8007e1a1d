/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/incall.h"

#include <assert.h>
#include <grpc/support/alloc.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/buffer.h"
#include "controld/rpc/internal.h"
#include "controld/rpc/message.h"
#include "controld/rpc/status.h"
#include "shared/util.h"

/* Three operations can be under way: the wait for the call's end, one receive
 * and one send. The object is freed when none is, and the handler is done. */
struct incall {
	struct cp_rpc_call base;
	struct cp_rpc_server *server;
	struct cp_rpc_connection *connection;
	grpc_call *call;
	struct cp_rpc_queue_op close_op;
	struct cp_rpc_queue_op receive_op;
	struct cp_rpc_queue_op send_op;
	int cancelled;
	grpc_byte_buffer *received;
	grpc_byte_buffer *sending;
	grpc_status_code code;
	grpc_slice text;
	/* Callbacks that are running; the call is not freed under them. */
	unsigned int depth;
	bool is_admitted;
	bool is_started; /* the handler knows of it */
	bool is_ended; /* the handler, if there is one, is done with it */
	bool is_closed; /* nothing can be sent any more */
	bool has_sent_metadata;
	bool has_sent_status;
	bool wants_status;
};

static void free_if_done(struct incall *call)
{
	struct cp_rpc_connection *connection = call->connection;
	struct cp_rpc_server *server = call->server;

	if (call->depth || !call->is_ended || call->close_op.is_pending ||
	    call->receive_op.is_pending || call->send_op.is_pending)
		return;
	(void)cp_rpc_message_free(call->base.message);
	(void)cp_rpc_buffer_free(call->received);
	(void)cp_rpc_buffer_free(call->sending);
	grpc_slice_unref(call->text);
	grpc_call_unref(call->call);
	if (call->is_admitted)
		server->n_admitted--;
	if (call->is_admitted && connection)
		connection->n_admitted--;
	free(call);
	if (connection)
		cp_rpc_connection_call_ended(connection);
	cp_rpc_server_call_ended(server);
}

static void begin_callback(struct incall *call)
{
	call->depth++;
}

static void end_callback(struct incall *call)
{
	call->depth--;
	call->base.message = cp_rpc_message_free(call->base.message);
	free_if_done(call);
}

static void start(struct incall *call, const grpc_op *ops, size_t n,
		  struct cp_rpc_queue_op *op)
{
	cp_rpc_queue_begin(&call->server->queue, op);
	if (grpc_call_start_batch(call->call, ops, n, op, NULL) == GRPC_CALL_OK)
		return;
	op->is_pending = false;
	(void)grpc_call_cancel(call->call, NULL);
}

/* Sends what is due: the metadata first of all, the message in `sending` if
 * there is one, the status if it is wanted. */
static void start_send(struct incall *call)
{
	grpc_op ops[3] = { 0 };
	size_t n = 0;

	if (!call->has_sent_metadata)
		ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
	if (call->sending) {
		ops[n].op = GRPC_OP_SEND_MESSAGE;
		ops[n++].data.send_message.send_message = call->sending;
	}
	if (call->wants_status) {
		ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
		ops[n].data.send_status_from_server.status = call->code;
		ops[n++].data.send_status_from_server.status_details =
			&call->text;
	}
	call->has_sent_metadata = true;
	call->has_sent_status = call->wants_status;
	start(call, ops, n, &call->send_op);
}

static void set_status(struct incall *call, int code, const char *text)
{
	size_t n = strnlen(text, CP_RPC_STATUS_TEXT_BYTES - 1);

	assert(!call->wants_status);

	call->wants_status = true;
	call->code = (grpc_status_code)code;
	grpc_slice_unref(call->text);
	call->text = grpc_slice_from_copied_buffer(text, n);
}

/* Ends the call from the handler's point of view; the rest happens when the
 * operations are over. */
static void end(struct incall *call)
{
	call->is_ended = true;
	if (!call->is_closed && !call->send_op.is_pending)
		start_send(call);
	free_if_done(call);
}

static void tell_cancelled(struct incall *call)
{
	bool tell = call->is_started && !call->is_ended;

	call->is_ended = true;
	if (!tell)
		return;
	call->server->stats.n_calls_cancelled++;
	if (call->base.method->on_cancel)
		call->base.method->on_cancel(&call->base,
					     call->server->options.user);
}

/* Ends a call on our own account, whether a handler knows of it or not. */
static void refuse(struct incall *call, int code, const char *text)
{
	begin_callback(call);
	tell_cancelled(call);
	set_status(call, code, text);
	end(call);
	end_callback(call);
}

static void close_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct incall *call = sn_container_of(op, struct incall, close_op);

	(void)ok;
	begin_callback(call);
	call->is_closed = true;
	tell_cancelled(call);
	end_callback(call);
}

static void send_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct incall *call = sn_container_of(op, struct incall, send_op);
	void (*on_writable)(struct cp_rpc_call * call, void *user);

	begin_callback(call);
	on_writable = call->base.method ? call->base.method->on_writable : NULL;
	call->sending = cp_rpc_buffer_free(call->sending);
	if (call->wants_status && !call->has_sent_status && !call->is_closed)
		start_send(call);
	else if (ok && !call->is_ended && !call->is_closed && on_writable)
		on_writable(&call->base, call->server->options.user);
	end_callback(call);
}

static void deliver(struct incall *call)
{
	const struct cp_rpc_method *method = call->base.method;
	void *user = call->server->options.user;

	if (call->is_started) {
		if (method->on_message)
			method->on_message(&call->base, call->base.message,
					   user);
		return;
	}
	call->is_started = true;
	call->server->stats.n_calls_started++;
	method->on_call(&call->base, call->base.message, user);
}

static void unpack(struct incall *call)
{
	char text[SN_DIAG_FILE_BYTES + SN_DIAG_TEXT_BYTES + 2];
	struct sn_diag diag = { 0 };
	int r;

	r = cp_rpc_buffer_unpack(call->received, call->base.method->request,
				 CP_RPC_WIRE_MODE_COMMAND, &call->base.message,
				 &diag);
	call->received = cp_rpc_buffer_free(call->received);
	if (!r) {
		deliver(call);
		return;
	}
	call->server->stats.n_messages_refused++;
	(void)snprintf(text, sizeof(text), "%s%s%s", diag.field,
		       diag.field[0] ? ": " : "", diag.text);
	if (r == CP_RPC_BUFFER_E_INVALID)
		refuse(call, GRPC_STATUS_INVALID_ARGUMENT, text);
	else if (r == CP_RPC_BUFFER_E_SIZE)
		refuse(call, GRPC_STATUS_RESOURCE_EXHAUSTED, text);
	else
		refuse(call, GRPC_STATUS_INTERNAL, "out of memory");
}

static void half_closed(struct incall *call)
{
	if (!cp_rpc_method_client_streams(call->base.method))
		refuse(call, GRPC_STATUS_INVALID_ARGUMENT,
		       "the request has no message");
	else if (call->base.method->on_half_close)
		call->base.method->on_half_close(&call->base,
						 call->server->options.user);
}

static void receive_done(struct cp_rpc_queue_op *op, bool ok)
{
	struct incall *call = sn_container_of(op, struct incall, receive_op);

	begin_callback(call);
	if (call->is_ended || call->is_closed)
		call->received = cp_rpc_buffer_free(call->received);
	else if (call->received)
		unpack(call);
	else if (ok && !grpc_call_failed_before_recv_message(call->call))
		half_closed(call);
	/* Otherwise the stream broke, and close_op will say so. */
	end_callback(call);
}

static void start_receive(struct incall *call)
{
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

	op.data.recv_message.recv_message = &call->received;
	start(call, &op, 1, &call->receive_op);
}

static const struct cp_rpc_method *
find_method(const struct cp_rpc_server_options *options, grpc_slice path)
{
	for (size_t i = 0; i < options->n_methods; i++)
		if (!grpc_slice_str_cmp(path, options->methods[i].path))
			return &options->methods[i];
	return NULL;
}

/* Returns false after having refused the call. */
static bool admit(struct incall *call)
{
	struct cp_rpc_server *server = call->server;
	struct cp_rpc_connection *connection = call->connection;
	const struct cp_rpc_server_options *options = &server->options;
	const char *text = NULL;
	int code = GRPC_STATUS_RESOURCE_EXHAUSTED;

	if (server->is_stopping || (!connection && !server->port)) {
		code = GRPC_STATUS_UNAVAILABLE;
		text = server->is_stopping ? "the server is stopping" :
					     "the connection has ended";
	} else if (!call->base.method) {
		code = GRPC_STATUS_UNIMPLEMENTED;
		text = "this method does not exist";
	} else if (server->n_admitted >= options->max_calls) {
		text = "too many calls are under way";
	} else if (connection && connection->n_admitted >=
					 options->max_calls_per_connection) {
		text = "too many calls are under way on this connection";
	}
	if (text) {
		server->stats.n_calls_refused++;
		refuse(call, code, text);
		return false;
	}
	call->is_admitted = true;
	server->n_admitted++;
	if (connection) {
		call->base.peer = connection->peer;
		connection->n_admitted++;
	}
	return true;
}

static struct incall *of(struct cp_rpc_call *base)
{
	return sn_container_of(base, struct incall, base);
}

static void reply(struct cp_rpc_call *base, const ProtobufCMessage *message)
{
	struct incall *call = of(base);

	assert(!call->is_ended && !call->send_op.is_pending);

	if (cp_rpc_buffer_new(&call->sending, message,
			      call->server->options.max_message_bytes))
		set_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
			   "the answer is over the message limit");
	else
		set_status(call, GRPC_STATUS_OK, "");
	end(call);
}

static void fail(struct cp_rpc_call *base, int code, const char *text)
{
	struct incall *call = of(base);

	assert(!call->is_ended);

	set_status(call, code, text);
	end(call);
}

static void next(struct cp_rpc_call *base)
{
	struct incall *call = of(base);

	assert(!call->is_ended && !call->receive_op.is_pending);

	start_receive(call);
}

static int send_one(struct cp_rpc_call *base, const ProtobufCMessage *message)
{
	struct incall *call = of(base);

	assert(!call->is_ended);

	if (call->send_op.is_pending)
		return CP_RPC_CALL_E_BUSY;
	if (cp_rpc_buffer_new(&call->sending, message,
			      call->server->options.max_message_bytes))
		return CP_RPC_CALL_E_SIZE;
	start_send(call);
	return 0;
}

static void finish(struct cp_rpc_call *base)
{
	struct incall *call = of(base);

	assert(!call->is_ended);

	set_status(call, GRPC_STATUS_OK, "");
	end(call);
}

static const struct cp_rpc_transport transport = {
	.reply = reply,
	.fail = fail,
	.next = next,
	.send = send_one,
	.finish = finish,
};

void cp_rpc_incall_start(struct cp_rpc_server *server, grpc_call *grpc,
			 grpc_slice path)
{
	grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };
	struct incall *call;

	call = calloc(1, sizeof(*call));
	if (!call) {
		(void)grpc_call_cancel(grpc, NULL);
		grpc_call_unref(grpc);
		return;
	}
	call->base.transport = &transport;
	call->server = server;
	call->call = grpc;
	call->text = grpc_empty_slice();
	call->close_op.done = close_done;
	call->receive_op.done = receive_done;
	call->send_op.done = send_done;
	call->base.method = find_method(&server->options, path);
	call->connection = cp_rpc_connection_find(server, grpc);
	if (call->connection)
		call->connection->n_calls++;
	server->n_calls++;

	begin_callback(call);
	op.data.recv_close_on_server.cancelled = &call->cancelled;
	start(call, &op, 1, &call->close_op);
	if (admit(call)) {
		if (cp_rpc_method_client_streams(call->base.method))
			deliver(call);
		else
			start_receive(call);
	}
	end_callback(call);
}
