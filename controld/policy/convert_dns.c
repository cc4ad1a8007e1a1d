// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/convert_dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/policy/field.h"
#include "controld/upstream/servers.h"

/* Values are converted by their numbers. */
#define SAME(message, own) \
	_Static_assert((int)(message) == (int)(own), "one numbering")
SAME(SENTINEL__V1__DNS_MODE__DNS_MODE_UNSPECIFIED, CP_DNS_MODE_NONE);
SAME(SENTINEL__V1__DNS_MODE__DNS_MODE_DISABLED, CP_DNS_MODE_DISABLED);
SAME(SENTINEL__V1__DNS_MODE__DNS_MODE_ALLOWLIST, CP_DNS_MODE_ALLOWLIST);
SAME(SENTINEL__V1__DNS_MODE__DNS_MODE_DENYLIST, CP_DNS_MODE_DENYLIST);
SAME(SENTINEL__V1__DNS_MODE__DNS_MODE_PROXY, CP_DNS_MODE_PROXY);
SAME(SENTINEL__V1__DNS_DENIED__DNS_DENIED_UNSPECIFIED, CP_DNS_DENIED_NONE);
SAME(SENTINEL__V1__DNS_DENIED__DNS_DENIED_REFUSED, CP_DNS_DENIED_REFUSED);
SAME(SENTINEL__V1__DNS_DENIED__DNS_DENIED_NXDOMAIN, CP_DNS_DENIED_NXDOMAIN);
SAME(SENTINEL__V1__DNS_DENIED__DNS_DENIED_SINKHOLE, CP_DNS_DENIED_SINKHOLE);

static int refuse_value(struct sn_diag *diag, const char *field,
			const char *name, int value)
{
	sn_diag_set(diag, NULL, "%d is not known here", value);
	return cp_policy_field_refuse(diag, field, name);
}

int cp_policy_convert_dns_mode(Sentinel__V1__DnsMode mode, const char *field,
			       enum cp_dns_mode *ret, struct sn_diag *diag)
{
	if ((int)mode < CP_DNS_MODE_NONE || (int)mode > CP_DNS_MODE_PROXY)
		return refuse_value(diag, field, "", (int)mode);
	*ret = (enum cp_dns_mode)(int)mode;
	return 0;
}

Sentinel__V1__DnsMode cp_policy_convert_dns_to_mode(enum cp_dns_mode mode)
{
	return (Sentinel__V1__DnsMode)(int)mode;
}

static int refuse_for_deny(struct sn_diag *diag, const char *field,
			   const char *name)
{
	sn_diag_set(diag, NULL, "is only for rules that allow");
	return cp_policy_field_refuse(diag, field, name);
}

/* What only a rule that allows can say. */
static int convert_opening(const struct cp_policy_convert_dns_parts *parts,
			   const char *field, struct cp_dns_rule *rule,
			   struct sn_diag *diag)
{
	if (parts->verdict == SN_VERDICT_DENY && parts->n_ports > 0)
		return refuse_for_deny(diag, field, "ports");
	if (parts->verdict == SN_VERDICT_DENY && parts->ttl_floor_s > 0)
		return refuse_for_deny(diag, field, "ttl_floor_seconds");
	if (cp_policy_field_read_ports(parts->ports, parts->n_ports, field,
				       rule->ports, &rule->n_ports, diag) != 0)
		return CP_POLICY_CONVERT_E_INVALID;
	if (parts->ttl_floor_s > CP_DNS_RULES_FLOOR_MAX_S) {
		sn_diag_set(diag, NULL, "%llu seconds are more than %u",
			    (unsigned long long)parts->ttl_floor_s,
			    CP_DNS_RULES_FLOOR_MAX_S);
		return cp_policy_field_refuse(diag, field, "ttl_floor_seconds");
	}
	rule->ttl_floor_s = (uint32_t)parts->ttl_floor_s;
	return 0;
}

int cp_policy_convert_dns_rule_parts(
	const struct cp_policy_convert_dns_parts *parts,
	enum cp_policy_owner owner, const char *field, struct cp_dns_rule *ret,
	struct sn_diag *diag)
{
	struct cp_dns_rule rule = {
		.verdict = (uint8_t)parts->verdict,
		.owner = (uint8_t)owner,
		.subdomains = parts->subdomains,
	};
	int r;

	if (!*parts->domain) {
		sn_diag_set(diag, NULL, "a name must be given");
		return cp_policy_field_refuse(diag, field, "domain");
	}
	if (cp_dns_name_parse(parts->domain, &rule.name, diag) != 0)
		return cp_policy_field_refuse(diag, field, "domain");
	r = convert_opening(parts, field, &rule, diag);
	if (r == 0)
		*ret = rule;
	return r;
}

