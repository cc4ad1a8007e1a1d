/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/name.h"

#include "shared/util.h"
#include "test/unit/t.h"

static void parses_to(const char *text, const char *canonical)
{
	char buffer[CP_DNS_NAME_TEXT_BYTES];
	struct cp_dns_name name, again;
	struct sn_diag diag = { .text = "" };

	if (cp_dns_name_parse(text, &name, &diag) != 0)
		t_fail("'%s' is refused: %s", text, diag.text);
	t_str_eq(cp_dns_name_format(&name, buffer), canonical);
	t_eq(cp_dns_name_parse(buffer, &again, NULL), 0);
	t_true(cp_dns_name_is_equal(&name, &again));
}

static void is_refused(const char *text, const char *why)
{
	struct cp_dns_name name = { .size = 77 };
	struct sn_diag diag = { .text = "" };

	if (cp_dns_name_parse(text, &name, &diag) != CP_DNS_NAME_E_REFUSED)
		t_fail("'%s' is not refused", text);
	if (!strstr(diag.text, why))
		t_fail("'%s' is refused with '%s', which lacks '%s'", text,
		       diag.text, why);
	t_eq(name.size, 77);
	t_eq(cp_dns_name_parse(text, &name, NULL), CP_DNS_NAME_E_REFUSED);
}

static struct cp_dns_name name_of(const char *text)
{
	struct cp_dns_name name = { .size = 0 };

	t_eq(cp_dns_name_parse(text, &name, NULL), 0);
	return name;
}

static void text_becomes_lower_case_wire_form(void)
{
	struct cp_dns_name name = name_of("wWw.Example.COM");

	t_eq(name.size, 17);
	t_mem_eq(name.wire, "\3www\7example\3com", 17);
	name = name_of(".");
	t_eq(name.size, 1);
	t_eq(name.wire[0], 0);
	parses_to("example.com.", "example.com");
	parses_to("com", "com");
	parses_to(".", ".");
	parses_to("_dmarc.a-b.example", "_dmarc.a-b.example");
	parses_to("1.2.3", "1.2.3");
	parses_to("1.2.3.4.5", "1.2.3.4.5");
}

static void escapes_name_every_byte(void)
{
	struct cp_dns_name name = name_of("a\\.b.c\\000\\255\\\\\\065");

	t_mem_eq(name.wire, "\3a.b\5c\0\377\\a", 11);
	parses_to("a\\.b.example", "a\\046b.example");
	parses_to("\\*.example", "\\042.example");
	parses_to("a\\032b", "a\\032b");
	is_refused("a\\", "no escape");
	is_refused("a\\25", "no escape");
	is_refused("a\\256", "no escape");
	is_refused("a\\ b", "no escape");
}

static void what_is_no_name_is_refused_with_its_reason(void)
{
	is_refused("", "is empty");
	is_refused("..", "empty label");
	is_refused(".example.com", "empty label");
	is_refused("a..b", "empty label");
	is_refused("example.com..", "empty label");
	is_refused("*.example.com", "`subdomains`");
	is_refused("a*.example.com", "`subdomains`");
	is_refused("exam ple.com", "space or control");
	is_refused("example.com\n", "space or control");
	is_refused("a\177b", "space or control");
	is_refused("example.com:443", "`ports`");
	is_refused("https://example.com", "`ports`");
	is_refused("example.com/x", "no path");
	is_refused("10.0.0.0/8", "CIDR");
	is_refused("user@example.com", "names do not have");
	is_refused("192.0.2.1", "is an address");
	is_refused("2001:db8::1", "is an address");
	is_refused("::ffff:192.0.2.1", "is an address");
}

static void international_names_become_a_labels(void)
{
	parses_to("b\303\274cher.example", "xn--bcher-kva.example");
	parses_to("B\303\234CHER.Example", "xn--bcher-kva.example");
	/* The same letter in two pieces (NFD). */
	parses_to("bu\314\210cher.example", "xn--bcher-kva.example");
	parses_to("xn--bcher-kva.example", "xn--bcher-kva.example");
	/* IDNA 2008 keeps the sharp s. */
	parses_to("stra\303\237e.example", "xn--strae-oqa.example");
	/* Ideographic full stop. */
	parses_to("a\343\200\202example", "a.example");
	parses_to("_x.b\303\274cher", "_x.xn--bcher-kva");
	/* Full-width letters, digits, asterisk. */
	parses_to("\357\275\205xample", "example");
	is_refused("\357\274\221\357\274\222.0.0.1", "is an address");
	is_refused("\357\274\212.example", "`subdomains`");
	is_refused("b\303\274cher\\.x", "escapes");
	is_refused("\377\376.example", "");
	is_refused("\343\200\202", "");
	/* A lone combining mark. */
	is_refused("\314\210.example", "");
	is_refused("\302\255", "");
}

