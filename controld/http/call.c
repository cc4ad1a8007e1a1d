/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/http/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controld/http/check.h"
#include "controld/http/internal.h"
#include "shared/util.h"

enum { BODY_BYTES_FIRST = 4096 };

static void free_call(struct cp_http_call *call)
{
	if (call->by_library || call->by_route || call->by_source)
		return;
	if (call->response)
		MHD_destroy_response(call->response);
	if (call->free_data)
		call->free_data(call->data);
	free(call->body);
	free(call);
}

static void count_answer(struct cp_http *http, unsigned int status)
{
	http->stats.n_answers[SN_MIN(status / 100, CP_HTTP_CLASSES - 1U)]++;
}

/* What every answer has. */
static void put_headers(struct MHD_Response *response, const char *type)
{
	(void)MHD_add_response_header(response, "Content-Type", type);
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	(void)MHD_add_response_header(response, "X-Content-Type-Options",
				      "nosniff");
}

static void put_own_headers(struct MHD_Response *response,
			    const struct cp_http_call *call)
{
	for (size_t i = 0; i < call->n_headers; i++) {
		const char *name = call->headers[i].name;

		if (strcmp(name, "Cache-Control") == 0)
			(void)MHD_del_response_header(response, name,
						      "no-store");
		(void)MHD_add_response_header(response, name,
					      call->headers[i].value);
	}
}

/* Refusals are answered at once, and nothing more is read. */
static enum MHD_Result refuse(struct cp_http *http,
			      struct MHD_Connection *connection,
			      const struct cp_http_call *call,
			      unsigned int status, const char *reason,
			      const char *allow)
{
	char text[CP_HTTP_REFUSAL_BYTES] = "refused\n";
	const char *type = "text/plain";
	struct MHD_Response *response;
	enum MHD_Result r;

	http->stats.n_refused++;
	count_answer(http, status);
	if (http->options.put_refusal) {
		http->options.put_refusal(status, reason, text, sizeof(text));
		type = http->options.refusal_type;
	}
	response = MHD_create_response_from_buffer(strlen(text), text,
						   MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	put_headers(response, type);
	put_own_headers(response, call);
	(void)MHD_add_response_header(response, "Connection", "close");
	if (allow)
		(void)MHD_add_response_header(response, "Allow", allow);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

/* NULL: *status says why not; *allow: the methods that the path has. */
static const struct cp_http_route *
find_route(const struct cp_http *http, const char *method, const char *path,
	   unsigned int *status, const char **allow)
{
	bool has_get = false, has_post = false;

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
		has_get |= strcmp(route->method, "GET") == 0;
		has_post |= strcmp(route->method, "POST") == 0;
	}
	*allow = has_get && has_post ? "GET, HEAD, POST" :
		 has_get	     ? "GET, HEAD" :
		 has_post	     ? "POST" :
				       NULL;
	return NULL;
}

static enum MHD_Result check_header(void *userdata, enum MHD_ValueKind kind,
				    const char *key, const char *value)
{
	(void)kind;
	cp_http_check_header(userdata, key, value);
	cp_http_check_place(userdata, key, value);
	return MHD_YES;
}

static void check_head(struct MHD_Connection *connection, const char *path,
		       const char *method, const char *version,
		       struct cp_http_check *check)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	bool has_query = MHD_get_connection_values(connection,
						   MHD_GET_ARGUMENT_KIND, NULL,
						   NULL) > 0;

	cp_http_check_line(check, method, path, has_query, version);
	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND,
					check_header, check);
	cp_http_check_end(check, method, info ? info->header_size : 0);
}

static struct cp_http_connection *
connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* Is there a route, and does it take such a body? 0, or the status. */
static unsigned int find(const struct cp_http *http, struct cp_http_call *call,
			 const struct cp_http_check *check, const char *path,
			 const char *method, const char *version,
			 const char **allow)
{
	unsigned int status = cp_http_check_done(check, version, path);

	if (status)
		return status;
	call->route = find_route(http, method, path, &status, allow);
	if (!call->route)
		return status;
	if (check->length > call->route->body_max ||
	    (cp_http_check_has_body(check) && call->route->body_max == 0))
		return MHD_HTTP_CONTENT_TOO_LARGE;
	return 0;
}

