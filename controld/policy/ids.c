// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/ids.h"

#include <stdlib.h>

enum {
	COMPACT_MIN = 64, /* fewer gaps are left alone */
};

void cp_policy_ids_done(struct cp_policy_ids *ids)
{
	free(ids->slots);
	*ids = (struct cp_policy_ids){ .slots = NULL };
}

int cp_policy_ids_reserve(struct cp_policy_ids *ids)
{
	size_t size = ids->size ? ids->size * 2 : 16;
	struct cp_policy_ids_slot *slots;

	if (ids->n < ids->size)
		return 0;
	slots = reallocarray(ids->slots, size, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	ids->slots = slots;
	ids->size = size;
	return 0;
}

void cp_policy_ids_append(struct cp_policy_ids *ids,
			  struct cp_policy_rule *rule)
{
	size_t n = ids->n;

	if (n > 0 && ids->slots[n - 1].id >= rule->id)
		ids->is_unsorted = true;
	ids->slots[n] = (struct cp_policy_ids_slot){ rule->id, rule };
	ids->n = n + 1;
}

void cp_policy_ids_compact(struct cp_policy_ids *ids)
{
	size_t n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		if (ids->slots[i].rule)
			ids->slots[n++] = ids->slots[i];
	}
	ids->n = n;
	ids->n_gaps = 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = ((const struct cp_policy_ids_slot *)a)->id;
	uint32_t y = ((const struct cp_policy_ids_slot *)b)->id;

	return x < y ? -1 : x > y;
}

void cp_policy_ids_sort(struct cp_policy_ids *ids)
{
	cp_policy_ids_compact(ids);
	/* qsort() must not be given NULL, not even for nothing. */
	if (ids->n > 0)
		qsort(ids->slots, ids->n, sizeof(*ids->slots), compare);
	ids->is_unsorted = false;
}

size_t cp_policy_ids_find(const struct cp_policy_ids *ids, uint32_t id)
{
	size_t low = 0, high;

	/* Sorting changes nothing that a caller can see. */
	if (ids->is_unsorted)
		cp_policy_ids_sort((struct cp_policy_ids *)(uintptr_t)ids);
	high = ids->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ids->slots[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct cp_policy_rule *cp_policy_ids_get(const struct cp_policy_ids *ids,
					 uint32_t id)
{
	size_t i = cp_policy_ids_find(ids, id);

	return i < ids->n && ids->slots[i].id == id ? ids->slots[i].rule : NULL;
}

void cp_policy_ids_remove(struct cp_policy_ids *ids, uint32_t id)
{
	ids->slots[cp_policy_ids_find(ids, id)].rule = NULL;
	ids->n_gaps++;
	if (ids->n_gaps > COMPACT_MIN && ids->n_gaps > ids->n / 4)
		cp_policy_ids_compact(ids);
}
