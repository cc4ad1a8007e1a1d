/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Open-addressing hash with linear probing from a prefix to its first rule,
 * for policy.c. The rules are the caller's. Pure. */

#include <stddef.h>

#include "controld/policy/policy.h"

/* All zero is an empty table. */
struct cp_policy_table {
	struct cp_policy_rule **places;
	size_t size; /* a power of two, or 0 */
	size_t n_used;
};

void cp_policy_table_done(struct cp_policy_table *table);

/* Makes room for one more prefix; the table is at most two thirds full.
 * -ENOMEM, and nothing changed. */
int cp_policy_table_reserve(struct cp_policy_table *table);

/* NULL: the prefix is not there. */
struct cp_policy_rule *cp_policy_table_get(const struct cp_policy_table *table,
					   const struct cp_policy_cidr *cidr);

/* Makes `first` the first rule of its prefix, after reserve if it is new. */
void cp_policy_table_put(struct cp_policy_table *table,
			 struct cp_policy_rule *first);

/* The prefix must be there. */
void cp_policy_table_remove(struct cp_policy_table *table,
			    const struct cp_policy_cidr *cidr);
