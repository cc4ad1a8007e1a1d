/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/stream.h"

#include <stdlib.h>
#include <string.h>

#include "controld/upstream/request.h"
#include "controld/upstream/server.h"

enum state {
	STATE_CONNECTING,
	STATE_HANDSHAKE,
	STATE_OPEN,
	STATE_CLOSING,
};

/* Why a stream ends, besides CP_UPSTREAM_E_*: UNREACHABLE is one that was closed
 * or on which came what makes no sense. */
enum { END_QUIET = 0 /* nobody needs it */ };

struct cp_upstream_stream {
	uv_tcp_t tcp;
	uv_connect_t connect;
	LIST_ENTRY(cp_upstream_stream) link;
	struct cp_upstream *upstream;
	struct cp_upstream_server *server; /* until it closes */
	struct cp_upstream_tls *tls;
	struct cp_upstream_frame frame;
	struct cp_upstream_ids ids;
	uint64_t used_ms; /* last question or answer, or the beginning */
	uint64_t waits_ms; /* for an answer, or to be opened, since; 0: no */
	size_t backlog; /* bytes that libuv holds */
	uint32_t n_mismatched;
	enum state state;
	bool has_answered;
};

struct write {
	uv_write_t request;
	size_t size;
	uint8_t bytes[];
};

static void end_stream(struct cp_upstream_stream *stream, int why);

static void stream_closed(uv_handle_t *handle)
{
	struct cp_upstream_stream *stream =
		sn_container_of((void *)handle, struct cp_upstream_stream, tcp);
	struct cp_upstream *upstream = stream->upstream;

	stream->tls = cp_upstream_tls_free(stream->tls);
	cp_upstream_frame_done(&stream->frame);
	free(stream);
	cp_upstream_handle_closed(upstream);
}

static void unqueue(struct cp_upstream_try *try)
{
	TAILQ_REMOVE(&try->server->stream_queue, try, link);
	try->server->n_stream_queue--;
}

void cp_upstream_stream_put(struct cp_upstream_try *try)
{
	try->place = CP_UPSTREAM_PLACE_STREAM_QUEUE;
	TAILQ_INSERT_TAIL(&try->server->stream_queue, try, link);
	try->server->n_stream_queue++;
	cp_upstream_wake(try->server);
}

void cp_upstream_stream_remove(struct cp_upstream_try *try, bool is_answered)
{
	if (try->place == CP_UPSTREAM_PLACE_STREAM_QUEUE)
		unqueue(try);
	try->place = CP_UPSTREAM_PLACE_NONE;
	if (!try->stream)
		return;
	cp_upstream_ids_remove(&try->stream->ids, &try->id,
			       is_answered ? 0 : 1);
	try->stream = NULL;
}

static void written(uv_write_t *request, int status)
{
	struct write *write = sn_container_of(request, struct write, request);
	struct cp_upstream_stream *stream = write->request.data;
	size_t size = write->size;

	free(write);
	if (stream->state == STATE_CLOSING)
		return;
	stream->backlog -= size;
	if (status < 0)
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
	else
		cp_upstream_wake(stream->server);
}

/* Hands bytes to the socket, or to libuv if it takes no more. Returns false if
 * the stream cannot go on. */
static bool send_bytes(struct cp_upstream_stream *stream, const uint8_t *data,
		       size_t size)
{
	uv_stream_t *socket = (uv_stream_t *)&stream->tcp;
	struct write *write;
	uv_buf_t part;
	int n;

	if (size == 0)
		return true;
	part = uv_buf_init((char *)(uintptr_t)data, (unsigned int)size);
	n = uv_try_write(socket, &part, 1);
	if (n < 0 && n != UV_EAGAIN)
		return false;
	data += SN_MAX(n, 0);
	size -= (size_t)SN_MAX(n, 0);
	if (size == 0)
		return true;
	if (stream->backlog + size > CP_UPSTREAM_STREAM_BACKLOG)
		return false;
	write = malloc(sizeof(*write) + size);
	if (!write)
		return false;
	write->size = size;
	write->request.data = stream;
	(void)memcpy(write->bytes, data, size);
	part = uv_buf_init((char *)write->bytes, (unsigned int)size);
	if (uv_write(&write->request, socket, &part, 1, written) < 0) {
		free(write);
		return false;
	}
	stream->backlog += size;
	return true;
}

static bool send_tls_output(struct cp_upstream_stream *stream)
{
	const uint8_t *data;
	size_t size = cp_upstream_tls_output(stream->tls, &data);
	bool is_sent = send_bytes(stream, data, size);

	cp_upstream_tls_sent(stream->tls);
	return is_sent;
}

