/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/change.h"

#include <stdlib.h>
#include <string.h>

#include "controld/attach/state.h"
#include "controld/attach/state_dns.h"

typedef Sentinel__State__V1__Change message_t;
typedef Sentinel__State__V1__Rule rule_t;
typedef Sentinel__State__V1__Port port_t;
typedef Sentinel__State__V1__DomainRule domain_t;

/* What a packed prefix points to. */
struct packed {
	rule_t rules[SN_ITEMS_MAX];
	rule_t *rule_ptrs[SN_ITEMS_MAX];
	port_t ports[SN_ITEMS_MAX][CP_POLICY_PORTS_MAX];
	port_t *port_ptrs[SN_ITEMS_MAX][CP_POLICY_PORTS_MAX];
};

static void pack_prefix(const struct cp_attach_item *item,
			const struct cp_policy_cidr *cidr,
			const struct cp_state_times_now *now,
			struct packed *packed, message_t *message)
{
	struct cp_policy_prefix prefix;

	/* Packing only reads; protobuf-c has no const pointers. */
	memcpy(&message->address.data, &(const uint8_t *){ cidr->address },
	       sizeof(message->address.data));
	message->address.len = cidr->family == SN_FAMILY_IPV4 ? 4 : 16;
	message->prefix_length = cidr->length;
	message->rules = packed->rule_ptrs;
	if (!cp_policy_get_prefix(item->policy, cidr, &prefix))
		return;
	for (uint8_t i = 0; i < prefix.n_rules; i++) {
		cp_attach_state_pack_rule(prefix.rules[i], now,
					  &packed->rules[i], packed->ports[i],
					  packed->port_ptrs[i]);
		packed->rule_ptrs[i] = &packed->rules[i];
	}
	message->n_rules = prefix.n_rules;
}

static void init_message(struct cp_attach_item *item,
			 const struct cp_state_times_now *now,
			 message_t *message)
{
	sentinel__state__v1__change__init(message);
	message->boot_id = item->manager->boot_id;
	message->saved_boot_ns = now->boot_ns;
	message->next_rule_id = cp_policy_get_next_id(item->policy);
	message->detaching = item->is_detaching;
	message->remote_revision = item->revision;
	message->held_mode = item->held_mode;
	message->held_audit = item->held_audit;
}

static int append(struct cp_attach_item *item, const message_t *message)
{
	sn_cleanup(sn_freep) uint8_t *blob = NULL;
	size_t size;
	int r;

	size = sentinel__state__v1__change__get_packed_size(message);
	blob = malloc(size);
	if (!blob)
		return -ENOMEM;
	sentinel__state__v1__change__pack(message, blob);
	r = cp_state_append(item->manager->options.store, item->id_text, blob,
			    size);
	if (r == CP_STATE_E_PUT)
		r = cp_attach_state_put(item);
	return sn_trace(r);
}

int cp_attach_change_put(struct cp_attach_item *item,
			 const struct cp_policy_cidr *cidr)
{
	struct cp_state_times_now now = {
		.boot_ns = cp_attach_item_now(item->manager),
		.wall_ns = cp_attach_item_wall_now(),
	};
	struct packed packed;
	message_t message;

	init_message(item, &now, &message);
	if (cidr)
		pack_prefix(item, cidr, &now, &packed, &message);
	return append(item, &message);
}

int cp_attach_change_put_domain(struct cp_attach_item *item,
				const struct cp_dns_name *name)
{
	const struct cp_dns_rule *rules[CP_DNS_RULES_PER_NAME];
	domain_t domains[CP_DNS_RULES_PER_NAME];
	domain_t *domain_ptrs[CP_DNS_RULES_PER_NAME];
	port_t ports[CP_DNS_RULES_PER_NAME][CP_POLICY_PORTS_MAX];
	port_t *port_ptrs[CP_DNS_RULES_PER_NAME][CP_POLICY_PORTS_MAX];
	struct cp_state_times_now now = {
		.boot_ns = cp_attach_item_now(item->manager),
	};
	message_t message;
	unsigned int n;

	init_message(item, &now, &message);
	n = cp_dns_rules_list(cp_policy_get_domains(item->policy), name, rules);
	for (unsigned int i = 0; i < n; i++) {
		cp_attach_state_dns_pack_rule(rules[i], &domains[i], ports[i],
					      port_ptrs[i]);
		domain_ptrs[i] = &domains[i];
	}
	/* Packing only reads; protobuf-c has no const pointers. */
	memcpy(&message.domain.data, &(const uint8_t *){ name->wire },
	       sizeof(message.domain.data));
	message.domain.len = name->size;
	message.n_domains = n;
	message.domains = domain_ptrs;
	return append(item, &message);
}

