/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/message.h"

#include <assert.h>
#include <string.h>

#include "controld/dns/wire.h"
#include "shared/util.h"

enum {
	/* Second word of the header. */
	FLAG_QR = 0x8000,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_AD = 0x0020,
	FLAG_CD = 0x0010,
	OPCODE_SHIFT = 11,
	OPCODE_MASK = 0xf,

	/* Offsets in the header. */
	AT_FLAGS = 2,
	AT_QUESTIONS = 4,
	AT_ANSWERS = 6,
	AT_AUTHORITY = 8,
	AT_ADDITIONAL = 10,

	/* OPT: its TTL is extended rcode, version, flags (RFC 6891 6.1.3). */
	OPT_DO = 0x8000,
	OPT_VERSION_SHIFT = 16,
	OPT_RCODE_SHIFT = 24,
	OPTION_HEADER_BYTES = 4,
	OPTION_EDE = 15,
	EDE_FORGED = 4,

	ANY_TTL_S = 3600,
	POINTER_TO_QUESTION = 0xc000 | CP_DNS_MESSAGE_HEADER,
};

/* Reading. */

static bool has_whole_options(const uint8_t *p, size_t size)
{
	while (size >= OPTION_HEADER_BYTES) {
		size_t n = OPTION_HEADER_BYTES + cp_dns_wire_get16(p + 2);

		if (n > size)
			return false;
		p += n;
		size -= n;
	}
	return size == 0;
}

static int read_opt(const uint8_t *message,
		    const struct cp_dns_wire_record *record,
		    const struct cp_dns_name *owner, struct cp_dns_query *ret,
		    unsigned int *version)
{
	if (ret->has_edns || owner->size != 1 ||
	    !has_whole_options(message + record->rdata_at, record->rdata_size))
		return CP_DNS_MESSAGE_E_FORMERR;
	ret->has_edns = true;
	ret->udp_bytes = (uint16_t)SN_MAX(record->class,
					  (uint16_t)CP_DNS_MESSAGE_UDP_MIN);
	ret->dnssec_ok = record->ttl_s & OPT_DO;
	*version = record->ttl_s >> OPT_VERSION_SHIFT & 0xff;
	return 0;
}

static int read_additional(const uint8_t *message, size_t size, size_t offset,
			   struct cp_dns_query *ret)
{
	unsigned int n = cp_dns_wire_get16(message + AT_ADDITIONAL);
	struct cp_dns_wire_record record;
	struct cp_dns_name owner;
	unsigned int version = 0;
	int r;

	if (n > CP_DNS_MESSAGE_ADDITIONAL_MAX)
		return CP_DNS_MESSAGE_E_FORMERR;
	for (; n > 0; n--) {
		if (cp_dns_wire_read_record(message, size, &offset, &record,
					    &owner) != 0 ||
		    record.type == CP_DNS_TYPE_TSIG)
			return CP_DNS_MESSAGE_E_FORMERR;
		if (record.type != CP_DNS_TYPE_OPT)
			continue;
		r = read_opt(message, &record, &owner, ret, &version);
		if (r)
			return r;
	}
	if (offset != size)
		return CP_DNS_MESSAGE_E_FORMERR;
	return version ? CP_DNS_MESSAGE_E_BADVERS : 0;
}

int cp_dns_message_read(const uint8_t *message, size_t size,
			struct cp_dns_query *ret)
{
	struct cp_dns_question *question = &ret->question;
	unsigned int flags;
	size_t at;

	if (size < CP_DNS_MESSAGE_HEADER || size > CP_DNS_MESSAGE_MAX)
		return CP_DNS_MESSAGE_E_IGNORE;
	flags = cp_dns_wire_get16(message + AT_FLAGS);
	if (flags & FLAG_QR)
		return CP_DNS_MESSAGE_E_IGNORE;

	ret->id = cp_dns_wire_get16(message);
	ret->udp_bytes = CP_DNS_MESSAGE_UDP_MIN;
	ret->has_edns = false;
	ret->dnssec_ok = false;
	ret->has_question = false;
	ret->checking_disabled = flags & FLAG_CD;
	ret->recursion_desired = flags & FLAG_RD;
	ret->authentic_data = flags & FLAG_AD;
	ret->opcode = flags >> OPCODE_SHIFT & OPCODE_MASK;
	if (ret->opcode != 0)
		return CP_DNS_MESSAGE_E_NOTIMP;
	if (cp_dns_wire_get16(message + AT_QUESTIONS) != 1)
		return CP_DNS_MESSAGE_E_FORMERR;

