/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/message.h"

#include "shared/util.h"
#include "test/unit/t.h"
#include "test/unit/test_dns_build.h"

enum {
	RD = 0x0100,
	AD = 0x0020,
	CD = 0x0010,
	DO = 0x8000,
};

static struct t_message m;
static struct cp_dns_query query;

static int read_it(void)
{
	(void)memset(&query, 0xa5, sizeof(query));
	return cp_dns_message_read(m.bytes, m.size, &query);
}

static void ask(const char *name, unsigned int type, unsigned int flags)
{
	t_begin(&m, 0x1234, flags);
	t_question(&m, name, type);
}

static void a_plain_question_is_read(void)
{
	ask("wWw.eXample.com", CP_DNS_TYPE_A, RD);
	t_eq(read_it(), 0);
	t_eq(query.id, 0x1234);
	t_eq(query.question.type, CP_DNS_TYPE_A);
	t_eq(query.question.class, CP_DNS_CLASS_IN);
	t_eq(query.question.name.size, 17);
	t_mem_eq(query.question.name.wire, "\3www\7example\3com", 17);
	t_mem_eq(query.case_name, "\3wWw\7eXample\3com", 17);
	t_true(query.has_question);
	t_true(query.recursion_desired);
	t_false(query.has_edns);
	t_false(query.dnssec_ok);
	t_false(query.checking_disabled);
	t_false(query.authentic_data);
	t_eq(query.udp_bytes, 512);

	ask(".", 2, AD | CD);
	t_eq(read_it(), 0);
	t_eq(query.question.name.size, 1);
	t_true(query.checking_disabled);
	t_true(query.authentic_data);
	t_false(query.recursion_desired);
}

static void edns_tells_size_and_do(void)
{
	ask("a.test", 1, RD);
	t_opt(&m, 4096, DO, "\0\12\0\10cookie..", 12);
	t_eq(read_it(), 0);
	t_true(query.has_edns);
	t_true(query.dnssec_ok);
	t_eq(query.udp_bytes, 4096);

	/* Under 512 counts as 512 (RFC 6891 6.2.3). */
	ask("a.test", 1, RD);
	t_opt(&m, 0, 0, "", 0);
	t_eq(read_it(), 0);
	t_eq(query.udp_bytes, 512);
	t_false(query.dnssec_ok);

	/* Other additional records are passed over. */
	ask("a.test", 1, RD);
	t_data(&m, T_AT_ADDITIONAL, "x.test", 1, 5, "abcd", 4);
	t_opt(&m, 1232, 0, "", 0);
	t_eq(read_it(), 0);
	t_true(query.has_edns);
}

static void what_deserves_no_reply_is_ignored(void)
{
	ask("a.test", 1, 0x8000);
	t_eq(read_it(), CP_DNS_MESSAGE_E_IGNORE);
	ask("a.test", 1, RD);
	for (m.size = 0; m.size < 12; m.size++)
		t_eq(read_it(), CP_DNS_MESSAGE_E_IGNORE);
}

static void every_truncation_is_a_format_error(void)
{
	size_t size;

	ask("www.example.com", 1, RD);
	t_opt(&m, 1232, 0, "\0\12\0\0", 4);
	size = m.size;
	t_eq(read_it(), 0);
	for (m.size = 12; m.size < size; m.size++)
		t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	m.size = size;
	t_put(&m, "", 1);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
}

static void other_opcodes_are_not_implemented_and_echoed(void)
{
	uint8_t reply[CP_DNS_MESSAGE_UDP_MIN];

	for (unsigned int opcode = 1; opcode < 16; opcode++) {
		ask("a.test", 1, opcode << 11 | RD);
		t_eq(read_it(), CP_DNS_MESSAGE_E_NOTIMP);
		t_eq(cp_dns_message_make_error(&query, CP_DNS_RCODE_NOTIMP, -1,
					       reply),
		     12);
		t_eq(cp_dns_wire_get16(reply), 0x1234);
		t_eq(cp_dns_wire_get16(reply + 2),
		     0x8000 | opcode << 11 | RD | 0x80 | 4);
		t_eq(cp_dns_wire_get16(reply + 4), 0);
	}
}

