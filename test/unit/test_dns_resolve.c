/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/resolve.h"

#include "controld/dns/doh.h"
#include "test/unit/dns_resolve_rig.h"

static void an_allowed_name_is_learnt_before_it_is_answered(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "www.example.com", TYPE_A);
	t_eq(fake.n_requests, 1);
	fake_answer(0, 0, one_address);
	t_eq(rcode(), NONE);
	t_eq(fake.n_learns, 1);
	t_eq(fake.learns[0].n_addresses, 1);
	t_mem_eq(fake.learns[0].addresses[0].bytes, "\xc0\0\2\1", 4);
	t_eq(fake.learns[0].life_ns, (60 + GRACE_S) * SN_NS_PER_S);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	t_eq(n_records(), 1);
	t_eq(fake.ends[1][CP_ATTACH_DNS_END_ALLOWED], 1);
	end(resolve);
}

static void a_short_ttl_lives_to_the_floor(void)
{
	static const char *const brief[] = { "A 192.0.2.1 2", NULL };
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "example.com", TYPE_A);
	fake_answer(0, 0, brief);
	t_eq(fake.learns[0].life_ns, (FLOOR_S + GRACE_S) * SN_NS_PER_S);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	end(resolve);
}

static void a_name_without_a_rule_never_goes_upstream(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	rule(1, SN_VERDICT_DENY, "bad.example.com");
	ask(resolve, 1, "example.org", TYPE_A);
	t_eq(rcode(), REFUSED);
	ask(resolve, 1, "x.bad.example.com", TYPE_TXT);
	t_eq(rcode(), REFUSED);
	fake.settings[1].denied = CP_DNS_DENIED_NXDOMAIN;
	ask(resolve, 1, "example.org", TYPE_A);
	t_eq(rcode(), NXDOMAIN);
	fake.settings[1].denied = CP_DNS_DENIED_SINKHOLE;
	ask(resolve, 1, "example.org", TYPE_A);
	t_eq(rcode(), 0);
	t_eq(n_records(), 1);
	t_eq(fake.n_requests, 0);
	t_eq(fake.ends[1][CP_ATTACH_DNS_END_BLOCKED], 4);
	end(resolve);
}

static void each_mode_decides_as_its_table_says(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_DENYLIST);
	rule(1, SN_VERDICT_DENY, "bad.example");
	ask(resolve, 1, "bad.example", TYPE_A);
	t_eq(rcode(), REFUSED);
	ask(resolve, 1, "good.example", TYPE_A);
	t_eq(fake.n_requests, 1);
	fake_answer(0, 0, one_address);
	t_eq(fake.n_learns, 1);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);

	attach(2, CP_DNS_MODE_DISABLED);
	rule(2, SN_VERDICT_DENY, "good.example");
	ask(resolve, 2, "good.example", TYPE_A);
	t_eq(rcode(), 0);
	t_eq(fake.n_learns, 1);

	attach(3, CP_DNS_MODE_PROXY);
	ask(resolve, 3, "good.example", TYPE_A);
	t_eq(rcode(), SERVFAIL);
	end(resolve);
}

static void the_control_plane_decides_what_no_rule_does(void)
{
	struct cp_dns_resolve *resolve = start_proxy();
	struct cp_dns_proxy_answer answer = { .allow = true };

	ask(resolve, 1, "bad.example", TYPE_A);
	t_eq(rcode(), REFUSED);
	ask(resolve, 1, "good.example", TYPE_A);
	t_eq(fake.n_requests, 1);
	t_eq(fake.n_planes, 0);
	/* Allowed and not opened. */
	ask(resolve, 1, "a.example", TYPE_A);
	ask(resolve, 1, "a.example", TYPE_A);
	t_eq(fake.n_planes, 1);
	t_eq(fake.n_requests, 1);
	decide(&answer);
	t_eq(fake.n_requests, 2);
	fake_answer(1, 0, one_address);
	t_eq(fake.n_learns, 0);
	t_eq(fake.n_replies, 2);
	fake.n_replies = 0;
	/* Allowed and opened; the answer is cached by now. */
	answer.open = true;
	ask(resolve, 1, "a.example", TYPE_A);
	decide(&answer);
	t_eq(fake.n_requests, 2);
	t_eq(fake.n_learns, 1);
	t_true(fake.learns[0].by_control_plane);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	end(resolve);
}

