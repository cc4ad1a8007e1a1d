/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/learnt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controld/dns/judge.h"
#include "controld/dns/order.h"
#include "controld/dns/pairs.h"
#include "controld/policy/compile.h"

typedef struct cp_dns_pairs_name name_t;
typedef struct cp_dns_pairs_address address_t;
typedef struct cp_dns_pairs_pair pair_t;

enum { TRIM_MAX = 64 }; /* lapsed pairs looked at for each put */

struct cp_dns_learnt {
	struct cp_dns_learnt_limits limits;
	struct cp_dns_pairs pairs;
	struct cp_dns_order order; /* made when rows are asked for */
};

int cp_dns_learnt_new(struct cp_dns_learnt **ret,
		      const struct cp_dns_learnt_limits *limits)
{
	struct cp_dns_learnt *learnt = calloc(1, sizeof(*learnt));

	if (!learnt)
		return -ENOMEM;
	learnt->limits = *limits;
	cp_dns_pairs_init(&learnt->pairs, limits->seed);
	*ret = learnt;
	return 0;
}

struct cp_dns_learnt *cp_dns_learnt_free(struct cp_dns_learnt *learnt)
{
	if (!learnt)
		return NULL;
	cp_dns_pairs_done(&learnt->pairs);
	cp_dns_order_done(&learnt->order);
	free(learnt);
	return NULL;
}

void cp_dns_learnt_put_limits(struct cp_dns_learnt *learnt,
			      const struct cp_dns_learnt_limits *limits)
{
	learnt->limits.names = limits->names;
	learnt->limits.addresses = limits->addresses;
	learnt->limits.addresses_per_name = limits->addresses_per_name;
}

/* Lapsing by the clock changes nothing that a caller can see. */
static void advance(const struct cp_dns_learnt *learnt, uint64_t now_ns)
{
	struct cp_dns_learnt *cache = (struct cp_dns_learnt *)(uintptr_t)learnt;

	cp_dns_pairs_advance(&cache->pairs, now_ns);
}

/* All pairs of the address but those of `without`. */
static void sum_up(const address_t *address, const name_t *without,
		   bool live_only, struct cp_dns_openings_sum *ret)
{
	const pair_t *pair;

	TAILQ_FOREACH(pair, &address->pairs, of_address) {
		struct cp_dns_openings openings;

		if ((without && pair->name == without) ||
		    (live_only && pair->at == SIZE_MAX))
			continue;
		openings = cp_dns_pairs_get_openings(pair);
		cp_dns_openings_add(ret, &openings, pair->expires_ns);
	}
}

uint8_t cp_dns_learnt_items(const struct cp_dns_learnt *learnt,
			    const struct cp_dns_address *address, uint8_t room,
			    struct sn_rule_item items[SN_ITEMS_MAX])
{
	const address_t *at =
		cp_dns_pairs_find_address(&learnt->pairs, address);
	struct cp_dns_openings_sum sum = { .n = 0 };

	assert(room <= SN_ITEMS_MAX);
	if (at)
		sum_up(at, NULL, false, &sum);
	return cp_dns_openings_to_items(&sum, room, items);
}

/* Learning. */

/* Lapsed pairs that may be kept. */
static size_t lapsed_max(const struct cp_dns_learnt *learnt)
{
	return learnt->limits.addresses * CP_DNS_LEARNT_LAPSED_FACTOR;
}

struct request {
	const struct cp_dns_name *name;
	const struct cp_dns_address *addresses;
	size_t n;
	const uint8_t *room;
	uint64_t expires_ns;
	name_t *known; /* NULL: a new name */
	struct cp_dns_openings openings;
};

/* Would address i fit with what the name is to open? */
static bool fits(const struct request *request, size_t i,
		 const address_t *address, const name_t *name, bool live_only)
{
	struct cp_dns_openings_sum sum = { .n = 0 };

	if (address)
		sum_up(address, name, live_only, &sum);
	cp_dns_openings_add(&sum, &request->openings, request->expires_ns);
	return !sum.is_over &&
	       sum.n <= (request->room ? request->room[i] : SN_ITEMS_MAX);
}