static void malformed_questions_are_format_errors(void)
{
	ask("a.test", 1, RD);
	m.bytes[T_AT_QUESTIONS + 1] = 0;
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	t_false(query.has_question);
	ask("a.test", 1, RD);
	t_question(&m, "b.test", 1);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	t_false(query.has_question);

	ask("a.test", 1, RD);
	t_data(&m, T_AT_ANSWERS, "@", 1, 5, "abcd", 4);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	t_true(query.has_question);
	ask("a.test", 1, RD);
	t_data(&m, T_AT_AUTHORITY, "@", 1, 5, "abcd", 4);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	ask("a.test", 1, RD);
	t_data(&m, T_AT_ADDITIONAL, "@", CP_DNS_TYPE_TSIG, 5, "abcd", 4);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);

	t_begin(&m, 1, RD);
	t_question(&m, "@", 1);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	/* Many records that are not for us. */
	ask("a.test", 1, RD);
	for (int i = 0; i < CP_DNS_MESSAGE_ADDITIONAL_MAX; i++)
		t_data(&m, T_AT_ADDITIONAL, "@", 1, 5, "abcd", 4);
	t_eq(read_it(), 0);
	t_data(&m, T_AT_ADDITIONAL, "@", 1, 5, "abcd", 4);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
}

static void malformed_edns_is_a_format_error_and_a_version_is_told(void)
{
	ask("a.test", 1, RD);
	t_opt(&m, 1232, 0, "", 0);
	t_opt(&m, 1232, 0, "", 0);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	ask("a.test", 1, RD);
	t_data(&m, T_AT_ADDITIONAL, "a.test", CP_DNS_TYPE_OPT, 0, "", 0);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	ask("a.test", 1, RD);
	t_opt(&m, 1232, 0, "\0\12\0\5abcd", 8);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);
	ask("a.test", 1, RD);
	t_opt(&m, 1232, 0, "\0\12\0", 3);
	t_eq(read_it(), CP_DNS_MESSAGE_E_FORMERR);

	ask("a.test", 1, RD);
	t_opt(&m, 1232, 1 << 16 | DO, "", 0);
	t_eq(read_it(), CP_DNS_MESSAGE_E_BADVERS);
	t_eq(cp_dns_message_make_error(&query, CP_DNS_RCODE_BADVERS, -1,
				       m.bytes),
	     12 + 12 + 11);
	t_eq(t_get16(&m, T_AT_FLAGS) & 0xf, 0);
	t_eq(m.bytes[24 + 5], 1); /* the upper bits of the code */
	t_eq(m.bytes[24 + 6], 0);
	t_eq(cp_dns_wire_get16(m.bytes + 24 + 7), DO);
}

static void errors_carry_question_case_and_reason(void)
{
	static const uint8_t expected[] =
		"\x12\x34\x81\x85\0\1\0\0\0\0\0\1"
		"\1A\4tEST\0\0\1\0\1"
		"\0\0\51\4\320\0\0\0\0\0\6\0\17\0\2\0\17";

	ask("A.tEST", 1, RD);
	t_opt(&m, 4096, 0, "", 0);
	t_eq(read_it(), 0);
	m.size = cp_dns_message_make_error(&query, CP_DNS_RCODE_REFUSED, 15,
					   m.bytes);
	t_eq(m.size, sizeof(expected) - 1);
	t_mem_eq(m.bytes, expected, m.size);

	/* Who does not speak EDNS gets no OPT. */
	ask("A.tEST", 1, CD);
	t_eq(read_it(), 0);
	m.size = cp_dns_message_make_error(&query, CP_DNS_RCODE_NXDOMAIN, 15,
					   m.bytes);
	t_eq(m.size, 24);
	t_eq(t_get16(&m, T_AT_FLAGS), 0x8093);
	t_eq(t_get16(&m, T_AT_ADDITIONAL), 0);
}

