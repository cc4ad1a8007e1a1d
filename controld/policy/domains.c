// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/domains.h"

#include <assert.h>
#include <errno.h>

int cp_policy_domains_init(struct cp_policy_domains *domains)
{
	*domains = (struct cp_policy_domains){ .rules = NULL };
	return cp_dns_rules_new(&domains->rules);
}

void cp_policy_domains_done(struct cp_policy_domains *domains)
{
	domains->rules = cp_dns_rules_free(domains->rules);
}

int cp_policy_domains_copy(const struct cp_policy_domains *domains,
			   struct cp_policy_domains *ret)
{
	struct cp_dns_rules *rules;
	int r;

	r = cp_dns_rules_copy(domains->rules, &rules);
	if (r < 0)
		return r;
	cp_dns_rules_free(ret->rules);
	ret->rules = rules;
	ret->settings = domains->settings;
	return 0;
}

static const struct cp_dns_rule *
find_equal(const struct cp_policy_domains *domains,
	   const struct cp_dns_rule *rule)
{
	const struct cp_dns_rule *there =
		cp_dns_rules_find(domains->rules, rule);

	return there && cp_dns_rules_is_equal(there, rule) ? there : NULL;
}

size_t cp_policy_domains_count_new(const struct cp_policy_domains *domains,
				   const struct cp_policy_domains *other)
{
	const struct cp_dns_rule *rule;
	uint32_t id = 0;
	size_t n = 0;

	while ((rule = cp_dns_rules_next(domains->rules, id))) {
		id = rule->id;
		n += !find_equal(other, rule);
	}
	return n;
}

int cp_policy_domains_renumber(const struct cp_policy_domains *domains,
			       const struct cp_policy_domains *running,
			       uint64_t *next_id, struct cp_dns_rules **ret)
{
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules = NULL;
	const struct cp_dns_rule *rule;
	uint64_t next = *next_id;
	uint32_t id = 0;
	int r;

	r = cp_dns_rules_new(&rules);
	if (r < 0)
		return r;
	while ((rule = cp_dns_rules_next(domains->rules, id))) {
		const struct cp_dns_rule *equal = find_equal(running, rule);
		struct cp_dns_rule numbered = *rule;

		id = rule->id;
		numbered.id = equal ? equal->id : (uint32_t)next++;
		r = cp_dns_rules_add(rules, &numbered, NULL);
		if (r < 0)
			return r;
		/* What one set of rules holds another one holds too. */
		assert(r == 0);
	}
	*next_id = next;
	*ret = sn_steal(&rules);
	return 0;
}
