/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/state.h"

#include <stdlib.h>
#include <string.h>

#include "controld/attach/change.h"
#include "controld/attach/state_dns.h"
#include "controld/attach/state_ports.h"
#include "shared/log.h"

typedef Sentinel__State__V1__Attachment message_t;
typedef Sentinel__State__V1__Attachment__MetadataEntry pair_t;
typedef Sentinel__State__V1__Attachment__AppliedRevisionsEntry revision_t;
typedef Sentinel__State__V1__Rule rule_t;
typedef Sentinel__State__V1__Port port_t;

#define REMOTE "remote" /* the source of revisions */

enum { N_COUNTERS = sizeof(struct sn_counters) / sizeof(uint64_t) };

/* Everything that a packed policy points to. */
struct packed_rules {
	rule_t *rules;
	rule_t **rule_ptrs;
	port_t *ports;
	port_t **port_ptrs;
	struct cp_attach_state_dns dns;
};

static void free_packed(struct packed_rules *packed)
{
	free(packed->rules);
	free(packed->rule_ptrs);
	free(packed->ports);
	free(packed->port_ptrs);
	cp_attach_state_dns_done(&packed->dns);
}

static int alloc_packed(const struct cp_policy *policy,
			struct packed_rules *packed)
{
	const struct cp_policy_rule *rule;
	size_t n_rules = cp_policy_count(policy), n_ports = 0;
	size_t cursor = 0;

	while ((rule = cp_policy_walk_rules(policy, &cursor)))
		n_ports += rule->n_ports;
	packed->rules = calloc(n_rules + 1, sizeof(*packed->rules));
	packed->rule_ptrs = calloc(n_rules + 1, sizeof(*packed->rule_ptrs));
	packed->ports = calloc(n_ports + 1, sizeof(*packed->ports));
	packed->port_ptrs = calloc(n_ports + 1, sizeof(*packed->port_ptrs));
	if (!packed->rules || !packed->rule_ptrs || !packed->ports ||
	    !packed->port_ptrs)
		return -ENOMEM;
	return 0;
}

static char *owner_text(const struct cp_policy_rule *rule)
{
	const char *name =
		cp_policy_owner_name((enum cp_policy_owner)rule->owner);
	char *ret;

	memcpy(&ret, &name, sizeof(ret));
	return ret;
}

void cp_attach_state_pack_rule(const struct cp_policy_rule *rule,
			       const struct cp_state_times_now *now,
			       rule_t *ret, port_t *ports, port_t **port_ptrs)
{
	sentinel__state__v1__rule__init(ret);
	ret->id = rule->id;
	ret->verdict = rule->verdict;
	/* Packing only reads; protobuf-c has no const pointers. */
	memcpy(&ret->address.data, &(const uint8_t *){ rule->cidr.address },
	       sizeof(ret->address.data));
	ret->address.len = rule->cidr.family == SN_FAMILY_IPV4 ? 4 : 16;
	ret->prefix_length = rule->cidr.length;
	ret->ttl_s = rule->ttl_s;
	ret->expires_boot_ns = rule->expires_ns;
	ret->expires_wall_ns = cp_state_times_wall(rule->expires_ns, now);
	ret->owner = owner_text(rule);
	ret->n_ports = rule->n_ports;
	ret->ports = port_ptrs;
	cp_attach_state_ports_pack(rule->ports, rule->n_ports, ports,
				   port_ptrs);
}

static int pack_policy(const struct cp_policy *policy,
		       const struct cp_state_times_now *now,
		       struct packed_rules *packed,
		       Sentinel__State__V1__Policy *ret)
{
	struct cp_policy_settings settings = cp_policy_get_settings(policy);
	const struct cp_policy_rule *rule;
	size_t n_ports = 0, cursor = 0;
	int r;

	r = alloc_packed(policy, packed);
	if (r < 0)
		return r;
	ret->mode = settings.mode;
	ret->audit = settings.audit;
	ret->inbound = settings.inbound;
	ret->rules = packed->rule_ptrs;
	while ((rule = cp_policy_walk_rules(policy, &cursor))) {
		cp_attach_state_pack_rule(rule, now,
					  &packed->rules[ret->n_rules],
					  &packed->ports[n_ports],
					  &packed->port_ptrs[n_ports]);
		n_ports += rule->n_ports;
		packed->rule_ptrs[ret->n_rules] = &packed->rules[ret->n_rules];
		ret->n_rules++;
	}
	return cp_attach_state_dns_pack(policy, &packed->dns, ret);
}

