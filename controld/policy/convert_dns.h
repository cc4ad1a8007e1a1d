/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a policy says of names as protobuf messages, as convert.h does for the
 * rest of it and with its answers. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "controld/policy/convert.h"

/* UNSPECIFIED is CP_DNS_MODE_NONE. An unknown value is refused. */
int cp_policy_convert_dns_mode(Sentinel__V1__DnsMode mode, const char *field,
			       enum cp_dns_mode *ret, struct sn_diag *diag);
Sentinel__V1__DnsMode cp_policy_convert_dns_to_mode(enum cp_dns_mode mode);

/* The parts of a domain rule, as AllowDomain and its kin carry them. field is
 * the name before ".domain" (for "domain" itself: ""). The id of *ret is 0. */
struct cp_policy_convert_dns_parts {
	enum sn_verdict verdict;
	const char *domain;
	bool subdomains;
	char *const *ports;
	size_t n_ports;
	uint64_t ttl_floor_s;
};
int cp_policy_convert_dns_rule_parts(
	const struct cp_policy_convert_dns_parts *parts,
	enum cp_policy_owner owner, const char *field, struct cp_dns_rule *ret,
	struct sn_diag *diag);

/* Fields that only answers have (id, owner) are refused. */
int cp_policy_convert_dns_rule(const Sentinel__V1__DomainRule *message,
			       enum cp_policy_owner owner, const char *field,
			       struct cp_dns_rule *ret, struct sn_diag *diag);

/* Adds domain rules to a model, in order, as cp_policy_convert_add_rules(). */
int cp_policy_convert_dns_add_rules(struct cp_policy *policy,
				    Sentinel__V1__DomainRule *const *rules,
				    size_t n_rules, size_t first_index,
				    enum cp_policy_owner owner,
				    const char *field, struct sn_diag *diag);

/* Settings and domain rules into a model; NULL states nothing. field names the
 * message ("policy.dns"). */
int cp_policy_convert_dns_policy(struct cp_policy *policy,
				 const Sentinel__V1__DnsPolicy *message,
				 enum cp_policy_owner owner, const char *field,
				 struct sn_diag *diag);

/* As answers carry them, each in one allocation that free() releases. The
 * settings are without `domains`. */
int cp_policy_convert_dns_to_rule(const struct cp_dns_rule *rule,
				  Sentinel__V1__DomainRule **ret);
int cp_policy_convert_dns_to_settings(const struct cp_dns_settings *settings,
				      Sentinel__V1__DnsPolicy **ret);
