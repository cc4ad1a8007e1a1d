/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/attach.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/attach_cgroup.h"
#include "dataplane/attach_host.h"
#include "dataplane/attach_tc.h"
#include "dataplane/table.h"
#include "shared/log.h"
#include "shared/util.h"

enum { LINK_NAME_BYTES = 64 };

/* By enum sn_program_hook. */
static const struct {
	enum sn_target_type target;
	enum bpf_attach_type type; /* of cgroups */
} hooks[] = {
	[SN_PROGRAM_HOOK_TC_INGRESS] = { .target = SN_TARGET_TC },
	[SN_PROGRAM_HOOK_TC_EGRESS] = { .target = SN_TARGET_TC },
	[SN_PROGRAM_HOOK_CGROUP_INET_EGRESS] = { SN_TARGET_CGROUP,
						 BPF_CGROUP_INET_EGRESS },
	[SN_PROGRAM_HOOK_CGROUP_INET_INGRESS] = { SN_TARGET_CGROUP,
						  BPF_CGROUP_INET_INGRESS },
	[SN_PROGRAM_HOOK_CGROUP_CONNECT4] = { SN_TARGET_CGROUP,
					      BPF_CGROUP_INET4_CONNECT },
	[SN_PROGRAM_HOOK_CGROUP_CONNECT6] = { SN_TARGET_CGROUP,
					      BPF_CGROUP_INET6_CONNECT },
	[SN_PROGRAM_HOOK_CGROUP_SENDMSG4] = { SN_TARGET_CGROUP,
					      BPF_CGROUP_UDP4_SENDMSG },
	[SN_PROGRAM_HOOK_CGROUP_SENDMSG6] = { SN_TARGET_CGROUP,
					      BPF_CGROUP_UDP6_SENDMSG },
	[SN_PROGRAM_HOOK_CGROUP_RECVMSG4] = { SN_TARGET_CGROUP,
					      BPF_CGROUP_UDP4_RECVMSG },
	[SN_PROGRAM_HOOK_CGROUP_RECVMSG6] = { SN_TARGET_CGROUP,
					      BPF_CGROUP_UDP6_RECVMSG },
	[SN_PROGRAM_HOOK_CGROUP_GETPEERNAME4] = { SN_TARGET_CGROUP,
						  BPF_CGROUP_INET4_GETPEERNAME },
	[SN_PROGRAM_HOOK_CGROUP_GETPEERNAME6] = { SN_TARGET_CGROUP,
						  BPF_CGROUP_INET6_GETPEERNAME },
	[SN_PROGRAM_HOOK_CGROUP_BIND4] = { SN_TARGET_CGROUP,
					   BPF_CGROUP_INET4_BIND },
	[SN_PROGRAM_HOOK_CGROUP_BIND6] = { SN_TARGET_CGROUP,
					   BPF_CGROUP_INET6_BIND },
	/* Those of name resolution belong to no attachment: dataplane/dns.c. */
	[SN_PROGRAM_HOOK_DNS_RETURN] = { .target = SN_TARGET_NONE },
	[SN_PROGRAM_HOOK_SOCKET_FILTER] = { .target = SN_TARGET_NONE },
	[SN_PROGRAM_HOOK_ITER_TASK] = { .target = SN_TARGET_NONE },
	/* Those of the host: dataplane/attach_host.c. */
	[SN_PROGRAM_HOOK_SYSCALL_EXIT] = { .target = SN_TARGET_NONE },
	[SN_PROGRAM_HOOK_TRACEPOINT_BTF] = { .target = SN_TARGET_NONE },
	[SN_PROGRAM_HOOK_FUNCTION_RETURN] = { .target = SN_TARGET_NONE },
	[SN_PROGRAM_HOOK_TABLE_FLUSH] = { .target = SN_TARGET_NONE },
};

static bool is_for(size_t program, uint8_t target_type)
{
	return hooks[sn_programs_info[program].hook].target ==
	       (enum sn_target_type)target_type;
}

