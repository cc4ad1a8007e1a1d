/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/answer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controld/dns/chain.h"
#include "controld/dns/svcb.h"
#include "controld/dns/writer.h"

/* An answer is kept as the message that goes out, in lower case and without
 * OPT, with the offsets of its TTLs, so that a reply is one copy with an id, a
 * case and TTLs put in. If there are DNSSEC records, it is kept twice: clients
 * that do not set DO get the one without them. */

enum {
	FLAG_QR = 0x8000,
	HINTS_MAX = 4 * CP_DNS_ANSWER_ADDRESSES_MAX, /* repeated ones too */
};

struct body {
	size_t at; /* in the block: the message, then offsets, two bytes each */
	uint16_t size;
	uint16_t n_ttls;
	uint16_t n_answers;
	uint16_t n_authority;
};

struct cp_dns_answer {
	unsigned int rcode;
	uint32_t ttl_s;
	enum cp_dns_hints hints;
	bool is_changed; /* not what the server signed any more */
	uint16_t question_size; /* in the message */
	struct body plain;
	struct body full; /* size 0: the same */
	uint8_t n_addresses;
	struct cp_dns_address *addresses;
	uint8_t *block;
	size_t block_size;
};

/* A message under way. Large. */
struct build {
	const struct cp_dns_chain *chain;
	const struct cp_dns_answer *answer;
	/* Only the answer's addresses stay; else all do. */
	bool is_filtered;
	bool is_changed; /* something was left out */
	/* The last owner: where it was read, where it is written. 0: none. */
	uint16_t last_from;
	uint16_t last_to;
	struct body body;
	uint16_t ttl_at[CP_DNS_ANSWER_RECORDS_MAX];
	struct cp_dns_writer writer;
	uint8_t message[CP_DNS_MESSAGE_MAX];
};

struct cp_dns_answer *cp_dns_answer_free(struct cp_dns_answer *answer)
{
	if (!answer)
		return NULL;
	free(answer->addresses);
	free(answer->block);
	free(answer);
	return NULL;
}

/* Addresses. */

static struct cp_dns_address make_address(const uint8_t *bytes, size_t size)
{
	struct cp_dns_address address = {
		.family = size == 4 ? SN_FAMILY_IPV4 : SN_FAMILY_IPV6,
	};

	(void)memcpy(address.bytes, bytes, size);
	return address;
}

static bool has_address(const struct cp_dns_answer *answer,
			const uint8_t *bytes, size_t size)
{
	struct cp_dns_address address = make_address(bytes, size);

	for (unsigned int i = 0; i < answer->n_addresses; i++) {
		if (memcmp(&answer->addresses[i], &address, sizeof(address)) ==
		    0)
			return true;
	}
	return false;
}

static int add_address(struct cp_dns_answer *answer, const uint8_t *bytes,
		       size_t size)
{
	if (has_address(answer, bytes, size))
		return 0;
	if (answer->n_addresses >= CP_DNS_ANSWER_ADDRESSES_MAX)
		return CP_DNS_ANSWER_E_INVALID;
	answer->addresses[answer->n_addresses++] = make_address(bytes, size);
	return 0;
}

/* Bytes of the address that the record is asked for, 0: it is none. */
static size_t address_bytes(const struct cp_dns_chain *chain,
			    const struct cp_dns_chain_record *record)
{
	if (!record->is_answer || record->wire.class != CP_DNS_CLASS_IN ||
	    record->wire.type != chain->question.type)
		return 0;
	if (record->wire.type == CP_DNS_TYPE_A)
		return 4;
	return record->wire.type == CP_DNS_TYPE_AAAA ? 16 : 0;
}

static bool is_svcb(const struct cp_dns_chain_record *record)
{
	return record->wire.type == CP_DNS_TYPE_SVCB ||
	       record->wire.type == CP_DNS_TYPE_HTTPS;
}

/* Are hints and ech of this record left out? */
static bool is_stripped(const struct cp_dns_answer *answer,
			const struct cp_dns_svcb *svcb, uint16_t key)
{
	if (key != CP_DNS_SVCB_KEY_ECH && cp_dns_svcb_hint_bytes(key) == 0)
		return false;
	return svcb->is_alias || answer->hints == CP_DNS_HINTS_STRIP;
}

