/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cp_runtime_sets_make(struct cp_runtime_set **ret,
			 struct cp_runtime_rules *rules,
			 const struct cp_runtime_shares *shares)
{
	struct cp_runtime_set *set = malloc(sizeof(*set));

	if (!set)
		return -ENOMEM;
	*set = (struct cp_runtime_set){ 1, rules, *shares };
	*ret = set;
	return 0;
}

struct cp_runtime_set *cp_runtime_sets_ref(struct cp_runtime_set *set)
{
	if (set)
		set->n_references++;
	return set;
}

struct cp_runtime_set *cp_runtime_sets_unref(struct cp_runtime_set *set)
{
	if (!set || --set->n_references > 0)
		return NULL;
	cp_runtime_rules_free(set->rules);
	free(set);
	return NULL;
}

bool cp_runtime_sets_is_full(const struct cp_runtime_sets *sets)
{
	return sets->n >= CP_RUNTIME_SETS_MAX;
}

/* A generation that was begun and given up comes again: the last put counts. */
void cp_runtime_sets_put(struct cp_runtime_sets *sets, uint32_t generation,
			 struct cp_runtime_set *set)
{
	size_t at = sets->n++ % CP_RUNTIME_SETS_MAX;

	cp_runtime_sets_unref(sets->held[at].set);
	sets->held[at].generation = generation;
	sets->held[at].set = cp_runtime_sets_ref(set);
}

struct cp_runtime_set *cp_runtime_sets_get(const struct cp_runtime_sets *sets,
					   uint32_t generation)
{
	size_t n = SN_MIN(sets->n, (size_t)CP_RUNTIME_SETS_MAX);

	for (size_t i = 1; i <= n; i++) {
		size_t at = (sets->n - i) % CP_RUNTIME_SETS_MAX;

		if (sets->held[at].generation == generation)
			return sets->held[at].set;
	}
	return NULL;
}

const struct cp_runtime_share *
cp_runtime_sets_find_share(const struct cp_runtime_shares *shares,
			   uint64_t owner)
{
	for (size_t i = 0; i < shares->n; i++) {
		if (shares->of[i].owner == owner)
			return &shares->of[i];
	}
	return NULL;
}

uint64_t cp_runtime_sets_get_version(const struct cp_runtime_sets *sets,
				     uint32_t generation, uint64_t owner)
{
	const struct cp_runtime_set *set =
		generation ? cp_runtime_sets_get(sets, generation) : NULL;
	const struct cp_runtime_share *share =
		set ? cp_runtime_sets_find_share(&set->shares, owner) : NULL;

	return share ? share->version : 0;
}

bool cp_runtime_sets_has(const struct sn_rt_bits *matched, size_t first,
			 size_t n)
{
	for (size_t i = first; i < first + n; i++) {
		if (matched->words[i / 64] & 1ULL << i % 64)
			return true;
	}
	return false;
}

void cp_runtime_sets_clear(struct cp_runtime_sets *sets)
{
	for (size_t i = 0; i < CP_RUNTIME_SETS_MAX; i++)
		cp_runtime_sets_unref(sets->held[i].set);
	(void)memset(sets, 0, sizeof(*sets));
}