static void the_control_plane_denies_fails_or_is_not_there(void)
{
	struct cp_dns_proxy_answer no = { .allow = false };
	struct cp_dns_proxy_answer failed = { .is_failed = true };
	struct cp_dns_resolve *resolve = start_proxy();

	ask(resolve, 1, "a.example", TYPE_A);
	decide(&no);
	t_eq(rcode(), REFUSED);
	ask(resolve, 1, "a.example", TYPE_A);
	decide(&failed);
	t_eq(rcode(), SERVFAIL);
	fake.plane_r = CP_DNS_PROXY_E_BUSY;
	ask(resolve, 1, "a.example", TYPE_A);
	t_eq(rcode(), SERVFAIL);
	fake.plane_r = CP_DNS_PROXY_E_KEPT;
	ask(resolve, 1, "a.example", TYPE_A);
	t_eq(rcode(), REFUSED);
	cp_dns_resolve_put_proxy(resolve, NULL);
	ask(resolve, 1, "a.example", TYPE_A);
	t_eq(rcode(), SERVFAIL);
	t_eq(fake.n_requests, 0);
	/* Under audit a denied name is answered, and not learnt. */
	cp_dns_resolve_put_proxy(resolve, (struct cp_dns_proxy *)&fake);
	fake.views[1].audit = true;
	ask(resolve, 1, "a.example", TYPE_A);
	fake_answer(0, 0, one_address);
	t_eq(rcode(), 0);
	t_eq(fake.n_learns, 0);
	end(resolve);
}

static void addresses_of_the_control_plane_are_the_answer(void)
{
	static const struct cp_dns_address addresses[] = {
		{ .family = SN_FAMILY_IPV4, .bytes = { 10, 0, 0, 1 } },
		{ .family = SN_FAMILY_IPV6, .bytes = { 0x20, 1 } },
	};
	struct cp_dns_proxy_answer answer = {
		.allow = true,
		.open = true,
		.ttl_s = 60,
		.addresses = addresses,
		.n_addresses = 2,
	};
	struct cp_dns_resolve *resolve = start_proxy();

	ask(resolve, 1, "a.example", TYPE_A);
	decide(&answer);
	t_eq(fake.n_requests, 0);
	t_eq(fake.learns[0].n_addresses, 1);
	t_mem_eq(fake.learns[0].addresses[0].bytes, "\x0a\0\0\1", 4);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	t_eq(n_records(), 1);
	/* Other types have no addresses to be given. */
	ask(resolve, 1, "a.example", TYPE_TXT);
	decide(&answer);
	t_eq(fake.n_requests, 1);
	/* The host's CIDR rules hold against it. */
	fake.say = CP_ATTACH_DNS_SAY_DENIES;
	fake.n_replies = 0;
	ask(resolve, 1, "b.example", TYPE_A);
	decide(&answer);
	t_eq(fake.n_learns, 1);
	t_eq(rcode(), 0);
	t_eq(n_records(), 0);
	end(resolve);
}

static void an_end_while_the_control_plane_is_asked_leaks_nothing(void)
{
	struct cp_dns_proxy_answer failed = { .is_failed = true };
	struct cp_dns_resolve *resolve = start_proxy();

	ask(resolve, 1, "a.example", TYPE_A);
	end(resolve);
	t_eq(fake.n_dropped, 1);
	decide(&failed);
	t_eq(fake.n_replies, 0);
}

static void audit_answers_what_it_would_block_and_learns_none_of_it(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	fake.views[1].audit = true;
	ask(resolve, 1, "example.org", TYPE_A);
	fake_answer(0, 0, one_address);
	t_eq(rcode(), 0);
	t_eq(fake.n_learns, 0);
	t_eq(fake.ends[1][CP_ATTACH_DNS_END_BLOCKED], 1);
	t_eq(fake.ends[1][CP_ATTACH_DNS_END_ALLOWED], 0);
	/* Observers know what was asked, and what its addresses are called. */
	t_eq(fake.n_denied[true], 1);
	t_eq(fake.n_denied[false], 0);
	t_eq(fake.n_answered, 1);
	t_true(cp_dns_name_is_equal(&fake.denied, &fake.answered));
	end(resolve);
}

static void what_cannot_be_learnt_is_not_answered(void)
{
	static const enum cp_attach_dns_learn_code codes[] = {
		CP_ATTACH_DNS_LEARN_DENIED,
		CP_ATTACH_DNS_LEARN_QUOTA,
		CP_ATTACH_DNS_LEARN_FULL,
		CP_ATTACH_DNS_LEARN_UNAVAILABLE,
	};
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "example.com", TYPE_A);
	fake_answer(0, 0, one_address);
	fake_learnt(0, codes[0]);
	t_eq(rcode(), SERVFAIL);
	for (size_t i = 1; i < SN_ARRAY_SIZE(codes); i++) {
		ask(resolve, 1, "example.com", TYPE_A); /* cached */
		t_eq(rcode(), NONE);
		fake_learnt(i, codes[i]);
		t_eq(rcode(), SERVFAIL);
	}
	fake.learn_r = -ENOBUFS;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(rcode(), SERVFAIL);
	t_eq(fake.n_requests, 1);
	t_eq(fake.ends[1][CP_ATTACH_DNS_END_FAILED], 5);
	end(resolve);
}