static void the_limits_are_those_of_the_wire(void)
{
	char text[400], label[64];

	(void)memset(label, 'a', sizeof(label));
	(void)snprintf(text, sizeof(text), "%.63s.example", label);
	parses_to(text, text);
	(void)snprintf(text, sizeof(text), "%.64s.example", label);
	is_refused(text, "63");

	(void)snprintf(text, sizeof(text), "%.63s.%.63s.%.63s.%.61s", label,
		       label, label, label);
	parses_to(text, text);
	t_eq(name_of(text).size, CP_DNS_NAME_WIRE_MAX);
	(void)strcat(text, ".");
	t_eq(name_of(text).size, CP_DNS_NAME_WIRE_MAX);
	(void)snprintf(text, sizeof(text), "%.63s.%.63s.%.63s.%.62s", label,
		       label, label, label);
	is_refused(text, "253");
	(void)snprintf(text, sizeof(text), "%.63s.%.63s.%.63s.%.61s.a", label,
		       label, label, label);
	is_refused(text, "253");

	for (size_t i = 0; i < 127; i++)
		(void)memcpy(text + 2 * i, "a.", 3);
	t_eq(cp_dns_name_count_labels(&(struct cp_dns_name){ 0 }), 0);
	t_eq(name_of(text).size, CP_DNS_NAME_WIRE_MAX);
	{
		struct cp_dns_name name = name_of(text);

		t_eq(cp_dns_name_count_labels(&name), CP_DNS_NAME_LABELS_MAX);
	}
	(void)strcat(text, "a");
	is_refused(text, "253");
}

static void every_wire_name_survives_its_text(void)
{
	char buffer[CP_DNS_NAME_TEXT_BYTES];
	struct cp_dns_name name = { .size = 255 }, again;

	for (unsigned int first = 0; first < 256; first += 61) {
		for (size_t i = 0; i < 254; i++) {
			uint8_t c = (uint8_t)(first + i);

			name.wire[i] = c >= 'A' && c <= 'Z' ? 'x' : c;
		}
		name.wire[0] = name.wire[64] = name.wire[128] = 63;
		name.wire[192] = 61;
		name.wire[254] = 0;
		(void)cp_dns_name_format(&name, buffer);
		t_eq(cp_dns_name_parse(buffer, &again, NULL), 0);
		t_true(cp_dns_name_is_equal(&name, &again));
	}
	/* A name that looks like an address is written so that it is none. */
	name = (struct cp_dns_name){ .size = 9,
				     .wire = "\0011\0012\0013\0014" };
	t_str_eq(cp_dns_name_format(&name, buffer), "\\049.2.3.4");
}

static int read_at(const char *bytes, size_t size, size_t offset,
		   struct cp_dns_name *name, size_t *end)
{
	uint8_t message[600] = { 0 };

	(void)memcpy(message + 12, bytes, size);
	return cp_dns_name_read(message, size + 12, offset + 12, name, end);
}

static void compressed_names_are_read_and_end_where_they_stand(void)
{
	static const char bytes[] = "\7exAmple\3COM\0"
				    "\3www\300\014"
				    "\1a\300\031"
				    "\300\014";
	char buffer[CP_DNS_NAME_TEXT_BYTES];
	struct cp_dns_name name;
	size_t end = 0;

	t_eq(read_at(bytes, sizeof(bytes) - 1, 0, &name, &end), 0);
	t_str_eq(cp_dns_name_format(&name, buffer), "example.com");
	t_eq(end, 12 + 13);
	t_eq(read_at(bytes, sizeof(bytes) - 1, 13, &name, &end), 0);
	t_str_eq(cp_dns_name_format(&name, buffer), "www.example.com");
	t_eq(end, 12 + 19);
	t_eq(read_at(bytes, sizeof(bytes) - 1, 19, &name, &end), 0);
	t_str_eq(cp_dns_name_format(&name, buffer), "a.www.example.com");
	t_eq(end, 12 + 23);
	t_eq(read_at(bytes, sizeof(bytes) - 1, 23, &name, NULL), 0);
	t_str_eq(cp_dns_name_format(&name, buffer), "example.com");
}

