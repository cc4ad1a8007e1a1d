/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/udp.h"

#include <stdlib.h>
#include <string.h>

#include "controld/upstream/request.h"

enum {
	SEND_BATCH = 32,
	RECEIVE_BATCH = 32,
	RECEIVES_PER_EVENT = 4, /* then the loop's other work has its turn */
	/* Servers may ignore what we say we take; what is larger is asked for
	 * again by a stream. */
	ANSWER_BYTES = 4096,
};

struct cp_upstream_socket {
	uv_poll_t poll;
	LIST_ENTRY(cp_upstream_socket) link;
	struct cp_upstream *upstream;
	struct cp_upstream_server *server;
	struct cp_upstream_ids ids;
	uint64_t opened_ms;
	uint32_t n_uses;
	uint32_t n_mismatched;
	bool is_fresh; /* takes new questions */
	int fd; /* -1: being closed */
};

struct cp_upstream_batch {
	struct mmsghdr out[SEND_BATCH];
	struct iovec out_iov[SEND_BATCH];
	uint8_t out_bytes[SEND_BATCH][CP_UPSTREAM_QUERY_BYTES];
	struct mmsghdr in[RECEIVE_BATCH];
	struct iovec in_iov[RECEIVE_BATCH];
	uint8_t in_bytes[RECEIVE_BATCH][ANSWER_BYTES];
};

int cp_upstream_udp_new(struct cp_upstream_batch **ret)
{
	struct cp_upstream_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return sn_trace(-ENOMEM);
	for (int i = 0; i < SEND_BATCH; i++) {
		batch->out_iov[i].iov_base = batch->out_bytes[i];
		batch->out[i].msg_hdr.msg_iov = &batch->out_iov[i];
		batch->out[i].msg_hdr.msg_iovlen = 1;
	}
	for (int i = 0; i < RECEIVE_BATCH; i++) {
		batch->in_iov[i].iov_base = batch->in_bytes[i];
		batch->in_iov[i].iov_len = ANSWER_BYTES;
		batch->in[i].msg_hdr.msg_iov = &batch->in_iov[i];
		batch->in[i].msg_hdr.msg_iovlen = 1;
	}
	*ret = batch;
	return 0;
}

struct cp_upstream_batch *cp_upstream_udp_free(struct cp_upstream_batch *batch)
{
	free(batch);
	return NULL;
}

static void socket_closed(uv_handle_t *handle)
{
	struct cp_upstream_socket *one = sn_container_of(
		(void *)handle, struct cp_upstream_socket, poll);
	struct cp_upstream *upstream = one->upstream;

	free(one);
	cp_upstream_handle_closed(upstream);
}

/* No new questions; those under way go on. */
static void retire(struct cp_upstream_socket *one)
{
	if (!one->is_fresh)
		return;
	one->is_fresh = false;
	one->server->n_fresh--;
}

/* Nothing may be under way on it. */
static void close_socket(struct cp_upstream_socket *one)
{
	if (one->fd < 0)
		return;
	retire(one);
	LIST_REMOVE(one, link);
	one->upstream->n_sockets--;
	(void)uv_poll_stop(&one->poll);
	uv_close((uv_handle_t *)&one->poll, socket_closed);
	sn_closep(&one->fd);
}

/* Each time that it was sent may bring an answer. */
static void let_go(struct cp_upstream_try *try, bool is_answered)
{
	struct cp_upstream_socket *one = try->socket;

	if (!one)
		return;
	cp_upstream_ids_remove(&one->ids, &try->id,
			       (uint8_t)(try->n_sent - (is_answered ? 1 : 0)));
	try->socket = NULL;
	if (!one->is_fresh && one->ids.n == 0)
		close_socket(one);
}

