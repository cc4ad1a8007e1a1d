/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this folder share. A request goes to one server after the
 * other; each of these is a try. A try is with the server's sockets (udp.c) or
 * its streams (stream.c), which tell request.c how it ended. A late answer of
 * an earlier try counts as long as the request lives.
 *
 * Nothing is sent within a call from outside: questions wait in their server's
 * queue until the loop is about to poll, and go out in batches then. So the
 * functions of users are called only from the loop, and nothing is freed under
 * somebody's feet: handles in their close callbacks, the engine in the last of
 * these. */

#include <sys/queue.h>
#include <sys/socket.h>
#include <uv.h>

#include "controld/upstream/frame.h"
#include "controld/upstream/ids.h"
#include "controld/upstream/query.h"
#include "controld/upstream/random.h"
#include "controld/upstream/tls.h"
#include "controld/upstream/upstream.h"
#include "controld/upstream/wheel.h"

enum {
	CP_UPSTREAM_SOCKETS_MAX = 1024, /* of all servers */
	CP_UPSTREAM_STREAMS_MAX = 256,
	CP_UPSTREAM_VALIDATORS_MAX = 16, /* some 4 MiB and 70 fds each */
	CP_UPSTREAM_STREAM_BYTES = 65536, /* of one read */
	CP_UPSTREAM_KEEP_MS = 500, /* between two rounds of housekeeping */
	CP_UPSTREAM_SET_KEEP_MS = 60000,
};

enum cp_upstream_place {
	CP_UPSTREAM_PLACE_NONE, /* not begun, or over */
	CP_UPSTREAM_PLACE_UDP_QUEUE,
	CP_UPSTREAM_PLACE_UDP, /* sent, has an id of a socket */
	CP_UPSTREAM_PLACE_STREAM_QUEUE,
	CP_UPSTREAM_PLACE_STREAM, /* sent, has an id of a stream */
};

struct cp_upstream_try {
	struct cp_upstream_id id;
	TAILQ_ENTRY(cp_upstream_try) link; /* in a queue */
	struct cp_upstream_request *request;
	struct cp_upstream_server *server;
	struct cp_upstream_socket *socket; /* UDP, also in the queue again */
	struct cp_upstream_stream *stream;
	uint64_t case_mask;
	uint64_t sent_ms;
	uint8_t place; /* enum cp_upstream_place */
	uint8_t n_sent; /* with this id */
	uint8_t n_reconnects;
	bool by_stream; /* of a server that is asked by UDP otherwise */
	bool no_edns;
	bool has_edns; /* as sent */
	bool is_over; /* the server has failed for this request */
};
TAILQ_HEAD(cp_upstream_queue, cp_upstream_try);

struct cp_upstream_pending; /* at a validator */

struct cp_upstream_request {
	struct cp_upstream_deadline deadline;
	LIST_ENTRY(cp_upstream_request) link;
	struct cp_upstream_set *set;
	cp_upstream_fn fn;
	void *userdata;
	struct cp_upstream_pending *pending;
	uint64_t end_ms;
	uint8_t *refusal; /* an answer that reports a failure, if no other comes */
	size_t refusal_size;
	struct cp_dns_name name;
	uint16_t type;
	uint16_t class;
	bool wants_dnssec;
	bool checking_disabled;
	bool was_silent; /* a server did not answer */
	bool was_unverified; /* a server's certificate was refused */
	int error; /* -errno that kept a server from being asked */
	uint8_t order[CP_DNS_UPSTREAMS_MAX]; /* of the set's servers */
	uint8_t at; /* in order: the try that the deadline is for */
	uint8_t round;
	struct cp_upstream_try tries[]; /* one for each server of the set */
};

LIST_HEAD(cp_upstream_sockets, cp_upstream_socket);
LIST_HEAD(cp_upstream_streams, cp_upstream_stream);
LIST_HEAD(cp_upstream_requests, cp_upstream_request);

struct cp_upstream_server {
	LIST_ENTRY(cp_upstream_server) link;
	TAILQ_ENTRY(cp_upstream_server) ready_link;
	struct cp_upstream *upstream;
	struct cp_dns_upstream config;
	struct sockaddr_storage address;
	socklen_t address_size;
	uint32_t n_users; /* sets */
	bool is_ready; /* its queues are to be looked at */

	uint64_t answered_ms;
	uint64_t down_until_ms;
	uint64_t down_ms; /* 0: it answers */
	uint64_t no_edns_until_ms;

	struct cp_upstream_queue udp_queue;
	uint32_t n_udp_queue;
	struct cp_upstream_sockets sockets;
	uint32_t n_fresh; /* sockets that take questions */

	struct cp_upstream_queue stream_queue;
	uint32_t n_stream_queue;
	struct cp_upstream_streams streams;
	uint32_t n_streams;
	struct cp_upstream_tls_session *session;
};

struct cp_upstream_set {
	LIST_ENTRY(cp_upstream_set) link;
	struct cp_upstream *upstream; /* NULL: closed before its users let go */
	uint64_t id;
	uint64_t unused_ms; /* since when n_users is 0 */
	uint32_t n_users; /* holders and requests */
	bool dnssec;
	uint8_t n;
	struct cp_upstream_validator *validator; /* once it was asked */
	struct cp_upstream_server *servers[CP_DNS_UPSTREAMS_MAX];
};

struct cp_upstream_batch; /* buffers of udp.c */

struct cp_upstream {
	uv_loop_t *loop;
	uv_prepare_t prepare; /* runs while something is to be sent */
	uv_timer_t tick; /* runs while requests are under way */
	uv_timer_t keep; /* runs while there are sets */
	uint32_t n_handles; /* not closed, all told */
	bool is_closing;
	bool is_closed; /* handles are being closed */
	void (*closed)(void *userdata);
	void *closed_userdata;

	uint32_t timeout_ms;
	uint32_t try_ms;
	uint32_t tcp_idle_ms;
	uint32_t requests_max;
	char *trust_anchor_file;

	struct cp_upstream_random random;
	struct cp_upstream_wheel wheel;
	struct cp_upstream_requests requests;
	LIST_HEAD(, cp_upstream_set) sets;
	LIST_HEAD(, cp_upstream_server) servers;
	TAILQ_HEAD(cp_upstream_ready, cp_upstream_server) ready;
	TAILQ_HEAD(cp_upstream_told, cp_upstream_pending)
	told; /* validated within the call */
	uint32_t n_sockets;
	uint32_t n_streams;
	uint32_t n_validators;
	struct cp_upstream_tls_context *tls;
	struct cp_upstream_batch *batch;
	struct cp_upstream_stats stats;
	uint8_t stream_in[CP_UPSTREAM_STREAM_BYTES];
	uint8_t stream_plain[CP_UPSTREAM_STREAM_BYTES];
};

static inline uint64_t cp_upstream_now(const struct cp_upstream *upstream)
{
	return uv_now(upstream->loop);
}

/* upstream.c: the queues of this server are looked at before the next poll. */
void cp_upstream_wake(struct cp_upstream_server *server);
/* upstream.c: something else waits for the loop. */
void cp_upstream_wake_loop(struct cp_upstream *upstream);
/* upstream.c: from the close callback of every handle. */
void cp_upstream_handle_closed(struct cp_upstream *upstream);
