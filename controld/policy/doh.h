/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The rules of the owner DOH: in a denylist, port 443 of each listed server is
 * denied, unless a rule of somebody else allows it at that very address and
 * without a TTL (after whose end nobody would deny it again). Whatever changes
 * a policy settles it before it takes effect. Pure. */

#include "controld/dns/doh.h"
#include "controld/policy/policy.h"

enum {
	CP_POLICY_DOH_PORT = 443,
	/* A server's rule has no room: its prefix or the policy is full. */
	CP_POLICY_DOH_E_FULL = 1,
};

/* doh may be NULL: nothing is listed. *full (may be NULL) is the server of
 * E_FULL, with which as with -ENOMEM a part may be done. */
int cp_policy_doh_settle(struct cp_policy *policy, const struct cp_dns_doh *doh,
			 struct cp_policy_cidr *full);

/* The same after a change of one prefix only. */
int cp_policy_doh_settle_prefix(struct cp_policy *policy,
				const struct cp_dns_doh *doh,
				const struct cp_policy_cidr *cidr);

/* Would settling change nothing? */
bool cp_policy_doh_is_settled(const struct cp_policy *policy,
			      const struct cp_dns_doh *doh);
