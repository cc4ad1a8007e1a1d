/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/rules.h"

#include "controld/policy/policy.h"
#include "shared/util.h"
#include "test/unit/t.h"

static struct cp_dns_name name_of(const char *text)
{
	struct cp_dns_name name = { .size = 0 };

	t_eq(cp_dns_name_parse(text, &name, NULL), 0);
	return name;
}

static struct cp_dns_rule rule_of(uint32_t id, enum sn_verdict verdict,
				  const char *name, bool subdomains,
				  const char *ports)
{
	struct cp_dns_rule rule = {
		.id = id,
		.verdict = (uint8_t)verdict,
		.owner = CP_POLICY_OWNER_LOCAL,
		.subdomains = subdomains,
		.name = name_of(name),
	};
	struct sn_diag diag;

	if (ports) {
		rule.n_ports = 1;
		t_eq(cp_policy_ports_parse(ports, &rule.ports[0], &diag), 0);
	}
	return rule;
}

static int add(struct cp_dns_rules *rules, uint32_t id, enum sn_verdict verdict,
	       const char *name, bool subdomains, const char *ports)
{
	struct cp_dns_rule rule = rule_of(id, verdict, name, subdomains, ports);

	return cp_dns_rules_add(rules, &rule, NULL);
}

#define ALLOW SN_VERDICT_ALLOW
#define DENY  SN_VERDICT_DENY
#define NONE  SN_VERDICT_NONE

static enum sn_verdict verdict_on(const struct cp_dns_rules *rules,
				  const char *text)
{
	struct cp_dns_name name = name_of(text);
	struct cp_dns_match match;

	cp_dns_rules_match(rules, &name, &match);
	t_eq(match.n_rules > 0, match.verdict != NONE);
	return match.verdict;
}

static void a_rule_is_for_its_name_and_with_subdomains_for_those_below(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;

	t_eq(cp_dns_rules_new(&rules), 0);
	t_eq(verdict_on(rules, "example.com"), NONE);
	t_eq(add(rules, 1, ALLOW, "exact.example", false, NULL), 0);
	t_eq(add(rules, 2, ALLOW, "below.example", true, NULL), 0);
	t_eq(verdict_on(rules, "Exact.Example."), ALLOW);
	t_eq(verdict_on(rules, "www.exact.example"), NONE);
	t_eq(verdict_on(rules, "below.example"), ALLOW);
	t_eq(verdict_on(rules, "www.below.example"), ALLOW);
	t_eq(verdict_on(rules, "a.b.c.d.e.below.example"), ALLOW);
	t_eq(verdict_on(rules, "notbelow.example"), NONE);
	t_eq(verdict_on(rules, "example"), NONE);
	t_eq(verdict_on(rules, "."), NONE);
	t_eq(verdict_on(rules, "below.example.com"), NONE);
	t_eq(verdict_on(rules, "x\\005below.example"), NONE);
}

static void the_most_specific_suffix_decides(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;

	t_eq(cp_dns_rules_new(&rules), 0);
	t_eq(add(rules, 1, DENY, "example.com", true, NULL), 0);
	t_eq(add(rules, 2, ALLOW, "api.example.com", true, NULL), 0);
	t_eq(add(rules, 3, DENY, "x.api.example.com", false, NULL), 0);
	t_eq(verdict_on(rules, "example.com"), DENY);
	t_eq(verdict_on(rules, "api.example.com"), ALLOW);
	t_eq(verdict_on(rules, "y.api.example.com"), ALLOW);
	t_eq(verdict_on(rules, "x.api.example.com"), DENY);
	/* The rule of x.api is not for what is below it, so the next is. */
	t_eq(verdict_on(rules, "z.x.api.example.com"), ALLOW);

	t_eq(add(rules, 4, ALLOW, ".", true, NULL), 0);
	t_eq(verdict_on(rules, "anything.test"), ALLOW);
	t_eq(verdict_on(rules, "."), ALLOW);
	t_eq(verdict_on(rules, "www.example.com"), DENY);
}

static void deny_wins_a_tie_of_one_name(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	struct cp_dns_name name = name_of("example.com");
	struct cp_dns_match match;

	t_eq(cp_dns_rules_new(&rules), 0);
	t_eq(add(rules, 1, DENY, "example.com", false, NULL), 0);
	t_eq(add(rules, 2, ALLOW, "example.com", true, NULL), 0);
	t_eq(verdict_on(rules, "example.com"), DENY);
	t_eq(verdict_on(rules, "www.example.com"), ALLOW);
	cp_dns_rules_match(rules, &name, &match);
	t_eq(match.n_rules, 1);
	t_eq(match.rules[0]->id, 1);
}

