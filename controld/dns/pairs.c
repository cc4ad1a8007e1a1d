/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/pairs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_FIRST = 16 };

void cp_dns_pairs_init(struct cp_dns_pairs *pairs, uint64_t seed)
{
	*pairs = (struct cp_dns_pairs){ .seed = seed };
	TAILQ_INIT(&pairs->lapsed);
	TAILQ_INIT(&pairs->idle);
}

static void free_pairs(struct cp_dns_pairs_list *list)
{
	struct cp_dns_pairs_pair *pair;

	while ((pair = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, pair, of_address);
		free(pair);
	}
}

void cp_dns_pairs_done(struct cp_dns_pairs *pairs)
{
	for (size_t i = 0; i < pairs->addresses.size; i++) {
		struct cp_dns_pairs_link *link = pairs->addresses.chains[i];

		while (link) {
			struct cp_dns_pairs_link *next = link->next;

			free_pairs(
				&((struct cp_dns_pairs_address *)link)->pairs);
			free(link);
			link = next;
		}
	}
	for (size_t i = 0; i < pairs->names.size; i++) {
		struct cp_dns_pairs_link *link = pairs->names.chains[i];

		while (link) {
			struct cp_dns_pairs_link *next = link->next;

			free(link);
			link = next;
		}
	}
	free(pairs->addresses.chains);
	free(pairs->names.chains);
	free(pairs->heap);
	cp_dns_pairs_init(pairs, pairs->seed);
}

/* Hash tables. Workloads choose the names, and who answers for these the
 * addresses, hence the seed. */

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0xff51afd7ed558ccdULL;
	h ^= h >> 32;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 29;
}

static uint64_t hash(uint64_t seed, const uint8_t *bytes, size_t size)
{
	uint64_t h = mix(seed, size);
	uint64_t word;

	for (; size >= sizeof(word); size -= sizeof(word)) {
		(void)memcpy(&word, bytes, sizeof(word));
		h = mix(h ^ seed, word);
		bytes += sizeof(word);
	}
	word = 0;
	(void)memcpy(&word, bytes, size);
	return mix(h ^ seed, word);
}

static int grow(struct cp_dns_pairs_links *links)
{
	size_t size = links->size ? 2 * links->size : SIZE_FIRST;
	struct cp_dns_pairs_link **chains;

	if (links->n < links->size)
		return 0;
	chains = calloc(size, sizeof(struct cp_dns_pairs_link *));
	if (!chains)
		return -ENOMEM;
	for (size_t i = 0; i < links->size; i++) {
		struct cp_dns_pairs_link *link = links->chains[i];

		while (link) {
			struct cp_dns_pairs_link *next = link->next;
			struct cp_dns_pairs_link **chain =
				&chains[link->hash & (size - 1)];

			link->next = *chain;
			*chain = link;
			link = next;
		}
	}
	free(links->chains);
	links->chains = chains;
	links->size = size;
	return 0;
}

static struct cp_dns_pairs_link *
chain_of(const struct cp_dns_pairs_links *links, uint64_t h)
{
	return links->size ? links->chains[h & (links->size - 1)] : NULL;
}

/* After grow(). */
static void link_in(struct cp_dns_pairs_links *links,
		    struct cp_dns_pairs_link *link)
{
	struct cp_dns_pairs_link **chain =
		&links->chains[link->hash & (links->size - 1)];

	link->next = *chain;
	*chain = link;
	links->n++;
}

static void link_out(struct cp_dns_pairs_links *links,
		     struct cp_dns_pairs_link *link)
{
	struct cp_dns_pairs_link **at =
		&links->chains[link->hash & (links->size - 1)];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	links->n--;
}

static struct cp_dns_pairs_link *
next_link(const struct cp_dns_pairs_links *links, size_t *chain,
	  const struct cp_dns_pairs_link *link)
{
	if (link && link->next)
		return link->next;
	while (*chain < links->size) {
		struct cp_dns_pairs_link *first = links->chains[(*chain)++];

		if (first)
			return first;
	}
	return NULL;
}

