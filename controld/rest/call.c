/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/call.h"

#include <assert.h>
#include <grpc/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rest/answer.h"
#include "controld/rest/internal.h"
#include "controld/rest/query.h"
#include "controld/rest/remote.h"
#include "controld/rpc/json_read.h"
#include "controld/rpc/message.h"
#include "controld/rpc/status.h"
#include "shared/util.h"

#define STREAM_TYPE "text/event-stream"
/* How long a browser waits before it takes the stream up again. */
#define STREAM_BEGIN "retry: 2000\n\n"
#define STREAM_PULSE ":\n\n"

/* Freed when neither the handler nor the answer's reader needs it. */
struct cp_rest_call {
	LIST_ENTRY(cp_rest_call) link;
	struct cp_rpc_call base;
	struct cp_rest *rest;
	struct cp_http_call *http; /* NULL: answered, or (streams) gone */
	struct cp_rest_caller caller;
	/* Callbacks that are running; the call is not freed under them. */
	unsigned int depth;
	bool is_stream;
	bool is_reading; /* streams: the answer has begun */
	bool is_ended; /* the handler is done with it */
	bool is_sending; /* a message of the handler's is in `out` */
	char *out;
	size_t out_size;
	size_t out_at;
};

static struct cp_rest_call *of(struct cp_rpc_call *base)
{
	return sn_container_of(base, struct cp_rest_call, base);
}

static void free_if_done(struct cp_rest_call *call)
{
	if (call->depth || !call->is_ended || call->http)
		return;
	LIST_REMOVE(call, link);
	(void)cp_rpc_message_free(call->base.message);
	free(call->out);
	free(call);
}

static void begin_callback(struct cp_rest_call *call)
{
	call->depth++;
}

static void end_callback(struct cp_rest_call *call)
{
	call->depth--;
	call->base.message = cp_rpc_message_free(call->base.message);
	free_if_done(call);
}

static void cancel(struct cp_rest_call *call)
{
	if (call->is_ended)
		return;
	call->is_ended = true;
	if (call->base.method->on_cancel)
		call->base.method->on_cancel(&call->base,
					     call->rest->options.user);
}

/* What a stream's reader is to get. */

