/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/http/http.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controld/http/check.h"
#include "shared/log.h"
#include "shared/util.h"

enum {
	SWEEP_MS = 100,
	/* While there is no place for a further connection: what may lie still
	 * for longer, and be under way for longer, is cut. */
	STILL_MS = 200,
	CROWDED_MS = 5000,
	BACKLOG = 128,
	IDLE_S = 600, /* the library's own limit; ours are shorter */
	BODY_BYTES_FIRST = 4096,
};

struct connection {
	TAILQ_ENTRY(connection) entry; /* by since_ms */
	struct cp_http *http;
	int fd;
	uint64_t since_ms; /* when it came to where it is */
	uint64_t moved_ms; /* when something of it last went on */
	bool is_waiting; /* for a route: not the peer's fault */
	bool is_answered; /* takes its answer */
	bool is_cut;
};

/* Held by the library from the first byte to the last, and by the route until
 * it has replied. */
struct cp_http_call {
	LIST_ENTRY(cp_http_call) entry; /* of those that wait for a route */
	struct cp_http *http; /* NULL: closed */
	struct MHD_Connection *connection;
	struct connection *of;
	const struct cp_http_route *route;
	struct MHD_Response *response;
	unsigned int status;
	char *body;
	size_t size;
	size_t capacity;
	bool by_library;
	bool by_route;
	bool is_dispatched;
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
	uint64_t tried_ms;
	TAILQ_HEAD(, connection) connections;
	LIST_HEAD(, cp_http_call) waiting;
	struct cp_http_stats stats;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

static uint64_t now_ms(const struct cp_http *http)
{
	return uv_now(http->options.loop);
}

static void cut(struct connection *connection)
{
	/* What it does not read is not kept for it either. */
	const struct linger none = { .l_onoff = 1 };

	if (connection->is_cut)
		return;
	(void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none,
			 sizeof(none));
	connection->is_cut = true;
	connection->http->stats.n_cut++;
	(void)shutdown(connection->fd, SHUT_RDWR);
}

static void on_run_timer(uv_timer_t *timer);

/* The library looks after its connections soon. */
static void kick(struct cp_http *http)
{
	if (!http->is_closing && http->daemon)
		(void)uv_timer_start(&http->run_timer, on_run_timer, 0, 0);
}

static void move_to_tail(struct connection *connection)
{
	struct cp_http *http = connection->http;

	connection->since_ms = now_ms(http);
	connection->moved_ms = connection->since_ms;
	TAILQ_REMOVE(&http->connections, connection, entry);
	TAILQ_INSERT_TAIL(&http->connections, connection, entry);
}

static void free_call(struct cp_http_call *call)
{
	if (call->by_library || call->by_route)
		return;
	if (call->response)
		MHD_destroy_response(call->response);
	free(call->body);
	free(call);
}

/* Refusals are answered at once, and nothing more is read. */
static enum MHD_Result refuse(struct cp_http *http,
			      struct MHD_Connection *connection,
			      unsigned int status, const char *allow)
{
	char text[] = "refused\n";
	struct MHD_Response *response;
	enum MHD_Result r;

	http->stats.n_refused++;
	response = MHD_create_response_from_buffer(sizeof(text) - 1, text,
						   MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", "text/plain");
	(void)MHD_add_response_header(response, "Connection", "close");
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	if (allow)
		(void)MHD_add_response_header(response, "Allow", allow);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

/* NULL: *status says why not; *allow: a method that the path has. */
static const struct cp_http_route *
find_route(const struct cp_http *http, const char *method, const char *path,
	   unsigned int *status, const char **allow)
{
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	*status = MHD_HTTP_NOT_FOUND;
	for (size_t i = 0; i < http->options.n_routes; i++) {
		const struct cp_http_route *route = &http->options.routes[i];

		if (strcmp(route->path, path) != 0)
			continue;
		if (strcmp(route->method, method) == 0)
			return route;
		*status = MHD_HTTP_METHOD_NOT_ALLOWED;
		*allow = strcmp(route->method, "GET") == 0 ? "GET, HEAD" :
							     route->method;
	}
	return NULL;
}

static enum MHD_Result check_header(void *userdata, enum MHD_ValueKind kind,
				    const char *key, const char *value)
{
	(void)kind;
	cp_http_check_header(userdata, key, value);
	return MHD_YES;
}

static struct connection *connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* The head of a request has come. */
static enum MHD_Result begin(struct cp_http *http,
			     struct MHD_Connection *connection,
			     const char *path, const char *method,
			     const char *version, void **context)
{
	struct cp_http_check check = { 0 };
	const struct cp_http_route *route;
	struct cp_http_call *call;
	const char *allow = NULL;
	unsigned int status;

	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND,
					check_header, &check);
	status = cp_http_check_done(&check, version, path);
	if (status)
		return refuse(http, connection, status, NULL);
	route = find_route(http, method, path, &status, &allow);
	if (!route)
		return refuse(http, connection, status, allow);
	if (check.length > route->body_max ||
	    (cp_http_check_has_body(&check) && route->body_max == 0))
		return refuse(http, connection, MHD_HTTP_CONTENT_TOO_LARGE,
			      NULL);
	call = calloc(1, sizeof(*call));
	if (!call)
		return MHD_NO;
	call->http = http;
	call->connection = connection;
	call->of = connection_of(connection);
	call->route = route;
	call->by_library = true;
	*context = call;
	return MHD_YES;
}

/* Takes what came of the body. False: it is too large, or no memory. */
static bool take_body(struct cp_http_call *call, const char *data, size_t size)
{
	size_t capacity = call->capacity ? call->capacity : BODY_BYTES_FIRST;
	char *body;

	if (size > call->route->body_max - call->size)
		return false;
	while (capacity < call->size + size)
		capacity *= 2;
	if (capacity != call->capacity) {
		body = realloc(call->body, capacity);
		if (!body)
			return false;
		call->body = body;
		call->capacity = capacity;
	}
	(void)memcpy(call->body + call->size, data, size);
	call->size += size;
	return true;
}

/* Others may be waiting for a place. */
static bool is_crowded(const struct cp_http *http)
{
	return http->stats.n_connections >= http->options.connections_max;
}

static enum MHD_Result send_response(struct cp_http_call *call)
{
	if (call->of) {
		call->of->is_waiting = false;
		call->of->is_answered = true;
		move_to_tail(call->of);
	}
	/* Those who stay connected make room as well. */
	if (is_crowded(call->http))
		(void)MHD_add_response_header(call->response, "Connection",
					      "close");
	return MHD_queue_response(call->connection, call->status,
				  call->response);
}

static enum MHD_Result dispatch(struct cp_http *http, struct cp_http_call *call)
{
	if (call->response)
		return send_response(call);
	if (call->is_dispatched)
		return MHD_NO; /* closed, or no memory for an answer */
	call->is_dispatched = true;
	http->stats.n_requests++;
	call->by_route = true;
	LIST_INSERT_HEAD(&http->waiting, call, entry);
	if (call->of)
		call->of->is_waiting = true;
	call->route->fn(http->options.userdata, call);
	if (call->response)
		return send_response(call);
	if (!call->by_route)
		return MHD_NO;
	call->is_suspended = true;
	MHD_suspend_connection(call->connection);
	return MHD_YES;
}

static enum MHD_Result access_handler(void *userdata,
				      struct MHD_Connection *connection,
				      const char *path, const char *method,
				      const char *version, const char *data,
				      size_t *size, void **context)
{
	struct cp_http *http = userdata;
	struct cp_http_call *call = *context;

	if (!call)
		return begin(http, connection, path, method, version, context);
	if (*size == 0)
		return dispatch(http, call);
	if (!take_body(call, data, *size))
		return MHD_NO; /* in the midst of a body only the cut is left */
	*size = 0;
	return MHD_YES;
}

static void request_completed(void *userdata, struct MHD_Connection *connection,
			      void **context,
			      enum MHD_RequestTerminationCode why)
{
	struct cp_http_call *call = *context;
	struct connection *of = connection_of(connection);

	(void)userdata;
	(void)why;
	if (of) {
		of->is_waiting = false;
		of->is_answered = false;
		move_to_tail(of);
	}
	if (!call)
		return;
	*context = NULL;
	call->by_library = false;
	call->of = NULL;
	free_call(call);
}

static void connection_changed(void *userdata,
			       struct MHD_Connection *connection,
			       void **context,
			       enum MHD_ConnectionNotificationCode code)
{
	struct cp_http *http = userdata;
	struct connection *ours = *context;
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (!ours)
			return;
		TAILQ_REMOVE(&http->connections, ours, entry);
		http->has_ended = true;
		http->stats.n_connections--;
		*context = NULL;
		free(ours);
		return;
	}
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	ours = info ? calloc(1, sizeof(*ours)) : NULL;
	if (!ours) {
		/* What is not watched could stay for ever. */
		if (info)
			(void)shutdown(info->connect_fd, SHUT_RDWR);
		return;
	}
	ours->http = http;
	ours->fd = info->connect_fd;
	ours->since_ms = now_ms(http);
	ours->moved_ms = ours->since_ms;
	TAILQ_INSERT_TAIL(&http->connections, ours, entry);
	http->stats.n_connections++;
	*context = ours;
}

/* Paths and queries stay as they were sent: what is escaped is no route. */
static size_t keep_escaped(void *userdata, struct MHD_Connection *connection,
			   char *text)
{
	(void)userdata;
	(void)connection;
	return strlen(text);
}

static void run(struct cp_http *http)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	if (!http->daemon)
		return;
	http->has_ended = false;
	(void)MHD_run(http->daemon);
	/* At its limit the library does not look at the listener, and begins to
	 * again in the turn behind the one in which a place became free. */
	if (http->has_ended)
		kick(http);
	else if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
		(void)uv_timer_start(&http->run_timer, on_run_timer, ms, 0);
	else
		(void)uv_timer_stop(&http->run_timer);
}

