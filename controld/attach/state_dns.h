/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a policy says of names, as the state file keeps it; for state.c. */

#include "controld/policy/policy.h"
#include "sentinel/state/v1/state.pb-c.h"

/* Everything that the packed message points to. */
struct cp_attach_state_dns {
	Sentinel__State__V1__DnsSettings settings;
	Sentinel__State__V1__Upstream upstreams[CP_DNS_UPSTREAMS_MAX];
	Sentinel__State__V1__Upstream *upstream_ptrs[CP_DNS_UPSTREAMS_MAX];
	Sentinel__State__V1__DomainRule *rules;
	Sentinel__State__V1__DomainRule **rule_ptrs;
	Sentinel__State__V1__Port *ports;
	Sentinel__State__V1__Port **port_ptrs;
};

/* packed must outlive ret, and is released in any case. -ENOMEM. */
int cp_attach_state_dns_pack(const struct cp_policy *policy,
			     struct cp_attach_state_dns *packed,
			     Sentinel__State__V1__Policy *ret);
void cp_attach_state_dns_done(struct cp_attach_state_dns *packed);

/* One rule; ports, port_ptrs: room for those of the rule. ret points into all
 * of these. */
void cp_attach_state_dns_pack_rule(const struct cp_dns_rule *rule,
				   Sentinel__State__V1__DomainRule *ret,
				   Sentinel__State__V1__Port *ports,
				   Sentinel__State__V1__Port **port_ptrs);
/* -EBADMSG. */
int cp_attach_state_dns_unpack_rule(const Sentinel__State__V1__DomainRule *from,
				    struct cp_dns_rule *ret);
int cp_attach_state_dns_unpack_name(const ProtobufCBinaryData *from,
				    struct cp_dns_name *ret);

/* Into a policy that has nothing of it yet. -EBADMSG. */
int cp_attach_state_dns_unpack(const Sentinel__State__V1__Policy *from,
			       struct cp_policy *policy);
