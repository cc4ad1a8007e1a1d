/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/client.h"

#include <fcntl.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "controld/rpc/buffer.h"
#include "controld/rpc/core.h"
#include "controld/rpc/message.h"

struct cp_rpc_client {
	grpc_channel *channel;
	grpc_completion_queue *cq;
	unsigned int timeout_ms;
	bool has_core;
};

/* One batch; its address is the gRPC tag. */
struct batch {
	bool is_pending;
	bool ok;
};

/* One call. The wait for its status is under way from the start, as it is
 * what tells a broken stream from one that has ended. */
struct cp_rpc_client_stream {
	grpc_completion_queue *cq;
	grpc_call *call;
	const ProtobufCMessageDescriptor *response;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code code;
	grpc_slice text;
	grpc_byte_buffer *received;
	struct batch status_batch;
	struct batch batch;
	bool is_closed; /* nothing more is sent */
};

static int explain(struct cp_rpc_status *status, const char *path, int error)
{
	bool denied = error == EACCES || error == EPERM;

	cp_rpc_status_set(status,
			  denied ? GRPC_STATUS_PERMISSION_DENIED :
				   GRPC_STATUS_UNAVAILABLE,
			  "cannot connect to %s: %s", path,
			  error == EAGAIN ? "timed out" : strerror(error));
	return CP_RPC_CLIENT_E_STATUS;
}

/* Connecting ourselves tells why it failed, and spares gRPC its name
 * resolution, load balancing and reconnecting. */
static int open_socket(int *ret, const char *path, unsigned int timeout_ms,
		       struct cp_rpc_status *status)
{
	struct timeval limit = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000,
	};
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	sn_cleanup(sn_closep) int fd = -1;
	size_t n = strlen(path);

	if (n >= sizeof(address.sun_path))
		return explain(status, path, ENAMETOOLONG);
	(void)memcpy(address.sun_path, path, n + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sn_trace(-errno);
	/* While the server's backlog is full, connect() waits this long. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return sn_trace(-errno);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return explain(status, path, errno);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return sn_trace(-errno);
	*ret = sn_steal_fd(&fd);
	return 0;
}

static grpc_channel *open_channel(int fd)
{
	/* gRPC copies these; its types forgot the const. */
	grpc_arg array[] = {
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		  .value.integer = CP_RPC_CLIENT_MAX_MESSAGE_BYTES },
		{ .type = GRPC_ARG_STRING,
		  .key = (char *)(uintptr_t)GRPC_ARG_DEFAULT_AUTHORITY,
		  .value.string = (char *)(uintptr_t) "localhost" },
		{ .type = GRPC_ARG_INTEGER,
		  .key = (char *)(uintptr_t)
			  GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION,
		  .value.integer = 0 },
	};
	grpc_channel_args args = { SN_ARRAY_SIZE(array), array };
	grpc_channel_credentials *credentials;
	grpc_channel *channel;

	credentials = grpc_insecure_credentials_create();
	channel = grpc_channel_create_from_fd("unix", fd, credentials, &args);
	grpc_channel_credentials_release(credentials);
	return channel;
}

int cp_rpc_client_new(struct cp_rpc_client **ret, const char *path,
		      unsigned int timeout_ms, struct cp_rpc_status *status)
{
	sn_cleanup(cp_rpc_client_freep) struct cp_rpc_client *client = NULL;
	sn_cleanup(sn_closep) int fd = -1;
	int r;

	client = calloc(1, sizeof(*client));
	if (!client)
		return sn_trace(-ENOMEM);
	client->timeout_ms = timeout_ms;
	r = open_socket(&fd, path, timeout_ms, status);
	if (r)
		return r;
	cp_rpc_core_init();
	client->has_core = true;
	client->cq = grpc_completion_queue_create_for_next(NULL);
	client->channel = open_channel(sn_steal_fd(&fd));
	*ret = sn_steal(&client);
	return 0;
}

