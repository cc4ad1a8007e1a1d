/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever a client sends: the query is read within its bounds, and each of
 * our replies is a whole message of the agreed size that answers it. ldns must
 * agree on the question where both accept it. */

#include "controld/dns/message.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "controld/dns/wire.h"

enum {
	N_ADDRESSES = 40,

	AT_ADDITIONAL = 10, /* its count in the header */
	OPT_DO = 0x8000, /* in its TTL */
};

static void check_reply(const struct cp_dns_query *query,
			const uint8_t *message, size_t size, size_t max)
{
	size_t offset = CP_DNS_MESSAGE_HEADER;
	size_t n_records = 0;

	if (size < CP_DNS_MESSAGE_HEADER || size > max ||
	    cp_dns_wire_get16(message) != query->id || !(message[2] & 0x80) ||
	    (message[2] >> 3 & 0xf) != query->opcode ||
	    cp_dns_wire_get16(message + 4) != query->has_question)
		abort();
	if (query->has_question) {
		if (memcmp(message + offset, query->case_name,
			   query->question.name.size) != 0)
			abort();
		offset += query->question.name.size + 4u;
	}
	for (size_t at = 6; at < CP_DNS_MESSAGE_HEADER; at += 2)
		n_records += cp_dns_wire_get16(message + at);
	for (; n_records > 0; n_records--) {
		struct cp_dns_wire_record record;
		struct cp_dns_name owner;

		if (cp_dns_wire_read_record(message, size, &offset, &record,
					    &owner) != 0)
			abort();
		if (record.type == CP_DNS_TYPE_OPT && !query->has_edns)
			abort();
	}
	if (offset != size)
		abort();
}

static void check_replies(const struct cp_dns_query *query)
{
	static const uint8_t addresses[N_ADDRESSES][16];
	uint8_t message[CP_DNS_MESSAGE_MAX];
	size_t size;

	size = cp_dns_message_make_error(query, 16, 15, message);
	check_reply(query, message, size, CP_DNS_MESSAGE_UDP_MIN);
	size = cp_dns_message_make_error(query, 1, -1, message);
	check_reply(query, message, size, CP_DNS_MESSAGE_UDP_MIN);
	if (!query->has_question)
		return;
	size = cp_dns_message_make_sinkhole(query, 5, message);
	check_reply(query, message, size, CP_DNS_MESSAGE_UDP_MIN);
	size = cp_dns_message_make_any(query, message);
	check_reply(query, message, size, CP_DNS_MESSAGE_UDP_MIN);
	size = cp_dns_message_make_addresses(query, 5, addresses, N_ADDRESSES,
					     message);
	check_reply(query, message, size, CP_DNS_MESSAGE_MAX);
	size = cp_dns_message_truncate(query, message, size,
				       CP_DNS_MESSAGE_UDP_MIN);
	check_reply(query, message, size, CP_DNS_MESSAGE_UDP_MIN);
}

/* Record by record: where RDATA is longer than its type wants, ldns reads the
 * next record out of the rest (RFC 1035 3.2.1: RDLENGTH tells where it begins),
 * and from there on has read another message. */
static void compare_edns(const uint8_t *data, size_t size,
			 const struct cp_dns_query *query)
{
	size_t offset = CP_DNS_MESSAGE_HEADER + query->question.name.size + 4u;
	size_t at = offset;
	bool has_edns = false, dnssec_ok = false;

	for (size_t n = cp_dns_wire_get16(data + AT_ADDITIONAL); n > 0; n--) {
		struct cp_dns_wire_record record;
		struct cp_dns_name owner;
		ldns_rr *rr = NULL;

		if (cp_dns_wire_read_record(data, size, &offset, &record,
					    &owner) != 0)
			abort();
		if (ldns_wire2rr(&rr, data, size, &at,
				 LDNS_SECTION_ADDITIONAL) != LDNS_STATUS_OK)
			return;
		if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_OPT) {
			has_edns = true;
			dnssec_ok = ldns_rr_ttl(rr) & OPT_DO;
		}
		ldns_rr_free(rr);
		if (at != offset)
			return;
	}
	if (has_edns != query->has_edns ||
	    (has_edns && dnssec_ok != query->dnssec_ok))
		abort();
}

static void compare(const uint8_t *data, size_t size,
		    const struct cp_dns_query *query)
{
	const struct cp_dns_question *question = &query->question;
	struct cp_dns_name name;
	ldns_pkt *packet = NULL;
	ldns_rr *rr;
	ldns_rdf *owner;

	if (ldns_wire2pkt(&packet, data, size) != LDNS_STATUS_OK)
		return;
	if (ldns_rr_list_rr_count(ldns_pkt_question(packet)) != 1)
		abort();
	rr = ldns_rr_list_rr(ldns_pkt_question(packet), 0);
	owner = ldns_rr_owner(rr);
	name.size = (uint8_t)ldns_rdf_size(owner);
	(void)memcpy(name.wire, ldns_rdf_data(owner), name.size);
	cp_dns_name_lower(&name);
	if (!cp_dns_name_is_equal(&name, &question->name) ||
	    ldns_rr_get_type(rr) != question->type ||
	    ldns_rr_get_class(rr) != question->class ||
	    ldns_pkt_id(packet) != query->id ||
	    ldns_pkt_cd(packet) != query->checking_disabled)
		abort();
	ldns_pkt_free(packet);
	compare_edns(data, size, query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_dns_query query;
	int r = cp_dns_message_read(data, size, &query);

	if (r == CP_DNS_MESSAGE_E_IGNORE)
		return 0;
	if (query.udp_bytes < CP_DNS_MESSAGE_UDP_MIN)
		abort();
	check_replies(&query);
	if (r == 0)
		compare(data, size, &query);
	return 0;
}
