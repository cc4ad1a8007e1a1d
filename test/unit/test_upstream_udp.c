// SPDX-License-Identifier: Apache-2.0

/* Questions by UDP against servers by hand. */

#include "controld/upstream/upstream.h"

#include <sys/resource.h>

#include "test/unit/test_upstream_rig.h"

static const struct cp_upstream_options usual = {
	.timeout_ms = 20000,
	.try_ms = 5000,
};
static const struct cp_upstream_options quick = {
	.timeout_ms = 900,
	.try_ms = 40,
};

static struct rig rig;
static struct server servers[2];
static struct result results[4];

static struct cp_upstream_set *begin(const struct cp_upstream_options *options,
				     size_t n_servers)
{
	(void)memset(results, 0, sizeof(results));
	return rig_begin(&rig, options, servers, n_servers);
}

static void end(struct cp_upstream_set *set, size_t n_servers)
{
	rig_end(&rig, set, servers, n_servers);
}

static void an_answer_comes_without_id_and_case(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);
	struct cp_upstream_stats stats;

	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	t_eq(servers[0].in[2], 1); /* RD and nothing else */
	t_eq(servers[0].in[11], 1); /* OPT */
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_false(results[0].is_secure);
	stats = rig_stats(&rig);
	t_eq(stats.n_asked, 1);
	t_eq(stats.n_answered, 1);
	t_eq(stats.n_under_way, 0);
	t_eq(stats.n_failed + stats.n_mismatched + stats.n_retransmitted, 0);
	end(set, 1);
}

static void servers_may_have_ipv6_addresses(void)
{
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	socklen_t size = sizeof(address);
	struct cp_upstream_set *set, *own;
	uint8_t message[512];
	int fd;

	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		t_skip("there is no ::1 here");
	t_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	own = begin(&usual, 1);
	servers[0].config = (struct cp_dns_upstream){
		.family = SN_FAMILY_IPV6,
		.port = ntohs(address.sin6_port),
		.address = { [15] = 1 },
	};
	set = rig_set(&rig, servers, 1);
	rig_ask(set, "www.example.com", &results[0]);
	RIG_RUN_UNTIL(&rig,
		      recvfrom(fd, servers[0].in, sizeof(servers[0].in), 0,
			       (struct sockaddr *)&address, &size) > 0);
	size = sizeof(address);
	t_true(sendto(fd, message, server_make(&servers[0], 0, message), 0,
		      (struct sockaddr *)&address, size) > 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	(void)close(fd);
	(void)cp_upstream_set_unref(own);
	end(set, 1);
}

/* The question fails with what we lack. */
static void a_lack_of_descriptors_is_not_the_servers(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);
	int fds[64], n = 0;
	struct rlimit limit = { .rlim_cur = 64, .rlim_max = 64 };

	t_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (n < 64 && (fds[n] = dup(STDERR_FILENO)) >= 0)
		n++;
	rig_ask(set, "www.example.com", &results[0]);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, -EMFILE);
	while (n > 0)
		(void)close(fds[--n]);
	rig_ask(set, "www.example.com", &results[1]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	result_is_answer(&results[1], "www.example.com");
	end(set, 1);
}

/* Of so many draws none of the bounds can be missed by chance. */
static void ids_ports_and_case_are_random(void)
{
	enum { N = 2000 };
	static uint8_t ids[65536 / 8], ports[65536 / 8], cases[256];
	struct cp_upstream_set *set = begin(&usual, 1);
	int n_ids = 0, n_ports = 0, n_cases = 0;

	for (int i = 0; i < N; i++) {
		uint8_t letters = 0;
		uint16_t id, port;

		rig_ask(set, "abcdefgh", &results[0]);
		server_receive(&rig, &servers[0]);
		id = cp_dns_wire_get16(servers[0].in);
		port = ntohs(servers[0].from.sin_port);
		for (int j = 0; j < 8; j++)
			letters = (uint8_t)(letters << 1 |
					    !(servers[0].in[13 + j] & 0x20));
		n_ids += !(ids[id / 8] & 1 << id % 8);
		n_ports += !(ports[port / 8] & 1 << port % 8);
		n_cases += cases[letters]++ == 0;
		ids[id / 8] |= (uint8_t)(1 << id % 8);
		ports[port / 8] |= (uint8_t)(1 << port % 8);
		server_answer(&servers[0], 0);
		RIG_RUN_UNTIL(&rig, results[0].n_calls == i + 1);
	}
	t_true(n_ids > N - 200); /* 30 doubles are to be expected */
	t_true(n_ports >= N / 128); /* none serves more */
	t_true(n_cases > 250); /* of 256 */
	end(set, 1);
}

