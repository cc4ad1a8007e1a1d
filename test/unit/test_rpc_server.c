/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/server.h"

#include <grp.h>

#include "test/unit/rpc_fixture.h"

static void a_unary_call_is_answered(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_status status;
	struct cp_rpc_client *client;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	for (unsigned int i = 0; i < 100; i++) {
		t_eq(attach(client, "v\xc3\xa9th0", id, sizeof(id), &status),
		     0);
		t_str_eq(id, "v\xc3\xa9th0");
	}
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_calls_started, 100);
	t_eq(fixture.stats.n_accepted, 1);
	t_eq(fixture.stats.n_calls_cancelled, 0);
}

static void a_failure_has_code_and_text(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_status status;
	struct cp_rpc_client *client;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	t_eq(attach(client, "fail", id, sizeof(id), &status),
	     GRPC_STATUS_NOT_FOUND);
	t_str_eq(status.text, "no interface 'v\xc3\xa9th' \"here\"");
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

static void an_unknown_method_is_unimplemented(void)
{
	struct fixture fixture = { 0 };
	Sentinel__V1__GetRequest request;
	ProtobufCMessage *message = NULL;
	struct cp_rpc_status status;
	struct cp_rpc_client *client;

	sentinel__v1__get_request__init(&request);
	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	t_eq(cp_rpc_client_call(client, "/sentinel.v1.DaemonService/Get",
				&request.base,
				&sentinel__v1__get_response__descriptor,
				&message, &status),
	     CP_RPC_CLIENT_E_STATUS);
	t_eq(status.code, GRPC_STATUS_UNIMPLEMENTED);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_calls_refused, 1);
}