static int check_quotas(const struct cp_dns_learnt *learnt,
			const struct request *request)
{
	const struct cp_dns_pairs *pairs = &learnt->pairs;
	const struct cp_dns_learnt_limits *limits = &learnt->limits;
	size_t n_live = 0, n_new = 0, n_of_name = 0;

	if (request->known)
		n_of_name = request->known->n_live;
	if (n_of_name == 0 && pairs->n_live_names >= limits->names)
		return CP_DNS_LEARNT_E_NAMES;
	for (size_t i = 0; i < request->n; i++) {
		const address_t *address = cp_dns_pairs_find_address(
			pairs, &request->addresses[i]);
		const pair_t *pair = NULL;

		if (address && request->known)
			pair = cp_dns_pairs_find(request->known, address);
		n_of_name += !pair || pair->at == SIZE_MAX;
		n_live += !address || address->n_live == 0;
		n_new += !address;
	}
	if (n_of_name > limits->addresses_per_name)
		return CP_DNS_LEARNT_E_PER_NAME;
	if (pairs->n_live_addresses + n_live > limits->addresses ||
	    pairs->addresses.n + n_new >
		    limits->addresses + lapsed_max(learnt) ||
	    pairs->n_lapsed > 2 * lapsed_max(learnt))
		return CP_DNS_LEARNT_E_ADDRESSES;
	return 0;
}

static int check_ports(const struct cp_dns_learnt *learnt,
		       const struct request *request)
{
	for (size_t i = 0; i < request->n; i++) {
		const address_t *address = cp_dns_pairs_find_address(
			&learnt->pairs, &request->addresses[i]);

		if (!fits(request, i, address, request->known, true))
			return CP_DNS_LEARNT_E_PORTS;
	}
	return 0;
}

/* Every pair of the request is there afterwards; new ones have no life yet. */
static int add_pairs(struct cp_dns_learnt *learnt,
		     const struct request *request, pair_t **ret)
{
	struct cp_dns_pairs *pairs = &learnt->pairs;
	const name_t *name = request->known;
	size_t i;

	for (i = 0; i < request->n; i++) {
		const address_t *address = cp_dns_pairs_find_address(
			pairs, &request->addresses[i]);

		ret[i] = NULL;
		if (name && address)
			ret[i] = cp_dns_pairs_find(name, address);
		if (!ret[i])
			ret[i] = cp_dns_pairs_add(pairs, request->name,
						  &request->addresses[i]);
		if (!ret[i])
			break;
		name = ret[i]->name;
	}
	if (i == request->n)
		return 0;
	/* Addresses are given once each, so that new pairs are too. */
	while (i-- > 0) {
		address_t *address = ret[i]->address;

		if (ret[i]->expires_ns > 0)
			continue;
		cp_dns_pairs_remove(pairs, ret[i]);
		if (address->n_pairs == 0)
			cp_dns_pairs_drop_address(pairs, address);
	}
	return -ENOMEM;
}

/* Lapsed pairs that need not be kept beside the one that was just extended:
 * those that open the same by the same rules, and, if there is no room, all. */
static void drop_lapsed(struct cp_dns_pairs *pairs, const pair_t *of,
			bool has_room)
{
	const name_t *name = of->name;
	pair_t *pair = TAILQ_FIRST(&of->address->pairs);

	while (pair) {
		pair_t *next = TAILQ_NEXT(pair, of_address);
		struct cp_dns_openings openings =
			cp_dns_pairs_get_openings(pair);

		if (pair->at == SIZE_MAX && pair != of &&
		    (!has_room ||
		     cp_dns_openings_is_equal(&openings, &name->openings)))
			cp_dns_pairs_remove(pairs, pair);
		pair = next;
	}
}

/* Lapsed pairs of addresses that live are bounded too. Those of addresses that
 * do not are cp_dns_learnt_over()'s business. */
static void trim_lapsed(struct cp_dns_learnt *learnt)
{
	struct cp_dns_pairs *pairs = &learnt->pairs;
	pair_t *pair = TAILQ_FIRST(&pairs->lapsed);

	for (int i = 0; i < TRIM_MAX && pair; i++) {
		pair_t *next = TAILQ_NEXT(pair, lapsed);

		if (pairs->n_lapsed <= lapsed_max(learnt))
			return;
		if (pair->address->n_live > 0)
			cp_dns_pairs_remove(pairs, pair);
		pair = next;
	}
}

static void extend(struct cp_dns_learnt *learnt, const struct request *request,
		   size_t i, pair_t *pair)
{
	struct cp_dns_pairs *pairs = &learnt->pairs;
	bool has_room = fits(request, i, pair->address, pair->name, false);

	if (pair->expires_ns >= request->expires_ns)
		return;
	cp_dns_pairs_extend(pairs, pair, request->expires_ns);
	drop_lapsed(pairs, pair, has_room);
}

