/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/attach_host.h"

#include <bpf/bpf.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "dataplane/opener.h"
#include "shared/util.h"

enum {
	LINK_NAME_BYTES = 96,
	RETRIES_MAX = 50, /* of some 10 ms each */
	PAUSE_MS = 20,
};

static struct sn_rt_host *get_record(const struct dp_attach *attach)
{
	return attach->object->memory[SN_TABLE_RT_HOST];
}

static uint64_t get_events(const struct dp_attach *attach, uint32_t slot)
{
	uint32_t generation = dp_slots_get_generation(attach->slots, slot);

	if (!generation)
		return 0;
	return attach->slots->policies[2 * slot + (generation & 1)]
		.runtime_events;
}

/* What cannot be attached here is told by HELLO, and refuses no rule. */
static bool is_wanted(const struct dp_attach *attach, size_t hook,
		      uint64_t events)
{
	const struct sn_runtime_hook *row = &sn_runtime_hooks[hook];

	return (events & SN_RT_EVENT_BIT(row->event)) &&
	       attach->object->programs[row->program] >= 0 &&
	       (!sn_runtime_is_call(row->kind) || attach->tracefs->ids[hook]);
}

static void write_link_name(char name[LINK_NAME_BYTES], uint32_t slot,
			    size_t hook, uint32_t instance)
{
	const struct sn_runtime_hook *row = &sn_runtime_hooks[hook];

	(void)snprintf(name, LINK_NAME_BYTES, "%u-%s-%s-%u", slot,
		       sn_programs_info[row->program].function, row->name,
		       instance);
}

static int make_link(const struct dp_attach *attach, size_t hook)
{
	const struct sn_runtime_hook *row = &sn_runtime_hooks[hook];
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .perf_event.bpf_cookie = row->call);
	int program = attach->object->programs[row->program];
	sn_cleanup(sn_closep) int event = -1;
	int link;

	if (!sn_runtime_is_call(row->kind)) {
		link = bpf_link_create(program, 0,
				       row->kind == SN_RUNTIME_KIND_BTF ?
					       BPF_TRACE_RAW_TP :
					       BPF_TRACE_FEXIT,
				       NULL);
		return link < 0 ? sn_trace(-errno) : link;
	}
	event = dp_opener_open(attach->tracefs, (uint32_t)hook);
	if (event < 0)
		return sn_trace(event);
	link = bpf_link_create(program, event, BPF_PERF_EVENT, &opts);
	return link < 0 ? -errno : link;
}

/* A program is on a hook once at most, and a link ends some grace periods after
 * its pin was removed. */
static int make_link_again(const struct dp_attach *attach, size_t hook)
{
	int link = make_link(attach, hook);

	for (int i = 0; (link == -EEXIST || link == -EBUSY) && i < RETRIES_MAX;
	     i++) {
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
			(void)poll(NULL, 0, PAUSE_MS);
		link = make_link(attach, hook);
	}
	return link < 0 ? sn_trace(link) : link;
}

static int add_link(struct dp_attach *attach, uint32_t slot, size_t hook)
{
	sn_cleanup(sn_closep) int link = make_link_again(attach, hook);
	char name[LINK_NAME_BYTES];
	int r;

	if (link < 0)
		return link;
	write_link_name(name, slot, hook, attach->instance);
	r = dp_pins_put(attach->pins, "links", name, link);
	if (r >= 0)
		attach->hooked[hook] = true;
	return r;
}

int dp_attach_host_check(const struct dp_attach *attach,
			 const struct sn_ipc_attach *request, int fd)
{
	if (fd >= 0 || request->ifindex || request->role != SN_ROLE_NONE ||
	    request->initial_mode != SN_MODE_NONE || request->initial_audit)
		return -EINVAL;
	if (!attach->object->runtime)
		return -EPERM;
	return get_record(attach)->slot ? -EEXIST : 0;
}

bool dp_attach_host_is_slot(const struct dp_attach *attach, uint32_t slot)
{
	return attach->object->runtime && get_record(attach)->slot == slot;
}

void dp_attach_host_set_slot(const struct dp_attach *attach, uint32_t slot)
{
	if (attach->object->runtime)
		__atomic_store_n(&get_record(attach)->slot, slot,
				 __ATOMIC_RELEASE);
}

int dp_attach_host_open(struct dp_attach *attach, uint32_t slot,
			uint64_t events)
{
	int first = 0;

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		int r = 0;

		if (!attach->hooked[i] && is_wanted(attach, i, events))
			r = add_link(attach, slot, i);
		if (first >= 0)
			first = r;
	}
	return first;
}

int dp_attach_host_close(struct dp_attach *attach, uint32_t slot,
			 uint64_t events)
{
	char name[LINK_NAME_BYTES];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < SN_RUNTIME_HOOK_COUNT; i++) {
		if (!attach->hooked[i] || is_wanted(attach, i, events))
			continue;
		write_link_name(name, slot, i, attach->instance);
		r = dp_pins_remove(attach->pins, "links", name);
		if (r >= 0)
			attach->hooked[i] = false;
	}
	return r;
}

int dp_attach_host_settle(struct dp_attach *attach, uint32_t slot)
{
	return dp_attach_host_close(attach, slot, get_events(attach, slot));
}

/* Links of programs that were adopted. */
static int find_links(struct dp_attach *attach, uint32_t slot)
{
	char name[LINK_NAME_BYTES];

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		int link;

		write_link_name(name, slot, i, attach->instance);
		link = dp_pins_get(attach->pins, "links", name);
		if (link < 0 && link != -ENOENT)
			return sn_trace(link);
		attach->hooked[i] = link >= 0;
		sn_closep(&link);
	}
	return 0;
}

/* An upgrade that was cut short gave its programs the number that the new ones
 * have now. They may be of another build. */
static int remove_links(const struct dp_attach *attach, uint32_t slot)
{
	char name[LINK_NAME_BYTES];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < SN_RUNTIME_HOOK_COUNT; i++) {
		write_link_name(name, slot, i, attach->instance);
		r = dp_pins_remove(attach->pins, "links", name);
	}
	return r;
}

int dp_attach_host_recover(struct dp_attach *attach, uint32_t slot)
{
	uint64_t events = get_events(attach, slot);
	int r;

	r = attach->object->runtime_replaced ? remove_links(attach, slot) :
					       find_links(attach, slot);
	if (r >= 0)
		r = dp_attach_host_open(attach, slot, events);
	if (r >= 0)
		r = dp_attach_host_close(attach, slot, events);
	return r < 0 ? sn_trace(r) : 0;
}

bool dp_attach_host_has_link(const struct dp_attach *attach, uint32_t slot,
			     const char *name)
{
	char own[LINK_NAME_BYTES];

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		write_link_name(own, slot, i, attach->instance);
		if (attach->hooked[i] && strcmp(own, name) == 0)
			return true;
	}
	return false;
}

int32_t dp_attach_host_get_position(const struct dp_attach *attach,
				    uint32_t slot)
{
	uint64_t events = get_events(attach, slot);
	char name[LINK_NAME_BYTES];

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		int link;

		if (!is_wanted(attach, i, events))
			continue;
		write_link_name(name, slot, i, attach->instance);
		link = dp_pins_get(attach->pins, "links", name);
		if (link < 0)
			return link == -ENOENT ? SN_IPC_POSITION_TAKEN :
						 SN_IPC_POSITION_UNKNOWN;
		sn_closep(&link);
	}
	return 0;
}
