/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/chain.h"

#include <string.h>

#include "shared/util.h"

enum {
	/* Second word of the header. */
	FLAG_QR = 0x8000,
	OPCODE_MASK = 0x7800,
	FLAG_TC = 0x0200,
	RCODE_MASK = 0x000f,

	AT_FLAGS = 2,
	AT_COUNTS = 4,
	POINTER = 0xc0, /* the high bits of a compression pointer */
	SOA_MINIMUM_BYTES = 4, /* the last of its data */
	SOA_BYTES_MIN = 22, /* two roots and five numbers */
};

#define TTL_LIMIT (1U << 31) /* RFC 2181 8: such a TTL and above counts as 0 */

/* Reading all records. */

static uint32_t hash(const struct cp_dns_name *name)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < name->size; i++)
		h = (h ^ name->wire[i]) * 16777619U;
	return h;
}

/* Nearly all owners are one pointer, to the same place as the one before. */
static int read_record(struct cp_dns_chain *chain, size_t *offset,
		       struct cp_dns_chain_record *ret)
{
	const uint8_t *p = chain->message + *offset;
	size_t left = chain->size - *offset;
	struct cp_dns_name owner;
	int r;

	ret->owner_ref = (uint16_t)*offset;
	if (left >= 2 && (p[0] & POINTER) == POINTER) {
		ret->owner_ref = cp_dns_wire_get16(p) & 0x3fff;
		if (ret->owner_ref == chain->last_ref) {
			ret->owner_hash = chain->last_hash;
			return cp_dns_wire_read_rest(chain->message,
						     chain->size, *offset + 2,
						     offset, &ret->wire);
		}
	}
	r = cp_dns_wire_read_record(chain->message, chain->size, offset,
				    &ret->wire, &owner);
	if (r)
		return r;
	ret->owner_hash = hash(&owner);
	chain->last_ref = ret->owner_ref;
	chain->last_hash = ret->owner_hash;
	return 0;
}

static int read_records(struct cp_dns_chain *chain, size_t *offset, size_t n,
			bool is_answer)
{
	if (n > CP_DNS_ANSWER_RECORDS_MAX - chain->n_records)
		return CP_DNS_CHAIN_E_INVALID;
	for (; n > 0; n--) {
		struct cp_dns_chain_record *record =
			&chain->records[chain->n_records++];

		if (read_record(chain, offset, record) != 0 ||
		    record->wire.type == CP_DNS_TYPE_OPT)
			return CP_DNS_CHAIN_E_INVALID;
		if (record->wire.ttl_s >= TTL_LIMIT)
			record->wire.ttl_s = 0;
		record->is_answer = is_answer;
		record->is_kept = false;
	}
	return 0;
}

/* Of the additional section only OPT has a meaning here. */
static int read_additional(struct cp_dns_chain *chain, size_t offset, size_t n)
{
	struct cp_dns_wire_record record;
	struct cp_dns_name owner;
	bool has_opt = false;

	if (n > CP_DNS_ANSWER_RECORDS_MAX - chain->n_records)
		return CP_DNS_CHAIN_E_INVALID;
	for (; n > 0; n--) {
		if (cp_dns_wire_read_record(chain->message, chain->size,
					    &offset, &record, &owner) != 0)
			return CP_DNS_CHAIN_E_INVALID;
		if (record.type != CP_DNS_TYPE_OPT)
			continue;
		if (has_opt || owner.size != 1 ||
		    (record.ttl_s >> 16 & 0xff) != 0)
			return CP_DNS_CHAIN_E_INVALID;
		has_opt = true;
		chain->rcode |= record.ttl_s >> 24 << 4;
	}
	return 0;
}

static bool is_question(struct cp_dns_chain *chain, size_t *offset)
{
	struct cp_dns_name name;
	size_t at;

	if (cp_dns_name_read(chain->message, chain->size, CP_DNS_MESSAGE_HEADER,
			     &name, &at) != 0 ||
	    chain->size - at < 4)
		return false;
	*offset = at + 4;
	chain->last_ref = CP_DNS_MESSAGE_HEADER;
	chain->last_hash = hash(&name);
	return cp_dns_name_is_equal(&name, &chain->question.name) &&
	       cp_dns_wire_get16(chain->message + at) == chain->question.type &&
	       cp_dns_wire_get16(chain->message + at + 2) ==
		       chain->question.class;
}