	if (cp_dns_name_read(message, size, CP_DNS_MESSAGE_HEADER,
			     &question->name, &at) != 0 ||
	    size - at < 4)
		return CP_DNS_MESSAGE_E_FORMERR;
	/* A pointer could only have led in front of the name, into the header,
	 * so it stands there whole. */
	(void)memcpy(ret->case_name, message + CP_DNS_MESSAGE_HEADER,
		     question->name.size);
	question->type = cp_dns_wire_get16(message + at);
	question->class = cp_dns_wire_get16(message + at + 2);
	ret->has_question = true;
	if (cp_dns_wire_get16(message + AT_ANSWERS) != 0 ||
	    cp_dns_wire_get16(message + AT_AUTHORITY) != 0)
		return CP_DNS_MESSAGE_E_FORMERR;
	return read_additional(message, size, at + 4, ret);
}

/* Writing. */

size_t cp_dns_message_put_head(const struct cp_dns_query *query,
			       unsigned int rcode, bool authentic_data,
			       uint8_t *ret)
{
	unsigned int flags = FLAG_QR | FLAG_RA | (rcode & 0xf) |
			     (unsigned int)query->opcode << OPCODE_SHIFT;
	size_t size = CP_DNS_MESSAGE_HEADER;

	if (query->recursion_desired)
		flags |= FLAG_RD;
	if (query->checking_disabled)
		flags |= FLAG_CD;
	if (authentic_data)
		flags |= FLAG_AD;
	cp_dns_wire_put16(ret, query->id);
	cp_dns_wire_put16(ret + AT_FLAGS, flags);
	cp_dns_wire_put16(ret + AT_QUESTIONS, query->has_question);
	(void)memset(ret + AT_ANSWERS, 0, CP_DNS_MESSAGE_HEADER - AT_ANSWERS);
	if (!query->has_question)
		return size;
	(void)memcpy(ret + size, query->case_name, query->question.name.size);
	size += query->question.name.size;
	cp_dns_wire_put16(ret + size, query->question.type);
	cp_dns_wire_put16(ret + size + 2, query->question.class);
	return size + 4;
}

size_t cp_dns_message_put_opt(const struct cp_dns_query *query,
			      unsigned int rcode, int ede, uint8_t *message,
			      size_t size)
{
	uint8_t *p = message + size;
	unsigned int n = cp_dns_wire_get16(message + AT_ADDITIONAL);

	if (!query->has_edns)
		return size;
	cp_dns_wire_put16(message + AT_ADDITIONAL, n + 1);
	p[0] = 0;
	cp_dns_wire_put16(p + 1, CP_DNS_TYPE_OPT);
	cp_dns_wire_put16(p + 3, CP_DNS_MESSAGE_UDP_MAX);
	cp_dns_wire_put32(p + 5, (uint32_t)(rcode >> 4) << OPT_RCODE_SHIFT |
					 (query->dnssec_ok ? OPT_DO : 0));
	cp_dns_wire_put16(p + 9, 0);
	if (ede < 0)
		return size + 11;
	cp_dns_wire_put16(p + 9, OPTION_HEADER_BYTES + 2);
	cp_dns_wire_put16(p + 11, OPTION_EDE);
	cp_dns_wire_put16(p + 13, 2);
	cp_dns_wire_put16(p + 15, (unsigned int)ede);
	return size + CP_DNS_MESSAGE_OPT_BYTES;
}

/* A record of the question's name and class, counted as an answer. */
static size_t put_record(const struct cp_dns_query *query, unsigned int type,
			 uint32_t ttl_s, const void *rdata, size_t rdata_size,
			 uint8_t *message, size_t size)
{
	uint8_t *p = message + size;
	unsigned int n = cp_dns_wire_get16(message + AT_ANSWERS);

	cp_dns_wire_put16(message + AT_ANSWERS, n + 1);
	cp_dns_wire_put16(p, POINTER_TO_QUESTION);
	cp_dns_wire_put16(p + 2, type);
	cp_dns_wire_put16(p + 4, query->question.class);
	cp_dns_wire_put32(p + 6, ttl_s);
	cp_dns_wire_put16(p + 10, (unsigned int)rdata_size);
	(void)memcpy(p + 12, rdata, rdata_size);
	return size + 12 + rdata_size;
}