struct cp_rpc_client *cp_rpc_client_free(struct cp_rpc_client *client)
{
	if (!client)
		return NULL;
	if (client->channel)
		grpc_channel_destroy(client->channel);
	if (client->cq) {
		grpc_completion_queue_shutdown(client->cq);
		while (grpc_completion_queue_next(
			       client->cq, gpr_inf_future(GPR_CLOCK_REALTIME),
			       NULL)
			       .type != GRPC_QUEUE_SHUTDOWN)
			;
		grpc_completion_queue_destroy(client->cq);
	}
	if (client->has_core)
		cp_rpc_core_done();
	free(client);
	return NULL;
}

static bool start(struct cp_rpc_client_stream *stream, const grpc_op *ops,
		  size_t n, struct batch *batch)
{
	batch->ok = false;
	batch->is_pending = grpc_call_start_batch(stream->call, ops, n, batch,
						  NULL) == GRPC_CALL_OK;
	return batch->is_pending;
}

/* Waits for one batch of whichever stream; the calls' deadlines end each. */
static void wait_for_any(struct cp_rpc_client_stream *stream)
{
	grpc_event event = grpc_completion_queue_next(
		stream->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	struct batch *batch = event.tag;

	batch->is_pending = false;
	batch->ok = event.success != 0;
}

/* Runs a batch to its end. */
static bool run(struct cp_rpc_client_stream *stream, const grpc_op *ops,
		size_t n)
{
	if (!start(stream, ops, n, &stream->batch))
		return false;
	while (stream->batch.is_pending)
		wait_for_any(stream);
	return stream->batch.ok;
}

/* The same for a send. When the server has ended the call, it reads no more,
 * and a send that flow control holds back would wait for the deadline. */
static bool run_send(struct cp_rpc_client_stream *stream, const grpc_op *op)
{
	if (!start(stream, op, 1, &stream->batch))
		return false;
	while (stream->batch.is_pending) {
		if (!stream->status_batch.is_pending)
			(void)grpc_call_cancel(stream->call, NULL);
		wait_for_any(stream);
	}
	return stream->batch.ok;
}

static void wait_for_status(struct cp_rpc_client_stream *stream)
{
	while (stream->status_batch.is_pending)
		wait_for_any(stream);
}

/* Reports how the call ended. */
static int end(struct cp_rpc_client_stream *stream,
	       struct cp_rpc_status *status)
{
	wait_for_status(stream);
	cp_rpc_status_set(status, (int)stream->code, "%.*s",
			  (int)GRPC_SLICE_LENGTH(stream->text),
			  (const char *)GRPC_SLICE_START_PTR(stream->text));
	return CP_RPC_CLIENT_E_STATUS;
}

/* Ends a call on our account: the server did what it must not. */
static int give_up(struct cp_rpc_client_stream *stream, int code,
		   const char *text, struct cp_rpc_status *status)
{
	(void)grpc_call_cancel(stream->call, NULL);
	wait_for_status(stream);
	cp_rpc_status_set(status, code, "%s", text);
	return CP_RPC_CLIENT_E_STATUS;
}

/* The server's initial metadata is asked for at once, without waiting for it:
 * until somebody asks, the library does not pass a status on to us. */
static int start_call(struct cp_rpc_client_stream *stream)
{
	grpc_op end_ops[2] = {
		{ .op = GRPC_OP_RECV_INITIAL_METADATA },
		{ .op = GRPC_OP_RECV_STATUS_ON_CLIENT },
	};
	grpc_op metadata = { .op = GRPC_OP_SEND_INITIAL_METADATA };

	end_ops[0].data.recv_initial_metadata.recv_initial_metadata =
		&stream->initial;
	end_ops[1].data.recv_status_on_client.trailing_metadata =
		&stream->trailing;
	end_ops[1].data.recv_status_on_client.status = &stream->code;
	end_ops[1].data.recv_status_on_client.status_details = &stream->text;
	if (!start(stream, end_ops, 2, &stream->status_batch))
		return sn_trace(-EIO);
	(void)run(stream, &metadata, 1);
	return 0;
}

int cp_rpc_client_stream_new(struct cp_rpc_client_stream **ret,
			     struct cp_rpc_client *client, const char *method,
			     const ProtobufCMessageDescriptor *response,
			     unsigned int timeout_ms)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
	grpc_slice path;
	int r;

	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return sn_trace(-ENOMEM);
	if (timeout_ms)
		deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					gpr_time_from_millis(timeout_ms,
							     GPR_TIMESPAN));
	stream->cq = client->cq;
	stream->response = response;
	stream->text = grpc_empty_slice();
	grpc_metadata_array_init(&stream->initial);
	grpc_metadata_array_init(&stream->trailing);
	path = grpc_slice_from_copied_string(method);
	stream->call = grpc_channel_create_call(client->channel, NULL,
						GRPC_PROPAGATE_DEFAULTS,
						client->cq, path, NULL,
						deadline, NULL);
	grpc_slice_unref(path);
	r = start_call(stream);
	if (r < 0)
		return r;
	*ret = sn_steal(&stream);
	return 0;
}