static int pack_and_put(struct cp_attach_item *item, message_t *message)
{
	sn_cleanup(sn_freep) uint8_t *blob = NULL;
	size_t size;

	size = sentinel__state__v1__attachment__get_packed_size(message);
	blob = malloc(size + 1);
	if (!blob)
		return -ENOMEM;
	sentinel__state__v1__attachment__pack(message, blob);
	return cp_state_put(item->manager->options.store, item->id_text, blob,
			    size);
}

static void pack_fields(struct cp_attach_item *item,
			const struct cp_state_times_now *now,
			message_t *message)
{
	message->id = item->id_text;
	message->type = item->type;
	message->target = item->target;
	message->object = item->object;
	message->slot = item->slot;
	message->role = item->role;
	message->attached_wall_ns = item->attached_wall_ns;
	message->attached_boot_ns = item->attached_boot_ns;
	message->boot_id = item->manager->boot_id;
	message->saved_boot_ns = now->boot_ns;
	message->n_counters = N_COUNTERS;
	message->counters = (uint64_t *)(void *)&item->base.counters;
	message->n_reasons = SN_REASON_COUNT;
	message->reasons = (uint64_t *)(void *)item->base.reasons.count;
	message->next_rule_id = cp_policy_get_next_id(item->policy);
	message->generation = item->generation;
	message->detaching = item->is_detaching;
	message->held_mode = item->held_mode;
	message->held_audit = item->held_audit;
}

int cp_attach_state_put(struct cp_attach_item *item)
{
	message_t message;
	Sentinel__State__V1__Policy policy;
	struct cp_state_times_now now = {
		.boot_ns = cp_attach_item_now(item->manager),
		.wall_ns = cp_attach_item_wall_now(),
	};
	struct packed_rules packed = { 0 };
	pair_t pairs[CP_ATTACH_METADATA_MAX];
	pair_t *pair_ptrs[CP_ATTACH_METADATA_MAX];
	char source[] = REMOTE;
	revision_t revision, *revision_ptr = &revision;
	int r;

	sentinel__state__v1__attachment__init(&message);
	sentinel__state__v1__policy__init(&policy);
	pack_fields(item, &now, &message);
	for (size_t i = 0; i < item->n_metadata; i++) {
		sentinel__state__v1__attachment__metadata_entry__init(
			&pairs[i]);
		pairs[i].key = item->metadata[i].key;
		pairs[i].value = item->metadata[i].value;
		pair_ptrs[i] = &pairs[i];
	}
	message.n_metadata = item->n_metadata;
	message.metadata = pair_ptrs;
	sentinel__state__v1__attachment__applied_revisions_entry__init(
		&revision);
	revision.key = source;
	revision.value = item->revision;
	message.n_applied_revisions = item->revision > 0;
	message.applied_revisions = &revision_ptr;
	message.policy = &policy;
	r = pack_policy(item->policy, &now, &packed, &policy);
	if (r == 0)
		r = pack_and_put(item, &message);
	free_packed(&packed);
	return sn_trace(r);
}

void cp_attach_state_del(struct cp_attach_item *item)
{
	cp_state_del(item->manager->options.store, item->id_text);
}

int cp_attach_state_unpack_rule(const rule_t *message, bool same_boot,
				uint64_t saved_boot_ns,
				const struct cp_state_times_now *now,
				struct cp_policy_rule *ret)
{
	size_t length = message->address.len;

