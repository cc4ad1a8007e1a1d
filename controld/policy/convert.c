// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/convert.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/policy/convert_dns.h"
#include "controld/policy/field.h"

enum { INVALID = 100 /* none of cp_policy_add()'s answers */ };

static const struct {
	Sentinel__V1__Mode message;
	enum sn_mode mode;
} modes[] = {
	{ SENTINEL__V1__MODE__MODE_DISABLED, SN_MODE_DISABLED },
	{ SENTINEL__V1__MODE__MODE_ALLOWLIST, SN_MODE_ALLOWLIST },
	{ SENTINEL__V1__MODE__MODE_DENYLIST, SN_MODE_DENYLIST },
	{ SENTINEL__V1__MODE__MODE_BLOCK_ALL, SN_MODE_BLOCK_ALL },
};

static const struct {
	Sentinel__V1__Inbound message;
	enum sn_inbound inbound;
} inbounds[] = {
	{ SENTINEL__V1__INBOUND__INBOUND_REPLIES, SN_INBOUND_REPLIES },
	{ SENTINEL__V1__INBOUND__INBOUND_ALLOW, SN_INBOUND_ALLOW },
	{ SENTINEL__V1__INBOUND__INBOUND_BLOCK, SN_INBOUND_BLOCK },
};

int cp_policy_convert_mode(Sentinel__V1__Mode mode, const char *field,
			   enum sn_mode *ret, struct sn_diag *diag)
{
	if (mode == SENTINEL__V1__MODE__MODE_UNSPECIFIED)
		return 0;
	for (size_t i = 0; i < SN_ARRAY_SIZE(modes); i++) {
		if (modes[i].message == mode) {
			*ret = modes[i].mode;
			return 0;
		}
	}
	sn_diag_set(diag, field, "%d is no mode that is known here", (int)mode);
	return CP_POLICY_CONVERT_E_INVALID;
}

int cp_policy_convert_inbound(Sentinel__V1__Inbound inbound, const char *field,
			      enum sn_inbound *ret, struct sn_diag *diag)
{
	if (inbound == SENTINEL__V1__INBOUND__INBOUND_UNSPECIFIED)
		return 0;
	for (size_t i = 0; i < SN_ARRAY_SIZE(inbounds); i++) {
		if (inbounds[i].message == inbound) {
			*ret = inbounds[i].inbound;
			return 0;
		}
	}
	sn_diag_set(diag, field, "%d is no inbound setting that is known here",
		    (int)inbound);
	return CP_POLICY_CONVERT_E_INVALID;
}

Sentinel__V1__Mode cp_policy_convert_to_mode(enum sn_mode mode)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(modes); i++) {
		if (modes[i].mode == mode)
			return modes[i].message;
	}
	return SENTINEL__V1__MODE__MODE_UNSPECIFIED;
}

Sentinel__V1__Inbound cp_policy_convert_to_inbound(enum sn_inbound inbound)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(inbounds); i++) {
		if (inbounds[i].inbound == inbound)
			return inbounds[i].message;
	}
	return SENTINEL__V1__INBOUND__INBOUND_UNSPECIFIED;
}

int cp_policy_convert_rule_parts(enum sn_verdict verdict, const char *cidr,
				 char *const *ports, size_t n_ports,
				 uint64_t ttl_s, enum cp_policy_owner owner,
				 const char *field, struct cp_policy_rule *ret,
				 struct sn_diag *diag)
{
	struct cp_policy_rule rule = {
		.verdict = (uint8_t)verdict,
		.owner = (uint8_t)owner,
	};

	if (!*cidr) {
		sn_diag_set(diag, NULL, "a prefix or address must be given");
		return cp_policy_field_refuse(diag, field, "cidr");
	}
	if (cp_policy_cidr_parse(cidr, &rule.cidr, diag) != 0)
		return cp_policy_field_refuse(diag, field, "cidr");
	if (cp_policy_field_read_ports(ports, n_ports, field, rule.ports,
				       &rule.n_ports, diag) != 0)
		return CP_POLICY_CONVERT_E_INVALID;
	if (ttl_s > CP_POLICY_TTL_MAX_S) {
		sn_diag_set(diag, NULL, "%llu seconds are more than %u",
			    (unsigned long long)ttl_s, CP_POLICY_TTL_MAX_S);
		return cp_policy_field_refuse(diag, field, "ttl_seconds");
	}
	rule.ttl_s = (uint32_t)ttl_s;
	*ret = rule;
	return 0;
}

int cp_policy_convert_rule(const Sentinel__V1__Rule *message,
			   enum cp_policy_owner owner, const char *field,
			   struct cp_policy_rule *ret, struct sn_diag *diag)
{
	enum sn_verdict verdict;

	if (cp_policy_field_read_verdict(message->verdict, field, &verdict,
					 diag) != 0)
		return CP_POLICY_CONVERT_E_INVALID;
	if (message->id)
		return cp_policy_field_refuse_answer(diag, field, "id");
	if (*message->owner)
		return cp_policy_field_refuse_answer(diag, field, "owner");
	if (message->remaining_seconds)
		return cp_policy_field_refuse_answer(diag, field,
						     "remaining_seconds");
	return cp_policy_convert_rule_parts(verdict, message->cidr,
					    message->ports, message->n_ports,
					    message->ttl_seconds, owner, field,
					    ret, diag);
}

