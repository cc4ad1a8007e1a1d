// SPDX-License-Identifier: Apache-2.0
#include "controld/upstream/servers.h"

#include "shared/util.h"
#include "test/unit/t.h"

static void parses_to(const char *text, const char *canonical)
{
	char buffer[CP_UPSTREAM_SERVERS_TEXT_BYTES];
	struct cp_dns_upstream server, again;
	struct sn_diag diag = { .text = "" };

	if (cp_upstream_servers_parse(text, &server, &diag))
		t_fail("'%s' is refused: %s", text, diag.text);
	t_str_eq(cp_upstream_servers_format(&server, buffer), canonical);
	t_eq(cp_upstream_servers_parse(buffer, &again, &diag), 0);
	t_mem_eq(&server, &again, sizeof(server));
}

static void is_refused(const char *text, const char *why)
{
	struct cp_dns_upstream server = { .family = 77 };
	struct sn_diag diag = { .text = "" };

	t_eq(cp_upstream_servers_parse(text, &server, &diag),
	     CP_UPSTREAM_SERVERS_E_REFUSED);
	if (!strstr(diag.text, why))
		t_fail("'%s' is refused with '%s', which lacks '%s'", text,
		       diag.text, why);
	t_eq(server.family, 77);
}

static void servers_are_read_and_written_canonically(void)
{
	parses_to("192.0.2.1", "192.0.2.1");
	parses_to("192.0.2.1:53", "192.0.2.1");
	parses_to("192.0.2.1:5353", "192.0.2.1:5353");
	parses_to("2001:DB8::1", "2001:db8::1");
	parses_to("[2001:db8::1]", "2001:db8::1");
	parses_to("[2001:db8::1]:53", "2001:db8::1");
	parses_to("[2001:db8::1]:65535", "[2001:db8::1]:65535");
	parses_to("tls://9.9.9.9#dns.quad9.net", "tls://9.9.9.9#dns.quad9.net");
	parses_to("TLS://9.9.9.9:853#DNS.Quad9.net.",
		  "tls://9.9.9.9#dns.quad9.net");
	parses_to("tls://9.9.9.9:53#a-b.example",
		  "tls://9.9.9.9:53#a-b.example");
	parses_to("tls://[2620:fe::fe]:8853#dns.quad9.net",
		  "tls://[2620:fe::fe]:8853#dns.quad9.net");
	parses_to("tls://2620:fe::fe#dns", "tls://2620:fe::fe#dns");
	parses_to("127.0.0.53", "127.0.0.53");
}

static void the_fields_are_filled(void)
{
	const uint8_t address[16] = { 192, 0, 2, 1 };
	struct cp_dns_upstream server;
	struct sn_diag diag;

	t_eq(cp_upstream_servers_parse("tls://192.0.2.1#x.example", &server,
				       &diag),
	     0);
	t_eq(server.family, SN_FAMILY_IPV4);
	t_eq(server.is_tls, 1);
	t_eq(server.port, 853);
	t_mem_eq(server.address, address, sizeof(address));
	t_str_eq(server.name, "x.example");
}

static void what_is_no_server_is_refused_with_its_reason(void)
{
	is_refused("", "is not a server");
	is_refused("dns.example", "is not a server");
	is_refused("dns.example:53", "is not a server");
	is_refused("192.0.2.1 ", "is not a server");
	is_refused("udp://192.0.2.1", "port");
	is_refused("192.0.2.1:", "port from 1");
	is_refused("192.0.2.1:0", "port from 1");
	is_refused("192.0.2.1:053", "port from 1");
	is_refused("192.0.2.1:65536", "port from 1");
	is_refused("192.0.2.1:+53", "port from 1");
	is_refused("[192.0.2.1]:53", "brackets");
	is_refused("[2001:db8::1", "brackets");
	is_refused("[2001:db8::1]53", "brackets");
	is_refused("fe80::1%eth0", "scope");
	is_refused("0.0.0.0", "unspecified");
	is_refused("::", "unspecified");
	is_refused("224.0.0.251", "multicast");
	is_refused("255.255.255.255", "multicast or reserved");
	is_refused("ff02::fb", "multicast");
	is_refused("::ffff:192.0.2.1", "v4-mapped");
}