static void broken_wire_names_are_refused(void)
{
	char bytes[600];
	struct cp_dns_name name;
	size_t n = 0;

	/* Itself, forward, into the header, two that point at each other,
	 * back into its own labels. */
	t_eq(read_at("\300\014", 2, 0, &name, NULL), 1);
	t_eq(read_at("\300\016\0", 3, 0, &name, NULL), 1);
	t_eq(read_at("\300\001", 2, 0, &name, NULL), 1);
	t_eq(read_at("\300\016\300\014", 4, 0, &name, NULL), 1);
	t_eq(read_at("\300\016\300\014", 4, 2, &name, NULL), 1);
	t_eq(read_at("\1a\300\014", 4, 0, &name, NULL), 1);
	t_eq(read_at("\0\1a\1b\300\015", 7, 3, &name, NULL), 1);
	/* Cut off: nowhere, in a label, before the root, in a pointer. */
	t_eq(read_at("", 0, 0, &name, NULL), 1);
	t_eq(read_at("\3ab", 3, 0, &name, NULL), 1);
	t_eq(read_at("\3abc", 4, 0, &name, NULL), 1);
	t_eq(read_at("\300", 1, 0, &name, NULL), 1);
	/* Other label types (RFC 6891 5). */
	t_eq(read_at("\100a\0", 3, 0, &name, NULL), 1);
	t_eq(read_at("\200a\0", 3, 0, &name, NULL), 1);

	/* Four labels of 63 are 257 bytes; 63, 63, 63, 61 are 255. */
	for (size_t i = 0; i < 4; i++) {
		bytes[n] = 63;
		(void)memset(bytes + n + 1, 'a', 63);
		n += 64;
	}
	bytes[n++] = 0;
	t_eq(read_at(bytes, n, 0, &name, NULL), 1);
	bytes[192] = 61;
	bytes[254] = 0;
	t_eq(read_at(bytes, n, 0, &name, NULL), 0);
	t_eq(name.size, 255);
	bytes[192] = 62;
	bytes[255] = 0;
	t_eq(read_at(bytes, n, 0, &name, NULL), 1);
	/* The same by way of a pointer. */
	(void)memcpy(bytes + 256, "\5bcdef\300\014", 8);
	bytes[192] = 61;
	bytes[254] = 0;
	t_eq(read_at(bytes, 264, 256, &name, NULL), 1);
}

static void zeros_and_dots_within_labels_are_bytes_like_others(void)
{
	static const char bytes[] = "\3a\0b\2c.\0";
	struct cp_dns_name name, plain = name_of("a");

	t_eq(read_at(bytes, sizeof(bytes) - 1, 0, &name, NULL), 0);
	t_eq(name.size, 8);
	t_eq(cp_dns_name_count_labels(&name), 2);
	t_false(cp_dns_name_is_equal(&name, &plain));
	t_false(cp_dns_name_is_below(&name, &plain));
}

static void below_means_at_a_label(void)
{
	struct cp_dns_name root = name_of("."), com = name_of("com"),
			   example = name_of("example.com"),
			   www = name_of("www.example.com"),
			   other = name_of("notexample.com"),
			   trick = name_of("a\\007example.com");

	t_true(cp_dns_name_is_below(&www, &example));
	t_true(cp_dns_name_is_below(&www, &www));
	t_true(cp_dns_name_is_below(&www, &root));
	t_true(cp_dns_name_is_below(&root, &root));
	t_false(cp_dns_name_is_below(&root, &com));
	t_false(cp_dns_name_is_below(&example, &www));
	t_false(cp_dns_name_is_below(&other, &example));
	/* Its bytes end like the other's, but within a label. */
	t_false(cp_dns_name_is_below(&trick, &example));

	t_eq(cp_dns_name_suffix(&www, 0), 0);
	t_eq(cp_dns_name_suffix(&www, 1), 4);
	t_eq(cp_dns_name_suffix(&www, 3), 16);
	t_eq(cp_dns_name_suffix(&www, 4), -1);
	t_eq(cp_dns_name_count_labels(&www), 3);
	t_eq(cp_dns_name_count_labels(&root), 0);
}

T_MAIN("dns_name", text_becomes_lower_case_wire_form, escapes_name_every_byte,
       what_is_no_name_is_refused_with_its_reason,
       international_names_become_a_labels, the_limits_are_those_of_the_wire,
       every_wire_name_survives_its_text,
       compressed_names_are_read_and_end_where_they_stand,
       broken_wire_names_are_refused,
       zeros_and_dots_within_labels_are_bytes_like_others,
       below_means_at_a_label)
