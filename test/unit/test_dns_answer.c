/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/answer.h"

#include "test/unit/test_dns_answer_rig.h"

static void an_address_of_the_question_is_learnt_and_passed_on(void)
{
	ask("Www.Test", A);
	a("@", 300, "192.0.2.1");
	a("wwW.tesT", 300, "192.0.2.2");
	t_opt(&m, 1232, 0, "", 0);
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "192.0.2.1 192.0.2.2");
	t_eq(cp_dns_answer_rcode(answer), 0);
	t_eq(cp_dns_answer_ttl(answer), 300);
	t_str_eq(made(), "0: www.test/1/300/192.0.2.1 www.test/1/300/192.0.2.2"
			 " | |");
	/* Owners are pointers to the question. */
	t_eq(reply_size, 12 + 14 + 2 * 16);
	t_eq(cp_dns_wire_get16(reply + 2), REPLY);

	ask("www.test", AAAA);
	aaaa("@", 60, "2001:db8::1");
	aaaa("@", 70, "2001:db8::1");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "2001:db8::1");
	t_str_eq(made(), "0: www.test/28/60 | |");
}

static void ttls_age_and_are_bounded_and_alike(void)
{
	ask("www.test", A);
	cname("@", 500, "x.test");
	a("x.test", 300, "192.0.2.1");
	a("x.test", 200, "192.0.2.2");
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 200);
	t_str_eq(make(50, 1000), "0: www.test/5/150/x.test"
				 " x.test/1/150/192.0.2.1"
				 " x.test/1/150/192.0.2.2 | |");
	t_str_eq(make(50, 7), "0: www.test/5/7/x.test x.test/1/7/192.0.2.1"
			      " x.test/1/7/192.0.2.2 | |");
	t_str_eq(make(201, 7), "0: www.test/5/0/x.test x.test/1/0/192.0.2.1"
			       " x.test/1/0/192.0.2.2 | |");

	ask("www.test", A);
	a("@", 0x7fffffff, "192.0.2.1");
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), CP_DNS_ANSWER_TTL_MAX_S);
	ask("www.test", A);
	a("@", 0x80000000, "192.0.2.1");
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 0);
	ask("www.test", A);
	a("@", 0xffffffff, "192.0.2.1");
	a("@", 60, "192.0.2.2");
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 0);
	/* Of a repeated record the smaller one counts. */
	ask("www.test", A);
	a("@", 60, "192.0.2.1");
	a("@", 20, "192.0.2.1");
	t_eq(read_it(), 0);
	t_str_eq(made(), "0: www.test/1/20/192.0.2.1 | |");
}

static void the_chain_is_followed_in_any_order(void)
{
	ask("a.test", A);
	a("d.test", 60, "192.0.2.4");
	cname("c.test", 50, "D.test");
	cname("B.test", 40, "c.test");
	a("e.test", 60, "192.0.2.5");
	cname("@", 30, "b.test");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "192.0.2.4");
	t_str_eq(made(), "0: a.test/5/30/b.test b.test/5/30/c.test"
			 " c.test/5/30/d.test d.test/1/30/192.0.2.4 | |");
}

static void addresses_of_other_owners_are_neither_learnt_nor_passed_on(void)
{
	ask("a.test", A);
	a("b.test", 60, "192.0.2.1");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "");
	t_str_eq(made(), "0: | |");
	t_eq(cp_dns_answer_ttl(answer), 0);

	/* Owned by a name that the chain leads away from. */
	ask("a.test", A);
	cname("@", 60, "b.test");
	a("@", 60, "192.0.2.1");
	a("b.test", 60, "192.0.2.2");
	cname("c.test", 60, "d.test");
	a("d.test", 60, "192.0.2.3");
	a("c.test", 60, "192.0.2.4");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "192.0.2.2");
	t_str_eq(made(), "0: a.test/5/60/b.test b.test/1/60/192.0.2.2 | |");

	/* Below, above, and with a longer last label. */
	ask("a.test", A);
	a("x.a.test", 60, "192.0.2.1");
	a("test", 60, "192.0.2.2");
	a("xa.test", 60, "192.0.2.3");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "");
}

static void addresses_of_other_sections_types_and_classes_do_not_count(void)
{
	size_t begin;

	ask("a.test", A);
	t_data(&m, AUTHORITY, "@", A, 60, "\300\0\2\1", 4);
	t_data(&m, ADDITIONAL, "@", A, 60, "\300\0\2\2", 4);
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "");
	t_str_eq(made(), "0: | |");

	ask("a.test", A);
	aaaa("@", 60, "2001:db8::1");
	begin = t_record(&m, ANSWERS, "@", A, 60);
	cp_dns_wire_put16(m.bytes + begin - 8, 3); /* CHAOS */
	t_put(&m, "\300\0\2\1", 4);
	t_end(&m, begin);
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "");

	/* A class mismatch in the chain breaks it. */
	ask("a.test", A);
	begin = t_record(&m, ANSWERS, "@", CNAME, 60);
	cp_dns_wire_put16(m.bytes + begin - 8, 3);
	t_put_name(&m, "b.test");
	t_end(&m, begin);
	a("b.test", 60, "192.0.2.1");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "");
}