static int add_hints(struct cp_dns_answer *answer,
		     const struct cp_dns_svcb *svcb, unsigned int *n_hints)
{
	struct cp_dns_svcb_param param;
	size_t cursor = 0;
	int r;

	while (cp_dns_svcb_next(svcb, &cursor, &param)) {
		size_t bytes = cp_dns_svcb_hint_bytes(param.key);

		if (bytes == 0 || is_stripped(answer, svcb, param.key))
			continue;
		for (size_t i = 0; i < param.size; i += bytes) {
			if (++*n_hints > HINTS_MAX)
				return CP_DNS_ANSWER_E_INVALID;
			r = add_address(answer, param.value + i, bytes);
			if (r)
				return r;
		}
	}
	return 0;
}

static int add_addresses(struct cp_dns_answer *answer,
			 const struct cp_dns_chain *chain)
{
	unsigned int n_hints = 0;
	struct cp_dns_svcb svcb;
	int r = 0;

	for (size_t i = 0; i < chain->n_kept && r == 0; i++) {
		const struct cp_dns_chain_record *record =
			&chain->records[chain->kept[i]];
		const uint8_t *rdata = chain->message + record->wire.rdata_at;
		size_t bytes = address_bytes(chain, record);

		if (bytes > 0) {
			r = add_address(answer, rdata, bytes);
		} else if (is_svcb(record)) {
			if (!cp_dns_svcb_read(rdata, record->wire.rdata_size,
					      &svcb))
				return CP_DNS_ANSWER_E_INVALID;
			r = add_hints(answer, &svcb, &n_hints);
		}
	}
	return r;
}

/* Writing the message. */

static bool is_open(const struct build *build, const uint8_t *bytes,
		    size_t size)
{
	return !build->is_filtered || has_address(build->answer, bytes, size);
}

/* Bytes of the parameter that stay; for a hint, whole addresses. -1: it
 * goes. */
static int kept_bytes(const struct build *build, const struct cp_dns_svcb *svcb,
		      const struct cp_dns_svcb_param *param)
{
	size_t bytes = cp_dns_svcb_hint_bytes(param->key);
	int n = 0;

	if (is_stripped(build->answer, svcb, param->key))
		return -1;
	if (bytes == 0)
		return param->size;
	for (size_t i = 0; i < param->size; i += bytes) {
		if (is_open(build, param->value + i, bytes))
			n += (int)bytes;
	}
	return n > 0 ? n : -1;
}

/* A record that cannot do without something that goes must go as a whole: with
 * another `mandatory` it would be another offer. */
static bool can_stay(const struct build *build, const struct cp_dns_svcb *svcb)
{
	struct cp_dns_svcb_param param;
	size_t cursor = 0;

	while (cp_dns_svcb_next(svcb, &cursor, &param)) {
		if (kept_bytes(build, svcb, &param) < 0 &&
		    cp_dns_svcb_needs(svcb, param.key))
			return false;
	}
	return true;
}

static void put_svcb(struct build *build, const struct cp_dns_svcb *svcb)
{
	struct cp_dns_writer *writer = &build->writer;
	struct cp_dns_svcb_param param;
	size_t cursor = 0;

	cp_dns_writer_put(writer, svcb->rdata, svcb->params);
	while (cp_dns_svcb_next(svcb, &cursor, &param)) {
		size_t bytes = cp_dns_svcb_hint_bytes(param.key);
		int n = kept_bytes(build, svcb, &param);

		if (n != (int)param.size)
			build->is_changed = true;
		if (n < 0)
			continue;
		cp_dns_writer_put16(writer, param.key);
		cp_dns_writer_put16(writer, (unsigned int)n);
		if (bytes == 0)
			cp_dns_writer_put(writer, param.value, param.size);
		for (size_t i = 0; bytes > 0 && i < param.size; i += bytes) {
			if (is_open(build, param.value + i, bytes))
				cp_dns_writer_put(writer, param.value + i,
						  bytes);
		}
	}
}

static int put_data(struct build *build,
		    const struct cp_dns_chain_record *record)
{
	const uint8_t *message = build->chain->message;
	struct cp_dns_svcb svcb;

	if (is_svcb(record)) {
		if (!cp_dns_svcb_read(message + record->wire.rdata_at,
				      record->wire.rdata_size, &svcb))
			return CP_DNS_ANSWER_E_INVALID;
		put_svcb(build, &svcb);
		return 0;
	}
	return cp_dns_writer_put_rdata(&build->writer, message,
				       &record->wire) == 0 ?
		       0 :
		       CP_DNS_ANSWER_E_INVALID;
}