/* The head of a request has come. */
static enum MHD_Result begin(struct cp_http *http,
			     struct MHD_Connection *connection,
			     const char *path, const char *method,
			     const char *version, void **context)
{
	const struct cp_http_options *options = &http->options;
	struct cp_http_check check = { 0 };
	struct cp_http_call *call;
	const char *allow = NULL, *reason = NULL;
	enum MHD_Result r = MHD_YES;
	unsigned int status;

	call = calloc(1, sizeof(*call));
	if (!call)
		return MHD_NO;
	call->http = http;
	call->connection = connection;
	call->of = connection_of(connection);
	check_head(connection, path, method, version, &check);
	status = find(http, call, &check, path, method, version, &allow);
	if (!status && options->guard)
		status = options->guard(options->userdata, call, &reason);
	if (status) {
		r = refuse(http, connection, call, status, reason, allow);
		free_call(call);
		return r;
	}
	call->by_library = true;
	*context = call;
	return MHD_YES;
}

/* Takes what came of the body. One that says its size as it goes may become too
 * large, and is told so at its end. False: no memory. */
static bool take_body(struct cp_http_call *call, const char *data, size_t size)
{
	size_t capacity = call->capacity ? call->capacity : BODY_BYTES_FIRST;
	char *body;

	if (size > call->route->body_max - call->size)
		call->is_too_large = true;
	if (call->is_too_large)
		return true;
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

static enum MHD_Result send_response(struct cp_http_call *call)
{
	if (call->of) {
		call->of->is_waiting = false;
		call->of->is_answered = true;
		cp_http_move(call->of);
	}
	/* Those who stay connected make room as well. */
	if (cp_http_is_crowded(call->http))
		(void)MHD_add_response_header(call->response, "Connection",
					      "close");
	count_answer(call->http, call->status);
	return MHD_queue_response(call->connection, call->status,
				  call->response);
}

static enum MHD_Result dispatch(struct cp_http *http, struct cp_http_call *call)
{
	if (call->response)
		return send_response(call);
	if (call->is_too_large)
		return refuse(http, call->connection, call,
			      MHD_HTTP_CONTENT_TOO_LARGE, NULL, NULL);
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

enum MHD_Result cp_http_call_access(void *userdata,
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
		return MHD_NO;
	*size = 0;
	return MHD_YES;
}

void cp_http_call_completed(void *userdata, struct MHD_Connection *connection,
			    void **context, enum MHD_RequestTerminationCode why)
{
	struct cp_http_call *call = *context;
	struct cp_http_connection *of = connection_of(connection);

	(void)userdata;
	(void)why;
	if (of) {
		of->is_waiting = false;
		of->is_answered = false;
		of->is_stream = false;
		cp_http_move(of);
	}
	if (!call)
		return;
	*context = NULL;
	call->by_library = false;
	call->of = NULL;
	call->connection = NULL;
	if (call->by_source && call->http) {
		LIST_REMOVE(call, entry);
		call->http->stats.n_streams--;
	}
	/* The library's own reference is the last one then. */
	if (call->response)
		MHD_destroy_response(sn_steal(&call->response));
	free_call(call);
}

const void *cp_http_call_get_body(const struct cp_http_call *call, size_t *size)
{
	*size = call->size;
	return call->size ? call->body : NULL;
}

const struct cp_http_route *
cp_http_call_get_route(const struct cp_http_call *call)
{
	return call->route;
}

const char *cp_http_call_get_header(const struct cp_http_call *call,
				    const char *name)
{
	if (!call->connection)
		return NULL;
	return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND,
					   name);
}

struct visitor {
	bool (*visit)(void *userdata, const char *key, const char *value);
	void *userdata;
};

static enum MHD_Result visit_one(void *userdata, enum MHD_ValueKind kind,
				 const char *key, const char *value)
{
	const struct visitor *visitor = userdata;

	(void)kind;
	return visitor->visit(visitor->userdata, key, value) ? MHD_YES : MHD_NO;
}

void cp_http_call_visit_query(const struct cp_http_call *call,
			      bool (*visit)(void *userdata, const char *key,
					    const char *value),
			      void *userdata)
{
	struct visitor visitor = { visit, userdata };

	if (call->connection)
		(void)MHD_get_connection_values(call->connection,
						MHD_GET_ARGUMENT_KIND,
						visit_one, &visitor);
}

int cp_http_call_get_socket(const struct cp_http_call *call)
{
	return call->of ? call->of->fd : -1;
}

void *cp_http_call_get_tls(const struct cp_http_call *call)
{
	const union MHD_ConnectionInfo *info = NULL;

	if (call->connection && call->http->options.tls)
		info = MHD_get_connection_info(
			call->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info ? info->tls_session : NULL;
}

void cp_http_call_set_data(struct cp_http_call *call, void *data,
			   void (*free_data)(void *data))
{
	if (call->free_data)
		call->free_data(call->data);
	call->data = data;
	call->free_data = free_data;
}

void *cp_http_call_get_data(const struct cp_http_call *call)
{
	return call->data;
}

void cp_http_call_add_header(struct cp_http_call *call, const char *name,
			     const char *value)
{
	assert(call->n_headers < CP_HTTP_CALL_HEADERS_MAX);
	call->headers[call->n_headers].name = name;
	call->headers[call->n_headers++].value = value;
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
		put_headers(response, type);
		put_own_headers(response, call);
	}
	if (call->http) {
		LIST_REMOVE(call, entry);
		if (!response && call->of)
			cp_http_cut(call->of);
		if (call->is_suspended) {
			call->is_suspended = false;
			MHD_resume_connection(call->connection);
			cp_http_kick(call->http);
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
	struct cp_http_connection *of = source->call->of;
	size_t got;

	if (of)
		of->moved_ms = uv_now(of->http->options.loop);

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

/* Streams. */

static ssize_t read_stream(void *userdata, uint64_t at, char *to, size_t n)
{
	const struct source *source = userdata;
	struct cp_http_call *call = source->call;
	size_t got;

	if (call->of)
		call->of->moved_ms = uv_now(call->of->http->options.loop);
	if (!call->of || call->of->is_cut)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	got = source->given.read(source->given.userdata, at, to, n);
	if (got == CP_HTTP_CALL_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (got == CP_HTTP_CALL_WAIT && call->http) {
		call->is_suspended = true;
		MHD_suspend_connection(call->connection);
	}
	return (ssize_t)got;
}

static void release_stream(void *userdata)
{
	struct source *source = userdata;
	struct cp_http_call *call = source->call;

	source->given.release(source->given.userdata);
	free(source);
	call->by_source = false;
	free_call(call);
}

void cp_http_call_reply_stream(struct cp_http_call *call, const char *type,
			       const struct cp_http_source *source)
{
	struct source *copy = malloc(sizeof(*copy));
	struct MHD_Response *response = NULL;

	if (copy && call->http && call->by_library) {
		copy->given = *source;
		copy->call = call;
		response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, CP_HTTP_STREAM_PART_BYTES,
			read_stream, copy, release_stream);
	}
	if (!response) {
		free(copy);
		source->release(source->userdata);
		reply(call, MHD_HTTP_OK, type, NULL);
		return;
	}
	call->by_source = true;
	reply(call, MHD_HTTP_OK, type, response);
	LIST_INSERT_HEAD(&call->http->streams, call, entry);
	call->http->stats.n_streams++;
	if (call->of)
		call->of->is_stream = true;
}

void cp_http_call_wake(struct cp_http_call *call)
{
	if (!call->http || !call->connection || !call->is_suspended)
		return;
	call->is_suspended = false;
	MHD_resume_connection(call->connection);
	cp_http_kick(call->http);
}
