/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/target.h"

#include <stdio.h>
#include <string.h>

#include "controld/attach/change.h"
#include "controld/attach/counters.h"
#include "controld/attach/remote.h"
#include "controld/attach/stage.h"
#include "controld/attach/state.h"
#include "controld/target/resolve.h"
#include "shared/log.h"

static void begin_attach(struct cp_attach_op *op, int fd);

static const char *kind_of(const struct cp_attach_item *item)
{
	return item->type == SN_TARGET_TC ? "interface" : "cgroup";
}

/* What sentinel-dp or the resolver says of a target, in words. */
static void fail_target(struct cp_attach_op *op, int r)
{
	const struct cp_attach_item *item = op->item;
	const char *kind = kind_of(item), *name = item->target;

	if (r == -ENODEV || r == -ENOENT)
		cp_attach_op_fail(op, CP_ATTACH_CODE_NOT_FOUND,
				  "there is no %s '%s'", kind, name);
	else if (r == -EEXIST)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXISTS,
				  "%s '%s' is attached already", kind, name);
	else if (r == -ENOTDIR)
		cp_attach_op_fail(op, CP_ATTACH_CODE_PRECONDITION,
				  "'%s' is not a directory of a cgroup2 "
				  "hierarchy",
				  name);
	else if (r == -EBUSY)
		cp_attach_op_fail(op, CP_ATTACH_CODE_PRECONDITION,
				  "a cgroup above or below '%s' is attached; "
				  "both policies would apply",
				  name);
	else if (r == -EPERM && item->type == SN_TARGET_TC)
		cp_attach_op_fail(
			op, CP_ATTACH_CODE_PRECONDITION,
			"sentinel-dp does not admit interface '%s' "
			"in this role: without --allow-host-role only "
			"veth and tun interfaces, in role workload",
			name);
	else if (r == -EPERM)
		cp_attach_op_fail(op, CP_ATTACH_CODE_PRECONDITION,
				  "sentinel-dp does not admit cgroup '%s': the "
				  "root cgroup and those of the daemons are "
				  "refused",
				  name);
	else if (r == -EOPNOTSUPP)
		cp_attach_op_fail(op, CP_ATTACH_CODE_PRECONDITION,
				  "this kernel or the kind of %s '%s' does not "
				  "support the hook",
				  kind, name);
	else if (r == -EMLINK)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "no slot is free (sentinel-dp --slots)");
	else if (r == -EINVAL)
		cp_attach_op_fail(op, CP_ATTACH_CODE_PRECONDITION,
				  "%s '%s' cannot be attached: not a usable "
				  "name, or too deep in the hierarchy",
				  kind, name);
	else
		cp_attach_op_fail_errno(op, r, "the attachment");
}

void cp_attach_target_watch(struct cp_attach_item *item)
{
	struct cp_target_watch *watch = item->manager->watch;
	int r;

	if (!watch)
		return;
	cp_target_watch_remove(watch, item);
	if (item->is_waiting && item->type == SN_TARGET_TC)
		r = cp_target_watch_expect_iface(watch, item->target, item);
	else if (item->is_waiting)
		r = cp_target_watch_expect_cgroup(watch, item->target, item);
	else if (item->type == SN_TARGET_TC)
		r = cp_target_watch_add_iface(watch, (uint32_t)item->object,
					      item->target, item);
	else
		r = cp_target_watch_add_cgroup(watch, item->target,
					       item->object, item);
	if (r < 0)
		sn_log(SN_LOG_WARNING,
		       "watch id=%s target=%s error=%s: its end is only "
		       "noticed by the poll of sentinel-dp",
		       item->id_text, sn_log_target(item->target),
		       strerror(-r));
}