int cp_policy_convert_dns_rule(const Sentinel__V1__DomainRule *message,
			       enum cp_policy_owner owner, const char *field,
			       struct cp_dns_rule *ret, struct sn_diag *diag)
{
	struct cp_policy_convert_dns_parts parts = {
		.domain = message->domain,
		.subdomains = message->subdomains,
		.ports = message->ports,
		.n_ports = message->n_ports,
		.ttl_floor_s = message->ttl_floor_seconds,
	};

	if (cp_policy_field_read_verdict(message->verdict, field,
					 &parts.verdict, diag) != 0)
		return CP_POLICY_CONVERT_E_INVALID;
	if (message->id)
		return cp_policy_field_refuse_answer(diag, field, "id");
	if (*message->owner)
		return cp_policy_field_refuse_answer(diag, field, "owner");
	return cp_policy_convert_dns_rule_parts(&parts, owner, field, ret,
						diag);
}

/* An answer of cp_policy_add_domain() that a whole policy cannot have. */
static int refuse_rule(int r, const struct cp_dns_rule *previous,
		       const struct cp_dns_rule *rule, const char *field,
		       struct sn_diag *diag)
{
	char text[CP_DNS_NAME_TEXT_BYTES];

	(void)cp_dns_name_format(&rule->name, text);
	if (r == CP_POLICY_E_REPLACED) {
		sn_diag_set(diag, field,
			    "a rule for %.200s with the same ports comes "
			    "earlier and %s",
			    text,
			    previous->verdict != rule->verdict ?
				    "says the opposite" :
				    "needs no second");
		return CP_POLICY_CONVERT_E_INVALID;
	}
	if (r == CP_DNS_RULES_E_NAME_FULL)
		sn_diag_set(diag, field, "%.200s has more than %d rules", text,
			    CP_DNS_RULES_PER_NAME);
	else
		sn_diag_set(diag, field,
			    "the policy has more rules than limits."
			    "rules_per_policy allows");
	return CP_POLICY_CONVERT_E_FULL;
}

int cp_policy_convert_dns_add_rules(struct cp_policy *policy,
				    Sentinel__V1__DomainRule *const *rules,
				    size_t n_rules, size_t first_index,
				    enum cp_policy_owner owner,
				    const char *field, struct sn_diag *diag)
{
	struct cp_dns_rule rule, previous;
	char name[32], whole[CP_POLICY_FIELD_BYTES];
	int r;

	for (size_t i = 0; i < n_rules; i++) {
		(void)snprintf(name, sizeof(name), "domains[%zu]",
			       first_index + i);
		(void)cp_policy_field_join(whole, field, name);
		r = cp_policy_convert_dns_rule(rules[i], owner, whole, &rule,
					       diag);
		if (r)
			return r;
		r = cp_policy_add_domain(policy, &rule, NULL, &previous);
		if (r)
			return r < 0 ? r :
				       refuse_rule(r, &previous, &rule, whole,
						   diag);
	}
	return 0;
}

static int convert_upstreams(const Sentinel__V1__DnsPolicy *message,
			     const char *field, struct cp_dns_settings *ret,
			     struct sn_diag *diag)
{
	char name[32];

	if (message->n_upstreams > CP_DNS_UPSTREAMS_MAX) {
		sn_diag_set(diag, NULL, "%zu are more than %d",
			    message->n_upstreams, CP_DNS_UPSTREAMS_MAX);
		return cp_policy_field_refuse(diag, field, "upstreams");
	}
	for (size_t i = 0; i < message->n_upstreams; i++) {
		(void)snprintf(name, sizeof(name), "upstreams[%zu]", i);
		if (cp_upstream_servers_parse(message->upstreams[i],
					      &ret->upstreams[i], diag) != 0)
			return cp_policy_field_refuse(diag, field, name);
		for (size_t j = 0; j < i; j++) {
			if (memcmp(&ret->upstreams[i], &ret->upstreams[j],
				   sizeof(ret->upstreams[i])) != 0)
				continue;
			sn_diag_set(diag, NULL, "is given twice");
			return cp_policy_field_refuse(diag, field, name);
		}
	}
	ret->n_upstreams = (uint8_t)message->n_upstreams;
	if (message->dnssec && ret->n_upstreams == 0) {
		sn_diag_set(diag, NULL,
			    "is of the policy's own upstreams, and there are "
			    "none");
		return cp_policy_field_refuse(diag, field, "dnssec");
	}
	ret->dnssec = message->dnssec;
	return 0;
}

static int convert_choices(const Sentinel__V1__DnsPolicy *message,
			   const char *field, struct cp_dns_settings *ret,
			   struct sn_diag *diag)
{
	char whole[CP_POLICY_FIELD_BYTES];
	int r;

