/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The message that asks an upstream, and whether another one answers it. The
 * case of every letter of the name is random (0x20), so that a forger must
 * guess it besides id and port. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/name.h"

enum {
	CP_UPSTREAM_QUERY_HEADER = 12,
	CP_UPSTREAM_QUERY_OPT = 11,
	CP_UPSTREAM_QUERY_BYTES = CP_UPSTREAM_QUERY_HEADER +
				  CP_DNS_NAME_WIRE_MAX + 4 +
				  CP_UPSTREAM_QUERY_OPT,
};

/* Response codes that are looked at. */
enum {
	CP_UPSTREAM_QUERY_FORMERR = 1,
	CP_UPSTREAM_QUERY_SERVFAIL = 2,
	CP_UPSTREAM_QUERY_NOTIMP = 4,
	CP_UPSTREAM_QUERY_REFUSED = 5,
};

struct cp_upstream_query {
	const struct cp_dns_name *name; /* lower case */
	uint64_t case_mask; /* bit i mod 64: letter i is upper case */
	uint16_t id;
	uint16_t type;
	uint16_t class;
	bool has_edns;
	bool dnssec_ok; /* with has_edns only */
	bool checking_disabled;
};

/* Answers of cp_upstream_query_match() besides 0. */
enum {
	CP_UPSTREAM_QUERY_E_OTHER = 1, /* not the answer to this query */
	CP_UPSTREAM_QUERY_E_CASE, /* it would be, but for the case */
	/* A header alone that says FORMERR or NOTIMP, as servers answer that do
	 * not know EDNS: good for asking without, not for an answer. */
	CP_UPSTREAM_QUERY_E_BARE,
};

/* Returns the size. */
size_t cp_upstream_query_write(const struct cp_upstream_query *query,
			       uint8_t ret[CP_UPSTREAM_QUERY_BYTES]);

/* 0: id, QR, opcode and question, byte for byte, are those of an answer. */
int cp_upstream_query_match(const struct cp_upstream_query *query,
			    const uint8_t *message, size_t size);

/* Takes id and case out of an answer that matched. */
void cp_upstream_query_clean(const struct cp_upstream_query *query,
			     uint8_t *message);

/* Of a message of at least CP_UPSTREAM_QUERY_HEADER bytes. */
uint16_t cp_upstream_query_id(const uint8_t *message);
unsigned int cp_upstream_query_rcode(const uint8_t *message);
bool cp_upstream_query_is_truncated(const uint8_t *message);
/* Without an additional section there is no OPT. */
bool cp_upstream_query_has_additional(const uint8_t *message);