int cp_dns_learnt_put(struct cp_dns_learnt *learnt,
		      const struct cp_dns_name *name,
		      const struct cp_dns_match *match,
		      const struct cp_dns_address *addresses, size_t n,
		      const uint8_t *room, uint64_t expires_ns, uint64_t now_ns)
{
	sn_cleanup(sn_freep) pair_t **added = NULL;
	struct request request = {
		.name = name,
		.addresses = addresses,
		.n = n,
		.room = room,
		.expires_ns = expires_ns,
	};
	int r;

	if (n == 0)
		return 0;
	if (!cp_dns_openings_read(match, &request.openings))
		return CP_DNS_LEARNT_E_PORTS;
	advance(learnt, now_ns);
	request.known = cp_dns_pairs_find_name(&learnt->pairs, name);
	r = check_quotas(learnt, &request);
	if (r == 0)
		r = check_ports(learnt, &request);
	if (r)
		return r;

	added = calloc(n, sizeof(pair_t *));
	if (!added)
		return -ENOMEM;
	r = cp_dns_pairs_reserve(&learnt->pairs, n);
	if (r == 0)
		r = add_pairs(learnt, &request, added);
	if (r < 0)
		return r;
	added[0]->name->openings = request.openings;
	for (size_t i = 0; i < n; i++)
		extend(learnt, &request, i, added[i]);
	trim_lapsed(learnt);
	return 0;
}

/* Under the name, or NULL. */
static pair_t *find_pair(const struct cp_dns_learnt *learnt, const name_t *name,
			 const struct cp_dns_address *address)
{
	const address_t *at =
		cp_dns_pairs_find_address(&learnt->pairs, address);

	return name && at ? cp_dns_pairs_find(name, at) : NULL;
}

void cp_dns_learnt_confirm(struct cp_dns_learnt *learnt,
			   const struct cp_dns_name *name,
			   const struct cp_dns_address *addresses, size_t n,
			   uint64_t expires_ns)
{
	const name_t *at = cp_dns_pairs_find_name(&learnt->pairs, name);

	for (size_t i = 0; i < n; i++) {
		pair_t *pair = find_pair(learnt, at, &addresses[i]);

		if (!pair)
			continue;
		pair->confirmed_ns =
			SN_MAX(pair->confirmed_ns,
			       SN_MIN(expires_ns, pair->expires_ns));
	}
}

void cp_dns_learnt_confirm_all(struct cp_dns_learnt *learnt)
{
	struct cp_dns_pairs *pairs = &learnt->pairs;

	for (size_t i = 0; i < pairs->n_heap; i++)
		pairs->heap[i]->confirmed_ns = pairs->heap[i]->expires_ns;
}

bool cp_dns_learnt_has(const struct cp_dns_learnt *learnt,
		       const struct cp_dns_name *name,
		       const struct cp_dns_address *addresses, size_t n,
		       uint64_t expires_ns)
{
	const name_t *at = cp_dns_pairs_find_name(&learnt->pairs, name);

	for (size_t i = 0; i < n; i++) {
		const pair_t *pair = find_pair(learnt, at, &addresses[i]);

		if (!pair || pair->confirmed_ns < expires_ns)
			return false;
	}
	return true;
}

bool cp_dns_learnt_is_current(const struct cp_dns_learnt *learnt,
			      const struct cp_dns_rules *rules,
			      bool keep_unruled)
{
	return cp_dns_judge_is_current(&learnt->pairs, rules, keep_unruled);
}

size_t cp_dns_learnt_apply(
	struct cp_dns_learnt *learnt, const struct cp_dns_rules *rules,
	bool keep_unruled,
	void (*changed)(void *userdata, const struct cp_dns_address *address),
	void *userdata)
{
	return cp_dns_judge_apply(&learnt->pairs, rules, keep_unruled, changed,
				  userdata);
}

int cp_dns_learnt_copy(const struct cp_dns_learnt *learnt,
		       struct cp_dns_learnt **ret)
{
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *copy = NULL;
	int r;

	r = cp_dns_learnt_new(&copy, &learnt->limits);
	if (r == 0)
		r = cp_dns_pairs_copy(&learnt->pairs, &copy->pairs);
	if (r == 0)
		*ret = sn_steal(&copy);
	return r;
}

/* From the kernel. */

static uint64_t end_of(const struct sn_rule_item *item)
{
	return (uint64_t)item->expires << SN_EXPIRES_SHIFT;
}

/* How long the kernel has all that the name opens, by this rule or, where
 * several names share an item, by another's; 0: it does not. */