	r = cp_policy_convert_dns_mode(
		message->mode, cp_policy_field_join(whole, field, "mode"),
		&ret->mode, diag);
	if (r)
		return r;
	if (message->steering < 0 ||
	    message->steering > SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF)
		return refuse_value(diag, field, "steering",
				    (int)message->steering);
	ret->no_steering = message->steering ==
			   SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF;
	if ((int)message->denied < CP_DNS_DENIED_NONE ||
	    (int)message->denied > CP_DNS_DENIED_SINKHOLE)
		return refuse_value(diag, field, "denied",
				    (int)message->denied);
	ret->denied = (enum cp_dns_denied)(int)message->denied;
	if (message->hints < 0 ||
	    message->hints > SENTINEL__V1__DNS_HINTS__DNS_HINTS_LEARN)
		return refuse_value(diag, field, "hints", (int)message->hints);
	ret->hints = message->hints ==
				     SENTINEL__V1__DNS_HINTS__DNS_HINTS_LEARN ?
			     CP_DNS_HINTS_LEARN :
			     CP_DNS_HINTS_STRIP;
	ret->allow_private = message->allow_private;
	return 0;
}

int cp_policy_convert_dns_policy(struct cp_policy *policy,
				 const Sentinel__V1__DnsPolicy *message,
				 enum cp_policy_owner owner, const char *field,
				 struct sn_diag *diag)
{
	struct cp_dns_settings settings;
	int r;

	if (!message)
		return 0;
	/* Compared as bytes, padding included. */
	(void)memset(&settings, 0, sizeof(settings));
	r = convert_choices(message, field, &settings, diag);
	if (r == 0)
		r = convert_upstreams(message, field, &settings, diag);
	if (r)
		return r;
	cp_policy_put_dns(policy, &settings);
	return cp_policy_convert_dns_add_rules(policy, message->domains,
					       message->n_domains, 0, owner,
					       field, diag);
}

/* A rule message with its strings behind it. */
struct packed_rule {
	Sentinel__V1__DomainRule message;
	char *ports[CP_POLICY_PORTS_MAX];
	char texts[CP_POLICY_PORTS_MAX][CP_POLICY_PORTS_TEXT_BYTES];
	char owner[CP_POLICY_OWNER_TEXT_BYTES];
	char domain[CP_DNS_NAME_TEXT_BYTES];
};

int cp_policy_convert_dns_to_rule(const struct cp_dns_rule *rule,
				  Sentinel__V1__DomainRule **ret)
{
	struct packed_rule *packed = calloc(1, sizeof(*packed));

	if (!packed)
		return -ENOMEM;
	sentinel__v1__domain_rule__init(&packed->message);
	packed->message.verdict = cp_policy_field_to_verdict(rule->verdict);
	packed->message.domain =
		cp_dns_name_format(&rule->name, packed->domain);
	packed->message.subdomains = rule->subdomains;
	for (uint8_t i = 0; i < rule->n_ports; i++)
		packed->ports[i] = cp_policy_ports_format(&rule->ports[i],
							  packed->texts[i]);
	packed->message.n_ports = rule->n_ports;
	packed->message.ports = packed->ports;
	packed->message.ttl_floor_seconds = rule->ttl_floor_s;
	packed->message.id = rule->id;
	(void)snprintf(packed->owner, sizeof(packed->owner), "%s",
		       cp_policy_owner_name(rule->owner));
	packed->message.owner = packed->owner;
	*ret = &packed->message;
	return 0;
}

struct packed_settings {
	Sentinel__V1__DnsPolicy message;
	char *upstreams[CP_DNS_UPSTREAMS_MAX];
	char texts[CP_DNS_UPSTREAMS_MAX][CP_UPSTREAM_SERVERS_TEXT_BYTES];
};

int cp_policy_convert_dns_to_settings(const struct cp_dns_settings *settings,
				      Sentinel__V1__DnsPolicy **ret)
{
	struct packed_settings *packed = calloc(1, sizeof(*packed));

	if (!packed)
		return -ENOMEM;
	sentinel__v1__dns_policy__init(&packed->message);
	packed->message.mode = cp_policy_convert_dns_to_mode(settings->mode);
	packed->message.steering =
		settings->no_steering ?
			SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF :
			SENTINEL__V1__DNS_STEERING__DNS_STEERING_ON;
	packed->message.denied = (Sentinel__V1__DnsDenied)(int)settings->denied;
	packed->message.hints =
		settings->hints == CP_DNS_HINTS_LEARN ?
			SENTINEL__V1__DNS_HINTS__DNS_HINTS_LEARN :
			SENTINEL__V1__DNS_HINTS__DNS_HINTS_STRIP;
	packed->message.allow_private = settings->allow_private;
	packed->message.dnssec = settings->dnssec;
	for (uint8_t i = 0; i < settings->n_upstreams; i++)
		packed->upstreams[i] = cp_upstream_servers_format(
			&settings->upstreams[i], packed->texts[i]);
	packed->message.n_upstreams = settings->n_upstreams;
	packed->message.upstreams = packed->upstreams;
	*ret = &packed->message;
	return 0;
}
