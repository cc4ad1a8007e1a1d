/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The side of a policy that is about names, for policy.c. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "controld/dns/rules.h"
#include "controld/dns/settings.h"

struct cp_policy_domains {
	struct cp_dns_settings settings;
	struct cp_dns_rules *rules; /* never NULL once initialised */
};

/* Settings that state nothing, no rules. -ENOMEM. */
int cp_policy_domains_init(struct cp_policy_domains *domains);
void cp_policy_domains_done(struct cp_policy_domains *domains);

/* ret is initialised; on failure it still is. */
int cp_policy_domains_copy(const struct cp_policy_domains *domains,
			   struct cp_policy_domains *ret);

/* How many rules have no equal one in `other`. */
size_t cp_policy_domains_count_new(const struct cp_policy_domains *domains,
				   const struct cp_policy_domains *other);

/* A copy of the rules in which those that have an equal one in `running` have
 * its id, and the others the numbers from *next_id on. -ENOMEM. */
int cp_policy_domains_renumber(const struct cp_policy_domains *domains,
			       const struct cp_policy_domains *running,
			       uint64_t *next_id, struct cp_dns_rules **ret);
