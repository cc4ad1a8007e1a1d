/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/rest.h"

#include <grpc/status.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "controld/rest/openapi.h"
#include "controld/rest/setup.h"
#include "controld/rpc/call.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "shared/log.h"
#include "shared/util.h"
#include "test/unit/t.h"

#define HEAD	    "HTTP/1.1\r\nHost: localhost\r\n"
#define PATIENCE_NS (10 * SN_NS_PER_S)

enum { GOT_BYTES = 64 * 1024, DRAIN_MS = 100, CONNECTIONS = 8 };

static uv_loop_t loop;
static struct cp_rest *rest;
static char folder[] = "/tmp/test_rest.XXXXXX";
static char path[64];
static bool is_closed;

/* What the handlers have. */
static struct cp_rpc_call *held;
static unsigned int n_cancelled, n_writable, n_watched;
static char resumed[64];

static void reply_id(struct cp_rpc_call *call, const char *id)
{
	Sentinel__V1__AttachResponse response;
	char text[64];

	sentinel__v1__attach_response__init(&response);
	(void)snprintf(text, sizeof(text), "%s", id);
	response.id = text;
	cp_rpc_call_reply(call, &response.base);
}

static void on_now(struct cp_rpc_call *call, const ProtobufCMessage *message,
		   void *user)
{
	t_true(user == folder);
	t_eq(cp_rpc_call_get_peer(call)->pid, getpid());
	t_null(cp_rpc_call_get_name(call));
	reply_id(call,
		 ((const Sentinel__V1__GetRequest *)(const void *)message)->id);
}

static void on_later(struct cp_rpc_call *call, const ProtobufCMessage *message,
		     void *user)
{
	(void)message;
	(void)user;
	held = call;
}

static void on_watch(struct cp_rpc_call *call, const ProtobufCMessage *message,
		     void *user)
{
	const Sentinel__V1__WatchEventsRequest *request = (const void *)message;

	(void)user;
	(void)snprintf(resumed, sizeof(resumed), "%s", request->resume);
	n_watched++;
	if (request->since_seconds)
		cp_rpc_call_fail(call, GRPC_STATUS_NOT_FOUND, "a \"b\"\n\xff");
	else
		held = call;
}

static void on_writable(struct cp_rpc_call *call, void *user)
{
	(void)call;
	(void)user;
	n_writable++;
}

static void on_cancel(struct cp_rpc_call *call, void *user)
{
	(void)user;
	t_true(call == held || n_watched > 1);
	held = NULL;
	n_cancelled++;
}

static const struct cp_rpc_method methods[] = {
	{
		.path = "/t.S/Now",
		.request = &sentinel__v1__get_request__descriptor,
		.response = &sentinel__v1__attach_response__descriptor,
		.role = CP_RPC_ROLE_VIEWER,
		.on_call = on_now,
	},
	{
		.path = "/t.S/Later",
		.request = &sentinel__v1__get_request__descriptor,
		.response = &sentinel__v1__attach_response__descriptor,
		.on_call = on_later,
		.on_cancel = on_cancel,
	},
	{
		.path = "/t.S/Watch",
		.request = &sentinel__v1__watch_events_request__descriptor,
		.response = &sentinel__v1__event__descriptor,
		.kind = CP_RPC_KIND_SERVER_STREAM,
		.role = CP_RPC_ROLE_VIEWER,
		.cursor = "cursor",
		.resume = "resume",
		.on_call = on_watch,
		.on_writable = on_writable,
		.on_cancel = on_cancel,
	},
	{
		.path = "/t.S/Up",
		.request = &sentinel__v1__get_request__descriptor,
		.response = &sentinel__v1__attach_response__descriptor,
		.kind = CP_RPC_KIND_CLIENT_STREAM,
		.role = CP_RPC_ROLE_VIEWER,
	},
};

static void begin(void)
{
	struct cp_rest_options options = {
		.loop = &loop,
		.methods = methods,
		.n_methods = SN_ARRAY_SIZE(methods),
		.user = folder,
		.version = "1",
		.connections_max = CONNECTIONS,
		.socket_path = path,
		.gid = (gid_t)-1,
	};

	sn_log_set_level(SN_LOG_ERROR);
	t_not_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/rest.sock", folder);
	t_eq(uv_loop_init(&loop), 0);
	t_eq(cp_rest_new(&rest, &options), 0);
}

static void closed(void *userdata)
{
	(void)userdata;
	is_closed = true;
}