/* Does the record go out? If not, the answer is not the signed one any
 * more. */
static bool goes_out(struct build *build,
		     const struct cp_dns_chain_record *record)
{
	const struct cp_dns_chain *chain = build->chain;
	const uint8_t *rdata = chain->message + record->wire.rdata_at;
	size_t bytes = address_bytes(chain, record);
	struct cp_dns_svcb svcb;
	bool r = true;

	if (bytes > 0)
		r = is_open(build, rdata, bytes);
	else if (is_svcb(record) &&
		 cp_dns_svcb_read(rdata, record->wire.rdata_size, &svcb))
		r = can_stay(build, &svcb);
	if (!r)
		build->is_changed = true;
	return r;
}

static int put_owner(struct build *build,
		     const struct cp_dns_chain_record *record)
{
	const struct cp_dns_chain *chain = build->chain;
	struct cp_dns_name owner;

	if (build->last_to && record->owner_ref == build->last_from) {
		cp_dns_writer_put_pointer(&build->writer, build->last_to);
		return 0;
	}
	if (cp_dns_name_read_cased(chain->message, chain->size,
				   record->wire.owner_at, &owner, NULL) != 0)
		return CP_DNS_ANSWER_E_INVALID;
	build->last_from = record->owner_ref;
	build->last_to = cp_dns_writer_put_name(&build->writer, &owner, true);
	return 0;
}

static int put_record(struct build *build,
		      const struct cp_dns_chain_record *record)
{
	struct cp_dns_writer *writer = &build->writer;
	struct body *body = &build->body;
	uint8_t fixed[10] = { 0 }; /* type, class, TTL, size of the data */
	size_t rdata_at;
	int r;

	r = put_owner(build, record);
	if (r)
		return r;
	cp_dns_wire_put16(fixed, record->wire.type);
	cp_dns_wire_put16(fixed + 2, record->wire.class);
	build->ttl_at[body->n_ttls++] = (uint16_t)(writer->size + 4);
	cp_dns_writer_put(writer, fixed, sizeof(fixed));
	rdata_at = writer->size;
	r = put_data(build, record);
	if (r)
		return r;
	if (writer->is_full)
		return CP_DNS_ANSWER_E_INVALID;
	cp_dns_wire_put16(writer->message + rdata_at - 2,
			  (unsigned int)(writer->size - rdata_at));
	if (record->is_answer)
		body->n_answers++;
	else
		body->n_authority++;
	return 0;
}

/* Writes header, question and what is kept, with DNSSEC records or without. A
 * signature over what was changed is worth nothing. */
static int write_message(struct build *build, bool with_dnssec)
{
	const struct cp_dns_chain *chain = build->chain;
	struct cp_dns_writer *writer = &build->writer;
	int r;

	build->body = (struct body){ .size = 0 };
	build->last_from = CP_DNS_MESSAGE_HEADER;
	build->last_to = CP_DNS_MESSAGE_HEADER;
	(void)memset(build->message, 0, CP_DNS_MESSAGE_HEADER);
	cp_dns_writer_init(writer, build->message, CP_DNS_MESSAGE_HEADER,
			   CP_DNS_MESSAGE_MAX - CP_DNS_MESSAGE_OPT_BYTES);
	cp_dns_writer_put_name(writer, &chain->question.name, true);
	cp_dns_writer_put16(writer, chain->question.type);
	cp_dns_writer_put16(writer, chain->question.class);
	for (size_t i = 0; i < chain->n_kept; i++) {
		const struct cp_dns_chain_record *record =
			&chain->records[chain->kept[i]];
		bool is_dnssec = cp_dns_chain_is_dnssec(chain, record);

		if (is_dnssec &&
		    (!with_dnssec || (build->is_changed &&
				      cp_dns_chain_covered(chain, record) ==
					      chain->question.type)))
			continue;
		if (!goes_out(build, record))
			continue;
		r = put_record(build, record);
		if (r)
			return r;
	}
	build->body.size = (uint16_t)writer->size;
	return 0;
}

