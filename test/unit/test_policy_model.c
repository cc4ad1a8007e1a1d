// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/policy.h"

#include <malloc.h>
#include <time.h>

#include "test/unit/test_policy_rig.h"

static struct cp_policy_rule allow(const char *cidr, const char *ports)
{
	return rule_of(cidr, SN_VERDICT_ALLOW, ports);
}

static uint32_t add(struct cp_policy *policy, struct cp_policy_rule rule)
{
	struct cp_policy_rule added = { .id = 0 };

	t_eq(cp_policy_add(policy, &rule, &added, NULL), 0);
	return added.id;
}

static struct cp_policy *make(size_t max_rules)
{
	struct cp_policy *policy = NULL;

	t_eq(cp_policy_new(&policy, max_rules), 0);
	return policy;
}

static void a_new_policy_is_closed(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_settings settings = cp_policy_get_settings(policy);

	t_eq(settings.mode, SN_MODE_ALLOWLIST);
	t_eq(settings.inbound, SN_INBOUND_REPLIES);
	t_false(settings.audit);
	t_eq(cp_policy_count(policy), 0);
	t_null(cp_policy_next_rule(policy, 0));
}

static void add_gives_rising_ids_and_keeps_rules_findable(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_prefix prefix;
	struct cp_policy_rule wanted = allow("10.0.0.0/8", "80/tcp");

	t_eq(add(policy, allow("10.0.0.0/8", "443/tcp")), 1);
	t_eq(add(policy, allow("2001:db8::/32", NULL)), 2);
	t_eq(add(policy, wanted), 3);
	t_eq(cp_policy_get_rule(policy, 3)->ports[0].low, 80);
	t_null(cp_policy_get_rule(policy, 4));
	t_true(cp_policy_get_prefix(policy, &wanted.cidr, &prefix));
	t_eq(prefix.n_rules, 2);
	t_eq(prefix.n_items, 2);
	t_eq(prefix.rules[0]->id, 1);
	t_eq(prefix.rules[1]->id, 3);
	t_eq(cp_policy_count_length(policy, SN_FAMILY_IPV4, 8), 1);
	t_eq(cp_policy_count_length(policy, SN_FAMILY_IPV6, 32), 1);
	t_eq(cp_policy_count_length(policy, SN_FAMILY_IPV6, 8), 0);
}

static void add_replaces_verdict_and_ttl_of_the_same_rule(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_rule deny = rule_of("10.0.0.1", SN_VERDICT_DENY, "53");
	struct cp_policy_rule previous = { .id = 0 }, now;

	t_eq(add(policy, allow("10.0.0.1", "53")), 1);
	deny.ttl_s = 5;
	deny.expires_ns = 500;
	t_eq(cp_policy_add(policy, &deny, &now, &previous),
	     CP_POLICY_E_REPLACED);
	t_eq(previous.verdict, SN_VERDICT_ALLOW);
	t_eq(previous.expires_ns, 0);
	t_eq(now.id, 1);
	t_eq(now.verdict, SN_VERDICT_DENY);
	t_eq(cp_policy_get_rule(policy, 1)->ttl_s, 5);
	t_eq(cp_policy_count(policy), 1);
	t_eq(cp_policy_get_next_id(policy), 2);

	t_eq(cp_policy_add(policy, &previous, NULL, NULL),
	     CP_POLICY_E_REPLACED);
	t_eq(cp_policy_get_rule(policy, 1)->verdict, SN_VERDICT_ALLOW);
}

static void rules_of_two_owners_stand_beside_each_other(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_rule remote = allow("10.0.0.1", NULL);

	remote.owner = CP_POLICY_OWNER_REMOTE;
	t_eq(add(policy, allow("10.0.0.1", NULL)), 1);
	t_eq(add(policy, remote), 2);
	t_eq(cp_policy_remove(policy, &remote.cidr, NULL, 0,
			      CP_POLICY_OWNER_LOCAL, 0),
	     1);
	t_null(cp_policy_get_rule(policy, 1));
	t_not_null(cp_policy_get_rule(policy, 2));
}