static void all_deciding_rules_are_told_by_id_with_their_largest_floor(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	struct cp_dns_name name = name_of("example.com");
	struct cp_dns_rule rule;
	struct cp_dns_match match;

	t_eq(cp_dns_rules_new(&rules), 0);
	for (uint32_t id = 8; id > 0; id--) {
		rule = rule_of(id, ALLOW, "example.com", id % 2, NULL);
		rule.ttl_floor_s = id == 3 ? 300 : id;
		rule.n_ports = 1;
		rule.ports[0] = (struct cp_policy_ports){
			.low = (uint16_t)id,
			.high = (uint16_t)id,
		};
		t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	}
	rule.id = 9;
	rule.ports[0].low = 0;
	t_eq(cp_dns_rules_add(rules, &rule, NULL), CP_DNS_RULES_E_NAME_FULL);
	t_eq(cp_dns_rules_count(rules), 8);

	cp_dns_rules_match(rules, &name, &match);
	t_eq(match.n_rules, 8);
	t_eq(match.ttl_floor_s, 300);
	for (uint32_t i = 0; i < 8; i++)
		t_eq(match.rules[i]->id, i + 1);
	name = name_of("www.example.com");
	cp_dns_rules_match(rules, &name, &match);
	t_eq(match.n_rules, 4);
	t_eq(match.rules[3]->id, 7);
}

static void the_same_key_replaces_under_the_old_id(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	struct cp_dns_rule rule = rule_of(5, ALLOW, "a.test", true, "443/tcp");
	struct cp_dns_rule previous;

	t_eq(cp_dns_rules_new(&rules), 0);
	t_eq(cp_dns_rules_add(rules, &rule, &previous), 0);
	rule.id = 6;
	rule.verdict = DENY;
	rule.ttl_floor_s = 60;
	t_eq(cp_dns_rules_add(rules, &rule, &previous),
	     CP_DNS_RULES_E_REPLACED);
	t_eq(previous.id, 5);
	t_eq(previous.verdict, ALLOW);
	t_eq(cp_dns_rules_count(rules), 1);
	t_null(cp_dns_rules_get(rules, 6));
	t_eq(cp_dns_rules_get(rules, 5)->verdict, DENY);
	t_eq(cp_dns_rules_get(rules, 5)->ttl_floor_s, 60);
	t_true(cp_dns_rules_is_equal(cp_dns_rules_get(rules, 5), &rule));

	/* Every part of the key makes another rule. */
	rule.subdomains = false;
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	rule.id = 7;
	rule.owner = CP_POLICY_OWNER_REMOTE;
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	rule.id = 8;
	rule.n_ports = 0;
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	rule.id = 9;
	rule.name = name_of("b.test");
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	t_eq(cp_dns_rules_count(rules), 5);
	t_eq(cp_dns_rules_find(rules, &rule)->id, 9);
	rule.subdomains = !rule.subdomains;
	t_null(cp_dns_rules_find(rules, &rule));
	rule.subdomains = !rule.subdomains;
	rule.ttl_floor_s++;
	t_false(cp_dns_rules_is_equal(cp_dns_rules_get(rules, 9), &rule));
}

static void removing_is_by_name_ports_and_owner_or_by_id(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	struct cp_dns_name a = name_of("a.test"), c = name_of("c.test");
	struct cp_dns_rule rule = rule_of(1, ALLOW, "a.test", true, "443/tcp");
	struct cp_policy_ports ports = rule.ports[0];

	t_eq(cp_dns_rules_new(&rules), 0);
	t_eq(cp_dns_rules_remove(rules, &a, NULL, 0, 0), 0);
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	t_eq(add(rules, 2, ALLOW, "a.test", false, NULL), 0);
	t_eq(add(rules, 3, DENY, "b.test", false, NULL), 0);
	rule.id = 4;
	rule.owner = CP_POLICY_OWNER_REMOTE;
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);

	t_eq(cp_dns_rules_remove(rules, &c, NULL, 0, 0), 0);
	t_eq(cp_dns_rules_remove(rules, &a, &ports, 1, CP_POLICY_OWNER_LOCAL),
	     1);
	t_null(cp_dns_rules_get(rules, 1));
	t_eq(cp_dns_rules_remove(rules, &a, NULL, 0, CP_POLICY_OWNER_NONE), 2);
	t_eq(verdict_on(rules, "a.test"), NONE);
	t_eq(verdict_on(rules, "b.test"), DENY);
	t_false(cp_dns_rules_remove_id(rules, 4));
	t_true(cp_dns_rules_remove_id(rules, 3));
	t_eq(cp_dns_rules_count(rules), 0);
	t_eq(verdict_on(rules, "b.test"), NONE);
}

