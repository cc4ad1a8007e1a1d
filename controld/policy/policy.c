// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controld/policy/domains.h"
#include "controld/policy/ids.h"
#include "controld/policy/table.h"

/* Rules are found by two indexes. `table` leads from a prefix to one of its
 * rules, on which the others hang; `ids` has them in the order of ids. Domain
 * rules have their own indexes (controld/dns/rules.h). */

struct node {
	struct cp_policy_rule rule; /* first, so that a rule is its node */
	struct node *next; /* of the same prefix */
};

static struct node *node_of(struct cp_policy_rule *rule)
{
	return (struct node *)rule;
}

struct cp_policy {
	struct cp_policy_settings settings;
	size_t max_rules;
	size_t n_rules;
	uint32_t next_id;

	struct cp_policy_table table;
	struct cp_policy_ids ids;
	struct cp_policy_domains domains;

	uint32_t n_by_length[2][129]; /* prefixes; IPv4, IPv6 */

	/* Live rules as counted at live_at; none lapses before live_until
	 * (0: never). */
	size_t n_live;
	uint64_t live_at;
	uint64_t live_until;
};

const char *cp_policy_owner_name(enum cp_policy_owner owner)
{
	switch (owner) {
	case CP_POLICY_OWNER_LOCAL:
		return "local";
	case CP_POLICY_OWNER_REMOTE:
		return "remote";
	case CP_POLICY_OWNER_DOH:
		return "doh-list";
	case CP_POLICY_OWNER_NONE:
		break;
	}
	return "";
}

enum cp_policy_owner cp_policy_owner_parse(const char *name)
{
	for (enum cp_policy_owner owner = CP_POLICY_OWNER_LOCAL;
	     owner <= CP_POLICY_OWNER_DOH; owner++) {
		if (strcmp(name, cp_policy_owner_name(owner)) == 0)
			return owner;
	}
	return CP_POLICY_OWNER_NONE;
}

int cp_policy_new(struct cp_policy **ret, size_t max_rules)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	int r;

	policy = calloc(1, sizeof(*policy));
	if (!policy)
		return -ENOMEM;
	r = cp_policy_domains_init(&policy->domains);
	if (r < 0)
		return r;
	policy->settings = (struct cp_policy_settings){
		.mode = SN_MODE_ALLOWLIST,
		.inbound = SN_INBOUND_REPLIES,
	};
	policy->max_rules = max_rules;
	policy->next_id = 1;
	*ret = sn_steal(&policy);
	return 0;
}

struct cp_policy *cp_policy_free(struct cp_policy *policy)
{
	if (!policy)
		return NULL;
	for (size_t i = 0; i < policy->ids.n; i++)
		free(node_of(policy->ids.slots[i].rule));
	cp_policy_ids_done(&policy->ids);
	cp_policy_table_done(&policy->table);
	cp_policy_domains_done(&policy->domains);
	free(policy);
	return NULL;
}

struct cp_policy_settings cp_policy_get_settings(const struct cp_policy *policy)
{
	return policy->settings;
}

void cp_policy_put_settings(struct cp_policy *policy,
			    const struct cp_policy_settings *settings)
{
	assert(settings->mode != SN_MODE_NONE);
	assert(settings->inbound != SN_INBOUND_NONE);
	policy->settings = *settings;
}

uint32_t cp_policy_get_next_id(const struct cp_policy *policy)
{
	return policy->next_id;
}

void cp_policy_raise_next_id(struct cp_policy *policy, uint32_t next_id)
{
	if (policy->next_id != 0 && (next_id == 0 || next_id > policy->next_id))
		policy->next_id = next_id;
}

/* The rules of a prefix. */

