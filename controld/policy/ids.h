/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules in the order of their ids, for policy.c: an array in which a removed
 * rule leaves a gap until a quarter of it is gaps. Ids nearly always come in
 * rising order; when they do not, the array is sorted before it is next
 * searched. The rules are the caller's. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "controld/policy/policy.h"

struct cp_policy_ids_slot {
	uint32_t id;
	struct cp_policy_rule *rule; /* NULL: a gap */
};

/* All zero is empty. */
struct cp_policy_ids {
	struct cp_policy_ids_slot *slots;
	size_t n; /* gaps included */
	size_t n_gaps;
	size_t size;
	bool is_unsorted;
};

void cp_policy_ids_done(struct cp_policy_ids *ids);

/* Makes room for one more rule. -ENOMEM. */
int cp_policy_ids_reserve(struct cp_policy_ids *ids);
/* After reserve. */
void cp_policy_ids_append(struct cp_policy_ids *ids,
			  struct cp_policy_rule *rule);
/* The id must be there. */
void cp_policy_ids_remove(struct cp_policy_ids *ids, uint32_t id);

/* No gaps, rising ids; what was changed in the slots is sorted in. */
void cp_policy_ids_sort(struct cp_policy_ids *ids);
void cp_policy_ids_compact(struct cp_policy_ids *ids);

/* The first slot with that id or a higher one. */
size_t cp_policy_ids_find(const struct cp_policy_ids *ids, uint32_t id);
/* NULL: there is none. */
struct cp_policy_rule *cp_policy_ids_get(const struct cp_policy_ids *ids,
					 uint32_t id);
