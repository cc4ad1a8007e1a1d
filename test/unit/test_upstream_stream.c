// SPDX-License-Identifier: Apache-2.0

/* Questions by TCP against servers by hand. Every question begins by UDP and
 * is told to come again by a truncated answer. */

#include "controld/upstream/upstream.h"

#include "test/unit/test_upstream_rig.h"

static const struct cp_upstream_options usual = {
	.timeout_ms = 20000,
	.try_ms = 5000,
};
static const struct cp_upstream_options quick = {
	.timeout_ms = 1000,
	.try_ms = 300,
	.tcp_idle_ms = 100,
};

static struct rig rig;
static struct server server;
static struct result results[4];

static struct cp_upstream_set *begin(const struct cp_upstream_options *options)
{
	(void)memset(results, 0, sizeof(results));
	return rig_begin(&rig, options, &server, 1);
}

static void end(struct cp_upstream_set *set)
{
	rig_end(&rig, set, &server, 1);
}

static void truncate_answer(void)
{
	uint8_t message[512];
	size_t size = server_make(&server, 0, message);

	message[2] |= RIG_TC;
	server_send(&server, message, size);
}

/* The question is on its way to the stream. */
static void ask(struct cp_upstream_set *set, const char *name,
		struct result *result)
{
	rig_ask(set, name, result);
	server_receive(&rig, &server);
	truncate_answer();
}

static bool is_truncated(uint64_t n)
{
	return rig_stats(&rig).n_truncated == n;
}

static void a_truncated_answer_is_asked_for_by_tcp(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "www.example.com", &results[0]);
	server_accept_and_read(&rig, &server);
	t_eq(results[0].n_calls, 0);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(rig_stats(&rig).n_truncated, 1);
	end(set);
}

static void a_connection_is_kept_for_the_next_question(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	for (int i = 1; i < 4; i++) {
		ask(set, "b.example", &results[i]);
		RIG_RUN_UNTIL(&rig, server_try_read(&server));
		server_reply(&server);
		RIG_RUN_UNTIL(&rig, results[i].n_calls);
		result_is_answer(&results[i], "b.example");
	}
	t_true(accept4(server.listener, NULL, NULL, SOCK_NONBLOCK) < 0);
	end(set);
}

static void an_idle_connection_is_closed(void)
{
	struct cp_upstream_set *set = begin(&quick);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_false(server_sees_end(&server));
	RIG_RUN_UNTIL(&rig, server_sees_end(&server));
	end(set);
}

static void questions_are_pipelined_and_answered_in_any_order(void)
{
	struct cp_upstream_set *set = begin(&usual);
	uint8_t bytes[2048];
	size_t size = 0;

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	size += server_frame(&server, 0, bytes);
	ask(set, "bb.example", &results[1]);
	ask(set, "ccc.example", &results[2]);
	for (int i = 0; i < 2; i++) {
		uint8_t one[512];
		size_t n;

		RIG_RUN_UNTIL(&rig, server_try_read(&server));
		n = server_frame(&server, 0, one);
		(void)memmove(bytes + n, bytes, size);
		(void)memcpy(bytes, one, n);
		size += n;
	}
	/* All in one segment, the last question's answer first. */
	server_write(&server, bytes, size);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "a.example");
	result_is_answer(&results[1], "bb.example");
	result_is_answer(&results[2], "ccc.example");
	end(set);
}

static void an_answer_may_come_byte_by_byte(void)
{
	struct cp_upstream_set *set = begin(&usual);
	uint8_t bytes[512];
	size_t size;

	ask(set, "www.example.com", &results[0]);
	server_accept_and_read(&rig, &server);
	size = server_frame(&server, 0, bytes);
	for (size_t i = 0; i < size; i++) {
		t_eq(results[0].n_calls, 0);
		server_write(&server, bytes + i, 1);
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	}
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	end(set);
}

