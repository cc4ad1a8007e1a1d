/* SPDX-License-Identifier: Apache-2.0 */

/* What controld/dns makes of messages. On stdin, for each: 'q' (a query) or 'a'
 * (an answer, to the question that it has), its size in two bytes, network
 * order, and the message. On stdout, for each, one line:
 *
 *   q 0 WIRE TYPE CLASS EDNS DO     or   q CODE
 *   a 0 RCODE TTL REPLY ADDRESS...  or   a CODE
 *
 * WIRE, REPLY and ADDRESS in hexadecimal; CODE -1: no question. */

#include <stdio.h>
#include <string.h>

#include "controld/dns/answer.h"
#include "controld/dns/message.h"
#include "controld/dns/wire.h"

static void put_hex(const uint8_t *bytes, size_t size)
{
	(void)putchar(' ');
	for (size_t i = 0; i < size; i++)
		(void)printf("%02x", bytes[i]);
}

static void read_query(const uint8_t *message, size_t size)
{
	struct cp_dns_query query;
	const struct cp_dns_question *question = &query.question;
	int r = cp_dns_message_read(message, size, &query);

	(void)printf("q %d", r);
	if (r == 0) {
		put_hex(question->name.wire, question->name.size);
		(void)printf(" %u %u %d %d", question->type, question->class,
			     query.has_edns, query.dnssec_ok);
	}
	(void)putchar('\n');
}

static void put_answer(const struct cp_dns_answer *answer,
		       const struct cp_dns_query *query)
{
	static uint8_t reply[CP_DNS_MESSAGE_MAX];
	const struct cp_dns_address *addresses;
	size_t n;

	(void)printf(" %u %u", cp_dns_answer_rcode(answer),
		     cp_dns_answer_ttl(answer));
	n = cp_dns_answer_make(answer, query, false, 0, UINT32_MAX, reply);
	put_hex(reply, n);
	addresses = cp_dns_answer_addresses(answer, &n);
	for (size_t i = 0; i < n; i++)
		put_hex(addresses[i].bytes,
			addresses[i].family == SN_FAMILY_IPV4 ? 4 : 16);
}

static void read_answer(const uint8_t *message, size_t size)
{
	struct cp_dns_query query = { .has_question = true };
	struct cp_dns_question *question = &query.question;
	struct cp_dns_answer *answer = NULL;
	size_t at;
	int r = -1;

	if (size >= CP_DNS_MESSAGE_HEADER &&
	    cp_dns_name_read(message, size, CP_DNS_MESSAGE_HEADER,
			     &question->name, &at) == 0 &&
	    size - at >= 4) {
		(void)memcpy(query.case_name, question->name.wire,
			     question->name.size);
		question->type = cp_dns_wire_get16(message + at);
		question->class = cp_dns_wire_get16(message + at + 2);
		r = cp_dns_answer_read(message, size, question,
				       CP_DNS_HINTS_STRIP, &answer);
	}
	(void)printf("a %d", r);
	if (r == 0)
		put_answer(answer, &query);
	(void)putchar('\n');
	cp_dns_answer_free(answer);
}

int main(void)
{
	static uint8_t message[CP_DNS_MESSAGE_MAX];
	uint8_t head[3];

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t size = cp_dns_wire_get16(head + 1);

		if (size > 0 && fread(message, size, 1, stdin) != 1)
			return 1;
		if (head[0] == 'q')
			read_query(message, size);
		else
			read_answer(message, size);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