struct cp_dns_pairs_name *
cp_dns_pairs_next_name(const struct cp_dns_pairs *pairs, size_t *chain,
		       const struct cp_dns_pairs_name *name)
{
	return (struct cp_dns_pairs_name *)next_link(&pairs->names, chain,
						     name ? &name->link : NULL);
}

struct cp_dns_pairs_address *
cp_dns_pairs_next_address(const struct cp_dns_pairs *pairs, size_t *chain,
			  const struct cp_dns_pairs_address *address)
{
	return (struct cp_dns_pairs_address *)next_link(
		&pairs->addresses, chain, address ? &address->link : NULL);
}

static uint64_t hash_name(const struct cp_dns_pairs *pairs,
			  const struct cp_dns_name *name)
{
	return hash(pairs->seed, name->wire, name->size);
}

static uint64_t hash_address(const struct cp_dns_pairs *pairs,
			     const struct cp_dns_address *address)
{
	return hash(pairs->seed ^ address->family, address->bytes,
		    sizeof(address->bytes));
}

struct cp_dns_pairs_name *
cp_dns_pairs_find_name(const struct cp_dns_pairs *pairs,
		       const struct cp_dns_name *name)
{
	uint64_t h = hash_name(pairs, name);
	struct cp_dns_pairs_link *link = chain_of(&pairs->names, h);

	for (; link; link = link->next) {
		struct cp_dns_pairs_name *at = (struct cp_dns_pairs_name *)link;

		if (link->hash == h && cp_dns_name_is_equal(&at->name, name))
			return at;
	}
	return NULL;
}

struct cp_dns_pairs_address *
cp_dns_pairs_find_address(const struct cp_dns_pairs *pairs,
			  const struct cp_dns_address *address)
{
	uint64_t h = hash_address(pairs, address);
	struct cp_dns_pairs_link *link = chain_of(&pairs->addresses, h);

	for (; link; link = link->next) {
		struct cp_dns_pairs_address *at =
			(struct cp_dns_pairs_address *)link;

		if (link->hash == h && at->address.family == address->family &&
		    memcmp(at->address.bytes, address->bytes,
			   sizeof(address->bytes)) == 0)
			return at;
	}
	return NULL;
}

struct cp_dns_pairs_pair *
cp_dns_pairs_find(const struct cp_dns_pairs_name *name,
		  const struct cp_dns_pairs_address *address)
{
	struct cp_dns_pairs_pair *pair;

	if (name->n_pairs < address->n_pairs) {
		TAILQ_FOREACH(pair, &name->pairs, of_name)
			if (pair->address == address)
				return pair;
		return NULL;
	}
	TAILQ_FOREACH(pair, &address->pairs, of_address)
		if (pair->name == name)
			return pair;
	return NULL;
}

/* The heap of live pairs. */

static void put_at(struct cp_dns_pairs *pairs, size_t at,
		   struct cp_dns_pairs_pair *pair)
{
	pairs->heap[at] = pair;
	pair->at = at;
}

static void sift(struct cp_dns_pairs *pairs, struct cp_dns_pairs_pair *pair)
{
	size_t at = pair->at;

	while (at > 0) {
		struct cp_dns_pairs_pair *parent = pairs->heap[(at - 1) / 2];

		if (parent->expires_ns <= pair->expires_ns)
			break;
		put_at(pairs, at, parent);
		at = (at - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= pairs->n_heap)
			break;
		if (child + 1 < pairs->n_heap &&
		    pairs->heap[child + 1]->expires_ns <
			    pairs->heap[child]->expires_ns)
			child++;
		if (pairs->heap[child]->expires_ns >= pair->expires_ns)
			break;
		put_at(pairs, at, pairs->heap[child]);
		at = child;
	}
	put_at(pairs, at, pair);
}

static void leave_heap(struct cp_dns_pairs *pairs,
		       struct cp_dns_pairs_pair *pair)
{
	struct cp_dns_pairs_pair *last = pairs->heap[--pairs->n_heap];

	if (last != pair) {
		last->at = pair->at;
		sift(pairs, last);
	}
	pair->at = SIZE_MAX;
}

