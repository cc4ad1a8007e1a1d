/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/judge.h"

#include <string.h>

enum { JUDGED_MAX = 32 }; /* rules of anonymous entries */

typedef struct cp_dns_pairs_name name_t;
typedef struct cp_dns_pairs_address address_t;
typedef struct cp_dns_pairs_pair pair_t;

enum fate { FATE_SAME, FATE_CHANGED, FATE_DROPPED };

/* What the rules make of a name; *openings is what it opens by them. */
static enum fate judge_name(const name_t *name,
			    const struct cp_dns_rules *rules, bool keep_unruled,
			    struct cp_dns_openings *openings)
{
	struct cp_dns_match match;

	cp_dns_rules_match(rules, &name->name, &match);
	if (match.verdict == SN_VERDICT_DENY ||
	    (match.verdict == SN_VERDICT_NONE && !keep_unruled) ||
	    !cp_dns_openings_read(&match, openings))
		return FATE_DROPPED;
	return cp_dns_openings_is_equal(openings, &name->openings) ?
		       FATE_SAME :
		       FATE_CHANGED;
}

/* Rules of anonymous entries, and whether these may stay. Below a rule with
 * subdomains any rule that denies, or that is younger, may be about the name
 * that is not known, and then the entry goes. */
struct judged {
	size_t n;
	struct {
		const struct cp_dns_rule *rule;
		bool stays;
	} rules[JUDGED_MAX];
};

static void judge_subdomains(const struct cp_dns_rules *rules,
			     struct judged *judged)
{
	const struct cp_dns_rule *other;
	uint32_t id = 0;

	while (judged->n > 0 && (other = cp_dns_rules_next(rules, id))) {
		id = other->id;
		for (size_t i = 0; i < judged->n; i++) {
			const struct cp_dns_rule *rule = judged->rules[i].rule;

			if ((id > rule->id ||
			     other->verdict == SN_VERDICT_DENY) &&
			    cp_dns_name_is_below(&other->name, &rule->name))
				judged->rules[i].stays = false;
		}
	}
}

static bool stays_anonymous(const struct cp_dns_openings_one *own,
			    const struct cp_dns_rules *rules, bool keep_unruled,
			    const struct judged *judged)
{
	const struct cp_dns_rule *rule;
	struct cp_dns_openings openings;
	struct cp_dns_match match;

	if (own->rule_id == 0)
		return keep_unruled && cp_dns_rules_count(rules) == 0;
	rule = cp_dns_rules_get(rules, own->rule_id);
	if (!rule || rule->verdict != SN_VERDICT_ALLOW ||
	    !cp_dns_openings_is_of(own, rule))
		return false;
	for (size_t i = 0; rule->subdomains && i < judged->n; i++) {
		if (judged->rules[i].rule == rule)
			return judged->rules[i].stays;
	}
	if (rule->subdomains)
		return false;
	cp_dns_rules_match(rules, &rule->name, &match);
	return match.verdict == SN_VERDICT_ALLOW &&
	       cp_dns_openings_read(&match, &openings) &&
	       cp_dns_openings_has(&openings, own);
}

static void note_rule(struct judged *judged, const struct cp_dns_rule *rule)
{
	if (!rule || !rule->subdomains)
		return;
	for (size_t i = 0; i < judged->n; i++) {
		if (judged->rules[i].rule == rule)
			return;
	}
	if (judged->n == JUDGED_MAX)
		return; /* more than can be judged: their entries go */
	judged->rules[judged->n].rule = rule;
	judged->rules[judged->n++].stays = true;
}

static void judge_rules(const struct cp_dns_pairs *pairs,
			const struct cp_dns_rules *rules, struct judged *ret)
{
	const address_t *address = NULL;
	const pair_t *pair;
	size_t chain = 0;

	ret->n = 0;
	if (pairs->n_nameless == 0)
		return;
	while ((address = cp_dns_pairs_next_address(pairs, &chain, address))) {
		TAILQ_FOREACH(pair, &address->pairs, of_address)
			if (!pair->name)
				note_rule(ret,
					  cp_dns_rules_get(rules,
							   pair->own.rule_id));
	}
	judge_subdomains(rules, ret);
}

