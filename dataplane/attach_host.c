/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/attach_host.h"

#include <bpf/bpf.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "dataplane/opener.h"
#include "dataplane/table.h"
#include "shared/util.h"

enum {
	LINK_NAME_BYTES = 96,
	RETRIES_MAX = 50, /* of some 10 ms each */
	PAUSE_MS = 20,
};

/* Longer than the kernel takes to let go of a link whose pin was removed. */
#define KEEP_NS (2 * SN_NS_PER_S)

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
	enum sn_runtime_hook_row better = sn_runtime_get_better(hook);

	if (better != SN_RUNTIME_HOOK_NONE &&
	    attach->object->programs[sn_runtime_hooks[better].program] >= 0)
		return false;
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

/* Rows of one program on one hook have one link, whichever of their events are
 * wanted. */
static bool has_same_link(size_t one, size_t other)
{
	const struct sn_runtime_hook *a = &sn_runtime_hooks[one];
	const struct sn_runtime_hook *b = &sn_runtime_hooks[other];

	return a->program == b->program && strcmp(a->name, b->name) == 0;
}

/* Whether the link of this row is there for another one. */
static bool is_shared(const struct dp_attach *attach, size_t hook)
{
	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		if (i != hook && attach->hooked[i] && has_same_link(i, hook))
			return true;
	}
	return false;
}

/* The row under which a link is kept. */
static size_t get_first(size_t hook)
{
	size_t first = 0;

	while (!has_same_link(first, hook))
		first++;
	return first;
}

static int add_link(struct dp_attach *attach, uint32_t slot, size_t hook)
{
	size_t first = get_first(hook);
	char name[LINK_NAME_BYTES];
	int r;

	if (is_shared(attach, hook)) {
		attach->hooked[hook] = true;
		return 0;
	}
	if (attach->kept[first] < 0) {
		r = make_link_again(attach, hook);
		if (r < 0)
			return r;
		attach->kept[first] = r;
		attach->kept_until[first] = 0;
	}
	write_link_name(name, slot, hook, attach->instance);
	r = dp_pins_put(attach->pins, "links", name, attach->kept[first]);
	if (r >= 0) {
		attach->hooked[hook] = true;
		sn_closep(&attach->kept[first]);
	}
	return r;
}

/* A tracepoint takes the same program again (Linux 6.10, BTF), and both links
 * tell each event until the kernel has ended the first: some time after its last
 * pin was removed, but before close(2) of its last descriptor returns. So such a
 * link loses its pin first and is closed once nothing else can hold it, and who
 * wants the hook again until then gets this very link. Its program does nothing
 * meanwhile, for no block wants its event. If this process dies, it is closed. */
static int remove_pin(struct dp_attach *attach, size_t hook, const char *name)
{
	sn_cleanup(sn_closep) int link = -1;
	size_t first = get_first(hook);
	int r;

	if (sn_runtime_hooks[hook].kind == SN_RUNTIME_KIND_BTF &&
	    attach->kept[first] < 0) {
		link = dp_pins_get(attach->pins, "links", name);
		if (link < 0 && link != -ENOENT)
			return sn_trace(link);
	}
	r = dp_pins_remove(attach->pins, "links", name);
	if (r >= 0 && link >= 0) {
		attach->kept[first] = sn_steal_fd(&link);
		attach->kept_until[first] = dp_table_get_now() + KEEP_NS;
	}
	return r;
}

static int remove_link(struct dp_attach *attach, uint32_t slot, size_t hook)
{
	char name[LINK_NAME_BYTES];
	int r = 0;

	write_link_name(name, slot, hook, attach->instance);
	if (!is_shared(attach, hook))
		r = remove_pin(attach, hook, name);
	if (r >= 0)
		attach->hooked[hook] = false;
	return r;
}

int dp_attach_host_remove_stray(struct dp_attach *attach, uint32_t slot,
				const char *name)
{
	char own[LINK_NAME_BYTES];

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		write_link_name(own, slot, i, attach->instance);
		if (strcmp(own, name) == 0)
			return remove_pin(attach, i, name);
	}
	return dp_pins_remove(attach->pins, "links", name);
}

void dp_attach_host_init(struct dp_attach *attach)
{
	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++)
		attach->kept[i] = -1;
}

void dp_attach_host_done(struct dp_attach *attach)
{
	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++)
		sn_closep(&attach->kept[i]);
}

void dp_attach_host_expire(struct dp_attach *attach)
{
	uint64_t now = dp_table_get_now();

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		if (attach->kept[i] >= 0 && now >= attach->kept_until[i])
			sn_closep(&attach->kept[i]);
	}
}

int dp_attach_host_get_timeout_ms(const struct dp_attach *attach)
{
	uint64_t until = UINT64_MAX;
	uint64_t now;

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		if (attach->kept[i] >= 0)
			until = SN_MIN(until, attach->kept_until[i]);
	}
	if (until == UINT64_MAX)
		return -1;
	now = dp_table_get_now();
	return now >= until ? 0 : (int)((until - now) / 1000000U) + 1;
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
	int r = 0;

	for (size_t i = 0; r >= 0 && i < SN_RUNTIME_HOOK_COUNT; i++) {
		if (attach->hooked[i] && !is_wanted(attach, i, events))
			r = remove_link(attach, slot, i);
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

int dp_attach_host_recover(struct dp_attach *attach, uint32_t slot)
{
	uint64_t events = get_events(attach, slot);
	int r;

	r = find_links(attach, slot);
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