	*ret = (struct cp_policy_rule){ 0 };
	if ((length != 4 && length != 16) ||
	    message->prefix_length > 8 * length || message->id == 0 ||
	    message->ttl_s > CP_POLICY_TTL_MAX_S ||
	    (message->verdict != SN_VERDICT_ALLOW &&
	     message->verdict != SN_VERDICT_DENY) ||
	    cp_attach_state_ports_unpack(message->ports, message->n_ports,
					 ret->ports, &ret->n_ports) < 0)
		return -EBADMSG;
	memcpy(ret->cidr.address, message->address.data, length);
	ret->cidr.family = length == 4 ? SN_FAMILY_IPV4 : SN_FAMILY_IPV6;
	ret->cidr.length = (uint8_t)message->prefix_length;
	ret->id = message->id;
	ret->verdict = (uint8_t)message->verdict;
	ret->ttl_s = (uint32_t)message->ttl_s;
	ret->owner = (uint8_t)cp_policy_owner_parse(message->owner);
	if (ret->owner == CP_POLICY_OWNER_NONE)
		ret->owner = CP_POLICY_OWNER_LOCAL;
	if (message->expires_boot_ns)
		ret->expires_ns = cp_state_times_restore(
			same_boot, message->expires_boot_ns,
			message->expires_wall_ns, saved_boot_ns, now);
	return 0;
}

static bool has_known_settings(const Sentinel__State__V1__Policy *message)
{
	return message && message->mode >= SN_MODE_DISABLED &&
	       message->mode <= SN_MODE_BLOCK_ALL &&
	       message->inbound >= SN_INBOUND_REPLIES &&
	       message->inbound <= SN_INBOUND_BLOCK;
}

/* Prefixes of which nothing is live are asked of the kernel: if flows rest on
 * them, reconciling takes them back. A lapsed rule beside a live one stays. */
static void drop_lapsed(struct cp_policy *policy, uint64_t now_ns)
{
	const struct cp_policy_rule *rule;
	struct cp_policy_prefix prefix;
	uint32_t id = 0;

	while ((rule = cp_policy_next_rule(policy, id))) {
		id = rule->id;
		if (cp_policy_rule_is_lapsed(rule, now_ns) &&
		    cp_policy_get_prefix(policy, &rule->cidr, &prefix) &&
		    cp_policy_prefix_is_lapsed(&prefix, now_ns))
			(void)cp_policy_remove_id(policy, id);
	}
}

static int unpack_policy(struct cp_attach_item *item, const message_t *message)
{
	const Sentinel__State__V1__Policy *from = message->policy;
	struct cp_state_times_now now = {
		.boot_ns = cp_attach_item_now(item->manager),
		.wall_ns = cp_attach_item_wall_now(),
	};
	bool same_boot = strcmp(message->boot_id, item->manager->boot_id) == 0;
	struct cp_policy_settings settings;
	struct cp_policy_rule rule;
	int r;

	if (!has_known_settings(from))
		return -EBADMSG;
	/* Limited when all Changes are in (end_load()). */
	r = cp_policy_new(&item->policy, SIZE_MAX);
	if (r < 0)
		return r;
	settings = (struct cp_policy_settings){
		.mode = (enum sn_mode)from->mode,
		.inbound = (enum sn_inbound)from->inbound,
		.audit = from->audit,
	};
	cp_policy_put_settings(item->policy, &settings);
	for (size_t i = 0; i < from->n_rules; i++) {
		r = cp_attach_state_unpack_rule(from->rules[i], same_boot,
						message->saved_boot_ns, &now,
						&rule);
		if (r < 0)
			return r;
		/* No flow outlives a boot. */
		if (!same_boot && cp_policy_rule_is_lapsed(&rule, now.boot_ns))
			continue;
		r = cp_policy_add(item->policy, &rule, NULL, NULL);
		if (r != 0)
			return r < 0 ? r : -EBADMSG;
	}
	r = cp_attach_state_dns_unpack(from, item->policy);
	if (r < 0)
		return r;
	cp_policy_raise_next_id(item->policy, message->next_rule_id);
	if (!same_boot) {
		/* Slots and interface indexes are those of another boot. */
		item->slot = 0;
		item->generation = 0;
		item->object = 0;
	}
	return 0;
}

static int parse_id(const char *text, uint8_t id[SN_ID_BYTES])
{
	for (size_t i = 0; i < (size_t)CP_ATTACH_ID_CHARS; i++) {
		const char *digits = "0123456789abcdef";
		const char *at = text[i] ? strchr(digits, text[i]) : NULL;

		if (!at)
			return -EBADMSG;
		id[i / 2] = (uint8_t)(id[i / 2] << 4 | (at - digits));
	}
	return text[CP_ATTACH_ID_CHARS] ? -EBADMSG : 0;
}

