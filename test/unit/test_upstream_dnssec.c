// SPDX-License-Identifier: Apache-2.0

/* Validation against a resolver by hand that has a signed zone. */

#include "controld/upstream/upstream.h"

#include "test/unit/test_upstream_zone.h"

/* The name of ::1. */
#define LOOPBACK6                  \
	"1.0.0.0.0.0.0.0.0.0.0.0." \
	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"

enum { DAY_S = 86400 };

static struct rig rig;
static struct server server;
static struct zone zone;
static struct result results[3];

static struct cp_upstream_set *begin_with(long life_s, uint32_t timeout_ms)
{
	struct cp_upstream_options options = { .timeout_ms = timeout_ms };

	zone_init(&zone, life_s);
	options.trust_anchor_file = zone.anchor;
	rig_init(&rig, &options);
	server_init(&server);
	(void)memset(results, 0, sizeof(results));
	return rig_set_of(&rig, &server, 1, true);
}

static struct cp_upstream_set *begin(void)
{
	return begin_with(10 * DAY_S, 20000);
}

static void end(struct cp_upstream_set *set)
{
	rig_end(&rig, set, &server, 1);
	zone_done(&zone);
}

static void resolve(struct cp_upstream_set *set, const char *name,
		    struct result *result)
{
	rig_ask(set, name, result);
	RIG_RUN_UNTIL(&rig, zone_pump(&zone, &server) || result->n_calls);
}

static unsigned int n_answers(const struct result *result)
{
	return cp_dns_wire_get16(result->message + 6);
}

static void a_signed_answer_is_secure(void)
{
	struct cp_upstream_set *set = begin();
	int n;

	resolve(set, "www.example", &results[0]);
	result_is_answer(&results[0], "www.example");
	t_true(results[0].is_secure);
	t_true(n_answers(&results[0]) >= 1);

	/* Through an alias, too. */
	resolve(set, "alias.example", &results[1]);
	result_is_answer(&results[1], "alias.example");
	t_true(results[1].is_secure);
	t_true(n_answers(&results[1]) >= 2);

	/* What is known is told from the loop as well (rig_ask looks at that),
	 * without another query. */
	n = zone.n_queries;
	resolve(set, "www.example", &results[2]);
	result_is_answer(&results[2], "www.example");
	t_true(results[2].is_secure);
	t_eq(zone.n_queries, n);
	t_eq(rig_stats(&rig).n_answered, 3);
	end(set);
}

static void is_bogus(struct cp_upstream_set *set, const char *name,
		     enum zone_fault fault)
{
	zone.fault = fault;
	resolve(set, name, &results[0]);
	t_eq(results[0].status, CP_UPSTREAM_E_BOGUS);
	t_false(results[0].is_secure);
	t_eq(rig_stats(&rig).n_failed, 1);
	end(set);
}

static void a_forged_answer_is_bogus(void)
{
	is_bogus(begin(), "www.example", ZONE_FAULT_FORGED);
}

static void an_unsigned_answer_is_bogus(void)
{
	is_bogus(begin(), "www.example", ZONE_FAULT_UNSIGNED);
}

static void an_unproven_denial_is_bogus(void)
{
	is_bogus(begin(), "none.example", ZONE_FAULT_UNPROVEN);
}

static void a_signature_that_has_ended_is_bogus(void)
{
	is_bogus(begin_with(DAY_S, 20000), "www.example", ZONE_FAULT_NONE);
}

static void a_proven_denial_is_secure(void)
{
	struct cp_upstream_set *set = begin();

	resolve(set, "none.example", &results[0]);
	result_is_answer(&results[0], "none.example");
	t_eq(results[0].message[3] & 15, LDNS_RCODE_NXDOMAIN);
	t_true(results[0].is_secure);
	end(set);
}

/* Also those that libunbound would answer by itself. */
static void names_without_an_anchor_are_answered_as_insecure(void)
{
	static const char *const names[] = {
		"www.elsewhere",
		"host.test",
		"localhost",
		"x.onion",
		"x.invalid",
		"router.home.arpa",
		"1.0.0.127.in-addr.arpa",
		"1.2.168.192.in-addr.arpa",
		"1.0.0.10.in-addr.arpa",
		"1.1.64.100.in-addr.arpa",
		"1.1.254.169.in-addr.arpa",
		"x.d.f.ip6.arpa",
		LOOPBACK6,
	};
	struct cp_upstream_set *set = begin();

	for (size_t i = 0; i < SN_ARRAY_SIZE(names); i++) {
		(void)memset(results, 0, sizeof(results));
		resolve(set, names[i], &results[0]);
		result_is_answer(&results[0], names[i]);
		t_false(results[0].is_secure);
		if (n_answers(&results[0]) != 1)
			t_fail("%s is not the upstream's", names[i]);
	}
	end(set);
}