static void write_link_name(char name[LINK_NAME_BYTES], uint32_t slot,
			    size_t program)
{
	(void)snprintf(name, LINK_NAME_BYTES, "%u-%s", slot,
		       sn_programs_info[program].function);
}

int dp_attach_init(struct dp_attach *attach, struct dp_object *object,
		   struct dp_slots *slots, const struct dp_options *options,
		   const struct dp_tracefs *tracefs, struct sn_diag *diag)
{
	bool has_tcx = dp_attach_tc_has_tcx();
	int r;

	*attach = (struct dp_attach){
		.object = object,
		.slots = slots,
		.pins = object->pins,
		.tracefs = tracefs,
		.task_link = -1,
		.allow_host_role = options->allow_host_role,
		.tcx = has_tcx && options->tc != DP_OPTIONS_TC_CLSACT,
	};
	attach->netlink = !attach->tcx;
	dp_attach_host_init(attach);
	attach->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (attach->socket < 0) {
		r = -errno;
		sn_diag_set(diag, NULL, "socket: %s", strerror(-r));
		return sn_trace(r);
	}
	if (options->tc == DP_OPTIONS_TC_TCX && !has_tcx) {
		sn_diag_set(diag, "tc",
			    "--tc tcx: this kernel has no TCX "
			    "(Linux 6.6)");
		return -EOPNOTSUPP;
	}
	r = dp_attach_cgroup_init(attach);
	if (r < 0)
		sn_diag_set(diag, NULL, "task iterator: %s", strerror(-r));
	return r;
}

void dp_attach_done(struct dp_attach *attach)
{
	dp_attach_host_done(attach);
	sn_closep(&attach->socket);
	sn_closep(&attach->task_link);
}

/* One program on its hook; the link outlives us through its pin. */
static int link_program(const struct dp_attach *attach, uint32_t slot,
			size_t program, int where)
{
	enum sn_program_hook hook = sn_programs_info[program].hook;
	bool is_tc = hooks[hook].target == SN_TARGET_TC;
	sn_cleanup(sn_closep) int link = -1;
	char name[LINK_NAME_BYTES];
	int fd = attach->object->programs[program];

	if (fd < 0)
		return sn_programs_info[program].needed ? -EOPNOTSUPP : 0;
	if (is_tc && !attach->tcx)
		return dp_attach_tc_put_filter((uint32_t)where, hook, fd);
	if (is_tc)
		link = dp_attach_tc_link((uint32_t)where, hook, fd);
	else
		link = bpf_link_create(fd, where, hooks[hook].type, NULL);
	if (link < 0)
		return sn_trace(link);
	write_link_name(name, slot, program);
	return dp_pins_put(attach->pins, "links", name, link);
}

static int arm_interface(const struct dp_attach *attach, uint32_t slot,
			 const struct sn_iface *wanted, uint32_t ifindex)
{
	struct sn_iface iface = *wanted;
	int r = 0;

	iface.slot = slot;
	iface.ifindex = ifindex;
	if (bpf_map_update_elem(attach->object->maps[SN_TABLE_IFACES], &ifindex,
				&iface, BPF_ANY) < 0)
		return sn_trace(-errno);
	for (size_t i = 0; r >= 0 && i < SN_PROGRAM_COUNT; i++) {
		if (is_for(i, SN_TARGET_TC))
			r = link_program(attach, slot, i, (int)ifindex);
	}
	return r;
}

/* The first program attached makes the storage, which holds no slot yet and so
 * refuses all. programs.def names the packet hooks first and the rare calls
 * last: going backwards, the slot is in place before the first packet is
 * judged. */
