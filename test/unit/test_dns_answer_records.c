/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/answer.h"

#include "test/unit/test_dns_answer_rig.h"

static void every_type_is_passed_on_with_its_names_whole(void)
{
	static const uint8_t srv[] = "\0\1\0\2\1\273\6server\4test\0";
	size_t begin;

	/* MX: the name is compressed again. */
	ask("mail.test", 15);
	begin = t_record(&m, ANSWERS, "@", 15, 60);
	t_put16(&m, 10);
	t_put(&m, "\2Mx\300\14", 5);
	t_end(&m, begin);
	t_eq(read_it(), 0);
	t_str_eq(made(), "0: mail.test/15/60 | |");
	t_mem_eq(reply + reply_size - 9, "\0\7\0\12\2Mx\300\14", 9);

	/* SRV: compressed by the server, it leaves here written out. */
	ask("server.test", 33);
	begin = t_record(&m, ANSWERS, "@", 33, 60);
	t_put(&m, srv, 6);
	t_put16(&m, 0xc00c);
	t_end(&m, begin);
	t_eq(read_it(), 0);
	(void)made();
	t_mem_eq(reply + reply_size - 19, srv, 19);

	/* Unknown types are bytes. */
	ask("a.test", 65280);
	t_data(&m, ANSWERS, "@", 65280, 60, "\300\377\0", 3);
	t_eq(read_it(), 0);
	t_str_eq(made(), "0: a.test/65280/60 | |");
	t_mem_eq(reply + reply_size - 3, "\300\377\0", 3);

	/* Malformed names of known ones. */
	ask("a.test", 15);
	t_data(&m, ANSWERS, "@", 15, 60, "\0\1\3ab", 5);
	is_invalid();
	ask("a.test", 15);
	t_data(&m, ANSWERS, "@", 15, 60, "\0", 1);
	is_invalid();
	ask("a.test", 35);
	t_data(&m, ANSWERS, "@", 35, 60, "\0\1\0\1\1a\1b\1c\0", 11);
	t_eq(read_it(), 0);
	ask("a.test", 35);
	t_data(&m, ANSWERS, "@", 35, 60, "\0\1\0\1\1a\1b\7c\0", 11);
	is_invalid();

	/* What a CNAME's own type asks for is not followed. */
	ask("a.test", CNAME);
	cname("@", 60, "b.test");
	cname("b.test", 60, "c.test");
	t_eq(read_it(), 0);
	t_str_eq(made(), "0: a.test/5/60/b.test | |");
}

static void rrsig(size_t section, const char *owner, unsigned int covered)
{
	uint8_t data[24] = { (uint8_t)(covered >> 8), (uint8_t)covered };

	t_data(&m, section, owner, RRSIG, 60, data, sizeof(data));
}

static void dnssec_records_are_for_those_who_ask(void)
{
	static const char plain[] = "0: a.test/5/60/b.test"
				    " b.test/1/60/192.0.2.1 | |";

	ask("a.test", A);
	cname("@", 60, "b.test");
	rrsig(ANSWERS, "@", CNAME);
	rrsig(ANSWERS, "@", 16); /* covers nothing that is here */
	a("b.test", 60, "192.0.2.1");
	rrsig(ANSWERS, "b.test", A);
	rrsig(ANSWERS, "c.test", A);
	rrsig(AUTHORITY, "test", CP_DNS_TYPE_NSEC);
	t_eq(read_it(), 0);
	t_str_eq(made(), plain);
	t_eq(cp_dns_wire_get16(reply + 2) & 0x20, 0);
	query.authentic_data = true;
	t_str_eq(made(), plain);
	t_eq(cp_dns_wire_get16(reply + 2) & 0x20, 0x20);
	query.authentic_data = false;
	query.has_edns = true;
	query.dnssec_ok = true;
	t_str_eq(made(), "0: a.test/5/60/b.test b.test/1/60/192.0.2.1"
			 " a.test/46/60 b.test/46/60 | test/46/60"
			 " | ./41/32768");
	t_eq(cp_dns_wire_get16(reply + 2) & 0x20, 0x20);

	/* Asked for by its type it is an answer like others. */
	ask("a.test", RRSIG);
	rrsig(ANSWERS, "@", A);
	cname("@", 60, "b.test");
	t_eq(read_it(), 0);
	t_str_eq(made(), "0: a.test/46/60 | |");
}

static bool keep_odd(void *userdata, const struct cp_dns_address *address)
{
	unsigned int *n = userdata;

	(*n)++;
	return address->bytes[address->family == SN_FAMILY_IPV4 ? 3 : 15] % 2;
}