static void the_largest_message_is_taken(void)
{
	static uint8_t bytes[2 + 65535];
	struct cp_upstream_set *set = begin(&usual);
	size_t at = 0;

	ask(set, "www.example.com", &results[0]);
	server_accept_and_read(&rig, &server);
	(void)server_frame(&server, 0, bytes);
	cp_dns_wire_put16(bytes, 65535);
	while (at < sizeof(bytes)) {
		ssize_t n = send(server.stream, bytes + at, sizeof(bytes) - at,
				 MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	}
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(results[0].size, 65535);
	end(set);
}

static void many_questions_share_few_connections(void)
{
	enum { N = 400, STREAMS = 4 };
	static struct result many[N];
	struct cp_upstream_set *set = begin(&usual);
	int streams[8], n_streams = 0, n_read = 0;

	for (int i = 0; i < N; i++)
		ask(set, "www.example.com", &many[i]);
	RIG_RUN_UNTIL(&rig, is_truncated(N));
	/* Nothing is answered before all have been seen: 128 on each. */
	while (n_read < N) {
		int fd = accept4(server.listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			t_true(n_streams < STREAMS);
			streams[n_streams++] = fd;
		}
		for (int i = 0; i < n_streams; i++) {
			server.stream = streams[i];
			while (server_try_read(&server)) {
				n_read++;
				server_reply(&server);
			}
		}
		server.stream = -1;
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	}
	RIG_RUN_UNTIL(&rig, rig_stats(&rig).n_answered == N);
	t_true(n_streams >= 1);
	for (int i = 0; i < n_streams; i++)
		(void)close(streams[i]);
	end(set);
}

static void at_most_128_are_under_way_on_a_connection(void)
{
	enum { N = 130 };
	static struct result many[N];
	struct cp_upstream_set *set = begin(&usual);
	int first, n_read = 0;

	for (int i = 0; i < N; i++)
		ask(set, "www.example.com", &many[i]);
	RIG_RUN_UNTIL(&rig, server_try_accept(&server));
	RIG_RUN_UNTIL(&rig, is_truncated(N));
	first = server.stream;
	server.stream = -1;
	RIG_RUN_UNTIL(&rig, server_try_accept(&server));
	RIG_RUN_UNTIL(&rig, server_try_read(&server));
	RIG_RUN_UNTIL(&rig, server_try_read(&server));
	t_false(server_try_read(&server));
	(void)close(server.stream);
	server.stream = first;
	while (server_try_read(&server))
		n_read++;
	t_eq(n_read, 128);
	end(set);
}

static void a_closed_connection_is_replaced(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);

	/* The server closes just as the next question comes. */
	ask(set, "b.example", &results[1]);
	RIG_RUN_UNTIL(&rig, server_try_read(&server));
	sn_closep(&server.stream);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	result_is_answer(&results[1], "b.example");

	/* And while it is idle. */
	sn_closep(&server.stream);
	rig_run_for(&rig, 20);
	ask(set, "c.example", &results[2]);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[2].n_calls);
	result_is_answer(&results[2], "c.example");
	end(set);
}

/* It answers each connection's other question, so that it seems to serve. */
static void a_question_changes_connections_twice_at_most(void)
{
	static const char *const others[] = { "b.example", "c.example",
					      "d.example" };
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	RIG_RUN_UNTIL(&rig, server_try_accept(&server));
	for (int i = 0; i < 3; i++) {
		if (i > 0)
			RIG_RUN_UNTIL(&rig, server_try_accept(&server));
		RIG_RUN_UNTIL(&rig, server_try_read(&server));
		t_eq(results[0].n_calls, 0);
		ask(set, others[i], &results[1]);
		RIG_RUN_UNTIL(&rig, server_try_read(&server));
		server_reply(&server);
		RIG_RUN_UNTIL(&rig, results[1].n_calls == i + 1);
		sn_closep(&server.stream);
	}
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	end(set);
}

static void a_question_leaves_a_connection_that_fell_silent(void)
{
	const struct cp_upstream_options patient = {
		.timeout_ms = 6000,
		.try_ms = 6000,
	};
	struct cp_upstream_set *set = begin(&patient);
	int silent;

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	ask(set, "b.example", &results[1]);
	RIG_RUN_UNTIL(&rig, server_try_read(&server));
	silent = server.stream;
	server.stream = -1;
	/* After half of its time. */
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	result_is_answer(&results[1], "b.example");
	(void)close(silent);
	end(set);
}

static void an_idle_connection_does_not_count_as_silent(void)
{
	const struct cp_upstream_options short_lived = {
		.timeout_ms = 1000,
		.try_ms = 1000,
		.tcp_idle_ms = 20000,
	};
	struct cp_upstream_set *set = begin(&short_lived);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	rig_run_for(&rig, 1700);
	t_false(server_sees_end(&server));
	ask(set, "b.example", &results[1]);
	RIG_RUN_UNTIL(&rig, server_try_read(&server));
	end(set);
}

static void a_server_that_hangs_up_is_not_tried_for_ever(void)
{
	struct cp_upstream_set *set = begin(&usual);
	int n_accepted = 0;

	ask(set, "a.example", &results[0]);
	while (!results[0].n_calls) {
		if (server_try_accept(&server)) {
			n_accepted++;
			sn_closep(&server.stream);
		}
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	}
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	t_eq(n_accepted, 1);
	end(set);
}

