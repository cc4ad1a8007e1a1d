/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/info.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "controld/attach/counters.h"
#include "controld/attach/item.h"
#include "controld/attach/names.h"
#include "controld/attach/remote.h"
#include "controld/dns/identity.h"
#include "shared/tables.h"

static const char *const notes_tc[] = {
	"only what this interface carries is judged: other interfaces of the "
	"workload, and what it does not send through the interface, are not",
	"when the interface is moved to another network namespace the "
	"attachment ends",
	"towards the workload, packet sockets of the host with "
	"PACKET_QDISC_BYPASS are not judged",
};

static const char *const notes_cgroup[] = {
	"packet sockets (AF_PACKET, they need CAP_NET_RAW) skip cgroup hooks: "
	"take the capability away or attach the interface as well",
	"a socket keeps the cgroup in which it was made: those that were open "
	"before a process was moved here are judged by the cgroup they came "
	"from",
	"only sockets of the cgroup are judged: what the kernel itself sends "
	"for them (routing, tunnels) is not",
};

static const char note_dns_host[] =
	"port 53 of an interface in the host role is judged like all else: the "
	"daemon's own questions leave there, so that names open nothing";
static const char note_dns_missing[] =
	"the resolver's interfaces are not there, so that port 53 is dropped: "
	"run sentinel-netdev and start sentinel-dp again";
static const char note_dns_fragments[] =
	"datagrams to port 53 that come in fragments are dropped: clients have "
	"to ask by TCP then";
static const char note_dns_netns[] =
	"sockets in other network namespaces than sentinel-dp's have no "
	"resolver, their port 53 is dropped: attach the interface of that "
	"namespace instead, or switch steering off";
static const char note_dns_addresses[] =
	"in a denylist names that are denied are not resolved, but what they "
	"stand for can be reached by its address";

static void put_note(struct cp_attach_info *ret, const char *note)
{
	if (ret->n_notes < CP_ATTACH_NOTES_MAX)
		ret->notes[ret->n_notes++] = note;
}

/* What steering cannot do here. */
static void put_dns_notes(const struct cp_attach_item *item,
			  struct cp_attach_info *ret)
{
	const struct cp_attach *manager = item->manager;

	if (item->type == SN_TARGET_TC && item->role == SN_ROLE_HOST &&
	    !cp_policy_get_dns(item->policy)->no_steering)
		put_note(ret, note_dns_host);
	if (!ret->is_steered)
		return;
	if (item->type == SN_TARGET_CGROUP)
		put_note(ret, note_dns_netns);
	else if (manager->has_hello && !manager->hello.dns.has_tc)
		put_note(ret, note_dns_missing);
	else
		put_note(ret, note_dns_fragments);
	if (cp_policy_get_settings(item->policy).mode == SN_MODE_DENYLIST &&
	    ret->dns_mode != CP_DNS_MODE_DISABLED)
		put_note(ret, note_dns_addresses);
}

static void put_notes(const struct cp_attach_item *item,
		      struct cp_attach_info *ret)
{
	bool is_tc = item->type == SN_TARGET_TC;
	const char *const *notes = is_tc ? notes_tc : notes_cgroup;
	size_t n = is_tc ? SN_ARRAY_SIZE(notes_tc) :
			   SN_ARRAY_SIZE(notes_cgroup);

	for (size_t i = 0; i < n; i++)
		put_note(ret, notes[i]);
	if (cp_attach_remote_is_held(item))
		put_note(ret, "everything is dropped until the control plane "
			      "states a policy");
	put_dns_notes(item, ret);
}

/* Has the slot an address on the way to the resolver? Without one its port 53
 * is dropped. An attachment that waits has no slot yet. */
static bool has_way(const struct cp_attach_item *item, const struct sn_dns *dns)
{
	if (item->type == SN_TARGET_CGROUP)
		return dns->port_cgroup && item->slot <= UINT16_MAX;
	return dns->has_tc && SN_DNS_SLOT_FIRST + (uint64_t)item->slot <
				      1ULL << (32 - dns->range4_bits);
}