static bool same_prefix(const struct cp_policy_cidr *a,
			const struct cp_policy_cidr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct node *find_first(const struct cp_policy *policy,
			       const struct cp_policy_cidr *cidr)
{
	return node_of(cp_policy_table_get(&policy->table, cidr));
}

static uint32_t *length_counter(struct cp_policy *policy,
				const struct cp_policy_cidr *cidr)
{
	return &policy->n_by_length[cidr->family == SN_FAMILY_IPV6]
				   [cidr->length];
}

static void link_node(struct cp_policy *policy, struct node *node)
{
	struct node *last = find_first(policy, &node->rule.cidr);

	if (!last) {
		cp_policy_table_put(&policy->table, &node->rule);
		(*length_counter(policy, &node->rule.cidr))++;
		return;
	}
	while (last->next)
		last = last->next;
	last->next = node;
}

static void unlink_node(struct cp_policy *policy, struct node *node)
{
	struct node *before = find_first(policy, &node->rule.cidr);

	if (before != node) {
		while (before->next != node)
			before = before->next;
		before->next = node->next;
	} else if (node->next) {
		cp_policy_table_put(&policy->table, &node->next->rule);
	} else {
		cp_policy_table_remove(&policy->table, &node->rule.cidr);
		(*length_counter(policy, &node->rule.cidr))--;
	}
}

/* Counting live rules. */

static void count_in(struct cp_policy *policy,
		     const struct cp_policy_rule *rule)
{
	if (cp_policy_rule_is_lapsed(rule, policy->live_at))
		return;
	policy->n_live++;
	if (rule->expires_ns &&
	    (!policy->live_until || rule->expires_ns < policy->live_until))
		policy->live_until = rule->expires_ns;
}

static void count_out(struct cp_policy *policy,
		      const struct cp_policy_rule *rule)
{
	if (!cp_policy_rule_is_lapsed(rule, policy->live_at))
		policy->n_live--;
}

static void recount(struct cp_policy *policy, uint64_t now_ns)
{
	policy->n_live = 0;
	policy->live_at = now_ns;
	policy->live_until = 0;
	for (size_t i = 0; i < policy->ids.n; i++) {
		if (policy->ids.slots[i].rule)
			count_in(policy, policy->ids.slots[i].rule);
	}
}

size_t cp_policy_count(const struct cp_policy *policy)
{
	return policy->n_rules;
}

size_t cp_policy_count_live(struct cp_policy *policy, uint64_t now_ns)
{
	if (now_ns < policy->live_at ||
	    (policy->live_until && now_ns >= policy->live_until))
		recount(policy, now_ns);
	return policy->n_live;
}

uint64_t cp_policy_next_expiry(struct cp_policy *policy, uint64_t now_ns)
{
	(void)cp_policy_count_live(policy, now_ns);
	return policy->live_until;
}

/* Adding and removing. */

static uint8_t items_of(const struct cp_policy_rule *rule)
{
	return rule->n_ports ? rule->n_ports : 1;
}

static bool same_ports(const struct cp_policy_rule *rule,
		       const struct cp_policy_ports *ports, size_t n_ports)
{
	return rule->n_ports == n_ports &&
	       (n_ports == 0 ||
		memcmp(rule->ports, ports, n_ports * sizeof(*ports)) == 0);
}

static bool same_key(const struct cp_policy_rule *a,
		     const struct cp_policy_rule *b)
{
	return a->owner == b->owner && same_prefix(&a->cidr, &b->cidr) &&
	       same_ports(a, b->ports, b->n_ports);
}

static struct node *find_key(const struct cp_policy *policy,
			     const struct cp_policy_rule *rule)
{
	struct node *node = find_first(policy, &rule->cidr);

	while (node && !same_key(&node->rule, rule))
		node = node->next;
	return node;
}

static void replace(struct cp_policy *policy, struct node *node,
		    const struct cp_policy_rule *rule)
{
	count_out(policy, &node->rule);
	node->rule.verdict = rule->verdict;
	node->rule.ttl_s = rule->ttl_s;
	node->rule.expires_ns = rule->expires_ns;
	count_in(policy, &node->rule);
}

/* CIDR and domain rules, which share ids and limit. */
static size_t count_all(const struct cp_policy *policy)
{
	return policy->n_rules + cp_dns_rules_count(policy->domains.rules);
}

void cp_policy_put_max_rules(struct cp_policy *policy, size_t max_rules)
{
	policy->max_rules = SN_MAX(max_rules, count_all(policy));
}

static bool has_id(const struct cp_policy *policy, uint32_t id)
{
	return cp_policy_ids_get(&policy->ids, id) ||
	       cp_dns_rules_get(policy->domains.rules, id);
}

/* Is there room, and is the id free? */
static int check_room(const struct cp_policy *policy,
		      const struct cp_policy_rule *rule)
{
	unsigned int n_items = items_of(rule);

	for (const struct node *node = find_first(policy, &rule->cidr); node;
	     node = node->next)
		n_items += items_of(&node->rule);
	if (n_items > SN_ITEMS_MAX)
		return CP_POLICY_E_PREFIX_FULL;
	if (count_all(policy) >= policy->max_rules)
		return CP_POLICY_E_FULL;
	if (rule->id == 0)
		return policy->next_id ? 0 : CP_POLICY_E_FULL;
	/* An id that no rule had yet needs no search, so that a load in
	 * the order of ids stays linear. */
	if (policy->next_id != 0 && rule->id >= policy->next_id)
		return 0;
	return has_id(policy, rule->id) ? CP_POLICY_E_ID : 0;
}

static void use_id(struct cp_policy *policy, uint32_t id)
{
	if (policy->next_id != 0 && id >= policy->next_id)
		policy->next_id = id + 1; /* 0 after the last */
}

static int insert(struct cp_policy *policy, const struct cp_policy_rule *rule,
		  struct node **ret)
{
	struct node *node;
	int r;

	r = cp_policy_table_reserve(&policy->table);
	if (r < 0)
		return r;
	r = cp_policy_ids_reserve(&policy->ids);
	if (r < 0)
		return r;
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;

	node->rule = *rule;
	if (rule->id == 0)
		node->rule.id = policy->next_id;
	use_id(policy, node->rule.id);
	link_node(policy, node);
	cp_policy_ids_append(&policy->ids, &node->rule);
	policy->n_rules++;
	count_in(policy, &node->rule);
	*ret = node;
	return 0;
}

int cp_policy_add(struct cp_policy *policy, const struct cp_policy_rule *rule,
		  struct cp_policy_rule *ret, struct cp_policy_rule *previous)
{
	struct node *node;
	int r;

	assert(rule->n_ports <= CP_POLICY_PORTS_MAX);
	assert(rule->verdict == SN_VERDICT_ALLOW ||
	       rule->verdict == SN_VERDICT_DENY);
	node = find_key(policy, rule);
	if (node) {
		if (previous)
			*previous = node->rule;
		replace(policy, node, rule);
		if (ret)
			*ret = node->rule;
		return CP_POLICY_E_REPLACED;
	}

	r = check_room(policy, rule);
	if (r)
		return r;
	r = insert(policy, rule, &node);
	if (r < 0)
		return r;
	if (ret)
		*ret = node->rule;
	return 0;
}

static void remove_node(struct cp_policy *policy, struct node *node)
{
	unlink_node(policy, node);
	count_out(policy, &node->rule);
	policy->n_rules--;
	cp_policy_ids_remove(&policy->ids, node->rule.id);
	free(node);
}

size_t cp_policy_remove(struct cp_policy *policy,
			const struct cp_policy_cidr *cidr,
			const struct cp_policy_ports *ports, size_t n_ports,
			enum cp_policy_owner owner, uint64_t now_ns)
{
	size_t n_removed = 0;
	struct node *next;

	for (struct node *node = find_first(policy, cidr); node; node = next) {
		next = node->next;
		if (owner != CP_POLICY_OWNER_NONE && node->rule.owner != owner)
			continue;
		if (n_ports > 0 && !same_ports(&node->rule, ports, n_ports))
			continue;
		if (!cp_policy_rule_is_lapsed(&node->rule, now_ns))
			n_removed++;
		remove_node(policy, node);
	}
	return n_removed;
}

bool cp_policy_remove_id(struct cp_policy *policy, uint32_t id)
{
	struct cp_policy_rule *rule = cp_policy_ids_get(&policy->ids, id);

	if (!rule)
		return false;
	remove_node(policy, node_of(rule));
	return true;
}

/* Looking up. */

const struct cp_policy_rule *cp_policy_get_rule(const struct cp_policy *policy,
						uint32_t id)
{
	return cp_policy_ids_get(&policy->ids, id);
}

const struct cp_policy_rule *cp_policy_next_rule(const struct cp_policy *policy,
						 uint32_t id)
{
	if (id == UINT32_MAX)
		return NULL;
	for (size_t i = cp_policy_ids_find(&policy->ids, id + 1);
	     i < policy->ids.n; i++) {
		if (policy->ids.slots[i].rule)
			return policy->ids.slots[i].rule;
	}
	return NULL;
}

const struct cp_policy_rule *
cp_policy_walk_rules(const struct cp_policy *policy, size_t *cursor)
{
	while (*cursor < policy->ids.n) {
		const struct cp_policy_rule *rule =
			policy->ids.slots[(*cursor)++].rule;

		if (rule)
			return rule;
	}
	return NULL;
}

/* The order of items in the kernel must not depend on how the model came to
 * be, hence by id. */
static void fill_prefix(const struct node *first, struct cp_policy_prefix *ret)
{
	ret->cidr = first->rule.cidr;
	ret->n_rules = 0;
	ret->n_items = 0;
	for (const struct node *node = first; node; node = node->next) {
		uint8_t i = ret->n_rules++;

		for (; i > 0 && ret->rules[i - 1]->id > node->rule.id; i--)
			ret->rules[i] = ret->rules[i - 1];
		ret->rules[i] = &node->rule;
		ret->n_items = (uint8_t)(ret->n_items + items_of(&node->rule));
	}
}

bool cp_policy_get_prefix(const struct cp_policy *policy,
			  const struct cp_policy_cidr *cidr,
			  struct cp_policy_prefix *ret)
{
	const struct node *first = find_first(policy, cidr);

	if (!first)
		return false;
	fill_prefix(first, ret);
	return true;
}

bool cp_policy_next_prefix(const struct cp_policy *policy, size_t *cursor,
			   struct cp_policy_prefix *ret)
{
	while (*cursor < policy->table.size) {
		const struct node *first =
			node_of(policy->table.places[(*cursor)++]);

		if (first) {
			fill_prefix(first, ret);
			return true;
		}
	}
	return false;
}

size_t cp_policy_count_length(const struct cp_policy *policy,
			      enum sn_family family, uint8_t length)
{
	return policy->n_by_length[family == SN_FAMILY_IPV6][length];
}

bool cp_policy_prefix_is_lapsed(const struct cp_policy_prefix *prefix,
				uint64_t now_ns)
{
	for (uint8_t i = 0; i < prefix->n_rules; i++) {
		if (!cp_policy_rule_is_lapsed(prefix->rules[i], now_ns))
			return false;
	}
	return true;
}

bool cp_policy_rule_is_equal(const struct cp_policy_rule *a,
			     const struct cp_policy_rule *b)
{
	return same_key(a, b) && a->verdict == b->verdict &&
	       a->ttl_s == b->ttl_s;
}

/* Whole policies. */

int cp_policy_copy(const struct cp_policy *policy, struct cp_policy **ret)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *copy = NULL;
	const struct cp_policy_rule *rule;
	struct node *node;
	uint32_t id = 0;
	int r;

	r = cp_policy_new(&copy, policy->max_rules);
	if (r < 0)
		return r;
	copy->settings = policy->settings;
	while ((rule = cp_policy_next_rule(policy, id))) {
		id = rule->id;
		r = insert(copy, rule, &node);
		if (r < 0)
			return r;
	}
	r = cp_policy_domains_copy(&policy->domains, &copy->domains);
	if (r < 0)
		return r;
	copy->next_id = policy->next_id;
	*ret = sn_steal(&copy);
	return 0;
}