static void a_port_is_given_up_after_a_while(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);
	uint16_t ports[9];
	int held[8];

	for (int i = 0; i < 9; i++) {
		/* Eight at first, then these once more but for old age. They
		 * are kept, so that none is chosen again by chance. */
		if (i == 8)
			rig_run_for(&rig, 2600);
		for (int j = 0; i == 8 && j < 8; j++)
			RIG_RUN_UNTIL(&rig, (held[j] = server_bind(
						     SOCK_DGRAM,
						     ntohs(ports[j]))) >= 0);
		rig_ask(set, "www.example.com", &results[0]);
		server_receive(&rig, &servers[0]);
		ports[i] = servers[0].from.sin_port;
		server_answer(&servers[0], 0);
		RIG_RUN_UNTIL(&rig, results[0].n_calls == i + 1);
		for (int j = 0; j < i; j++)
			t_true(ports[i] != ports[j]);
	}
	for (int i = 0; i < 8; i++)
		(void)close(held[i]);
	end(set, 1);
}

/* Sends the answer with one thing wrong. */
static void send_wrong(size_t at, uint8_t bits)
{
	uint8_t message[512];
	size_t size = server_make(&servers[0], 0, message);

	message[at] ^= bits;
	server_send(&servers[0], message, size);
}

static void what_does_not_match_is_counted_and_waited_past(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);
	struct sockaddr_in from;
	uint8_t message[512];
	size_t size;
	int other;

	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	from = servers[0].from;
	size = server_make(&servers[0], 0, message);

	/* From another port of the same host: the kernel drops it. */
	other = server_bind(SOCK_DGRAM, 0);
	t_eq(sendto(other, message, size, 0, (struct sockaddr *)&from,
		    sizeof(from)),
	     size);
	(void)close(other);

	send_wrong(0, 1); /* id */
	send_wrong(2, RIG_QR);
	send_wrong(2, 0x08); /* opcode */
	send_wrong(5, 2); /* three questions */
	send_wrong(13, 0x01); /* another letter */
	send_wrong(30, 0x1c); /* AAAA */
	server_send(&servers[0], message, 11);
	server_send(&servers[0], message, 25);
	RIG_RUN_UNTIL(&rig, rig_stats(&rig).n_mismatched == 8);
	t_eq(results[0].n_calls, 0);
	server_send(&servers[0], message, size);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(rig_stats(&rig).n_mismatched, 8);
	end(set, 1);
}

static void a_flood_of_forgeries_moves_the_question_to_tcp(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);
	uint8_t message[512];
	size_t size;

	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	size = server_make(&servers[0], 0, message);
	for (int i = 0; i < 16; i++) {
		message[0] ^= (uint8_t)(i + 1);
		server_send(&servers[0], message, size);
		message[0] ^= (uint8_t)(i + 1);
	}
	/* The right one comes too late: nobody listens at that port. */
	server_send(&servers[0], message, size);
	server_accept_and_read(&rig, &servers[0]);
	t_eq(results[0].n_calls, 0);
	server_reply(&servers[0]);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(rig_stats(&rig).n_mismatched, 16);
	end(set, 1);
}

static void an_answer_in_other_case_moves_the_question_to_tcp(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);

	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	send_wrong(13, 0x20);
	server_accept_and_read(&rig, &servers[0]);
	t_eq(results[0].n_calls, 0);
	/* In lower case, so that a server that folds it is understood. */
	t_mem_eq(servers[0].in + 13, "www", 3);
	server_reply(&servers[0]);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(rig_stats(&rig).n_mismatched, 1);
	end(set, 1);
}

static void a_question_is_sent_again_with_growing_pauses(void)
{
	static const uint64_t least_ms[] = { 0, 40, 40 + 80, 40 + 80 + 160 };
	const struct cp_upstream_options longer = {
		.timeout_ms = 2500,
		.try_ms = 40,
	};
	struct cp_upstream_set *set = begin(&longer, 1);
	uint64_t start = rig_now_ms();
	uint8_t first[512];
	size_t first_size = 0;

	uv_update_time(&rig.loop);
	rig_ask(set, "www.example.com", &results[0]);
	for (int i = 0; i < 4; i++) {
		server_receive(&rig, &servers[0]);
		t_true(rig_now_ms() - start + 1 >= least_ms[i]);
		if (i == 0) {
			first_size = servers[0].size;
			(void)memcpy(first, servers[0].in, first_size);
		}
		/* The same bytes through the same port: one to be guessed. */
		t_eq(servers[0].size, first_size);
		t_mem_eq(servers[0].in, first, first_size);
	}
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_TIMEOUT);
	t_true(rig_now_ms() - start + 1 >= 2500);
	t_true(rig_stats(&rig).n_retransmitted >= 3);
	t_eq(rig_stats(&rig).n_failed, 1);
	end(set, 1);
}

