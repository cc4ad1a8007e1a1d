/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A policy as the kernel's tables have it: its block and its rows, and back.
 * Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "controld/policy/policy.h"
#include "shared/abi.h"
#include "shared/tables.h"

/* Answers of cp_policy_compile_row() besides 0. */
enum {
	CP_POLICY_COMPILE_E_ABSENT = 1, /* no rule: table and key are set */
};

/* Answers of cp_policy_compile_adopt() besides 0 and -errno. */
enum {
	CP_POLICY_COMPILE_E_INVALID = 1, /* no row of ours */
	CP_POLICY_COMPILE_E_RENUMBERED, /* added under ids of its own */
};

/* One entry of sn_rules or sn_prefixes. Key and value are what TABLE_PUT
 * carries: tag, used, seq and end are zero. */
struct cp_policy_compile_row {
	enum sn_table table; /* SN_TABLE_RULES or SN_TABLE_PREFIXES */
	union {
		struct sn_rule_key rule;
		struct sn_prefix_key prefix;
	} key;
	struct sn_rule_value value;
};
_Static_assert(sizeof(struct sn_rule_key) == sizeof(struct sn_prefix_key),
	       "one key size");

/* Steers port 53 unless the policy says no or the mode is BLOCK_ALL; for
 * interfaces in role HOST, which are never steered, the caller clears it.
 * reserve (may be NULL): a block whose lengths are listed too as long as there
 * is room for them, so that later changes of these lengths fit. */
void cp_policy_compile_block(const struct cp_policy *policy,
			     uint32_t generation,
			     const struct sn_policy *reserve,
			     struct sn_policy *ret);

/* May a prefix be put under this block as it is? */
bool cp_policy_compile_fits(const struct sn_policy *block,
			    const struct cp_policy_cidr *cidr);

/* Table and key; the value becomes zero. The generation is the block's. */
void cp_policy_compile_key(const struct sn_policy *block, uint32_t slot,
			   const struct cp_policy_cidr *cidr,
			   struct cp_policy_compile_row *ret);

/* The row of a prefix, lapsed items included. The block need not list its
 * length (see cp_policy_compile_fits()). */
void cp_policy_compile_prefix(const struct cp_policy_prefix *prefix,
			      const struct sn_policy *block, uint32_t slot,
			      struct cp_policy_compile_row *ret);
/* The same, looked up. */
int cp_policy_compile_row(const struct cp_policy *policy,
			  const struct cp_policy_cidr *cidr,
			  const struct sn_policy *block, uint32_t slot,
			  struct cp_policy_compile_row *ret);

/* Expiry in the table's units, rounded up. */
uint64_t cp_policy_compile_expires(uint64_t expires_ns);

/* Items of one rule, appended to items[]; returns how many (1..8). */
uint8_t cp_policy_compile_items(const struct cp_policy_rule *rule,
				struct sn_rule_item *items);

/* Same table, key and items, whatever sentinel-dp wrote around them. */
bool cp_policy_compile_is_equal(const struct cp_policy_compile_row *a,
				const struct cp_policy_compile_row *b);

/* The prefix of a row read back. Fails as adopt does. */
int cp_policy_compile_get_cidr(const struct cp_policy_compile_row *row,
			       struct cp_policy_cidr *ret);

/* Adds the rules of a row read back to a model that has lost them: ids (as far as
 * they are not taken, which those of domain rules can be), ports and expiry are
 * the kernel's, ttl_s is what is left of the life (at least 1),
 * owner LOCAL. */
int cp_policy_compile_adopt(struct cp_policy *policy,
			    const struct cp_policy_compile_row *row,
			    uint64_t now_ns);