/* Appends the message to the block. */
static int store(struct build *build, struct cp_dns_answer *answer,
		 struct body *ret)
{
	struct body *body = &build->body;
	size_t size = answer->block_size + body->size + 2u * body->n_ttls;
	uint8_t *block = realloc(answer->block, size);
	uint8_t *p;

	if (!block)
		return -ENOMEM;
	body->at = answer->block_size;
	p = block + body->at;
	(void)memcpy(p, build->message, body->size);
	p += body->size;
	for (unsigned int i = 0; i < body->n_ttls; i++)
		cp_dns_wire_put16(p + 2u * i, build->ttl_at[i]);
	answer->block = block;
	answer->block_size = size;
	*ret = *body;
	return 0;
}

static int store_messages(struct cp_dns_answer *answer,
			  const struct cp_dns_chain *chain, bool is_filtered)
{
	bool has_dnssec = false;
	struct build build;
	int r;

	build.chain = chain;
	build.answer = answer;
	build.is_filtered = is_filtered;
	build.is_changed = false;
	for (size_t i = 0; i < chain->n_kept; i++)
		has_dnssec |= cp_dns_chain_is_dnssec(
			chain, &chain->records[chain->kept[i]]);
	r = write_message(&build, false);
	if (r == 0)
		r = store(&build, answer, &answer->plain);
	if (r == 0 && has_dnssec) {
		r = write_message(&build, true);
		if (r == 0)
			r = store(&build, answer, &answer->full);
	}
	answer->is_changed |= build.is_changed;
	return r;
}

int cp_dns_answer_read(const uint8_t *message, size_t size,
		       const struct cp_dns_question *question,
		       enum cp_dns_hints hints, struct cp_dns_answer **ret)
{
	sn_cleanup(cp_dns_answer_freep) struct cp_dns_answer *answer = NULL;
	struct cp_dns_address addresses[CP_DNS_ANSWER_ADDRESSES_MAX];
	struct cp_dns_chain chain;
	int r;

	if (cp_dns_chain_read(&chain, message, size, question) != 0)
		return CP_DNS_ANSWER_E_INVALID;
	answer = calloc(1, sizeof(*answer));
	if (!answer)
		return -ENOMEM;
	answer->rcode = chain.rcode;
	answer->ttl_s = chain.ttl_s;
	answer->hints = hints;
	answer->question_size = (uint16_t)(question->name.size + 4);

	answer->addresses = addresses;
	r = add_addresses(answer, &chain);
	answer->addresses = NULL;
	if (r)
		return r;
	if (answer->n_addresses > 0) {
		size_t bytes = answer->n_addresses * sizeof(*addresses);

		answer->addresses = malloc(bytes);
		if (!answer->addresses)
			return -ENOMEM;
		(void)memcpy(answer->addresses, addresses, bytes);
	}
	r = store_messages(answer, &chain, false);
	if (r)
		return r;
	*ret = sn_steal(&answer);
	return 0;
}

int cp_dns_answer_copy(const struct cp_dns_answer *answer,
		       struct cp_dns_answer **ret)
{
	sn_cleanup(cp_dns_answer_freep) struct cp_dns_answer *copy = NULL;
	size_t bytes = answer->n_addresses * sizeof(*answer->addresses);

	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *answer;
	copy->addresses = NULL;
	copy->block = malloc(answer->block_size);
	if (!copy->block)
		return -ENOMEM;
	(void)memcpy(copy->block, answer->block, answer->block_size);
	if (bytes > 0) {
		copy->addresses = malloc(bytes);
		if (!copy->addresses)
			return -ENOMEM;
		(void)memcpy(copy->addresses, answer->addresses, bytes);
	}
	*ret = sn_steal(&copy);
	return 0;
}

/* Reading the answer. */

unsigned int cp_dns_answer_rcode(const struct cp_dns_answer *answer)
{
	return answer->rcode;
}

uint32_t cp_dns_answer_ttl(const struct cp_dns_answer *answer)
{
	return answer->ttl_s;
}

size_t cp_dns_answer_size(const struct cp_dns_answer *answer)
{
	return sizeof(*answer) + answer->block_size +
	       answer->n_addresses * sizeof(*answer->addresses);
}

const struct cp_dns_address *
cp_dns_answer_addresses(const struct cp_dns_answer *answer, size_t *n)
{
	*n = answer->n_addresses;
	return answer->addresses;
}

/* Filtering. */

