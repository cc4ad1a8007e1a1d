// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/doh.h"

#include "test/unit/test_policy_rig.h"

static const char servers[] = "192.0.2.53\n2001:db8::53\ndns.example\n";

static struct cp_dns_doh *list(const char *text)
{
	struct sn_diag diag = { .text = "" };
	struct cp_dns_doh *doh = NULL;

	t_eq(cp_dns_doh_parse(text, strlen(text), "l", &doh, &diag), 0);
	return doh;
}

static struct cp_policy *make(enum sn_mode mode)
{
	const struct cp_policy_settings settings = {
		.mode = mode,
		.inbound = SN_INBOUND_REPLIES,
	};
	struct cp_policy *policy = NULL;

	t_eq(cp_policy_new(&policy, 20), 0);
	cp_policy_put_settings(policy, &settings);
	return policy;
}

static void add(struct cp_policy *policy, enum sn_verdict verdict,
		const char *cidr, const char *ports)
{
	struct cp_policy_rule rule = rule_of(cidr, verdict, ports);

	t_eq(cp_policy_add(policy, &rule, NULL, NULL), 0);
}

static size_t count_ours(const struct cp_policy *policy)
{
	const struct cp_policy_rule *rule;
	size_t cursor = 0, n = 0;

	while ((rule = cp_policy_walk_rules(policy, &cursor))) {
		if (rule->owner != CP_POLICY_OWNER_DOH)
			continue;
		t_eq(rule->verdict, SN_VERDICT_DENY);
		t_eq(rule->n_ports, 1);
		t_true(cp_policy_ports_match(&rule->ports[0], 6, 443));
		t_true(cp_policy_ports_match(&rule->ports[0], 17, 443));
		t_false(cp_policy_ports_match(&rule->ports[0], 6, 80));
		n++;
	}
	return n;
}

static void settle(struct cp_policy *policy, const struct cp_dns_doh *doh,
		   size_t n)
{
	t_eq(cp_policy_doh_settle(policy, doh, NULL), 0);
	t_true(cp_policy_doh_is_settled(policy, doh));
	t_eq(count_ours(policy), n);
}

static void servers_are_denied_in_denylists_only(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = list(servers);
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_DENYLIST);
	struct cp_policy_settings settings = cp_policy_get_settings(policy);

	t_false(cp_policy_doh_is_settled(policy, doh));
	settle(policy, doh, 2);
	settle(policy, doh, 2);
	settings.mode = SN_MODE_ALLOWLIST;
	cp_policy_put_settings(policy, &settings);
	t_false(cp_policy_doh_is_settled(policy, doh));
	settle(policy, doh, 0);
	settings.mode = SN_MODE_DENYLIST;
	cp_policy_put_settings(policy, &settings);
	settle(policy, doh, 2);
	settle(policy, NULL, 0);
}

static void a_rule_keeps_its_id_and_goes_with_its_entry(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *more =
		list("192.0.2.53\n198.51.100.53\n");
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = list(servers);
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_DENYLIST);
	uint32_t id;

	settle(policy, doh, 2);
	id = cp_policy_next_rule(policy, 0)->id;
	settle(policy, more, 2);
	t_eq(cp_policy_next_rule(policy, 0)->id, id);
	t_eq(cp_policy_next_rule(policy, id)->cidr.address[0], 198);
}

static void an_allow_rule_for_exactly_the_address_wins(void)
{
	static const struct {
		const char *cidr, *ports;
		uint32_t ttl_s;
		size_t n;
	} cases[] = {
		{ "192.0.2.53", NULL, 0, 1 },
		{ "192.0.2.53", "443/tcp", 0, 1 },
		{ "192.0.2.53", "400-500/udp", 0, 1 },
		{ "192.0.2.53", "53", 0, 2 },
		{ "192.0.2.0/24", NULL, 0, 2 },
		{ "192.0.2.53", NULL, 60, 2 },
	};
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = list(servers);

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		sn_cleanup(cp_policy_freep) struct cp_policy *policy =
			make(SN_MODE_DENYLIST);
		struct cp_policy_rule rule = rule_of(
			cases[i].cidr, SN_VERDICT_ALLOW, cases[i].ports);

		rule.ttl_s = cases[i].ttl_s;
		rule.expires_ns = cases[i].ttl_s;
		settle(policy, doh, 2);
		t_eq(cp_policy_add(policy, &rule, NULL, NULL), 0);
		settle(policy, doh, cases[i].n);
	}
}

static void a_change_of_one_prefix_settles_that_one(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = list(servers);
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_DENYLIST);
	struct cp_policy_rule rule =
		rule_of("192.0.2.53", SN_VERDICT_ALLOW, NULL);

	t_eq(cp_policy_doh_settle_prefix(policy, doh, &rule.cidr), 0);
	t_eq(count_ours(policy), 1);
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), 0);
	t_eq(cp_policy_doh_settle_prefix(policy, doh, &rule.cidr), 0);
	t_eq(count_ours(policy), 0);
	t_eq(cp_policy_remove(policy, &rule.cidr, NULL, 0,
			      CP_POLICY_OWNER_LOCAL, 1),
	     1);
	t_eq(cp_policy_doh_settle_prefix(policy, doh, &rule.cidr), 0);
	t_eq(count_ours(policy), 1);
}

static void no_room_is_told(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = list(servers);
	sn_cleanup(cp_policy_freep) struct cp_policy *full =
		make(SN_MODE_DENYLIST);
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_DENYLIST);
	struct cp_policy_cidr cidr;
	char text[CP_POLICY_CIDR_TEXT_BYTES];

	for (unsigned int i = 0; i < 8; i++) {
		(void)snprintf(text, sizeof(text), "%u", 1 + i);
		add(policy, SN_VERDICT_DENY, "2001:db8::53", text);
	}
	t_eq(cp_policy_doh_settle(policy, doh, &cidr), CP_POLICY_DOH_E_FULL);
	t_str_eq(cp_policy_cidr_format(&cidr, text), "2001:db8::53/128");
	for (unsigned int i = 0; i < 20; i++) {
		(void)snprintf(text, sizeof(text), "10.0.0.%u", i);
		add(full, SN_VERDICT_DENY, text, NULL);
	}
	t_eq(cp_policy_doh_settle(full, doh, &cidr), CP_POLICY_DOH_E_FULL);
}

static void owners_have_names(void)
{
	t_str_eq(cp_policy_owner_name(CP_POLICY_OWNER_DOH), "doh-list");
	t_eq(cp_policy_owner_parse("local"), CP_POLICY_OWNER_LOCAL);
	t_eq(cp_policy_owner_parse("remote"), CP_POLICY_OWNER_REMOTE);
	t_eq(cp_policy_owner_parse("doh-list"), CP_POLICY_OWNER_DOH);
	t_eq(cp_policy_owner_parse(""), CP_POLICY_OWNER_NONE);
	t_eq(cp_policy_owner_parse("root"), CP_POLICY_OWNER_NONE);
}

T_MAIN("policy_doh", servers_are_denied_in_denylists_only,
       a_rule_keeps_its_id_and_goes_with_its_entry,
       an_allow_rule_for_exactly_the_address_wins,
       a_change_of_one_prefix_settles_that_one, no_room_is_told,
       owners_have_names)