static void checking_may_be_disabled(void)
{
	struct cp_upstream_set *set = begin();
	struct cp_dns_name name = rig_name("www.example");
	const struct cp_upstream_question question = {
		.name = &name,
		.type = RIG_TYPE_A,
		.class = 1,
		.wants_dnssec = true,
		.checking_disabled = true,
	};

	zone.fault = ZONE_FAULT_FORGED;
	t_eq(cp_upstream_ask(set, &question, rig_told, &results[0],
			     &results[0].request),
	     0);
	server_receive(&rig, &server);
	t_eq(server.in[3] & 0x10, 0x10); /* CD */
	t_eq(server.in[server.size - 4] & 0x80, 0x80); /* DO */
	server_answer(&server, 0);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	result_is_answer(&results[0], "www.example");
	t_false(results[0].is_secure);
	end(set);
}

static void a_silent_server_times_out(void)
{
	struct cp_upstream_set *set = begin_with(10 * DAY_S, 300);

	rig_ask(set, "www.example", &results[0]);
	RIG_RUN_UNTIL(&rig, results[0].n_calls);
	t_eq(results[0].status, CP_UPSTREAM_E_TIMEOUT);
	t_eq(rig_stats(&rig).n_under_way, 0);
	end(set);
}

static void a_failing_server_is_answered_with_its_failure(void)
{
	struct cp_upstream_set *set = begin();

	rig_ask(set, "www.example", &results[0]);
	while (!results[0].n_calls) {
		while (server_try_receive(&server))
			server_answer(&server, 2);
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
	}
	result_is_answer(&results[0], "www.example");
	t_eq(results[0].message[3] & 15, 2);
	t_false(results[0].is_secure);
	end(set);
}

static void cancelled_questions_say_nothing(void)
{
	struct cp_upstream_set *set = begin();

	rig_ask(set, "www.example", &results[0]);
	server_receive(&rig, &server);
	cp_upstream_cancel(results[0].request); /* under way */

	resolve(set, "www.example", &results[1]);
	result_is_answer(&results[1], "www.example");
	rig_ask(set, "www.example", &results[2]);
	cp_upstream_cancel(results[2].request); /* known, not told yet */
	rig_run_for(&rig, 20);
	t_eq(results[0].n_calls + results[2].n_calls, 0);
	t_eq(rig_stats(&rig).n_under_way, 0);
	end(set);
}

static void closing_ends_what_is_under_way(void)
{
	struct cp_upstream_set *set = begin();

	resolve(set, "www.example", &results[0]);
	rig_ask(set, "none.example", &results[1]);
	server_receive(&rig, &server);
	rig_ask(set, "www.example", &results[2]);
	cp_upstream_close(rig.upstream, rig_closed, &rig);
	RIG_RUN_UNTIL(&rig, rig.is_closed);
	t_eq(results[1].status, -ECANCELED);
	t_eq(results[2].status, -ECANCELED);
	t_eq(results[1].n_calls + results[2].n_calls, 2);
	end(set);
}

static void a_set_with_tls_servers_cannot_validate(void)
{
	struct cp_upstream_set *set = begin(), *other = NULL;
	struct cp_dns_upstream configs[2] = { server.config, server.config };

	configs[1].is_tls = 1;
	(void)strcpy(configs[1].name, "dns.example");
	t_eq(cp_upstream_set_get(rig.upstream, configs, 2, true, &other),
	     -EOPNOTSUPP);
	t_null(other);
	end(set);
}

static void without_a_trust_anchor_nothing_is_asked(void)
{
	struct cp_upstream_set *set = begin(), *other = NULL;

	(void)unlink(zone.anchor);
	t_eq(cp_upstream_set_get(rig.upstream, &server.config, 1, true, &other),
	     -ENOENT);
	t_null(other);
	t_true(rig_try_ask(set, "www.example", &results[0]) < 0);
	t_eq(rig_stats(&rig).n_under_way, 0);
	rig_run_for(&rig, 20);
	t_eq(zone.n_queries, 0);
	end(set);
}

/* Each context costs memory and sockets; the others still have theirs. */
static void the_number_of_validating_sets_is_bounded(void)
{
	enum { N = 17 };
	struct cp_upstream_set *set = begin();
	struct cp_upstream_set *sets[N];
	struct cp_dns_upstream config = server.config;

	resolve(set, "www.example", &results[0]);
	for (int i = 1; i < N; i++) {
		config.address[2] = (uint8_t)i;
		t_eq(cp_upstream_set_get(rig.upstream, &config, 1, true,
					 &sets[i]),
		     0);
		t_eq(rig_try_ask(sets[i], "www.example", &results[1]),
		     i < N - 1 ? 0 : -ENOBUFS);
		if (i < N - 1)
			cp_upstream_cancel(results[1].request);
		(void)cp_upstream_set_unref(sets[i]);
	}
	end(set);
}

T_MAIN("upstream_dnssec", a_signed_answer_is_secure, a_forged_answer_is_bogus,
       an_unsigned_answer_is_bogus, an_unproven_denial_is_bogus,
       a_signature_that_has_ended_is_bogus, a_proven_denial_is_secure,
       names_without_an_anchor_are_answered_as_insecure,
       checking_may_be_disabled, a_silent_server_times_out,
       a_failing_server_is_answered_with_its_failure,
       cancelled_questions_say_nothing, closing_ends_what_is_under_way,
       a_set_with_tls_servers_cannot_validate,
       without_a_trust_anchor_nothing_is_asked,
       the_number_of_validating_sets_is_bounded)