static int read_message(struct cp_dns_chain *chain)
{
	const uint8_t *counts = chain->message + AT_COUNTS;
	unsigned int flags = cp_dns_wire_get16(chain->message + AT_FLAGS);
	size_t offset;
	int r;

	if (!(flags & FLAG_QR) || (flags & OPCODE_MASK) || (flags & FLAG_TC) ||
	    cp_dns_wire_get16(counts) != 1 || !is_question(chain, &offset))
		return CP_DNS_CHAIN_E_INVALID;
	chain->rcode = flags & RCODE_MASK;
	r = read_records(chain, &offset, cp_dns_wire_get16(counts + 2), true);
	if (r)
		return r;
	r = read_records(chain, &offset, cp_dns_wire_get16(counts + 4), false);
	if (r)
		return r;
	return read_additional(chain, offset, cp_dns_wire_get16(counts + 6));
}

/* Keeping some. */

static bool is_owned(const struct cp_dns_chain *chain,
		     const struct cp_dns_chain_record *record,
		     const struct cp_dns_name *name, uint32_t name_hash)
{
	struct cp_dns_name owner;

	return record->owner_hash == name_hash &&
	       cp_dns_name_read(chain->message, chain->size,
				record->wire.owner_at, &owner, NULL) == 0 &&
	       cp_dns_name_is_equal(&owner, name);
}

static void lower_ttl(struct cp_dns_chain *chain, uint32_t ttl_s)
{
	chain->ttl_s = SN_MIN(chain->ttl_s, ttl_s);
}

static void keep(struct cp_dns_chain *chain, struct cp_dns_chain_record *record)
{
	if (record->is_kept)
		return;
	record->is_kept = true;
	chain->kept[chain->n_kept++] = (uint16_t)(record - chain->records);
	lower_ttl(chain, record->wire.ttl_s);
}

/* Data that is one name and nothing else. */
static bool read_target(const struct cp_dns_chain *chain,
			const struct cp_dns_chain_record *record,
			struct cp_dns_name *ret)
{
	size_t end = (size_t)record->wire.rdata_at + record->wire.rdata_size;
	size_t at;

	return cp_dns_name_read(chain->message, end, record->wire.rdata_at, ret,
				&at) == 0 &&
	       at == end;
}

static struct cp_dns_chain_record *next_answer(struct cp_dns_chain *chain,
					       size_t *i, uint16_t type)
{
	while (*i < chain->n_records) {
		struct cp_dns_chain_record *record = &chain->records[(*i)++];

		if (record->is_answer && record->wire.type == type &&
		    record->wire.class == chain->question.class)
			return record;
	}
	return NULL;
}

/* The name's CNAME, with *ret NULL if it has none. One that is there several
 * times is one; several ones are a contradiction. */
static int find_alias(struct cp_dns_chain *chain,
		      const struct cp_dns_name *name,
		      struct cp_dns_name *target,
		      struct cp_dns_chain_record **ret)
{
	uint32_t name_hash = hash(name);
	struct cp_dns_chain_record *record;
	struct cp_dns_name other;
	size_t i = 0;

	*ret = NULL;
	while ((record = next_answer(chain, &i, CP_DNS_TYPE_CNAME))) {
		if (!is_owned(chain, record, name, name_hash))
			continue;
		if (!read_target(chain, record, &other) ||
		    (*ret && !cp_dns_name_is_equal(&other, target)))
			return CP_DNS_CHAIN_E_INVALID;
		lower_ttl(chain, record->wire.ttl_s);
		if (*ret)
			continue;
		*target = other;
		*ret = record;
	}
	return 0;
}

/* Keeps the DNAME from which `name`'s CNAME to `target` follows (RFC 6672
 * 2.2), if it is there. */
static void keep_dname(struct cp_dns_chain *chain,
		       const struct cp_dns_name *name,
		       const struct cp_dns_name *target)
{
	struct cp_dns_chain_record *record;
	struct cp_dns_name owner, to;
	unsigned int n_seen = 0;
	size_t i = 0, n;

	/* No chain has more of them than steps. */
	while (n_seen++ < CP_DNS_ANSWER_CHAIN_MAX &&
	       (record = next_answer(chain, &i, CP_DNS_TYPE_DNAME))) {
		if (cp_dns_name_read(chain->message, chain->size,
				     record->wire.owner_at, &owner,
				     NULL) != 0 ||
		    !cp_dns_name_is_below(name, &owner) ||
		    name->size == owner.size ||
		    !read_target(chain, record, &to))
			continue;
		n = (size_t)(name->size - owner.size);
		if (target->size == n + to.size &&
		    memcmp(target->wire, name->wire, n) == 0 &&
		    memcmp(target->wire + n, to.wire, to.size) == 0) {
			keep(chain, record);
			return;
		}
	}
}

