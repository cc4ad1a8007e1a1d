/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/remote.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/apply.h"
#include "controld/attach/change.h"
#include "controld/attach/doh.h"
#include "controld/attach/domains.h"
#include "controld/attach/op.h"
#include "controld/attach/rules.h"
#include "controld/attach/target.h"
#include "shared/log.h"

void cp_attach_remote_start(struct cp_attach *manager, bool local_rules)
{
	manager->is_remote = true;
	manager->permits_local_rules = local_rules;
}

uint64_t cp_attach_remote_revision(const struct cp_attach_item *item)
{
	return item->revision;
}

bool cp_attach_remote_is_held(const struct cp_attach_item *item)
{
	return item->held_mode != SN_MODE_NONE;
}

size_t cp_attach_remote_count_held(const struct cp_attach *manager)
{
	size_t n = 0;

	for (size_t i = 0; i < manager->n_items; i++)
		n += cp_attach_remote_is_held(manager->items[i]);
	return n;
}

void cp_attach_remote_hold(struct cp_attach_item *item)
{
	struct cp_policy_settings settings;

	if (!item->manager->is_remote)
		return;
	settings = cp_policy_get_settings(item->policy);
	item->held_mode = settings.mode;
	item->held_audit = settings.audit;
	settings.mode = SN_MODE_BLOCK_ALL;
	settings.audit = false;
	cp_policy_put_settings(item->policy, &settings);
}

void cp_attach_remote_attached(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;

	if (!cp_attach_remote_is_held(item) || !op->done)
		return;
	item->waiter = op->done;
	item->waiter_userdata = op->userdata;
	op->done = NULL;
}

static void answer(struct cp_attach_item *item, enum cp_attach_code code,
		   const char *text)
{
	struct cp_attach_result result = {
		.code = code,
		.generation = item->generation,
	};
	cp_attach_done waiter = item->waiter;

	if (!waiter)
		return;
	item->waiter = NULL;
	sn_diag_set(&result.diag, NULL, "%s", text);
	(void)memcpy(result.id, item->id_text, sizeof(result.id));
	waiter(item->waiter_userdata, &result);
}

void cp_attach_remote_answer(struct cp_attach *manager, const char *id,
			     enum cp_attach_code code, const char *text)
{
	struct cp_attach_item *item = cp_attach_item_find(manager, id);

	if (item)
		answer(item, code, text);
}

void cp_attach_remote_ended(struct cp_attach_item *item)
{
	if (item->manager->is_closing)
		answer(item, CP_ATTACH_CODE_UNAVAILABLE,
		       "sentinel-cp is stopping");
	else
		answer(item, CP_ATTACH_CODE_NOT_FOUND,
		       "the attachment has ended");
}

bool cp_attach_remote_refuse(struct cp_attach_op *op)
{
	const struct cp_attach *manager = op->manager;
	const struct cp_attach_item *item = op->item;

	if (!manager->is_remote || op->revision || op->is_internal ||
	    op->scope == CP_ATTACH_OP_SCOPE_WHOLE ||
	    (!item->revision && !cp_attach_remote_is_held(item)))
		return false;
	if (op->scope == CP_ATTACH_OP_SCOPE_RULES) {
		if (manager->permits_local_rules)
			return false;
		cp_attach_op_fail(op, CP_ATTACH_CODE_PRECONDITION,
				  "the attachment is under a control plane, "
				  "beside which this host permits no rules "
				  "(control.local_rules)");
	} else {
		cp_attach_op_fail(op, CP_ATTACH_CODE_PRECONDITION,
				  "the attachment is under a control plane, "
				  "which alone sets its policy");
	}
	return true;
}

void cp_attach_remote_stamp(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;

	op->previous_revision = item->revision;
	op->previous_held_mode = item->held_mode;
	if (op->revision)
		item->revision = op->revision;
	if (op->releases)
		item->held_mode = SN_MODE_NONE;
}

void cp_attach_remote_unstamp(struct cp_attach_op *op)
{
	op->item->revision = op->previous_revision;
	op->item->held_mode = op->previous_held_mode;
}