/* Puts the header in that the stored message has not. */
static size_t take_message(const struct cp_dns_answer *answer,
			   uint8_t ret[CP_DNS_MESSAGE_MAX])
{
	const struct body *body = answer->full.size ? &answer->full :
						      &answer->plain;

	(void)memcpy(ret, answer->block + body->at, body->size);
	cp_dns_wire_put16(ret + 2, FLAG_QR);
	cp_dns_wire_put16(ret + 4, 1);
	cp_dns_wire_put16(ret + 6, body->n_answers);
	cp_dns_wire_put16(ret + 8, body->n_authority);
	return body->size;
}

static int read_stored(const struct cp_dns_answer *answer,
		       uint8_t message[CP_DNS_MESSAGE_MAX],
		       struct cp_dns_chain *ret)
{
	size_t size = take_message(answer, message);

	return cp_dns_chain_read_own(ret, message, size);
}

/* Writes the messages again, with the answer's addresses only. A record that
 * goes as a whole takes along hints that would stay, and nobody hears of those:
 * the answer's addresses are then those of what was written. */
static int rewrite(struct cp_dns_answer *answer)
{
	uint8_t message[CP_DNS_MESSAGE_MAX];
	struct cp_dns_answer rewritten = *answer;
	struct cp_dns_chain chain;
	int r;

	rewritten.block = NULL;
	rewritten.block_size = 0;
	rewritten.full = (struct body){ .size = 0 };
	r = read_stored(answer, message, &chain);
	if (r == 0)
		r = store_messages(&rewritten, &chain, true);
	if (r == 0)
		r = read_stored(&rewritten, message, &chain);
	if (r == 0) {
		rewritten.n_addresses = 0;
		r = add_addresses(&rewritten, &chain);
	}
	if (r) {
		free(rewritten.block);
		return r;
	}
	free(answer->block);
	*answer = rewritten;
	return 0;
}

size_t cp_dns_answer_filter(struct cp_dns_answer *answer,
			    bool (*keep)(void *userdata,
					 const struct cp_dns_address *address),
			    void *userdata)
{
	size_t n_before = answer->n_addresses;
	uint8_t n = 0;

	for (size_t i = 0; i < n_before; i++) {
		if (keep(userdata, &answer->addresses[i]))
			answer->addresses[n++] = answer->addresses[i];
	}
	if (n == n_before)
		return 0;
	answer->n_addresses = n;
	if (rewrite(answer) != 0) {
		/* Without memory there is no answer rather than a wrong one. */
		answer->rcode = CP_DNS_RCODE_SERVFAIL;
		answer->n_addresses = 0;
		answer->plain.size = 0;
		answer->full.size = 0;
	}
	return n_before - answer->n_addresses;
}

/* Replying. */

size_t cp_dns_answer_make(const struct cp_dns_answer *answer,
			  const struct cp_dns_query *query, bool is_secure,
			  uint32_t age_s, uint32_t max_ttl_s, uint8_t *ret)
{
	const struct body *body = query->dnssec_ok && answer->full.size ?
					  &answer->full :
					  &answer->plain;
	uint32_t left_s = answer->ttl_s > age_s ? answer->ttl_s - age_s : 0;
	bool is_authentic = is_secure && !answer->is_changed &&
			    (query->authentic_data || query->dnssec_ok);
	unsigned int rcode = answer->rcode;
	const uint8_t *source = answer->block + body->at;
	size_t size;

	assert(query->question.name.size + 4 == answer->question_size);
	/* Its upper bits would be lost. */
	if (rcode > 0xf && !query->has_edns)
		rcode = CP_DNS_RCODE_SERVFAIL;
	size = cp_dns_message_put_head(query, rcode, is_authentic, ret);
	if (body->size > size) {
		const uint8_t *ttls = source + body->size;

		(void)memcpy(ret + size, source + size, body->size - size);
		size = body->size;
		left_s = SN_MIN(left_s, max_ttl_s);
		for (unsigned int i = 0; i < body->n_ttls; i++)
			cp_dns_wire_put32(ret + cp_dns_wire_get16(ttls + 2 * i),
					  left_s);
		cp_dns_wire_put16(ret + 6, body->n_answers);
		cp_dns_wire_put16(ret + 8, body->n_authority);
	}
	return cp_dns_message_put_opt(query, rcode, -1, ret, size);
}