/* What a name with a CNAME may have besides (RFC 4034 2.5 and 3). */
static bool stands_beside_alias(uint16_t type)
{
	return type == CP_DNS_TYPE_CNAME || type == CP_DNS_TYPE_RRSIG ||
	       type == CP_DNS_TYPE_NSEC || type == CP_DNS_TYPE_ANY;
}

static int follow(struct cp_dns_chain *chain)
{
	struct cp_dns_chain_record *record;
	struct cp_dns_name target;
	int r;

	chain->names[0] = chain->question.name;
	chain->n_names = 1;
	if (stands_beside_alias(chain->question.type))
		return 0;
	for (;;) {
		const struct cp_dns_name *last =
			&chain->names[chain->n_names - 1];

		r = find_alias(chain, last, &target, &record);
		if (r)
			return r;
		if (!record)
			return 0;
		if (chain->n_names > CP_DNS_ANSWER_CHAIN_MAX)
			return CP_DNS_CHAIN_E_INVALID;
		for (size_t i = 0; i < chain->n_names; i++) {
			if (cp_dns_name_is_equal(&chain->names[i], &target))
				return CP_DNS_CHAIN_E_INVALID;
		}
		keep_dname(chain, last, &target);
		keep(chain, record);
		chain->names[chain->n_names++] = target;
	}
}

/* Bytes of an address record's data, 0: it is none. */
static size_t address_bytes(const struct cp_dns_wire_record *record)
{
	if (record->class != CP_DNS_CLASS_IN)
		return 0;
	if (record->type == CP_DNS_TYPE_A)
		return 4;
	return record->type == CP_DNS_TYPE_AAAA ? 16 : 0;
}

/* Is the same address kept already? */
static bool is_repeated(const struct cp_dns_chain *chain, size_t first,
			const struct cp_dns_wire_record *record)
{
	for (size_t i = first; i < chain->n_kept; i++) {
		const struct cp_dns_wire_record *other =
			&chain->records[chain->kept[i]].wire;

		if (other->type == record->type &&
		    memcmp(chain->message + other->rdata_at,
			   chain->message + record->rdata_at,
			   record->rdata_size) == 0)
			return true;
	}
	return false;
}

/* What was asked for, at the end of the chain. */
static int keep_end(struct cp_dns_chain *chain)
{
	const struct cp_dns_name *end = &chain->names[chain->n_names - 1];
	uint16_t type = chain->question.type;
	uint32_t end_hash = hash(end);
	size_t first = chain->n_kept;
	uint16_t end_ref = 0; /* of the last one that was seen to be owned */

	for (size_t i = 0; i < chain->n_records; i++) {
		struct cp_dns_chain_record *record = &chain->records[i];
		size_t bytes = address_bytes(&record->wire);

		if (!record->is_answer ||
		    record->wire.class != chain->question.class ||
		    (record->wire.type != type && type != CP_DNS_TYPE_ANY) ||
		    (record->owner_ref != end_ref &&
		     !is_owned(chain, record, end, end_hash)))
			continue;
		end_ref = record->owner_ref;
		if (bytes > 0 && record->wire.rdata_size != bytes)
			return CP_DNS_CHAIN_E_INVALID;
		if (bytes > 0 && is_repeated(chain, first, &record->wire)) {
			lower_ttl(chain, record->wire.ttl_s);
			continue;
		}
		if (bytes > 0 &&
		    chain->n_kept - first >= CP_DNS_ANSWER_ADDRESSES_MAX)
			return CP_DNS_CHAIN_E_INVALID;
		keep(chain, record);
	}
	return 0;
}

uint16_t cp_dns_chain_covered(const struct cp_dns_chain *chain,
			      const struct cp_dns_chain_record *record)
{
	if (record->wire.type != CP_DNS_TYPE_RRSIG ||
	    record->wire.rdata_size < 2)
		return 0;
	return cp_dns_wire_get16(chain->message + record->wire.rdata_at);
}

static bool is_signed_kept(const struct cp_dns_chain *chain, size_t n_kept,
			   const struct cp_dns_chain_record *signature)
{
	uint16_t type = cp_dns_chain_covered(chain, signature);
	struct cp_dns_name owner;

	if (type == 0 ||
	    cp_dns_name_read(chain->message, chain->size,
			     signature->wire.owner_at, &owner, NULL) != 0)
		return false;
	for (size_t i = 0; i < n_kept; i++) {
		const struct cp_dns_chain_record *record =
			&chain->records[chain->kept[i]];

		if (record->wire.type == type &&
		    is_owned(chain, record, &owner, signature->owner_hash))
			return true;
	}
	return false;
}