bool cp_dns_judge_is_current(const struct cp_dns_pairs *pairs,
			     const struct cp_dns_rules *rules,
			     bool keep_unruled)
{
	struct cp_dns_openings openings;
	const address_t *address = NULL;
	const name_t *name = NULL;
	struct judged judged;
	const pair_t *pair;
	size_t chain = 0;

	while ((name = cp_dns_pairs_next_name(pairs, &chain, name))) {
		if (judge_name(name, rules, keep_unruled, &openings) !=
		    FATE_SAME)
			return false;
	}
	judge_rules(pairs, rules, &judged);
	chain = 0;
	while (pairs->n_nameless > 0 &&
	       (address = cp_dns_pairs_next_address(pairs, &chain, address))) {
		TAILQ_FOREACH(pair, &address->pairs, of_address)
			if (!pair->name &&
			    !stays_anonymous(&pair->own, rules, keep_unruled,
					     &judged))
				return false;
	}
	return true;
}

static void mark_addresses(const name_t *name)
{
	const pair_t *pair;

	TAILQ_FOREACH(pair, &name->pairs, of_name)
		pair->address->is_marked = true;
}

static void drop_name(struct cp_dns_pairs *pairs, name_t *name)
{
	uint32_t n = name->n_pairs;

	/* The name goes with the last one. */
	while (n-- > 0)
		cp_dns_pairs_remove(pairs, TAILQ_FIRST(&name->pairs));
}

static size_t apply_to_names(struct cp_dns_pairs *pairs,
			     const struct cp_dns_rules *rules,
			     bool keep_unruled)
{
	size_t chain = 0, n_dropped = 0;
	name_t *name, *next;

	for (name = cp_dns_pairs_next_name(pairs, &chain, NULL); name;
	     name = next) {
		struct cp_dns_openings openings;
		enum fate fate;

		next = cp_dns_pairs_next_name(pairs, &chain, name);
		fate = judge_name(name, rules, keep_unruled, &openings);
		if (fate == FATE_SAME)
			continue;
		mark_addresses(name);
		if (fate == FATE_DROPPED) {
			drop_name(pairs, name);
			n_dropped++;
			continue;
		}
		name->openings = openings;
	}
	return n_dropped;
}

static void apply_to_nameless(struct cp_dns_pairs *pairs,
			      const struct cp_dns_rules *rules,
			      bool keep_unruled)
{
	address_t *address = NULL;
	struct judged judged;
	size_t chain = 0;

	judge_rules(pairs, rules, &judged);
	while (pairs->n_nameless > 0 &&
	       (address = cp_dns_pairs_next_address(pairs, &chain, address))) {
		pair_t *pair = TAILQ_FIRST(&address->pairs);

		while (pair) {
			pair_t *next = TAILQ_NEXT(pair, of_address);

			if (!pair->name &&
			    !stays_anonymous(&pair->own, rules, keep_unruled,
					     &judged)) {
				address->is_marked = true;
				cp_dns_pairs_remove(pairs, pair);
			}
			pair = next;
		}
	}
}

size_t cp_dns_judge_apply(struct cp_dns_pairs *pairs,
			  const struct cp_dns_rules *rules, bool keep_unruled,
			  void (*changed)(void *userdata,
					  const struct cp_dns_address *address),
			  void *userdata)
{
	address_t *address, *next;
	size_t n_dropped, chain = 0;

	n_dropped = apply_to_names(pairs, rules, keep_unruled);
	apply_to_nameless(pairs, rules, keep_unruled);
	for (address = cp_dns_pairs_next_address(pairs, &chain, NULL); address;
	     address = next) {
		struct cp_dns_address at = address->address;
		bool is_changed = address->is_marked;

		next = cp_dns_pairs_next_address(pairs, &chain, address);
		address->is_marked = false;
		if (address->n_pairs == 0)
			cp_dns_pairs_drop_address(pairs, address);
		if (is_changed && changed)
			changed(userdata, &at);
	}
	return n_dropped;
}
