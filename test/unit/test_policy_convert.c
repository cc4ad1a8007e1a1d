// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/convert.h"

#include "test/unit/t.h"

static Sentinel__V1__Rule rule_of(const char *cidr, char **ports,
				  size_t n_ports)
{
	Sentinel__V1__Rule rule;

	sentinel__v1__rule__init(&rule);
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	rule.cidr = (char *)(uintptr_t)cidr;
	rule.ports = ports;
	rule.n_ports = n_ports;
	return rule;
}

static void refuses(const Sentinel__V1__Rule *rule, const char *field,
		    const char *why)
{
	struct cp_policy_rule got;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_policy_convert_rule(rule, CP_POLICY_OWNER_LOCAL, "policy.r",
				    &got, &diag),
	     CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, field);
	if (!strstr(diag.text, why))
		t_fail("'%s' lacks '%s'", diag.text, why);
}

static void a_rule_is_read_with_everything(void)
{
	char tcp[] = "443/tcp", dns[] = "53";
	char *ports[] = { tcp, dns };
	Sentinel__V1__Rule message = rule_of("10.0.0.0/8", ports, 2);
	struct cp_policy_rule rule;
	struct sn_diag diag;

	message.ttl_seconds = CP_POLICY_TTL_MAX_S;
	message.verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
	t_eq(cp_policy_convert_rule(&message, CP_POLICY_OWNER_REMOTE, "", &rule,
				    &diag),
	     0);
	t_eq(rule.verdict, SN_VERDICT_DENY);
	t_eq(rule.owner, CP_POLICY_OWNER_REMOTE);
	t_eq(rule.cidr.length, 8);
	t_eq(rule.n_ports, 2);
	t_eq(rule.ports[0].low, 53);
	t_eq(rule.ports[1].low, 443);
	t_eq(rule.ttl_s, CP_POLICY_TTL_MAX_S);
	t_eq(rule.expires_ns, 0);
	t_eq(rule.id, 0);
}

static void every_refusal_names_its_field(void)
{
	char good[] = "443/tcp", bad[] = "443/icmp", who[] = "me";
	char *ports[] = { good, bad };
	Sentinel__V1__Rule rule = rule_of("10.0.0.1/8", NULL, 0);

	refuses(&rule, "policy.r.cidr", "host bits");
	rule = rule_of("", NULL, 0);
	refuses(&rule, "policy.r.cidr", "must be given");
	rule = rule_of("10.0.0.0/8", ports, 2);
	refuses(&rule, "policy.r.ports[1]", "has none");
	rule = rule_of("10.0.0.0/8", NULL, 0);
	rule.ttl_seconds = CP_POLICY_TTL_MAX_S + 1ULL;
	refuses(&rule, "policy.r.ttl_seconds", "3155760000");
	rule.ttl_seconds = 0;
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_UNSPECIFIED;
	refuses(&rule, "policy.r.verdict", "ALLOW or DENY");
	rule = rule_of("10.0.0.0/8", NULL, 0);
	rule.id = 1;
	refuses(&rule, "policy.r.id", "answers");
	rule.id = 0;
	rule.owner = who;
	refuses(&rule, "policy.r.owner", "answers");
	rule = rule_of("10.0.0.0/8", NULL, 0);
	rule.remaining_seconds = 1;
	refuses(&rule, "policy.r.remaining_seconds", "answers");
}

static void parts_without_a_name_before_them_are_named_alone(void)
{
	char bad[] = "443/icmp";
	char *ports[] = { bad };
	struct cp_policy_rule rule;
	struct sn_diag diag;

	t_eq(cp_policy_convert_rule_parts(SN_VERDICT_ALLOW, "10.0.0.0/8", ports,
					  1, 0, CP_POLICY_OWNER_LOCAL, "",
					  &rule, &diag),
	     CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, "ports[0]");
}

static int convert(Sentinel__V1__Policy *message, size_t max_rules,
		   struct cp_policy **ret, struct sn_diag *diag)
{
	return cp_policy_convert_policy(
		message, max_rules, CP_POLICY_OWNER_LOCAL, "policy", ret, diag);
}

static void an_absent_or_empty_policy_is_the_closed_default(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *absent = NULL;
	sn_cleanup(cp_policy_freep) struct cp_policy *empty = NULL;
	Sentinel__V1__Policy message;
	struct sn_diag diag;

	sentinel__v1__policy__init(&message);
	t_eq(convert(NULL, 5, &absent, &diag), 0);
	t_eq(convert(&message, 5, &empty, &diag), 0);
	t_eq(cp_policy_get_settings(absent).mode, SN_MODE_ALLOWLIST);
	t_eq(cp_policy_get_settings(empty).mode, SN_MODE_ALLOWLIST);
	t_eq(cp_policy_get_settings(empty).inbound, SN_INBOUND_REPLIES);
	t_eq(cp_policy_count(empty), 0);
}

