/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Prefixes as text and as the kernel's tables have them. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/diag.h"

enum {
	/* Room for every text that cp_policy_cidr_format() writes. */
	CP_POLICY_CIDR_TEXT_BYTES = 52,
};

/* Answers of cp_policy_cidr_parse() besides 0. */
enum {
	CP_POLICY_CIDR_E_REFUSED = 1, /* diag->text says why */
};

/* address: network order, IPv4 in the first four bytes and the rest zero; bits
 * beyond length are zero. No padding, so that it can be compared and hashed
 * as bytes. */
struct cp_policy_cidr {
	uint8_t address[16];
	uint8_t family; /* enum sn_family */
	uint8_t length; /* 0..32 or 0..128 */
};
_Static_assert(sizeof(struct cp_policy_cidr) == 18, "compared as bytes");

/* "10.0.0.0/8", "2001:db8::/32", or a bare address, which is its host prefix.
 * Refused: host bits, leading zeros, zone ids, v4-mapped addresses and
 * everything that is not in one of the usual notations. */
int cp_policy_cidr_parse(const char *text, struct cp_policy_cidr *ret,
			 struct sn_diag *diag);

/* Canonical text, always with the length. Returns buffer. */
char *cp_policy_cidr_format(const struct cp_policy_cidr *cidr,
			    char buffer[CP_POLICY_CIDR_TEXT_BYTES]);

/* Order by family, address, length; 0 if equal. */
int cp_policy_cidr_compare(const struct cp_policy_cidr *a,
			   const struct cp_policy_cidr *b);

/* /32 or /128. */
bool cp_policy_cidr_is_host(const struct cp_policy_cidr *cidr);

/* address as in the struct, of the same family. */
bool cp_policy_cidr_contains(const struct cp_policy_cidr *cidr,
			     const uint8_t address[16]);

/* The prefix of that length around an address. */
struct cp_policy_cidr cp_policy_cidr_around(enum sn_family family,
					    const uint8_t address[16],
					    uint8_t length);
