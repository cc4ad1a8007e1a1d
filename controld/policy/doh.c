// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/doh.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Does the rule keep a listed server open? */
static bool opens(const struct cp_policy_rule *rule)
{
	if (rule->owner == CP_POLICY_OWNER_DOH || rule->ttl_s > 0 ||
	    rule->verdict != SN_VERDICT_ALLOW)
		return false;
	for (uint8_t i = 0; i < rule->n_ports; i++) {
		if (cp_policy_ports_match(&rule->ports[i], IPPROTO_TCP,
					  CP_POLICY_DOH_PORT) ||
		    cp_policy_ports_match(&rule->ports[i], IPPROTO_UDP,
					  CP_POLICY_DOH_PORT))
			return true;
	}
	return rule->n_ports == 0;
}

/* What there is at a prefix, and what there should be. */
struct place {
	uint32_t id; /* of our rule, 0: there is none */
	bool is_wanted;
};

static struct place look(const struct cp_policy *policy,
			 const struct cp_dns_doh *doh,
			 const struct cp_policy_cidr *cidr)
{
	struct cp_policy_prefix prefix = { .n_rules = 0 };
	struct cp_dns_address address = { .family = cidr->family };
	struct place place;

	(void)memcpy(address.bytes, cidr->address, sizeof(address.bytes));
	place = (struct place){
		.is_wanted = cp_policy_get_settings(policy).mode ==
				     SN_MODE_DENYLIST &&
			     cp_policy_cidr_is_host(cidr) &&
			     cp_dns_doh_has_address(doh, &address),
	};
	if (!cp_policy_get_prefix(policy, cidr, &prefix))
		return place;
	for (uint8_t i = 0; i < prefix.n_rules; i++) {
		if (prefix.rules[i]->owner == CP_POLICY_OWNER_DOH)
			place.id = prefix.rules[i]->id;
		if (opens(prefix.rules[i]))
			place.is_wanted = false;
	}
	return place;
}

int cp_policy_doh_settle_prefix(struct cp_policy *policy,
				const struct cp_dns_doh *doh,
				const struct cp_policy_cidr *cidr)
{
	const struct cp_policy_rule rule = {
		.cidr = *cidr,
		.verdict = SN_VERDICT_DENY,
		.owner = CP_POLICY_OWNER_DOH,
		.n_ports = 1,
		.ports = { { .low = CP_POLICY_DOH_PORT,
			     .high = CP_POLICY_DOH_PORT } },
	};
	struct place place = look(policy, doh, cidr);
	int r;

	if (place.is_wanted == (place.id != 0))
		return 0;
	if (!place.is_wanted) {
		(void)cp_policy_remove_id(policy, place.id);
		return 0;
	}
	r = cp_policy_add(policy, &rule, NULL, NULL);
	return r > 0 ? CP_POLICY_DOH_E_FULL : r;
}

/* Rules of ours that should not be there; in *ids, which free(3) releases, or
 * only counted. */
static int find_unwanted(const struct cp_policy *policy,
			 const struct cp_dns_doh *doh, uint32_t **ids,
			 size_t *n)
{
	const struct cp_policy_rule *rule;
	size_t cursor = 0;

	*n = 0;
	while ((rule = cp_policy_walk_rules(policy, &cursor))) {
		if (rule->owner != CP_POLICY_OWNER_DOH ||
		    look(policy, doh, &rule->cidr).is_wanted)
			continue;
		if (ids && (*n & (*n - 1)) == 0) {
			uint32_t *grown = reallocarray(*ids, *n ? 2 * *n : 1,
						       sizeof(**ids));

			if (!grown)
				return -ENOMEM;
			*ids = grown;
		}
		if (ids)
			(*ids)[*n] = rule->id;
		(*n)++;
	}
	return 0;
}

int cp_policy_doh_settle(struct cp_policy *policy, const struct cp_dns_doh *doh,
			 struct cp_policy_cidr *full)
{
	sn_cleanup(sn_freep) uint32_t *ids = NULL;
	const struct cp_policy_cidr *addresses;
	size_t n;
	int r;

	r = find_unwanted(policy, doh, &ids, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		(void)cp_policy_remove_id(policy, ids[i]);
	addresses = cp_dns_doh_get_addresses(doh, &n);
	for (size_t i = 0; i < n; i++) {
		r = cp_policy_doh_settle_prefix(policy, doh, &addresses[i]);
		if (r && full)
			*full = addresses[i];
		if (r)
			return r;
	}
	return 0;
}

bool cp_policy_doh_is_settled(const struct cp_policy *policy,
			      const struct cp_dns_doh *doh)
{
	const struct cp_policy_cidr *addresses;
	struct place place;
	size_t n;

	(void)find_unwanted(policy, doh, NULL, &n);
	if (n > 0)
		return false;
	addresses = cp_dns_doh_get_addresses(doh, &n);
	for (size_t i = 0; i < n; i++) {
		place = look(policy, doh, &addresses[i]);
		if (place.is_wanted && !place.id)
			return false;
	}
	return true;
}
