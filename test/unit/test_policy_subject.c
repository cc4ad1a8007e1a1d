// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/subject.h"

#include "test/unit/t.h"

static void is_cidr(const char *text, const char *as)
{
	char buffer[CP_POLICY_CIDR_TEXT_BYTES];
	struct cp_policy_subject subject;
	struct sn_diag diag = { .text = "" };

	if (cp_policy_subject_parse(text, &subject, &diag) != 0)
		t_fail("'%s': %s", text, diag.text);
	t_false(subject.is_name);
	t_str_eq(cp_policy_cidr_format(&subject.cidr, buffer), as);
}

static void is_name(const char *text, const char *as)
{
	char buffer[CP_DNS_NAME_TEXT_BYTES];
	struct cp_policy_subject subject;
	struct sn_diag diag = { .text = "" };

	if (cp_policy_subject_parse(text, &subject, &diag) != 0)
		t_fail("'%s': %s", text, diag.text);
	t_true(subject.is_name);
	t_str_eq(cp_dns_name_format(&subject.name, buffer), as);
}

static void refuses(const char *text, const char *why)
{
	struct cp_policy_subject subject;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_policy_subject_parse(text, &subject, &diag),
	     CP_POLICY_SUBJECT_E_REFUSED);
	if (!strstr(diag.text, why))
		t_fail("'%s' lacks '%s'", diag.text, why);
}

static void addresses_and_prefixes_win(void)
{
	is_cidr("10.0.0.0/8", "10.0.0.0/8");
	is_cidr("192.0.2.1", "192.0.2.1/32");
	is_cidr("::", "::/128");
	is_cidr("2001:db8::/32", "2001:db8::/32");
}

static void all_else_is_a_name(void)
{
	is_name("Example.COM.", "example.com");
	is_name("face.cafe", "face.cafe");
	is_name("1e100.net", "1e100.net");
	is_name("4.example", "4.example");
	is_name("localhost", "localhost");
	is_name(".", ".");
}

static void what_was_meant_as_a_prefix_is_a_bad_prefix(void)
{
	refuses("10.0.0.0/33", "has no prefix length from 0 to 32");
	refuses("10.0.0.1/8", "has host bits set");
	refuses("10.0.0/8", "is not an address or prefix");
	refuses("256.0.0.1", "is not an address or prefix");
	refuses("1.2.3", "is not an address or prefix");
	refuses("443", "is not an address or prefix");
	refuses("010.0.0.1", "leading zero");
	refuses("10.0.0.0/8x", "has no prefix length from 0 to 32");
	refuses("2001:db8::/129", "has no prefix length from 0 to 128");
	refuses("2001:db8::g", "is not an address or prefix");
	refuses("fe80::1%eth0", "has a zone");
	refuses("::ffff:10.0.0.1", "v4-mapped");
}

static void bad_names_are_told_as_names(void)
{
	refuses("", "an address, a prefix or a name must be given");
	refuses("*.example.com", "subdomains");
	refuses("example..com", "empty label");
	refuses("example.com:443", "ports are given by");
	refuses("https://example.com/", "a URL is no name");
	refuses("example.com/24", "prefixes are given by");
	refuses("exam ple.com", "space");
}

T_MAIN("policy_subject", addresses_and_prefixes_win, all_else_is_a_name,
       what_was_meant_as_a_prefix_is_a_bad_prefix, bad_names_are_told_as_names)
