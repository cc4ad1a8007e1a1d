/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/ctl/judge.h"

#include <netinet/in.h>
#include <string.h>

#include "controld/policy/match.h"

static bool is_steered(const struct cp_policy *policy)
{
	return !cp_policy_get_dns(policy)->no_steering &&
	       cp_policy_get_settings(policy).mode != SN_MODE_BLOCK_ALL;
}

/* May the name be resolved? Where port 53 is not steered nobody asks. */
static bool may_resolve(const struct cp_policy *policy,
			const struct cp_dns_match *match)
{
	switch (cp_dns_settings_mode(cp_policy_get_dns(policy),
				     cp_policy_get_settings(policy).mode)) {
	case CP_DNS_MODE_DISABLED:
		return true;
	case CP_DNS_MODE_DENYLIST:
		return match->verdict != SN_VERDICT_DENY;
	case CP_DNS_MODE_NONE:
	case CP_DNS_MODE_ALLOWLIST:
	case CP_DNS_MODE_PROXY:
		break;
	}
	return match->verdict == SN_VERDICT_ALLOW;
}

/* Would the answer open it? */
static bool opens(const struct cp_policy *policy,
		  const struct cp_dns_match *match,
		  const struct cp_ctl_judge_destination *destination)
{
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	uint8_t n = 0;

	if (!cp_dns_settings_learns(cp_policy_get_dns(policy),
				    cp_policy_get_settings(policy).mode))
		return false;
	if (match->n_rules > 0 && cp_dns_rules_get_ports(match, ports, &n) < 0)
		return false;
	if (n == 0)
		return true;
	for (uint8_t i = 0; i < n; i++) {
		if (cp_policy_ports_match(&ports[i], destination->protocol,
					  destination->port))
			return true;
	}
	return false;
}

static struct cp_policy_match_verdict
judge_address(const struct cp_policy *policy,
	      const struct cp_ctl_judge_destination *destination)
{
	struct cp_policy_match_source source =
		cp_policy_match_source_policy(policy, true);
	struct cp_policy_match_packet packet = {
		.kind = CP_POLICY_MATCH_KIND_PLAIN,
		.direction = SN_EGRESS,
		.role = SN_ROLE_WORKLOAD,
		.family = (enum sn_family)destination->address->family,
		.protocol = destination->protocol,
		.is_tcp_syn = destination->protocol == IPPROTO_TCP,
		.remote_port = destination->port,
	};

	(void)memcpy(packet.remote, destination->address->bytes,
		     sizeof(packet.remote));
	source.steers = is_steered(policy);
	return cp_policy_match_judge(&source, &packet, NULL, 0);
}

/* What a name opens is a host prefix: only a rule of exactly this address can
 * deny it. */
static bool is_host_denied(const struct cp_policy *policy,
			   const struct cp_ctl_judge_destination *destination)
{
	struct cp_policy_match_verdict verdict =
		judge_address(policy, destination);
	const struct cp_policy_rule *rule =
		cp_policy_get_rule(policy, verdict.rule_id);

	return verdict.reason == SN_REASON_DENY_RULE && rule &&
	       cp_policy_cidr_is_host(&rule->cidr);
}

struct cp_ctl_judge_verdict
cp_ctl_judge(const struct cp_policy *policy,
	     const struct cp_ctl_judge_destination *destination)
{
	struct cp_dns_match match = { .verdict = SN_VERDICT_NONE };
	struct cp_policy_match_verdict verdict;

	if (destination->name && is_steered(policy)) {
		cp_dns_rules_match(cp_policy_get_domains(policy),
				   destination->name, &match);
		if (!may_resolve(policy, &match))
			return (struct cp_ctl_judge_verdict){ false,
							      "dns-denied" };
		if (!destination->address)
			return (struct cp_ctl_judge_verdict){ true, "allowed" };
		if (opens(policy, &match, destination) &&
		    !is_host_denied(policy, destination))
			return (struct cp_ctl_judge_verdict){ true, "allowed" };
	}
	if (!destination->address)
		return (struct cp_ctl_judge_verdict){ true, "allowed" };
	verdict = judge_address(policy, destination);
	return (struct cp_ctl_judge_verdict){
		.passes = verdict.pass &&
			  sn_reasons_info[verdict.reason].kind !=
				  SN_REASON_KIND_POLICY,
		.reason = sn_reasons_info[verdict.reason].name,
	};
}
