/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An HTTP/1.1 server on the loop, over libmicrohttpd: one listener, a table of
 * routes, and a guard who judges heads. A peer can hold a connection, a head of CP_HTTP_HEAD_BYTES and what
 * its route admits as body, each for request_ms; when all connections
 * are taken, those that lie still are cut, the others end with their answer, and
 * who waits comes in: holding on keeps nobody out for long. A listener that cannot be opened is tried again:
 * enforcement does not wait for it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "controld/http/address.h"
#include "shared/diag.h"

struct cp_http;
struct cp_http_call;

enum {
	CP_HTTP_HEAD_BYTES = 16 * 1024, /* of a connection: head and answer's */
	CP_HTTP_REQUEST_MS = 30000, /* for each of: request, answer, idleness */
	CP_HTTP_RETRY_MS = 2000, /* to open the listener */
	/* A handshake takes the loop about a millisecond, whoever asks for it. */
	CP_HTTP_HANDSHAKES_PER_S = 100, /* and that many at once */
	CP_HTTP_CLASSES = 6,
	CP_HTTP_REFUSAL_BYTES = 1024,
	CP_HTTP_PART_BYTES =
		64 * 1024, /* of an answer that are copied at once */
};

/* Answers with one of the replies of controld/http/call.h, within the call or
 * later. */
typedef void (*cp_http_fn)(void *userdata, struct cp_http_call *call);

/* GET routes serve HEAD as well. path: without query, compared byte by byte
 * with what was sent (nothing is unescaped). */
struct cp_http_route {
	const char *method;
	const char *path;
	size_t body_max; /* 0: a body is refused */
	cp_http_fn fn;
};

/* Judges a request by its head, before its body is read. Returns 0, or the
 * status to refuse it with; *text then says why, for the peer, and is borrowed
 * until put_refusal() has been called. */
typedef unsigned int (*cp_http_guard)(void *userdata, struct cp_http_call *call,
				      const char **text);

/* All PEM, and outlives the server. TLS is 1.3. */
struct cp_http_tls {
	const char *certificate; /* and what leads to its authority */
	const char *key;
	const char *client_ca; /* NULL: clients are asked for none */
};

struct cp_http_options {
	uv_loop_t *loop;
	const char *name; /* for the log; borrowed */
	/* A socket that listens, or -errno; NULL: address is listened on. */
	int (*listen)(void *userdata);
	struct cp_http_address address;
	const struct cp_http_tls *tls; /* NULL: in plain text */
	cp_http_guard guard; /* NULL: everybody may ask for everything */
	/* The body of a refusal; NULL: a word. type: its Content-Type. */
	void (*put_refusal)(unsigned int status, const char *text, char *to,
			    size_t size);
	const char *refusal_type;
	const struct cp_http_route *routes; /* borrowed */
	size_t n_routes;
	void *userdata; /* of all that is called */
	size_t connections_max;
	uint64_t request_ms; /* 0: CP_HTTP_REQUEST_MS */
};

struct cp_http_stats {
	bool is_listening;
	uint64_t n_requests; /* that reached a route */
	uint64_t n_refused; /* that did not */
	uint64_t n_cut; /* connections: too slow, idle, too many or too often */
	uint64_t n_answers[CP_HTTP_CLASSES]; /* by status / 100 */
	size_t n_connections;
	size_t n_streams;
};

int cp_http_new(struct cp_http **ret, const struct cp_http_options *options);

/* Cuts every connection; calls under way may still be answered, to nobody.
 * Then calls closed (may be NULL) from the loop. */
void cp_http_close(struct cp_http *http, void (*closed)(void *userdata),
		   void *userdata);

void cp_http_get_stats(const struct cp_http *http, struct cp_http_stats *ret);

/* Cuts the connection that has been taking its answer for longest; false: there
 * is none. For handlers whose answers hold memory. */
bool cp_http_cut_slowest(struct cp_http *http);