void cp_policy_start_ttls(struct cp_policy *policy, uint64_t now_ns)
{
	for (size_t i = 0; i < policy->ids.n; i++) {
		struct cp_policy_rule *rule = policy->ids.slots[i].rule;

		if (!rule)
			continue;
		rule->expires_ns =
			rule->ttl_s ? now_ns + rule->ttl_s * SN_NS_PER_S : 0;
	}
	recount(policy, now_ns);
}

/* The rule of other that equals this one, or NULL. */
static const struct node *find_equal(const struct cp_policy *other,
				     const struct cp_policy_rule *rule)
{
	const struct node *node = find_key(other, rule);

	return node && cp_policy_rule_is_equal(&node->rule, rule) ? node : NULL;
}

static void renumber(struct cp_policy *policy, const struct cp_policy *running,
		     uint64_t *next_id)
{
	for (size_t i = 0; i < policy->ids.n; i++) {
		struct cp_policy_ids_slot *slot = &policy->ids.slots[i];
		const struct node *equal = find_equal(running, slot->rule);

		slot->id = equal ? equal->rule.id : (uint32_t)(*next_id)++;
		slot->rule->id = slot->id;
	}
	cp_policy_ids_sort(&policy->ids);
}

int cp_policy_adopt_ids(struct cp_policy *policy,
			const struct cp_policy *running)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *domains = NULL;
	uint64_t next_id = running->next_id ? running->next_id :
					      (uint64_t)UINT32_MAX + 1;
	size_t n_new;
	int r;

	cp_policy_ids_sort(&policy->ids);
	n_new = cp_policy_domains_count_new(&policy->domains,
					    &running->domains);
	for (size_t i = 0; i < policy->ids.n; i++)
		n_new += !find_equal(running, policy->ids.slots[i].rule);
	if (next_id + n_new > (uint64_t)UINT32_MAX + 1)
		return -ERANGE;
	r = cp_policy_domains_renumber(&policy->domains, &running->domains,
				       &next_id, &domains);
	if (r < 0)
		return r;

	renumber(policy, running, &next_id);
	cp_dns_rules_free(policy->domains.rules);
	policy->domains.rules = sn_steal(&domains);
	policy->next_id = (uint32_t)next_id; /* 0: used up */
	return 0;
}