void cp_upstream_udp_put(struct cp_upstream_try *try)
{
	if (try->place == CP_UPSTREAM_PLACE_UDP_QUEUE)
		return;
	try->place = CP_UPSTREAM_PLACE_UDP_QUEUE;
	TAILQ_INSERT_TAIL(&try->server->udp_queue, try, link);
	try->server->n_udp_queue++;
	cp_upstream_wake(try->server);
}

static void unqueue(struct cp_upstream_try *try)
{
	TAILQ_REMOVE(&try->server->udp_queue, try, link);
	try->server->n_udp_queue--;
}

void cp_upstream_udp_remove(struct cp_upstream_try *try, bool is_answered)
{
	if (try->place == CP_UPSTREAM_PLACE_UDP_QUEUE)
		unqueue(try);
	try->place = CP_UPSTREAM_PLACE_NONE;
	let_go(try, is_answered);
}

/* What is under way there ends one by one; users' functions may end others of
 * them meanwhile, and the last one gone closes the socket. */
static void abandon(struct cp_upstream_socket *one, bool is_unreachable)
{
	struct cp_upstream_id *id;

	retire(one);
	while (one->fd >= 0 && (id = cp_upstream_ids_first(&one->ids))) {
		struct cp_upstream_try *try =
			sn_container_of(id, struct cp_upstream_try, id);

		cp_upstream_udp_remove(try, true);
		if (is_unreachable)
			cp_upstream_request_failed(try,
						   CP_UPSTREAM_E_UNREACHABLE);
		else
			cp_upstream_request_distrust(try);
	}
	close_socket(one);
}

static void mismatch(struct cp_upstream_socket *one)
{
	one->upstream->stats.n_mismatched++;
	if (++one->n_mismatched == CP_UPSTREAM_UDP_MISMATCHES)
		abandon(one, false);
}

static void take_message(struct cp_upstream_socket *one, uint8_t *message,
			 size_t size, bool is_cut)
{
	struct cp_upstream_query query;
	struct cp_upstream_id *id = NULL;
	struct cp_upstream_try *try;

	if (size >= CP_UPSTREAM_QUERY_HEADER)
		id = cp_upstream_ids_get(&one->ids,
					 cp_upstream_query_id(message));
	if (!id) {
		if (size >= CP_UPSTREAM_QUERY_HEADER &&
		    cp_upstream_ids_take_late(&one->ids,
					      cp_upstream_query_id(message)))
			return;
		mismatch(one);
		return;
	}
	try = sn_container_of(id, struct cp_upstream_try, id);
	query = cp_upstream_request_query(try);
	switch (cp_upstream_query_match(&query, message, size)) {
	case 0:
		cp_upstream_udp_remove(try, true);
		cp_upstream_request_answered(
			try, message, size,
			is_cut || cp_upstream_query_is_truncated(message));
		return;
	case CP_UPSTREAM_QUERY_E_BARE:
		cp_upstream_udp_remove(try, true);
		cp_upstream_request_bare(try);
		return;
	case CP_UPSTREAM_QUERY_E_CASE:
		/* A server that does not keep the case, or a good guess. */
		one->upstream->stats.n_mismatched++;
		cp_upstream_udp_remove(try, false);
		cp_upstream_request_distrust(try);
		return;
	default:
		mismatch(one);
	}
}

/* Returns whether there may be more. */
static bool receive(struct cp_upstream_socket *one)
{
	struct cp_upstream_batch *batch = one->upstream->batch;
	int n;

	n = recvmmsg(one->fd, batch->in, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			abandon(one, true);
		return false;
	}
	for (int i = 0; i < n && one->fd >= 0; i++)
		take_message(one, batch->in_bytes[i], batch->in[i].msg_len,
			     batch->in[i].msg_hdr.msg_flags & MSG_TRUNC);
	return n == RECEIVE_BATCH && one->fd >= 0;
}

/* A status is a socket in error, of which the next call tells more; libuv has
 * stopped to watch it then. */
