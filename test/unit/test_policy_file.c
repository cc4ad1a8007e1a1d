// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/file.h"

#include <glob.h>

#include "controld/policy/convert.h"
#include "test/unit/t.h"

static int parse(const char *text, Sentinel__V1__Policy **ret,
		 struct sn_diag *diag)
{
	return cp_policy_file_parse(text, strlen(text), "p.yaml", ret, diag);
}

static void refuses(const char *text, unsigned int line, const char *why)
{
	Sentinel__V1__Policy *policy = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(parse(text, &policy, &diag), CP_POLICY_FILE_E_REFUSED);
	t_null(policy);
	t_str_eq(diag.file, "p.yaml");
	if (!strstr(diag.text, why))
		t_fail("'%s' lacks '%s'", diag.text, why);
	t_eq(diag.line, line);
}

static void everything_is_read_in_order(void)
{
	static const char text[] = "mode: denylist\n"
				   "audit: true\n"
				   "inbound: block\n"
				   "cidrs:\n"
				   "  - {allow: 10.0.0.0/8, ports: [443/tcp, "
				   "53], ttl: 5m}\n"
				   "  - deny: 2001:db8::1\n"
				   "  - allow: 10.0.0.0/8\n";
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *policy = NULL;
	struct sn_diag diag = { .text = "" };

	if (parse(text, &policy, &diag) != 0)
		t_fail("%u: %s", diag.line, diag.text);
	t_eq(policy->mode, SENTINEL__V1__MODE__MODE_DENYLIST);
	t_eq(policy->inbound, SENTINEL__V1__INBOUND__INBOUND_BLOCK);
	t_true(policy->audit);
	t_eq(policy->n_rules, 3);
	t_str_eq(policy->rules[0]->cidr, "10.0.0.0/8");
	t_eq(policy->rules[0]->verdict, SENTINEL__V1__VERDICT__VERDICT_ALLOW);
	t_eq(policy->rules[0]->n_ports, 2);
	t_str_eq(policy->rules[0]->ports[0], "443/tcp");
	t_str_eq(policy->rules[0]->ports[1], "53");
	t_eq(policy->rules[0]->ttl_seconds, 300);
	t_str_eq(policy->rules[1]->cidr, "2001:db8::1");
	t_eq(policy->rules[1]->verdict, SENTINEL__V1__VERDICT__VERDICT_DENY);
	t_eq(policy->rules[1]->n_ports, 0);
	t_eq(policy->rules[2]->ttl_seconds, 0);
}

static void what_is_not_stated_is_closed(void)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *policy = NULL;
	struct sn_diag diag;

	t_eq(parse("{}", &policy, &diag), 0);
	t_eq(policy->mode, SENTINEL__V1__MODE__MODE_ALLOWLIST);
	t_eq(policy->inbound, SENTINEL__V1__INBOUND__INBOUND_REPLIES);
	t_false(policy->audit);
	t_eq(policy->n_rules, 0);
}

static void mistakes_are_told_with_their_line(void)
{
	refuses("", 0, "is empty");
	refuses("mode: open\n", 1, "mode");
	refuses("mode: allowlist\nmodes: x\n", 2, "did you mean 'mode'");
	refuses("cidrs:\n  - allow: 10.0.0.0/8\n  - allow: 10.1.2.3/8\n", 3,
		"the network is 10.0.0.0/8");
	refuses("cidrs:\n  - {allow: 10.0.0.0/8, deny: 10.0.0.0/8}\n", 2,
		"not both");
	refuses("cidrs:\n  - {ttl: 5m}\n", 2, "either 'allow' or 'deny'");
	refuses("cidrs:\n  - deny: 10.0.0.1\n    ports:\n      - 80/tcp\n"
		"      - 80/icmp\n",
		5, "has none");
	refuses("cidrs:\n  - {allow: 10.0.0.1, ports: []}\n", 2, "ports");
	refuses("cidrs:\n  - {allow: 10.0.0.1, ttl: 0s}\n", 2, "ttl");
	refuses("cidrs:\n  - {allow: 10.0.0.1, ttl: 500ms}\n", 2, "ttl");
	refuses("cidrs:\n  - {allow: 10.0.0.1, ttl: 36526d}\n", 2, "ttl");
	refuses("cidrs: 10.0.0.0/8\n", 1, "cidrs");
	refuses("- allow: 10.0.0.0/8\n", 1, "");
}

