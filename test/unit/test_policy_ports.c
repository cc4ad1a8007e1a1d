// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/ports.h"

#include "shared/util.h"
#include "test/unit/t.h"

static void parses_to(const char *text, unsigned int protocol, unsigned int low,
		      unsigned int high, const char *canonical)
{
	char buffer[CP_POLICY_PORTS_TEXT_BYTES];
	struct cp_policy_ports ports;
	struct sn_diag diag = { .text = "" };

	if (cp_policy_ports_parse(text, &ports, &diag) != 0)
		t_fail("'%s' is refused: %s", text, diag.text);
	t_eq(ports.protocol, protocol);
	t_eq(ports.low, low);
	t_eq(ports.high, high);
	t_eq(ports.pad, 0);
	t_str_eq(cp_policy_ports_format(&ports, buffer), canonical);
}

static void is_refused(const char *text, const char *why)
{
	struct cp_policy_ports ports;
	struct sn_diag diag = { .text = "" };

	if (cp_policy_ports_parse(text, &ports, &diag) !=
	    CP_POLICY_PORTS_E_REFUSED)
		t_fail("'%s' is not refused", text);
	if (!strstr(diag.text, why))
		t_fail("'%s' is refused with '%s', which lacks '%s'", text,
		       diag.text, why);
}

static void every_form_is_read_and_written_canonically(void)
{
	parses_to("443/tcp", 6, 443, 443, "443/tcp");
	parses_to("8000-8100/udp", 17, 8000, 8100, "8000-8100/udp");
	parses_to("53", 0, 53, 53, "53");
	parses_to("47", 0, 47, 47, "47");
	parses_to("1-65535", 0, 1, 65535, "1-65535");
	parses_to("1-65535/tcp", 6, 1, 65535, "1-65535/tcp");
	parses_to("5-5/sctp", 132, 5, 5, "5/sctp");
	parses_to("7/udplite", 136, 7, 7, "7/udplite");
	parses_to("7/dccp", 33, 7, 7, "7/dccp");
	parses_to("tcp", 6, 0, 65535, "tcp");
	parses_to("icmp", 1, 0, 65535, "icmp");
	parses_to("icmp6", 58, 0, 65535, "icmp6");
	parses_to("gre", 47, 0, 65535, "gre");
	parses_to("esp", 50, 0, 65535, "esp");
	parses_to("ah", 51, 0, 65535, "ah");
	parses_to("proto/47", 47, 0, 65535, "gre");
	parses_to("proto/6", 6, 0, 65535, "tcp");
	parses_to("proto/253", 253, 0, 65535, "proto/253");
}

static void what_cannot_be_meant_is_refused_with_its_reason(void)
{
	is_refused("0/tcp", "port 0");
	is_refused("0-5/tcp", "port 0");
	is_refused("8100-8000/udp", "reverse");
	is_refused("65536/tcp", "no port from 1 to 65535");
	is_refused("80-65536", "after '-'");
	is_refused("80-/tcp", "after '-'");
	is_refused("080/tcp", "no port");
	is_refused("443/icmp", "protocol that has none");
	is_refused("443/gre", "protocol that has none");
	is_refused("443/tpc", "did you mean 'tcp'");
	is_refused("443/", "not a port or protocol");
	is_refused("443/6", "not a port or protocol");
	is_refused("443/TCP", "no");
	is_refused("", "not a port or protocol");
	is_refused("https", "not a port or protocol");
	is_refused("-1", "not a port or protocol");
	is_refused(" 443", "not a port or protocol");
	is_refused("443 /tcp", "no port");
	is_refused("1-2-3/tcp", "after '-'");
	is_refused("proto/0", "proto/1 to proto/255");
	is_refused("proto/256", "proto/1 to proto/255");
	is_refused("proto/", "proto/1 to proto/255");
	is_refused("proto/tcp", "proto/1 to proto/255");
	is_refused("4444444444444444444444444", "too long");
}

static void list_is_sorted_by_protocol_and_port(void)
{
	static const char *const texts[] = { "443/tcp", "icmp", "80-90/tcp",
					     "53", "80/tcp" };
	static const char *const sorted[] = { "53", "icmp", "80/tcp",
					      "80-90/tcp", "443/tcp" };
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	char buffer[CP_POLICY_PORTS_TEXT_BYTES];
	struct sn_diag diag;
	uint8_t n = 0;
	size_t index;

	t_eq(cp_policy_ports_parse_list(texts, 5, ports, &n, &index, &diag), 0);
	t_eq(n, 5);
	for (uint8_t i = 0; i < n; i++)
		t_str_eq(cp_policy_ports_format(&ports[i], buffer), sorted[i]);
}

