/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules by the generation under which the kernel has them: a record says which
 * it was judged by, and the last ones are kept for those that are still on their
 * way. Pure. */

#include "controld/runtime/rules.h"

enum { CP_RUNTIME_SETS_MAX = 16 };

/* Shared by all that refer to it. */
struct cp_runtime_set {
	unsigned int n_references;
	struct cp_runtime_rules *rules;
	size_t n_configured; /* the first ones; watchers' are behind them */
};

/* Takes rules, on success only. -ENOMEM. */
int cp_runtime_sets_make(struct cp_runtime_set **ret,
			 struct cp_runtime_rules *rules, size_t n_configured);
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
/* NULL: not held. */
struct cp_runtime_set *cp_runtime_sets_get(const struct cp_runtime_sets *sets,
					   uint32_t generation);
void cp_runtime_sets_clear(struct cp_runtime_sets *sets);