static void keep_signatures(struct cp_dns_chain *chain)
{
	struct cp_dns_chain_record *record;
	size_t n_kept = chain->n_kept;
	size_t i = 0;

	while ((record = next_answer(chain, &i, CP_DNS_TYPE_RRSIG))) {
		if (!record->is_kept && is_signed_kept(chain, n_kept, record))
			keep(chain, record);
	}
}

/* Is the end of the chain in the zone of this SOA? */
static bool is_soa(const struct cp_dns_chain *chain,
		   const struct cp_dns_chain_record *record)
{
	struct cp_dns_name owner;

	return record->wire.type == CP_DNS_TYPE_SOA &&
	       record->wire.rdata_size >= SOA_BYTES_MIN &&
	       cp_dns_name_read(chain->message, chain->size,
				record->wire.owner_at, &owner, NULL) == 0 &&
	       cp_dns_name_is_below(&chain->names[chain->n_names - 1], &owner);
}

/* The SOA of a negative answer, and DNSSEC records. */
static void keep_authority(struct cp_dns_chain *chain, bool is_negative)
{
	bool has_soa = false;

	for (size_t i = 0; i < chain->n_records; i++) {
		struct cp_dns_chain_record *record = &chain->records[i];
		const struct cp_dns_wire_record *wire = &record->wire;

		if (record->is_answer || wire->class != chain->question.class)
			continue;
		if (cp_dns_chain_is_dnssec(chain, record))
			keep(chain, record);
		if (!is_negative || has_soa || !is_soa(chain, record))
			continue;
		keep(chain, record);
		lower_ttl(chain, cp_dns_wire_get32(
					 chain->message + wire->rdata_at +
					 wire->rdata_size - SOA_MINIMUM_BYTES));
		has_soa = true;
	}
	if (is_negative) {
		/* Without SOA it must not be kept (RFC 2308 5). */
		lower_ttl(chain,
			  has_soa ? CP_DNS_ANSWER_NEGATIVE_TTL_MAX_S : 0);
	}
}

static void begin(struct cp_dns_chain *chain, const uint8_t *message,
		  size_t size, const struct cp_dns_question *question)
{
	chain->message = message;
	chain->size = size;
	chain->question = *question;
	chain->ttl_s = CP_DNS_ANSWER_TTL_MAX_S;
	chain->n_records = 0;
	chain->n_kept = 0;
	chain->n_names = 0;
}

int cp_dns_chain_read(struct cp_dns_chain *chain, const uint8_t *message,
		      size_t size, const struct cp_dns_question *question)
{
	size_t n_before;
	bool is_negative;
	int r;

	if (size < CP_DNS_MESSAGE_HEADER || size > CP_DNS_MESSAGE_MAX)
		return CP_DNS_CHAIN_E_INVALID;
	begin(chain, message, size, question);
	r = read_message(chain);
	if (r)
		return r;
	if (chain->rcode != CP_DNS_RCODE_NOERROR &&
	    chain->rcode != CP_DNS_RCODE_NXDOMAIN) {
		chain->ttl_s = CP_DNS_ANSWER_FAILURE_TTL_S;
		return 0;
	}

	r = follow(chain);
	if (r)
		return r;
	n_before = chain->n_kept;
	/* A name that does not exist has nothing, whatever else is said. */
	if (chain->rcode == CP_DNS_RCODE_NOERROR) {
		r = keep_end(chain);
		if (r)
			return r;
	}
	is_negative = chain->n_kept == n_before;
	keep_signatures(chain);
	keep_authority(chain, is_negative);
	return 0;
}

int cp_dns_chain_read_own(struct cp_dns_chain *chain, const uint8_t *message,
			  size_t size)
{
	struct cp_dns_question question;
	size_t at;
	int r;

	if (cp_dns_name_read(message, size, CP_DNS_MESSAGE_HEADER,
			     &question.name, &at) != 0)
		return CP_DNS_CHAIN_E_INVALID;
	question.type = cp_dns_wire_get16(message + at);
	question.class = cp_dns_wire_get16(message + at + 2);
	begin(chain, message, size, &question);
	r = read_message(chain);
	if (r)
		return r;
	for (size_t i = 0; i < chain->n_records; i++)
		keep(chain, &chain->records[i]);
	return 0;
}

bool cp_dns_chain_is_dnssec(const struct cp_dns_chain *chain,
			    const struct cp_dns_chain_record *record)
{
	uint16_t type = record->wire.type;

	return type != chain->question.type &&
	       chain->question.type != CP_DNS_TYPE_ANY &&
	       (type == CP_DNS_TYPE_RRSIG || type == CP_DNS_TYPE_NSEC ||
		type == CP_DNS_TYPE_NSEC3);
}
