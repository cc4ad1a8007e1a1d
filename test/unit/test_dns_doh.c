// SPDX-License-Identifier: Apache-2.0
#include "controld/dns/doh.h"

#include "test/unit/t.h"

static struct cp_dns_doh *parse(const char *text)
{
	struct sn_diag diag = { .text = "" };
	struct cp_dns_doh *doh = NULL;

	if (cp_dns_doh_parse(text, strlen(text), "doh.list", &doh, &diag) != 0)
		t_fail("%u: %s", diag.line, diag.text);
	return doh;
}

static void refuses_text(const char *text, size_t size, unsigned int line,
			 const char *why)
{
	struct sn_diag diag = { .text = "" };
	struct cp_dns_doh *doh = NULL;

	t_eq(cp_dns_doh_parse(text, size, "doh.list", &doh, &diag),
	     CP_DNS_DOH_E_REFUSED);
	t_null(doh);
	t_str_eq(diag.file, "doh.list");
	t_eq(diag.line, line);
	if (!strstr(diag.text, why))
		t_fail("'%s' lacks '%s'", diag.text, why);
}

static void refuses(const char *text, unsigned int line, const char *why)
{
	refuses_text(text, strlen(text), line, why);
}

static bool is_refused(const struct cp_dns_doh *doh,
		       const struct cp_dns_rules *rules, const char *text)
{
	struct cp_dns_match match = { .verdict = SN_VERDICT_NONE };
	struct cp_dns_name name;

	t_eq(cp_dns_name_parse(text, &name, NULL), 0);
	if (rules)
		cp_dns_rules_match(rules, &name, &match);
	return cp_dns_doh_is_refused(doh, &name, &match);
}

static void lines_are_names_and_addresses(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh =
		parse("# a comment\n\n  dns.example.net  # mine\r\n"
		      "192.0.2.53\n2001:db8::53\nDNS.Example.NET.\n"
		      "\t192.0.2.53/32\nb.example");
	const struct cp_policy_cidr *addresses;
	char text[CP_POLICY_CIDR_TEXT_BYTES];
	size_t n;

	t_eq(cp_dns_doh_count_names(doh), 2);
	addresses = cp_dns_doh_get_addresses(doh, &n);
	t_eq(n, 2);
	t_str_eq(cp_policy_cidr_format(&addresses[0], text), "192.0.2.53/32");
	t_str_eq(cp_policy_cidr_format(&addresses[1], text),
		 "2001:db8::53/128");
}

static void mistakes_are_told_with_their_line(void)
{
	refuses("a.example\n*.b.example\n", 2, "subdomains");
	refuses("\n\n10.0.0.0/8\n", 3, "a prefix cannot be listed");
	refuses("10.0.0.300\n", 1, "is not an address");
	refuses("https://a.example/dns-query\n", 1, "a URL is no name");
	refuses("a.example b.example\n", 1, "space");
	refuses(".\n", 1, "the root");
	refuses_text("a\0b\n", 4, 1, "NUL");
}

static void size_lines_and_entries_are_bounded(void)
{
	size_t size = CP_DNS_DOH_FILE_BYTES + 1, n = 0;
	char *text = malloc(size + 64);

	t_not_null(text);
	(void)memset(text, '#', size);
	refuses_text(text, size, 0, "is larger than");
	(void)memset(text, 'a', 2000);
	refuses_text(text, 2000, 1, "too long");
	for (unsigned int i = 0; i <= CP_DNS_DOH_NAMES_MAX; i++)
		n += (size_t)sprintf(text + n, "n%u.example\n", i);
	refuses_text(text, n, CP_DNS_DOH_NAMES_MAX + 1, "more than 16384");
	n = 0;
	for (unsigned int i = 0; i <= CP_DNS_DOH_ADDRESSES_MAX; i++)
		n += (size_t)sprintf(text + n, "10.0.%u.%u\n", i >> 8, i & 255);
	refuses_text(text, n, CP_DNS_DOH_ADDRESSES_MAX + 1, "more than 1024");
	free(text);
}