static void list_refuses_a_spec_given_twice_in_any_spelling(void)
{
	static const char *const texts[] = { "80/tcp", "tcp", "proto/6" };
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	struct sn_diag diag;
	uint8_t n = 9;
	size_t index = 9;

	t_eq(cp_policy_ports_parse_list(texts, 3, ports, &n, &index, &diag),
	     CP_POLICY_PORTS_E_REFUSED);
	t_eq(index, 2);
	t_eq(n, 9);
	t_str_eq(diag.text, "'proto/6' is given twice");
}

static void list_has_eight_at_most(void)
{
	static const char *const texts[] = { "1", "2", "3", "4", "5",
					     "6", "7", "8", "9" };
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	struct sn_diag diag;
	uint8_t n = 0;
	size_t index = 0;

	t_eq(cp_policy_ports_parse_list(texts, 8, ports, &n, &index, &diag), 0);
	t_eq(n, 8);
	t_eq(cp_policy_ports_parse_list(texts, 9, ports, &n, &index, &diag),
	     CP_POLICY_PORTS_E_REFUSED);
	t_eq(index, 8);
	t_eq(cp_policy_ports_parse_list(NULL, 0, ports, &n, &index, &diag), 0);
	t_eq(n, 0);
}

static bool matches(const char *text, uint8_t protocol, uint16_t port)
{
	struct cp_policy_ports ports = { .low = 0 };
	struct sn_diag diag;

	t_eq(cp_policy_ports_parse(text, &ports, &diag), 0);
	return cp_policy_ports_match(&ports, protocol, port);
}

static void a_bare_port_matches_every_protocol_that_has_ports(void)
{
	t_true(matches("53", 6, 53));
	t_true(matches("53", 17, 53));
	t_true(matches("53", 33, 53));
	t_true(matches("53", 132, 53));
	t_true(matches("53", 136, 53));
	t_false(matches("53", 17, 54));
	t_false(matches("53", 1, 53));
	t_false(matches("1-65535", 47, 0));
	t_false(matches("1-65535", 17, 0));
}

static void a_protocol_alone_matches_all_of_its_packets(void)
{
	t_true(matches("udp", 17, 0));
	t_true(matches("udp", 17, 65535));
	t_true(matches("gre", 47, 0));
	t_false(matches("gre", 50, 0));
	t_true(matches("80-90/tcp", 6, 90));
	t_false(matches("80-90/tcp", 6, 91));
	t_false(matches("80-90/tcp", 17, 85));
}

static void a_list_is_written_whole_and_none_is_any(void)
{
	struct cp_policy_ports longest[CP_POLICY_PORTS_MAX];
	char buffer[CP_POLICY_PORTS_LIST_BYTES];
	char wanted[CP_POLICY_PORTS_LIST_BYTES] = "";
	struct sn_diag diag;

	t_str_eq(cp_policy_ports_format_list(NULL, 0, buffer), "any");
	for (size_t i = 0; i < CP_POLICY_PORTS_MAX; i++) {
		t_eq(cp_policy_ports_parse("10000-65535/udplite", &longest[i],
					   &diag),
		     0);
		(void)strcat(wanted, i ? "," : "");
		(void)strcat(wanted, "10000-65535/udplite");
	}
	t_str_eq(cp_policy_ports_format_list(longest, 1, buffer),
		 "10000-65535/udplite");
	t_str_eq(cp_policy_ports_format_list(longest, CP_POLICY_PORTS_MAX,
					     buffer),
		 wanted);
}

T_MAIN("policy_ports", every_form_is_read_and_written_canonically,
       what_cannot_be_meant_is_refused_with_its_reason,
       list_is_sorted_by_protocol_and_port,
       list_refuses_a_spec_given_twice_in_any_spelling, list_has_eight_at_most,
       a_bare_port_matches_every_protocol_that_has_ports,
       a_protocol_alone_matches_all_of_its_packets,
       a_list_is_written_whole_and_none_is_any)