static int refuse_rule(int r, const struct cp_policy_rule *previous,
		       const struct cp_policy_rule *rule, const char *field,
		       struct sn_diag *diag)
{
	char text[CP_POLICY_CIDR_TEXT_BYTES];

	if (r == CP_POLICY_E_REPLACED) {
		sn_diag_set(diag, field,
			    "a rule for %s with the same ports comes earlier "
			    "and %s",
			    cp_policy_cidr_format(&rule->cidr, text),
			    previous->verdict != rule->verdict ?
				    "says the opposite" :
				    "needs no second");
		return CP_POLICY_CONVERT_E_INVALID;
	}
	if (r == CP_POLICY_E_PREFIX_FULL)
		sn_diag_set(diag, field,
			    "%s has more than %d ports and protocols over all "
			    "of its rules",
			    cp_policy_cidr_format(&rule->cidr, text),
			    SN_ITEMS_MAX);
	else
		sn_diag_set(diag, field,
			    "the policy has more rules than limits."
			    "rules_per_policy allows");
	return CP_POLICY_CONVERT_E_FULL;
}

int cp_policy_convert_add_rules(struct cp_policy *policy,
				Sentinel__V1__Rule *const *rules,
				size_t n_rules, size_t first_index,
				enum cp_policy_owner owner, const char *field,
				struct sn_diag *diag)
{
	struct cp_policy_rule rule, previous;
	char name[32], whole[CP_POLICY_FIELD_BYTES], inner[SN_DIAG_FILE_BYTES];
	int r;

	for (size_t i = 0; i < n_rules; i++) {
		r = cp_policy_convert_rule(rules[i], owner, "", &rule, diag);
		if (r == 0)
			r = cp_policy_add(policy, &rule, NULL, &previous);
		else if (r == CP_POLICY_CONVERT_E_INVALID)
			r = INVALID;
		if (r == 0)
			continue;
		if (r < 0)
			return r;

		(void)snprintf(name, sizeof(name), "rules[%zu]",
			       first_index + i);
		(void)cp_policy_field_join(whole, field, name);
		if (r != INVALID)
			return refuse_rule(r, &previous, &rule, whole, diag);
		(void)memcpy(inner, diag->field, sizeof(inner));
		return cp_policy_field_refuse(diag, whole, inner);
	}
	return 0;
}

int cp_policy_convert_policy(const Sentinel__V1__Policy *message,
			     size_t max_rules, enum cp_policy_owner owner,
			     const char *field, struct cp_policy **ret,
			     struct sn_diag *diag)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	struct cp_policy_settings settings;
	char whole[CP_POLICY_FIELD_BYTES];
	int r;

	r = cp_policy_new(&policy, max_rules);
	if (r < 0)
		return r;
	if (message) {
		settings = cp_policy_get_settings(policy);
		r = cp_policy_convert_mode(message->mode,
					   cp_policy_field_join(whole, field,
								"mode"),
					   &settings.mode, diag);
		if (r)
			return r;
		r = cp_policy_convert_inbound(message->inbound,
					      cp_policy_field_join(whole, field,
								   "inbound"),
					      &settings.inbound, diag);
		if (r)
			return r;
		settings.audit = message->audit;
		cp_policy_put_settings(policy, &settings);
		r = cp_policy_convert_add_rules(policy, message->rules,
						message->n_rules, 0, owner,
						field, diag);
		if (r)
			return r;
		r = cp_policy_convert_dns_policy(
			policy, message->dns, owner,
			cp_policy_field_join(whole, field, "dns"), diag);
		if (r)
			return r;
	}
	*ret = sn_steal(&policy);
	return 0;
}

/* A rule message with its strings behind it. */
struct packed_rule {
	Sentinel__V1__Rule message;
	char *ports[CP_POLICY_PORTS_MAX];
	char texts[CP_POLICY_PORTS_MAX][CP_POLICY_PORTS_TEXT_BYTES];
	char cidr[CP_POLICY_CIDR_TEXT_BYTES];
	char owner[CP_POLICY_OWNER_TEXT_BYTES];
};

static uint64_t remaining(const struct cp_policy_rule *rule, uint64_t now_ns)
{
	if (rule->expires_ns <= now_ns)
		return 0;
	return (rule->expires_ns - now_ns + SN_NS_PER_S - 1) / SN_NS_PER_S;
}

int cp_policy_convert_to_rule(const struct cp_policy_rule *rule,
			      uint64_t now_ns, Sentinel__V1__Rule **ret)
{
	struct packed_rule *packed = calloc(1, sizeof(*packed));

	if (!packed)
		return -ENOMEM;
	sentinel__v1__rule__init(&packed->message);
	packed->message.verdict = cp_policy_field_to_verdict(rule->verdict);
	packed->message.cidr = cp_policy_cidr_format(&rule->cidr, packed->cidr);
	for (uint8_t i = 0; i < rule->n_ports; i++)
		packed->ports[i] = cp_policy_ports_format(&rule->ports[i],
							  packed->texts[i]);
	packed->message.n_ports = rule->n_ports;
	packed->message.ports = packed->ports;
	packed->message.ttl_seconds = rule->ttl_s;
	packed->message.id = rule->id;
	(void)snprintf(packed->owner, sizeof(packed->owner), "%s",
		       cp_policy_owner_name(rule->owner));
	packed->message.owner = packed->owner;
	packed->message.remaining_seconds = remaining(rule, now_ns);
	*ret = &packed->message;
	return 0;
}