int cp_dns_pairs_reserve(struct cp_dns_pairs *pairs, size_t n)
{
	size_t size = pairs->heap_size ? pairs->heap_size : SIZE_FIRST;
	struct cp_dns_pairs_pair **heap;

	while (size < pairs->n_heap + n)
		size *= 2;
	if (size == pairs->heap_size)
		return 0;
	heap = reallocarray(pairs->heap, size,
			    sizeof(struct cp_dns_pairs_pair *));
	if (!heap)
		return -ENOMEM;
	pairs->heap = heap;
	pairs->heap_size = size;
	return 0;
}

/* Between live and lapsed. */

static void become_live(struct cp_dns_pairs *pairs,
			struct cp_dns_pairs_pair *pair)
{
	TAILQ_REMOVE(&pairs->lapsed, pair, lapsed);
	pairs->n_lapsed--;
	put_at(pairs, pairs->n_heap++, pair);
	if (pair->name && pair->name->n_live++ == 0)
		pairs->n_live_names++;
	if (pair->address->n_live++ == 0) {
		TAILQ_REMOVE(&pairs->idle, pair->address, entry);
		pairs->n_live_addresses++;
	}
}

static void become_lapsed(struct cp_dns_pairs *pairs,
			  struct cp_dns_pairs_pair *pair)
{
	leave_heap(pairs, pair);
	TAILQ_INSERT_TAIL(&pairs->lapsed, pair, lapsed);
	pairs->n_lapsed++;
	if (pair->name && --pair->name->n_live == 0)
		pairs->n_live_names--;
	if (--pair->address->n_live == 0) {
		TAILQ_INSERT_TAIL(&pairs->idle, pair->address, entry);
		pairs->n_live_addresses--;
	}
}

void cp_dns_pairs_extend(struct cp_dns_pairs *pairs,
			 struct cp_dns_pairs_pair *pair, uint64_t expires_ns)
{
	pair->expires_ns = expires_ns;
	if (pair->at == SIZE_MAX) {
		assert(pairs->n_heap < pairs->heap_size);
		become_live(pairs, pair);
	}
	sift(pairs, pair);
}

void cp_dns_pairs_advance(struct cp_dns_pairs *pairs, uint64_t now_ns)
{
	pairs->now_ns = SN_MAX(pairs->now_ns, now_ns);
	while (pairs->n_heap > 0 && pairs->heap[0]->expires_ns <= now_ns)
		become_lapsed(pairs, pairs->heap[0]);
}

/* Adding and removing. */

static struct cp_dns_pairs_name *get_name(struct cp_dns_pairs *pairs,
					  const struct cp_dns_name *name)
{
	struct cp_dns_pairs_name *at = cp_dns_pairs_find_name(pairs, name);

	if (at)
		return at;
	if (grow(&pairs->names) < 0)
		return NULL;
	/* The last member has only the bytes that the name needs. */
	at = calloc(1, sizeof(*at) - CP_DNS_NAME_WIRE_MAX + name->size);
	if (!at)
		return NULL;
	TAILQ_INIT(&at->pairs);
	at->name.size = name->size;
	(void)memcpy(at->name.wire, name->wire, name->size);
	at->link.hash = hash_name(pairs, name);
	link_in(&pairs->names, &at->link);
	pairs->n_renamed++;
	return at;
}

static void drop_empty_name(struct cp_dns_pairs *pairs,
			    struct cp_dns_pairs_name *name)
{
	if (!name || name->n_pairs > 0)
		return;
	link_out(&pairs->names, &name->link);
	pairs->n_renamed++;
	free(name);
}

static struct cp_dns_pairs_address *
get_address(struct cp_dns_pairs *pairs, const struct cp_dns_address *address)
{
	struct cp_dns_pairs_address *at =
		cp_dns_pairs_find_address(pairs, address);

	if (at)
		return at;
	if (grow(&pairs->addresses) < 0)
		return NULL;
	at = calloc(1, sizeof(*at));
	if (!at)
		return NULL;
	TAILQ_INIT(&at->pairs);
	at->address = *address;
	at->link.hash = hash_address(pairs, address);
	link_in(&pairs->addresses, &at->link);
	TAILQ_INSERT_TAIL(&pairs->idle, at, entry);
	return at;
}

