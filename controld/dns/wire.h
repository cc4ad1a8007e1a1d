/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers in network order, and the records of a message. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "controld/dns/name.h"

static inline uint16_t cp_dns_wire_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t cp_dns_wire_get32(const uint8_t *p)
{
	return (uint32_t)cp_dns_wire_get16(p) << 16 | cp_dns_wire_get16(p + 2);
}

static inline void cp_dns_wire_put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void cp_dns_wire_put32(uint8_t *p, uint32_t value)
{
	cp_dns_wire_put16(p, value >> 16);
	cp_dns_wire_put16(p + 2, value & 0xffff);
}

/* Answers of cp_dns_wire_read_record() besides 0. */
enum {
	CP_DNS_WIRE_E_REFUSED = 1, /* cut off, or no name */
};

/* Offsets count from the begin of the message. */
struct cp_dns_wire_record {
	uint32_t ttl_s; /* as it stands there */
	uint16_t owner_at;
	uint16_t type;
	uint16_t class;
	uint16_t rdata_at;
	uint16_t rdata_size;
};

/* The record at *offset, which is then the first offset behind it. The size of
 * a message is at most 65535. */
int cp_dns_wire_read_record(const uint8_t *message, size_t size, size_t *offset,
			    struct cp_dns_wire_record *ret,
			    struct cp_dns_name *owner);

/* The same where the owner, from *offset to `at`, has been read. */
int cp_dns_wire_read_rest(const uint8_t *message, size_t size, size_t at,
			  size_t *offset, struct cp_dns_wire_record *ret);
