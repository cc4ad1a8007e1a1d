/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/policy/policy.h"

#include "test/unit/test_policy_rig.h"

static struct cp_dns_rule domain_of(const char *name, enum sn_verdict verdict,
				    enum cp_policy_owner owner)
{
	struct cp_dns_rule rule = {
		.verdict = (uint8_t)verdict,
		.owner = (uint8_t)owner,
	};
	struct sn_diag diag = { .text = "" };

	if (cp_dns_name_parse(name, &rule.name, &diag) != 0)
		t_fail("%s", diag.text);
	return rule;
}

static struct cp_dns_rule allow(const char *name)
{
	return domain_of(name, SN_VERDICT_ALLOW, CP_POLICY_OWNER_LOCAL);
}

static struct cp_policy *make(size_t max_rules)
{
	struct cp_policy *policy = NULL;

	t_eq(cp_policy_new(&policy, max_rules), 0);
	return policy;
}

static uint32_t add(struct cp_policy *policy, struct cp_dns_rule rule)
{
	struct cp_dns_rule added = { .id = 0 };

	t_eq(cp_policy_add_domain(policy, &rule, &added, NULL), 0);
	return added.id;
}

static uint32_t add_cidr(struct cp_policy *policy, const char *cidr)
{
	struct cp_policy_rule rule = rule_of(cidr, SN_VERDICT_ALLOW, NULL);
	struct cp_policy_rule added = { .id = 0 };

	t_eq(cp_policy_add(policy, &rule, &added, NULL), 0);
	return added.id;
}

static void a_new_policy_says_nothing_of_names(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	const struct cp_dns_settings *dns = cp_policy_get_dns(policy);

	t_eq(dns->mode, CP_DNS_MODE_NONE);
	t_false(dns->no_steering);
	t_eq(dns->n_upstreams, 0);
	t_eq(cp_dns_rules_count(cp_policy_get_domains(policy)), 0);
}

static void names_and_prefixes_are_numbered_together(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_dns_rule stated = allow("c.example");
	struct cp_policy_rule cidr;

	t_eq(add_cidr(policy, "10.0.0.0/8"), 1);
	t_eq(add(policy, allow("a.example")), 2);
	t_eq(add_cidr(policy, "10.1.0.0/16"), 3);
	stated.id = 3;
	t_eq(cp_policy_add_domain(policy, &stated, NULL, NULL), CP_POLICY_E_ID);
	stated.id = 2;
	t_eq(cp_policy_add_domain(policy, &stated, NULL, NULL), CP_POLICY_E_ID);
	stated.id = 7;
	t_eq(cp_policy_add_domain(policy, &stated, NULL, NULL), 0);
	t_eq(cp_policy_get_next_id(policy), 8);
	cidr = *cp_policy_get_rule(policy, 1);
	cidr.cidr.length = 9;
	cidr.id = 7;
	t_eq(cp_policy_add(policy, &cidr, NULL, NULL), CP_POLICY_E_ID);
	cidr.id = 0;
	t_eq(cp_policy_add(policy, &cidr, &cidr, NULL), 0);
	t_eq(cidr.id, 8);
}

static void a_rule_that_is_there_keeps_its_number(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(1);
	struct cp_dns_rule deny =
		domain_of("a.example", SN_VERDICT_DENY, CP_POLICY_OWNER_LOCAL);
	struct cp_dns_rule previous = { .id = 0 }, now = { .id = 0 };

	t_eq(add(policy, allow("A.example.")), 1);
	t_eq(cp_policy_add_domain(policy, &deny, &now, &previous),
	     CP_POLICY_E_REPLACED);
	t_eq(now.id, 1);
	t_eq(now.verdict, SN_VERDICT_DENY);
	t_eq(previous.verdict, SN_VERDICT_ALLOW);
	t_eq(cp_policy_get_next_id(policy), 2);
}

static void the_limit_is_for_both_kinds_of_rules(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(2);
	struct cp_dns_rule rule = allow("b.example");
	struct cp_policy_rule cidr = {
		.verdict = SN_VERDICT_ALLOW,
		.cidr = { .family = SN_FAMILY_IPV4, .length = 32 },
	};

	t_eq(add_cidr(policy, "10.0.0.0/8"), 1);
	t_eq(add(policy, allow("a.example")), 2);
	t_eq(cp_policy_add_domain(policy, &rule, NULL, NULL), CP_POLICY_E_FULL);
	t_eq(cp_policy_add(policy, &cidr, NULL, NULL), CP_POLICY_E_FULL);
	rule = allow("a.example");
	t_eq(cp_policy_remove_domains(policy, &rule.name, NULL, 0,
				      CP_POLICY_OWNER_LOCAL),
	     1);
	t_eq(cp_policy_add(policy, &cidr, NULL, NULL), 0);
}

static void the_last_number_is_given_once(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_dns_rule rule = allow("b.example");

	cp_policy_raise_next_id(policy, UINT32_MAX);
	t_eq(add(policy, allow("a.example")), UINT32_MAX);
	t_eq(cp_policy_add_domain(policy, &rule, NULL, NULL), CP_POLICY_E_FULL);
	rule = allow("a.example");
	rule.ttl_floor_s = 5;
	t_eq(cp_policy_add_domain(policy, &rule, &rule, NULL),
	     CP_POLICY_E_REPLACED);
	t_eq(rule.id, UINT32_MAX);
}