static void on_run_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static struct MHD_Daemon *start_daemon(struct cp_http *http, int fd)
{
	const struct cp_http_options *options = &http->options;

	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
			(options->address.storage.ss_family == AF_INET6 ?
				 MHD_USE_IPv6 :
				 0),
		0, NULL, NULL, access_handler, http, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)options->connections_max,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CP_HTTP_HEAD_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
		request_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
		connection_changed, http, MHD_OPTION_UNESCAPE_CALLBACK,
		keep_escaped, NULL, MHD_OPTION_END);
}

static int watch(struct cp_http *http)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r;

	if (!info)
		return -ENOTSUP;
	r = uv_poll_init(http->options.loop, &http->poll, info->epoll_fd);
	if (r < 0)
		return r;
	http->poll.data = http;
	http->has_poll = true;
	http->n_handles++;
	return uv_poll_start(&http->poll, UV_READABLE, on_poll);
}

static int listen_now(struct cp_http *http)
{
	int fd, r;

	fd = cp_http_address_listen(&http->options.address, BACKLOG);
	if (fd < 0)
		return fd;
	http->daemon = start_daemon(http, fd);
	if (!http->daemon) {
		(void)close(fd);
		return -ENOMEM;
	}
	r = watch(http);
	if (r < 0) {
		MHD_stop_daemon(http->daemon);
		http->daemon = NULL;
		return r;
	}
	kick(http);
	return 0;
}