static void a_chain_without_an_address_is_negative(void)
{
	ask("a.test", A);
	cname("@", 600, "b.test");
	soa("test", 900, 300);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 300);
	t_str_eq(made(), "0: a.test/5/300/b.test | test/6/300 |");
}

static void negative_answers_live_by_their_soa(void)
{
	ask("a.test", A);
	soa("test", 30, 300);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 30);
	t_str_eq(made(), "0: | test/6/30 |");

	ask("a.test", A);
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, REPLY | 3);
	soa("test", 90000, 90000);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_rcode(answer), CP_DNS_RCODE_NXDOMAIN);
	t_eq(cp_dns_answer_ttl(answer), CP_DNS_ANSWER_NEGATIVE_TTL_MAX_S);
	t_str_eq(make(600, UINT32_MAX), "3: | test/6/3000 |");

	/* None, of another zone, too short to be one. */
	ask("a.test", A);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 0);
	ask("a.test", A);
	soa("b.test", 90, 90);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 0);
	t_str_eq(made(), "0: | |");
	ask("a.test", A);
	t_data(&m, AUTHORITY, "test", SOA, 60, "abcd", 4);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_ttl(answer), 0);

	/* A name that does not exist has no address. */
	ask("a.test", A);
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, REPLY | 3);
	a("@", 60, "192.0.2.1");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "");
	t_str_eq(made(), "3: | |");
}

static void failures_are_kept_shortly_and_without_records(void)
{
	ask("a.test", A);
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, REPLY | 2);
	a("@", 60, "192.0.2.1");
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_rcode(answer), CP_DNS_RCODE_SERVFAIL);
	t_eq(cp_dns_answer_ttl(answer), CP_DNS_ANSWER_FAILURE_TTL_S);
	t_str_eq(addresses(), "");
	t_str_eq(made(), "2: | |");

	/* BADCOOKIE, 23; a client without EDNS cannot be told. */
	ask("a.test", A);
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, REPLY | 7);
	t_opt(&m, 1232, 1U << 24, "", 0);
	t_eq(read_it(), 0);
	t_eq(cp_dns_answer_rcode(answer), 23);
	t_str_eq(made(), "2: | |");
	query.has_edns = true;
	t_str_eq(made(), "7: | | ./41/16777216");
}

static void contradictions_make_an_answer_invalid(void)
{
	/* Two CNAMEs of one name; the same one twice is one. */
	ask("a.test", A);
	cname("@", 60, "b.test");
	cname("@", 60, "c.test");
	is_invalid();
	ask("a.test", A);
	cname("@", 60, "b.test");
	cname("@", 30, "B.test");
	a("b.test", 60, "192.0.2.1");
	t_eq(read_it(), 0);
	t_str_eq(made(), "0: a.test/5/30/b.test b.test/1/30/192.0.2.1 | |");

	/* Loops, of one, two and three. */
	ask("a.test", A);
	cname("@", 60, "a.test");
	is_invalid();
	ask("a.test", A);
	cname("@", 60, "b.test");
	cname("b.test", 60, "A.test");
	is_invalid();
	ask("a.test", A);
	cname("@", 60, "b.test");
	cname("b.test", 60, "c.test");
	cname("c.test", 60, "b.test");
	a("b.test", 60, "192.0.2.1");
	is_invalid();
}

static void the_chain_has_a_longest_length(void)
{
	char owner[32], target[32];

	for (unsigned int n = 16; n <= 17; n++) {
		ask("n0.test", A);
		for (unsigned int i = 0; i < n; i++) {
			(void)snprintf(owner, sizeof(owner), "n%u.test", i);
			(void)snprintf(target, sizeof(target), "n%u.test",
				       i + 1);
			cname(owner, 60, target);
		}
		a(target, 60, "192.0.2.1");
		t_eq(read_it(), n == 16 ? 0 : CP_DNS_ANSWER_E_INVALID);
	}
}

static void a_dname_stays_with_the_cname_that_follows_from_it(void)
{
	ask("x.old.test", A);
	t_name(&m, ANSWERS, "old.test", DNAME, 50, "new.test");
	cname("@", 60, "x.new.test");
	a("x.new.test", 70, "192.0.2.1");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "192.0.2.1");
	t_str_eq(made(), "0: old.test/39/50/new.test"
			 " x.old.test/5/50/x.new.test"
			 " x.new.test/1/50/192.0.2.1 | |");

	/* Without it, or with another one, it is off the chain. */
	ask("x.old.test", A);
	t_name(&m, ANSWERS, "old.test", DNAME, 50, "new.test");
	a("x.new.test", 70, "192.0.2.1");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "");
	ask("x.old.test", A);
	t_name(&m, ANSWERS, "old.test", DNAME, 50, "new.test");
	cname("@", 60, "y.new.test");
	a("x.new.test", 70, "192.0.2.1");
	a("y.new.test", 70, "192.0.2.2");
	t_eq(read_it(), 0);
	t_str_eq(addresses(), "192.0.2.2");
	t_str_eq(made(), "0: x.old.test/5/60/y.new.test"
			 " y.new.test/1/60/192.0.2.2 | |");
}