/* A failed attach: a new item goes, an old one waits for its target. */
static void end_failed(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;

	if (item->is_new && cp_attach_op_is_link_error(op->cause)) {
		/* Whether the kernel has it is found out, and undone, when
		 * sentinel-dp is there again; until then it stays hidden. */
		cp_attach_state_del(item);
		item->is_gone = true;
		cp_attach_op_finish(op);
		return;
	}
	if (item->is_new) {
		cp_attach_state_del(item);
		op->drops_item = true;
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_item_put_slot(item, 0);
	if (!cp_attach_op_is_link_error(op->cause)) {
		bool is_absent = op->cause == -ENODEV || op->cause == -ENOENT;

		/* Other causes are tried again by the collect timer. */
		item->is_suspect = !is_absent;
		item->is_waiting = true;
		if (is_absent)
			cp_attach_target_watch(item);
		if (item->told_cause != op->cause)
			sn_log(is_absent ? SN_LOG_INFO : SN_LOG_WARNING,
			       "waiting id=%s target=%s reason='%s'",
			       item->id_text, sn_log_target(item->target),
			       sn_log_target(op->result.diag.text));
		item->told_cause = op->cause;
	}
	cp_attach_op_finish(op);
}

static void undone(struct cp_attach_op *op, int r)
{
	if (cp_attach_op_is_link_error(r))
		op->cause = r;
	end_failed(op);
}

static void undo(struct cp_attach_op *op)
{
	struct sn_ipc_detach body = { .slot = op->item->slot };

	if (!op->was_attached) {
		end_failed(op);
		return;
	}
	memcpy(body.id, op->item->id, SN_ID_BYTES);
	cp_attach_op_request(op, SN_IPC_DETACH, &body, -1, undone);
}

static void saved(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;
	bool was_new = item->is_new;

	if (r < 0 && !item->is_new) {
		sn_log(SN_LOG_WARNING,
		       "state file error=%s: id=%s is enforced all the same",
		       strerror(-r), item->id_text);
	} else if (r < 0) {
		op->cause = r;
		cp_attach_op_fail(op, CP_ATTACH_CODE_INTERNAL,
				  "the state file cannot be written: %s; the "
				  "attachment was undone",
				  strerror(-r));
		undo(op);
		return;
	}
	item->is_new = false;
	item->told_cause = 0;
	op->result.code = CP_ATTACH_CODE_OK;
	op->result.generation = item->generation;
	sn_log(SN_LOG_INFO, "attached id=%s target=%s slot=%u generation=%u",
	       item->id_text, sn_log_target(item->target), item->slot,
	       item->generation);
	if (was_new) {
		cp_attach_remote_attached(op);
		cp_attach_observe_attached(item);
	}
	cp_attach_op_finish(op);
}

/* An attachment of old is not opened because its policy has no room at the
 * moment: it stays attached, which without a policy drops everything. */
static void stay_closed(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;

	item->is_suspect = true;
	sn_log(SN_LOG_ERROR,
	       "closed id=%s target=%s error=%s: everything is dropped until "
	       "its policy can be written, which is tried again",
	       item->id_text, sn_log_target(item->target), strerror(-r));
	cp_attach_op_finish(op);
}

static void staged(struct cp_attach_op *op, int r)
{
	if (r < 0 && !op->item->is_new && !cp_attach_op_is_link_error(r)) {
		stay_closed(op, r);
		return;
	}
	if (r == 0)
		r = cp_attach_state_put(op->item);
	if (r < 0) {
		op->cause = r;
		cp_attach_op_fail_errno(op, r, "the policy");
		undo(op);
		return;
	}
	cp_attach_op_sync(op, saved);
}

static void attached(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;

	if (r < 0) {
		op->cause = r;
		fail_target(op, r);
		undo(op);
		return;
	}
	op->was_attached = true;
	cp_attach_item_put_slot(item, op->attached.slot);
	item->object = op->attached.object;
	item->generation = op->attached.generation;
	item->position = op->attached.position;
	item->block = (struct sn_policy){ 0 };
	item->is_waiting = false;
	item->is_suspect = false;
	item->has_strays = false;
	cp_attach_counters_rebase(item);
	if (item->is_new) {
		item->attached_boot_ns = op->attached.attached_at;
		item->attached_wall_ns = cp_attach_item_wall_now();
		cp_policy_start_ttls(item->policy,
				     cp_attach_item_now(item->manager));
	}
	cp_attach_stage_run(op, staged);
}

static void begin_attach(struct cp_attach_op *op, int fd)
{
	struct cp_attach_item *item = op->item;
	struct cp_policy_settings settings =
		cp_policy_get_settings(item->policy);
	struct sn_ipc_attach body = {
		.ifindex = item->type == SN_TARGET_TC ? (uint32_t)item->object :
							0,
		.flow_quota = item->manager->options.flow_quota,
		.type = (uint8_t)item->type,
		.role = item->type == SN_TARGET_TC ? (uint8_t)item->role :
						     SN_ROLE_NONE,
	};

	memcpy(body.id, item->id, SN_ID_BYTES);
	/* Only where nothing is ever dropped may it begin open. */
	if (settings.mode == SN_MODE_DISABLED) {
		body.initial_mode = SN_MODE_DISABLED;
		body.initial_audit = settings.audit;
	}
	if (cp_attach_item_find_target(item->manager, item)) {
		attached(op, -EEXIST);
		return;
	}
	item->is_waiting = false;
	cp_attach_target_watch(item);
	cp_attach_op_request(op, SN_IPC_ATTACH, &body, fd, attached);
}

static void resolved_iface(void *userdata, int status,
			   const struct cp_target_resolve_iface *iface)
{
	struct cp_attach_op *op = userdata;

	if (status < 0) {
		attached(op, status);
		return;
	}
	op->item->object = iface->ifindex;
	if (op->item->role == SN_ROLE_NONE)
		op->item->role = iface->role;
	begin_attach(op, -1);
}

static void resolved_cgroup(void *userdata, int status,
			    struct cp_target_resolve_cgroup *cgroup)
{
	struct cp_attach_op *op = userdata;

	if (status < 0) {
		attached(op, status);
		return;
	}
	op->item->object = cgroup->id;
	begin_attach(op, cgroup->fd);
}

static void resolve(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	uv_loop_t *loop = op->manager->options.loop;
	int r;

	if (item->type == SN_TARGET_TC)
		r = cp_target_resolve_iface(NULL, loop, item->target,
					    resolved_iface, op);
	else
		r = cp_target_resolve_cgroup(NULL, loop, item->target,
					     resolved_cgroup, op);
	if (r < 0)
		attached(op, r);
}

void cp_attach_target_add_run(struct cp_attach_op *op)
{
	resolve(op);
}

void cp_attach_target_again_run(struct cp_attach_op *op)
{
	/* An operation before this one may have done it. */
	if (op->item->slot || op->item->is_gone) {
		cp_attach_op_finish(op);
		return;
	}
	resolve(op);
}

/* Whether a kernel without this attachment is what r says. */
static bool is_detached(int r)
{
	return r == 0 || r == -ENOENT;
}

static void forgotten(struct cp_attach_op *op, int r)
{
	if (r < 0)
		sn_log(SN_LOG_WARNING,
		       "state file error=%s: detached id=%s is forgotten with "
		       "the next write",
		       strerror(-r), op->item->id_text);
	op->result.code = CP_ATTACH_CODE_OK;
	op->drops_item = true;
	cp_attach_op_finish(op);
}

static void forget(struct cp_attach_op *op)
{
	sn_log(SN_LOG_INFO, "detached id=%s target=%s", op->item->id_text,
	       sn_log_target(op->item->target));
	cp_attach_state_del(op->item);
	cp_attach_op_sync(op, forgotten);
}

static void kept_again(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		/* The file may still have the intent. */
		sn_log(SN_LOG_ERROR,
		       "state file error=%s: id=%s may be detached when "
		       "sentinel-cp starts again",
		       strerror(-r), op->item->id_text);
		sn_diag_set(&op->result.diag, NULL,
			    "it was not detached, and the state file cannot be "
			    "written: %s; it may be detached when sentinel-cp "
			    "starts again",
			    strerror(-r));
	}
	cp_attach_op_finish(op);
}