static void filtered_addresses_are_gone_from_the_reply_too(void)
{
	sn_cleanup(cp_dns_answer_freep) struct cp_dns_answer *copy = NULL;
	unsigned int n_asked = 0;

	ask("a.test", A);
	cname("@", 60, "b.test");
	a("b.test", 60, "192.0.2.2");
	a("b.test", 60, "192.0.2.1");
	a("b.test", 60, "192.0.2.4");
	rrsig(ANSWERS, "@", CNAME);
	rrsig(ANSWERS, "b.test", A);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_copy(answer, &copy), 0);
	t_eq(cp_dns_answer_filter(answer, keep_odd, &n_asked), 2);
	t_eq(n_asked, 3);
	t_str_eq(addresses(), "192.0.2.1");
	t_str_eq(made(), "0: a.test/5/60/b.test b.test/1/60/192.0.2.1 | |");
	/* It is not what was signed and validated. */
	query.has_edns = query.dnssec_ok = true;
	t_str_eq(made(), "0: a.test/5/60/b.test b.test/1/60/192.0.2.1"
			 " a.test/46/60 | | ./41/32768");
	t_eq(cp_dns_wire_get16(reply + 2) & 0x20, 0);
	t_eq(cp_dns_answer_filter(answer, keep_odd, &n_asked), 0);
	t_true(cp_dns_answer_size(answer) < cp_dns_answer_size(copy));

	/* The copy is its own. */
	answer = cp_dns_answer_free(answer);
	answer = sn_steal(&copy);
	t_str_eq(addresses(), "192.0.2.2 192.0.2.1 192.0.2.4");
	query.has_edns = query.dnssec_ok = false;
	t_str_eq(made(), "0: a.test/5/60/b.test b.test/1/60/192.0.2.2"
			 " b.test/1/60/192.0.2.1 b.test/1/60/192.0.2.4 | |");
}

/* Priority 1, target ".", alpn h2, 192.0.2.1 and .2, ech, 2001:db8::2. */
#define ALPN  "\0\1\0\3\2h2"
#define HINT4 "\0\4\0\10\300\0\2\1\300\0\2\2"
#define ECH   "\0\5\0\3abc"
#define HINT6 "\0\6\0\20\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\2"

static void https(const void *rdata, size_t size)
{
	ask("a.test", HTTPS);
	t_data(&m, ANSWERS, "@", HTTPS, 60, rdata, size);
}

static void ends_with(const void *bytes, size_t size)
{
	(void)made();
	t_mem_eq(reply + reply_size - size, bytes, size);
	t_eq(cp_dns_wire_get16(reply + reply_size - size - 2), size);
}

static void hints_and_ech_are_stripped(void)
{
	static const char all[] = "\0\1\0" ALPN HINT4 ECH HINT6;
	static const char rest[] = "\0\1\0" ALPN;

	https(all, sizeof(all) - 1);
	t_eq(read_with(CP_DNS_HINTS_STRIP), 0);
	t_str_eq(addresses(), "");
	ends_with(rest, sizeof(rest) - 1);
	query.authentic_data = true;
	(void)made();
	t_eq(cp_dns_wire_get16(reply + 2) & 0x20, 0);

	/* What calls a stripped key mandatory goes as a whole. */
	https("\0\1\0\0\0\0\2\0\5" ECH, 16);
	t_eq(read_with(CP_DNS_HINTS_STRIP), 0);
	t_str_eq(made(), "0: | |");
	https("\0\1\0\0\0\0\2\0\1" ALPN, 16);
	t_eq(read_with(CP_DNS_HINTS_STRIP), 0);
	t_str_eq(made(), "0: a.test/65/60 | |");
}

