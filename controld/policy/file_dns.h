/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The mapping `dns` of policy files, for file.c. Keys: mode, steering,
 * upstreams, domains: [{allow|deny: NAME, subdomains, ports, ttl_floor}, ...],
 * denied, allow_private, hints, dnssec. */

#include <stdbool.h>

#include "controld/config/schema.h"
#include "controld/policy/file_walk.h"

struct cp_policy_file_dns {
	unsigned int mode; /* Sentinel__V1__DnsMode */
	unsigned int denied; /* Sentinel__V1__DnsDenied */
	unsigned int hints;
	bool steering;
	bool allow_private;
	bool dnssec;
	struct cp_config_schema_strings upstreams;
};

/* The userdata of the walk is a struct cp_policy_file_walk. */
extern const struct cp_config_schema_item cp_policy_file_dns_items[];
int cp_policy_file_dns_check(const void *field, struct sn_diag *diag);

/* Takes the walk's domain rules and the upstreams; *ret is NULL if nothing is
 * stated. 0 or -ENOMEM. */
int cp_policy_file_dns_finish(struct cp_policy_file_dns *dns,
			      struct cp_policy_file_walk *walk,
			      Sentinel__V1__DnsPolicy **ret);
Sentinel__V1__DnsPolicy *
cp_policy_file_dns_free(Sentinel__V1__DnsPolicy *message);