static void ports_of_a_match_are_summed(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	struct cp_dns_name name = name_of("a.test");
	struct cp_dns_rule rule = rule_of(1, ALLOW, "a.test", true, "443/tcp");
	struct cp_dns_match match;
	uint8_t n = 99;

	t_eq(cp_dns_rules_new(&rules), 0);
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	t_eq(add(rules, 2, ALLOW, "a.test", false, "443/tcp"), 0);
	t_eq(add(rules, 3, ALLOW, "a.test", true, "80/tcp"), 0);
	cp_dns_rules_match(rules, &name, &match);
	t_eq(cp_dns_rules_get_ports(&match, ports, &n), 0);
	t_eq(n, 2);
	t_eq(ports[0].low, 80);
	t_eq(ports[1].low, 443);

	rule.id = 4;
	rule.n_ports = CP_POLICY_PORTS_MAX;
	for (uint16_t i = 0; i < CP_POLICY_PORTS_MAX; i++)
		rule.ports[i] = (struct cp_policy_ports){
			.low = (uint16_t)(i + 1),
			.high = (uint16_t)(i + 1),
			.protocol = 17,
		};
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
	cp_dns_rules_match(rules, &name, &match);
	t_eq(cp_dns_rules_get_ports(&match, ports, &n), -E2BIG);

	/* One rule without ports opens all, however many the others name. */
	t_eq(cp_dns_rules_remove_id(rules, 1), 1);
	t_eq(add(rules, 5, ALLOW, "a.test", false, NULL), 0);
	t_eq(cp_dns_rules_remove_id(rules, 4), 1);
	cp_dns_rules_match(rules, &name, &match);
	t_eq(match.n_rules, 3);
	t_eq(cp_dns_rules_get_ports(&match, ports, &n), 0);
	t_eq(n, 0);
}

static void ids_are_walked_in_order_however_they_came(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *copy = NULL;
	const struct cp_dns_rule *rule;
	char text[32];
	uint32_t id, last = 0;
	size_t n = 0;

	t_eq(cp_dns_rules_new(&rules), 0);
	t_null(cp_dns_rules_next(rules, 0));
	for (uint32_t i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "n%u.test", i);
		id = (i * 7919) % 1000 + 1;
		t_eq(add(rules, id, ALLOW, text, false, NULL), 0);
	}
	for (id = 1; id <= 1000; id++) {
		if (id % 3)
			t_true(cp_dns_rules_remove_id(rules, id));
	}
	t_eq(cp_dns_rules_copy(rules, &copy), 0);
	rules = cp_dns_rules_free(rules);
	t_eq(cp_dns_rules_count(copy), 333);
	for (rule = cp_dns_rules_next(copy, 0); rule;
	     rule = cp_dns_rules_next(copy, rule->id)) {
		t_true(rule->id > last);
		t_eq(rule->id % 3, 0);
		last = rule->id;
		n++;
	}
	t_eq(n, 333);
	t_null(cp_dns_rules_next(copy, UINT32_MAX));
	for (uint32_t i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "n%u.test", i);
		id = (i * 7919) % 1000 + 1;
		t_eq(verdict_on(copy, text), id % 3 ? NONE : ALLOW);
	}
}

/* The definition of the match, without an index. */
static enum sn_verdict match_plainly(const struct cp_dns_rules *rules,
				     const struct cp_dns_name *name)
{
	unsigned int depth = cp_dns_name_count_labels(name);

	for (unsigned int n = 0; n <= depth; n++) {
		enum sn_verdict verdict = NONE;

		for (const struct cp_dns_rule *rule =
			     cp_dns_rules_next(rules, 0);
		     rule; rule = cp_dns_rules_next(rules, rule->id)) {
			if (!cp_dns_name_is_below(name, &rule->name) ||
			    cp_dns_name_count_labels(&rule->name) !=
				    depth - n ||
			    (n > 0 && !rule->subdomains))
				continue;
			if (verdict != DENY)
				verdict = (enum sn_verdict)rule->verdict;
		}
		if (verdict != NONE)
			return verdict;
	}
	return NONE;
}

static void random_name(unsigned int *seed, char text[32])
{
	int n = rand_r(seed) % 5;

	(void)strcpy(text, n ? "" : ".");
	while (n-- > 0) {
		char label[4] = { (char)('a' + rand_r(seed) % 3), '.' };

		(void)strcat(text, label);
	}
}

static void random_changes_match_like_the_definition(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	unsigned int seed = 4;
	uint32_t next_id = 1;
	char text[32];

	t_eq(cp_dns_rules_new(&rules), 0);
	for (int round = 0; round < 4000; round++) {
		struct cp_dns_match match;
		struct cp_dns_name name;

		random_name(&seed, text);
		name = name_of(text);
		if (rand_r(&seed) % 5 < 2)
			(void)cp_dns_rules_remove(rules, &name, NULL, 0, 0);
		else
			(void)add(rules, next_id++,
				  rand_r(&seed) % 2 ? ALLOW : DENY, text,
				  rand_r(&seed) % 2, NULL);
		random_name(&seed, text);
		name = name_of(text);
		cp_dns_rules_match(rules, &name, &match);
		if (match.verdict != match_plainly(rules, &name))
			t_fail("'%s' in round %d: %d", text, round,
			       match.verdict);
	}
}

T_MAIN("dns_rules", a_rule_is_for_its_name_and_with_subdomains_for_those_below,
       the_most_specific_suffix_decides, deny_wins_a_tie_of_one_name,
       all_deciding_rules_are_told_by_id_with_their_largest_floor,
       the_same_key_replaces_under_the_old_id,
       removing_is_by_name_ports_and_owner_or_by_id,
       ports_of_a_match_are_summed, ids_are_walked_in_order_however_they_came,
       random_changes_match_like_the_definition)