static void remove_failed(struct cp_attach_op *op)
{
	op->item->is_detaching = false;
	(void)cp_attach_change_put(op->item, NULL);
	cp_attach_op_sync(op, kept_again);
}

static void detached(struct cp_attach_op *op, int r)
{
	if (is_detached(r)) {
		forget(op);
		return;
	}
	cp_attach_op_fail_errno(op, r, "the detachment");
	remove_failed(op);
}

static void send_detach(struct cp_attach_op *op, cp_attach_op_step step)
{
	struct sn_ipc_detach body = { .slot = op->item->slot };

	if (op->item->slot == 0) {
		step(op, 0);
		return;
	}
	memcpy(body.id, op->item->id, SN_ID_BYTES);
	cp_attach_op_request(op, SN_IPC_DETACH, &body, -1, step);
}

static void intent_saved(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		cp_attach_op_fail(op, CP_ATTACH_CODE_INTERNAL,
				  "the state file cannot be written: %s; the "
				  "attachment stays",
				  strerror(-r));
		op->item->is_detaching = false;
		(void)cp_attach_change_put(op->item, NULL);
		cp_attach_op_finish(op);
		return;
	}
	send_detach(op, detached);
}

void cp_attach_target_remove_run(struct cp_attach_op *op)
{
	int r;

	op->item->is_detaching = true;
	r = cp_attach_change_put(op->item, NULL);
	if (r < 0)
		intent_saved(op, r);
	else
		cp_attach_op_sync(op, intent_saved);
}

static void gone(struct cp_attach_op *op, int r)
{
	if (is_detached(r)) {
		forget(op);
		return;
	}
	/* is_gone stays; reconciling, or the poll, comes back to it. */
	cp_attach_op_fail_errno(op, r, "the detachment");
	cp_attach_op_finish(op);
}

void cp_attach_target_gone_run(struct cp_attach_op *op)
{
	send_detach(op, gone);
}
