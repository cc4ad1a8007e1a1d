/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Policies and rules as protobuf messages, as the model has them. Pure. A
 * refused message is named by field in diag ("policy.rules[3].cidr"). */

#include <stddef.h>
#include <stdint.h>

#include "controld/policy/policy.h"
#include "sentinel/v1/policy.pb-c.h"
#include "shared/diag.h"

/* Answers besides 0 and -errno. */
enum {
	CP_POLICY_CONVERT_E_INVALID = 1, /* diag has field and text */
	CP_POLICY_CONVERT_E_FULL, /* over max_rules or items of a prefix */
};

/* UNSPECIFIED: ret keeps its value. An unknown value is refused. */
int cp_policy_convert_mode(Sentinel__V1__Mode mode, const char *field,
			   enum sn_mode *ret, struct sn_diag *diag);
int cp_policy_convert_inbound(Sentinel__V1__Inbound inbound, const char *field,
			      enum sn_inbound *ret, struct sn_diag *diag);

Sentinel__V1__Mode cp_policy_convert_to_mode(enum sn_mode mode);
Sentinel__V1__Inbound cp_policy_convert_to_inbound(enum sn_inbound inbound);

/* The parts of a rule, as AllowCIDR and its kin carry them. field is the name
 * before ".cidr" (for "cidr" itself: ""). id and expires_ns of *ret are 0. */
int cp_policy_convert_rule_parts(enum sn_verdict verdict, const char *cidr,
				 char *const *ports, size_t n_ports,
				 uint64_t ttl_s, enum cp_policy_owner owner,
				 const char *field, struct cp_policy_rule *ret,
				 struct sn_diag *diag);

/* Fields that only answers have (id, owner, remaining_seconds) are refused. */
int cp_policy_convert_rule(const Sentinel__V1__Rule *message,
			   enum cp_policy_owner owner, const char *field,
			   struct cp_policy_rule *ret, struct sn_diag *diag);

/* Adds rules to a model, in order; two that differ in nothing but verdict or
 * TTL are refused. first_index counts those of earlier messages, for the names
 * of fields. On failure the model holds a part. */
int cp_policy_convert_add_rules(struct cp_policy *policy,
				Sentinel__V1__Rule *const *rules,
				size_t n_rules, size_t first_index,
				enum cp_policy_owner owner, const char *field,
				struct sn_diag *diag);

/* A whole policy; NULL is one without rules and with the default settings. */
int cp_policy_convert_policy(const Sentinel__V1__Policy *message,
			     size_t max_rules, enum cp_policy_owner owner,
			     const char *field, struct cp_policy **ret,
			     struct sn_diag *diag);

/* A rule as answers carry it, in one allocation that free() releases. */
int cp_policy_convert_to_rule(const struct cp_policy_rule *rule,
			      uint64_t now_ns, Sentinel__V1__Rule **ret);
