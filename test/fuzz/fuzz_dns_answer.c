/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever an upstream answers: an address that is learnt is owned by the end
 * of the chain; ldns, with a plain chain of its own, finds the same addresses
 * and TTL where both accept the message; a reply never outgrows a message,
 * reads again as an answer, and then says the same. */

#include "controld/dns/answer.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "controld/dns/wire.h"

enum {
	AT_ANSWERS = 6, /* in the header */
};

/* What ldns says. */
struct reference {
	size_t n; /* records at the end, repeated ones too */
	uint32_t ttl_s;
	bool is_odd; /* nothing that can be compared */
	uint8_t addresses[CP_DNS_ANSWER_RECORDS_MAX][16];
};

static void take_ttl(struct reference *reference, const ldns_rr *rr)
{
	uint32_t ttl_s = ldns_rr_ttl(rr);

	if (ttl_s >> 31)
		ttl_s = 0;
	if (ttl_s < reference->ttl_s)
		reference->ttl_s = ttl_s;
}

static const ldns_rdf *next_name(const ldns_rr_list *answers,
				 const ldns_rdf *name,
				 struct reference *reference)
{
	const ldns_rdf *target = NULL;

	for (size_t i = 0; i < ldns_rr_list_rr_count(answers); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(answers, i);

		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_CNAME ||
		    ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN ||
		    ldns_dname_compare(ldns_rr_owner(rr), name) != 0)
			continue;
		target = ldns_rr_rdf(rr, 0);
		take_ttl(reference, rr);
	}
	return target;
}

/* Loops and contradictions are not for the reference to find: it is asked
 * about accepted answers only. */
static void refer(const ldns_pkt *packet, ldns_rr_type type,
		  struct reference *reference)
{
	const ldns_rr_list *answers = ldns_pkt_answer(packet);
	const ldns_rdf *name =
		ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_question(packet), 0));
	const ldns_rdf *next;
	size_t bytes = type == LDNS_RR_TYPE_A ? 4 : 16;

	while ((next = next_name(answers, name, reference)))
		name = next;
	for (size_t i = 0; i < ldns_rr_list_rr_count(answers); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(answers, i);
		const ldns_rdf *rdf = ldns_rr_rdf(rr, 0);

		/* A DNAME may be kept, with a TTL of its own, and so may
		 * signatures. */
		if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_DNAME ||
		    ldns_rr_get_type(rr) == LDNS_RR_TYPE_RRSIG)
			reference->is_odd = true;
		if (ldns_rr_get_type(rr) != type ||
		    ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN ||
		    ldns_dname_compare(ldns_rr_owner(rr), name) != 0)
			continue;
		take_ttl(reference, rr);
		(void)memset(reference->addresses[reference->n], 0, 16);
		(void)memcpy(reference->addresses[reference->n++],
			     ldns_rdf_data(rdf), bytes);
	}
}

static bool is_among(const struct cp_dns_address *list, size_t n,
		     const uint8_t address[16])
{
	for (size_t i = 0; i < n; i++) {
		if (memcmp(list[i].bytes, address, 16) == 0)
			return true;
	}
	return false;
}

static void agree(const struct reference *reference,
		  const struct cp_dns_answer *answer)
{
	const struct cp_dns_address *addresses;
	size_t n;

	addresses = cp_dns_answer_addresses(answer, &n);
	for (size_t i = 0; i < reference->n; i++) {
		if (!is_among(addresses, n, reference->addresses[i]))
			abort();
	}
	for (size_t i = 0; i < n; i++) {
		bool is_there = false;

		for (size_t k = 0; k < reference->n; k++)
			is_there |= memcmp(addresses[i].bytes,
					   reference->addresses[k], 16) == 0;
		if (!is_there)
			abort();
	}
	if (n > 0 && !reference->is_odd &&
	    cp_dns_answer_ttl(answer) != reference->ttl_s)
		abort();
}

/* Where RDATA does not end as its type wants, ldns reads on from wherever it
 * got to (RFC 1035 3.2.1: RDLENGTH tells where the next record begins), and has
 * read another message. */
static bool is_in_step(const uint8_t *message, size_t size,
		       const struct cp_dns_question *question)
{
	size_t offset = CP_DNS_MESSAGE_HEADER + question->name.size + 4u;
	size_t at = offset;

	for (size_t n = cp_dns_wire_get16(message + AT_ANSWERS); n > 0; n--) {
		struct cp_dns_wire_record record;
		struct cp_dns_name owner;
		ldns_rr *rr = NULL;

		if (cp_dns_wire_read_record(message, size, &offset, &record,
					    &owner) != 0 ||
		    ldns_wire2rr(&rr, message, size, &at,
				 LDNS_SECTION_ANSWER) != LDNS_STATUS_OK)
			abort(); /* both have read the message */
		ldns_rr_free(rr);
		if (at != offset)
			return false;
	}
	return true;
}

static void compare(const uint8_t *message, size_t size,
		    const struct cp_dns_question *question,
		    const struct cp_dns_answer *answer)
{
	static struct reference reference;
	ldns_pkt *packet = NULL;

	if (cp_dns_answer_rcode(answer) != CP_DNS_RCODE_NOERROR ||
	    question->class != CP_DNS_CLASS_IN ||
	    (question->type != CP_DNS_TYPE_A &&
	     question->type != CP_DNS_TYPE_AAAA) ||
	    ldns_wire2pkt(&packet, message, size) != LDNS_STATUS_OK)
		return;
	if (is_in_step(message, size, question)) {
		reference.n = 0;
		reference.is_odd =
			ldns_rr_list_rr_count(ldns_pkt_authority(packet));
		reference.ttl_s = CP_DNS_ANSWER_TTL_MAX_S;
		refer(packet, (ldns_rr_type)question->type, &reference);
		agree(&reference, answer);
	}
	ldns_pkt_free(packet);
}