static void a_half_closed_connection_ends_the_question(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_write(&server, "\0", 1);
	t_eq(shutdown(server.stream, SHUT_WR), 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	RIG_RUN_UNTIL(&rig, server_sees_end(&server));
	end(set);
}

static void a_refused_connection_ends_the_question(void)
{
	struct cp_upstream_set *set = begin(&usual);

	server_close_tcp(&server);
	ask(set, "a.example", &results[0]);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	end(set);
}

static void a_length_below_a_header_ends_the_connection(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_write(&server, "\0\13garbage", 9);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	RIG_RUN_UNTIL(&rig, server_sees_end(&server));
	end(set);
}

/* It promises 65,535 bytes and drips: nothing but time ends that. */
static void a_dripping_answer_does_not_hold_a_connection(void)
{
	struct cp_upstream_set *set = begin(&quick);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	server_write(&server, "\xff\xff", 2);
	while (!server_sees_end(&server)) {
		(void)send(server.stream, "x", 1, MSG_NOSIGNAL);
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	}
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_TIMEOUT);

	/* The next question has a new one. */
	ask(set, "b.example", &results[1]);
	server_accept_and_read(&rig, &server);
	server_reply(&server);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	result_is_answer(&results[1], "b.example");
	end(set);
}

static void answers_that_nobody_asked_for_end_the_connection(void)
{
	struct cp_upstream_set *set = begin(&usual);
	uint8_t bytes[512];
	size_t size;

	ask(set, "www.example.com", &results[0]);
	server_accept_and_read(&rig, &server);
	size = server_frame(&server, 0, bytes);
	bytes[2] ^= 1; /* id */
	for (int i = 0; i < 8; i++)
		server_write(&server, bytes, size);
	bytes[2] ^= 1;
	bytes[2 + 13] ^= 1; /* name */
	for (int i = 0; i < 7; i++)
		server_write(&server, bytes, size);
	RIG_RUN_UNTIL(&rig, rig_stats(&rig).n_mismatched == 15);
	t_eq(results[0].n_calls, 0);
	server_write(&server, bytes, size);
	RIG_RUN_UNTIL(&rig, server_sees_end(&server));
	t_eq(rig_stats(&rig).n_mismatched, 16);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	end(set);
}

static void a_question_may_be_cancelled_at_any_point(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	RIG_RUN_UNTIL(&rig, is_truncated(1));
	cp_upstream_cancel(results[0].request); /* waits for a connection */

	ask(set, "b.example", &results[1]);
	server_accept_and_read(&rig, &server);
	cp_upstream_cancel(results[1].request); /* sent */
	server_reply(&server);

	ask(set, "c.example", &results[2]);
	RIG_RUN_UNTIL(&rig, server_try_read(&server));
	server_write(&server, "\0", 1);
	rig_run_for(&rig, 10);
	cp_upstream_cancel(results[2].request); /* half an answer is there */
	t_eq(results[0].n_calls + results[1].n_calls + results[2].n_calls, 0);
	t_eq(rig_stats(&rig).n_mismatched, 0);
	t_eq(rig_stats(&rig).n_under_way, 0);
	end(set);
}

static void closing_ends_streams_and_their_questions(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	server_accept_and_read(&rig, &server);
	ask(set, "b.example", &results[1]);
	RIG_RUN_UNTIL(&rig, is_truncated(2));
	cp_upstream_close(rig.upstream, rig_closed, &rig);
	RIG_RUN_UNTIL(&rig, rig.is_closed);
	t_eq(results[0].status, -ECANCELED);
	t_eq(results[1].status, -ECANCELED);
	end(set);
}

static void closing_while_connecting(void)
{
	struct cp_upstream_set *set = begin(&usual);

	ask(set, "a.example", &results[0]);
	RIG_RUN_UNTIL(&rig, is_truncated(1));
	cp_upstream_close(rig.upstream, rig_closed, &rig);
	RIG_RUN_UNTIL(&rig, rig.is_closed);
	t_eq(results[0].status, -ECANCELED);
	end(set);
}

T_MAIN("upstream_stream", a_truncated_answer_is_asked_for_by_tcp,
       a_connection_is_kept_for_the_next_question, an_idle_connection_is_closed,
       questions_are_pipelined_and_answered_in_any_order,
       an_answer_may_come_byte_by_byte, the_largest_message_is_taken,
       many_questions_share_few_connections,
       at_most_128_are_under_way_on_a_connection,
       a_closed_connection_is_replaced,
       a_question_changes_connections_twice_at_most,
       a_question_leaves_a_connection_that_fell_silent,
       an_idle_connection_does_not_count_as_silent,
       a_server_that_hangs_up_is_not_tried_for_ever,
       a_half_closed_connection_ends_the_question,
       a_refused_connection_ends_the_question,
       a_length_below_a_header_ends_the_connection,
       a_dripping_answer_does_not_hold_a_connection,
       answers_that_nobody_asked_for_end_the_connection,
       a_question_may_be_cancelled_at_any_point,
       closing_ends_streams_and_their_questions, closing_while_connecting)