static void a_handler_may_answer_later(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_status status;
	struct cp_rpc_client *client;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	t_eq(attach(client, "later", id, sizeof(id), &status), 0);
	t_str_eq(id, "later");
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

static void a_call_knows_its_peer(void)
{
	struct fixture fixture = { .options.gid = geteuid() ? 0 : 65533 };
	struct cp_rpc_status status;
	struct cp_rpc_client *first;
	struct cp_rpc_client *second;
	char expected[64];
	char id[64];

	fixture_start(&fixture);
	first = fixture_connect(&fixture);
	(void)snprintf(expected, sizeof(expected), "%d %u %u", getpid(),
		       geteuid(), getegid());
	t_eq(attach(first, "peer", id, sizeof(id), &status), 0);
	t_str_eq(id, expected);
	/* Credentials are those at the time of connect(). */
	if (geteuid() == 0) {
		t_eq(chmod(fixture.directory, 0711), 0);
		t_eq(chmod(fixture.path, 0666), 0);
		t_eq(setegid(65533), 0);
		t_eq(seteuid(65534), 0);
		second = fixture_connect(&fixture);
		t_eq(seteuid(0), 0);
		t_eq(setegid(0), 0);
		t_eq(attach(second, "peer", id, sizeof(id), &status), 0);
		(void)snprintf(expected, sizeof(expected), "%d 65534 65533",
			       getpid());
		t_str_eq(id, expected);
		(void)cp_rpc_client_free(second);
	}
	(void)cp_rpc_client_free(first);
	fixture_stop(&fixture);
}

/* Connects as another user, whose supplementary group is `group`. */
static int connect_as(const struct fixture *fixture, gid_t gid, gid_t group)
{
	int fd;

	t_eq(setgroups(1, &group), 0);
	t_eq(setegid(gid), 0);
	t_eq(seteuid(65534), 0);
	fd = raw_connect(fixture);
	t_eq(seteuid(0), 0);
	t_eq(setegid(0), 0);
	t_eq(setgroups(0, NULL), 0);
	return fd;
}

/* Whoever is served hears the server's settings. */
static bool is_served(int fd)
{
	char byte;
	bool served = read(fd, &byte, 1) == 1;

	t_eq(close(fd), 0);
	return served;
}

static void only_root_and_the_group_are_served_whatever_the_mode_is(void)
{
	enum { GROUP = 65533, OTHER = 65532 };

	if (geteuid() != 0)
		t_skip("needs root to be somebody else");
	for (int has_group = 0; has_group < 2; has_group++) {
		struct fixture fixture = { .options.gid = has_group ? GROUP :
								      0 };

		fixture_start(&fixture);
		t_eq(chmod(fixture.directory, 0711), 0);
		t_eq(chmod(fixture.path, 0666), 0);
		t_true(is_served(raw_connect(&fixture)));
		t_false(is_served(connect_as(&fixture, OTHER, OTHER)));
		t_eq(is_served(connect_as(&fixture, GROUP, OTHER)), has_group);
		t_eq(is_served(connect_as(&fixture, OTHER, GROUP)), has_group);
		t_eq(fixture_count(&fixture)->n_peers_refused,
		     has_group ? 1 : 3);
		fixture_stop(&fixture);
	}
}

static void without_a_group_nobody_else_can_connect(void)
{
	gid_t gids[] = { (gid_t)-1, getegid() };

	for (size_t i = 0; i < SN_ARRAY_SIZE(gids); i++) {
		struct fixture fixture = { .options.gid = gids[i] };
		struct stat st;

		/* The fixture takes group 0 for none. */
		if (gids[i] == 0)
			fixture.options.gid = geteuid() ? gids[i] : 65533;
		fixture_start(&fixture);
		t_eq(stat(fixture.path, &st), 0);
		t_eq(st.st_mode & 07777, i == 0 ? 0600 : 0660);
		fixture_stop(&fixture);
	}
}

static void a_client_stream_of_1000_chunks_is_counted(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client_stream *stream;
	ProtobufCMessage *message = NULL;
	struct cp_rpc_status status;
	struct cp_rpc_client *client;

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	stream = start_apply(client);
	for (unsigned int i = 0; i < 1000; i++)
		t_eq(send_chunk(stream, "", 100, &status), 0);
	cp_rpc_client_stream_close(stream);
	t_eq(cp_rpc_client_stream_finish(stream, &message, &status), 0);
	t_eq(((Sentinel__V1__ApplyStreamResponse *)message)->result->added,
	     100000);
	(void)cp_rpc_message_free(message);
	(void)cp_rpc_client_stream_free(stream);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

static void an_aborted_client_stream_is_cancelled(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client_stream *stream;
	struct cp_rpc_status status;
	struct cp_rpc_client *client;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	stream = start_apply(client);
	for (unsigned int i = 0; i < 10; i++)
		t_eq(send_chunk(stream, "", 10, &status), 0);
	uv_sem_wait(&fixture.held);
	(void)cp_rpc_client_stream_free(stream);
	uv_sem_wait(&fixture.cancelled);
	t_eq(attach(client, "still", id, sizeof(id), &status), 0);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_calls_cancelled, 1);
}

static void a_handler_may_end_a_client_stream_early(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client_stream *stream;
	struct cp_rpc_status status;
	struct cp_rpc_client *client;
	unsigned int n = 0;
	int r;

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	stream = start_apply(client);
	do {
		r = send_chunk(stream, "stop", 1, &status);
	} while (!r && ++n < 1000000);
	t_eq(r, CP_RPC_CLIENT_E_STATUS);
	t_eq(status.code, GRPC_STATUS_FAILED_PRECONDITION);
	t_str_eq(status.text, "enough");
	/* The call does not keep its place until the client has gone. */
	for (n = 0; n < 1000000 && fixture_count(&fixture)->n_calls; n++)
		;
	t_eq(fixture.stats.n_calls, 0);
	(void)cp_rpc_client_stream_free(stream);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_calls_cancelled, 0);
}