static void a_prefix_has_eight_items(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(100);
	struct cp_policy_rule rule = allow("10.0.0.0/8", "1");
	struct cp_policy_prefix prefix;

	for (uint16_t i = 1; i <= 7; i++) {
		rule.ports[0].low = rule.ports[0].high = i;
		(void)add(policy, rule);
	}
	rule.n_ports = 2;
	rule.ports[1] = (struct cp_policy_ports){ .low = 9, .high = 9 };
	rule.ports[0] = (struct cp_policy_ports){ .low = 8, .high = 8 };
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), CP_POLICY_E_PREFIX_FULL);
	rule.n_ports = 1;
	(void)add(policy, rule);
	rule.ports[0].low = rule.ports[0].high = 9;
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), CP_POLICY_E_PREFIX_FULL);
	t_true(cp_policy_get_prefix(policy, &rule.cidr, &prefix));
	t_eq(prefix.n_items, SN_ITEMS_MAX);
	t_eq(cp_policy_count(policy), 8);
}

static void limit_refuses_and_changes_nothing(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(1);
	struct cp_policy_rule other = allow("10.0.0.2", NULL);

	t_eq(add(policy, allow("10.0.0.1", NULL)), 1);
	t_eq(cp_policy_add(policy, &other, NULL, NULL), CP_POLICY_E_FULL);
	t_eq(cp_policy_count(policy), 1);
	t_eq(cp_policy_get_next_id(policy), 2);
}

static void ids_end_and_are_never_given_twice(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_rule rule = allow("10.0.0.1", NULL);

	cp_policy_raise_next_id(policy, UINT32_MAX);
	t_eq(add(policy, rule), UINT32_MAX);
	t_eq(cp_policy_get_next_id(policy), 0);
	rule = allow("10.0.0.2", NULL);
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), CP_POLICY_E_FULL);
	rule.id = 7;
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), 0);
	rule = allow("10.0.0.3", NULL);
	rule.id = 7;
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), CP_POLICY_E_ID);
	t_eq(cp_policy_next_rule(policy, 0)->id, 7);
	t_eq(cp_policy_next_rule(policy, 7)->id, UINT32_MAX);
	t_null(cp_policy_next_rule(policy, UINT32_MAX));
}

static void remove_takes_the_prefix_or_exactly_these_ports(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_rule web = allow("10.0.0.0/8", "443/tcp");
	struct cp_policy_rule other = allow("10.0.0.0/8", "442/tcp");
	struct cp_policy_rule lapsed = allow("10.0.0.0/8", "53");

	lapsed.expires_ns = 100;
	(void)add(policy, web);
	(void)add(policy, allow("10.0.0.0/8", NULL));
	(void)add(policy, lapsed);
	(void)add(policy, allow("10.0.0.0/9", NULL));
	t_eq(cp_policy_remove(policy, &web.cidr, other.ports, 1,
			      CP_POLICY_OWNER_NONE, 100),
	     0);
	t_eq(cp_policy_remove(policy, &web.cidr, web.ports, 1,
			      CP_POLICY_OWNER_NONE, 100),
	     1);
	t_eq(cp_policy_count(policy), 3);
	t_eq(cp_policy_remove(policy, &web.cidr, NULL, 0, CP_POLICY_OWNER_NONE,
			      100),
	     1);
	t_eq(cp_policy_count(policy), 1);
	t_eq(cp_policy_count_length(policy, SN_FAMILY_IPV4, 8), 0);
	t_eq(cp_policy_count_length(policy, SN_FAMILY_IPV4, 9), 1);
}

static void a_removed_rule_can_be_put_back_under_its_id(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_rule old;

	(void)add(policy, allow("10.0.0.0/8", "1"));
	(void)add(policy, allow("10.0.0.0/8", "2"));
	old = *cp_policy_get_rule(policy, 1);
	t_true(cp_policy_remove_id(policy, 1));
	t_false(cp_policy_remove_id(policy, 1));
	t_eq(add(policy, old), 1);
	t_eq(cp_policy_next_rule(policy, 0)->id, 1);
	t_eq(cp_policy_next_rule(policy, 1)->id, 2);
	t_eq(cp_policy_get_next_id(policy), 3);
}

