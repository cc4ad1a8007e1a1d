/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/order.h"

#include <stdlib.h>
#include <string.h>

typedef struct cp_dns_pairs_name name_t;
typedef struct cp_dns_pairs_pair pair_t;

void cp_dns_order_done(struct cp_dns_order *order)
{
	free(order->names);
	*order = (struct cp_dns_order){ .names = NULL };
}

static int compare_names(const struct cp_dns_name *a,
			 const struct cp_dns_name *b)
{
	int order = memcmp(a->wire, b->wire, SN_MIN(a->size, b->size));

	return order ? order : (int)a->size - (int)b->size;
}

static int compare_sorted(const void *a, const void *b)
{
	const name_t *const *x = a, *const *y = b;

	return compare_names(&(*x)->name, &(*y)->name);
}

static int compare_addresses(const struct cp_dns_address *a,
			     const struct cp_dns_address *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* False: there is no memory for it. */
static bool make_order(struct cp_dns_order *order,
		       const struct cp_dns_pairs *pairs)
{
	const name_t *name = NULL;
	size_t chain = 0;

	if (order->names && order->made_at == pairs->n_renamed)
		return true;
	cp_dns_order_done(order);
	order->names = calloc(pairs->names.n + 1, sizeof(name_t *));
	if (!order->names)
		return false;
	while ((name = cp_dns_pairs_next_name(pairs, &chain, name)))
		order->names[order->n++] = name;
	qsort(order->names, order->n, sizeof(name_t *), compare_sorted);
	order->made_at = pairs->n_renamed;
	return true;
}

/* The first live pair of the name behind the address (NULL: the first one). */
static const pair_t *next_pair(const name_t *name,
			       const struct cp_dns_address *after)
{
	const pair_t *pair, *best = NULL;

	TAILQ_FOREACH(pair, &name->pairs, of_name) {
		const struct cp_dns_address *at = &pair->address->address;

		if (pair->at != SIZE_MAX &&
		    (!after || compare_addresses(at, after) > 0) &&
		    (!best ||
		     compare_addresses(at, &best->address->address) < 0))
			best = pair;
	}
	return best;
}

/* The first name that is not before `name`. */
static size_t find(const struct cp_dns_order *order,
		   const struct cp_dns_name *name)
{
	size_t low = 0, high = order->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_names(&order->names[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct cp_dns_pairs_pair *
cp_dns_order_next(struct cp_dns_order *order, const struct cp_dns_pairs *pairs,
		  const struct cp_dns_name *name,
		  const struct cp_dns_address *address)
{
	if (!make_order(order, pairs))
		return NULL;
	for (size_t i = name ? find(order, name) : 0; i < order->n; i++) {
		const name_t *at = order->names[i];
		bool is_same = name && compare_names(&at->name, name) == 0;
		const pair_t *pair = next_pair(at, is_same ? address : NULL);

		if (pair)
			return pair;
	}
	return NULL;
}