/* Until it listens. */
static void try_to_listen(struct cp_http *http)
{
	int r = listen_now(http);

	http->tried_ms = now_ms(http);
	if (r == 0)
		sn_log(SN_LOG_INFO, "http-listening name=%s",
		       http->options.name);
	else if (r != http->told)
		sn_log(SN_LOG_WARNING,
		       "http-listener name=%s error='%s': tried again",
		       http->options.name, strerror(-r));
	http->told = r;
}

static bool is_overdue(const struct connection *connection)
{
	const struct cp_http *http = connection->http;
	uint64_t under_way_ms = now_ms(http) - connection->since_ms;

	if (under_way_ms >= http->options.request_ms)
		return true;
	return is_crowded(http) &&
	       (under_way_ms >= CROWDED_MS ||
		now_ms(http) - connection->moved_ms >= STILL_MS);
}

static void sweep(uv_timer_t *timer)
{
	struct cp_http *http = timer->data;
	struct connection *connection;
	bool has_cut = false;

	if (!http->daemon && !http->has_poll &&
	    now_ms(http) - http->tried_ms >= CP_HTTP_RETRY_MS)
		try_to_listen(http);
	TAILQ_FOREACH(connection, &http->connections, entry)
	{
		if (connection->is_waiting || connection->is_cut ||
		    !is_overdue(connection))
			continue;
		cut(connection);
		has_cut = true;
	}
	if (has_cut)
		kick(http);
}

int cp_http_new(struct cp_http **ret, const struct cp_http_options *options)
{
	struct cp_http *http = calloc(1, sizeof(*http));

	if (!http)
		return -ENOMEM;
	http->options = *options;
	if (http->options.request_ms == 0)
		http->options.request_ms = CP_HTTP_REQUEST_MS;
	TAILQ_INIT(&http->connections);
	LIST_INIT(&http->waiting);
	(void)uv_timer_init(options->loop, &http->run_timer);
	(void)uv_timer_init(options->loop, &http->sweep_timer);
	http->run_timer.data = http;
	http->sweep_timer.data = http;
	http->n_handles = 2;
	try_to_listen(http);
	(void)uv_timer_start(&http->sweep_timer, sweep, SWEEP_MS, SWEEP_MS);
	*ret = http;
	return 0;
}