static void the_sinkhole_answers_addresses_only(void)
{
	ask("a.test", CP_DNS_TYPE_A, RD);
	t_eq(read_it(), 0);
	m.size = cp_dns_message_make_sinkhole(&query, 10, m.bytes);
	t_eq(m.size, 24 + 16);
	t_eq(t_get16(&m, T_AT_ANSWERS), 1);
	t_mem_eq(m.bytes + 24, "\300\14\0\1\0\1\0\0\0\12\0\4\0\0\0\0", 16);

	ask("a.test", CP_DNS_TYPE_AAAA, RD);
	t_opt(&m, 1232, 0, "", 0);
	t_eq(read_it(), 0);
	m.size = cp_dns_message_make_sinkhole(&query, 10, m.bytes);
	t_eq(m.size, 24 + 28 + 17);
	t_eq(t_get16(&m, T_AT_ANSWERS), 1);
	t_eq(t_get16(&m, T_AT_ADDITIONAL), 1);

	ask("a.test", 16, RD);
	t_eq(read_it(), 0);
	t_eq(cp_dns_message_make_sinkhole(&query, 10, m.bytes), 24);
}

static void any_gets_the_hinfo_of_rfc_8482(void)
{
	ask("a.test", CP_DNS_TYPE_ANY, RD);
	t_eq(read_it(), 0);
	m.size = cp_dns_message_make_any(&query, m.bytes);
	t_eq(m.size, 24 + 12 + 9);
	t_eq(t_get16(&m, T_AT_ANSWERS), 1);
	t_mem_eq(m.bytes + 24 + 12, "\7RFC8482\0", 9);
}

static void given_addresses_never_outgrow_a_message(void)
{
	static uint8_t addresses[5000][16];
	static uint8_t reply[CP_DNS_MESSAGE_MAX];

	addresses[1][0] = 192;
	ask("a.test", CP_DNS_TYPE_A, RD);
	t_opt(&m, 1232, 0, "", 0);
	t_eq(read_it(), 0);
	t_eq(cp_dns_message_make_addresses(&query, 7, addresses, 2, reply),
	     24 + 2 * 16 + 11);
	t_eq(cp_dns_wire_get16(reply + T_AT_ANSWERS), 2);
	t_eq(reply[24 + 16 + 12], 192);
	t_true(cp_dns_message_make_addresses(&query, 7, addresses, 5000,
					     reply) <= CP_DNS_MESSAGE_MAX);
	t_eq(cp_dns_message_make_addresses(&query, 7, addresses, 0, reply),
	     24 + 11);
}

static void truncation_keeps_question_and_opt(void)
{
	static uint8_t addresses[200][16];
	static uint8_t reply[CP_DNS_MESSAGE_MAX];
	size_t size;

	ask("a.test", CP_DNS_TYPE_A, RD);
	t_opt(&m, 1232, DO, "", 0);
	t_eq(read_it(), 0);
	size = cp_dns_message_make_addresses(&query, 7, addresses, 200, reply);
	t_eq(cp_dns_message_truncate(&query, reply, size, size), size);
	t_eq(cp_dns_wire_get16(reply + 2) & 0x200, 0);
	t_eq(cp_dns_message_truncate(&query, reply, size, 1232), 24 + 11);
	t_eq(cp_dns_wire_get16(reply + 2) & 0x200, 0x200);
	t_eq(cp_dns_wire_get16(reply + T_AT_QUESTIONS), 1);
	t_eq(cp_dns_wire_get16(reply + T_AT_ANSWERS), 0);
	t_eq(cp_dns_wire_get16(reply + T_AT_ADDITIONAL), 1);
	t_mem_eq(reply + 24, "\0\0\51\4\320\0\0\200\0\0\0", 11);

	ask("a.test", CP_DNS_TYPE_A, RD);
	t_eq(read_it(), 0);
	size = cp_dns_message_make_addresses(&query, 7, addresses, 200, reply);
	t_eq(cp_dns_message_truncate(&query, reply, size, 512), 24);
	t_eq(cp_dns_wire_get16(reply + T_AT_ADDITIONAL), 0);
}

T_MAIN("dns_message", a_plain_question_is_read, edns_tells_size_and_do,
       what_deserves_no_reply_is_ignored, every_truncation_is_a_format_error,
       other_opcodes_are_not_implemented_and_echoed,
       malformed_questions_are_format_errors,
       malformed_edns_is_a_format_error_and_a_version_is_told,
       errors_carry_question_case_and_reason,
       the_sinkhole_answers_addresses_only, any_gets_the_hinfo_of_rfc_8482,
       given_addresses_never_outgrow_a_message,
       truncation_keeps_question_and_opt)
