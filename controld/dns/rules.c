/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/rules.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controld/policy/policy.h"

/* A hash with linear probing leads from a name to its rules, a short chain in
 * the order of ids. A look-up hashes every suffix of the name in one pass from
 * the root on, asks for all the places at once (with a million rules each is a
 * cache miss), and then looks from the full name towards the root; numbers of
 * labels that no rule has are left out. `by_id` is as in policy.c: an array in
 * the order of ids, in which a removed rule leaves a gap, and which is sorted
 * before it is searched if the ids did not come in rising order. */

enum {
	SIZE_FIRST = 16, /* places; a power of two */
	COMPACT_MIN = 64, /* fewer gaps are left alone */
	DEPTHS = CP_DNS_NAME_LABELS_MAX + 1, /* the root has no label */
};

#define HASH_ROOT 0x9e3779b97f4a7c15ULL

struct node {
	struct cp_dns_rule rule; /* first, so that a rule is its node */
	struct node *next; /* of the same name */
};

struct place {
	uint64_t hash;
	struct node *first; /* NULL: empty */
};

struct slot {
	uint32_t id;
	struct node *node; /* NULL: a gap */
};

struct cp_dns_rules {
	struct place *places;
	size_t size; /* a power of two, or 0 */
	size_t n_names;

	struct slot *by_id;
	size_t n_slots; /* gaps included */
	size_t slots_size;
	bool is_unsorted;
	size_t n_rules;

	/* By the number of labels: rules, and those with `subdomains`. */
	uint32_t n_exact[DEPTHS];
	uint32_t n_below[DEPTHS];
};

int cp_dns_rules_new(struct cp_dns_rules **ret)
{
	struct cp_dns_rules *rules = calloc(1, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	*ret = rules;
	return 0;
}

struct cp_dns_rules *cp_dns_rules_free(struct cp_dns_rules *rules)
{
	if (!rules)
		return NULL;
	for (size_t i = 0; i < rules->n_slots; i++)
		free(rules->by_id[i].node);
	free(rules->by_id);
	free(rules->places);
	free(rules);
	return NULL;
}

/* Names to rules. */

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0xff51afd7ed558ccdULL;
	return hash ^ hash >> 32;
}

/* The hash of a name from that of the name without its first label. */
static uint64_t hash_label(uint64_t hash, const uint8_t *label)
{
	size_t n = label[0];
	uint64_t word;

	hash = mix(hash, n);
	for (label++; n >= sizeof(word); n -= sizeof(word)) {
		(void)memcpy(&word, label, sizeof(word));
		hash = mix(hash, word);
		label += sizeof(word);
	}
	word = 0;
	while (n > 0)
		word = word << 8 | label[--n];
	return mix(hash, word);
}

/* Offsets of the labels; the last one is the root's. Returns how many labels
 * there are without it. */
static unsigned int find_labels(const struct cp_dns_name *name,
				uint8_t offsets[DEPTHS])
{
	unsigned int n = 0;
	size_t i = 0;

	offsets[0] = 0;
	while (name->wire[i]) {
		i += 1u + name->wire[i];
		offsets[++n] = (uint8_t)i;
	}
	return n;
}

static uint64_t hash_name(const struct cp_dns_name *name, unsigned int *depth)
{
	uint8_t offsets[DEPTHS];
	uint64_t hash = HASH_ROOT;

	*depth = find_labels(name, offsets);
	for (unsigned int i = *depth; i > 0; i--)
		hash = hash_label(hash, name->wire + offsets[i - 1]);
	return hash;
}

/* Where the name is, or the empty place where it would be. */
static size_t find_place(const struct cp_dns_rules *rules, uint64_t hash,
			 const uint8_t *wire, size_t size)
{
	size_t m = rules->size - 1;
	size_t i = (size_t)hash & m;

	for (; rules->places[i].first; i = (i + 1) & m) {
		const struct cp_dns_name *name =
			&rules->places[i].first->rule.name;

		if (rules->places[i].hash == hash && name->size == size &&
		    memcmp(name->wire, wire, size) == 0)
			break;
	}
	return i;
}