static int load_domain(struct cp_attach_item *item, const message_t *message)
{
	struct cp_dns_rule rule;
	struct cp_dns_name name;
	int r;

	r = cp_attach_state_dns_unpack_name(&message->domain, &name);
	if (r < 0)
		return r;
	(void)cp_policy_remove_domains(item->policy, &name, NULL, 0,
				       CP_POLICY_OWNER_NONE);
	for (size_t i = 0; i < message->n_domains; i++) {
		r = cp_attach_state_dns_unpack_rule(message->domains[i], &rule);
		if (r == 0 && !cp_dns_name_is_equal(&rule.name, &name))
			r = -EBADMSG;
		if (r == 0)
			r = cp_policy_add_domain(item->policy, &rule, NULL,
						 NULL);
		if (r != 0)
			return r < 0 ? r : -EBADMSG;
	}
	return 0;
}

static int load_prefix(struct cp_attach_item *item, const message_t *message)
{
	struct cp_state_times_now now = {
		.boot_ns = cp_attach_item_now(item->manager),
		.wall_ns = cp_attach_item_wall_now(),
	};
	bool same_boot = strcmp(message->boot_id, item->manager->boot_id) == 0;
	size_t length = message->address.len;
	struct cp_policy_cidr cidr = { 0 };
	struct cp_policy_rule rule;
	int r;

	if ((length != 4 && length != 16) ||
	    message->prefix_length > 8 * length)
		return -EBADMSG;
	memcpy(cidr.address, message->address.data, length);
	cidr.family = length == 4 ? SN_FAMILY_IPV4 : SN_FAMILY_IPV6;
	cidr.length = (uint8_t)message->prefix_length;
	(void)cp_policy_remove(item->policy, &cidr, NULL, 0,
			       CP_POLICY_OWNER_NONE, 0);
	for (size_t i = 0; i < message->n_rules; i++) {
		r = cp_attach_state_unpack_rule(message->rules[i], same_boot,
						message->saved_boot_ns, &now,
						&rule);
		if (r == 0 && cp_policy_cidr_compare(&rule.cidr, &cidr) != 0)
			r = -EBADMSG;
		if (r < 0)
			return r;
		/* No flow outlives a boot. */
		if (!same_boot && cp_policy_rule_is_lapsed(&rule, now.boot_ns))
			continue;
		r = cp_policy_add(item->policy, &rule, NULL, NULL);
		if (r != 0)
			return r < 0 ? r : -EBADMSG;
	}
	return 0;
}

int cp_attach_change_load(struct cp_attach_item *item, const void *blob,
			  size_t size)
{
	message_t *message;
	int r = 0;

	message = sentinel__state__v1__change__unpack(NULL, size, blob);
	if (!message)
		return -EBADMSG;
	item->is_detaching = message->detaching;
	item->revision = message->remote_revision;
	item->held_mode = (enum sn_mode)message->held_mode;
	item->held_audit = message->held_audit;
	if (message->held_mode > SN_MODE_BLOCK_ALL)
		r = -EBADMSG;
	else if (message->address.len > 0)
		r = load_prefix(item, message);
	if (r == 0 && message->domain.len > 0)
		r = load_domain(item, message);
	if (r == 0)
		cp_policy_raise_next_id(item->policy, message->next_rule_id);
	sentinel__state__v1__change__free_unpacked(message, NULL);
	return r;
}