struct cp_policy_diff cp_policy_compare(const struct cp_policy *before,
					const struct cp_policy *after,
					uint64_t now_ns)
{
	struct cp_policy_diff diff = { .added = 0 };
	const struct cp_policy_rule *rule;
	size_t cursor = 0, n_before, n_new;

	n_before = cp_dns_rules_count(before->domains.rules);
	while ((rule = cp_policy_walk_rules(before, &cursor)))
		n_before += !cp_policy_rule_is_lapsed(rule, now_ns);
	n_new = cp_policy_domains_count_new(&after->domains, &before->domains);
	diff.added = (uint32_t)n_new;
	diff.unchanged =
		(uint32_t)(cp_dns_rules_count(after->domains.rules) - n_new);
	cursor = 0;
	while ((rule = cp_policy_walk_rules(after, &cursor))) {
		const struct node *equal = find_equal(before, rule);

		if (equal && !cp_policy_rule_is_lapsed(&equal->rule, now_ns))
			diff.unchanged++;
		else
			diff.added++;
	}
	diff.removed = (uint32_t)n_before - diff.unchanged;
	return diff;
}

/* Name resolution. */

const struct cp_dns_settings *cp_policy_get_dns(const struct cp_policy *policy)
{
	return &policy->domains.settings;
}

