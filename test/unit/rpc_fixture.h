/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server for the RPC tests: a loop in a thread of its own, with three
 * methods that do what the request says. The tests' own thread is the client.
 * Nothing in the loop's thread asserts; it records. */

#include <grpc/status.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include "controld/rpc/call.h"
#include "controld/rpc/client.h"
#include "controld/rpc/message.h"
#include "controld/rpc/server.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "test/unit/t.h"

#define ATTACH "/sentinel.v1.DaemonService/Attach"
#define APPLY  "/sentinel.v1.DaemonService/ApplyStream"
#define WATCH  "/sentinel.v1.DaemonService/Watch"

enum {
	CLIENT_TIMEOUT_MS = 20000,
	/* How long "later" takes. */
	LATER_MS = 50,
	WATCH_TOKEN_BYTES = 64 * 1024,
};

struct fixture {
	char directory[32];
	char path[64];
	struct cp_rpc_server_options options;
	unsigned int drain_ms;

	uv_loop_t loop;
	uv_thread_t thread;
	uv_async_t stop;
	uv_async_t count;
	uv_sem_t ready;
	uv_sem_t counted;
	/* Posted when a handler keeps a call, and when on_cancel comes. */
	uv_sem_t held;
	uv_sem_t cancelled;
	struct cp_rpc_server *server;
	struct cp_rpc_server_stats stats;
	struct sn_diag diag;
	int new_result;
	int close_result;
	atomic_uint n_sent;
	unsigned int n_done;
};

struct later {
	uv_timer_t timer;
	struct cp_rpc_call *call;
};

static inline void reply_attach(struct cp_rpc_call *call, const char *id)
{
	Sentinel__V1__AttachResponse response;
	char text[64];

	sentinel__v1__attach_response__init(&response);
	(void)snprintf(text, sizeof(text), "%s", id);
	response.id = text;
	cp_rpc_call_reply(call, &response.base);
}

static inline void free_later(uv_handle_t *handle)
{
	free(handle->data);
}

static inline void answer_later(uv_timer_t *timer)
{
	struct later *later = timer->data;

	reply_attach(later->call, "later");
	uv_close((uv_handle_t *)timer, free_later);
}

static inline void start_later(struct fixture *fixture,
			       struct cp_rpc_call *call)
{
	struct later *later = calloc(1, sizeof(*later));

	if (!later)
		abort();
	later->call = call;
	later->timer.data = later;
	cp_rpc_call_set_data(call, later);
	(void)uv_timer_init(&fixture->loop, &later->timer);
	(void)uv_timer_start(&later->timer, answer_later, LATER_MS, 0);
	uv_sem_post(&fixture->held);
}

static inline void reply_large(struct cp_rpc_call *call)
{
	Sentinel__V1__AttachResponse response;
	size_t size = CP_RPC_SERVER_MAX_MESSAGE_BYTES + 1;

	sentinel__v1__attach_response__init(&response);
	response.id = malloc(size);
	if (!response.id)
		abort();
	(void)memset(response.id, 'x', size - 1);
	response.id[size - 1] = '\0';
	cp_rpc_call_reply(call, &response.base);
	free(response.id);
}

static inline void on_attach(struct cp_rpc_call *call,
			     const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__AttachRequest *request =
		(const Sentinel__V1__AttachRequest *)message;
	const char *what = request->interface_name;
	struct fixture *fixture = user;
	char text[64];

	if (!strcmp(what, "fail")) {
		cp_rpc_call_fail(call, GRPC_STATUS_NOT_FOUND,
				 "no interface 'v\xc3\xa9th' \"here\"");
	} else if (!strcmp(what, "large")) {
		reply_large(call);
	} else if (!strcmp(what, "later")) {
		start_later(fixture, call);
	} else if (!strcmp(what, "hold")) {
		uv_sem_post(&fixture->held);
	} else if (!strcmp(what, "peer")) {
		const struct ucred *peer = cp_rpc_call_get_peer(call);

		(void)snprintf(text, sizeof(text), "%d %u %u", peer->pid,
			       peer->uid, peer->gid);
		reply_attach(call, text);
	} else {
		reply_attach(call, what);
	}
}