static void live_count_follows_the_clock_and_changes(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_rule rule = allow("10.0.0.1", NULL);
	struct cp_policy_prefix prefix;

	rule.expires_ns = 100;
	(void)add(policy, rule);
	(void)add(policy, allow("10.0.0.1", "53"));
	t_eq(cp_policy_count_live(policy, 50), 2);
	t_eq(cp_policy_next_expiry(policy, 50), 100);
	t_eq(cp_policy_count_live(policy, 99), 2);
	t_eq(cp_policy_count_live(policy, 100), 1);
	t_eq(cp_policy_next_expiry(policy, 100), 0);
	t_eq(cp_policy_count(policy), 2);
	rule.expires_ns = 300;
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), CP_POLICY_E_REPLACED);
	t_eq(cp_policy_count_live(policy, 200), 2);
	t_eq(cp_policy_count_live(policy, 300), 1);
	t_true(cp_policy_get_prefix(policy, &rule.cidr, &prefix));
	t_false(cp_policy_prefix_is_lapsed(&prefix, 300));
	t_true(cp_policy_remove_id(policy, 1));
	t_eq(cp_policy_count_live(policy, 300), 1);
	t_true(cp_policy_remove_id(policy, 2));
	t_eq(cp_policy_count_live(policy, 300), 0);
}

static void copy_is_equal_and_independent(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	sn_cleanup(cp_policy_freep) struct cp_policy *copy = NULL;
	const struct cp_policy_settings settings = {
		.mode = SN_MODE_DENYLIST,
		.inbound = SN_INBOUND_ALLOW,
		.audit = true,
	};

	cp_policy_put_settings(policy, &settings);
	(void)add(policy, allow("10.0.0.0/8", "1"));
	(void)add(policy, allow("10.0.0.0/8", "2"));
	t_true(cp_policy_remove_id(policy, 1));
	t_eq(cp_policy_copy(policy, &copy), 0);
	t_true(cp_policy_remove_id(policy, 2));
	t_eq(cp_policy_count(copy), 1);
	t_eq(cp_policy_get_rule(copy, 2)->ports[0].low, 2);
	t_eq(cp_policy_get_next_id(copy), 3);
	t_eq(cp_policy_get_settings(copy).mode, SN_MODE_DENYLIST);
	t_eq(cp_policy_get_settings(copy).inbound, SN_INBOUND_ALLOW);
	t_true(cp_policy_get_settings(copy).audit);
}

static void adopted_ids_name_equal_rules_and_no_old_one_else(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *running = make(10);
	sn_cleanup(cp_policy_freep) struct cp_policy *next = make(10);
	struct cp_policy_prefix prefix;
	struct cp_policy_rule same = allow("10.0.0.0/8", "2");
	struct cp_policy_diff diff;

	(void)add(running, allow("10.0.0.0/8", "1"));
	(void)add(running, same);
	(void)add(running, allow("10.0.0.3", NULL));
	t_true(cp_policy_remove_id(running, 3));
	(void)add(next, allow("192.0.2.0/24", NULL));
	(void)add(next, rule_of("10.0.0.0/8", SN_VERDICT_DENY, "1"));
	(void)add(next, same);
	t_eq(cp_policy_adopt_ids(next, running), 0);

	t_eq(cp_policy_get_rule(next, 2)->ports[0].low, 2);
	t_eq(cp_policy_get_rule(next, 4)->cidr.length, 24);
	t_eq(cp_policy_get_rule(next, 5)->verdict, SN_VERDICT_DENY);
	t_eq(cp_policy_get_next_id(next), 6);
	t_true(cp_policy_get_prefix(next, &same.cidr, &prefix));
	t_eq(prefix.rules[0]->id, 2);
	t_eq(prefix.rules[1]->id, 5);

	diff = cp_policy_compare(running, next, 0);
	t_eq(diff.added, 2);
	t_eq(diff.removed, 1);
	t_eq(diff.unchanged, 1);
}

static void compare_takes_lapsed_rules_for_gone(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *before = make(10);
	sn_cleanup(cp_policy_freep) struct cp_policy *after = make(10);
	struct cp_policy_rule rule = allow("10.0.0.1", NULL);
	struct cp_policy_diff diff;

	rule.ttl_s = 1;
	rule.expires_ns = 100;
	(void)add(before, rule);
	(void)add(after, rule);
	diff = cp_policy_compare(before, after, 99);
	t_eq(diff.unchanged, 1);
	t_eq(diff.added, 0);
	diff = cp_policy_compare(before, after, 100);
	t_eq(diff.unchanged, 0);
	t_eq(diff.added, 1);
	t_eq(diff.removed, 0);
}