static void detach(struct cp_upstream_stream *stream)
{
	struct cp_upstream_server *server = stream->server;

	LIST_REMOVE(stream, link);
	server->n_streams--;
	stream->upstream->n_streams--;
	if (stream->tls)
		cp_upstream_tls_forget(stream->tls);
}

/* Those that wait for a connection fail with the one that was to serve them,
 * unless there is another. */
static void fail_queue(struct cp_upstream_server *server, int why)
{
	uint32_t n = server->n_stream_queue;
	struct cp_upstream_try *try;

	while (n-- > 0 && server->n_streams == 0 &&
	       (try = TAILQ_FIRST(&server->stream_queue))) {
		cp_upstream_stream_remove(try, false);
		cp_upstream_request_failed(try, why);
	}
}

/* A server may close a connection at any time, so what is under way on one
 * that did serve goes to another. */
static void move(struct cp_upstream_try *try, bool has_answered, int why)
{
	cp_upstream_stream_remove(try, true);
	if (has_answered && try->n_reconnects < CP_UPSTREAM_STREAM_RECONNECTS) {
		try->n_reconnects++;
		cp_upstream_stream_put(try);
		return;
	}
	cp_upstream_request_failed(try, why);
}

static void end_stream(struct cp_upstream_stream *stream, int why)
{
	struct cp_upstream_server *server = stream->server;
	bool was_open = stream->state == STATE_OPEN;
	struct cp_upstream_id *id;

	if (stream->state == STATE_CLOSING)
		return;
	if (was_open && stream->tls) {
		cp_upstream_tls_shutdown(stream->tls);
		(void)send_tls_output(stream);
	}
	stream->state = STATE_CLOSING;
	detach(stream);
	uv_close((uv_handle_t *)&stream->tcp, stream_closed);
	if (why == CP_UPSTREAM_E_TLS)
		stream->upstream->stats.n_tls_refused++;
	if (why != END_QUIET && !stream->has_answered &&
	    (!was_open || stream->ids.n > 0))
		cp_upstream_server_failed(server);
	while ((id = cp_upstream_ids_first(&stream->ids)))
		move(sn_container_of(id, struct cp_upstream_try, id),
		     stream->has_answered, why);
	if (why != END_QUIET && !was_open)
		fail_queue(server, why);
	stream->server = NULL;
}

static void mismatch(struct cp_upstream_stream *stream)
{
	stream->upstream->stats.n_mismatched++;
	if (++stream->n_mismatched == CP_UPSTREAM_STREAM_MISMATCHES)
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
}

static void note_answer(struct cp_upstream_stream *stream)
{
	stream->has_answered = true;
	stream->used_ms = cp_upstream_now(stream->upstream);
	stream->waits_ms = stream->ids.n > 0 ? stream->used_ms : 0;
}

/* size is at least that of a header. */
static void take_message(struct cp_upstream_stream *stream, uint8_t *message,
			 size_t size)
{
	uint16_t value = cp_upstream_query_id(message);
	struct cp_upstream_id *id = cp_upstream_ids_get(&stream->ids, value);
	struct cp_upstream_query query;
	struct cp_upstream_try *try;
	int r;

	if (!id) {
		if (cp_upstream_ids_take_late(&stream->ids, value))
			note_answer(stream);
		else
			mismatch(stream);
		return;
	}
	try = sn_container_of(id, struct cp_upstream_try, id);
	query = cp_upstream_request_query(try);
	r = cp_upstream_query_match(&query, message, size);
	if (r != 0 && r != CP_UPSTREAM_QUERY_E_BARE) {
		mismatch(stream);
		return;
	}
	cp_upstream_stream_remove(try, true);
	note_answer(stream);
	/* Truncated here it is what there is. */
	if (r == 0)
		cp_upstream_request_answered(try, message, size, false);
	else
		cp_upstream_request_bare(try);
}

static void take_bytes(struct cp_upstream_stream *stream, const uint8_t *data,
		       size_t size)
{
	uint8_t *message;
	size_t message_size;
	int r;

	while (stream->state == STATE_OPEN) {
		r = cp_upstream_frame_take(&stream->frame, &data, &size,
					   &message, &message_size);
		if (r == 0) {
			take_message(stream, message, message_size);
			continue;
		}
		if (r != CP_UPSTREAM_FRAME_E_MORE)
			end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
		return;
	}
}