static int arm_cgroup(const struct dp_attach *attach, uint32_t slot, int fd,
		      uint64_t id)
{
	bool first = true;
	int r;

	r = dp_attach_cgroup_set_slot(attach, id, 0);
	for (size_t i = SN_PROGRAM_COUNT; r >= 0 && i-- > 0;) {
		if (!is_for(i, SN_TARGET_CGROUP))
			continue;
		r = link_program(attach, slot, i, fd);
		if (r >= 0 && first && attach->object->programs[i] >= 0) {
			r = dp_attach_cgroup_set_slot(attach, id, slot);
			first = false;
		}
	}
	return r;
}

static int check_request(const struct dp_attach *attach,
			 const struct sn_ipc_attach *request, int fd)
{
	static const uint8_t no_id[SN_ID_BYTES];

	if (memcmp(request->id, no_id, sizeof(no_id)) == 0 ||
	    request->initial_mode > SN_MODE_BLOCK_ALL ||
	    request->initial_audit > 1)
		return -EINVAL;
	if (request->type == SN_TARGET_TC)
		return fd < 0 ? 0 : -EINVAL;
	if (request->type == SN_TARGET_HOST)
		return dp_attach_host_check(attach, request, fd);
	if (request->type != SN_TARGET_CGROUP || fd < 0 || request->ifindex ||
	    request->role != SN_ROLE_NONE)
		return -EINVAL;
	return 0;
}

/* The veth pair of name resolution is nobody's workload. */
static bool is_resolvers(const struct dp_attach *attach, uint32_t ifindex)
{
	const struct sn_dns *dns = attach->object->memory[SN_TABLE_DNS];

	return ifindex &&
	       (ifindex == dns->ifindex_host || ifindex == dns->ifindex_steer);
}

static int check_target(const struct dp_attach *attach,
			const struct sn_ipc_attach *request, int fd, pid_t peer,
			struct sn_target *target, struct sn_iface *iface)
{
	if (dp_slots_find_id(attach->slots, request->id))
		return -EEXIST;
	(void)memcpy(target->id, request->id, SN_ID_BYTES);
	target->type = request->type;
	target->role = request->role;
	target->attached_at = dp_table_get_now();
	if (request->type == SN_TARGET_CGROUP)
		return dp_attach_cgroup_check(attach, fd, peer, target);
	if (request->type == SN_TARGET_HOST)
		return 0;
	if (dp_slots_find_interface(attach->slots, request->ifindex))
		return -EEXIST;
	if (is_resolvers(attach, request->ifindex))
		return -EPERM;
	target->object = request->ifindex;
	return dp_attach_tc_check(attach, request->ifindex, request->role,
				  iface);
}

static int set_initial_policy(const struct dp_attach *attach, uint32_t slot,
			      const struct sn_ipc_attach *request)
{
	struct sn_policy policy = {
		.generation = attach->slots->targets[slot].next_generation,
		.mode = request->initial_mode,
		.audit = request->initial_audit,
		.inbound = SN_INBOUND_REPLIES,
	};

	if (request->initial_mode == SN_MODE_NONE)
		return 0;
	return dp_slots_flip(attach->slots, slot, &policy);
}

int dp_attach_add(struct dp_attach *attach, const struct sn_ipc_attach *request,
		  int fd, pid_t peer, struct sn_ipc_attach_answer *answer)
{
	struct sn_target target = { 0 };
	struct sn_iface iface = { 0 };
	uint32_t slot;
	int r;

	r = check_request(attach, request, fd);
	if (r >= 0)
		r = check_target(attach, request, fd, peer, &target, &iface);
	if (r < 0)
		return r;
	slot = dp_slots_take(attach->slots, &target, request->flow_quota);
	if (!slot)
		return -EMLINK;
	r = set_initial_policy(attach, slot, request);
	if (r >= 0 && target.type == SN_TARGET_TC)
		r = arm_interface(attach, slot, &iface, request->ifindex);
	else if (r >= 0 && target.type == SN_TARGET_CGROUP)
		r = arm_cgroup(attach, slot, fd, target.object);
	else if (r >= 0)
		dp_attach_host_set_slot(attach, slot);
	if (r < 0) {
		(void)dp_attach_remove(attach, slot);
		return r;
	}
	dp_slots_set_attached(attach->slots, slot);
	*answer = (struct sn_ipc_attach_answer){
		.object = target.object,
		.attached_at = target.attached_at,
		.slot = slot,
		.generation = attach->slots->targets[slot].next_generation - 1,
		.position = dp_attach_get_position(attach, slot),
	};
	return 0;
}

