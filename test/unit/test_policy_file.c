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
       a_file_that_is_not_there_is_named, each_sample_is_a_good_policy)