static void unpack_base(struct cp_attach_item *item, const message_t *message)
{
	uint64_t counters[N_COUNTERS] = { 0 };

	for (size_t i = 0; i < SN_MIN(message->n_counters, (size_t)N_COUNTERS);
	     i++)
		counters[i] = message->counters[i];
	memcpy(&item->base.counters, counters, sizeof(counters));
	for (size_t i = 0;
	     i < SN_MIN(message->n_reasons, (size_t)SN_REASON_SLOTS); i++)
		item->base.reasons.count[i] = message->reasons[i];
}

static int unpack_metadata(struct cp_attach_item *item,
			   const message_t *message)
{
	struct cp_attach_pair pairs[CP_ATTACH_METADATA_MAX];

	if (message->n_metadata > CP_ATTACH_METADATA_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < message->n_metadata; i++) {
		pairs[i].key = message->metadata[i]->key;
		pairs[i].value = message->metadata[i]->value;
	}
	return cp_attach_item_put_metadata(item, pairs, message->n_metadata);
}

static int load_item(struct cp_attach *manager, const message_t *message)
{
	sn_cleanup(cp_attach_item_freep) struct cp_attach_item *item = NULL;
	uint8_t id[SN_ID_BYTES] = { 0 };
	int r;

	if (parse_id(message->id, id) < 0 ||
	    (message->type != SN_TARGET_TC &&
	     message->type != SN_TARGET_CGROUP) ||
	    message->role > SN_ROLE_HOST ||
	    message->held_mode > SN_MODE_BLOCK_ALL)
		return -EBADMSG;
	r = cp_attach_item_new(&item, manager, id,
			       (enum sn_target_type)message->type,
			       message->target);
	if (r < 0)
		return r;
	item->role = (enum sn_role)message->role;
	item->object = message->object;
	item->generation = message->generation;
	item->slot = message->slot;
	item->attached_wall_ns = message->attached_wall_ns;
	item->attached_boot_ns = message->attached_boot_ns;
	item->is_detaching = message->detaching;
	item->held_mode = (enum sn_mode)message->held_mode;
	item->held_audit = message->held_audit;
	for (size_t i = 0; i < message->n_applied_revisions; i++)
		if (strcmp(message->applied_revisions[i]->key, REMOTE) == 0)
			item->revision = message->applied_revisions[i]->value;
	unpack_base(item, message);
	r = unpack_metadata(item, message);
	if (r == 0)
		r = unpack_policy(item, message);
	if (r == 0)
		r = cp_attach_item_add(item);
	if (r == 0)
		sn_steal(&item);
	return r;
}

struct load {
	struct cp_attach *manager;
	struct sn_diag *diag;
	int r;
};

static int load_whole(struct cp_attach *manager, const char *key,
		      const void *blob, size_t size)
{
	message_t *message;
	int r = -EBADMSG;

	message = sentinel__state__v1__attachment__unpack(NULL, size, blob);
	if (message && strcmp(message->id, key) == 0)
		r = load_item(manager, message);
	if (message)
		sentinel__state__v1__attachment__free_unpacked(message, NULL);
	return r;
}

static void load_one(void *userdata, const char *key, const void *blob,
		     size_t size)
{
	struct load *load = userdata;
	struct cp_attach_item *item;

	if (load->r < 0 || strlen(key) != (size_t)CP_ATTACH_ID_CHARS)
		return;
	item = cp_attach_item_find(load->manager, key);
	if (item)
		load->r = cp_attach_change_load(item, blob, size);
	else
		load->r = load_whole(load->manager, key, blob, size);
	if (load->r < 0)
		sn_diag_set(load->diag, NULL,
			    "the state file's attachment %s cannot be read: %s",
			    key, strerror(-load->r));
}

static void end_load(struct cp_attach_item *item)
{
	struct cp_policy *policy = item->policy;

	drop_lapsed(policy, cp_attach_item_now(item->manager));
	cp_policy_put_max_rules(policy, item->manager->options.max_rules);
}

int cp_attach_state_load(struct cp_attach *manager, struct sn_diag *diag)
{
	struct load load = { .manager = manager, .diag = diag };

	cp_state_each(manager->options.store, load_one, &load);
	for (size_t i = 0; load.r == 0 && i < manager->n_items; i++)
		end_load(manager->items[i]);
	return sn_trace(load.r);
}
