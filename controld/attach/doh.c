/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/doh.h"

#include "controld/attach/apply.h"
#include "controld/attach/op.h"
#include "controld/policy/doh.h"
#include "shared/log.h"

const struct cp_dns_doh *cp_attach_doh_get(const struct cp_attach *manager)
{
	return manager->doh;
}

bool cp_attach_doh_settle(struct cp_attach_op *op, struct cp_policy *policy,
			  const struct cp_policy_cidr *only)
{
	struct cp_policy_cidr full = { .family = SN_FAMILY_NONE };
	char text[CP_POLICY_CIDR_TEXT_BYTES];
	int r;

	if (only) {
		full = *only;
		r = cp_policy_doh_settle_prefix(policy, op->manager->doh, only);
	} else {
		r = cp_policy_doh_settle(policy, op->manager->doh, &full);
	}
	if (r > 0)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "there is no room for the rule of the DoH "
				  "server %s",
				  cp_policy_cidr_format(&full, text));
	else if (r < 0)
		cp_attach_op_fail_errno(op, r, "the rules of DoH servers");
	return r == 0;
}

int cp_attach_doh_settle_new(struct cp_attach_item *item)
{
	int r = cp_policy_doh_settle(item->policy, item->manager->doh, NULL);

	return r > 0 ? -ENOSPC : r;
}

static void settled(void *userdata, const struct cp_attach_result *result)
{
	(void)userdata;
	if (result->code != CP_ATTACH_CODE_OK)
		sn_log(SN_LOG_WARNING,
		       "doh-list id=%s error='%s': its policy stays as it is",
		       result->id, result->diag.text);
}

static void settle_run(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	int r;

	if (cp_policy_doh_is_settled(item->policy, op->manager->doh)) {
		cp_attach_op_finish(op);
		return;
	}
	r = cp_policy_copy(item->policy, &op->policy);
	if (r < 0)
		cp_attach_op_fail_errno(op, r, "the policy");
	if (r < 0 || !cp_attach_doh_settle(op, op->policy, NULL))
		cp_attach_op_finish(op);
	else
		cp_attach_apply_replace(op);
}

void cp_attach_doh_settle_all(struct cp_attach *manager)
{
	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_attach_op *op;

		if (cp_policy_doh_is_settled(manager->items[i]->policy,
					     manager->doh))
			continue;
		op = cp_attach_op_enqueue(manager->items[i], settle_run, false);
		if (op)
			op->done = settled;
	}
}

void cp_attach_doh_put(struct cp_attach *manager, struct cp_dns_doh *doh)
{
	(void)cp_dns_doh_free(manager->doh);
	manager->doh = doh;
	if (manager->is_ready)
		cp_attach_doh_settle_all(manager);
}