static void a_listed_name_covers_what_is_below_it(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh =
		parse("dns.example.net\nexample.org\n");

	t_true(is_refused(doh, NULL, "dns.example.net"));
	t_true(is_refused(doh, NULL, "a.b.dns.example.net"));
	t_true(is_refused(doh, NULL, "x.example.org"));
	t_false(is_refused(doh, NULL, "example.net"));
	t_false(is_refused(doh, NULL, "xdns.example.net"));
	t_false(is_refused(doh, NULL, "."));
	t_false(is_refused(NULL, NULL, "dns.example.net"));
}

static void put_rule(struct cp_dns_rules *rules, uint32_t id, const char *name,
		     enum sn_verdict verdict, bool subdomains)
{
	struct cp_dns_rule rule = {
		.id = id,
		.verdict = (uint8_t)verdict,
		.owner = 1,
		.subdomains = subdomains,
	};

	t_eq(cp_dns_name_parse(name, &rule.name, NULL), 0);
	t_eq(cp_dns_rules_add(rules, &rule, NULL), 0);
}

static void only_a_rule_for_exactly_the_name_opens_it(void)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh =
		parse("dns.example.net\nb.example\n");

	t_eq(cp_dns_rules_new(&rules), 0);
	put_rule(rules, 1, "example.net", SN_VERDICT_ALLOW, true);
	put_rule(rules, 2, "b.example", SN_VERDICT_DENY, true);
	t_true(is_refused(doh, rules, "dns.example.net"));
	t_true(is_refused(doh, rules, "b.example"));
	t_false(is_refused(doh, rules, "www.example.net"));
	put_rule(rules, 3, "dns.example.net", SN_VERDICT_ALLOW, true);
	t_false(is_refused(doh, rules, "dns.example.net"));
	t_true(is_refused(doh, rules, "a.dns.example.net"));
}

static bool has(const struct cp_dns_doh *doh, const char *text)
{
	struct cp_dns_address address = { .family = SN_FAMILY_NONE };
	struct cp_policy_cidr cidr;
	struct sn_diag diag;

	t_eq(cp_policy_cidr_parse(text, &cidr, &diag), 0);
	address.family = cidr.family;
	(void)memcpy(address.bytes, cidr.address, sizeof(address.bytes));
	return cp_dns_doh_has_address(doh, &address);
}

static void addresses_are_found(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *empty = parse("# no\n");
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh =
		parse("192.0.2.9\n2001:db8::9\n192.0.2.1\n");

	t_true(has(doh, "192.0.2.1"));
	t_true(has(doh, "192.0.2.9"));
	t_true(has(doh, "2001:db8::9"));
	t_false(has(doh, "192.0.2.2"));
	t_false(has(doh, "c000:209::"));
	t_false(has(empty, "192.0.2.1"));
	t_false(has(NULL, "192.0.2.1"));
}

static void the_sample_is_empty_and_good(void)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	struct sn_diag diag = { .text = "" };
	size_t n;

	t_eq(cp_dns_doh_load("etc/doh-endpoints.list", &doh, &diag), 0);
	t_eq(cp_dns_doh_count_names(doh), 0);
	(void)cp_dns_doh_get_addresses(doh, &n);
	t_eq(n, 0);
}

static void a_file_that_cannot_be_read_is_named(void)
{
	struct cp_dns_doh *doh = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_dns_doh_load("/nonexistent/doh", &doh, &diag), -ENOENT);
	t_str_eq(diag.file, "/nonexistent/doh");
	t_str_eq(diag.text, "cannot be read: No such file or directory");
	t_eq(cp_dns_doh_load("/dev/null", &doh, &diag), CP_DNS_DOH_E_REFUSED);
	t_str_eq(diag.text, "is not a regular file");
	t_null(doh);
}

T_MAIN("dns_doh", lines_are_names_and_addresses,
       mistakes_are_told_with_their_line, size_lines_and_entries_are_bounded,
       a_listed_name_covers_what_is_below_it,
       only_a_rule_for_exactly_the_name_opens_it, addresses_are_found,
       the_sample_is_empty_and_good, a_file_that_cannot_be_read_is_named)