static void end(void)
{
	char lock[sizeof(path) + 5];

	if (rest)
		cp_rest_close(sn_steal(&rest), DRAIN_MS, closed, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	t_true(is_closed);
	t_eq(uv_loop_close(&loop), 0);
	t_true(access(path, F_OK) < 0);
	(void)snprintf(lock, sizeof(lock), "%s.lock", path);
	(void)unlink(lock);
	(void)rmdir(folder);
}

/* Turns of the loop until the condition holds. */
#define turn_until(condition)                                   \
	do {                                                    \
		uint64_t until_ns_ = uv_hrtime() + PATIENCE_NS; \
		while (!(condition)) {                          \
			t_true(uv_hrtime() < until_ns_);        \
			(void)uv_run(&loop, UV_RUN_ONCE);       \
		}                                               \
	} while (0)

struct client {
	int fd;
	char got[GOT_BYTES];
	size_t n;
	bool has_end;
};

static void ask(struct client *client, const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)memset(client, 0, sizeof(*client));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t_eq(connect(client->fd, (const struct sockaddr *)&address,
		     sizeof(address)),
	     0);
	t_eq(send(client->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void take(struct client *client)
{
	ssize_t n;

	while ((n = recv(client->fd, client->got + client->n,
			 sizeof(client->got) - 1 - client->n, MSG_DONTWAIT)) >
	       0)
		client->n += (size_t)n;
	client->has_end |= n == 0;
}

static bool has_got(struct client *client, const char *text)
{
	take(client);
	return strstr(client->got, text) != NULL;
}

static bool has_ended(struct client *client)
{
	take(client);
	return client->has_end;
}

static void leave(struct client *client)
{
	(void)close(client->fd);
}

static int send_event(const char *cursor)
{
	Sentinel__V1__Event event;
	char text[64];

	sentinel__v1__event__init(&event);
	(void)snprintf(text, sizeof(text), "%s", cursor);
	event.cursor = text;
	return cp_rpc_call_send(held, &event.base);
}

static void a_call_is_answered_by_its_handler(void)
{
	struct client client;

	begin();
	ask(&client, "GET /v1/Now?id=seven " HEAD "\r\n");
	turn_until(has_got(&client, "\"id\":\"seven\""));
	t_true(has_got(&client, "200 OK"));
	leave(&client);
	end();
}

static void a_late_answer_reaches_who_waits(void)
{
	struct client client;

	begin();
	ask(&client, "POST /v1/Later " HEAD "Content-Type: application/json\r\n"
		     "Content-Length: 2\r\n\r\n{}");
	turn_until(held);
	reply_id(sn_steal(&held), "late");
	turn_until(has_got(&client, "\"id\":\"late\""));
	leave(&client);
	end();
}

/* Nobody is told; a change goes on, and its answer is dropped. */
static void a_late_answer_to_nobody_is_dropped(void)
{
	struct client client;

	begin();
	ask(&client, "POST /v1/Later " HEAD "Content-Type: application/json\r\n"
		     "Content-Length: 0\r\n\r\n");
	turn_until(held);
	leave(&client);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	reply_id(sn_steal(&held), "late");
	t_eq(n_cancelled, 0);
	end();
}

static void a_stop_waits_for_calls_and_then_cancels_them(void)
{
	struct client first, second;

	begin();
	ask(&first, "POST /v1/Later " HEAD "Content-Type: application/json\r\n"
		    "Content-Length: 0\r\n\r\n");
	turn_until(held);
	cp_rest_close(sn_steal(&rest), 10 * DRAIN_MS, closed, NULL);
	ask(&second, "GET /v1/Now?id=x " HEAD "\r\n");
	turn_until(has_got(&second, "503"));
	t_eq(n_cancelled, 0);
	turn_until(is_closed);
	t_eq(n_cancelled, 1);
	leave(&first);
	leave(&second);
	end();
}

static void a_stop_ends_when_the_last_call_does(void)
{
	struct client client;

	begin();
	ask(&client, "POST /v1/Later " HEAD "Content-Type: application/json\r\n"
		     "Content-Length: 0\r\n\r\n");
	turn_until(held);
	cp_rest_close(sn_steal(&rest), 60000, closed, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	t_false(is_closed);
	reply_id(sn_steal(&held), "last");
	turn_until(is_closed);
	t_true(has_got(&client, "\"id\":\"last\""));
	leave(&client);
	end();
}

static void a_stream_is_sent_message_by_message(void)
{
	struct client client;

	begin();
	ask(&client,
	    "GET /v1/Watch?resume=mine " HEAD "Last-Event-ID: other\r\n\r\n");
	turn_until(has_got(&client, "retry: 2000\n\n"));
	t_str_eq(resumed, "mine");
	t_eq(send_event("c1"), 0);
	t_eq(send_event("c2"), CP_RPC_CALL_E_BUSY);
	turn_until(n_writable == 1);
	t_eq(send_event(""), 0);
	turn_until(n_writable == 2);
	/* Without an id. */
	turn_until(has_got(&client, "\r\ndata: {\"cursor\":\"\","));
	t_true(has_got(&client, "id: c1\ndata: {\"cursor\":\"c1\","));
	cp_rpc_call_finish(sn_steal(&held));
	turn_until(has_got(&client, "\r\n0\r\n\r\n"));
	t_eq(n_cancelled, 0);
	leave(&client);
	end();
}

static void what_is_sent_last_is_sent_before_the_end(void)
{
	struct client client;

	begin();
	ask(&client, "GET /v1/Watch " HEAD "Last-Event-ID: c0\r\n\r\n");
	turn_until(held);
	t_str_eq(resumed, "c0");
	t_eq(send_event("c1"), 0);
	cp_rpc_call_finish(sn_steal(&held));
	turn_until(has_got(&client, "\r\n0\r\n\r\n"));
	t_true(has_got(&client, "id: c1\n"));
	t_eq(n_writable, 0);
	leave(&client);
	end();
}

static void a_stream_that_fails_at_once_has_a_status(void)
{
	struct client client;

	begin();
	ask(&client, "GET /v1/Watch?sinceSeconds=1 " HEAD "\r\n");
	turn_until(has_got(&client, "{\"code\":\"NOT_FOUND\",\"message\":\"a "
				    "\\\"b\\\"??\"}"));
	t_true(has_got(&client, "404 Not Found"));
	leave(&client);
	end();
}

static void a_stream_that_fails_later_has_an_event_for_it(void)
{
	struct client client;

	begin();
	ask(&client, "GET /v1/Watch " HEAD "\r\n");
	turn_until(has_got(&client, "retry"));
	t_eq(send_event("c1"), 0);
	cp_rpc_call_fail(sn_steal(&held), GRPC_STATUS_UNAVAILABLE, "gone");
	turn_until(has_got(&client, "\r\n0\r\n\r\n"));
	t_true(has_got(&client, "id: c1\n"));
	t_true(has_got(&client, "event: error\ndata: {\"code\":\"UNAVAILABLE\","
				"\"message\":\"gone\"}\n\n"));
	leave(&client);
	end();
}

static void a_reader_that_leaves_cancels_its_stream(void)
{
	struct client client;

	begin();
	ask(&client, "GET /v1/Watch " HEAD "\r\n");
	turn_until(has_got(&client, "retry"));
	leave(&client);
	turn_until(n_cancelled == 1);
	/* One that has something on its way. */
	ask(&client, "GET /v1/Watch " HEAD "\r\n");
	turn_until(has_got(&client, "retry"));
	t_eq(send_event("c1"), 0);
	leave(&client);
	turn_until(n_cancelled == 2);
	end();
}

/* HEAD has the head only. */
static void a_head_of_a_stream_is_no_stream(void)
{
	struct client client;

	begin();
	ask(&client, "HEAD /v1/Watch " HEAD "Connection: close\r\n\r\n");
	turn_until(has_ended(&client));
	t_true(has_got(&client, "text/event-stream"));
	turn_until(n_cancelled == 1);
	leave(&client);
	end();
}

/* However many heads have come before the first body. */
static void streams_leave_half_of_the_connections(void)
{
	static struct client clients[CONNECTIONS];
	struct client last;
	size_t n_refused = 0;

	begin();
	for (size_t i = 0; i < CONNECTIONS - 1; i++) {
		ask(&clients[i],
		    "POST /v1/Watch " HEAD "Expect: 100-continue\r\n"
		    "Content-Type: application/json\r\n"
		    "Content-Length: 2\r\n\r\n");
		turn_until(has_got(&clients[i], "100 Continue"));
	}
	t_eq(n_watched, 0);
	for (size_t i = 0; i < CONNECTIONS - 1; i++) {
		t_eq(send(clients[i].fd, "{}", 2, MSG_NOSIGNAL), 2);
		turn_until(has_got(&clients[i], "retry") ||
			   has_got(&clients[i], "RESOURCE_EXHAUSTED"));
		n_refused += has_got(&clients[i], " 429 ");
	}
	t_eq(n_watched, CONNECTIONS / 2);
	t_eq(n_refused, CONNECTIONS / 2 - 1);
	ask(&last, "GET /v1/Watch " HEAD "\r\n");
	turn_until(has_got(&last, " 429 "));
	/* A place that is left is free. */
	leave(&clients[0]);
	turn_until(n_cancelled == 1);
	leave(&last);
	ask(&last, "GET /v1/Watch " HEAD "\r\n");
	turn_until(has_got(&last, "retry"));
	leave(&last);
	for (size_t i = 1; i < CONNECTIONS - 1; i++)
		leave(&clients[i]);
	end();
}

static void a_stop_ends_streams_at_once(void)
{
	struct client client;

	begin();
	ask(&client, "GET /v1/Watch " HEAD "\r\n");
	turn_until(has_got(&client, "retry"));
	cp_rest_close(sn_steal(&rest), 60000, closed, NULL);
	t_eq(n_cancelled, 1);
	turn_until(is_closed);
	t_true(has_got(&client, "event: error"));
	leave(&client);
	end();
}

static void an_unread_stream_does_not_hold_up_a_stop(void)
{
	struct client client;

	begin();
	ask(&client, "GET /v1/Watch " HEAD "\r\n");
	turn_until(held);
	/* More than the socket takes. */
	for (unsigned int i = 0; i < 2000; i++) {
		(void)send_event("c");
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	t_eq(send_event("c"), CP_RPC_CALL_E_BUSY);
	cp_rest_close(sn_steal(&rest), 60000, closed, NULL);
	turn_until(is_closed);
	t_eq(n_cancelled, 1);
	leave(&client);
	end();
}

/* api.sock's address just fits where rest.sock's does not. */
static void a_folder_too_long_for_the_socket_keeps_nothing_from_starting(void)
{
	static char too_long[CP_REST_PATH_BYTES - sizeof("/rest.sock") + 2];
	char none[] = "", address[] = "127.0.0.1:1";
	struct cp_config config = { .rest = { .socket = true,
					      .listen = none,
					      .certificate = none,
					      .key = none,
					      .max_connections = 2 } };
	struct cp_rest_setup setup = {
		.loop = &loop,
		.run_dir = too_long,
		.gid = (gid_t)-1,
		.version = "1",
	};
	struct sn_diag diag = { 0 };

	begin();
	(void)memset(too_long, 'x', sizeof(too_long) - 1);
	cp_rest_close(sn_steal(&rest), 0, closed, NULL);
	turn_until(is_closed);
	t_eq(cp_rest_setup_new(&rest, &setup, &config, &diag), 0);
	t_null(rest);
	config.rest.listen = address;
	for (int i = 0; i < 2; i++) {
		config.rest.socket = i;
		t_eq(cp_rest_setup_new(&rest, &setup, &config, &diag), 0);
		t_true(cp_rest_has_remote(rest));
		is_closed = false;
		cp_rest_close(sn_steal(&rest), 0, closed, NULL);
		turn_until(is_closed);
	}
	end();
}

static void a_method_without_a_role_is_for_the_strongest(void)
{
	const struct cp_rpc_method *later = &methods[1], *up = &methods[3];
	char *document = NULL;

	t_eq(later->role, CP_RPC_ROLE_ADMIN);
	t_false(cp_rest_openapi_has_get(later));
	t_false(cp_rest_openapi_is_offered(up));
	t_eq(cp_rest_openapi_print(methods, SN_ARRAY_SIZE(methods), "1",
				   &document),
	     0);
	t_not_null(strstr(document, "\"/v1/Later\""));
	t_null(strstr(document, "\"/v1/Up\""));
	t_not_null(strstr(document, "\"method\": \"Up\""));
	free(document);
}

T_MAIN("rest", a_call_is_answered_by_its_handler,
       a_late_answer_reaches_who_waits, a_late_answer_to_nobody_is_dropped,
       a_stop_waits_for_calls_and_then_cancels_them,
       a_stop_ends_when_the_last_call_does, a_stream_is_sent_message_by_message,
       what_is_sent_last_is_sent_before_the_end,
       a_stream_that_fails_at_once_has_a_status,
       a_stream_that_fails_later_has_an_event_for_it,
       a_reader_that_leaves_cancels_its_stream, a_head_of_a_stream_is_no_stream,
       streams_leave_half_of_the_connections, a_stop_ends_streams_at_once,
       an_unread_stream_does_not_hold_up_a_stop,
       a_folder_too_long_for_the_socket_keeps_nothing_from_starting,
       a_method_without_a_role_is_for_the_strongest)