static void a_policy_is_read_with_settings_and_rules_in_order(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	Sentinel__V1__Policy message;
	Sentinel__V1__Rule a = rule_of("10.0.0.0/8", NULL, 0);
	Sentinel__V1__Rule b = rule_of("2001:db8::1", NULL, 0);
	Sentinel__V1__Rule *rules[] = { &a, &b };
	struct sn_diag diag;

	sentinel__v1__policy__init(&message);
	message.mode = SENTINEL__V1__MODE__MODE_DENYLIST;
	message.inbound = SENTINEL__V1__INBOUND__INBOUND_BLOCK;
	message.audit = true;
	message.rules = rules;
	message.n_rules = 2;
	t_eq(convert(&message, 2, &policy, &diag), 0);
	t_eq(cp_policy_get_settings(policy).mode, SN_MODE_DENYLIST);
	t_eq(cp_policy_get_settings(policy).inbound, SN_INBOUND_BLOCK);
	t_true(cp_policy_get_settings(policy).audit);
	t_eq(cp_policy_get_rule(policy, 2)->cidr.length, 128);
}

static void a_refused_policy_names_rule_and_reason(void)
{
	struct cp_policy *policy = NULL;
	Sentinel__V1__Policy message;
	Sentinel__V1__Rule a = rule_of("10.0.0.0/8", NULL, 0);
	Sentinel__V1__Rule b = rule_of("10.0.0.0/8", NULL, 0);
	Sentinel__V1__Rule *rules[] = { &a, &b };
	struct sn_diag diag;

	sentinel__v1__policy__init(&message);
	message.rules = rules;
	message.n_rules = 2;
	t_eq(convert(&message, 5, &policy, &diag), CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, "policy.rules[1]");
	t_not_null(strstr(diag.text, "needs no second"));
	b.verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
	t_eq(convert(&message, 5, &policy, &diag), CP_POLICY_CONVERT_E_INVALID);
	t_not_null(strstr(diag.text, "opposite"));
	b = rule_of("10.0.0.0/7/", NULL, 0);
	t_eq(convert(&message, 5, &policy, &diag), CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, "policy.rules[1].cidr");
	b = rule_of("11.0.0.0/8", NULL, 0);
	t_eq(convert(&message, 1, &policy, &diag), CP_POLICY_CONVERT_E_FULL);
	t_str_eq(diag.field, "policy.rules[1]");
	message.mode = (Sentinel__V1__Mode)9;
	t_eq(convert(&message, 5, &policy, &diag), CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, "policy.mode");
	message.mode = SENTINEL__V1__MODE__MODE_UNSPECIFIED;
	message.inbound = (Sentinel__V1__Inbound)9;
	t_eq(convert(&message, 5, &policy, &diag), CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, "policy.inbound");
	t_null(policy);
}

static void rules_of_later_messages_are_counted_on(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	Sentinel__V1__Rule bad = rule_of("10.0.0.0/33", NULL, 0);
	Sentinel__V1__Rule *rules[] = { &bad };
	struct sn_diag diag;

	t_eq(cp_policy_new(&policy, 10), 0);
	t_eq(cp_policy_convert_add_rules(policy, rules, 1, 70000,
					 CP_POLICY_OWNER_LOCAL, "", &diag),
	     CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, "rules[70000].cidr");
}

static void an_answer_has_canonical_texts_and_the_life_left(void)
{
	sn_cleanup(sn_freep) Sentinel__V1__Rule *message = NULL;
	struct cp_policy_rule rule = {
		.id = 9,
		.ttl_s = 60,
		.expires_ns = 10 * SN_NS_PER_S,
		.verdict = SN_VERDICT_DENY,
		.owner = CP_POLICY_OWNER_LOCAL,
		.n_ports = 2,
		.ports = { { 53, 53, 0, 0 }, { 80, 90, 6, 0 } },
		.cidr = { { 10 }, SN_FAMILY_IPV4, 8 },
	};

	t_eq(cp_policy_convert_to_rule(&rule, 7 * SN_NS_PER_S - 1, &message),
	     0);
	t_eq(message->verdict, SENTINEL__V1__VERDICT__VERDICT_DENY);
	t_str_eq(message->cidr, "10.0.0.0/8");
	t_eq(message->n_ports, 2);
	t_str_eq(message->ports[0], "53");
	t_str_eq(message->ports[1], "80-90/tcp");
	t_str_eq(message->owner, "local");
	t_eq(message->id, 9);
	t_eq(message->ttl_seconds, 60);
	t_eq(message->remaining_seconds, 4);
	sn_freep(&message);
	t_eq(cp_policy_convert_to_rule(&rule, 10 * SN_NS_PER_S, &message), 0);
	t_eq(message->remaining_seconds, 0);
}

static void enums_go_both_ways(void)
{
	struct sn_diag diag;

	for (int i = 1; i <= 4; i++) {
		enum sn_mode mode = SN_MODE_NONE;

		t_eq(cp_policy_convert_mode((Sentinel__V1__Mode)i, "mode",
					    &mode, &diag),
		     0);
		t_eq(cp_policy_convert_to_mode(mode), i);
	}
	for (int i = 1; i <= 3; i++) {
		enum sn_inbound inbound = SN_INBOUND_NONE;

		t_eq(cp_policy_convert_inbound((Sentinel__V1__Inbound)i, "in",
					       &inbound, &diag),
		     0);
		t_eq(cp_policy_convert_to_inbound(inbound), i);
	}
}

T_MAIN("policy_convert", a_rule_is_read_with_everything,
       every_refusal_names_its_field,
       parts_without_a_name_before_them_are_named_alone,
       an_absent_or_empty_policy_is_the_closed_default,
       a_policy_is_read_with_settings_and_rules_in_order,
       a_refused_policy_names_rule_and_reason,
       rules_of_later_messages_are_counted_on,
       an_answer_has_canonical_texts_and_the_life_left, enums_go_both_ways)
