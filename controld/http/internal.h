/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The server's inside, for http.c and call.c; nobody else includes this. */

#include <microhttpd.h>
#include <sys/queue.h>

#include "controld/http/call.h"

enum {
	CP_HTTP_CALL_HEADERS_MAX = 8, /* that a route adds to its answer */
	CP_HTTP_STREAM_PART_BYTES = 4096, /* of a stream, copied at once */
};

struct cp_http_connection {
	TAILQ_ENTRY(cp_http_connection) entry; /* by since_ms */
	struct cp_http *http;
	int fd;
	uint64_t since_ms; /* when it came to where it is */
	uint64_t moved_ms; /* when something of it last went on */
	bool is_waiting; /* for a route: not the peer's fault */
	bool is_answered; /* takes its answer */
	bool is_stream; /* and the answer has no end */
	bool is_cut;
};

/* Held by the library from the first byte to the last, by the route until it
 * has replied, and by what its answer is read from. */
struct cp_http_call {
	LIST_ENTRY(cp_http_call) entry; /* waits for a route, or is a stream */
	struct cp_http *http; /* NULL: closed */
	struct MHD_Connection *connection; /* NULL: ended */
	struct cp_http_connection *of;
	const struct cp_http_route *route;
	struct MHD_Response *response;
	unsigned int status;
	void *data;
	void (*free_data)(void *data);
	struct {
		const char *name;
		const char *value;
	} headers[CP_HTTP_CALL_HEADERS_MAX];
	size_t n_headers;
	char *body;
	size_t size;
	size_t capacity;
	bool by_library;
	bool by_route;
	bool by_source;
	bool is_dispatched;
	bool is_too_large; /* the body; what is left of it is not kept */
	bool is_suspended;
};

struct cp_http {
	struct cp_http_options options;
	struct MHD_Daemon *daemon; /* NULL: not listening */
	uv_poll_t poll;
	uv_timer_t run_timer;
	uv_timer_t sweep_timer;
	unsigned int n_handles;
	bool has_poll;
	bool has_ended; /* a connection, in this turn */
	bool is_closing;
	int told; /* why it does not listen; logged once */
	/* Handshakes since the moment from which on they are counted; each 1/rate
	 * of a second one is taken off. */
	uint64_t handshakes_ms;
	uint64_t n_handshakes;
	uint64_t tried_ms;
	TAILQ_HEAD(, cp_http_connection) connections;
	LIST_HEAD(, cp_http_call) waiting;
	LIST_HEAD(, cp_http_call) streams;
	struct cp_http_stats stats;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

/* http.c */

void cp_http_cut(struct cp_http_connection *connection);
/* It has come to somewhere. */
void cp_http_move(struct cp_http_connection *connection);
/* The library looks after its connections soon. */
void cp_http_kick(struct cp_http *http);
/* Others may be waiting for a place. */
bool cp_http_is_crowded(const struct cp_http *http);

/* call.c: callbacks of the library. */

enum MHD_Result cp_http_call_access(void *userdata,
				    struct MHD_Connection *connection,
				    const char *path, const char *method,
				    const char *version, const char *data,
				    size_t *size, void **context);
void cp_http_call_completed(void *userdata, struct MHD_Connection *connection,
			    void **context,
			    enum MHD_RequestTerminationCode why);
