// SPDX-License-Identifier: Apache-2.0

/* Questions by TLS against a server by hand. */

#include "controld/upstream/upstream.h"

#include "test/unit/test_upstream_tls_peer.h"

#define NAME "dns.example.net"

static struct rig rig;
static struct server servers[2];
static struct tls_peer peer;
static struct authority trusted, other;
static struct result results[3];

/* Servers whose certificates the engine is to find good or not. */
static struct cp_upstream_set *begin_with(const struct authority *issuer,
					  const char *common_name,
					  const char *alternative, int from,
					  int days, size_t n_servers)
{
	struct cp_upstream_options options = {
		.timeout_ms = 20000,
		.try_ms = 5000,
	};

	authority_init(&trusted);
	authority_init(&other);
	options.ca_file = trusted.path;
	rig_init(&rig, &options);
	for (size_t i = 0; i < n_servers; i++)
		server_init(&servers[i]);
	servers[0].config.is_tls = 1;
	(void)strcpy(servers[0].config.name, NAME);
	(void)memset(results, 0, sizeof(results));
	tls_peer_init(&peer, &servers[0], issuer, common_name, alternative,
		      from, days);
	return rig_set(&rig, servers, n_servers);
}

static struct cp_upstream_set *begin(const char *alternative)
{
	return begin_with(&trusted, NAME, alternative, -1, 2, 1);
}

static void end(struct cp_upstream_set *set, size_t n_servers)
{
	rig_end(&rig, set, servers, n_servers);
	tls_peer_done(&peer);
	authority_done(&trusted);
	authority_done(&other);
}

static void accept_peer(void)
{
	RIG_RUN_UNTIL(&rig, tls_peer_try_accept(&peer));
}

static void answer_one(struct cp_upstream_set *set, struct result *result)
{
	rig_ask(set, "www.example.com", result);
	if (!peer.ssl)
		accept_peer();
	RIG_RUN_UNTIL(&rig, tls_peer_try_read(&peer));
	tls_peer_reply(&peer);
	RIG_RUN_UNTIL(&rig, (tls_peer_pump(&peer), result->n_calls));
	result_is_answer(result, "www.example.com");
}

static void a_verified_server_answers_and_is_kept(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	answer_one(set, &results[0]);
	t_eq(peer.first_byte, 0x16); /* a handshake, no question */
	t_str_eq(SSL_get_servername(peer.ssl, TLSEXT_NAMETYPE_host_name), NAME);
	t_true(SSL_version(peer.ssl) >= TLS1_2_VERSION);
	answer_one(set, &results[1]);
	answer_one(set, &results[2]);
	t_true(accept4(servers[0].listener, NULL, NULL, SOCK_NONBLOCK) < 0);
	t_eq(rig_stats(&rig).n_tls_refused, 0);
	end(set, 1);
}

static void a_name_may_be_covered_by_a_wildcard(void)
{
	struct cp_upstream_set *set = begin("DNS:*.example.net");

	answer_one(set, &results[0]);
	end(set, 1);
}

static void every_byte_may_come_by_itself(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	peer.is_dripping = true;
	answer_one(set, &results[0]);
	end(set, 1);
}

static void a_session_is_taken_up_again(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	answer_one(set, &results[0]);
	t_false(SSL_session_reused(peer.ssl));
	tls_peer_end(&peer);
	rig_run_for(&rig, 20);
	answer_one(set, &results[1]);
	t_true(SSL_session_reused(peer.ssl));
	end(set, 1);
}

static void a_session_is_taken_up_again_with_tls_1_2(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	t_eq(SSL_CTX_set_max_proto_version(peer.context, TLS1_2_VERSION), 1);
	answer_one(set, &results[0]);
	t_eq(SSL_version(peer.ssl), TLS1_2_VERSION);
	tls_peer_end(&peer);
	rig_run_for(&rig, 20);
	answer_one(set, &results[1]);
	t_true(SSL_session_reused(peer.ssl));
	end(set, 1);
}

/* The question ends without having been sent in any form. */
static void is_refused(struct cp_upstream_set *set)
{
	rig_ask(set, "www.example.com", &results[0]);
	accept_peer();
	RIG_RUN_UNTIL(&rig, (tls_peer_pump(&peer), results[0].n_calls));
	t_eq(results[0].status, CP_UPSTREAM_E_TLS);
	t_eq(rig_stats(&rig).n_tls_refused, 1);
	t_eq(peer.first_byte, 0x16);
	RIG_RUN_UNTIL(&rig, !tls_peer_pump(&peer));
	t_false(server_try_receive(&servers[0]));
	t_true(accept4(servers[0].listener, NULL, NULL, SOCK_NONBLOCK) < 0);
	end(set, 1);
}

static void a_certificate_for_another_name_is_refused(void)
{
	is_refused(begin("DNS:dns.example.org"));
}

static void a_certificate_for_a_name_below_is_refused(void)
{
	is_refused(begin("DNS:a." NAME ",DNS:*." NAME));
}