/* A link whose interface or cgroup has died is detached by the kernel. */
static int unlink_program(const struct dp_attach *attach, uint32_t slot,
			  size_t program)
{
	sn_cleanup(sn_closep) int link = -1;
	char name[LINK_NAME_BYTES];

	write_link_name(name, slot, program);
	link = dp_pins_get(attach->pins, "links", name);
	if (link == -ENOENT)
		return 0;
	if (link >= 0)
		(void)bpf_link_detach(link);
	return dp_pins_remove(attach->pins, "links", name);
}

int dp_attach_remove(struct dp_attach *attach, uint32_t slot)
{
	const struct sn_target *target = &attach->slots->targets[slot];
	uint32_t ifindex = (uint32_t)target->object;
	int r = 0;

	if (target->type == SN_TARGET_HOST) {
		/* What is summed is sent while its slot is known. */
		if (dp_table_has_flush(attach->object, SN_TABLE_RT_SUMS))
			(void)dp_table_flush(attach->object);
		dp_attach_host_set_slot(attach, 0);
		r = dp_attach_host_close(attach, slot, 0);
	}
	for (size_t i = 0; r >= 0 && i < SN_PROGRAM_COUNT; i++) {
		if (!is_for(i, target->type))
			continue;
		r = unlink_program(attach, slot, i);
		if (r >= 0 && target->type == SN_TARGET_TC && attach->netlink)
			r = dp_attach_tc_remove_filter(
				ifindex, sn_programs_info[i].hook);
	}
	if (r < 0)
		return sn_trace(r);
	if (target->type == SN_TARGET_TC)
		(void)bpf_map_delete_elem(attach->object->maps[SN_TABLE_IFACES],
					  &ifindex);
	else if (target->type == SN_TARGET_CGROUP)
		(void)dp_attach_cgroup_set_slot(attach, target->object, 0);
	dp_slots_close(attach->slots, slot);
	return 0;
}

static int32_t get_link_position(const struct dp_attach *attach, uint32_t slot,
				 size_t program)
{
	const struct sn_target *target = &attach->slots->targets[slot];
	enum sn_program_hook hook = sn_programs_info[program].hook;
	struct bpf_link_info info = { 0 };
	sn_cleanup(sn_closep) int link = -1;
	char name[LINK_NAME_BYTES];
	uint32_t bytes = sizeof(info);

	write_link_name(name, slot, program);
	link = dp_pins_get(attach->pins, "links", name);
	if (link < 0) {
		if (target->type == SN_TARGET_TC && attach->netlink &&
		    dp_attach_tc_has_filter((uint32_t)target->object, hook))
			return SN_IPC_POSITION_UNKNOWN;
		return link == -ENOENT ? SN_IPC_POSITION_TAKEN :
					 SN_IPC_POSITION_UNKNOWN;
	}
	if (bpf_obj_get_info_by_fd(link, &info, &bytes) < 0)
		return SN_IPC_POSITION_UNKNOWN;
	if (target->type == SN_TARGET_CGROUP)
		/* All programs of a cgroup hook run, and one refusal is
		 * enough, so the order does not matter. */
		return info.cgroup.cgroup_id == target->object ?
			       0 :
			       SN_IPC_POSITION_GONE;
	/* The member for TCX begins as that for XDP does. */
	if (info.xdp.ifindex != target->object)
		return SN_IPC_POSITION_GONE;
	return dp_attach_tc_get_position((uint32_t)target->object, hook,
					 attach->object->program_ids[program]);
}