static void ttls_start_when_the_policy_takes_effect(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_policy_rule rule = allow("10.0.0.1", NULL);

	rule.ttl_s = CP_POLICY_TTL_MAX_S;
	(void)add(policy, rule);
	(void)add(policy, allow("10.0.0.2", NULL));
	cp_policy_start_ttls(policy, 1000);
	t_eq(cp_policy_get_rule(policy, 1)->expires_ns,
	     1000 + 3155760000ULL * SN_NS_PER_S);
	t_eq(cp_policy_get_rule(policy, 2)->expires_ns, 0);
	t_eq(cp_policy_next_expiry(policy, 1000),
	     1000 + 3155760000ULL * SN_NS_PER_S);
}

/* Random adds and removes of few prefixes against a plain array. */
static void model_agrees_with_a_plain_list(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10000);
	static struct cp_policy_rule list[64][4];
	static bool present[64][4];
	struct cp_policy_prefix prefix;
	unsigned int seed = 7;
	size_t n = 0, cursor = 0, n_seen = 0;

	for (unsigned int i = 0; i < 64; i++) {
		for (unsigned int j = 0; j < 4; j++) {
			list[i][j] = allow("10.0.0.0/32", "1");
			list[i][j].cidr.address[3] = (uint8_t)i;
			list[i][j].ports[0].low = (uint16_t)(j + 1);
			list[i][j].ports[0].high = (uint16_t)(j + 1);
		}
	}
	for (unsigned int step = 0; step < 200000; step++) {
		unsigned int i, j;

		seed = seed * 1103515245 + 12345;
		i = (seed >> 16) % 64;
		j = (seed >> 24) % 4;
		if (present[i][j]) {
			t_eq(cp_policy_remove(policy, &list[i][j].cidr,
					      list[i][j].ports, 1,
					      CP_POLICY_OWNER_LOCAL, 0),
			     1);
			n--;
		} else {
			(void)add(policy, list[i][j]);
			n++;
		}
		present[i][j] = !present[i][j];
	}
	t_eq(cp_policy_count(policy), n);
	t_eq(cp_policy_count_live(policy, 0), n);
	while (cp_policy_next_prefix(policy, &cursor, &prefix)) {
		for (uint8_t k = 0; k < prefix.n_rules; k++, n_seen++)
			t_true(present[prefix.cidr.address[3]]
				      [prefix.rules[k]->ports[0].low - 1]);
	}
	t_eq(n_seen, n);
	n_seen = 0;
	for (const struct cp_policy_rule *rule = cp_policy_next_rule(policy, 0);
	     rule; rule = cp_policy_next_rule(policy, rule->id))
		n_seen++;
	t_eq(n_seen, n);
}

static void million_rules_fit_time_and_memory(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(1000000);
	struct cp_policy_rule rule = allow("10.0.0.1", NULL);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, after;
	struct timespec begin, end;
	double seconds;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	for (uint32_t i = 0; i < 1000000; i++) {
		(void)memcpy(rule.cidr.address, &i, sizeof(i));
		if (cp_policy_add(policy, &rule, NULL, NULL) != 0)
			t_fail("rule %u is refused", i);
	}
	for (uint32_t id = 1; id <= 1000000; id++) {
		if (!cp_policy_remove_id(policy, id))
			t_fail("rule %u cannot be removed", id);
		if (id == 500000)
			break;
	}
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	seconds = (double)(end.tv_sec - begin.tv_sec) +
		  (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	t_eq(cp_policy_count(policy), 500000);
	t_eq(cp_policy_next_rule(policy, 0)->id, 500001);
	/* Sanitizers have their own allocator and are slow. */
	t_true(seconds < 20);
	t_true(after - before < 200000000);
}

T_MAIN("policy_model", a_new_policy_is_closed,
       add_gives_rising_ids_and_keeps_rules_findable,
       add_replaces_verdict_and_ttl_of_the_same_rule,
       rules_of_two_owners_stand_beside_each_other, a_prefix_has_eight_items,
       limit_refuses_and_changes_nothing, ids_end_and_are_never_given_twice,
       remove_takes_the_prefix_or_exactly_these_ports,
       a_removed_rule_can_be_put_back_under_its_id,
       live_count_follows_the_clock_and_changes, copy_is_equal_and_independent,
       adopted_ids_name_equal_rules_and_no_old_one_else,
       compare_takes_lapsed_rules_for_gone,
       ttls_start_when_the_policy_takes_effect, model_agrees_with_a_plain_list,
       million_rules_fit_time_and_memory)