/* Bytes of an address of the type that is asked for; 0: of none. */
static size_t address_bytes(const struct cp_dns_query *query)
{
	if (!query->has_question || query->question.class != CP_DNS_CLASS_IN)
		return 0;
	if (query->question.type == CP_DNS_TYPE_A)
		return 4;
	return query->question.type == CP_DNS_TYPE_AAAA ? 16 : 0;
}

size_t cp_dns_message_make_error(const struct cp_dns_query *query,
				 unsigned int rcode, int ede,
				 uint8_t ret[CP_DNS_MESSAGE_UDP_MIN])
{
	size_t size = cp_dns_message_put_head(query, rcode, false, ret);

	return cp_dns_message_put_opt(query, rcode, ede, ret, size);
}

size_t cp_dns_message_make_sinkhole(const struct cp_dns_query *query,
				    uint32_t ttl_s,
				    uint8_t ret[CP_DNS_MESSAGE_UDP_MIN])
{
	static const uint8_t unspecified[16];
	size_t n = address_bytes(query);
	size_t size = cp_dns_message_put_head(query, CP_DNS_RCODE_NOERROR,
					      false, ret);

	if (n > 0)
		size = put_record(query, query->question.type, ttl_s,
				  unspecified, n, ret, size);
	return cp_dns_message_put_opt(query, CP_DNS_RCODE_NOERROR, EDE_FORGED,
				      ret, size);
}

size_t cp_dns_message_make_any(const struct cp_dns_query *query,
			       uint8_t ret[CP_DNS_MESSAGE_UDP_MIN])
{
	static const char hinfo[] = "\7RFC8482"; /* and an empty string */
	size_t size = cp_dns_message_put_head(query, CP_DNS_RCODE_NOERROR,
					      false, ret);

	size = put_record(query, CP_DNS_TYPE_HINFO, ANY_TTL_S, hinfo,
			  sizeof(hinfo), ret, size);
	return cp_dns_message_put_opt(query, CP_DNS_RCODE_NOERROR, -1, ret,
				      size);
}

size_t cp_dns_message_make_addresses(const struct cp_dns_query *query,
				     uint32_t ttl_s,
				     const uint8_t (*addresses)[16], size_t n,
				     uint8_t *ret)
{
	size_t bytes = address_bytes(query);
	size_t size = cp_dns_message_put_head(query, CP_DNS_RCODE_NOERROR,
					      false, ret);

	for (size_t i = 0; bytes > 0 && i < n; i++) {
		if (size + 12 + bytes + CP_DNS_MESSAGE_OPT_BYTES >
		    CP_DNS_MESSAGE_MAX)
			break;
		size = put_record(query, query->question.type, ttl_s,
				  addresses[i], bytes, ret, size);
	}
	return cp_dns_message_put_opt(query, CP_DNS_RCODE_NOERROR, -1, ret,
				      size);
}

size_t cp_dns_message_truncate(const struct cp_dns_query *query,
			       uint8_t *message, size_t size, size_t room)
{
	unsigned int flags = cp_dns_wire_get16(message + AT_FLAGS);
	size_t n_records = (size_t)cp_dns_wire_get16(message + AT_ANSWERS) +
			   cp_dns_wire_get16(message + AT_AUTHORITY) +
			   cp_dns_wire_get16(message + AT_ADDITIONAL);
	size_t end = CP_DNS_MESSAGE_HEADER;
	size_t offset;

	if (size <= room)
		return size;
	if (query->has_question)
		end += query->question.name.size + 4u;
	offset = end;
	cp_dns_wire_put16(message + AT_FLAGS, flags | FLAG_TC);
	(void)memset(message + AT_ANSWERS, 0,
		     CP_DNS_MESSAGE_HEADER - AT_ANSWERS);
	for (; n_records > 0; n_records--) {
		struct cp_dns_wire_record record;
		struct cp_dns_name owner;
		size_t begin = offset;

		if (cp_dns_wire_read_record(message, size, &offset, &record,
					    &owner) != 0)
			break;
		if (record.type != CP_DNS_TYPE_OPT)
			continue;
		(void)memmove(message + end, message + begin, offset - begin);
		cp_dns_wire_put16(message + AT_ADDITIONAL, 1);
		return end + offset - begin;
	}
	return end;
}