static bool is_steered(const struct cp_attach_item *item)
{
	return !cp_policy_get_dns(item->policy)->no_steering &&
	       cp_policy_get_settings(item->policy).mode != SN_MODE_BLOCK_ALL &&
	       !(item->type == SN_TARGET_TC && item->role == SN_ROLE_HOST);
}

/* Queries are steered before the address that they are for is looked at, so
 * the resolver's own address serves interfaces and cgroups, UDP and TCP, and
 * is the same after a restart and for every attachment. */
static void put_dns(const struct cp_attach_item *item,
		    struct cp_attach_info *ret)
{
	const struct cp_dns_settings *settings =
		cp_policy_get_dns(item->policy);
	const struct cp_attach *manager = item->manager;
	enum sn_mode mode = cp_policy_get_settings(item->policy).mode;
	struct in_addr address;

	ret->dns_mode = cp_dns_settings_mode(settings, mode);
	ret->n_domains =
		cp_dns_rules_count(cp_policy_get_domains(item->policy));
	ret->is_steered = is_steered(item);
	if (!ret->is_steered || !manager->has_hello ||
	    !has_way(item, &manager->hello.dns))
		return;
	address = cp_dns_identity_resolver4(&manager->hello.dns);
	(void)inet_ntop(AF_INET, &address, ret->dns_address,
			sizeof(ret->dns_address));
}

static enum cp_attach_state state_of(const struct cp_attach_item *item)
{
	const struct cp_attach *manager = item->manager;

	if (item->is_waiting || item->slot == 0)
		return CP_ATTACH_STATE_WAITING;
	if (!manager->link || !cp_link_is_up(manager->link))
		return CP_ATTACH_STATE_DETACHED_DP;
	if (item->is_suspect || item->position <= SN_IPC_POSITION_GONE)
		return CP_ATTACH_STATE_REPAIRING;
	return CP_ATTACH_STATE_ENFORCED;
}

void cp_attach_info_get(const struct cp_attach_item *item,
			struct cp_attach_info *ret)
{
	*ret = (struct cp_attach_info){
		.id = item->id_text,
		.target = item->target,
		.type = item->type,
		.role = item->role,
		.policy = item->policy,
		.metadata = item->metadata,
		.n_metadata = item->n_metadata,
		.attached_at_s =
			(int64_t)(item->attached_wall_ns / SN_NS_PER_S),
		.state = state_of(item),
		.generation = item->generation,
		.n_rules = cp_policy_count_live(
			item->policy, cp_attach_item_now(item->manager)),
		.position = item->position,
	};
	ret->n_learnt_names = cp_dns_learnt_count_names(
		item->learnt, cp_attach_item_now(item->manager));
	ret->n_learnt_addresses = cp_dns_learnt_count_addresses(
		item->learnt, cp_attach_item_now(item->manager));
	memcpy(ret->dns_ends, item->dns_ends, sizeof(ret->dns_ends));
	put_dns(item, ret);
	put_notes(item, ret);
	ret->is_counted = cp_attach_counters_get(item, &ret->totals);
}

const char *cp_attach_info_get_id(const struct cp_attach_item *item)
{
	return item->id_text;
}

static void count_rows(const struct cp_attach_item *item,
		       struct cp_attach_status *ret)
{
	size_t n = cp_attach_item_count_prefixes(item);
	size_t n4 = cp_policy_count_length(item->policy, SN_FAMILY_IPV4, 32);
	size_t n6 = cp_policy_count_length(item->policy, SN_FAMILY_IPV6, 128);
	size_t in_trie = 0;

