/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/state_dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/state_ports.h"

typedef Sentinel__State__V1__DomainRule rule_t;
typedef Sentinel__State__V1__DnsSettings settings_t;
typedef Sentinel__State__V1__Upstream upstream_t;
typedef Sentinel__State__V1__Port port_t;

void cp_attach_state_dns_done(struct cp_attach_state_dns *packed)
{
	free(packed->rules);
	free(packed->rule_ptrs);
	free(packed->ports);
	free(packed->port_ptrs);
}

static int alloc_packed(const struct cp_dns_rules *rules,
			struct cp_attach_state_dns *packed)
{
	size_t n_rules = cp_dns_rules_count(rules), n_ports = 0;
	const struct cp_dns_rule *rule;
	uint32_t id = 0;

	while ((rule = cp_dns_rules_next(rules, id))) {
		id = rule->id;
		n_ports += rule->n_ports;
	}
	packed->rules = calloc(n_rules + 1, sizeof(*packed->rules));
	packed->rule_ptrs = calloc(n_rules + 1, sizeof(*packed->rule_ptrs));
	packed->ports = calloc(n_ports + 1, sizeof(*packed->ports));
	packed->port_ptrs = calloc(n_ports + 1, sizeof(*packed->port_ptrs));
	if (!packed->rules || !packed->rule_ptrs || !packed->ports ||
	    !packed->port_ptrs)
		return -ENOMEM;
	return 0;
}

/* Packing only reads; protobuf-c has no const pointers. */
static ProtobufCBinaryData borrow(const uint8_t *data, size_t size)
{
	ProtobufCBinaryData ret = { .len = size };

	memcpy(&ret.data, &data, sizeof(ret.data));
	return ret;
}

static char *borrow_text(const char *text)
{
	char *ret;

	memcpy(&ret, &text, sizeof(ret));
	return ret;
}

void cp_attach_state_dns_pack_rule(const struct cp_dns_rule *rule, rule_t *ret,
				   port_t *ports, port_t **port_ptrs)
{
	sentinel__state__v1__domain_rule__init(ret);
	ret->id = rule->id;
	ret->verdict = rule->verdict;
	ret->name = borrow(rule->name.wire, rule->name.size);
	ret->subdomains = rule->subdomains;
	ret->ttl_floor_s = rule->ttl_floor_s;
	ret->owner = borrow_text(
		cp_policy_owner_name((enum cp_policy_owner)rule->owner));
	ret->n_ports = rule->n_ports;
	ret->ports = port_ptrs;
	cp_attach_state_ports_pack(rule->ports, rule->n_ports, ports,
				   port_ptrs);
}

static void pack_settings(const struct cp_dns_settings *settings,
			  struct cp_attach_state_dns *packed)
{
	settings_t *ret = &packed->settings;

	sentinel__state__v1__dns_settings__init(ret);
	ret->mode = settings->mode;
	ret->denied = settings->denied;
	ret->hints = settings->hints;
	ret->no_steering = settings->no_steering;
	ret->allow_private = settings->allow_private;
	ret->dnssec = settings->dnssec;
	ret->n_upstreams = settings->n_upstreams;
	ret->upstreams = packed->upstream_ptrs;
	for (size_t i = 0; i < settings->n_upstreams; i++) {
		const struct cp_dns_upstream *from = &settings->upstreams[i];
		upstream_t *to = &packed->upstreams[i];

		sentinel__state__v1__upstream__init(to);
		to->address = borrow(from->address,
				     from->family == SN_FAMILY_IPV4 ? 4 : 16);
		to->port = from->port;
		to->tls = from->is_tls;
		to->name = borrow_text(from->name);
		packed->upstream_ptrs[i] = to;
	}
}

int cp_attach_state_dns_pack(const struct cp_policy *policy,
			     struct cp_attach_state_dns *packed,
			     Sentinel__State__V1__Policy *ret)
{
	const struct cp_dns_rules *rules = cp_policy_get_domains(policy);
	const struct cp_dns_rule *rule;
	size_t n_ports = 0;
	uint32_t id = 0;
	int r;

	r = alloc_packed(rules, packed);
	if (r < 0)
		return r;
	pack_settings(cp_policy_get_dns(policy), packed);
	ret->dns = &packed->settings;
	ret->domains = packed->rule_ptrs;
	while ((rule = cp_dns_rules_next(rules, id))) {
		size_t i = ret->n_domains++;

		id = rule->id;
		cp_attach_state_dns_pack_rule(rule, &packed->rules[i],
					      &packed->ports[n_ports],
					      &packed->port_ptrs[n_ports]);
		n_ports += rule->n_ports;
		packed->rule_ptrs[i] = &packed->rules[i];
	}
	return 0;
}