static int append(struct cp_rest_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int append(struct cp_rest_call *call, const char *format, ...)
{
	size_t left = call->out_size - call->out_at;
	char *text, *grown;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		return sn_trace(-ENOMEM);
	grown = malloc(left + (size_t)n + 1);
	if (grown) {
		if (left > 0)
			(void)memcpy(grown, call->out + call->out_at, left);
		(void)memcpy(grown + left, text, (size_t)n);
		free(call->out);
		call->out = grown;
		call->out_at = 0;
		call->out_size = left + (size_t)n;
	}
	free(text);
	return grown ? 0 : sn_trace(-ENOMEM);
}

static void wake(struct cp_rest_call *call)
{
	if (call->http && call->is_reading)
		cp_http_call_wake(call->http);
}

/* Copies what there is, and has the handler make more when all of it is gone. */
static size_t read_out(void *userdata, uint64_t at, char *to, size_t n)
{
	struct cp_rest_call *call = userdata;
	size_t part;

	(void)at;
	begin_callback(call);
	if (call->out_at == call->out_size && call->is_sending) {
		call->is_sending = false;
		if (!call->is_ended && call->base.method->on_writable)
			call->base.method->on_writable(
				&call->base, call->rest->options.user);
	}
	part = SN_MIN(n, call->out_size - call->out_at);
	if (part > 0)
		(void)memcpy(to, call->out + call->out_at, part);
	call->out_at += part;
	if (part == 0 && call->is_ended)
		part = CP_HTTP_CALL_END;
	end_callback(call);
	return part;
}

/* The reader has all of it, or went away. */
static void release(void *userdata)
{
	struct cp_rest_call *call = userdata;

	begin_callback(call);
	call->http = NULL;
	cancel(call);
	end_callback(call);
}

static void begin_stream(struct cp_rest_call *call)
{
	struct cp_http_source source = {
		.read = read_out,
		.release = release,
		.userdata = call,
	};

	call->is_reading = true;
	cp_http_call_reply_stream(call->http, STREAM_TYPE, &source);
}

/* The transport. */

static void reply(struct cp_rpc_call *base, const ProtobufCMessage *message)
{
	struct cp_rest_call *call = of(base);

	assert(!call->is_ended);
	call->is_ended = true;
	cp_rest_answer_message(sn_steal(&call->http), message);
	free_if_done(call);
}

static void fail(struct cp_rpc_call *base, int code, const char *text)
{
	struct cp_rest_call *call = of(base);
	char error[CP_REST_ANSWER_ERROR_BYTES];

	assert(!call->is_ended);
	call->is_ended = true;
	if (!call->is_reading) {
		cp_rest_answer_fail(sn_steal(&call->http), code, text);
	} else {
		(void)cp_rest_answer_print_error(cp_rpc_status_name(code), text,
						 error, sizeof(error));
		(void)append(call, "event: error\ndata: %s\n\n", error);
		wake(call);
	}
	free_if_done(call);
}

/* The field of a message by which a stream is taken up again. */
static const char *get_cursor(const struct cp_rpc_method *method,
			      const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *field;

	if (!method->cursor)
		return "";
	field = protobuf_c_message_descriptor_get_field_by_name(
		message->descriptor, method->cursor);
	assert(field && field->type == PROTOBUF_C_TYPE_STRING);
	return *(char *const *)(const void *)((const char *)message +
					      field->offset);
}

static int send_one(struct cp_rpc_call *base, const ProtobufCMessage *message)
{
	struct cp_rest_call *call = of(base);
	sn_cleanup(sn_freep) char *text = NULL;
	const char *cursor = get_cursor(base->method, message);
	int r;

	assert(!call->is_ended);
	if (call->is_sending)
		return CP_RPC_CALL_E_BUSY;
	r = cp_rest_answer_print(message, &text);
	if (r == 0)
		r = append(call, "%s%s%sdata: %s\n\n", cursor[0] ? "id: " : "",
			   cursor, cursor[0] ? "\n" : "", text);
	if (r < 0)
		return r;
	call->is_sending = true;
	wake(call);
	return 0;
}

static void finish(struct cp_rpc_call *base)
{
	struct cp_rest_call *call = of(base);

	assert(!call->is_ended);
	call->is_ended = true;
	wake(call);
	free_if_done(call);
}

static const struct cp_rpc_transport transport = {
	.reply = reply,
	.fail = fail,
	.send = send_one,
	.finish = finish,
};

/* Requests. */

static bool has_one(void *userdata, const char *key, const char *value)
{
	bool *has = userdata;

	(void)key;
	(void)value;
	*has = true;
	return false;
}

static int read_query(const struct cp_http_call *http,
		      const ProtobufCMessageDescriptor *type,
		      ProtobufCMessage **ret, struct sn_diag *diag)
{
	json_t *value = NULL;
	int r = cp_rest_query_read(http, type, &value, diag);

	if (r == 0)
		r = cp_rpc_json_read_value(type, value, ret, diag);
	json_decref(value);
	return r;
}

/* Positive answers have diag filled. */
static int read_request(const struct cp_http_call *http,
			const struct cp_rpc_method *method,
			ProtobufCMessage **ret, struct sn_diag *diag)
{
	bool has_query = false;
	const char *body;
	size_t size;

	if (strcmp(cp_http_call_get_route(http)->method, "GET") == 0)
		return read_query(http, method->request, ret, diag);
	cp_http_call_visit_query(http, has_one, &has_query);
	if (has_query) {
		sn_diag_set(diag, NULL,
			    "the request belongs into the body, not into a "
			    "query");
		return CP_RPC_JSON_READ_E_INVALID;
	}
	body = cp_http_call_get_body(http, &size);
	return cp_rpc_json_read_text(method->request, body, size, ret, diag);
}

/* What a browser says when it takes a stream up again; a position that the
 * request states comes first. */
static int resume(const struct cp_rpc_method *method,
		  const struct cp_http_call *http, ProtobufCMessage *message)
{
	const char *last = cp_http_call_get_header(http, "Last-Event-ID");
	const ProtobufCFieldDescriptor *field;
	char **at, *copy;

	if (!method->resume || !last || !last[0])
		return 0;
	field = protobuf_c_message_descriptor_get_field_by_name(
		message->descriptor, method->resume);
	assert(field && field->type == PROTOBUF_C_TYPE_STRING);
	at = (char **)(void *)((char *)message + field->offset);
	if ((*at)[0])
		return 0;
	copy = strdup(last);
	if (!copy)
		return sn_trace(-ENOMEM);
	/* An empty string is the descriptor's constant, not memory. */
	if (*at != field->default_value && *at != protobuf_c_empty_string)
		free(*at);
	*at = copy;
	return 0;
}

static size_t count_streams(const struct cp_rest *rest, const char *name)
{
	const struct cp_rest_call *call;
	size_t n = 0;

	LIST_FOREACH(call, &rest->calls, link) {
		n += call->is_stream && call->http &&
		     strcmp(call->caller.name, name) == 0;
	}
	return n;
}

/* For one more stream; *text says why not. Streams leave half of the connections
 * to others, and of who is no admin half of them, and most of what the handlers
 * have room for, to other callers. Looked at when a stream begins: judged by
 * their heads, many could pass before the body of one came. */
static bool has_place(const struct cp_rest_listener *listener,
		      const struct cp_rest_caller *caller, const char **text)
{
	size_t max = listener->rest->options.connections_max / 2;
	struct cp_http_stats stats;

	cp_http_get_stats(listener->http, &stats);
	*text = "as many streams are open as may be";
	if (stats.n_streams >= max)
		return false;
	*text = "the caller has as many streams as it may have";
	max = SN_MIN(SN_MAX(max / 2, (size_t)1),
		     (size_t)CP_REST_STREAMS_PER_CALLER);
	return caller->role == CP_RPC_ROLE_ADMIN ||
	       count_streams(listener->rest, caller->name) < max;
}

static struct cp_rest_call *new_call(struct cp_rest_listener *listener,
				     struct cp_http_call *http,
				     const struct cp_rpc_method *method)
{
	struct cp_rest_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->base.transport = &transport;
	call->base.method = method;
	(void)memcpy(&call->caller, cp_http_call_get_data(http),
		     sizeof(call->caller));
	call->base.peer = call->caller.peer;
	call->base.name = call->caller.name[0] ? call->caller.name : NULL;
	call->rest = listener->rest;
	call->http = http;
	call->is_stream = method->kind == CP_RPC_KIND_SERVER_STREAM;
	LIST_INSERT_HEAD(&call->rest->calls, call, link);
	return call;
}

static void start(struct cp_rest_call *call)
{
	begin_callback(call);
	if (call->is_stream && append(call, STREAM_BEGIN) < 0)
		fail(&call->base, GRPC_STATUS_RESOURCE_EXHAUSTED,
		     "out of memory");
	else
		call->base.method->on_call(&call->base, call->base.message,
					   call->rest->options.user);
	if (call->is_stream && call->http)
		begin_stream(call);
	end_callback(call);
}

void cp_rest_call_begin(void *userdata, struct cp_http_call *http)
{
	struct cp_rest_listener *listener = userdata;
	struct cp_rest *rest = listener->rest;
	const struct cp_rpc_method *method =
		rest->targets[cp_http_call_get_route(http) - rest->routes]
			.method;
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	struct cp_rest_call *call = NULL;
	struct sn_diag diag = { 0 };
	const char *text;
	int r = read_request(http, method, &message, &diag);

	if (r > 0) {
		cp_rest_answer_refuse(http, &diag);
		return;
	}
	if (method->kind == CP_RPC_KIND_SERVER_STREAM &&
	    !has_place(listener, cp_http_call_get_data(http), &text)) {
		cp_rest_answer_fail(http, GRPC_STATUS_RESOURCE_EXHAUSTED, text);
		return;
	}
	if (r == 0)
		r = resume(method, http, message);
	if (r == 0)
		call = new_call(listener, http, method);
	if (!call) {
		cp_rest_answer_fail(http, GRPC_STATUS_RESOURCE_EXHAUSTED,
				    "out of memory");
		return;
	}
	call->base.message = sn_steal(&message);
	start(call);
}

void cp_rest_call_pulse(struct cp_rest *rest)
{
	struct cp_rest_call *call;

	LIST_FOREACH(call, &rest->calls, link) {
		if (!call->is_reading || call->out_at < call->out_size)
			continue;
		(void)append(call, STREAM_PULSE);
		wake(call);
	}
}

/* Takes it from its handler. */
static void end_one(struct cp_rest_call *call, int code, const char *text)
{
	begin_callback(call);
	cancel(call);
	call->is_ended = false;
	fail(&call->base, code, text);
	end_callback(call);
}

void cp_rest_call_look_again(struct cp_rest *rest)
{
	struct cp_rest_call *call, *next;

	for (call = LIST_FIRST(&rest->calls); call; call = next) {
		next = LIST_NEXT(call, link);
		if (!call->is_ended && call->is_stream &&
		    !cp_rest_remote_may_go_on(rest, &call->caller,
					      call->base.method))
			end_one(call, GRPC_STATUS_UNAUTHENTICATED,
				"the credential is not good any more");
	}
}

static void end_all(struct cp_rest *rest, bool streams_only)
{
	struct cp_rest_call *call, *next;

	for (call = LIST_FIRST(&rest->calls); call; call = next) {
		next = LIST_NEXT(call, link);
		if (!call->is_ended && (!streams_only || call->is_stream))
			end_one(call, GRPC_STATUS_UNAVAILABLE,
				"sentinel-cp is stopping");
	}
}

bool cp_rest_call_is_idle(const struct cp_rest *rest)
{
	const struct cp_rest_call *call;

	LIST_FOREACH(call, &rest->calls, link) {
		if (!call->is_ended)
			return false;
	}
	return true;
}

void cp_rest_call_cancel_streams(struct cp_rest *rest)
{
	end_all(rest, true);
}

void cp_rest_call_cancel_all(struct cp_rest *rest)
{
	end_all(rest, false);
}