/* SubscribedAck without a policy: the revision is all of it. */
static void ack_run(struct cp_attach_op *op)
{
	cp_attach_op_finish(op);
}

static void revision_saved(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		cp_attach_remote_unstamp(op);
		cp_attach_op_fail(op, CP_ATTACH_CODE_INTERNAL,
				  "the state file cannot be written: %s",
				  strerror(-r));
		(void)cp_attach_change_put(op->item, NULL);
	}
	cp_attach_op_finish(op);
}

/* Changes that changed nothing have a revision to be saved all the same: done
 * again, after others, they would undo those. */
bool cp_attach_remote_finish(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	int r;

	if (op->revision && op->accepts_none &&
	    op->result.code == CP_ATTACH_CODE_NOT_FOUND)
		op->result.code = CP_ATTACH_CODE_OK;
	if (op->result.code == CP_ATTACH_CODE_OK && !op->drops_item &&
	    (op->revision > item->revision ||
	     (op->releases && cp_attach_remote_is_held(item)))) {
		cp_attach_remote_stamp(op);
		r = cp_attach_change_put(item, NULL);
		if (r < 0)
			revision_saved(op, r);
		else
			cp_attach_op_sync(op, revision_saved);
		return true;
	}
	op->result.revision = item->revision;
	if (op->result.code == CP_ATTACH_CODE_OK && !op->drops_item &&
	    (op->guarded == ack_run || op->releases))
		answer(item, CP_ATTACH_CODE_OK, "");
	return false;
}

/* What an update leaves alone: the host's own rules, where it may have any.
 * Every other owner's are the update's or made anew. */
static bool is_kept(const struct cp_attach_op *op, uint8_t owner)
{
	return op->manager->permits_local_rules &&
	       owner == CP_POLICY_OWNER_LOCAL;
}

static int fail_room(struct cp_attach_op *op, int r, const char *what)
{
	if (r > 0)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "with the host's rule for %s the policy is "
				  "over its limits",
				  what);
	else
		cp_attach_op_fail_errno(op, r, "the policy");
	return r;
}

static int keep_local(struct cp_attach_op *op)
{
	const struct cp_policy *running = op->item->policy;
	const struct cp_dns_rules *names = cp_policy_get_domains(running);
	const struct cp_policy_rule *rule;
	const struct cp_dns_rule *domain;
	char text[CP_DNS_NAME_TEXT_BYTES]; /* also of a prefix */
	uint32_t id = 0;
	size_t cursor = 0;
	int r;

	while ((rule = cp_policy_walk_rules(running, &cursor))) {
		struct cp_policy_rule copy = *rule;

		if (!is_kept(op, rule->owner))
			continue;
		copy.id = 0;
		r = cp_policy_add(op->policy, &copy, NULL, NULL);
		if (r)
			return fail_room(op, r,
					 cp_policy_cidr_format(&rule->cidr,
							       text));
	}
	while ((domain = cp_dns_rules_next(names, id))) {
		struct cp_dns_rule copy = *domain;

		id = domain->id;
		if (!is_kept(op, domain->owner))
			continue;
		copy.id = 0;
		r = cp_policy_add_domain(op->policy, &copy, NULL, NULL);
		if (r)
			return fail_room(
				op, r, cp_dns_name_format(&domain->name, text));
	}
	return 0;
}

/* The lives of the host's rules go on; those of the update began anew. */
static void keep_lives(struct cp_attach_op *op)
{
	const struct cp_policy_rule *rule;
	size_t cursor = 0;

	while ((rule = cp_policy_walk_rules(op->item->policy, &cursor)))
		if (is_kept(op, rule->owner))
			(void)cp_policy_add(op->policy, rule, NULL, NULL);
}