static inline void on_attach_cancel(struct cp_rpc_call *call, void *user)
{
	struct later *later = cp_rpc_call_get_data(call);
	struct fixture *fixture = user;

	if (later) {
		(void)uv_timer_stop(&later->timer);
		uv_close((uv_handle_t *)&later->timer, free_later);
	}
	uv_sem_post(&fixture->cancelled);
}

/* Counts rules; a stream whose id is "stop" is refused at its fifth. */
struct apply {
	unsigned int n_rules;
	bool stops;
};

static inline void on_apply(struct cp_rpc_call *call,
			    const ProtobufCMessage *message, void *user)
{
	struct apply *apply = calloc(1, sizeof(*apply));

	(void)user;
	if (!apply || message)
		abort();
	cp_rpc_call_set_data(call, apply);
	cp_rpc_call_next(call);
}

static inline void on_apply_message(struct cp_rpc_call *call,
				    const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__ApplyStreamRequest *request =
		(const Sentinel__V1__ApplyStreamRequest *)message;
	struct apply *apply = cp_rpc_call_get_data(call);
	struct fixture *fixture = user;

	apply->n_rules += (unsigned int)request->n_rules;
	apply->stops |= !strcmp(request->id, "stop");
	uv_sem_post(&fixture->held);
	if (apply->stops && apply->n_rules >= 5) {
		free(apply);
		cp_rpc_call_fail(call, GRPC_STATUS_FAILED_PRECONDITION,
				 "enough");
		return;
	}
	cp_rpc_call_next(call);
}

static inline void on_apply_half_close(struct cp_rpc_call *call, void *user)
{
	Sentinel__V1__ApplyStreamResponse response;
	Sentinel__V1__ApplyResponse result;
	struct apply *apply = cp_rpc_call_get_data(call);

	(void)user;
	sentinel__v1__apply_stream_response__init(&response);
	sentinel__v1__apply_response__init(&result);
	result.added = apply->n_rules;
	response.result = &result;
	free(apply);
	cp_rpc_call_reply(call, &response.base);
}

static inline void on_apply_cancel(struct cp_rpc_call *call, void *user)
{
	struct fixture *fixture = user;

	free(cp_rpc_call_get_data(call));
	uv_sem_post(&fixture->cancelled);
}

/* Sends page_size large messages, each when the one before has gone. */
struct watch {
	unsigned int n_left;
	bool was_busy;
};

static inline void send_more(struct cp_rpc_call *call, void *user)
{
	static char token[WATCH_TOKEN_BYTES + 1];
	struct watch *watch = cp_rpc_call_get_data(call);
	struct fixture *fixture = user;
	Sentinel__V1__ListResponse response;

	sentinel__v1__list_response__init(&response);
	(void)memset(token, 'x', WATCH_TOKEN_BYTES);
	response.next_page_token = token;
	if (!watch->n_left) {
		free(watch);
		cp_rpc_call_finish(call);
		return;
	}
	watch->n_left--;
	atomic_fetch_add(&fixture->n_sent, 1);
	if (cp_rpc_call_send(call, &response.base) ||
	    cp_rpc_call_send(call, &response.base) != CP_RPC_CALL_E_BUSY)
		abort();
	/* Finishing while the last one is under way must not lose it. */
	if (!watch->n_left) {
		free(watch);
		cp_rpc_call_finish(call);
	}
}

static inline void on_watch(struct cp_rpc_call *call,
			    const ProtobufCMessage *message, void *user)
{
	ProtobufCMessage *taken = cp_rpc_call_take_message(call);
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch || taken != message || cp_rpc_call_take_message(call))
		abort();
	watch->n_left = ((Sentinel__V1__ListRequest *)taken)->page_size;
	(void)cp_rpc_message_free(taken);
	cp_rpc_call_set_data(call, watch);
	send_more(call, user);
}

static inline void on_watch_cancel(struct cp_rpc_call *call, void *user)
{
	struct fixture *fixture = user;

	free(cp_rpc_call_get_data(call));
	uv_sem_post(&fixture->cancelled);
}