static uint64_t find_end(const struct cp_dns_openings *openings,
			 const struct sn_rule_item *items, uint8_t n)
{
	uint64_t end = UINT64_MAX;

	for (uint8_t i = 0; i < openings->n; i++) {
		uint64_t longest = 0;

		for (uint8_t k = 0; k < n; k++) {
			if (cp_dns_openings_is_covered(&openings->one[i],
						       &items[k]))
				longest = SN_MAX(longest, end_of(&items[k]));
		}
		end = SN_MIN(end, longest);
	}
	return end;
}

static int adopt_pair(struct cp_dns_learnt *learnt,
		      const struct cp_dns_name *name,
		      const struct cp_dns_address *address, uint64_t expires_ns,
		      pair_t **ret)
{
	pair_t *pair;

	if (cp_dns_pairs_reserve(&learnt->pairs, 1) < 0)
		return -ENOMEM;
	pair = cp_dns_pairs_add(&learnt->pairs, name, address);
	if (!pair)
		return -ENOMEM;
	cp_dns_pairs_extend(&learnt->pairs, pair, expires_ns);
	pair->confirmed_ns = expires_ns;
	*ret = pair;
	return 0;
}

static int adopt_names(struct cp_dns_learnt *learnt,
		       const struct cp_dns_learnt *known,
		       const struct cp_dns_address *address,
		       const struct sn_rule_item *items, uint8_t n)
{
	const address_t *at = cp_dns_pairs_find_address(&known->pairs, address);
	const pair_t *from;
	pair_t *pair;
	uint64_t end;

	if (!at)
		return 0;
	TAILQ_FOREACH(from, &at->pairs, of_address) {
		if (!from->name)
			continue;
		end = find_end(&from->name->openings, items, n);
		if (end == 0)
			continue;
		if (adopt_pair(learnt, &from->name->name, address,
			       SN_MIN(end, from->expires_ns), &pair) < 0)
			return -ENOMEM;
		pair->name->openings = from->name->openings;
	}
	return 0;
}

/* Do names that were adopted open all that the item does? */
static bool is_known(const struct cp_dns_learnt *learnt,
		     const struct cp_dns_address *address,
		     const struct sn_rule_item *item)
{
	const address_t *at =
		cp_dns_pairs_find_address(&learnt->pairs, address);
	const pair_t *pair;

	if (!at)
		return false;
	TAILQ_FOREACH(pair, &at->pairs, of_address) {
		struct cp_dns_openings openings =
			cp_dns_pairs_get_openings(pair);
		struct cp_dns_openings_one one =
			cp_dns_openings_from_item(item);

		if (cp_dns_openings_has(&openings, &one) &&
		    cp_policy_compile_expires(pair->expires_ns) >=
			    item->expires)
			return true;
	}
	return false;
}

bool cp_dns_learnt_is_plausible(const struct sn_rule_item *item,
				const struct cp_dns_rules *rules,
				bool keep_unruled)
{
	struct cp_dns_openings_one one = cp_dns_openings_from_item(item);
	struct cp_dns_openings all = cp_dns_openings_all(0);
	const struct cp_dns_rule *rule;

	if (item->verdict != SN_VERDICT_ALLOW || item->expires == 0)
		return false;
	if (item->rule_id == 0)
		return keep_unruled && cp_dns_openings_has(&all, &one);
	rule = cp_dns_rules_get(rules, item->rule_id);
	return rule && rule->verdict == SN_VERDICT_ALLOW &&
	       cp_dns_openings_is_of(&one, rule);
}

int cp_dns_learnt_adopt(struct cp_dns_learnt *learnt,
			const struct cp_dns_learnt *known,
			const struct cp_dns_address *address,
			const struct sn_rule_item *items, uint8_t n_items,
			uint64_t now_ns)
{
	pair_t *pair;
	int r = 0;

	if (known)
		r = adopt_names(learnt, known, address, items, n_items);
	for (uint8_t i = 0; r == 0 && i < n_items; i++) {
		if (is_known(learnt, address, &items[i]))
			continue;
		r = adopt_pair(learnt, NULL, address, end_of(&items[i]), &pair);
		if (r == 0)
			pair->own = cp_dns_openings_from_item(&items[i]);
	}
	advance(learnt, now_ns);
	return r;
}

/* Lapsed addresses. */

size_t cp_dns_learnt_lapsed(const struct cp_dns_learnt *learnt, uint64_t now_ns,
			    struct cp_dns_address *ret, size_t max)
{
	const address_t *address;
	size_t n = 0;