static void is_same(const struct cp_dns_answer *a,
		    const struct cp_dns_answer *b)
{
	const struct cp_dns_address *of_a, *of_b;
	size_t n_a, n_b;

	of_a = cp_dns_answer_addresses(a, &n_a);
	of_b = cp_dns_answer_addresses(b, &n_b);
	if (n_a != n_b || n_a > CP_DNS_ANSWER_ADDRESSES_MAX ||
	    (n_a > 0 && memcmp(of_a, of_b, n_a * sizeof(*of_a)) != 0))
		abort();
	for (size_t i = 0; i < n_a; i++) {
		for (size_t k = 0; k < i; k++) {
			if (memcmp(&of_a[i], &of_a[k], sizeof(*of_a)) == 0)
				abort(); /* twice */
		}
	}
}

/* The reply says what the answer says; `hints` as it was read. */
static void check_reply(const struct cp_dns_answer *answer,
			const struct cp_dns_query *query,
			enum cp_dns_hints hints)
{
	uint8_t message[CP_DNS_MESSAGE_MAX];
	struct cp_dns_answer *again = NULL;
	size_t size =
		cp_dns_answer_make(answer, query, true, 0, UINT32_MAX, message);

	if (size < CP_DNS_MESSAGE_HEADER || size > CP_DNS_MESSAGE_MAX ||
	    cp_dns_wire_get16(message) != query->id ||
	    cp_dns_answer_size(answer) + CP_DNS_MESSAGE_HEADER +
			    CP_DNS_MESSAGE_OPT_BYTES <
		    size)
		abort();
	if (cp_dns_answer_read(message, size, &query->question, hints,
			       &again) != 0)
		abort();
	is_same(answer, again);
	if (cp_dns_answer_ttl(again) > cp_dns_answer_ttl(answer))
		abort();
	cp_dns_answer_free(again);
	size = cp_dns_message_truncate(query, message, size,
				       CP_DNS_MESSAGE_UDP_MIN);
	if (size > CP_DNS_MESSAGE_UDP_MIN)
		abort();
}

static bool keep_odd(void *userdata, const struct cp_dns_address *address)
{
	size_t last = address->family == SN_FAMILY_IPV4 ? 3 : 15;

	(void)userdata;
	return address->bytes[last] % 2;
}

static void check_filter(const struct cp_dns_answer *answer,
			 const struct cp_dns_query *query,
			 enum cp_dns_hints hints)
{
	const struct cp_dns_address *addresses;
	struct cp_dns_answer *copy = NULL;
	size_t n, n_left, n_gone;

	if (cp_dns_answer_copy(answer, &copy) < 0)
		abort();
	is_same(answer, copy);
	(void)cp_dns_answer_addresses(answer, &n);
	n_gone = cp_dns_answer_filter(copy, keep_odd, NULL);
	addresses = cp_dns_answer_addresses(copy, &n_left);
	if (n_left + n_gone != n ||
	    cp_dns_answer_rcode(copy) != cp_dns_answer_rcode(answer))
		abort();
	for (size_t i = 0; i < n_left; i++) {
		if (!keep_odd(NULL, &addresses[i]))
			abort();
	}
	check_reply(copy, query, hints);
	cp_dns_answer_free(copy);
}

/* The question that the message itself has; false: none. */
static bool read_question(const uint8_t *message, size_t size,
			  struct cp_dns_query *query)
{
	struct cp_dns_question *question = &query->question;
	size_t at;

	if (size < CP_DNS_MESSAGE_HEADER ||
	    cp_dns_name_read(message, size, CP_DNS_MESSAGE_HEADER,
			     &question->name, &at) != 0 ||
	    size - at < 4)
		return false;
	question->type = cp_dns_wire_get16(message + at);
	question->class = cp_dns_wire_get16(message + at + 2);
	(void)memcpy(query->case_name, message + CP_DNS_MESSAGE_HEADER,
		     question->name.size);
	query->has_question = true;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte: bit 0 the hints, bit 1 EDNS, bit 2 DO. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_dns_query query = { .id = 0x1234 };
	struct cp_dns_answer *answer = NULL;
	enum cp_dns_hints hints;

	if (size == 0 || !read_question(data + 1, size - 1, &query))
		return 0;
	hints = data[0] & 1 ? CP_DNS_HINTS_LEARN : CP_DNS_HINTS_STRIP;
	query.has_edns = data[0] & 2;
	query.dnssec_ok = query.has_edns && (data[0] & 4);
	if (cp_dns_answer_read(data + 1, size - 1, &query.question, hints,
			       &answer) != 0)
		return 0;
	if (cp_dns_answer_ttl(answer) > CP_DNS_ANSWER_TTL_MAX_S)
		abort();
	compare(data + 1, size - 1, &query.question, answer);
	check_filter(answer, &query, hints);
	check_reply(answer, &query, hints);
	cp_dns_answer_free(answer);
	return 0;
}