static void a_bad_chunk_ends_the_stream_and_tells_the_handler(void)
{
	struct fixture fixture = { 0 };
	Sentinel__V1__ApplyStreamRequest request;
	struct cp_rpc_client_stream *stream;
	Sentinel__V1__Policy policy;
	ProtobufCMessage *message = NULL;
	struct cp_rpc_status status;
	struct cp_rpc_client *client;

	sentinel__v1__apply_stream_request__init(&request);
	sentinel__v1__policy__init(&policy);
	policy.mode = (Sentinel__V1__Mode)77;
	request.policy = &policy;
	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	stream = start_apply(client);
	t_eq(send_chunk(stream, "", 1, &status), 0);
	t_eq(cp_rpc_client_stream_send(stream, &request.base, &status), 0);
	t_eq(cp_rpc_client_stream_read(stream, &message, &status),
	     CP_RPC_CLIENT_E_STATUS);
	t_eq(status.code, GRPC_STATUS_INVALID_ARGUMENT);
	t_str_eq(status.text, "policy.mode: has a value that is not known");
	uv_sem_wait(&fixture.cancelled);
	(void)cp_rpc_client_stream_free(stream);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_messages_refused, 1);
}

static struct cp_rpc_client_stream *start_watch(struct cp_rpc_client *client,
						unsigned int n)
{
	struct cp_rpc_client_stream *stream = NULL;
	Sentinel__V1__ListRequest request;
	struct cp_rpc_status status;

	sentinel__v1__list_request__init(&request);
	request.page_size = n;
	t_eq(cp_rpc_client_stream_new(&stream, client, WATCH,
				      &sentinel__v1__list_response__descriptor,
				      0),
	     0);
	t_eq(cp_rpc_client_stream_send(stream, &request.base, &status), 0);
	cp_rpc_client_stream_close(stream);
	return stream;
}

static void t_read_watch(struct cp_rpc_client_stream *stream)
{
	ProtobufCMessage *message = NULL;
	struct cp_rpc_status status;

	t_eq(cp_rpc_client_stream_read(stream, &message, &status), 0);
	t_eq(strlen(((Sentinel__V1__ListResponse *)message)->next_page_token),
	     WATCH_TOKEN_BYTES);
	(void)cp_rpc_message_free(message);
}

/* 64 MiB, which is more than any flow-control window. */
static void a_slow_reader_holds_back_its_stream_and_nobody_else(void)
{
	enum { N = 1000 };
	struct fixture fixture = { 0 };
	struct cp_rpc_client_stream *stream;
	ProtobufCMessage *message = NULL;
	struct cp_rpc_client *other;
	struct cp_rpc_status status;
	struct cp_rpc_client *client;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	other = fixture_connect(&fixture);
	stream = start_watch(client, N);
	t_read_watch(stream);
	t_eq(attach(other, "x", id, sizeof(id), &status), 0);
	t_true(atomic_load(&fixture.n_sent) < N);
	for (unsigned int i = 1; i < N; i++)
		t_read_watch(stream);
	t_eq(cp_rpc_client_stream_read(stream, &message, &status),
	     CP_RPC_CLIENT_E_STATUS);
	t_eq(status.code, GRPC_STATUS_OK);
	t_eq(atomic_load(&fixture.n_sent), N);
	(void)cp_rpc_client_stream_free(stream);
	(void)cp_rpc_client_free(client);
	(void)cp_rpc_client_free(other);
	fixture_stop(&fixture);
}