static void polled(uv_poll_t *poll, int status, int events)
{
	struct cp_upstream_socket *one =
		sn_container_of(poll, struct cp_upstream_socket, poll);

	(void)events;
	for (int i = 0; i < RECEIVES_PER_EVENT; i++)
		if (!receive(one))
			break;
	if (status < 0 && one->fd >= 0)
		abandon(one, true);
}

/* Room for one more socket, at the cost of one that nobody needs. */
static bool make_room(struct cp_upstream *upstream)
{
	struct cp_upstream_server *server;
	struct cp_upstream_socket *one;

	if (upstream->n_sockets < CP_UPSTREAM_SOCKETS_MAX)
		return true;
	LIST_FOREACH(server, &upstream->servers, link) {
		LIST_FOREACH(one, &server->sockets, link) {
			if (one->ids.n == 0) {
				close_socket(one);
				return true;
			}
		}
	}
	return false;
}

static int connect_socket(const struct cp_upstream_server *server, int *ret)
{
	sn_cleanup(sn_closep) int fd = -1;

	fd = socket(server->address.ss_family,
		    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sn_trace(-errno);
	/* The port is the kernel's choice, random and out of the range that the
	 * administrator has left for it. */
	if (connect(fd, (const void *)&server->address, server->address_size))
		return sn_trace(-errno);
	*ret = sn_steal_fd(&fd);
	return 0;
}

static int open_socket(struct cp_upstream_server *server,
		       struct cp_upstream_socket **ret)
{
	struct cp_upstream *upstream = server->upstream;
	sn_cleanup(sn_freep) struct cp_upstream_socket *one = NULL;
	sn_cleanup(sn_closep) int fd = -1;
	int r;

	if (!make_room(upstream))
		return -ENOBUFS;
	one = calloc(1, sizeof(*one));
	if (!one)
		return sn_trace(-ENOMEM);
	r = connect_socket(server, &fd);
	if (r < 0)
		return r;
	r = uv_poll_init(upstream->loop, &one->poll, fd);
	if (r < 0)
		return sn_trace(r);
	upstream->n_handles++;
	upstream->n_sockets++;
	one->upstream = upstream;
	one->server = server;
	one->opened_ms = cp_upstream_now(upstream);
	one->is_fresh = true;
	one->fd = sn_steal_fd(&fd);
	LIST_INSERT_HEAD(&server->sockets, one, link);
	server->n_fresh++;
	*ret = sn_steal(&one);
	r = uv_poll_start(&(*ret)->poll, UV_READABLE, polled);
	if (r < 0)
		close_socket(*ret);
	return sn_trace(r);
}

static struct cp_upstream_socket *
pick_fresh(const struct cp_upstream_server *server)
{
	struct cp_upstream_socket *one;
	uint32_t nth;

	if (server->n_fresh == 0)
		return NULL;
	nth = cp_upstream_random_below(&server->upstream->random,
				       server->n_fresh);
	LIST_FOREACH(one, &server->sockets, link)
		if (one->is_fresh && nth-- == 0)
			break;
	return one;
}

/* 0: *ret has room for a batch. -errno: the server cannot be reached. */
static int pick_socket(struct cp_upstream_server *server,
		       struct cp_upstream_socket **ret)
{
	int r = 0;

	if (server->n_fresh < CP_UPSTREAM_UDP_POOL) {
		r = open_socket(server, ret);
		if (r == 0)
			return 0;
	}
	*ret = pick_fresh(server);
	return *ret ? 0 : r;
}

/* Gives the try id, case and place on the socket, unless it has them. */
static void settle(struct cp_upstream_try *try, struct cp_upstream_socket *one)
{
	struct cp_upstream_server *server = try->server;
	struct cp_upstream *upstream = server->upstream;
	uint64_t now = cp_upstream_now(upstream);

	try->place = CP_UPSTREAM_PLACE_UDP;
	try->sent_ms = now;
	if (try->socket) {
		upstream->stats.n_retransmitted++;
		try->n_sent++;
		return;
	}
	try->n_sent = 1;
	try->case_mask = cp_upstream_random_u64(&upstream->random);
	try->has_edns = !try->no_edns && server->no_edns_until_ms <= now;
	try->socket = one;
	cp_upstream_ids_put(&one->ids, &upstream->random, &try->id);
}

static void write_out(struct cp_upstream_batch *batch, int at,
		      const struct cp_upstream_try *try)
{
	struct cp_upstream_query query = cp_upstream_request_query(try);

	batch->out_iov[at].iov_len =
		cp_upstream_query_write(&query, batch->out_bytes[at]);
}

/* A packet that finds no room is lost, as on the way; any other error is the
 * server's, perhaps of a packet before. */
static void send_out(struct cp_upstream_socket *one, int n)
{
	struct cp_upstream_batch *batch = one->upstream->batch;
	int done = 0;

	while (done < n) {
		int sent = sendmmsg(one->fd, batch->out + done,
				    (unsigned int)(n - done), MSG_DONTWAIT);

		if (sent < 0 && errno != EINTR) {
			if (errno != EAGAIN && errno != ENOBUFS)
				abandon(one, true);
			return;
		}
		done += SN_MAX(sent, 0);
	}
}

/* The first of the queue, which was sent before. */
static void send_again(struct cp_upstream_server *server)
{
	struct cp_upstream_try *try = TAILQ_FIRST(&server->udp_queue);
	struct cp_upstream_socket *one = try->socket;

	unqueue(try);
	settle(try, one);
	write_out(server->upstream->batch, 0, try);
	send_out(one, 1);
}

/* Returns how many were sent. */
static uint32_t send_batch(struct cp_upstream_server *server,
			   struct cp_upstream_socket *one)
{
	struct cp_upstream_try *try;
	int n = 0;

	while (n < SEND_BATCH && (try = TAILQ_FIRST(&server->udp_queue)) &&
	       !try->socket) {
		unqueue(try);
		settle(try, one);
		write_out(server->upstream->batch, n++, try);
	}
	one->n_uses += (uint32_t)n;
	if (one->n_uses >= CP_UPSTREAM_UDP_USES)
		retire(one);
	send_out(one, n);
	return (uint32_t)n;
}

/* A lack of descriptors or memory is ours. */
static void fail_first(struct cp_upstream_server *server, int r)
{
	struct cp_upstream_try *try = TAILQ_FIRST(&server->udp_queue);
	bool is_ours = r == -EMFILE || r == -ENFILE || r == -ENOMEM ||
		       r == -ENOBUFS;

	cp_upstream_udp_remove(try, false);
	cp_upstream_request_failed(try,
				   is_ours ? r : CP_UPSTREAM_E_UNREACHABLE);
}

/* What users ask in answer to failures waits for the next turn. */
void cp_upstream_udp_flush(struct cp_upstream_server *server)
{
	uint32_t n = server->n_udp_queue;
	struct cp_upstream_socket *one = NULL;
	struct cp_upstream_try *try;
	int r;

	while (n > 0 && (try = TAILQ_FIRST(&server->udp_queue))) {
		if (try->socket) {
			send_again(server);
			n--;
			continue;
		}
		r = pick_socket(server, &one);
		if (r == 0) {
			n -= SN_MIN(n, send_batch(server, one));
		} else {
			fail_first(server, r);
			n--;
		}
	}
	if (!TAILQ_EMPTY(&server->udp_queue))
		cp_upstream_wake(server);
}

void cp_upstream_udp_keep(struct cp_upstream_server *server, bool all)
{
	uint64_t now = cp_upstream_now(server->upstream);
	struct cp_upstream_socket *one, *next;

	for (one = LIST_FIRST(&server->sockets); one; one = next) {
		next = LIST_NEXT(one, link);
		if (!all && now - one->opened_ms < CP_UPSTREAM_UDP_LIFE_MS)
			continue;
		retire(one);
		if (one->ids.n == 0)
			close_socket(one);
	}
}