int32_t dp_attach_get_position(const struct dp_attach *attach, uint32_t slot)
{
	const struct sn_target *target = &attach->slots->targets[slot];
	int32_t worst = 0;
	bool has_live = false, has_dead = false;

	if (target->type == SN_TARGET_HOST)
		return dp_attach_host_get_position(attach, slot);
	if (target->type == SN_TARGET_TC &&
	    !dp_attach_tc_exists(attach, (uint32_t)target->object))
		return SN_IPC_POSITION_GONE;
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		int32_t position;

		if (!is_for(i, target->type) ||
		    (attach->object->programs[i] < 0 &&
		     !sn_programs_info[i].needed))
			continue;
		position = get_link_position(attach, slot, i);
		if (position == SN_IPC_POSITION_TAKEN)
			return position;
		if (position == SN_IPC_POSITION_GONE) {
			has_dead = true;
			continue;
		}
		has_live = true;
		if (worst >= 0)
			worst = position < 0 ? position :
					       SN_MAX(worst, position);
	}
	/* The kernel ends all links of what dies. */
	if (has_dead)
		return has_live ? SN_IPC_POSITION_TAKEN : SN_IPC_POSITION_GONE;
	return worst;
}

/* Replaces the program of one link atomically. */
static int move_link(const struct dp_attach *attach, uint32_t slot,
		     size_t program)
{
	const struct sn_target *target = &attach->slots->targets[slot];
	enum sn_program_hook hook = sn_programs_info[program].hook;
	uint32_t ifindex = (uint32_t)target->object;
	sn_cleanup(sn_closep) int link = -1;
	char name[LINK_NAME_BYTES];
	int fd = attach->object->programs[program];

	if (fd < 0)
		return 0;
	write_link_name(name, slot, program);
	link = dp_pins_get(attach->pins, "links", name);
	if (link == -ENOENT) {
		if (target->type == SN_TARGET_TC &&
		    dp_attach_tc_has_filter(ifindex, hook))
			return dp_attach_tc_put_filter(ifindex, hook, fd);
		return 0;
	}
	if (link < 0)
		return sn_trace(link);
	if (bpf_link_update(link, fd, NULL) < 0 && errno != ENOLINK)
		return sn_trace(-errno);
	return 0;
}

/* Pins of slots that hold nothing are removed, which ends their links. */
static int remove_stray(void *arg, const char *name)
{
	struct dp_attach *attach = arg;
	char *end = NULL;
	unsigned long slot = strtoul(name, &end, 10);
	const struct sn_target *target;

	target = slot < attach->slots->n ?
			 dp_slots_get(attach->slots, (uint32_t)slot) :
			 NULL;
	if (target && target->type == SN_TARGET_HOST &&
	    dp_attach_host_has_link(attach, (uint32_t)slot, name))
		return 0;
	for (size_t i = 0; target && *end == '-' && i < SN_PROGRAM_COUNT; i++) {
		if (is_for(i, target->type) &&
		    strcmp(end + 1, sn_programs_info[i].function) == 0)
			return 0;
	}
	sn_log(SN_LOG_WARNING, "link-removed pin=%s: no attachment has it",
	       name);
	return dp_attach_host_remove_stray(attach, (uint32_t)slot, name);
}

/* An interface attached by an earlier process on clsact. */
static bool has_filter(const struct dp_attach *attach, uint32_t slot,
		       size_t program)
{
	const struct sn_target *target = &attach->slots->targets[slot];
	sn_cleanup(sn_closep) int link = -1;
	char name[LINK_NAME_BYTES];

	if (target->type != SN_TARGET_TC)
		return false;
	write_link_name(name, slot, program);
	link = dp_pins_get(attach->pins, "links", name);
	return link == -ENOENT &&
	       dp_attach_tc_has_filter((uint32_t)target->object,
				       sn_programs_info[program].hook);
}

/* Its detach may have been cut short, or the tables are others than those of the
 * attachment, or none; its pins are removed with those of nobody. No failure keeps
 * the other slots from being taken over. */
