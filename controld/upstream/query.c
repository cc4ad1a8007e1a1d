/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/query.h"

#include <string.h>

#include "controld/dns/wire.h"
#include "controld/upstream/upstream.h"

enum {
	FLAGS_HIGH = 2, /* QR, opcode, AA, TC, RD */
	FLAGS_LOW = 3, /* RA, Z, AD, CD, rcode */
	QR = 0x80,
	OPCODE = 0x78,
	TC = 0x02,
	RD = 0x01,
	CD = 0x10,
	RCODE = 0x0f,
	COUNTS = 4,
	ADDITIONAL = 10,
	TYPE_OPT = 41,
	DO_HIGH = 0x80,
	LETTER_CASE = 0x20,
};

static uint8_t *put16(uint8_t *at, unsigned int value)
{
	cp_dns_wire_put16(at, value);
	return at + 2;
}

static bool is_letter(uint8_t c)
{
	return c >= 'a' && c <= 'z';
}

/* Length bytes are at most 63 and so no letters. */
static void write_name(const struct cp_upstream_query *query, uint8_t *at)
{
	unsigned int n = 0;

	for (size_t i = 0; i < query->name->size; i++) {
		uint8_t c = query->name->wire[i];

		if (is_letter(c) && (query->case_mask >> (n++ % 64) & 1))
			c ^= LETTER_CASE;
		at[i] = c;
	}
}

size_t cp_upstream_query_write(const struct cp_upstream_query *query,
			       uint8_t ret[CP_UPSTREAM_QUERY_BYTES])
{
	uint8_t *at = ret;

	(void)memset(ret, 0, CP_UPSTREAM_QUERY_HEADER);
	(void)put16(ret, query->id);
	ret[FLAGS_HIGH] = RD;
	ret[FLAGS_LOW] = query->checking_disabled ? CD : 0;
	ret[COUNTS + 1] = 1;
	ret[ADDITIONAL + 1] = query->has_edns ? 1 : 0;
	at += CP_UPSTREAM_QUERY_HEADER;

	write_name(query, at);
	at += query->name->size;
	at = put16(at, query->type);
	at = put16(at, query->class);
	if (!query->has_edns)
		return (size_t)(at - ret);

	*at++ = 0; /* the root's name */
	at = put16(at, TYPE_OPT);
	at = put16(at, CP_UPSTREAM_UDP_BYTES);
	at = put16(at, 0); /* extended rcode, version */
	at = put16(at, query->dnssec_ok ? DO_HIGH << 8 : 0);
	at = put16(at, 0); /* no options */
	return (size_t)(at - ret);
}

static bool is_bare_error(const uint8_t *message, size_t size)
{
	static const uint8_t none[CP_UPSTREAM_QUERY_HEADER - COUNTS];
	unsigned int rcode = cp_upstream_query_rcode(message);

	return size == CP_UPSTREAM_QUERY_HEADER &&
	       memcmp(message + COUNTS, none, sizeof(none)) == 0 &&
	       (rcode == CP_UPSTREAM_QUERY_FORMERR ||
		rcode == CP_UPSTREAM_QUERY_NOTIMP);
}

static bool is_equal_but_case(const struct cp_dns_name *name,
			      const uint8_t *other)
{
	for (size_t i = 0; i < name->size; i++) {
		uint8_t c = other[i];

		if (c >= 'A' && c <= 'Z')
			c |= LETTER_CASE;
		if (c != name->wire[i])
			return false;
	}
	return true;
}

int cp_upstream_query_match(const struct cp_upstream_query *query,
			    const uint8_t *message, size_t size)
{
	const size_t name_size = query->name->size;
	const uint8_t *question = message + CP_UPSTREAM_QUERY_HEADER;
	uint8_t name[CP_DNS_NAME_WIRE_MAX];

	if (size < CP_UPSTREAM_QUERY_HEADER ||
	    cp_dns_wire_get16(message) != query->id ||
	    (message[FLAGS_HIGH] & (QR | OPCODE)) != QR)
		return CP_UPSTREAM_QUERY_E_OTHER;
	if (is_bare_error(message, size))
		return CP_UPSTREAM_QUERY_E_BARE;
	if (size < CP_UPSTREAM_QUERY_HEADER + name_size + 4 ||
	    cp_dns_wire_get16(message + COUNTS) != 1 ||
	    cp_dns_wire_get16(question + name_size) != query->type ||
	    cp_dns_wire_get16(question + name_size + 2) != query->class)
		return CP_UPSTREAM_QUERY_E_OTHER;

	write_name(query, name);
	if (memcmp(question, name, name_size) == 0)
		return 0;
	return is_equal_but_case(query->name, question) ?
		       CP_UPSTREAM_QUERY_E_CASE :
		       CP_UPSTREAM_QUERY_E_OTHER;
}

void cp_upstream_query_clean(const struct cp_upstream_query *query,
			     uint8_t *message)
{
	(void)put16(message, 0);
	(void)memcpy(message + CP_UPSTREAM_QUERY_HEADER, query->name->wire,
		     query->name->size);
}

uint16_t cp_upstream_query_id(const uint8_t *message)
{
	return cp_dns_wire_get16(message);
}

unsigned int cp_upstream_query_rcode(const uint8_t *message)
{
	return message[FLAGS_LOW] & RCODE;
}

bool cp_upstream_query_is_truncated(const uint8_t *message)
{
	return message[FLAGS_HIGH] & TC;
}

bool cp_upstream_query_has_additional(const uint8_t *message)
{
	return cp_dns_wire_get16(message + ADDITIONAL) != 0;
}
