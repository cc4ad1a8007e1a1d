/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An upstream's answer under way, what is read of it, and the reply as text,
 * for the tests of answer.c. One of each: every test is a process. */

#include "controld/dns/answer.h"

#include <arpa/inet.h>
#include <stdarg.h>

#include "shared/util.h"
#include "test/unit/t.h"
#include "test/unit/test_dns_build.h"

enum {
	A = CP_DNS_TYPE_A,
	AAAA = CP_DNS_TYPE_AAAA,
	CNAME = CP_DNS_TYPE_CNAME,
	DNAME = CP_DNS_TYPE_DNAME,
	SOA = CP_DNS_TYPE_SOA,
	HTTPS = CP_DNS_TYPE_HTTPS,
	RRSIG = CP_DNS_TYPE_RRSIG,

	ANSWERS = T_AT_ANSWERS,
	AUTHORITY = T_AT_AUTHORITY,
	ADDITIONAL = T_AT_ADDITIONAL,

	REPLY = 0x8180, /* QR, RD, RA */
	DO = 0x8000,
};

static struct t_message m;
static struct cp_dns_question question;
static struct cp_dns_query query;
static struct cp_dns_answer *answer;
static uint8_t reply[CP_DNS_MESSAGE_MAX];
static size_t reply_size;

/* The question, and the begin of its answer. */
static inline void ask(const char *name, unsigned int type)
{
	t_begin(&m, 7, 0x0100);
	t_question(&m, name, type);
	t_eq(cp_dns_message_read(m.bytes, m.size, &query), 0);
	question = query.question;
	cp_dns_wire_put16(m.bytes + T_AT_FLAGS, REPLY);
}

static inline void a(const char *owner, uint32_t ttl_s, const char *address)
{
	uint8_t bytes[4];

	t_eq(inet_pton(AF_INET, address, bytes), 1);
	t_data(&m, ANSWERS, owner, A, ttl_s, bytes, sizeof(bytes));
}

static inline void aaaa(const char *owner, uint32_t ttl_s, const char *address)
{
	uint8_t bytes[16];

	t_eq(inet_pton(AF_INET6, address, bytes), 1);
	t_data(&m, ANSWERS, owner, AAAA, ttl_s, bytes, sizeof(bytes));
}

static inline void cname(const char *owner, uint32_t ttl_s, const char *target)
{
	t_name(&m, ANSWERS, owner, CNAME, ttl_s, target);
}

static inline void soa(const char *owner, uint32_t ttl_s, uint32_t minimum_s)
{
	size_t begin = t_record(&m, AUTHORITY, owner, SOA, ttl_s);

	t_put_name(&m, "ns.test");
	t_put_name(&m, "root.test");
	for (int i = 0; i < 4; i++)
		t_put32(&m, 1);
	t_put32(&m, minimum_s);
	t_end(&m, begin);
}

static inline int read_with(enum cp_dns_hints hints)
{
	answer = cp_dns_answer_free(answer);
	return cp_dns_answer_read(m.bytes, m.size, &question, hints, &answer);
}

static inline int read_it(void)
{
	return read_with(CP_DNS_HINTS_STRIP);
}

static inline void is_invalid(void)
{
	t_eq(read_it(), CP_DNS_ANSWER_E_INVALID);
}

static inline const char *addresses(void)
{
	static char text[2048];
	const struct cp_dns_address *list;
	char shown[INET6_ADDRSTRLEN];
	size_t n;

	text[0] = '\0';
	list = cp_dns_answer_addresses(answer, &n);
	for (size_t i = 0; i < n; i++) {
		int family = list[i].family == SN_FAMILY_IPV4 ? AF_INET :
								AF_INET6;

		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
			       "%s%s", i ? " " : "",
			       inet_ntop(family, list[i].bytes, shown,
					 sizeof(shown)));
	}
	return text;
}

static inline void append(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline void append(char *text, size_t size, const char *format, ...)
{
	size_t n = strlen(text);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text + n, size - n, format, args);
	va_end(args);
}

static inline void append_record(char *text, size_t size,
				 const uint8_t *message,
				 const struct cp_dns_wire_record *record,
				 const struct cp_dns_name *owner)
{
	char shown[CP_DNS_NAME_TEXT_BYTES];
	struct cp_dns_name target;

	append(text, size, " %s/%u/%u", cp_dns_name_format(owner, shown),
	       record->type, record->ttl_s);
	if (record->type == A)
		append(text, size, "/%s",
		       inet_ntop(AF_INET, message + record->rdata_at, shown,
				 sizeof(shown)));
	if (record->type == CNAME || record->type == DNAME) {
		t_eq(cp_dns_name_read(message, reply_size, record->rdata_at,
				      &target, NULL),
		     0);
		append(text, size, "/%s", cp_dns_name_format(&target, shown));
	}
}

/* "rcode: owner/type/ttl/data ... | authority | additional" of the reply; it
 * must parse to its end. */
static inline const char *make(uint32_t age_s, uint32_t max_ttl_s)
{
	static char text[8192];
	struct cp_dns_wire_record record;
	struct cp_dns_name owner;
	size_t offset = 12u + question.name.size + 4u;

	reply_size = cp_dns_answer_make(answer, &query, true, age_s, max_ttl_s,
					reply);
	(void)snprintf(text, sizeof(text), "%u:", reply[3] & 0xfU);
	t_eq(cp_dns_wire_get16(reply), query.id);
	t_eq(cp_dns_wire_get16(reply + T_AT_QUESTIONS), 1);
	t_mem_eq(reply + 12, query.case_name, question.name.size);
	for (size_t at = ANSWERS; at <= ADDITIONAL; at += 2) {
		unsigned int n = cp_dns_wire_get16(reply + at);

		if (at > ANSWERS)
			append(text, sizeof(text), " |");
		for (; n > 0; n--) {
			t_eq(cp_dns_wire_read_record(reply, reply_size, &offset,
						     &record, &owner),
			     0);
			append_record(text, sizeof(text), reply, &record,
				      &owner);
		}
	}
	t_eq(offset, reply_size);
	return text;
}

static inline const char *made(void)
{
	return make(0, UINT32_MAX);
}
