/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The data of HTTPS and SVCB records (RFC 9460 2.2): priority, target, and
 * parameters with rising keys. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CP_DNS_SVCB_KEY_MANDATORY = 0,
	CP_DNS_SVCB_KEY_IPV4HINT = 4,
	CP_DNS_SVCB_KEY_ECH = 5,
	CP_DNS_SVCB_KEY_IPV6HINT = 6,
};

/* A priority of 0 names an alias, whose parameters mean nothing. params: where
 * the first parameter begins. */
struct cp_dns_svcb {
	const uint8_t *rdata;
	size_t size;
	size_t params;
	bool is_alias;
};

struct cp_dns_svcb_param {
	uint16_t key;
	uint16_t size;
	const uint8_t *value;
};

/* False: it is malformed. */
bool cp_dns_svcb_read(const uint8_t *rdata, size_t size,
		      struct cp_dns_svcb *ret);

/* *cursor begins as 0. False after the last one. */
bool cp_dns_svcb_next(const struct cp_dns_svcb *svcb, size_t *cursor,
		      struct cp_dns_svcb_param *ret);

/* Bytes of each address of a hint; 0: the key is no hint. */
size_t cp_dns_svcb_hint_bytes(uint16_t key);

/* Does `mandatory` name the key? */
bool cp_dns_svcb_needs(const struct cp_dns_svcb *svcb, uint16_t key);
