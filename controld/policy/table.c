// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/table.h"

#include <stdlib.h>
#include <string.h>

enum {
	SIZE_FIRST = 16, /* a power of two */
};

static size_t hash(const struct cp_policy_cidr *cidr)
{
	uint64_t a, b, h;

	(void)memcpy(&a, cidr->address, sizeof(a));
	(void)memcpy(&b, cidr->address + 8, sizeof(b));
	h = (a ^ 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;
	h ^= h >> 32;
	h = (h ^ b) * 0xc4ceb9fe1a85ec53ULL;
	h ^= h >> 29;
	h = (h ^ cidr->length ^ ((uint64_t)cidr->family << 8)) *
	    0xbf58476d1ce4e5b9ULL;
	return (size_t)(h ^ (h >> 31));
}

/* Where the prefix is, or the empty place where it would be. */
static size_t find_place(const struct cp_policy_table *table,
			 const struct cp_policy_cidr *cidr)
{
	size_t m = table->size - 1;
	size_t i = hash(cidr) & m;

	while (table->places[i] &&
	       memcmp(&table->places[i]->cidr, cidr, sizeof(*cidr)) != 0)
		i = (i + 1) & m;
	return i;
}

void cp_policy_table_done(struct cp_policy_table *table)
{
	free(table->places);
	*table = (struct cp_policy_table){ .places = NULL };
}

int cp_policy_table_reserve(struct cp_policy_table *table)
{
	struct cp_policy_table grown = {
		.size = table->size ? table->size * 2 : SIZE_FIRST,
		.n_used = table->n_used,
	};

	if ((table->n_used + 1) * 3 <= table->size * 2)
		return 0;
	grown.places = calloc(grown.size, sizeof(*grown.places));
	if (!grown.places)
		return -ENOMEM;
	for (size_t i = 0; i < table->size; i++) {
		struct cp_policy_rule *rule = table->places[i];

		if (rule)
			grown.places[find_place(&grown, &rule->cidr)] = rule;
	}
	free(table->places);
	*table = grown;
	return 0;
}

struct cp_policy_rule *cp_policy_table_get(const struct cp_policy_table *table,
					   const struct cp_policy_cidr *cidr)
{
	if (table->size == 0)
		return NULL;
	return table->places[find_place(table, cidr)];
}

void cp_policy_table_put(struct cp_policy_table *table,
			 struct cp_policy_rule *first)
{
	size_t place = find_place(table, &first->cidr);

	if (!table->places[place])
		table->n_used++;
	table->places[place] = first;
}

void cp_policy_table_remove(struct cp_policy_table *table,
			    const struct cp_policy_cidr *cidr)
{
	size_t m = table->size - 1;
	size_t gap = find_place(table, cidr);

	/* The gap is closed by moving back what would not be found any more. */
	for (size_t i = (gap + 1) & m; table->places[i]; i = (i + 1) & m) {
		size_t home = hash(&table->places[i]->cidr) & m;

		if (((i - home) & m) >= ((i - gap) & m)) {
			table->places[gap] = table->places[i];
			gap = i;
		}
	}
	table->places[gap] = NULL;
	table->n_used--;
}