static void a_rule_given_twice_is_told_with_both_lines(void)
{
	refuses("cidrs:\n  - allow: 10.0.0.0/8\n  - allow: 10.0.0.1\n"
		"  - deny: 10.0.0.0/8\n",
		4, "in line 2 has the same ports and says the opposite");
	refuses("cidrs:\n  - {allow: 10.0.0.1, ports: [53, 80/tcp]}\n"
		"  - {allow: 10.0.0.1/32, ports: [80/tcp, 53]}\n",
		3, "in line 2 has the same ports");
}

static void a_prefix_has_eight_items(void)
{
	refuses("cidrs:\n"
		"  - {allow: 10.0.0.1, ports: [1, 2, 3, 4, 5]}\n"
		"  - {allow: 10.0.0.1, ports: [6, 7, 8, 9]}\n",
		3, "more than 8");
}

static void names_are_read_in_order(void)
{
	static const char text[] =
		"dns:\n"
		"  mode: denylist\n"
		"  steering: false\n"
		"  upstreams: [192.0.2.1, \"tls://192.0.2.2#a.example\"]\n"
		"  domains:\n"
		"    - {allow: example.com, subdomains: true, ports: [443/tcp],"
		" ttl_floor: 5m}\n"
		"    - deny: bücher.example\n"
		"  denied: nxdomain\n"
		"  allow_private: true\n"
		"  hints: learn\n"
		"  dnssec: true\n";
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *policy = NULL;
	const Sentinel__V1__DnsPolicy *dns;
	struct sn_diag diag = { .text = "" };

	if (parse(text, &policy, &diag) != 0)
		t_fail("%u: %s", diag.line, diag.text);
	dns = policy->dns;
	t_not_null(dns);
	t_eq(dns->mode, SENTINEL__V1__DNS_MODE__DNS_MODE_DENYLIST);
	t_eq(dns->steering, SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF);
	t_eq(dns->n_upstreams, 2);
	t_str_eq(dns->upstreams[1], "tls://192.0.2.2#a.example");
	t_eq(dns->n_domains, 2);
	t_str_eq(dns->domains[0]->domain, "example.com");
	t_true(dns->domains[0]->subdomains);
	t_eq(dns->domains[0]->n_ports, 1);
	t_str_eq(dns->domains[0]->ports[0], "443/tcp");
	t_eq(dns->domains[0]->ttl_floor_seconds, 300);
	t_str_eq(dns->domains[1]->domain, "bücher.example");
	t_eq(dns->domains[1]->verdict, SENTINEL__V1__VERDICT__VERDICT_DENY);
	t_false(dns->domains[1]->subdomains);
	t_eq(dns->denied, SENTINEL__V1__DNS_DENIED__DNS_DENIED_NXDOMAIN);
	t_true(dns->allow_private);
	t_eq(dns->hints, SENTINEL__V1__DNS_HINTS__DNS_HINTS_LEARN);
	t_true(dns->dnssec);
}

static void modes_and_answers_have_their_words(void)
{
	static const struct {
		const char *text;
		Sentinel__V1__DnsMode mode;
		Sentinel__V1__DnsDenied denied;
	} cases[] = {
		{ "dns: {mode: disabled, denied: refused}", 1, 1 },
		{ "dns: {mode: allowlist, denied: nxdomain}", 2, 2 },
		{ "dns: {mode: denylist, denied: sinkhole}", 3, 3 },
		{ "dns: {mode: proxy, denied: default}", 4, 0 },
		{ "dns: {mode: auto, denied: refused}", 0, 1 },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		sn_cleanup(cp_policy_file_freep)
			Sentinel__V1__Policy *policy = NULL;
		struct sn_diag diag = { .text = "" };

		t_eq(parse(cases[i].text, &policy, &diag), 0);
		t_eq(policy->dns->mode, cases[i].mode);
		t_eq(policy->dns->denied, cases[i].denied);
	}
}

static void dns_that_states_nothing_is_absent(void)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *policy = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(parse("dns: {steering: true, hints: strip}", &policy, &diag), 0);
	t_null(policy->dns);
}