static const struct cp_rpc_method fixture_methods[] = {
	{
		.path = ATTACH,
		.request = &sentinel__v1__attach_request__descriptor,
		.response = &sentinel__v1__attach_response__descriptor,
		.kind = CP_RPC_KIND_UNARY,
		.on_call = on_attach,
		.on_cancel = on_attach_cancel,
	},
	{
		.path = APPLY,
		.request = &sentinel__v1__apply_stream_request__descriptor,
		.response = &sentinel__v1__apply_stream_response__descriptor,
		.kind = CP_RPC_KIND_CLIENT_STREAM,
		.on_call = on_apply,
		.on_message = on_apply_message,
		.on_half_close = on_apply_half_close,
		.on_cancel = on_apply_cancel,
	},
	{
		.path = WATCH,
		.request = &sentinel__v1__list_request__descriptor,
		.response = &sentinel__v1__list_response__descriptor,
		.kind = CP_RPC_KIND_SERVER_STREAM,
		.on_call = on_watch,
		.on_writable = send_more,
		.on_cancel = on_watch_cancel,
	},
};

static inline void fixture_stopped(void *user)
{
	((struct fixture *)user)->n_done++;
}

static inline void fixture_stop_asked(uv_async_t *async)
{
	struct fixture *fixture = async->data;

	cp_rpc_server_get_stats(fixture->server, &fixture->stats);
	cp_rpc_server_stop(fixture->server, fixture->drain_ms, fixture_stopped,
			   fixture);
	uv_close((uv_handle_t *)&fixture->stop, NULL);
	uv_close((uv_handle_t *)&fixture->count, NULL);
}

static inline void fixture_count_asked(uv_async_t *async)
{
	struct fixture *fixture = async->data;

	cp_rpc_server_get_stats(fixture->server, &fixture->stats);
	uv_sem_post(&fixture->counted);
}