static void opened(struct cp_upstream_stream *stream)
{
	stream->state = STATE_OPEN;
	stream->used_ms = cp_upstream_now(stream->upstream);
	stream->waits_ms = 0;
	cp_upstream_server_answered(stream->server);
	cp_upstream_wake(stream->server);
}

/* One step of the handshake. */
static void shake_hands(struct cp_upstream_stream *stream)
{
	int r = cp_upstream_tls_handshake(stream->tls);

	/* An alert for the peer goes out as well. */
	if (!send_tls_output(stream) && r != CP_UPSTREAM_TLS_E_REFUSED)
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
	else if (r == 0)
		opened(stream);
	else if (r == CP_UPSTREAM_TLS_E_CLOSED)
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
	else if (r != CP_UPSTREAM_TLS_E_MORE)
		end_stream(stream, CP_UPSTREAM_E_TLS);
}

static void take_tls_bytes(struct cp_upstream_stream *stream,
			   const uint8_t *data, size_t size)
{
	struct cp_upstream *upstream = stream->upstream;
	size_t n;
	int r;

	if (cp_upstream_tls_feed(stream->tls, data, size) < 0) {
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
		return;
	}
	if (stream->state == STATE_HANDSHAKE)
		shake_hands(stream);
	while (stream->state == STATE_OPEN) {
		r = cp_upstream_tls_read(stream->tls, upstream->stream_plain,
					 sizeof(upstream->stream_plain), &n);
		if (r == 0) {
			take_bytes(stream, upstream->stream_plain, n);
			continue;
		}
		if (r != CP_UPSTREAM_TLS_E_MORE || !send_tls_output(stream))
			end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
		return;
	}
}

/* A read is taken before the next one begins, so all share one buffer. */
static void lend_buffer(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	struct cp_upstream_stream *stream =
		sn_container_of((void *)handle, struct cp_upstream_stream, tcp);

	(void)size;
	*ret = uv_buf_init((char *)stream->upstream->stream_in,
			   sizeof(stream->upstream->stream_in));
}

static void arrived(uv_stream_t *socket, ssize_t n, const uv_buf_t *buffer)
{
	struct cp_upstream_stream *stream =
		sn_container_of((void *)socket, struct cp_upstream_stream, tcp);

	if (n < 0)
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
	else if (n > 0 && stream->tls)
		take_tls_bytes(stream, (const uint8_t *)buffer->base,
			       (size_t)n);
	else if (n > 0)
		take_bytes(stream, (const uint8_t *)buffer->base, (size_t)n);
}

static void connected(uv_connect_t *connect, int status)
{
	struct cp_upstream_stream *stream =
		sn_container_of(connect, struct cp_upstream_stream, connect);

	if (stream->state == STATE_CLOSING)
		return;
	if (status < 0 || uv_read_start((uv_stream_t *)&stream->tcp,
					lend_buffer, arrived) < 0) {
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
		return;
	}
	(void)uv_tcp_nodelay(&stream->tcp, 1);
	if (!stream->tls) {
		opened(stream);
		return;
	}
	stream->state = STATE_HANDSHAKE;
	shake_hands(stream);
}

/* Room for one more stream, at the cost of one that nobody needs. */
static bool make_room(struct cp_upstream *upstream)
{
	struct cp_upstream_server *server;
	struct cp_upstream_stream *stream;

	if (upstream->n_streams < CP_UPSTREAM_STREAMS_MAX)
		return true;
	LIST_FOREACH(server, &upstream->servers, link) {
		LIST_FOREACH(stream, &server->streams, link) {
			if (stream->state == STATE_OPEN && stream->ids.n == 0) {
				end_stream(stream, END_QUIET);
				return true;
			}
		}
	}
	return false;
}

static int open_stream(struct cp_upstream_server *server)
{
	struct cp_upstream *upstream = server->upstream;
	const struct cp_dns_upstream *config = &server->config;
	sn_cleanup(cp_upstream_tls_freep) struct cp_upstream_tls *tls = NULL;
	struct cp_upstream_stream *stream;
	uint64_t now = cp_upstream_now(upstream);
	int r;

	if (config->is_tls) {
		r = cp_upstream_tls_new(&tls, upstream->tls, config->name, now,
					&server->session);
		if (r < 0)
			return r;
	}
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return sn_trace(-ENOMEM);
	r = uv_tcp_init(upstream->loop, &stream->tcp);
	if (r < 0) {
		free(stream);
		return sn_trace(r);
	}
	upstream->n_handles++;
	upstream->n_streams++;
	server->n_streams++;
	stream->upstream = upstream;
	stream->server = server;
	stream->tls = sn_steal(&tls);
	stream->used_ms = now;
	stream->waits_ms = now;
	LIST_INSERT_HEAD(&server->streams, stream, link);
	r = uv_tcp_connect(&stream->connect, &stream->tcp,
			   (const void *)&server->address, connected);
	if (r < 0)
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
	return 0;
}

