/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/policy/convert_dns.h"

#include "test/unit/t.h"

static char *text(const char *literal)
{
	return (char *)(uintptr_t)literal;
}

static Sentinel__V1__DomainRule rule_of(const char *domain)
{
	Sentinel__V1__DomainRule rule;

	sentinel__v1__domain_rule__init(&rule);
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	rule.domain = text(domain);
	return rule;
}

static void refuses_rule(const Sentinel__V1__DomainRule *rule,
			 const char *field, const char *why)
{
	struct cp_dns_rule got;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_policy_convert_dns_rule(rule, CP_POLICY_OWNER_LOCAL, "p.r",
					&got, &diag),
	     CP_POLICY_CONVERT_E_INVALID);
	t_str_eq(diag.field, field);
	if (!strstr(diag.text, why))
		t_fail("'%s' lacks '%s'", diag.text, why);
}

static void a_rule_comes_back_as_it_was(void)
{
	char *ports[] = { text("443/tcp"), text("53") };
	Sentinel__V1__DomainRule message = rule_of("Www.Example.COM.");
	Sentinel__V1__DomainRule *back = NULL;
	struct cp_dns_rule rule;
	struct sn_diag diag = { .text = "" };

	message.subdomains = true;
	message.ports = ports;
	message.n_ports = 2;
	message.ttl_floor_seconds = CP_DNS_RULES_FLOOR_MAX_S;
	t_eq(cp_policy_convert_dns_rule(&message, CP_POLICY_OWNER_REMOTE, "",
					&rule, &diag),
	     0);
	t_eq(rule.owner, CP_POLICY_OWNER_REMOTE);
	rule.id = 9;
	t_eq(cp_policy_convert_dns_to_rule(&rule, &back), 0);
	t_str_eq(back->domain, "www.example.com");
	t_true(back->subdomains);
	t_eq(back->n_ports, 2);
	t_str_eq(back->ports[0], "53");
	t_str_eq(back->ports[1], "443/tcp");
	t_eq(back->ttl_floor_seconds, CP_DNS_RULES_FLOOR_MAX_S);
	t_eq(back->id, 9);
	t_str_eq(back->owner, "remote");
	t_eq(back->verdict, SENTINEL__V1__VERDICT__VERDICT_ALLOW);
	free(back);
}

static void every_refusal_of_a_rule_names_its_field(void)
{
	char *ports[] = { text("443/tcp"), text("443/icmp") };
	Sentinel__V1__DomainRule rule = rule_of("");

	refuses_rule(&rule, "p.r.domain", "must be given");
	rule = rule_of("*.example.com");
	refuses_rule(&rule, "p.r.domain", "subdomains");
	rule = rule_of("192.0.2.1");
	refuses_rule(&rule, "p.r.domain", "");
	rule = rule_of("a.example");
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_UNSPECIFIED;
	refuses_rule(&rule, "p.r.verdict", "ALLOW or DENY");
	rule = rule_of("a.example");
	rule.ports = ports;
	rule.n_ports = 2;
	refuses_rule(&rule, "p.r.ports[1]", "has none");
	rule.n_ports = 1;
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
	refuses_rule(&rule, "p.r.ports", "allow");
	rule.n_ports = 0;
	rule.ttl_floor_seconds = 1;
	refuses_rule(&rule, "p.r.ttl_floor_seconds", "allow");
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	rule.ttl_floor_seconds = CP_DNS_RULES_FLOOR_MAX_S + 1ULL;
	refuses_rule(&rule, "p.r.ttl_floor_seconds", "604800");
	rule = rule_of("a.example");
	rule.id = 1;
	refuses_rule(&rule, "p.r.id", "answers");
	rule = rule_of("a.example");
	rule.owner = text("local");
	refuses_rule(&rule, "p.r.owner", "answers");
}

static int convert(Sentinel__V1__DnsPolicy *dns, size_t max_rules,
		   struct cp_policy **ret, struct sn_diag *diag)
{
	Sentinel__V1__Policy message;

	sentinel__v1__policy__init(&message);
	message.dns = dns;
	return cp_policy_convert_policy(&message, max_rules,
					CP_POLICY_OWNER_LOCAL, "policy", ret,
					diag);
}

static void refuses(Sentinel__V1__DnsPolicy *dns, int answer, const char *field,
		    const char *why)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(convert(dns, 2, &policy, &diag), answer);
	t_str_eq(diag.field, field);
	if (!strstr(diag.text, why))
		t_fail("'%s' lacks '%s'", diag.text, why);
}