struct cp_rpc_client_stream *
cp_rpc_client_stream_free(struct cp_rpc_client_stream *stream)
{
	if (!stream)
		return NULL;
	if (stream->status_batch.is_pending)
		(void)grpc_call_cancel(stream->call, NULL);
	wait_for_status(stream);
	(void)cp_rpc_buffer_free(stream->received);
	grpc_metadata_array_destroy(&stream->initial);
	grpc_metadata_array_destroy(&stream->trailing);
	grpc_slice_unref(stream->text);
	grpc_call_unref(stream->call);
	free(stream);
	return NULL;
}

int cp_rpc_client_stream_send(struct cp_rpc_client_stream *stream,
			      const ProtobufCMessage *message,
			      struct cp_rpc_status *status)
{
	sn_cleanup(cp_rpc_buffer_freep) grpc_byte_buffer *buffer = NULL;
	grpc_op op = { .op = GRPC_OP_SEND_MESSAGE };
	int r;

	r = cp_rpc_buffer_new(&buffer, message, SIZE_MAX);
	if (r)
		return sn_trace(r);
	op.data.send_message.send_message = buffer;
	return run_send(stream, &op) ? 0 : end(stream, status);
}

void cp_rpc_client_stream_close(struct cp_rpc_client_stream *stream)
{
	grpc_op op = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };

	if (stream->is_closed)
		return;
	stream->is_closed = true;
	(void)run_send(stream, &op);
}

int cp_rpc_client_stream_read(struct cp_rpc_client_stream *stream,
			      ProtobufCMessage **ret,
			      struct cp_rpc_status *status)
{
	struct sn_diag diag = { 0 };
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };
	int r;

	op.data.recv_message.recv_message = &stream->received;
	if (!run(stream, &op, 1) || !stream->received)
		return end(stream, status);
	r = cp_rpc_buffer_unpack(stream->received, stream->response,
				 CP_RPC_WIRE_MODE_ANSWER, ret, &diag);
	stream->received = cp_rpc_buffer_free(stream->received);
	if (r == CP_RPC_BUFFER_E_INVALID || r == CP_RPC_BUFFER_E_SIZE)
		return give_up(stream, GRPC_STATUS_INTERNAL, diag.text, status);
	return r;
}

int cp_rpc_client_stream_finish(struct cp_rpc_client_stream *stream,
				ProtobufCMessage **ret,
				struct cp_rpc_status *status)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	int r;

	r = cp_rpc_client_stream_read(stream, &message, status);
	if (r == CP_RPC_CLIENT_E_STATUS && status->code == GRPC_STATUS_OK)
		cp_rpc_status_set(status, GRPC_STATUS_INTERNAL,
				  "the answer has no message");
	if (r)
		return r;
	(void)end(stream, status);
	if (status->code != GRPC_STATUS_OK)
		return CP_RPC_CLIENT_E_STATUS;
	*ret = sn_steal(&message);
	return 0;
}

int cp_rpc_client_call(struct cp_rpc_client *client, const char *method,
		       const ProtobufCMessage *request,
		       const ProtobufCMessageDescriptor *response,
		       ProtobufCMessage **ret, struct cp_rpc_status *status)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	int r;

	r = cp_rpc_client_stream_new(&stream, client, method, response,
				     client->timeout_ms);
	if (r < 0)
		return r;
	/* A server may answer before it has read the request. */
	r = cp_rpc_client_stream_send(stream, request, status);
	if (r < 0)
		return r;
	cp_rpc_client_stream_close(stream);
	return cp_rpc_client_stream_finish(stream, ret, status);
}