static void update_run(struct cp_attach_op *op)
{
	const struct cp_policy *running = op->item->policy;
	uint64_t now_ns = cp_attach_item_now(op->manager);
	struct cp_policy_diff diff;
	int r;

	if (keep_local(op) || !cp_attach_doh_settle(op, op->policy, NULL)) {
		cp_attach_op_finish(op);
		return;
	}
	/* Equal rules keep their ids, also the host's. */
	r = cp_policy_adopt_ids(op->policy, running);
	if (r < 0) {
		cp_attach_op_fail_errno(op, r, "the policy");
		cp_attach_op_finish(op);
		return;
	}
	cp_policy_start_ttls(op->policy, now_ns);
	keep_lives(op);
	diff = cp_policy_compare(running, op->policy, now_ns);
	op->result.added = diff.added;
	op->result.removed = diff.removed;
	op->result.unchanged = diff.unchanged;
	cp_attach_apply_replace(op);
}

static void guarded_run(struct cp_attach_op *op)
{
	if (op->revision <= op->item->revision) {
		op->result.is_repeated = true;
		op->revision = 0;
		op->releases = false;
		cp_attach_op_finish(op);
		return;
	}
	op->guarded(op);
}

static const struct {
	void (*run)(struct cp_attach_op *op);
	bool releases;
	bool accepts_none;
} kinds[] = {
	[CP_ATTACH_REMOTE_ACK] = { .run = ack_run },
	[CP_ATTACH_REMOTE_UPDATE] = { .run = update_run, .releases = true },
	[CP_ATTACH_REMOTE_MODE] = { .run = cp_attach_apply_mode_run,
				    .releases = true },
	[CP_ATTACH_REMOTE_ADD_RULE] = { .run = cp_attach_rules_add_run },
	[CP_ATTACH_REMOTE_REMOVE_RULES] = { .run = cp_attach_rules_remove_run,
					    .accepts_none = true },
	[CP_ATTACH_REMOTE_ADD_DOMAIN] = { .run = cp_attach_domains_add_run },
	[CP_ATTACH_REMOTE_REMOVE_DOMAINS] = { .run = cp_attach_domains_remove_run,
					      .accepts_none = true },
	[CP_ATTACH_REMOTE_DNS_MODE] = { .run = cp_attach_domains_mode_run },
	[CP_ATTACH_REMOTE_DETACH] = { .run = cp_attach_target_remove_run },
};

int cp_attach_remote_submit(struct cp_attach *manager,
			    struct cp_attach_remote_change *change,
			    cp_attach_done done, void *userdata)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		sn_steal(&change->policy);
	struct cp_attach_op *op;
	int r;

	assert(change->revision);
	r = cp_attach_op_new(&op, manager, change->id, guarded_run, done,
			     userdata);
	if (r < 0)
		return sn_trace(r);
	op->guarded = kinds[change->kind].run;
	op->releases = kinds[change->kind].releases;
	op->accepts_none = kinds[change->kind].accepts_none;
	op->revision = change->revision;
	op->policy = sn_steal(&policy);
	op->mode = change->mode;
	op->audit = change->audit;
	op->rule = change->rule;
	op->dns_mode = change->dns_mode;
	if (change->kind == CP_ATTACH_REMOTE_ADD_DOMAIN ||
	    change->kind == CP_ATTACH_REMOTE_REMOVE_DOMAINS) {
		op->domains = calloc(1, sizeof(*op->domains));
		if (!op->domains) {
			cp_attach_op_free(op);
			return sn_trace(-ENOMEM);
		}
		op->domains->rule = change->domain;
	}
	cp_attach_op_submit(op);
	return 0;
}

static void release_run(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;

	if (!cp_attach_remote_is_held(item)) {
		op->releases = false;
		cp_attach_op_finish(op);
		return;
	}
	op->mode = item->held_mode;
	op->audit = item->held_audit;
	cp_attach_apply_mode_run(op);
}

int cp_attach_remote_release(struct cp_attach *manager, const char *id,
			     cp_attach_done done, void *userdata)
{
	struct cp_attach_op *op;
	int r;

	r = cp_attach_op_new(&op, manager, id, release_run, done, userdata);
	if (r < 0)
		return sn_trace(r);
	op->releases = true;
	cp_attach_op_submit(op);
	return 0;
}
