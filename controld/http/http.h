/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An HTTP/1.1 server on the loop, over libmicrohttpd: one listener and a table
 * of routes. A peer can hold a connection, a head of CP_HTTP_HEAD_BYTES and what
 * its route admits as body, each for request_ms; when all connections
 * are taken, those that lie still are cut, the others end with their answer, and
 * who waits comes in: holding on keeps nobody out for long. A listener that cannot be opened is tried again:
 * enforcement does not wait for it. */

#include <sys/types.h>
#include <uv.h>

#include "controld/http/address.h"
#include "shared/diag.h"

struct cp_http;
struct cp_http_call;

enum {
	CP_HTTP_HEAD_BYTES = 16 * 1024, /* of a connection: head and answer's */
	CP_HTTP_REQUEST_MS = 30000, /* for each of: request, answer, idleness */
	CP_HTTP_RETRY_MS = 2000, /* to open the listener */
	CP_HTTP_PART_BYTES =
		64 * 1024, /* of an answer that are copied at once */
};

/* Answers with one of the replies below, within the call or later. */
typedef void (*cp_http_fn)(void *userdata, struct cp_http_call *call);

/* GET routes serve HEAD as well. path: without query, compared byte by byte
 * with what was sent (nothing is unescaped). */
struct cp_http_route {
	const char *method;
	const char *path;
	size_t body_max; /* 0: a body is refused */
	cp_http_fn fn;
};

struct cp_http_options {
	uv_loop_t *loop;
	const char *name; /* for the log; borrowed */
	struct cp_http_address address;
	const struct cp_http_route *routes; /* borrowed */
	size_t n_routes;
	void *userdata; /* of the routes */
	size_t connections_max;
	uint64_t request_ms; /* 0: CP_HTTP_REQUEST_MS */
};

struct cp_http_stats {
	bool is_listening;
	uint64_t n_requests; /* that reached a route */
	uint64_t n_refused; /* that did not */
	uint64_t n_cut; /* connections: too slow, idle or too many */
	size_t n_connections;
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

/* The body, or NULL if it is empty; until the reply. */
const void *cp_http_call_get_body(const struct cp_http_call *call,
				  size_t *size);

/* Exactly one reply for each call, which is gone then. type: Content-Type, a
 * constant. The body is copied. */
void cp_http_call_reply(struct cp_http_call *call, unsigned int status,
			const char *type, const void *body, size_t size);

/* An answer that is read as it is sent: read() fills up to n bytes from `at` on,
 * which rises without gaps, and returns their number (0: it is broken off);
 * release() comes when no byte is needed any more, always once. */
struct cp_http_source {
	uint64_t size;
	size_t (*read)(void *userdata, uint64_t at, char *to, size_t n);
	void (*release)(void *userdata);
	void *userdata;
};
void cp_http_call_reply_source(struct cp_http_call *call, unsigned int status,
			       const char *type,
			       const struct cp_http_source *source);