static void mistakes_in_dns_are_told_with_their_line(void)
{
	refuses("dns:\n  mode: block-all\n", 2, "dns.mode: 'block-all'");
	refuses("dns:\n  domain: []\n", 2, "did you mean 'domains'");
	refuses("dns:\n  domains: [example.com]\n", 2, "dns.domains");
	refuses("dns:\n  domains:\n    - {subdomains: true}\n", 3,
		"either 'allow' or 'deny'");
	refuses("dns:\n  domains:\n    - {allow: a.b, deny: a.b}\n", 3,
		"not both");
	refuses("dns:\n  domains:\n    - allow: \"*.example.com\"\n", 3,
		"dns.domains[0].allow: '*.example.com' has a '*'");
	refuses("dns:\n  domains:\n    - deny: 192.0.2.1\n", 3,
		"dns.domains[0].deny: '192.0.2.1' is an address");
	refuses("dns:\n  domains:\n    - allow: a..b\n", 3, "empty label");
	refuses("dns:\n  domains:\n    - allow: a.b\n      ports:\n"
		"        - 443/tcp\n        - 0\n",
		6, "dns.domains[0].ports[1]: '0' names port 0");
	refuses("dns:\n  domains:\n    - {deny: a.b, ports: [443]}\n", 3,
		"dns.domains[0].ports: is only for rules that allow");
	refuses("dns:\n  domains:\n    - {deny: a.b, ttl_floor: 5m}\n", 3,
		"dns.domains[0].ttl_floor: is only for rules that allow");
	refuses("dns:\n  domains:\n    - {allow: a.b, ttl_floor: 8d}\n", 3,
		"dns.domains[0].ttl_floor: 8d is out of range, 1s to 7d");
	refuses("dns:\n  upstreams:\n    - 192.0.2.1\n    - dns.example\n", 4,
		"dns.upstreams: 'dns.example'");
	refuses("dns:\n  upstreams:\n    - 192.0.2.1\n    - 192.0.2.1:53\n", 4,
		"is the server of line 3 again");
	refuses("dns: {upstreams: []}\n", 1, "dns.upstreams");
	refuses("dns:\n  dnssec: true\n", 2,
		"dns.dnssec: is about the policy's own upstreams");
	refuses("dns:\n  hints: keep\n", 2, "dns.hints");
	refuses("dns:\n  steering: no\n", 2, "dns.steering");
}

static void a_name_given_twice_is_told_with_both_lines(void)
{
	refuses("cidrs: [{allow: 10.0.0.1}]\ndns:\n  domains:\n"
		"    - allow: example.com\n    - allow: a.example.com\n"
		"    - deny: Example.COM.\n",
		6, "in line 4 has the same ports and says the opposite");
	refuses("dns:\n  domains:\n    - allow: a.b\n    - allow: a.b\n"
		"cidrs: [{allow: 10.0.0.1}, {allow: 10.0.0.1}]\n",
		4, "in line 3 has the same ports");
	refuses("dns: {domains: [{allow: a.b}]}\n"
		"cidrs:\n  - allow: 10.0.0.1\n  - allow: 10.0.0.1\n",
		4, "in line 3 has the same ports");
}

static void a_file_that_is_not_there_is_named(void)
{
	Sentinel__V1__Policy *policy = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_policy_file_load("/nonexistent/p.yaml", &policy, &diag),
	     -ENOENT);
	t_str_eq(diag.file, "/nonexistent/p.yaml");
	t_true(diag.text[0] != '\0');
}

static void each_sample_is_a_good_policy(void)
{
	glob_t found;

	t_eq(glob("etc/policies/*.yaml", 0, NULL, &found), 0);
	t_true(found.gl_pathc >= 3);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		sn_cleanup(cp_policy_file_freep)
			Sentinel__V1__Policy *file = NULL;
		sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
		struct sn_diag diag = { .text = "" };

		if (cp_policy_file_load(found.gl_pathv[i], &file, &diag) != 0)
			t_fail("%s:%u: %s", diag.file, diag.line, diag.text);
		t_eq(cp_policy_convert_policy(file, 1000, CP_POLICY_OWNER_LOCAL,
					      "", &policy, &diag),
		     0);
		t_true(cp_policy_count(policy) > 0);
	}
	globfree(&found);
}

T_MAIN("policy_file", everything_is_read_in_order, what_is_not_stated_is_closed,
       mistakes_are_told_with_their_line,
       a_rule_given_twice_is_told_with_both_lines, a_prefix_has_eight_items,
       names_are_read_in_order, modes_and_answers_have_their_words,
       dns_that_states_nothing_is_absent,
       mistakes_in_dns_are_told_with_their_line,
       a_name_given_twice_is_told_with_both_lines,
       a_file_that_is_not_there_is_named, each_sample_is_a_good_policy)