static int unpack_upstream(const upstream_t *from, struct cp_dns_upstream *ret)
{
	size_t length = from->address.len;

	if ((length != 4 && length != 16) || from->port == 0 ||
	    from->port > UINT16_MAX || strlen(from->name) >= sizeof(ret->name))
		return -EBADMSG;
	ret->family = length == 4 ? SN_FAMILY_IPV4 : SN_FAMILY_IPV6;
	ret->is_tls = from->tls ? 1 : 0;
	ret->port = (uint16_t)from->port;
	memcpy(ret->address, from->address.data, length);
	memcpy(ret->name, from->name, strlen(from->name));
	return 0;
}

static int unpack_settings(const settings_t *from, struct cp_policy *policy)
{
	struct cp_dns_settings settings;
	int r = 0;

	memset(&settings, 0, sizeof(settings));
	if (from->mode > CP_DNS_MODE_PROXY ||
	    from->denied > CP_DNS_DENIED_SINKHOLE ||
	    from->hints > CP_DNS_HINTS_LEARN ||
	    from->n_upstreams > CP_DNS_UPSTREAMS_MAX)
		return -EBADMSG;
	settings.mode = (enum cp_dns_mode)from->mode;
	settings.denied = (enum cp_dns_denied)from->denied;
	settings.hints = (enum cp_dns_hints)from->hints;
	settings.no_steering = from->no_steering;
	settings.allow_private = from->allow_private;
	settings.dnssec = from->dnssec;
	settings.n_upstreams = (uint8_t)from->n_upstreams;
	for (size_t i = 0; r == 0 && i < from->n_upstreams; i++)
		r = unpack_upstream(from->upstreams[i], &settings.upstreams[i]);
	if (r == 0)
		cp_policy_put_dns(policy, &settings);
	return r;
}

int cp_attach_state_dns_unpack_name(const ProtobufCBinaryData *from,
				    struct cp_dns_name *ret)
{
	size_t end;

	if (cp_dns_name_read(from->data, from->len, 0, ret, &end) != 0 ||
	    end != from->len)
		return -EBADMSG;
	return 0;
}

int cp_attach_state_dns_unpack_rule(const rule_t *from, struct cp_dns_rule *ret)
{
	*ret = (struct cp_dns_rule){ 0 };
	if (from->id == 0 || from->ttl_floor_s > CP_DNS_RULES_FLOOR_MAX_S ||
	    (from->verdict != SN_VERDICT_ALLOW &&
	     from->verdict != SN_VERDICT_DENY) ||
	    cp_attach_state_ports_unpack(from->ports, from->n_ports, ret->ports,
					 &ret->n_ports) < 0 ||
	    cp_attach_state_dns_unpack_name(&from->name, &ret->name) < 0)
		return -EBADMSG;
	ret->id = from->id;
	ret->verdict = (uint8_t)from->verdict;
	ret->subdomains = from->subdomains;
	ret->ttl_floor_s = from->ttl_floor_s;
	ret->owner = (uint8_t)cp_policy_owner_parse(from->owner);
	if (ret->owner == CP_POLICY_OWNER_NONE)
		ret->owner = CP_POLICY_OWNER_LOCAL;
	return 0;
}

int cp_attach_state_dns_unpack(const Sentinel__State__V1__Policy *from,
			       struct cp_policy *policy)
{
	struct cp_dns_rule rule;
	int r = 0;

	if (from->dns)
		r = unpack_settings(from->dns, policy);
	for (size_t i = 0; r == 0 && i < from->n_domains; i++) {
		r = cp_attach_state_dns_unpack_rule(from->domains[i], &rule);
		if (r == 0)
			r = cp_policy_add_domain(policy, &rule, NULL, NULL);
		if (r > 0)
			r = -EBADMSG;
	}
	return r;
}
