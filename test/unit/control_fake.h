/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A control plane in this process: gRPC core's own server on loopback, with a
 * thread that answers the first message of each stream by a SyncAck and notes
 * when it came. Streams are cut by the test. */

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>

#include "controld/rpc/buffer.h"
#include "controld/rpc/core.h"
#include "sentinel/v1/control.pb-c.h"
#include "test/unit/t.h"

enum { PLANE_STREAMS_MAX = 1024 };

/* Steps of a stream; the address of each is a tag. */
struct plane_stream {
	struct plane *plane;
	grpc_call *call;
	grpc_call_details details;
	grpc_metadata_array metadata;
	grpc_byte_buffer *received;
	int cancelled;
	char accepted, opened, heard, answered, closed;
	bool is_open;
};

struct plane {
	grpc_server *server;
	grpc_completion_queue *cq;
	pthread_t thread;
	pthread_mutex_t mutex;
	char url[32];
	struct plane_stream streams[PLANE_STREAMS_MAX];
	uint64_t came_ms[PLANE_STREAMS_MAX]; /* CLOCK_MONOTONIC */
	size_t n_accepting; /* the stream that waits for a call */
	size_t n_synced;
	char stopped;
};

static inline uint64_t plane_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void plane_accept(struct plane *plane)
{
	struct plane_stream *stream;

	t_true(plane->n_accepting < PLANE_STREAMS_MAX);
	stream = &plane->streams[plane->n_accepting];
	stream->plane = plane;
	grpc_call_details_init(&stream->details);
	grpc_metadata_array_init(&stream->metadata);
	t_eq(grpc_server_request_call(plane->server, &stream->call,
				      &stream->details, &stream->metadata,
				      plane->cq, plane->cq, &stream->accepted),
	     GRPC_CALL_OK);
}

static inline void plane_start(struct plane_stream *stream, const grpc_op *op,
			       void *tag)
{
	(void)grpc_call_start_batch(stream->call, op, 1, tag, NULL);
}

static inline void plane_open(struct plane_stream *stream)
{
	grpc_op close = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };
	grpc_op open = { .op = GRPC_OP_SEND_INITIAL_METADATA };
	grpc_op hear = { .op = GRPC_OP_RECV_MESSAGE };

	close.data.recv_close_on_server.cancelled = &stream->cancelled;
	hear.data.recv_message.recv_message = &stream->received;
	plane_start(stream, &close, &stream->closed);
	plane_start(stream, &open, &stream->opened);
	plane_start(stream, &hear, &stream->heard);
	stream->is_open = true;
	stream->plane->n_accepting++;
	plane_accept(stream->plane);
}

static inline void plane_answer(struct plane_stream *stream)
{
	static char command_id[] = "ack";
	struct plane *plane = stream->plane;
	Sentinel__V1__ControlCommand command;
	Sentinel__V1__SyncAck ack;
	grpc_op op = { .op = GRPC_OP_SEND_MESSAGE };
	grpc_byte_buffer *buffer;

	plane->came_ms[plane->n_synced++] = plane_now_ms();
	sentinel__v1__control_command__init(&command);
	sentinel__v1__sync_ack__init(&ack);
	command.command_id = command_id;
	command.command_case = SENTINEL__V1__CONTROL_COMMAND__COMMAND_SYNC_ACK;
	command.sync_ack = &ack;
	t_eq(cp_rpc_buffer_new(&buffer, &command.base, SIZE_MAX), 0);
	op.data.send_message.send_message = buffer;
	plane_start(stream, &op, &stream->answered);
	grpc_byte_buffer_destroy(buffer);
}

/* The stream whose step it is. */
static inline struct plane_stream *plane_find(struct plane *plane, void *tag)
{
	size_t at = (size_t)((char *)tag - (char *)plane->streams);

	t_true(at < sizeof(plane->streams));
	return &plane->streams[at / sizeof(*plane->streams)];
}

static inline void plane_step(struct plane *plane, void *tag, bool ok)
{
	struct plane_stream *stream = plane_find(plane, tag);

	if (tag == &stream->accepted && ok) {
		plane_open(stream);
	} else if (tag == &stream->heard) {
		bool has_message = ok && stream->received;

		stream->received = cp_rpc_buffer_free(stream->received);
		if (has_message)
			plane_answer(stream);
	} else if (tag == &stream->closed) {
		stream->is_open = false;
	}
}

static inline void *plane_run(void *data)
{
	struct plane *plane = data;

	for (;;) {
		grpc_event event = grpc_completion_queue_next(
			plane->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (event.tag == &plane->stopped) {
			grpc_completion_queue_shutdown(plane->cq);
			continue;
		}
		(void)pthread_mutex_lock(&plane->mutex);
		plane_step(plane, event.tag, event.success != 0);
		(void)pthread_mutex_unlock(&plane->mutex);
	}
}

static inline struct plane *plane_new(void)
{
	struct plane *plane = calloc(1, sizeof(*plane));
	grpc_server_credentials *credentials;
	int port;

	t_not_null(plane);
	cp_rpc_core_init();
	(void)pthread_mutex_init(&plane->mutex, NULL);
	plane->server = grpc_server_create(NULL, NULL);
	plane->cq = grpc_completion_queue_create_for_next(NULL);
	credentials = grpc_insecure_server_credentials_create();
	grpc_server_register_completion_queue(plane->server, plane->cq, NULL);
	port = grpc_server_add_http2_port(plane->server, "127.0.0.1:0",
					  credentials);
	grpc_server_credentials_release(credentials);
	t_true(port > 0);
	(void)snprintf(plane->url, sizeof(plane->url), "http://127.0.0.1:%d",
		       port);
	grpc_server_start(plane->server);
	plane_accept(plane);
	t_eq(pthread_create(&plane->thread, NULL, plane_run, plane), 0);
	return plane;
}

static inline size_t plane_synced(struct plane *plane)
{
	size_t n;

	(void)pthread_mutex_lock(&plane->mutex);
	n = plane->n_synced;
	(void)pthread_mutex_unlock(&plane->mutex);
	return n;
}

/* All at once. */
static inline void plane_cut(struct plane *plane)
{
	(void)pthread_mutex_lock(&plane->mutex);
	for (size_t i = 0; i < plane->n_accepting; i++)
		if (plane->streams[i].is_open)
			(void)grpc_call_cancel(plane->streams[i].call, NULL);
	(void)pthread_mutex_unlock(&plane->mutex);
}

static inline void plane_free(struct plane *plane)
{
	grpc_server_shutdown_and_notify(plane->server, plane->cq,
					&plane->stopped);
	grpc_server_cancel_all_calls(plane->server);
	(void)pthread_join(plane->thread, NULL);
	for (size_t i = 0; i <= plane->n_accepting; i++) {
		grpc_call_details_destroy(&plane->streams[i].details);
		grpc_metadata_array_destroy(&plane->streams[i].metadata);
		if (i < plane->n_accepting)
			grpc_call_unref(plane->streams[i].call);
	}
	grpc_server_destroy(plane->server);
	grpc_completion_queue_destroy(plane->cq);
	(void)pthread_mutex_destroy(&plane->mutex);
	free(plane);
	cp_rpc_core_done();
}