static void equal_questions_share_one_request_and_one_learning(void)
{
	struct cp_dns_resolve *resolve = start();

	for (uint32_t slot = 1; slot <= 2; slot++) {
		attach(slot, CP_DNS_MODE_ALLOWLIST);
		rule(slot, SN_VERDICT_ALLOW, "example.com");
	}
	for (int i = 0; i < 5; i++) {
		ask(resolve, 1, "example.com", TYPE_A);
		ask(resolve, 2, "example.com", TYPE_A);
	}
	ask(resolve, 1, "example.com", TYPE_AAAA);
	t_eq(fake.n_requests, 2);
	fake_answer(0, 0, one_address);
	t_eq(fake.n_learns, 2);
	ask(resolve, 1, "example.com", TYPE_A); /* while it is learnt */
	t_eq(fake.n_learns, 2);
	fake_learnt(fake.learns[0].slot == 1 ? 0 : 1, CP_ATTACH_DNS_LEARN_OK);
	t_eq(fake.n_replies, 6);
	fake_learnt(fake.learns[0].slot == 1 ? 1 : 0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(fake.n_replies, 11);
	fake_fail(1, CP_UPSTREAM_E_TIMEOUT);
	t_eq(fake.n_replies, 12);
	end(resolve);
}

static void a_cached_answer_is_learnt_again_when_its_life_has_ended(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "example.com", TYPE_A);
	fake_answer(0, 0, one_address);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);

	fake.is_learnt = true;
	fake.now_ns += 20 * SN_NS_PER_S;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(rcode(), 0);
	t_eq(fake.n_learns, 1);
	/* The TTL of the first record, which begins behind the question. */
	t_eq(fake.reply[12 + 13 + 4 + 9], 40);

	fake.is_learnt = false;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(rcode(), NONE);
	fake_learnt(1, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	t_eq(fake.n_requests, 1);

	fake.now_ns += 41 * SN_NS_PER_S;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(fake.n_requests, 2);
	end(resolve);
}

static void rules_are_consulted_before_the_cache(void)
{
	struct cp_dns_resolve *resolve = start();

	for (uint32_t slot = 1; slot <= 2; slot++)
		attach(slot, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "example.com", TYPE_A);
	fake_answer(0, 0, one_address);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	ask(resolve, 2, "example.com", TYPE_A);
	t_eq(rcode(), REFUSED);
	end(resolve);
}

static void a_rule_that_goes_meanwhile_counts(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "example.com", TYPE_A);
	rule(1, SN_VERDICT_DENY, "example.com");
	fake_answer(0, 0, one_address);
	t_eq(rcode(), REFUSED);
	t_eq(fake.n_learns, 0);

	/* The attachment ends while its question is upstream. */
	attach(2, CP_DNS_MODE_ALLOWLIST);
	rule(2, SN_VERDICT_ALLOW, "example.net");
	ask(resolve, 2, "example.net", TYPE_A);
	fake.views[2].id = NULL;
	fake_answer(1, 0, one_address);
	t_eq(rcode(), NONE);
	t_eq(fake.n_dropped, 1);
	end(resolve);
}

static void upstream_trouble_is_a_failure(void)
{
	static const int ends[] = { CP_UPSTREAM_E_TIMEOUT,
				    CP_UPSTREAM_E_UNREACHABLE,
				    CP_UPSTREAM_E_TLS, CP_UPSTREAM_E_BOGUS,
				    -EIO };
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	for (size_t i = 0; i < SN_ARRAY_SIZE(ends); i++) {
		ask(resolve, 1, "example.com", TYPE_A);
		t_eq(rcode(), NONE);
		fake_fail(i, ends[i]);
		t_eq(rcode(), SERVFAIL);
	}
	fake.ask_r = -ENOBUFS;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(rcode(), SERVFAIL);
	t_eq(cp_dns_resolve_put_upstreams(resolve, NULL, 0, false), 0);
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(rcode(), SERVFAIL);
	end(resolve);
}

static void negative_answers_pass_and_are_kept_by_their_soa(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "nothing.example.com", TYPE_A);
	fake_answer(0, NXDOMAIN, NULL);
	t_eq(rcode(), NXDOMAIN);
	t_eq(fake.n_learns, 0);
	end(resolve);
}

