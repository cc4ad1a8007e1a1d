/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules by the generation under which the kernel has them: a record says which
 * it was judged by, and the last ones are kept for those that are still on their
 * way. Pure. */

#include "controld/runtime/rules.h"

enum {
	CP_RUNTIME_SETS_MAX = 16,
	CP_RUNTIME_SETS_SHARES_MAX = 32, /* owners of rules */
};

/* Rules of one owner, which follow each other. */
struct cp_runtime_share {
	uint64_t owner;
	size_t first;
	size_t n;
	uint64_t version; /* the owner's, of its rules */
};

/* Whose rules are where: the configuration's first, then the owners', then
 * those of watchers. */
struct cp_runtime_shares {
	size_t n_configured;
	size_t n_lasting; /* the owners' included */
	size_t n;
	struct cp_runtime_share of[CP_RUNTIME_SETS_SHARES_MAX];
};

/* Shared by all that refer to it. */
struct cp_runtime_set {
	unsigned int n_references;
	struct cp_runtime_rules *rules;
	struct cp_runtime_shares shares;
};

/* Takes rules, on success only. -ENOMEM. */
int cp_runtime_sets_make(struct cp_runtime_set **ret,
			 struct cp_runtime_rules *rules,
			 const struct cp_runtime_shares *shares);
struct cp_runtime_set *cp_runtime_sets_ref(struct cp_runtime_set *set);
struct cp_runtime_set *cp_runtime_sets_unref(struct cp_runtime_set *set);

/* All zero is empty. */
struct cp_runtime_sets {
	size_t n; /* that were put; the last ones are held */
	struct {
		uint32_t generation;
		struct cp_runtime_set *set;
	} held[CP_RUNTIME_SETS_MAX];
};

/* The next put drops one. */
bool cp_runtime_sets_is_full(const struct cp_runtime_sets *sets);
void cp_runtime_sets_put(struct cp_runtime_sets *sets, uint32_t generation,
			 struct cp_runtime_set *set);
/* NULL: it has none. */
const struct cp_runtime_share *
cp_runtime_sets_find_share(const struct cp_runtime_shares *shares,
			   uint64_t owner);
/* NULL: not held. */
struct cp_runtime_set *cp_runtime_sets_get(const struct cp_runtime_sets *sets,
					   uint32_t generation);
/* Of the owner's rules under this generation, which 0 is not; 0: it has none. */
uint64_t cp_runtime_sets_get_version(const struct cp_runtime_sets *sets,
				     uint32_t generation, uint64_t owner);
/* Is one of the n rules from first on among those that matched? */
bool cp_runtime_sets_has(const struct sn_rt_bits *matched, size_t first,
			 size_t n);
void cp_runtime_sets_clear(struct cp_runtime_sets *sets);