struct cp_dns_pairs_pair *cp_dns_pairs_add(struct cp_dns_pairs *pairs,
					   const struct cp_dns_name *name,
					   const struct cp_dns_address *address)
{
	struct cp_dns_pairs_pair *pair = calloc(1, sizeof(*pair));
	struct cp_dns_pairs_name *of_name = NULL;

	if (!pair)
		return NULL;
	if (name) {
		of_name = get_name(pairs, name);
		if (!of_name) {
			free(pair);
			return NULL;
		}
	}
	pair->address = get_address(pairs, address);
	if (!pair->address) {
		drop_empty_name(pairs, of_name);
		free(pair);
		return NULL;
	}
	pair->at = SIZE_MAX;
	pair->name = of_name;
	if (of_name) {
		TAILQ_INSERT_TAIL(&of_name->pairs, pair, of_name);
		of_name->n_pairs++;
	}
	pairs->n_nameless += !of_name;
	TAILQ_INSERT_TAIL(&pair->address->pairs, pair, of_address);
	pair->address->n_pairs++;
	TAILQ_INSERT_TAIL(&pairs->lapsed, pair, lapsed);
	pairs->n_lapsed++;
	return pair;
}

void cp_dns_pairs_remove(struct cp_dns_pairs *pairs,
			 struct cp_dns_pairs_pair *pair)
{
	if (pair->at != SIZE_MAX)
		become_lapsed(pairs, pair);
	TAILQ_REMOVE(&pairs->lapsed, pair, lapsed);
	pairs->n_lapsed--;
	TAILQ_REMOVE(&pair->address->pairs, pair, of_address);
	pair->address->n_pairs--;
	if (pair->name) {
		TAILQ_REMOVE(&pair->name->pairs, pair, of_name);
		pair->name->n_pairs--;
		drop_empty_name(pairs, pair->name);
	} else {
		pairs->n_nameless--;
	}
	free(pair);
}

void cp_dns_pairs_drop_address(struct cp_dns_pairs *pairs,
			       struct cp_dns_pairs_address *address)
{
	struct cp_dns_pairs_pair *pair;

	while ((pair = TAILQ_FIRST(&address->pairs)))
		cp_dns_pairs_remove(pairs, pair);
	TAILQ_REMOVE(&pairs->idle, address, entry);
	link_out(&pairs->addresses, &address->link);
	free(address);
}

struct cp_dns_openings
cp_dns_pairs_get_openings(const struct cp_dns_pairs_pair *pair)
{
	struct cp_dns_openings own = { .n = 1, .one = { pair->own } };

	return pair->name ? pair->name->openings : own;
}

/* Copying. */

static int copy_pair(struct cp_dns_pairs *ret,
		     const struct cp_dns_pairs_pair *from)
{
	struct cp_dns_pairs_pair *pair;

	pair = cp_dns_pairs_add(ret, from->name ? &from->name->name : NULL,
				&from->address->address);
	if (!pair)
		return -ENOMEM;
	if (from->name)
		pair->name->openings = from->name->openings;
	pair->own = from->own;
	pair->confirmed_ns = from->confirmed_ns;
	pair->expires_ns = from->expires_ns;
	if (from->at != SIZE_MAX)
		cp_dns_pairs_extend(ret, pair, from->expires_ns);
	return 0;
}

int cp_dns_pairs_copy(const struct cp_dns_pairs *pairs,
		      struct cp_dns_pairs *ret)
{
	const struct cp_dns_pairs_address *address;
	const struct cp_dns_pairs_pair *pair;
	int r;

	ret->now_ns = pairs->now_ns;
	r = cp_dns_pairs_reserve(ret, pairs->n_heap);
	/* Idle addresses and lapsed pairs keep their order. */
	TAILQ_FOREACH(address, &pairs->idle, entry)
		if (r == 0 && !get_address(ret, &address->address))
			r = -ENOMEM;
	TAILQ_FOREACH(pair, &pairs->lapsed, lapsed)
		if (r == 0)
			r = copy_pair(ret, pair);
	for (size_t i = 0; r == 0 && i < pairs->n_heap; i++)
		r = copy_pair(ret, pairs->heap[i]);
	return r;
}