/* A stream that has been waiting for so long gets no new questions. */
static bool is_slow(const struct cp_upstream_stream *stream)
{
	const struct cp_upstream *upstream = stream->upstream;

	return stream->waits_ms > 0 &&
	       cp_upstream_now(upstream) - stream->waits_ms >
		       2ULL * upstream->try_ms;
}

static bool has_room(const struct cp_upstream_stream *stream)
{
	return stream->state == STATE_OPEN && stream->backlog == 0 &&
	       stream->ids.n < CP_UPSTREAM_STREAM_PIPELINE && !is_slow(stream);
}

/* Names are sent in lower case: the stream needs no more secrets, and servers
 * that do not keep the case end up here. */
static void settle(struct cp_upstream_try *try,
		   struct cp_upstream_stream *stream)
{
	struct cp_upstream *upstream = stream->upstream;
	uint64_t now = cp_upstream_now(upstream);

	unqueue(try);
	try->place = CP_UPSTREAM_PLACE_STREAM;
	try->sent_ms = now;
	try->case_mask = 0;
	try->has_edns = !try->no_edns && try->server->no_edns_until_ms <= now;
	try->stream = stream;
	cp_upstream_ids_put(&stream->ids, &upstream->random, &try->id);
	stream->used_ms = now;
	if (stream->waits_ms == 0)
		stream->waits_ms = now;
}

/* As much of the queue as fits on this stream, in one piece. */
static void fill(struct cp_upstream_stream *stream)
{
	uint8_t *out = stream->upstream->stream_plain;
	struct cp_upstream_server *server = stream->server;
	struct cp_upstream_query query;
	struct cp_upstream_try *try;
	bool is_sent;
	size_t n = 0;

	while (stream->ids.n < CP_UPSTREAM_STREAM_PIPELINE &&
	       (try = TAILQ_FIRST(&server->stream_queue))) {
		size_t size;

		settle(try, stream);
		query = cp_upstream_request_query(try);
		size = cp_upstream_query_write(&query, out + n + 2);
		out[n] = (uint8_t)(size >> 8);
		out[n + 1] = (uint8_t)size;
		n += 2 + size;
	}
	if (!stream->tls)
		is_sent = send_bytes(stream, out, n);
	else
		is_sent = cp_upstream_tls_write(stream->tls, out, n) == 0 &&
			  send_tls_output(stream);
	if (!is_sent)
		end_stream(stream, CP_UPSTREAM_E_UNREACHABLE);
}

static bool is_opening(const struct cp_upstream_server *server)
{
	const struct cp_upstream_stream *stream;

	LIST_FOREACH(stream, &server->streams, link)
		if (stream->state != STATE_OPEN && !is_slow(stream))
			return true;
	return false;
}

void cp_upstream_stream_flush(struct cp_upstream_server *server)
{
	struct cp_upstream_stream *stream, *next;
	int r;

	for (stream = LIST_FIRST(&server->streams);
	     stream && server->n_stream_queue > 0; stream = next) {
		next = LIST_NEXT(stream, link);
		if (has_room(stream))
			fill(stream);
	}
	if (server->n_stream_queue == 0 || is_opening(server) ||
	    server->n_streams >= CP_UPSTREAM_STREAM_POOL ||
	    !make_room(server->upstream))
		return;
	r = open_stream(server);
	if (r < 0)
		fail_queue(server, r);
}

void cp_upstream_stream_keep(struct cp_upstream_server *server, bool all)
{
	struct cp_upstream *upstream = server->upstream;
	uint64_t now = cp_upstream_now(upstream);
	struct cp_upstream_stream *stream, *next;

	for (stream = LIST_FIRST(&server->streams); stream; stream = next) {
		next = LIST_NEXT(stream, link);
		if (all)
			end_stream(stream, END_QUIET);
		else if (stream->waits_ms > 0 &&
			 now - stream->waits_ms > upstream->timeout_ms / 2)
			end_stream(stream, CP_UPSTREAM_E_TIMEOUT);
		else if (stream->ids.n == 0 &&
			 now - stream->used_ms >= upstream->tcp_idle_ms)
			end_stream(stream, END_QUIET);
	}
	if (server->n_stream_queue > 0)
		cp_upstream_wake(server);
}