static void handle_closed(uv_handle_t *handle)
{
	struct cp_http *http = handle->data;

	if (--http->n_handles > 0)
		return;
	if (http->closed)
		http->closed(http->closed_userdata);
	free(http);
}

/* The library wants nobody to be suspended when it stops. */
static void let_go(struct cp_http *http)
{
	struct cp_http_call *call;

	while ((call = LIST_FIRST(&http->waiting))) {
		LIST_REMOVE(call, entry);
		call->http = NULL;
		if (call->is_suspended)
			MHD_resume_connection(call->connection);
		call->is_suspended = false;
	}
}

void cp_http_close(struct cp_http *http, void (*closed)(void *userdata),
		   void *userdata)
{
	http->is_closing = true;
	http->closed = closed;
	http->closed_userdata = userdata;
	if (http->has_poll)
		uv_close((uv_handle_t *)&http->poll, handle_closed);
	uv_close((uv_handle_t *)&http->run_timer, handle_closed);
	uv_close((uv_handle_t *)&http->sweep_timer, handle_closed);
	let_go(http);
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
}

void cp_http_get_stats(const struct cp_http *http, struct cp_http_stats *ret)
{
	*ret = http->stats;
	ret->is_listening = http->daemon != NULL;
}

bool cp_http_cut_slowest(struct cp_http *http)
{
	struct connection *connection;

	TAILQ_FOREACH(connection, &http->connections, entry)
	{
		if (!connection->is_answered || connection->is_cut)
			continue;
		cut(connection);
		kick(http);
		return true;
	}
	return false;
}

const void *cp_http_call_get_body(const struct cp_http_call *call, size_t *size)
{
	*size = call->size;
	return call->size ? call->body : NULL;
}

/* Takes the response; NULL: no memory, the connection is cut. */
static void reply(struct cp_http_call *call, unsigned int status,
		  const char *type, struct MHD_Response *response)
{
	assert(call->by_route && !call->response);
	call->by_route = false;
	call->response = response;
	call->status = status;
	if (response) {
		(void)MHD_add_response_header(response, "Content-Type", type);
		(void)MHD_add_response_header(response, "Cache-Control",
					      "no-store");
		(void)MHD_add_response_header(
			response, "X-Content-Type-Options", "nosniff");
	}
	if (call->http) {
		LIST_REMOVE(call, entry);
		if (!response && call->of)
			cut(call->of);
		if (call->is_suspended) {
			call->is_suspended = false;
			MHD_resume_connection(call->connection);
			kick(call->http);
		}
	}
	free_call(call);
}

void cp_http_call_reply(struct cp_http_call *call, unsigned int status,
			const char *type, const void *body, size_t size)
{
	void *copy;

	/* The library only reads what it copies. */
	(void)memcpy(&copy, &body, sizeof(copy));
	reply(call, status, type,
	      MHD_create_response_from_buffer(size, copy,
					      MHD_RESPMEM_MUST_COPY));
}

/* As given by the route, and whose answer it is. */
struct source {
	struct cp_http_source given;
	struct cp_http_call *call;
};

static ssize_t read_source(void *userdata, uint64_t at, char *to, size_t n)
{
	const struct source *source = userdata;
	struct connection *of = source->call->of;
	size_t got;

	if (of)
		of->moved_ms = now_ms(of->http);

	if (at >= source->given.size)
		return MHD_CONTENT_READER_END_OF_STREAM;
	got = source->given.read(source->given.userdata, at, to,
				 (size_t)SN_MIN((uint64_t)n,
						source->given.size - at));
	return got > 0 ? (ssize_t)got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void release_source(void *userdata)
{
	struct source *source = userdata;

	source->given.release(source->given.userdata);
	free(source);
}

void cp_http_call_reply_source(struct cp_http_call *call, unsigned int status,
			       const char *type,
			       const struct cp_http_source *source)
{
	struct source *copy = malloc(sizeof(*copy));
	struct MHD_Response *response = NULL;

	if (copy) {
		copy->given = *source;
		copy->call = call;
		response = MHD_create_response_from_callback(source->size,
							     CP_HTTP_PART_BYTES,
							     read_source, copy,
							     release_source);
	}
	if (!response) {
		free(copy);
		source->release(source->userdata);
	}
	reply(call, status, type, response);
}