static void settings_come_back_as_they_were(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	char *upstreams[] = { text("192.0.2.1"),
			      text("tls://192.0.2.2#dns.example") };
	Sentinel__V1__DomainRule rule = rule_of("a.example");
	Sentinel__V1__DomainRule *rules[] = { &rule };
	Sentinel__V1__DnsPolicy message, *back = NULL;
	const struct cp_dns_settings *dns;
	struct sn_diag diag = { .text = "" };

	sentinel__v1__dns_policy__init(&message);
	message.mode = SENTINEL__V1__DNS_MODE__DNS_MODE_DENYLIST;
	message.steering = SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF;
	message.denied = SENTINEL__V1__DNS_DENIED__DNS_DENIED_SINKHOLE;
	message.hints = SENTINEL__V1__DNS_HINTS__DNS_HINTS_LEARN;
	message.allow_private = true;
	message.dnssec = true;
	message.upstreams = upstreams;
	message.n_upstreams = 2;
	message.domains = rules;
	message.n_domains = 1;
	if (convert(&message, 2, &policy, &diag) != 0)
		t_fail("%s: %s", diag.field, diag.text);
	dns = cp_policy_get_dns(policy);
	t_eq(dns->mode, CP_DNS_MODE_DENYLIST);
	t_true(dns->no_steering);
	t_eq(dns->denied, CP_DNS_DENIED_SINKHOLE);
	t_eq(dns->hints, CP_DNS_HINTS_LEARN);
	t_eq(cp_dns_rules_count(cp_policy_get_domains(policy)), 1);

	t_eq(cp_policy_convert_dns_to_settings(dns, &back), 0);
	t_eq(back->mode, message.mode);
	t_eq(back->steering, message.steering);
	t_eq(back->denied, message.denied);
	t_eq(back->hints, message.hints);
	t_true(back->allow_private);
	t_true(back->dnssec);
	t_eq(back->n_upstreams, 2);
	t_str_eq(back->upstreams[0], "192.0.2.1");
	t_str_eq(back->upstreams[1], "tls://192.0.2.2#dns.example");
	t_eq(back->n_domains, 0);
	free(back);
}

static void an_absent_or_empty_message_states_nothing(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *absent = NULL;
	sn_cleanup(cp_policy_freep) struct cp_policy *empty = NULL;
	Sentinel__V1__DnsPolicy message;
	struct sn_diag diag;

	sentinel__v1__dns_policy__init(&message);
	t_eq(convert(NULL, 1, &absent, &diag), 0);
	t_eq(convert(&message, 1, &empty, &diag), 0);
	t_mem_eq(cp_policy_get_dns(absent), cp_policy_get_dns(empty),
		 sizeof(struct cp_dns_settings));
	t_eq(cp_policy_get_dns(empty)->mode, CP_DNS_MODE_NONE);
	t_false(cp_policy_get_dns(empty)->no_steering);
}

static void every_refusal_of_settings_names_its_field(void)
{
	char *upstreams[] = { text("192.0.2.1"), text("192.0.2.1"),
			      text("nonsense") };
	Sentinel__V1__DnsPolicy message;

	sentinel__v1__dns_policy__init(&message);
	message.mode = (Sentinel__V1__DnsMode)77;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.mode", "77");
	message.mode = SENTINEL__V1__DNS_MODE__DNS_MODE_PROXY;
	message.steering = (Sentinel__V1__DnsSteering)3;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.steering",
		"3");
	message.steering = SENTINEL__V1__DNS_STEERING__DNS_STEERING_ON;
	message.denied = (Sentinel__V1__DnsDenied)-1;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.denied",
		"-1");
	message.denied = SENTINEL__V1__DNS_DENIED__DNS_DENIED_REFUSED;
	message.hints = (Sentinel__V1__DnsHints)3;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.hints", "3");
	message.hints = SENTINEL__V1__DNS_HINTS__DNS_HINTS_STRIP;
	message.dnssec = true;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.dnssec",
		"upstreams");
	message.upstreams = upstreams;
	message.n_upstreams = 2;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID,
		"policy.dns.upstreams[1]", "twice");
	message.upstreams = &upstreams[1];
	refuses(&message, CP_POLICY_CONVERT_E_INVALID,
		"policy.dns.upstreams[1]", "");
	message.n_upstreams = CP_DNS_UPSTREAMS_MAX + 1;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.upstreams",
		"8");
}

static void domains_are_refused_by_their_place(void)
{
	Sentinel__V1__DomainRule a = rule_of("a.example");
	Sentinel__V1__DomainRule b = rule_of("b.example");
	Sentinel__V1__DomainRule bad = rule_of("a b");
	Sentinel__V1__DomainRule opposite = rule_of("A.EXAMPLE");
	Sentinel__V1__DomainRule c = rule_of("c.example");
	Sentinel__V1__DomainRule *rules[] = { &a, &b, &bad };
	Sentinel__V1__DnsPolicy message;

	sentinel__v1__dns_policy__init(&message);
	message.domains = rules;
	message.n_domains = 3;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID,
		"policy.dns.domains[2].domain", "");
	rules[2] = &a;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.domains[2]",
		"no second");
	opposite.verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
	rules[2] = &opposite;
	refuses(&message, CP_POLICY_CONVERT_E_INVALID, "policy.dns.domains[2]",
		"opposite");
	rules[2] = &c;
	refuses(&message, CP_POLICY_CONVERT_E_FULL, "policy.dns.domains[2]",
		"rules_per_policy");
}

T_MAIN("policy_convert_dns", a_rule_comes_back_as_it_was,
       every_refusal_of_a_rule_names_its_field, settings_come_back_as_they_were,
       an_absent_or_empty_message_states_nothing,
       every_refusal_of_settings_names_its_field,
       domains_are_refused_by_their_place)