static void the_question_must_be_the_one_asked(void)
{
	ask("a.test", A);
	a("@", 60, "192.0.2.1");
	question.type = AAAA;
	is_invalid();
	question.type = A;
	question.class = 3;
	is_invalid();
	question.class = 1;
	question.name.wire[1] = 'b';
	is_invalid();
	question.name.wire[1] = 'a';
	t_eq(read_it(), 0);
	m.bytes[T_AT_QUESTIONS + 1] = 0;
	is_invalid();
	m.bytes[T_AT_QUESTIONS + 1] = 2;
	is_invalid();
	m.bytes[T_AT_QUESTIONS + 1] = 1;
	/* A query, another opcode, truncated. */
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, 0x0100);
	is_invalid();
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, REPLY | 5 << 11);
	is_invalid();
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, REPLY | 0x200);
	is_invalid();
}

static void what_is_cut_off_or_malformed_is_invalid(void)
{
	size_t size;

	ask("a.test", A);
	cname("@", 60, "b.test");
	a("b.test", 60, "192.0.2.1");
	soa("test", 60, 60);
	t_opt(&m, 1232, 0, "", 0);
	size = m.size;
	t_eq(read_it(), 0);
	for (m.size = 0; m.size < size; m.size++)
		is_invalid();

	ask("a.test", A);
	t_data(&m, ANSWERS, "@", A, 60, "\300\0\2", 3);
	is_invalid();
	ask("a.test", A);
	t_data(&m, ANSWERS, "@", A, 60, "\300\0\2\1\1", 5);
	is_invalid();
	ask("a.test", AAAA);
	t_data(&m, ANSWERS, "@", AAAA, 60, "\300\0\2\1", 4);
	is_invalid();
	/* A CNAME with bytes behind the name; a pointer to itself. */
	ask("a.test", A);
	t_data(&m, ANSWERS, "@", CNAME, 60, "\1b\0\1", 4);
	is_invalid();
	ask("a.test", A);
	t_data(&m, ANSWERS, "@", CNAME, 60, "\300\44", 2);
	is_invalid();
}

static void opt_may_be_there_once_and_at_its_place(void)
{
	ask("a.test", A);
	t_opt(&m, 1232, 0, "", 0);
	t_opt(&m, 1232, 0, "", 0);
	is_invalid();
	ask("a.test", A);
	t_opt(&m, 1232, 1U << 16, "", 0);
	is_invalid();
	ask("a.test", A);
	t_data(&m, ADDITIONAL, "x.test", CP_DNS_TYPE_OPT, 0, "", 0);
	is_invalid();
	ask("a.test", A);
	t_data(&m, ANSWERS, ".", CP_DNS_TYPE_OPT, 0, "", 0);
	is_invalid();
	ask("a.test", A);
	t_data(&m, AUTHORITY, ".", CP_DNS_TYPE_OPT, 0, "", 0);
	is_invalid();
}

static void too_many_addresses_or_records_are_invalid(void)
{
	char text[32];

	for (unsigned int n = 128; n <= 129; n++) {
		ask("a.test", A);
		for (unsigned int i = 0; i < n; i++) {
			(void)snprintf(text, sizeof(text), "192.0.2.%u", i);
			a("@", 60, text);
		}
		t_eq(read_it(), n == 128 ? 0 : CP_DNS_ANSWER_E_INVALID);
	}
	for (unsigned int n = 1024; n <= 1025; n++) {
		ask("a.test", A);
		for (unsigned int i = 0; i < n; i++)
			a("@", 60, "192.0.2.1");
		t_eq(read_it(), n == 1024 ? 0 : CP_DNS_ANSWER_E_INVALID);
	}
}

T_MAIN("dns_answer", an_address_of_the_question_is_learnt_and_passed_on,
       ttls_age_and_are_bounded_and_alike, the_chain_is_followed_in_any_order,
       addresses_of_other_owners_are_neither_learnt_nor_passed_on,
       addresses_of_other_sections_types_and_classes_do_not_count,
       a_chain_without_an_address_is_negative,
       negative_answers_live_by_their_soa,
       failures_are_kept_shortly_and_without_records,
       contradictions_make_an_answer_invalid, the_chain_has_a_longest_length,
       a_dname_stays_with_the_cname_that_follows_from_it,
       the_question_must_be_the_one_asked,
       what_is_cut_off_or_malformed_is_invalid,
       opt_may_be_there_once_and_at_its_place,
       too_many_addresses_or_records_are_invalid)