static void any_and_odd_questions_have_their_own_answers(void)
{
	struct cp_dns_origin origin = { .ops = &ops,
					.owner = &fake,
					.slot = 1 };
	struct cp_dns_resolve *resolve = start();
	uint8_t message[64] = { 0 };

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "example.com", TYPE_ANY);
	t_eq(rcode(), 0);
	t_eq(n_records(), 1);
	ask(resolve, 1, "example.com", 252); /* AXFR */
	t_eq(rcode(), NOTIMP);
	message[2] = 0x28; /* UPDATE */
	cp_dns_resolve_query(resolve, &origin, message, 12);
	t_eq(rcode(), NOTIMP);
	message[2] = 1;
	cp_dns_resolve_query(resolve, &origin, message, 12);
	t_eq(rcode(), 1); /* no question: FORMERR */
	cp_dns_resolve_query(resolve, &origin, message, 11);
	message[2] = 0x80; /* an answer */
	cp_dns_resolve_query(resolve, &origin, message, 12);
	t_eq(rcode(), NONE);
	t_eq(fake.n_dropped, 2);
	ask(resolve, 7, "example.com", TYPE_A); /* nobody's slot */
	t_eq(rcode(), NONE);
	t_eq(fake.n_dropped, 3);
	t_eq(fake.n_requests, 0);
	end(resolve);
}

static void one_attachment_cannot_use_up_what_all_share(void)
{
	struct cp_dns_resolve *resolve = start();
	char name[64];

	for (uint32_t slot = 1; slot <= 2; slot++) {
		attach(slot, CP_DNS_MODE_ALLOWLIST);
		rule(slot, SN_VERDICT_ALLOW, "example.com");
	}
	for (int i = 0; i < CP_DNS_RESOLVE_SLOT_WAITERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%d.example.com", i);
		ask(resolve, 1, name, TYPE_A);
	}
	t_eq(rcode(), NONE);
	ask(resolve, 1, "one-more.example.com", TYPE_A);
	t_eq(rcode(), SERVFAIL);
	ask(resolve, 2, "n0.example.com", TYPE_A);
	t_eq(rcode(), NONE);
	fake_answer(0, 0, one_address);
	t_eq(fake.n_learns, 2);
	end(resolve);
}

static void an_end_in_every_state_leaks_nothing(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "a.example.com", TYPE_A);
	ask(resolve, 1, "b.example.com", TYPE_A);
	fake_answer(0, 0, one_address);
	end(resolve);
	t_false(fake.requests[1].is_under_way);
	t_eq(fake.n_dropped, 2);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(fake.n_replies, 0);
}

static void listed_doh_servers_are_refused(void)
{
	static const char list[] = "dns.example.com\n";
	struct cp_dns_resolve *resolve = start();
	struct sn_diag diag;

	t_eq(cp_dns_doh_parse(list, sizeof(list) - 1, "list", &fake.doh, &diag),
	     0);
	attach(1, CP_DNS_MODE_DENYLIST);
	ask(resolve, 1, "dns.example.com", TYPE_A);
	t_eq(rcode(), REFUSED);
	rule(1, SN_VERDICT_ALLOW, "dns.example.com");
	ask(resolve, 1, "dns.example.com", TYPE_A);
	t_eq(fake.n_requests, 1);
	end(resolve);
	cp_dns_doh_free(fake.doh);
}

T_MAIN("dns_resolve", an_allowed_name_is_learnt_before_it_is_answered,
       a_short_ttl_lives_to_the_floor,
       a_name_without_a_rule_never_goes_upstream,
       each_mode_decides_as_its_table_says,
       the_control_plane_decides_what_no_rule_does,
       the_control_plane_denies_fails_or_is_not_there,
       addresses_of_the_control_plane_are_the_answer,
       an_end_while_the_control_plane_is_asked_leaks_nothing,
       audit_answers_what_it_would_block_and_learns_none_of_it,
       what_cannot_be_learnt_is_not_answered,
       equal_questions_share_one_request_and_one_learning,
       a_cached_answer_is_learnt_again_when_its_life_has_ended,
       rules_are_consulted_before_the_cache, a_rule_that_goes_meanwhile_counts,
       upstream_trouble_is_a_failure,
       negative_answers_pass_and_are_kept_by_their_soa,
       any_and_odd_questions_have_their_own_answers,
       one_attachment_cannot_use_up_what_all_share,
       an_end_in_every_state_leaks_nothing, listed_doh_servers_are_refused)