static void a_tls_server_needs_a_name_that_can_be_verified(void)
{
	char text[512] = "tls://192.0.2.1#";

	is_refused("tls://192.0.2.1", "lacks '#'");
	is_refused("192.0.2.1#dns.example", "tls:// only");
	is_refused("tls://192.0.2.1#", "no name");
	is_refused("tls://192.0.2.1#.", "no name");
	is_refused("tls://192.0.2.1#192.0.2.1", "no host name");
	is_refused("tls://192.0.2.1#*.example", "no host name");
	is_refused("tls://192.0.2.1#a..example", "no host name");
	is_refused("tls://192.0.2.1#-a.example", "no host name");
	is_refused("tls://192.0.2.1#a b", "no host name");
	is_refused("tls://192.0.2.1#a#b", "no host name");

	(void)memset(text + strlen(text), 'a', 64);
	is_refused(text, "no host name");
	(void)memset(text + strlen("tls://192.0.2.1#"), 'a', 400);
	is_refused(text, "too long");
}

static void write_file(char path[64], const char *text)
{
	int fd;

	(void)strcpy(path, "/tmp/sentinel-test-XXXXXX");
	fd = mkstemp(path);
	t_true(fd >= 0);
	t_eq(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void reads_to(const char *text, const char *const *wanted, size_t n)
{
	struct cp_dns_upstream servers[CP_DNS_UPSTREAMS_MAX];
	char buffer[CP_UPSTREAM_SERVERS_TEXT_BYTES];
	struct cp_dns_upstream own;
	struct sn_diag diag;
	size_t n_read = 99;
	char path[64];

	t_eq(cp_upstream_servers_parse("198.18.0.1:20053", &own, &diag), 0);
	write_file(path, text);
	t_eq(cp_upstream_servers_read(path, &own, 1, servers, &n_read), 0);
	(void)unlink(path);
	t_eq(n_read, n);
	for (size_t i = 0; i < n; i++)
		t_str_eq(cp_upstream_servers_format(&servers[i], buffer),
			 wanted[i]);
}

static void resolv_conf_gives_its_nameservers_in_order(void)
{
	const char *const wanted[] = { "192.0.2.1", "2001:db8::1",
				       "127.0.0.1" };

	reads_to("# nameserver 203.0.113.1\n"
		 "search example.com\n"
		 "nameserver 192.0.2.1\n"
		 "nameserver\t 2001:db8::1  # with a remark\n"
		 "nameserver 192.0.2.1\n"
		 "nameserver 198.18.0.1\n"
		 "nameserver fe80::1%eth0\n"
		 "nameserver dns.example\n"
		 "nameserver\n"
		 "nameservers 203.0.113.2\n"
		 " nameserver 203.0.113.3\n"
		 "options edns0\n"
		 "nameserver 127.0.0.1",
		 wanted, SN_ARRAY_SIZE(wanted));
	reads_to("", NULL, 0);
}

static void resolv_conf_is_read_up_to_the_limit(void)
{
	char text[4096] = "", line[2000];
	const char *wanted[CP_DNS_UPSTREAMS_MAX];
	char names[CP_DNS_UPSTREAMS_MAX][32];

	/* What is beyond the buffer is not taken for a line. */
	(void)memset(line, ' ', sizeof(line));
	(void)memcpy(line, "options", 7);
	(void)strcpy(line + 1023, "nameserver 203.0.113.9\n");
	(void)strcat(text, line);
	for (int i = 0; i < CP_DNS_UPSTREAMS_MAX + 3; i++) {
		(void)snprintf(line, sizeof(line), "nameserver 192.0.2.%d\n",
			       i + 1);
		(void)strcat(text, line);
		if (i >= CP_DNS_UPSTREAMS_MAX)
			continue;
		(void)snprintf(names[i], sizeof(names[i]), "192.0.2.%d", i + 1);
		wanted[i] = names[i];
	}
	reads_to(text, wanted, CP_DNS_UPSTREAMS_MAX);
}

static void a_missing_resolv_conf_is_an_error_of_the_machine(void)
{
	struct cp_dns_upstream servers[CP_DNS_UPSTREAMS_MAX];
	size_t n = 99;

	t_eq(cp_upstream_servers_read("/nonexistent/resolv.conf", NULL, 0,
				      servers, &n),
	     -ENOENT);
	t_eq(n, 99);
}

T_MAIN("upstream_servers", servers_are_read_and_written_canonically,
       the_fields_are_filled, what_is_no_server_is_refused_with_its_reason,
       a_tls_server_needs_a_name_that_can_be_verified,
       resolv_conf_gives_its_nameservers_in_order,
       resolv_conf_is_read_up_to_the_limit,
       a_missing_resolv_conf_is_an_error_of_the_machine)