void cp_policy_put_dns(struct cp_policy *policy,
		       const struct cp_dns_settings *settings)
{
	policy->domains.settings = *settings;
}

const struct cp_dns_rules *cp_policy_get_domains(const struct cp_policy *policy)
{
	return policy->domains.rules;
}

int cp_policy_add_domain(struct cp_policy *policy,
			 const struct cp_dns_rule *rule,
			 struct cp_dns_rule *ret, struct cp_dns_rule *previous)
{
	const struct cp_dns_rule *there =
		cp_dns_rules_find(policy->domains.rules, rule);
	struct cp_dns_rule added = *rule;
	int r;

	if (there) {
		added.id = there->id;
	} else if (count_all(policy) >= policy->max_rules) {
		return CP_POLICY_E_FULL;
	} else if (added.id == 0) {
		added.id = policy->next_id;
		if (added.id == 0)
			return CP_POLICY_E_FULL;
	} else if (has_id(policy, added.id)) {
		return CP_POLICY_E_ID;
	}
	r = cp_dns_rules_add(policy->domains.rules, &added, previous);
	if (r < 0 || r > CP_DNS_RULES_E_REPLACED)
		return r;
	use_id(policy, added.id);
	if (ret)
		*ret = added;
	return r;
}

bool cp_policy_remove_domain_id(struct cp_policy *policy, uint32_t id)
{
	return cp_dns_rules_remove_id(policy->domains.rules, id);
}

size_t cp_policy_remove_domains(struct cp_policy *policy,
				const struct cp_dns_name *name,
				const struct cp_policy_ports *ports,
				size_t n_ports, enum cp_policy_owner owner)
{
	return cp_dns_rules_remove(policy->domains.rules, name, ports, n_ports,
				   (uint8_t)owner);
}