static void a_name_in_the_subject_alone_is_refused(void)
{
	is_refused(begin(NULL));
}

static void a_certificate_for_the_address_is_refused(void)
{
	is_refused(begin("IP:127.0.0.1"));
}

static void an_expired_certificate_is_refused(void)
{
	is_refused(begin_with(&trusted, NAME, "DNS:" NAME, -5, 3, 1));
}

static void a_certificate_of_the_future_is_refused(void)
{
	is_refused(begin_with(&trusted, NAME, "DNS:" NAME, 2, 3, 1));
}

static void an_unknown_authority_is_refused(void)
{
	is_refused(begin_with(&other, NAME, "DNS:" NAME, -1, 2, 1));
}

static void tls_1_1_is_refused(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	SSL_CTX_set_security_level(peer.context, 0);
	t_eq(SSL_CTX_set_min_proto_version(peer.context, TLS1_VERSION), 1);
	t_eq(SSL_CTX_set_max_proto_version(peer.context, TLS1_1_VERSION), 1);
	is_refused(set);
}

static void a_server_without_tls_is_refused(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	rig_ask(set, "www.example.com", &results[0]);
	RIG_RUN_UNTIL(&rig, server_try_accept(&servers[0]));
	server_write(&servers[0], "\0\14 any message", 14);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_TLS);
	t_false(server_try_receive(&servers[0]));
	end(set, 1);
}

static void a_refused_server_fails_over_to_the_next(void)
{
	struct cp_upstream_set *set =
		begin_with(&other, NAME, "DNS:" NAME, -1, 2, 2);

	rig_ask(set, "www.example.com", &results[0]);
	accept_peer();
	RIG_RUN_UNTIL(&rig,
		      (tls_peer_pump(&peer), server_try_receive(&servers[1])));
	server_answer(&servers[1], 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example.com");
	end(set, 2);
}

static void a_hang_up_in_the_handshake_is_no_answer(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	rig_ask(set, "www.example.com", &results[0]);
	RIG_RUN_UNTIL(&rig, server_try_accept(&servers[0]));
	sn_closep(&servers[0].stream);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	end(set, 1);
}

static void the_peer_may_say_goodbye_at_any_time(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	answer_one(set, &results[0]);
	rig_ask(set, "www.example.com", &results[1]);
	RIG_RUN_UNTIL(&rig, tls_peer_try_read(&peer));
	(void)SSL_shutdown(peer.ssl);
	RIG_RUN_UNTIL(&rig, !tls_peer_pump(&peer));
	tls_peer_end(&peer);
	/* The question comes again on another connection. */
	accept_peer();
	RIG_RUN_UNTIL(&rig, tls_peer_try_read(&peer));
	tls_peer_reply(&peer);
	RIG_RUN_UNTIL(&rig, (tls_peer_pump(&peer), results[1].n_calls));
	result_is_answer(&results[1], "www.example.com");
	end(set, 1);
}

static void closing_and_cancelling_in_the_handshake(void)
{
	struct cp_upstream_set *set = begin("DNS:" NAME);

	rig_ask(set, "a.example", &results[0]);
	RIG_RUN_UNTIL(&rig, server_try_accept(&servers[0]));
	cp_upstream_cancel(results[0].request);
	rig_ask(set, "b.example", &results[1]);
	cp_upstream_close(rig.upstream, rig_closed, &rig);
	RIG_RUN_UNTIL(&rig, rig.is_closed);
	t_eq(results[0].n_calls, 0);
	t_eq(results[1].status, -ECANCELED);
	end(set, 1);
}

static void a_missing_authority_file_is_told(void)
{
	struct cp_upstream_options options = { .ca_file = "/nonexistent.pem" };
	struct cp_upstream *upstream = NULL;
	struct sn_diag diag = { .text = "" };
	uv_loop_t loop;

	t_eq(uv_loop_init(&loop), 0);
	options.loop = &loop;
	t_true(cp_upstream_new(&upstream, &options, &diag) < 0);
	t_not_null(strstr(diag.text, "/nonexistent.pem"));
	t_null(upstream);
	t_eq(uv_loop_close(&loop), 0);
}

T_MAIN("upstream_tls", a_verified_server_answers_and_is_kept,
       a_name_may_be_covered_by_a_wildcard, every_byte_may_come_by_itself,
       a_session_is_taken_up_again, a_session_is_taken_up_again_with_tls_1_2,
       a_certificate_for_another_name_is_refused,
       a_certificate_for_a_name_below_is_refused,
       a_name_in_the_subject_alone_is_refused,
       a_certificate_for_the_address_is_refused,
       an_expired_certificate_is_refused,
       a_certificate_of_the_future_is_refused, an_unknown_authority_is_refused,
       tls_1_1_is_refused, a_server_without_tls_is_refused,
       a_refused_server_fails_over_to_the_next,
       a_hang_up_in_the_handshake_is_no_answer,
       the_peer_may_say_goodbye_at_any_time,
       closing_and_cancelling_in_the_handshake,
       a_missing_authority_file_is_told)