	for (uint8_t i = 0; item->block.trie4 && i < 32; i++)
		in_trie +=
			cp_policy_count_length(item->policy, SN_FAMILY_IPV4, i);
	for (uint8_t i = 0; item->block.trie6 && i < 128; i++)
		in_trie +=
			cp_policy_count_length(item->policy, SN_FAMILY_IPV6, i);
	assert(in_trie + n4 + n6 <= n);
	ret->n_prefixes += in_trie;
	ret->n_rules += n - in_trie;
	/* Those that CIDR rules name too are counted twice. */
	ret->n_rules += cp_dns_learnt_count_addresses(
		item->learnt, cp_attach_item_now(item->manager));
}

void cp_attach_info_get_base(const struct cp_attach *manager,
			     struct cp_attach_status *ret)
{
	struct cp_attach_names_stats names;

	cp_attach_names_get_stats(manager, &names);
	*ret = (struct cp_attach_status){
		.is_connected = manager->link && cp_link_is_up(manager->link),
		.is_ready = manager->is_ready,
		.has_hello = manager->has_hello,
		.last_error = manager->last_error,
		.hello = manager->hello,
		.n_flows = manager->stats.flows,
		.n_slots_dirty = manager->stats.slots_dirty,
		.polled_ns = manager->polled_ns,
		.n_connected = manager->n_connected,
		.stats = manager->stats,
		.n_ops = manager->n_ops,
		.n_ops_running = manager->n_running,
		.n_learns = manager->n_learns,
		.n_names_writes = names.n_writes,
		.n_names_failed = names.n_failed,
		.quotas = manager->options.learnt,
		.flow_quota = manager->options.flow_quota,
		.max_attachments = manager->options.max_attachments,
	};
}

void cp_attach_info_count(const struct cp_attach_item *item,
			  struct cp_attach_status *ret)
{
	ret->n_attachments++;
	if (state_of(item) == CP_ATTACH_STATE_WAITING)
		ret->n_waiting++;
	else if (cp_attach_item_has_rows(&item->block))
		count_rows(item, ret);
}

void cp_attach_info_get_status(const struct cp_attach *manager,
			       struct cp_attach_status *ret)
{
	cp_attach_info_get_base(manager, ret);
	ret->events_lost =
		cp_attach_counters_sum_reason(manager, SN_REASON_EVENT_LOST);
	ret->events_limited =
		cp_attach_counters_sum_reason(manager, SN_REASON_EVENT_LIMITED);
	for (size_t i = 0; i < manager->n_items; i++)
		if (!manager->items[i]->is_new)
			cp_attach_info_count(manager->items[i], ret);
}

void cp_attach_info_each_table(const struct cp_attach_status *status,
			       cp_attach_info_table_fn fn, void *userdata)
{
	const uint32_t *capacity = status->hello.capacity;

	if (!status->has_hello)
		return;
	fn(userdata, "slots",
	   status->n_attachments - status->n_waiting + status->n_slots_dirty,
	   status->hello.n_slots - 1);
	fn(userdata, sn_tables_info[SN_TABLE_RULES].name, status->n_rules,
	   capacity[SN_TABLE_RULES]);
	fn(userdata, sn_tables_info[SN_TABLE_PREFIXES].name, status->n_prefixes,
	   capacity[SN_TABLE_PREFIXES]);
	fn(userdata, sn_tables_info[SN_TABLE_FLOWS].name, status->n_flows,
	   capacity[SN_TABLE_FLOWS]);
}

void cp_attach_info_each_condition(
	const struct cp_attach *manager,
	void (*fn)(void *userdata, const struct cp_attach_condition *condition),
	void *userdata)
{
	for (size_t i = 0; i < manager->n_items; i++) {
		const struct cp_attach_item *item = manager->items[i];
		struct cp_attach_condition condition = {
			.id = item->id_text,
			.state = state_of(item),
			.position = item->position,
		};

		if (item->is_new)
			continue;
		condition.lacks_resolver =
			manager->has_hello &&
			condition.state != CP_ATTACH_STATE_WAITING &&
			is_steered(item) && !has_way(item, &manager->hello.dns);
		fn(userdata, &condition);
	}
}