static void a_reader_that_leaves_is_cancelled(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client_stream *stream;
	struct cp_rpc_client *client;

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	stream = start_watch(client, 1000000);
	t_read_watch(stream);
	(void)cp_rpc_client_stream_free(stream);
	uv_sem_wait(&fixture.cancelled);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

static void a_deadline_cancels_the_handler(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client *client = NULL;
	struct cp_rpc_status status;
	unsigned int limit_ms = 100;
	char id[64];

	fixture_start(&fixture);
	/* On a busy machine the first deadlines pass before the server has
	 * seen a call. */
	do {
		(void)cp_rpc_client_free(client);
		t_eq(cp_rpc_client_new(&client, fixture.path, limit_ms,
				       &status),
		     0);
		t_eq(attach(client, "hold", id, sizeof(id), &status),
		     GRPC_STATUS_DEADLINE_EXCEEDED);
		limit_ms *= 2;
	} while (uv_sem_trywait(&fixture.held) != 0);
	uv_sem_wait(&fixture.cancelled);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
	t_true(fixture.stats.n_calls_cancelled >= 1);
}

static void stopping_cancels_the_calls_in_flight(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client_stream *streams[5];
	ProtobufCMessage *message = NULL;
	struct cp_rpc_status status;
	struct cp_rpc_client *client;

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	streams[0] = start_attach(client, "hold");
	streams[1] = start_attach(client, "hold");
	streams[2] = start_apply(client);
	t_eq(send_chunk(streams[2], "", 1, &status), 0);
	streams[3] = start_watch(client, 1000000);
	t_read_watch(streams[3]);
	streams[4] = start_attach(client, "later");
	for (unsigned int i = 0; i < 4; i++)
		uv_sem_wait(&fixture.held);
	fixture_ask_stop(&fixture);
	for (unsigned int i = 0; i < 4; i++)
		uv_sem_wait(&fixture.cancelled);
	t_eq(cp_rpc_client_stream_read(streams[0], &message, &status),
	     CP_RPC_CLIENT_E_STATUS);
	t_true(status.code != GRPC_STATUS_OK);
	for (size_t i = 0; i < SN_ARRAY_SIZE(streams); i++)
		(void)cp_rpc_client_stream_free(streams[i]);
	(void)cp_rpc_client_free(client);
	fixture_join(&fixture);
}

static void draining_lets_an_answer_through(void)
{
	struct fixture fixture = { .drain_ms = CLIENT_TIMEOUT_MS };
	struct cp_rpc_client_stream *stream;
	ProtobufCMessage *message = NULL;
	struct cp_rpc_client *client;
	struct cp_rpc_status status;

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	stream = start_attach(client, "later");
	uv_sem_wait(&fixture.held);
	fixture_ask_stop(&fixture);
	t_eq(cp_rpc_client_stream_finish(stream, &message, &status), 0);
	t_str_eq(((Sentinel__V1__AttachResponse *)message)->id, "later");
	(void)cp_rpc_message_free(message);
	(void)cp_rpc_client_stream_free(stream);
	(void)cp_rpc_client_free(client);
	fixture_join(&fixture);
}

static void draining_ends_when_its_time_is_up(void)
{
	struct fixture fixture = { .drain_ms = 50 };
	struct cp_rpc_client_stream *stream;
	struct cp_rpc_client *client;

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	stream = start_attach(client, "hold");
	uv_sem_wait(&fixture.held);
	fixture_ask_stop(&fixture);
	uv_sem_wait(&fixture.cancelled);
	fixture_join(&fixture);
	(void)cp_rpc_client_stream_free(stream);
	(void)cp_rpc_client_free(client);
}

static void a_connection_that_says_nothing_does_not_hold_up_the_stop(void)
{
	struct fixture fixture = { .drain_ms = CLIENT_TIMEOUT_MS };
	char byte;
	int fd;

	fixture_start(&fixture);
	fd = raw_connect(&fixture);
	t_eq(read(fd, &byte, 1), 1);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_connections, 1);
	(void)close(fd);
}

T_MAIN("rpc_server", a_unary_call_is_answered, a_failure_has_code_and_text,
       an_unknown_method_is_unimplemented, a_handler_may_answer_later,
       a_call_knows_its_peer,
       only_root_and_the_group_are_served_whatever_the_mode_is,
       without_a_group_nobody_else_can_connect,
       a_client_stream_of_1000_chunks_is_counted,
       an_aborted_client_stream_is_cancelled,
       a_handler_may_end_a_client_stream_early,
       a_bad_chunk_ends_the_stream_and_tells_the_handler,
       a_slow_reader_holds_back_its_stream_and_nobody_else,
       a_reader_that_leaves_is_cancelled, a_deadline_cancels_the_handler,
       stopping_cancels_the_calls_in_flight, draining_lets_an_answer_through,
       draining_ends_when_its_time_is_up,
       a_connection_that_says_nothing_does_not_hold_up_the_stop)