/* A server that was slow answers what was sent again as often as it came; for
 * more questions than mismatches would be borne. */
static void answers_to_retransmissions_are_no_forgeries(void)
{
	enum { N = 40 };
	static struct result many[N];
	const struct cp_upstream_options slow = {
		.timeout_ms = 20000,
		.try_ms = 300,
	};
	struct cp_upstream_set *set = begin(&slow, 1);
	static uint8_t copies[2 * N][512];
	static struct sockaddr_in from[2 * N];
	size_t sizes[2 * N];

	for (int i = 0; i < N; i++)
		rig_ask(set, "www.example.com", &many[i]);
	for (int i = 0; i < 2 * N; i++) {
		server_receive(&rig, &servers[0]);
		sizes[i] = server_make(&servers[0], 0, copies[i]);
		from[i] = servers[0].from;
	}
	t_true(rig_stats(&rig).n_retransmitted >= N);
	for (int i = 0; i < 2 * N; i++) {
		servers[0].from = from[i];
		server_send(&servers[0], copies[i], sizes[i]);
	}
	RIG_RUN_UNTIL(&rig, rig_stats(&rig).n_answered == N);
	rig_run_for(&rig, 50);
	t_eq(rig_stats(&rig).n_mismatched, 0);
	end(set, 1);
}

static void a_silent_server_is_asked_last_and_probed_again(void)
{
	/* An answer that is sent at once comes before the next try. */
	const struct cp_upstream_options calm = {
		.timeout_ms = 20000,
		.try_ms = 300,
	};
	struct cp_upstream_set *set = begin(&calm, 2);

	/* The first is silent, so the second is asked too. */
	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	server_receive(&rig, &servers[1]);
	server_answer(&servers[1], 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(rig_stats(&rig).n_failovers, 1);

	/* It is known to be. */
	rig_ask(set, "www.example.com", &results[1]);
	server_receive(&rig, &servers[1]);
	server_answer(&servers[1], 0);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	t_false(server_try_receive(&servers[0]));

	/* After 12 times 300 ms both are asked at once. */
	rig_run_for(&rig, 4500);
	rig_ask(set, "www.example.com", &results[2]);
	server_receive(&rig, &servers[1]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[2].n_calls);
	result_is_answer(&results[2], "www.example.com");
	t_eq(rig_stats(&rig).n_failovers, 1);

	/* It answered, and is the first again. */
	rig_ask(set, "www.example.com", &results[3]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[3].n_calls);
	t_false(server_try_receive(&servers[1]));
	end(set, 2);
}

static void a_late_answer_of_the_first_server_counts(void)
{
	struct cp_upstream_set *set = begin(&quick, 2);

	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	server_receive(&rig, &servers[1]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");

	/* What comes then is late, not forged. */
	server_answer(&servers[1], 0);
	rig_run_for(&rig, 20);
	t_eq(rig_stats(&rig).n_mismatched, 0);
	t_eq(results[0].n_calls, 1);

	/* Once: after that it is nothing that we asked for. */
	server_answer(&servers[1], 0);
	RIG_RUN_UNTIL(&rig, rig_stats(&rig).n_mismatched == 1);
	end(set, 2);
}

static void a_closed_port_fails_over_at_once(void)
{
	struct cp_upstream_set *set = begin(&usual, 2);
	uint64_t start = rig_now_ms();

	server_close_udp(&servers[0]);
	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[1]);
	server_answer(&servers[1], 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_true(rig_now_ms() - start < 4500); /* before the first time-out */

	server_close_udp(&servers[1]);
	rig_ask(set, "www.example.com", &results[1]);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	t_eq(results[1].status, CP_UPSTREAM_E_UNREACHABLE);
	t_true(rig_now_ms() - start < 4500);
	end(set, 2);
}

static void an_address_without_a_route_is_unreachable(void)
{
	struct cp_upstream_set *set, *own;

	own = begin(&usual, 1);
	/* Broadcast needs a permission that the sockets do not have. */
	servers[0].config.address[0] = 255;
	servers[0].config.address[1] = 255;
	servers[0].config.address[2] = 255;
	servers[0].config.address[3] = 255;
	set = rig_set(&rig, servers, 1);
	rig_ask(set, "www.example.com", &results[0]);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	(void)cp_upstream_set_unref(own);
	end(set, 1);
}

static void a_server_without_edns_is_asked_without(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);
	uint8_t bare[RIG_HEADER] = { 0 };

	/* Its FORMERR may be a header alone, or have the question. */
	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	t_eq(servers[0].in[11], 1);
	(void)memcpy(bare, servers[0].in, 2);
	bare[2] = 0x81;
	bare[3] = 1;
	server_send(&servers[0], bare, sizeof(bare));
	server_receive(&rig, &servers[0]);
	t_eq(servers[0].in[11], 0);
	/* Still nothing but FORMERR: that is the answer then. */
	server_answer(&servers[0], 1);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, 0);
	t_eq(results[0].message[3] & 15, 1);

	rig_ask(set, "www.example.com", &results[1]);
	server_receive(&rig, &servers[0]);
	t_eq(servers[0].in[11], 1);
	server_answer(&servers[0], 1);
	server_receive(&rig, &servers[0]);
	t_eq(servers[0].in[11], 0);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	result_is_answer(&results[1], "www.example.com");

	/* That is remembered. */
	rig_ask(set, "www.example.com", &results[2]);
	server_receive(&rig, &servers[0]);
	t_eq(servers[0].in[11], 0);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[2].n_calls);
	result_is_answer(&results[2], "www.example.com");
	end(set, 1);
}