static void hints_are_learnt_and_filtered(void)
{
	static const char all[] = "\0\1\0" ALPN HINT4 ECH HINT6;
	static const char half[] = "\0\1\0" ALPN "\0\4\0\4\300\0\2\1" ECH;
	unsigned int n = 0;

	https(all, sizeof(all) - 1);
	t_eq(read_with(CP_DNS_HINTS_LEARN), 0);
	t_str_eq(addresses(), "192.0.2.1 192.0.2.2 2001:db8::2");
	ends_with(all, sizeof(all) - 1);
	t_eq(cp_dns_answer_filter(answer, keep_odd, &n), 2);
	t_str_eq(addresses(), "192.0.2.1");
	ends_with(half, sizeof(half) - 1);

	/* An alias has no parameters; a hint of another owner does not count;
	 * a mandatory hint that is filtered takes its record along. */
	https("\0\0\1x\0" HINT4, 5 + 12);
	t_data(&m, ANSWERS, "b.test", HTTPS, 60, all, sizeof(all) - 1);
	t_eq(read_with(CP_DNS_HINTS_LEARN), 0);
	t_str_eq(addresses(), "");
	ends_with("\0\0\1x\0", 5);
	https("\0\1\0\0\0\0\2\0\6" HINT6, 9 + 20);
	t_eq(read_with(CP_DNS_HINTS_LEARN), 0);
	t_str_eq(addresses(), "2001:db8::2");
	t_eq(cp_dns_answer_filter(answer, keep_odd, &n), 1);
	t_str_eq(made(), "0: | |");

	/* What the client does not hear of is not opened either. */
	https("\0\1\0\0\0\0\2\0\6" HINT4 HINT6, 9 + 12 + 20);
	t_data(&m, ANSWERS, "@", HTTPS, 60, "\0\2\0\0\4\0\4\300\0\2\3", 11);
	t_eq(read_with(CP_DNS_HINTS_LEARN), 0);
	t_str_eq(addresses(), "192.0.2.1 192.0.2.2 2001:db8::2 192.0.2.3");
	t_eq(cp_dns_answer_filter(answer, keep_odd, &n), 3);
	t_str_eq(addresses(), "192.0.2.3");
	ends_with("\0\2\0\0\4\0\4\300\0\2\3", 11);
}

static void hints_are_bounded_even_if_they_repeat(void)
{
	static uint8_t rdata[3 + 4 + 4 * 513] = { 0, 1, 0, 0, 4 };

	for (unsigned int n = 512; n <= 513; n++) {
		cp_dns_wire_put16(rdata + 5, 4 * n);
		https(rdata, 7 + 4 * n);
		t_eq(read_with(CP_DNS_HINTS_LEARN),
		     n == 512 ? 0 : CP_DNS_ANSWER_E_INVALID);
	}
	t_eq(read_with(CP_DNS_HINTS_STRIP), 0);
}

static void malformed_service_records_are_invalid(void)
{
	static const struct {
		const char *rdata;
		size_t size;
	} cases[] = {
		{ "", 0 },
		{ "\0", 1 },
		{ "\0\1", 2 },
		{ "\0\1\1x", 4 },
		{ "\0\1\300\14", 4 },
		{ "\0\1\0\0", 4 },
		{ "\0\1\0\0\4\0\5\1\2\3\4\5", 12 }, /* no whole address */
		{ "\0\1\0\0\4\0\0", 7 }, /* an empty hint */
		{ "\0\1\0\0\1\0\4\2h2", 10 }, /* cut off */
		{ "\0\1\0" HINT4 ALPN, 22 }, /* keys do not rise */
		{ "\0\1\0" ALPN ALPN, 17 },
		{ "\0\1\0\0\0\0\1\1", 8 }, /* half a mandatory key */
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		https(cases[i].rdata, cases[i].size);
		t_eq(read_with(CP_DNS_HINTS_STRIP), CP_DNS_ANSWER_E_INVALID);
		t_eq(read_with(CP_DNS_HINTS_LEARN), CP_DNS_ANSWER_E_INVALID);
	}
}

static void a_reply_never_outgrows_a_message(void)
{
	char name[250];
	size_t n = 0, begin;

	/* SRV records whose targets point to one long name: written out they
	 * are over 64 KiB. */
	for (size_t i = 0; i < 240; i += 8)
		n += (size_t)snprintf(name + n, sizeof(name) - n,
				      "%slabel%02zu", i ? "." : "", i % 100);
	ask(name, 33);
	for (int i = 0; i < 255; i++) {
		begin = t_record(&m, ANSWERS, "@", 33, 60);
		t_put(&m, "\0\1\0\2\1\273", 6);
		t_put16(&m, 0xc00c);
		t_end(&m, begin);
	}
	is_invalid();
	cp_dns_wire_put16(m.bytes + ANSWERS, 250);
	t_eq(read_it(), 0);
	query.has_edns = true;
	(void)made();
	t_true(reply_size > 64000 && reply_size <= CP_DNS_MESSAGE_MAX);
}

T_MAIN("dns_answer_records", every_type_is_passed_on_with_its_names_whole,
       dnssec_records_are_for_those_who_ask,
       filtered_addresses_are_gone_from_the_reply_too,
       hints_and_ech_are_stripped, hints_are_learnt_and_filtered,
       hints_are_bounded_even_if_they_repeat,
       malformed_service_records_are_invalid, a_reply_never_outgrows_a_message)
