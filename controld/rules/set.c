/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/set.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	uint64_t hash;
	const char *bytes; /* NULL: free */
	uint32_t size;
	uint32_t number;
};

/* Half of the slots stay free, so that a search ends soon. */
struct cp_rules_set {
	size_t n;
	size_t n_max;
	size_t mask;
	struct slot slots[];
};

int cp_rules_set_new(struct cp_rules_set **ret, size_t n_max)
{
	struct cp_rules_set *set;
	size_t n = 2;

	while (n < 2 * n_max)
		n *= 2;
	set = calloc(1, sizeof(*set) + n * sizeof(struct slot));
	if (!set)
		return -ENOMEM;
	set->n_max = n_max;
	set->mask = n - 1;
	*ret = set;
	return 0;
}

struct cp_rules_set *cp_rules_set_free(struct cp_rules_set *set)
{
	free(set);
	return NULL;
}

uint64_t cp_rules_set_hash(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t hash = SN_RT_HASH_FIRST;

	for (size_t i = 0; i < size; i++)
		hash = sn_rt_hash(hash, at[i]);
	return hash;
}

/* Its slot, or the free one where it belongs. The low bits of the hash are its
 * weakest. */
static size_t find_slot(const struct cp_rules_set *set, uint64_t hash,
			const void *bytes, size_t size)
{
	size_t i = (size_t)(hash >> 32 ^ hash) & set->mask;

	for (; set->slots[i].bytes; i = (i + 1) & set->mask) {
		const struct slot *slot = &set->slots[i];

		if (slot->hash == hash && slot->size == size &&
		    memcmp(slot->bytes, bytes, size) == 0)
			break;
	}
	return i;
}

size_t cp_rules_set_put(struct cp_rules_set *set, const void *bytes,
			size_t size)
{
	uint64_t hash = cp_rules_set_hash(bytes, size);
	struct slot *slot = &set->slots[find_slot(set, hash, bytes, size)];

	if (slot->bytes)
		return slot->number;
	assert(set->n < set->n_max);
	*slot = (struct slot){
		.hash = hash,
		.bytes = bytes,
		.size = (uint32_t)size,
		.number = (uint32_t)set->n++,
	};
	return slot->number;
}

size_t cp_rules_set_count(const struct cp_rules_set *set)
{
	return set->n;
}

size_t cp_rules_set_find(const struct cp_rules_set *set, uint64_t hash,
			 const void *bytes, size_t size)
{
	const struct slot *slot =
		&set->slots[find_slot(set, hash, bytes, size)];

	return slot->bytes ? slot->number : CP_RULES_SET_NONE;
}

bool cp_rules_set_has(const struct cp_rules_set *set, const void *bytes,
		      size_t size)
{
	return cp_rules_set_find(set, cp_rules_set_hash(bytes, size), bytes,
				 size) != CP_RULES_SET_NONE;
}