static void a_refusal_is_the_answer_if_no_server_knows_better(void)
{
	struct cp_upstream_set *set = begin(&usual, 2);

	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 2);
	server_receive(&rig, &servers[1]);
	server_answer(&servers[1], 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(results[0].message[3] & 15, 0);

	rig_ask(set, "www.example.com", &results[1]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 5);
	server_receive(&rig, &servers[1]);
	server_answer(&servers[1], 2);
	RIG_RUN_UNTIL(&rig, results[1].n_calls);
	result_is_answer(&results[1], "www.example.com");
	t_eq(results[1].message[3] & 15, 2);

	/* NXDOMAIN is an answer like any other. */
	rig_ask(set, "www.example.com", &results[2]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 3);
	RIG_RUN_UNTIL(&rig, results[2].n_calls);
	t_eq(results[2].message[3] & 15, 3);
	end(set, 2);
}

static void a_refusal_is_kept_while_the_other_server_is_silent(void)
{
	struct cp_upstream_set *set = begin(&quick, 2);

	rig_ask(set, "www.example.com", &results[0]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 5);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	t_eq(results[0].message[3] & 15, 5);
	end(set, 2);
}

static void the_number_under_way_is_bounded(void)
{
	const struct cp_upstream_options few = { .requests_max = 2 };
	struct cp_upstream_set *set = begin(&few, 1);

	rig_ask(set, "a.example", &results[0]);
	rig_ask(set, "b.example", &results[1]);
	t_eq(rig_try_ask(set, "c.example", &results[2]), -ENOBUFS);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls || results[1].n_calls);
	rig_ask(set, "c.example", &results[2]);
	t_eq(rig_stats(&rig).n_under_way, 2);
	end(set, 1);
}

static void many_at_once_are_all_answered(void)
{
	enum { N = 3000, AT_ONCE = 100 };
	static struct result many[N];
	static uint8_t ports[65536];
	struct cp_upstream_set *set = begin(&usual, 1);
	int n_asked = 0, n_ports = 0;
	char name[32];

	/* No more at once than the server's socket holds. */
	while (rig_stats(&rig).n_answered < N) {
		for (int i = 0; i < AT_ONCE && n_asked < N; i++, n_asked++) {
			(void)snprintf(name, sizeof(name), "n%d.example",
				       n_asked);
			rig_ask(set, name, &many[n_asked]);
		}
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
		while (server_try_receive(&servers[0])) {
			n_ports += !ports[servers[0].from.sin_port];
			ports[servers[0].from.sin_port] = 1;
			server_answer(&servers[0], 0);
		}
		t_eq(rig_stats(&rig).n_failed, 0);
	}
	for (int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "n%d.example", i);
		result_is_answer(&many[i], name);
	}
	/* None serves more than 128 and a batch of 32: 19 at least, of which
	 * few can have been drawn twice. */
	t_true(n_ports >= 15);
	end(set, 1);
}

T_MAIN("upstream_udp", an_answer_comes_without_id_and_case,
       servers_may_have_ipv6_addresses,
       a_lack_of_descriptors_is_not_the_servers, ids_ports_and_case_are_random,
       a_port_is_given_up_after_a_while,
       what_does_not_match_is_counted_and_waited_past,
       a_flood_of_forgeries_moves_the_question_to_tcp,
       an_answer_in_other_case_moves_the_question_to_tcp,
       a_question_is_sent_again_with_growing_pauses,
       answers_to_retransmissions_are_no_forgeries,
       a_silent_server_is_asked_last_and_probed_again,
       a_late_answer_of_the_first_server_counts,
       a_closed_port_fails_over_at_once,
       an_address_without_a_route_is_unreachable,
       a_server_without_edns_is_asked_without,
       a_refusal_is_the_answer_if_no_server_knows_better,
       a_refusal_is_kept_while_the_other_server_is_silent,
       the_number_under_way_is_bounded, many_at_once_are_all_answered)