static int reserve_place(struct cp_dns_rules *rules)
{
	size_t size = rules->size ? rules->size * 2 : SIZE_FIRST;
	struct place *old = rules->places;
	struct place *grown;

	if ((rules->n_names + 1) * 3 <= rules->size * 2)
		return 0;
	grown = calloc(size, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	for (size_t i = 0; i < rules->size; i++) {
		size_t k = (size_t)old[i].hash & (size - 1);

		if (!old[i].first)
			continue;
		while (grown[k].first)
			k = (k + 1) & (size - 1);
		grown[k] = old[i];
	}
	free(old);
	rules->places = grown;
	rules->size = size;
	return 0;
}

static void clear_place(struct cp_dns_rules *rules, size_t gap)
{
	size_t m = rules->size - 1;

	/* The gap is closed by moving back what would not be found any more. */
	for (size_t i = (gap + 1) & m; rules->places[i].first;
	     i = (i + 1) & m) {
		size_t home = (size_t)rules->places[i].hash & m;

		if (((i - home) & m) >= ((i - gap) & m)) {
			rules->places[gap] = rules->places[i];
			gap = i;
		}
	}
	rules->places[gap] = (struct place){ .first = NULL };
	rules->n_names--;
}

/* The first rule of exactly this name, or NULL. */
static struct node *find_first(const struct cp_dns_rules *rules,
			       const struct cp_dns_name *name)
{
	unsigned int depth;
	uint64_t hash;

	if (rules->size == 0)
		return NULL;
	hash = hash_name(name, &depth);
	return rules->places[find_place(rules, hash, name->wire, name->size)]
		.first;
}

static void link_node(struct cp_dns_rules *rules, struct node *node)
{
	const struct cp_dns_name *name = &node->rule.name;
	struct place *place;
	struct node **link;
	unsigned int depth;
	uint64_t hash = hash_name(name, &depth);

	place = &rules->places[find_place(rules, hash, name->wire, name->size)];
	if (!place->first) {
		place->hash = hash;
		rules->n_names++;
	}
	link = &place->first;
	while (*link && (*link)->rule.id < node->rule.id)
		link = &(*link)->next;
	node->next = *link;
	*link = node;
	rules->n_exact[depth]++;
	rules->n_below[depth] += node->rule.subdomains;
}

static void unlink_node(struct cp_dns_rules *rules, struct node *node)
{
	const struct cp_dns_name *name = &node->rule.name;
	struct node **link;
	unsigned int depth;
	uint64_t hash = hash_name(name, &depth);
	size_t i = find_place(rules, hash, name->wire, name->size);

	link = &rules->places[i].first;
	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	if (!rules->places[i].first)
		clear_place(rules, i);
	rules->n_exact[depth]--;
	rules->n_below[depth] -= node->rule.subdomains;
}

/* The order of ids. */

static int compare_slots(const void *a, const void *b)
{
	uint32_t x = ((const struct slot *)a)->id;
	uint32_t y = ((const struct slot *)b)->id;

	return x < y ? -1 : x > y;
}

static void compact(struct cp_dns_rules *rules)
{
	size_t n = 0;

	for (size_t i = 0; i < rules->n_slots; i++) {
		if (rules->by_id[i].node)
			rules->by_id[n++] = rules->by_id[i];
	}
	rules->n_slots = n;
}

static void sort_ids(const struct cp_dns_rules *rules)
{
	/* Sorting changes nothing that a caller can see. */
	struct cp_dns_rules *cache = (struct cp_dns_rules *)(uintptr_t)rules;

	if (!rules->is_unsorted)
		return;
	compact(cache);
	/* qsort() must not be given NULL, not even for nothing. */
	if (cache->n_slots > 0)
		qsort(cache->by_id, cache->n_slots, sizeof(*cache->by_id),
		      compare_slots);
	cache->is_unsorted = false;
}

/* The first slot with that id or a higher one. */
static size_t find_slot(const struct cp_dns_rules *rules, uint32_t id)
{
	size_t low = 0, high;

	sort_ids(rules);
	high = rules->n_slots;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rules->by_id[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct node *find_id(const struct cp_dns_rules *rules, uint32_t id)
{
	size_t i = find_slot(rules, id);

	if (i < rules->n_slots && rules->by_id[i].id == id)
		return rules->by_id[i].node;
	return NULL;
}

static int reserve_slot(struct cp_dns_rules *rules)
{
	size_t size = rules->slots_size ? rules->slots_size * 2 : 16;
	struct slot *slots;

	if (rules->n_slots < rules->slots_size)
		return 0;
	slots = reallocarray(rules->by_id, size, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	rules->by_id = slots;
	rules->slots_size = size;
	return 0;
}

static void append_slot(struct cp_dns_rules *rules, struct node *node)
{
	size_t n = rules->n_slots;

	if (n > 0 && rules->by_id[n - 1].id >= node->rule.id)
		rules->is_unsorted = true;
	rules->by_id[n] = (struct slot){ node->rule.id, node };
	rules->n_slots = n + 1;
}

static void remove_slot(struct cp_dns_rules *rules, uint32_t id)
{
	size_t n_gaps;

	rules->by_id[find_slot(rules, id)].node = NULL;
	n_gaps = rules->n_slots - rules->n_rules;
	if (n_gaps > COMPACT_MIN && n_gaps > rules->n_slots / 4)
		compact(rules);
}

/* Adding and removing. */

static bool same_ports(const struct cp_dns_rule *rule,
		       const struct cp_policy_ports *ports, size_t n_ports)
{
	return rule->n_ports == n_ports &&
	       (n_ports == 0 ||
		memcmp(rule->ports, ports, n_ports * sizeof(*ports)) == 0);
}

static bool same_key(const struct cp_dns_rule *a, const struct cp_dns_rule *b)
{
	return a->owner == b->owner && a->subdomains == b->subdomains &&
	       cp_dns_name_is_equal(&a->name, &b->name) &&
	       same_ports(a, b->ports, b->n_ports);
}

bool cp_dns_rules_is_equal(const struct cp_dns_rule *a,
			   const struct cp_dns_rule *b)
{
	return same_key(a, b) && a->verdict == b->verdict &&
	       a->ttl_floor_s == b->ttl_floor_s;
}

static struct node *find_key(const struct cp_dns_rules *rules,
			     const struct cp_dns_rule *rule)
{
	struct node *node = find_first(rules, &rule->name);

	while (node && !same_key(&node->rule, rule))
		node = node->next;
	return node;
}

static int insert(struct cp_dns_rules *rules, const struct cp_dns_rule *rule)
{
	struct node *node;
	int r;

	r = reserve_place(rules);
	if (r < 0)
		return r;
	r = reserve_slot(rules);
	if (r < 0)
		return r;
	node = malloc(sizeof(*node));
	if (!node)
		return -ENOMEM;

	*node = (struct node){ .rule = *rule };
	link_node(rules, node);
	append_slot(rules, node);
	rules->n_rules++;
	return 0;
}

int cp_dns_rules_add(struct cp_dns_rules *rules, const struct cp_dns_rule *rule,
		     struct cp_dns_rule *previous)
{
	struct node *same = find_key(rules, rule);
	unsigned int n = 0;

	assert(rule->id != 0);
	assert(rule->n_ports <= CP_POLICY_PORTS_MAX);
	assert(rule->verdict == SN_VERDICT_ALLOW ||
	       rule->verdict == SN_VERDICT_DENY);
	if (same) {
		if (previous)
			*previous = same->rule;
		same->rule.verdict = rule->verdict;
		same->rule.ttl_floor_s = rule->ttl_floor_s;
		return CP_DNS_RULES_E_REPLACED;
	}
	for (const struct node *node = find_first(rules, &rule->name); node;
	     node = node->next)
		n++;
	if (n >= CP_DNS_RULES_PER_NAME)
		return CP_DNS_RULES_E_NAME_FULL;
	if (rules->n_rules >= CP_DNS_RULES_MAX)
		return CP_DNS_RULES_E_FULL;
	return insert(rules, rule);
}

static void remove_node(struct cp_dns_rules *rules, struct node *node)
{
	unlink_node(rules, node);
	rules->n_rules--;
	remove_slot(rules, node->rule.id);
	free(node);
}

size_t cp_dns_rules_remove(struct cp_dns_rules *rules,
			   const struct cp_dns_name *name,
			   const struct cp_policy_ports *ports, size_t n_ports,
			   uint8_t owner)
{
	size_t n_removed = 0;
	struct node *next;

	for (struct node *node = find_first(rules, name); node; node = next) {
		next = node->next;
		if (owner != CP_POLICY_OWNER_NONE && node->rule.owner != owner)
			continue;
		if (n_ports > 0 && !same_ports(&node->rule, ports, n_ports))
			continue;
		remove_node(rules, node);
		n_removed++;
	}
	return n_removed;
}

bool cp_dns_rules_remove_id(struct cp_dns_rules *rules, uint32_t id)
{
	struct node *node = find_id(rules, id);

	if (!node)
		return false;
	remove_node(rules, node);
	return true;
}

int cp_dns_rules_copy(const struct cp_dns_rules *rules,
		      struct cp_dns_rules **ret)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *copy = NULL;
	int r;

	r = cp_dns_rules_new(&copy);
	if (r < 0)
		return r;
	sort_ids(rules);
	for (size_t i = 0; i < rules->n_slots; i++) {
		if (!rules->by_id[i].node)
			continue;
		r = insert(copy, &rules->by_id[i].node->rule);
		if (r < 0)
			return r;
	}
	*ret = sn_steal(&copy);
	return 0;
}

/* Looking up. */

/* The rules of one suffix that are for the name; false: there is none. */
static bool decide(const struct node *first, bool is_whole,
		   struct cp_dns_match *ret)
{
	enum sn_verdict verdict = SN_VERDICT_NONE;

	for (const struct node *node = first; node; node = node->next) {
		if (!is_whole && !node->rule.subdomains)
			continue;
		if (verdict != SN_VERDICT_DENY)
			verdict = node->rule.verdict;
	}
	if (verdict == SN_VERDICT_NONE)
		return false;

	ret->verdict = verdict;
	for (const struct node *node = first; node; node = node->next) {
		if ((!is_whole && !node->rule.subdomains) ||
		    node->rule.verdict != verdict)
			continue;
		ret->rules[ret->n_rules++] = &node->rule;
		ret->ttl_floor_s =
			SN_MAX(ret->ttl_floor_s, node->rule.ttl_floor_s);
	}
	return true;
}

void cp_dns_rules_match(const struct cp_dns_rules *rules,
			const struct cp_dns_name *name,
			struct cp_dns_match *ret)
{
	uint8_t offsets[DEPTHS];
	uint64_t hashes[DEPTHS];
	unsigned int depth;

	ret->verdict = SN_VERDICT_NONE;
	ret->n_rules = 0;
	ret->ttl_floor_s = 0;
	if (rules->n_rules == 0)
		return;

	depth = find_labels(name, offsets);
	hashes[0] = HASH_ROOT;
	for (unsigned int i = 1; i <= depth; i++) {
		hashes[i] = hash_label(hashes[i - 1],
				       name->wire + offsets[depth - i]);
		__builtin_prefetch(
			&rules->places[(size_t)hashes[i] & (rules->size - 1)]);
	}
	for (unsigned int i = depth + 1; i-- > 0;) {
		bool is_whole = i == depth;
		size_t offset = offsets[depth - i];
		size_t place;

		if ((is_whole ? rules->n_exact[i] : rules->n_below[i]) == 0)
			continue;
		place = find_place(rules, hashes[i], name->wire + offset,
				   name->size - offset);
		if (decide(rules->places[place].first, is_whole, ret))
			return;
	}
}

/* Puts the spec at its sorted place, once; -E2BIG: there is no place. */
static int put_ports(struct cp_policy_ports *list, uint8_t *n,
		     const struct cp_policy_ports *ports)
{
	uint8_t i = 0;

	while (i < *n && cp_policy_ports_compare(&list[i], ports) < 0)
		i++;
	if (i < *n && cp_policy_ports_compare(&list[i], ports) == 0)
		return 0;
	if (*n >= CP_POLICY_PORTS_MAX)
		return -E2BIG;
	(void)memmove(&list[i + 1], &list[i], (*n - i) * sizeof(*list));
	list[i] = *ports;
	(*n)++;
	return 0;
}

int cp_dns_rules_get_ports(const struct cp_dns_match *match,
			   struct cp_policy_ports ret[CP_POLICY_PORTS_MAX],
			   uint8_t *n)
{
	struct cp_policy_ports list[CP_POLICY_PORTS_MAX];
	uint8_t n_list = 0;
	int r;

	for (uint8_t i = 0; i < match->n_rules; i++) {
		const struct cp_dns_rule *rule = match->rules[i];

		if (rule->n_ports == 0) {
			*n = 0;
			return 0;
		}
		for (uint8_t k = 0; k < rule->n_ports; k++) {
			r = put_ports(list, &n_list, &rule->ports[k]);
			if (r < 0)
				return r;
		}
	}
	(void)memcpy(ret, list, n_list * sizeof(*list));
	*n = n_list;
	return 0;
}

size_t cp_dns_rules_count(const struct cp_dns_rules *rules)
{
	return rules->n_rules;
}

const struct cp_dns_rule *cp_dns_rules_get(const struct cp_dns_rules *rules,
					   uint32_t id)
{
	const struct node *node = find_id(rules, id);

	return node ? &node->rule : NULL;
}

const struct cp_dns_rule *cp_dns_rules_find(const struct cp_dns_rules *rules,
					    const struct cp_dns_rule *rule)
{
	const struct node *node = find_key(rules, rule);

	return node ? &node->rule : NULL;
}

unsigned int
cp_dns_rules_list(const struct cp_dns_rules *rules,
		  const struct cp_dns_name *name,
		  const struct cp_dns_rule *ret[CP_DNS_RULES_PER_NAME])
{
	unsigned int n = 0;

	for (const struct node *node = find_first(rules, name);
	     node && n < CP_DNS_RULES_PER_NAME; node = node->next)
		ret[n++] = &node->rule;
	return n;
}

const struct cp_dns_rule *cp_dns_rules_next(const struct cp_dns_rules *rules,
					    uint32_t id)
{
	if (id == UINT32_MAX)
		return NULL;
	for (size_t i = find_slot(rules, id + 1); i < rules->n_slots; i++) {
		if (rules->by_id[i].node)
			return &rules->by_id[i].node->rule;
	}
	return NULL;
}
