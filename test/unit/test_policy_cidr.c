// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/cidr.h"

#include "shared/util.h"
#include "test/unit/t.h"

static void parses_to(const char *text, const char *canonical)
{
	char buffer[CP_POLICY_CIDR_TEXT_BYTES];
	struct cp_policy_cidr cidr, again;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_policy_cidr_parse(text, &cidr, &diag), 0);
	t_str_eq(cp_policy_cidr_format(&cidr, buffer), canonical);
	t_eq(cp_policy_cidr_parse(buffer, &again, &diag), 0);
	t_eq(cp_policy_cidr_compare(&cidr, &again), 0);
}

static void is_refused(const char *text, const char *why)
{
	struct cp_policy_cidr cidr = { .family = 77 };
	struct sn_diag diag = { .text = "" };

	t_eq(cp_policy_cidr_parse(text, &cidr, &diag),
	     CP_POLICY_CIDR_E_REFUSED);
	if (!strstr(diag.text, why))
		t_fail("'%s' is refused with '%s', which lacks '%s'", text,
		       diag.text, why);
	t_eq(cidr.family, 77);
}

static void prefixes_and_addresses_are_read_and_written_canonically(void)
{
	parses_to("10.0.0.0/8", "10.0.0.0/8");
	parses_to("0.0.0.0/0", "0.0.0.0/0");
	parses_to("10.1.2.3", "10.1.2.3/32");
	parses_to("10.1.2.3/32", "10.1.2.3/32");
	parses_to("10.1.2.2/31", "10.1.2.2/31");
	parses_to("2001:0DB8:0:0::/32", "2001:db8::/32");
	parses_to("::/0", "::/0");
	parses_to("::1", "::1/128");
	parses_to("2001:db8::8000:0/97", "2001:db8::8000:0/97");
	parses_to("64:ff9b::1.2.3.4", "64:ff9b::102:304/128");
	parses_to("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
}

static void ipv4_is_in_the_first_four_bytes(void)
{
	const uint8_t wanted[16] = { 192, 0, 2, 128 };
	struct cp_policy_cidr cidr;
	struct sn_diag diag;

	t_eq(cp_policy_cidr_parse("192.0.2.128/25", &cidr, &diag), 0);
	t_mem_eq(cidr.address, wanted, sizeof(wanted));
	t_eq(cidr.family, SN_FAMILY_IPV4);
	t_eq(cidr.length, 25);
}

static void host_bits_are_refused_with_the_network_that_was_meant(void)
{
	is_refused("10.1.2.3/8", "the network is 10.0.0.0/8");
	is_refused("10.1.2.3/8", "the single address is 10.1.2.3/32");
	is_refused("10.0.0.1/31", "the network is 10.0.0.0/31");
	is_refused("2001:db8::1/64", "the network is 2001:db8::/64");
	is_refused("0.0.0.1/0", "the network is 0.0.0.0/0");
}

static void what_is_no_prefix_is_refused_with_its_reason(void)
{
	is_refused("10.0.0.0/33", "no prefix length from 0 to 32");
	is_refused("::/129", "no prefix length from 0 to 128");
	is_refused("10.0.0.0/", "no prefix length");
	is_refused("10.0.0.0/08", "no prefix length");
	is_refused("10.0.0.0/-1", "no prefix length");
	is_refused("10.0.0.0/8 ", "no prefix length");
	is_refused("10.0.0.0/8/8", "no prefix length");
	is_refused("10.0.0.0/4294967304", "no prefix length");
	is_refused("010.0.0.0/8", "leading zero");
	is_refused("10.0.0.08", "leading zero");
	is_refused("fe80::1%eth0", "zone");
	is_refused("fe80::%1/64", "zone");
	is_refused("::ffff:1.2.3.4", "v4-mapped");
	is_refused("::ffff:0:0/96", "v4-mapped");
	is_refused("", "not an address");
	is_refused("/8", "not an address");
	is_refused(" 10.0.0.0/8", "not an address");
	is_refused("10.0.0/8", "not an address");
	is_refused("10.0.0.0.0", "not an address");
	is_refused("256.0.0.1", "not an address");
	is_refused("0x0a.0.0.1", "not an address");
	is_refused("example.com", "not an address");
	is_refused("1:2:3:4:5:6:7", "not an address");
	is_refused("2001:db8:::/32", "not an address");
	is_refused("255.255.255.0/255.255.255.0", "no prefix length");
	is_refused("1111111111111111111111111111111111111111111111111111/8",
		   "not an address");
}

static void control_bytes_do_not_reach_the_message(void)
{
	struct cp_policy_cidr cidr;
	struct sn_diag diag;

	t_eq(cp_policy_cidr_parse("10.0.0.1\n\033[31m", &cidr, &diag),
	     CP_POLICY_CIDR_E_REFUSED);
	t_null(strchr(diag.text, '\n'));
	t_null(strchr(diag.text, '\033'));
}

static struct cp_policy_cidr get(const char *text)
{
	struct cp_policy_cidr cidr = { .family = 0 };
	struct sn_diag diag;

	t_eq(cp_policy_cidr_parse(text, &cidr, &diag), 0);
	return cidr;
}

static void contains_looks_at_the_length_only(void)
{
	struct cp_policy_cidr net = get("10.1.2.128/25");
	struct cp_policy_cidr all = get("::/0");

	t_true(cp_policy_cidr_contains(&net, get("10.1.2.128").address));
	t_true(cp_policy_cidr_contains(&net, get("10.1.2.255").address));
	t_false(cp_policy_cidr_contains(&net, get("10.1.2.127").address));
	t_false(cp_policy_cidr_contains(&net, get("10.1.3.128").address));
	t_true(cp_policy_cidr_contains(&all, get("2001:db8::1").address));
}

static void order_is_by_family_address_and_length(void)
{
	struct cp_policy_cidr sorted[] = {
		get("0.0.0.0/0"), get("10.0.0.0/8"),   get("10.0.0.0/16"),
		get("10.0.0.1"),  get("192.0.2.0/24"), get("::/0"),
		get("2001::/16"),
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(sorted); i++) {
		for (size_t j = 0; j < SN_ARRAY_SIZE(sorted); j++) {
			int order =
				cp_policy_cidr_compare(&sorted[i], &sorted[j]);

			t_eq((order > 0) - (order < 0), (i > j) - (i < j));
		}
	}
}

T_MAIN("policy_cidr", prefixes_and_addresses_are_read_and_written_canonically,
       ipv4_is_in_the_first_four_bytes,
       host_bits_are_refused_with_the_network_that_was_meant,
       what_is_no_prefix_is_refused_with_its_reason,
       control_bytes_do_not_reach_the_message,
       contains_looks_at_the_length_only, order_is_by_family_address_and_length)
