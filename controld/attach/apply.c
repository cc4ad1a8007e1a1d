/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/apply.h"

#include <string.h>

#include "controld/attach/doh.h"
#include "controld/attach/remote.h"
#include "controld/attach/stage.h"
#include "controld/attach/state.h"
#include "shared/log.h"

static void restored(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;

	if (r < 0) {
		sn_log(SN_LOG_ERROR,
		       "restore id=%s error=%s: the kernel enforces the policy "
		       "that was refused until it can be replaced",
		       item->id_text, strerror(-r));
		item->is_suspect = true;
	} else {
		/* Rows of the refused generation. */
		(void)cp_attach_op_enqueue(item, cp_attach_stage_sweep_run,
					   true);
	}
	(void)cp_attach_state_put(item);
	cp_attach_op_finish(op);
}

static void saved(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;

	if (r == 0) {
		op->result.generation = item->generation;
		if (op->previous && item->slot)
			cp_attach_stage_retire(op);
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_op_fail(op, CP_ATTACH_CODE_INTERNAL,
			  "the state file cannot be written: %s; the policy "
			  "before was put back",
			  strerror(-r));
	cp_attach_stage_go_back(op);
	cp_attach_remote_unstamp(op);
	/* The rows of the policy before are swept first, so that two copies
	 * are enough. */
	item->has_strays = true;
	if (item->slot)
		cp_attach_stage_run(op, restored);
	else
		restored(op, 0);
}

static void staged(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		cp_attach_op_fail_errno(op, r, "the policy");
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_stage_commit(op);
	cp_attach_remote_stamp(op);
	r = cp_attach_state_put(op->item);
	if (r < 0)
		saved(op, r);
	else
		cp_attach_op_sync(op, saved);
}

void cp_attach_apply_replace(struct cp_attach_op *op)
{
	/* What waits for its target takes effect when that appears. */
	if (op->item->slot)
		cp_attach_stage_run(op, staged);
	else
		staged(op, 0);
}

void cp_attach_apply_policy_run(struct cp_attach_op *op)
{
	const struct cp_policy *running = op->item->policy;
	uint64_t now_ns = cp_attach_item_now(op->manager);
	struct cp_policy_diff diff;
	int r;

	if (!cp_attach_doh_settle(op, op->policy, NULL)) {
		cp_attach_op_finish(op);
		return;
	}
	r = cp_policy_adopt_ids(op->policy, running);
	if (r < 0) {
		cp_attach_op_fail(op,
				  r == -ERANGE ? CP_ATTACH_CODE_EXHAUSTED :
						 CP_ATTACH_CODE_INTERNAL,
				  "rules cannot be numbered: %s", strerror(-r));
		cp_attach_op_finish(op);
		return;
	}
	cp_policy_start_ttls(op->policy, now_ns);
	diff = cp_policy_compare(running, op->policy, now_ns);
	op->result.added = diff.added;
	op->result.removed = diff.removed;
	op->result.unchanged = diff.unchanged;
	op->result.generation = op->item->generation;
	if (op->dry_run)
		cp_attach_op_finish(op);
	else
		cp_attach_apply_replace(op);
}

void cp_attach_apply_mode_run(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	struct cp_policy_settings settings =
		cp_policy_get_settings(item->policy);
	int r;

	op->result.generation = item->generation;
	if (settings.mode == op->mode && settings.audit == op->audit) {
		cp_attach_op_finish(op);
		return;
	}
	r = cp_policy_copy(item->policy, &op->policy);
	if (r < 0) {
		cp_attach_op_fail_errno(op, r, "the policy");
		cp_attach_op_finish(op);
		return;
	}
	settings.mode = op->mode;
	settings.audit = op->audit;
	cp_policy_put_settings(op->policy, &settings);
	if (cp_attach_doh_settle(op, op->policy, NULL))
		cp_attach_apply_replace(op);
	else
		cp_attach_op_finish(op);
}

static void again_saved(struct cp_attach_op *op, int r)
{
	if (r < 0)
		sn_log(SN_LOG_WARNING, "state file error=%s", strerror(-r));
	cp_attach_op_finish(op);
}

static void again_staged(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;

	item->is_suspect = r < 0;
	if (r < 0) {
		if (item->told_cause != r)
			sn_log(SN_LOG_WARNING,
			       "restage id=%s error=%s: tried again later",
			       item->id_text, strerror(-r));
		item->told_cause = r;
		cp_attach_op_finish(op);
		return;
	}
	item->told_cause = 0;
	sn_log(SN_LOG_INFO, "restaged id=%s generation=%u", item->id_text,
	       item->generation);
	(void)cp_attach_op_enqueue(item, cp_attach_stage_sweep_run, true);
	(void)cp_attach_state_put(item);
	cp_attach_op_sync(op, again_saved);
}

void cp_attach_apply_again_run(struct cp_attach_op *op)
{
	if (op->item->slot == 0) {
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_stage_run(op, again_staged);
}