static inline void fixture_run(void *data)
{
	struct fixture *fixture = data;

	(void)uv_loop_init(&fixture->loop);
	fixture->new_result =
		cp_rpc_server_new(&fixture->server, &fixture->loop,
				  &fixture->options, &fixture->diag);
	fixture->stop.data = fixture;
	fixture->count.data = fixture;
	if (!fixture->new_result) {
		(void)uv_async_init(&fixture->loop, &fixture->stop,
				    fixture_stop_asked);
		(void)uv_async_init(&fixture->loop, &fixture->count,
				    fixture_count_asked);
	}
	uv_sem_post(&fixture->ready);
	(void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
	fixture->close_result = uv_loop_close(&fixture->loop);
}

/* options may be set in *fixture before. */
static inline void fixture_start(struct fixture *fixture)
{
	(void)snprintf(fixture->directory, sizeof(fixture->directory),
		       "/tmp/sn-rpc-XXXXXX");
	t_true(mkdtemp(fixture->directory) != NULL);
	(void)snprintf(fixture->path, sizeof(fixture->path), "%s/s",
		       fixture->directory);
	fixture->options.path = fixture->path;
	if (!fixture->options.gid)
		fixture->options.gid = (gid_t)-1;
	fixture->options.methods = fixture_methods;
	fixture->options.n_methods = SN_ARRAY_SIZE(fixture_methods);
	fixture->options.user = fixture;
	t_eq(uv_sem_init(&fixture->ready, 0), 0);
	t_eq(uv_sem_init(&fixture->counted, 0), 0);
	t_eq(uv_sem_init(&fixture->held, 0), 0);
	t_eq(uv_sem_init(&fixture->cancelled, 0), 0);
	t_eq(uv_thread_create(&fixture->thread, fixture_run, fixture), 0);
	uv_sem_wait(&fixture->ready);
	if (fixture->new_result)
		t_fail("no server: %s", fixture->diag.text);
}

static inline const struct cp_rpc_server_stats *
fixture_count(struct fixture *fixture)
{
	t_eq(uv_async_send(&fixture->count), 0);
	uv_sem_wait(&fixture->counted);
	return &fixture->stats;
}

static inline void fixture_ask_stop(struct fixture *fixture)
{
	t_eq(uv_async_send(&fixture->stop), 0);
}

/* Waits for the end and checks that nothing is left of the server. */
static inline void fixture_join(struct fixture *fixture)
{
	char lock[80];

	t_eq(uv_thread_join(&fixture->thread), 0);
	t_eq(fixture->n_done, 1);
	t_eq(fixture->close_result, 0);
	t_true(access(fixture->path, F_OK) < 0 && errno == ENOENT);
	(void)snprintf(lock, sizeof(lock), "%s.lock", fixture->path);
	t_eq(unlink(lock), 0);
	t_eq(rmdir(fixture->directory), 0);
	uv_sem_destroy(&fixture->ready);
	uv_sem_destroy(&fixture->counted);
	uv_sem_destroy(&fixture->held);
	uv_sem_destroy(&fixture->cancelled);
}

static inline void fixture_stop(struct fixture *fixture)
{
	fixture_ask_stop(fixture);
	fixture_join(fixture);
}

static inline struct cp_rpc_client *
fixture_connect(const struct fixture *fixture)
{
	struct cp_rpc_client *client = NULL;
	struct cp_rpc_status status;

	if (cp_rpc_client_new(&client, fixture->path, CLIENT_TIMEOUT_MS,
			      &status))
		t_fail("no client: %s", status.text);
	return client;
}

/* Attach to `what`; returns the status code, and the answer's id in *id. */
static inline int attach(struct cp_rpc_client *client, const char *what,
			 char *id, size_t size, struct cp_rpc_status *status)
{
	Sentinel__V1__AttachRequest request;
	ProtobufCMessage *message = NULL;
	char *name = strdup(what);
	int r;

	t_true(name != NULL);
	sentinel__v1__attach_request__init(&request);
	request.interface_name = name;
	r = cp_rpc_client_call(client, ATTACH, &request.base,
			       &sentinel__v1__attach_response__descriptor,
			       &message, status);
	free(name);
	if (r) {
		t_eq(r, CP_RPC_CLIENT_E_STATUS);
		t_true(!message);
		return status->code;
	}
	(void)snprintf(id, size, "%s",
		       ((Sentinel__V1__AttachResponse *)message)->id);
	(void)cp_rpc_message_free(message);
	return 0;
}

/* Starts an Attach and does not wait for its answer. */
static inline struct cp_rpc_client_stream *
start_attach(struct cp_rpc_client *client, const char *what)
{
	struct cp_rpc_client_stream *stream = NULL;
	Sentinel__V1__AttachRequest request;
	struct cp_rpc_status status;
	char name[16];

	(void)snprintf(name, sizeof(name), "%s", what);
	sentinel__v1__attach_request__init(&request);
	request.interface_name = name;
	t_eq(cp_rpc_client_stream_new(
		     &stream, client, ATTACH,
		     &sentinel__v1__attach_response__descriptor, 0),
	     0);
	t_eq(cp_rpc_client_stream_send(stream, &request.base, &status), 0);
	cp_rpc_client_stream_close(stream);
	return stream;
}

/* Without a deadline, so that a stream that hangs is a test that fails. */
static inline struct cp_rpc_client_stream *
start_apply(struct cp_rpc_client *client)
{
	struct cp_rpc_client_stream *stream = NULL;

	t_eq(cp_rpc_client_stream_new(
		     &stream, client, APPLY,
		     &sentinel__v1__apply_stream_response__descriptor, 0),
	     0);
	return stream;
}

/* One chunk with n_rules rules. */
static inline int send_chunk(struct cp_rpc_client_stream *stream,
			     const char *id, size_t n_rules,
			     struct cp_rpc_status *status)
{
	Sentinel__V1__ApplyStreamRequest request;
	Sentinel__V1__Rule *rules[100];
	Sentinel__V1__Rule rule;
	char name[16];
	char cidr[] = "192.0.2.1/32";

	t_true(n_rules <= SN_ARRAY_SIZE(rules));
	sentinel__v1__apply_stream_request__init(&request);
	sentinel__v1__rule__init(&rule);
	(void)snprintf(name, sizeof(name), "%s", id);
	rule.cidr = cidr;
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	for (size_t i = 0; i < n_rules; i++)
		rules[i] = &rule;
	request.id = name;
	request.rules = rules;
	request.n_rules = n_rules;
	return cp_rpc_client_stream_send(stream, &request.base, status);
}

static inline int raw_connect(const struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	t_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		       fixture->path);
	t_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}