	advance(learnt, now_ns);
	TAILQ_FOREACH(address, &learnt->pairs.idle, entry) {
		if (n == max)
			break;
		ret[n++] = address->address;
	}
	return n;
}

/* NULL: it lives, or is not there. */
static address_t *find_idle(const struct cp_dns_learnt *learnt,
			    const struct cp_dns_address *address)
{
	address_t *at = cp_dns_pairs_find_address(&learnt->pairs, address);

	return at && at->n_live == 0 ? at : NULL;
}

void cp_dns_learnt_defer(struct cp_dns_learnt *learnt,
			 const struct cp_dns_address *address)
{
	address_t *at = find_idle(learnt, address);

	if (!at)
		return;
	TAILQ_REMOVE(&learnt->pairs.idle, at, entry);
	TAILQ_INSERT_TAIL(&learnt->pairs.idle, at, entry);
}

void cp_dns_learnt_forget(struct cp_dns_learnt *learnt,
			  const struct cp_dns_address *address)
{
	address_t *at = find_idle(learnt, address);

	if (at)
		cp_dns_pairs_drop_address(&learnt->pairs, at);
}

bool cp_dns_learnt_over(const struct cp_dns_learnt *learnt, uint64_t now_ns,
			struct cp_dns_address *ret)
{
	const struct cp_dns_pairs *pairs = &learnt->pairs;

	advance(learnt, now_ns);
	if (pairs->addresses.n - pairs->n_live_addresses <= lapsed_max(learnt))
		return false;
	*ret = TAILQ_FIRST(&pairs->idle)->address;
	return true;
}

/* Looking. */

size_t cp_dns_learnt_count_names(const struct cp_dns_learnt *learnt,
				 uint64_t now_ns)
{
	advance(learnt, now_ns);
	return learnt->pairs.n_live_names;
}

size_t cp_dns_learnt_count_addresses(const struct cp_dns_learnt *learnt,
				     uint64_t now_ns)
{
	advance(learnt, now_ns);
	return learnt->pairs.n_live_addresses;
}

int cp_dns_learnt_list_addresses(const struct cp_dns_learnt *learnt,
				 struct cp_dns_address **ret, size_t *n)
{
	const address_t *address = NULL;
	struct cp_dns_address *list;
	size_t chain = 0;

	list = calloc(learnt->pairs.addresses.n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	*n = 0;
	while ((address = cp_dns_pairs_next_address(&learnt->pairs, &chain,
						    address)))
		list[(*n)++] = address->address;
	*ret = list;
	return 0;
}

static void fill_row(const pair_t *pair, struct cp_dns_learnt_row *ret)
{
	const name_t *name = pair->name;
	const struct cp_dns_openings *openings = &name->openings;

	*ret = (struct cp_dns_learnt_row){
		.address = pair->address->address,
		.expires_ns = pair->expires_ns,
		.rule_id = openings->one[0].rule_id,
	};
	ret->name.size = name->name.size;
	memcpy(ret->name.wire, name->name.wire, name->name.size);
	for (uint8_t i = 0; i < openings->n; i++) {
		const struct cp_policy_ports *ports = &openings->one[i].ports;

		ret->rule_id = SN_MIN(ret->rule_id, openings->one[i].rule_id);
		if (ports->protocol == 0 && ports->low == 0)
			return;
		ret->ports[ret->n_ports++] = *ports;
	}
}

bool cp_dns_learnt_next_row(const struct cp_dns_learnt *learnt,
			    const struct cp_dns_learnt_row *after,
			    uint64_t now_ns, struct cp_dns_learnt_row *ret)
{
	/* The order is a cache. */
	struct cp_dns_learnt *cache = (struct cp_dns_learnt *)(uintptr_t)learnt;
	const pair_t *pair;

	advance(learnt, now_ns);
	pair = cp_dns_order_next(&cache->order, &learnt->pairs,
				 after ? &after->name : NULL,
				 after ? &after->address : NULL);
	if (pair)
		fill_row(pair, ret);
	return pair;
}

bool cp_dns_learnt_get_row(const struct cp_dns_learnt *learnt,
			   const struct cp_dns_address *address, size_t n,
			   uint64_t now_ns, struct cp_dns_learnt_row *ret)
{
	const address_t *at =
		cp_dns_pairs_find_address(&learnt->pairs, address);
	const pair_t *pair;

	if (!at)
		return false;
	TAILQ_FOREACH(pair, &at->pairs, of_address) {
		if (!pair->name || pair->expires_ns <= now_ns || n-- > 0)
			continue;
		fill_row(pair, ret);
		return true;
	}
	return false;
}
