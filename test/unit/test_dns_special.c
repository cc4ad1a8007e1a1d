/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/special.h"

#include <arpa/inet.h>
#include <string.h>

#include "test/unit/t.h"

static struct cp_dns_address read_address(const char *text)
{
	struct cp_dns_address address = { .family = SN_FAMILY_IPV4 };

	if (strchr(text, ':'))
		address.family = SN_FAMILY_IPV6;
	t_eq(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text,
		       address.bytes),
	     1);
	return address;
}

static void is_special(const char *text, bool expected)
{
	struct cp_dns_address address = read_address(text);
	uint8_t longest = strchr(text, ':') ? 128 : 32;

	if (cp_dns_special_has(&address) != expected)
		t_fail("%s is %sspecial", text, expected ? "not " : "");
	for (uint8_t bits = 0; expected && bits <= longest; bits++)
		t_true(cp_dns_special_meets(&address, bits));
}

static void special_addresses_are_known(void)
{
	static const char *const special[] = {
		"0.0.0.0",
		"0.1.2.3",
		"10.0.0.1",
		"10.255.255.255",
		"100.64.0.1",
		"100.100.100.200",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.0.1",
		"169.254.169.254",
		"168.63.129.16",
		"172.16.0.1",
		"172.31.255.255",
		"192.0.0.170",
		"192.168.0.1",
		"192.88.99.1",
		"198.18.0.1",
		"198.19.255.255",
		"224.0.0.1",
		"239.255.255.255",
		"240.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::7f00:1",
		"::ffff:10.0.0.1",
		"::ffff:8.8.8.8",
		"::ffff:0:8.8.8.8",
		"64:ff9b::10.0.0.1",
		"64:ff9b::169.254.169.254",
		"64:ff9b:1::8.8.8.8",
		"2002:a00:1::1",
		"2002:7f00:1::",
		"2001::1",
		"100::1",
		"fc00::1",
		"fd00:ec2::254",
		"fd20:ce::254",
		"fe80::1",
		"febf::1",
		"fec0::1",
		"ff02::1",
	};
	static const char *const ordinary[] = {
		"1.0.0.0",	   "8.8.8.8",	      "9.255.255.255",
		"11.0.0.0",	   "100.63.255.255",  "100.128.0.0",
		"126.0.0.1",	   "128.0.0.1",	      "168.63.129.17",
		"169.253.0.1",	   "172.15.255.255",  "172.32.0.0",
		"192.0.1.1",	   "192.0.2.1",	      "192.167.0.1",
		"198.17.0.1",	   "198.20.0.0",      "198.51.100.1",
		"203.0.113.1",	   "223.255.255.255", "64:ff9b::8.8.8.8",
		"2002:808:808::1", "2001:db8::1",     "2001:1::1",
		"2606:4700::1",	   "2620:fe::fe",     "fbff::1",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(special); i++)
		is_special(special[i], true);
	for (size_t i = 0; i < SN_ARRAY_SIZE(ordinary); i++)
		is_special(ordinary[i], false);
}

static void networks_without_special_addresses_are_known(void)
{
	static const struct {
		const char *address;
		uint8_t bits;
		bool meets;
	} cases[] = {
		{ "8.0.0.0", 7, false },
		{ "8.0.0.0", 6, true },
		{ "198.51.0.0", 16, false },
		{ "198.0.0.0", 8, true },
		{ "168.63.129.17", 32, false },
		{ "168.63.129.16", 31, true },
		{ "128.0.0.0", 3, false },
		{ "128.0.0.0", 1, true },
		{ "2001:db8::", 32, false },
		{ "2001::", 16, true },
		{ "2600::", 8, false },
		{ "64:ff9b::808:808", 128, true },
		{ "2002:808:808::", 48, true },
		{ "f000::", 5, false },
		{ "f000::", 4, true },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		struct cp_dns_address address = read_address(cases[i].address);

		if (cp_dns_special_meets(&address, cases[i].bits) !=
		    cases[i].meets)
			t_fail("%s/%d", cases[i].address, cases[i].bits);
	}
}

T_MAIN("dns_special", special_addresses_are_known,
       networks_without_special_addresses_are_known)