static void recover_host(struct dp_attach *attach, uint32_t slot)
{
	int r;

	if (!dp_attach_host_is_slot(attach, slot)) {
		sn_log(SN_LOG_WARNING,
		       "host-detached slot=%u: its detach was not complete, or "
		       "its tables are not there",
		       slot);
		dp_slots_close(attach->slots, slot);
		return;
	}
	r = dp_attach_host_recover(attach, slot);
	if (r < 0)
		sn_log(SN_LOG_ERROR,
		       "hooks-missing slot=%u error='%s': some events are not "
		       "seen until the next FLIP",
		       slot, strerror(-r));
}

static int recover_slot(struct dp_attach *attach, uint32_t slot)
{
	const struct sn_target *target = &attach->slots->targets[slot];
	bool attaching = target->state == SN_TARGET_ATTACHING;
	int r = 0;

	if (!attaching && target->state != SN_TARGET_ATTACHED)
		return 0;
	for (size_t i = 0; r >= 0 && i < SN_PROGRAM_COUNT; i++) {
		if (!is_for(i, target->type))
			continue;
		if (!attach->netlink)
			attach->netlink = has_filter(attach, slot, i);
		if (attach->object->replaced && !attaching)
			r = move_link(attach, slot, i);
	}
	if (r >= 0 && !attaching && target->type == SN_TARGET_HOST)
		recover_host(attach, slot);
	if (r < 0 || !attaching)
		return r;
	sn_log(SN_LOG_WARNING, "attachment-undone slot=%u: it was not complete",
	       slot);
	return dp_attach_remove(attach, slot);
}

static struct sn_rt_host *get_host(const struct dp_attach *attach)
{
	return attach->object->memory[SN_TABLE_RT_HOST];
}

/* Which instance the programs are that get on hooks. */
static int begin_host(struct dp_attach *attach)
{
	if (!attach->object->runtime)
		return 0;
	attach->instance = get_host(attach)->instance;
	return attach->object->runtime_replaced ?
		       dp_pins_pass_instances(attach->pins, attach->instance,
					      &attach->instance) :
		       0;
}

/* One that an earlier process gave back before it could say so there. */
static void forget_slot(const struct dp_attach *attach)
{
	const struct sn_target *target;

	if (!attach->object->runtime)
		return;
	target = dp_slots_get(attach->slots, get_host(attach)->slot);
	if (!target || target->type != SN_TARGET_HOST)
		dp_attach_host_set_slot(attach, 0);
}

int dp_attach_recover(struct dp_attach *attach)
{
	int r;

	r = begin_host(attach);
	if (r >= 0)
		r = dp_pins_make(attach->pins, "links");
	for (uint32_t slot = 1; r >= 0 && slot < attach->slots->n; slot++)
		r = recover_slot(attach, slot);
	if (r >= 0)
		forget_slot(attach);
	/* From here on the new ones see, and the old, whose pins are nobody's
	 * now, do not. */
	if (r >= 0 && attach->object->runtime)
		__atomic_store_n(&get_host(attach)->instance, attach->instance,
				 __ATOMIC_RELEASE);
	if (r >= 0)
		r = dp_pins_each(attach->pins, "links", remove_stray, attach);
	return r < 0 ? sn_trace(r) : 0;
}

int dp_attach_prepare(struct dp_attach *attach, uint32_t slot,
		      const struct sn_policy *policy)
{
	if (attach->slots->targets[slot].type != SN_TARGET_HOST)
		return 0;
	return dp_attach_host_open(attach, slot, policy->runtime_events);
}

void dp_attach_settle(struct dp_attach *attach, uint32_t slot)
{
	int r = 0;

	if (attach->slots->targets[slot].type == SN_TARGET_HOST)
		r = dp_attach_host_settle(attach, slot);
	if (r < 0)
		sn_log(SN_LOG_ERROR,
		       "hooks-kept slot=%u error='%s': programs that no rule "
		       "needs stay until the next FLIP",
		       slot, strerror(-r));
}