static void removal_is_by_name_owner_and_ports(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	struct cp_dns_rule remote = domain_of("a.example", SN_VERDICT_ALLOW,
					      CP_POLICY_OWNER_REMOTE);
	struct cp_dns_rule ports = allow("a.example");

	ports.n_ports = 1;
	ports.ports[0] = (struct cp_policy_ports){ .low = 443,
						   .high = 443,
						   .protocol = 6 };
	t_eq(add(policy, remote), 1);
	t_eq(add(policy, ports), 2);
	t_eq(add(policy, allow("a.example")), 3);
	t_eq(cp_policy_remove_domains(policy, &ports.name, ports.ports, 1,
				      CP_POLICY_OWNER_LOCAL),
	     1);
	t_eq(cp_policy_remove_domains(policy, &ports.name, NULL, 0,
				      CP_POLICY_OWNER_LOCAL),
	     1);
	t_not_null(cp_dns_rules_get(cp_policy_get_domains(policy), 1));
	t_eq(cp_dns_rules_count(cp_policy_get_domains(policy)), 1);
}

static void a_copy_has_settings_rules_and_numbers(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make(10);
	sn_cleanup(cp_policy_freep) struct cp_policy *copy = NULL;
	struct cp_dns_settings dns = {
		.mode = CP_DNS_MODE_DENYLIST,
		.no_steering = true,
		.n_upstreams = 1,
		.upstreams = { { .family = SN_FAMILY_IPV4, .port = 53 } },
	};

	cp_policy_put_dns(policy, &dns);
	t_eq(add(policy, allow("a.example")), 1);
	t_eq(add_cidr(policy, "10.0.0.0/8"), 2);
	t_eq(cp_policy_copy(policy, &copy), 0);
	t_eq(cp_policy_get_dns(copy)->mode, CP_DNS_MODE_DENYLIST);
	t_true(cp_policy_get_dns(copy)->no_steering);
	t_eq(cp_policy_get_dns(copy)->upstreams[0].port, 53);
	t_not_null(cp_dns_rules_get(cp_policy_get_domains(copy), 1));
	t_not_null(cp_policy_get_rule(copy, 2));
	t_eq(cp_policy_get_next_id(copy), 3);
}

static void equal_rules_keep_the_running_numbers(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *running = make(10);
	sn_cleanup(cp_policy_freep) struct cp_policy *next = make(10);
	const struct cp_dns_rules *rules;
	struct cp_dns_rule floor = allow("b.example");
	struct cp_policy_diff diff;
	const struct cp_dns_rule *at;
	struct cp_dns_rule wanted;

	t_eq(add(running, allow("a.example")), 1);
	t_eq(add(running, allow("b.example")), 2);
	t_eq(add(running, allow("gone.example")), 3);
	t_eq(add_cidr(running, "10.0.0.0/8"), 4);

	floor.ttl_floor_s = 60; /* another rule */
	t_eq(add(next, floor), 1);
	t_eq(add_cidr(next, "10.0.0.0/8"), 2);
	t_eq(add_cidr(next, "10.1.0.0/16"), 3);
	t_eq(add(next, allow("a.example")), 4);

	diff = cp_policy_compare(running, next, 0);
	t_eq(diff.added, 2);
	t_eq(diff.removed, 2);
	t_eq(diff.unchanged, 2);

	t_eq(cp_policy_adopt_ids(next, running), 0);
	rules = cp_policy_get_domains(next);
	wanted = allow("a.example");
	t_eq(cp_dns_rules_find(rules, &wanted)->id, 1);
	at = cp_dns_rules_find(rules, &floor);
	t_true(at->id == 5 || at->id == 6);
	t_not_null(cp_policy_get_rule(next, 4));
	t_not_null(cp_policy_get_rule(next, at->id == 5 ? 6 : 5));
	t_eq(cp_policy_get_next_id(next), 7);
	diff = cp_policy_compare(running, next, 0);
	t_eq(diff.unchanged, 2);
}

static void numbers_that_do_not_suffice_change_nothing(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *running = make(10);
	sn_cleanup(cp_policy_freep) struct cp_policy *next = make(10);

	cp_policy_raise_next_id(running, UINT32_MAX);
	t_eq(add(next, allow("a.example")), 1);
	t_eq(add_cidr(next, "10.0.0.0/8"), 2);
	t_eq(cp_policy_adopt_ids(next, running), -ERANGE);
	t_not_null(cp_dns_rules_get(cp_policy_get_domains(next), 1));
	t_not_null(cp_policy_get_rule(next, 2));
}

T_MAIN("policy_domains", a_new_policy_says_nothing_of_names,
       names_and_prefixes_are_numbered_together,
       a_rule_that_is_there_keeps_its_number,
       the_limit_is_for_both_kinds_of_rules, the_last_number_is_given_once,
       removal_is_by_name_owner_and_ports,
       a_copy_has_settings_rules_and_numbers,
       equal_rules_keep_the_running_numbers,
       numbers_that_do_not_suffice_change_nothing)
