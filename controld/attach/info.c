/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/info.h"

#include <assert.h>

#include "controld/attach/counters.h"
#include "controld/attach/item.h"
#include "controld/attach/remote.h"

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

static void put_notes(const struct cp_attach_item *item,
		      struct cp_attach_info *ret)
{
	bool is_tc = item->type == SN_TARGET_TC;
	const char *const *notes = is_tc ? notes_tc : notes_cgroup;
	size_t n = is_tc ? SN_ARRAY_SIZE(notes_tc) :
			   SN_ARRAY_SIZE(notes_cgroup);

	for (size_t i = 0; i < n; i++)
		ret->notes[ret->n_notes++] = notes[i];
	if (cp_attach_remote_is_held(item))
		ret->notes[ret->n_notes++] =
			"everything is dropped until the control plane states "
			"a policy";
}

static enum cp_attach_state state_of(const struct cp_attach_item *item)
{
	const struct cp_attach *manager = item->manager;

	if (item->is_waiting || item->slot == 0)
		return CP_ATTACH_STATE_WAITING;
	if (!manager->link || !cp_link_is_up(manager->link))
		return CP_ATTACH_STATE_DETACHED_DP;
	if (item->is_suspect || item->position == -2)
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
	put_notes(item, ret);
	cp_attach_counters_get(item, &ret->totals);
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
}

void cp_attach_info_get_status(const struct cp_attach *manager,
			       struct cp_attach_status *ret)
{
	*ret = (struct cp_attach_status){
		.is_connected = manager->link && cp_link_is_up(manager->link),
		.is_ready = manager->is_ready,
		.has_hello = manager->has_hello,
		.last_error = manager->last_error,
		.hello = manager->hello,
		.n_flows = manager->stats.flows,
		.n_slots_dirty = manager->stats.slots_dirty,
		.events_lost = cp_attach_counters_sum_reason(
			manager, SN_REASON_EVENT_LOST),
	};
	for (size_t i = 0; i < manager->n_items; i++) {
		const struct cp_attach_item *item = manager->items[i];

		if (item->is_new)
			continue;
		ret->n_attachments++;
		if (state_of(item) == CP_ATTACH_STATE_WAITING)
			ret->n_waiting++;
		else if (cp_attach_item_has_rows(&item->block))
			count_rows(item, ret);
	}
}
