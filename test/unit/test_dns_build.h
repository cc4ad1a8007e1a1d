/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Composes DNS messages for tests, right or wrong ones. */

#include "controld/dns/message.h"
#include "controld/dns/wire.h"
#include "test/unit/t.h"

struct t_message {
	uint8_t bytes[CP_DNS_MESSAGE_MAX + 1];
	size_t size;
};

enum {
	T_AT_FLAGS = 2,
	T_AT_QUESTIONS = 4,
	T_AT_ANSWERS = 6,
	T_AT_AUTHORITY = 8,
	T_AT_ADDITIONAL = 10,
};

static inline void t_put16(struct t_message *m, unsigned int value)
{
	cp_dns_wire_put16(m->bytes + m->size, value);
	m->size += 2;
}

static inline void t_put32(struct t_message *m, uint32_t value)
{
	cp_dns_wire_put32(m->bytes + m->size, value);
	m->size += 4;
}

static inline void t_put(struct t_message *m, const void *bytes, size_t size)
{
	(void)memcpy(m->bytes + m->size, bytes, size);
	m->size += size;
}

/* Keeps the case, knows no escapes; "" and "." are the root. "@": a pointer to
 * the question's name. */
static inline void t_put_name(struct t_message *m, const char *text)
{
	if (strcmp(text, "@") == 0) {
		t_put16(m, 0xc00c);
		return;
	}
	while (*text && strcmp(text, ".") != 0) {
		size_t n = strcspn(text, ".");
		uint8_t length = (uint8_t)n;

		t_put(m, &length, 1);
		t_put(m, text, n);
		text += n + (text[n] == '.');
	}
	t_put(m, "", 1);
}

static inline void t_begin(struct t_message *m, unsigned int id,
			   unsigned int flags)
{
	m->size = 0;
	t_put16(m, id);
	t_put16(m, flags);
	t_put32(m, 0);
	t_put32(m, 0);
}

static inline unsigned int t_get16(const struct t_message *m, size_t at)
{
	return cp_dns_wire_get16(m->bytes + at);
}

static inline void t_count(struct t_message *m, size_t at)
{
	cp_dns_wire_put16(m->bytes + at, t_get16(m, at) + 1);
}

static inline void t_question(struct t_message *m, const char *name,
			      unsigned int type)
{
	t_put_name(m, name);
	t_put16(m, type);
	t_put16(m, CP_DNS_CLASS_IN);
	t_count(m, T_AT_QUESTIONS);
}

/* Up to the data, whose size t_end() fills in. at: T_AT_*, the section. */
static inline size_t t_record(struct t_message *m, size_t at, const char *owner,
			      unsigned int type, uint32_t ttl_s)
{
	t_count(m, at);
	t_put_name(m, owner);
	t_put16(m, type);
	t_put16(m, CP_DNS_CLASS_IN);
	t_put32(m, ttl_s);
	t_put16(m, 0);
	return m->size;
}

static inline void t_end(struct t_message *m, size_t rdata_at)
{
	cp_dns_wire_put16(m->bytes + rdata_at - 2,
			  (unsigned int)(m->size - rdata_at));
}

static inline void t_data(struct t_message *m, size_t at, const char *owner,
			  unsigned int type, uint32_t ttl_s, const void *rdata,
			  size_t size)
{
	size_t begin = t_record(m, at, owner, type, ttl_s);

	t_put(m, rdata, size);
	t_end(m, begin);
}

/* A record whose data is one name. */
static inline void t_name(struct t_message *m, size_t at, const char *owner,
			  unsigned int type, uint32_t ttl_s, const char *target)
{
	size_t begin = t_record(m, at, owner, type, ttl_s);

	t_put_name(m, target);
	t_end(m, begin);
}

/* ttl: extended rcode, version, flags. */
static inline void t_opt(struct t_message *m, unsigned int udp_bytes,
			 uint32_t ttl, const void *options, size_t size)
{
	size_t begin = t_record(m, T_AT_ADDITIONAL, ".", CP_DNS_TYPE_OPT, ttl);

	cp_dns_wire_put16(m->bytes + begin - 8, udp_bytes);
	t_put(m, options, size);
	t_end(m, begin);
}
