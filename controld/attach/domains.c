/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/domains.h"

#include <stdlib.h>
#include <string.h>

#include "controld/attach/apply.h"
#include "controld/attach/change.h"
#include "controld/attach/entries.h"
#include "controld/attach/learn.h"
#include "controld/attach/remote.h"
#include "shared/log.h"

enum {
	KEY_BYTES = sizeof(struct sn_rule_key),
	LAPSED_MAX = 4096, /* addresses that one run asks for */
};

/* Entries in use are asked for again after this. */
#define RETRY_NS (30 * SN_NS_PER_S)

/* Changes of rules. */

static void remember(struct cp_attach_op *op)
{
	const struct cp_dns_rule *rules[CP_DNS_RULES_PER_NAME];
	struct cp_attach_domains_change *change = op->domains;

	change->n_before =
		cp_dns_rules_list(cp_policy_get_domains(op->item->policy),
				  &change->rule.name, rules);
	for (unsigned int i = 0; i < change->n_before; i++)
		change->before[i] = *rules[i];
}

/* Puts rules and learnt names back as they were. */
static void undo(struct cp_attach_op *op)
{
	const struct cp_attach_domains_change *change = op->domains;
	struct cp_attach_item *item = op->item;

	(void)cp_policy_remove_domains(item->policy, &change->rule.name, NULL,
				       0, CP_POLICY_OWNER_NONE);
	for (unsigned int i = 0; i < change->n_before; i++) {
		if (cp_policy_add_domain(item->policy, &change->before[i], NULL,
					 NULL) == 0)
			continue;
		/* Only for want of memory. What the kernel has is then staged
		 * as a whole, under the rules that are left. */
		item->is_suspect = true;
	}
	if (op->previous_learnt) {
		cp_dns_learnt_free(item->learnt);
		item->learnt = sn_steal(&op->previous_learnt);
	}
}

static void put_back(struct cp_attach_op *op, int r)
{
	if (r < 0)
		op->item->is_suspect = true;
	cp_attach_op_finish(op);
}

static void saved(struct cp_attach_op *op, int r)
{
	if (r == 0) {
		op->result.generation = op->item->generation;
		op->item->is_dns_changed = true;
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_op_fail(op, CP_ATTACH_CODE_INTERNAL,
			  "the state file cannot be written: %s; the change "
			  "was taken back",
			  strerror(-r));
	undo(op);
	cp_attach_remote_unstamp(op);
	(void)cp_attach_change_put_domain(op->item, &op->domains->rule.name);
	cp_attach_entries_write(op, true, put_back);
}

static void changed(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		/* Some entries may have been written; none opens what the
		 * rules before did not. */
		op->item->is_suspect = op->list.n > 0 &&
				       !cp_attach_op_is_link_error(r);
		undo(op);
		cp_attach_op_fail_errno(op, r, "the rule");
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_remote_stamp(op);
	r = cp_attach_change_put_domain(op->item, &op->domains->rule.name);
	if (r < 0)
		saved(op, r);
	else
		cp_attach_op_sync(op, saved);
}

static void note_changed(void *userdata, const struct cp_dns_address *address)
{
	struct cp_attach_op *op = userdata;

	cp_attach_rows_add(&op->list, address);
}

/* The rules have changed; what was learnt follows. */
static void follow(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	const struct cp_dns_rules *rules = cp_policy_get_domains(item->policy);
	bool keeps = cp_attach_rows_keeps_unruled(item->policy, item->policy);
	int r;

	/* What is learnt under a rule could not be taken back with it. */
	cp_attach_learn_hold(item);
	if (cp_dns_learnt_is_current(item->learnt, rules, keeps)) {
		changed(op, 0);
		return;
	}
	r = cp_dns_learnt_copy(item->learnt, &op->previous_learnt);
	if (r == 0) {
		(void)cp_dns_learnt_apply(item->learnt, rules, keeps,
					  note_changed, op);
		if (op->list.is_cut)
			r = -ENOMEM;
	}
	if (r < 0) {
		op->list.n = 0;
		changed(op, r);
		return;
	}
	cp_attach_entries_write(op, true, changed);
}

static void fail_add(struct cp_attach_op *op, int r)
{
	if (r == CP_DNS_RULES_E_NAME_FULL)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "the name would have more than %d rules",
				  CP_DNS_RULES_PER_NAME);
	else if (r > 0)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "the policy has as many rules as it may have "
				  "(limits.rules_per_policy)");
	else
		cp_attach_op_fail_errno(op, r, "the rule");
	cp_attach_op_finish(op);
}

void cp_attach_domains_add_run(struct cp_attach_op *op)
{
	struct cp_dns_rule now_rule;
	int r;

	remember(op);
	r = cp_policy_add_domain(op->item->policy, &op->domains->rule,
				 &now_rule, NULL);
	if (r < 0 || r > CP_DNS_RULES_E_REPLACED) {
		fail_add(op, r);
		return;
	}
	op->result.rule_id = now_rule.id;
	op->result.replaced = r == CP_DNS_RULES_E_REPLACED;
	follow(op);
}

void cp_attach_domains_remove_run(struct cp_attach_op *op)
{
	const struct cp_dns_rule *rule = &op->domains->rule;
	size_t n;

	remember(op);
	n = cp_policy_remove_domains(op->item->policy, &rule->name, rule->ports,
				     rule->n_ports,
				     (enum cp_policy_owner)rule->owner);
	op->result.removed = (uint32_t)n;
	op->result.generation = op->item->generation;
	if (n > 0) {
		follow(op);
		return;
	}
	cp_attach_op_fail(op, CP_ATTACH_CODE_NOT_FOUND,
			  "there is no such rule");
	cp_attach_op_finish(op);
}

void cp_attach_domains_mode_run(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	struct cp_dns_settings dns = *cp_policy_get_dns(item->policy);
	int r;

	op->result.generation = item->generation;
	if (dns.mode == op->dns_mode) {
		cp_attach_op_finish(op);
		return;
	}
	r = cp_policy_copy(item->policy, &op->policy);
	if (r < 0) {
		cp_attach_op_fail_errno(op, r, "the policy");
		cp_attach_op_finish(op);
		return;
	}
	dns.mode = op->dns_mode;
	cp_policy_put_dns(op->policy, &dns);
	cp_attach_apply_replace(op);
}

/* Lapsed addresses. */

bool cp_attach_domains_has_lapsed(const struct cp_attach_item *item,
				  uint64_t now_ns)
{
	struct cp_dns_address address;

	return cp_attach_entries_has(item) && item->retry_learnt_ns <= now_ns &&
	       cp_dns_learnt_lapsed(item->learnt, now_ns, &address, 1) > 0;
}

static void lapse_done(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;

	for (size_t i = 0; r == 0 && i < op->list.n; i++)
		cp_dns_learnt_forget(item->learnt, &op->list.addresses[i]);
	item->is_trimming = false;
	cp_attach_op_finish(op);
}

/* If there are too many, those that were asked for least lately go whatever
 * rests on them, some more of them than must, so that this is not done for each
 * one: their entries are written without the names. */
static void drop_oldest(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	uint64_t now_ns = cp_attach_item_now(op->manager);
	size_t max = op->manager->options.learnt.addresses;
	struct cp_dns_address over;

	op->list.n = 0;
	if (cp_dns_learnt_over(item->learnt, now_ns, &over))
		op->list.n = cp_dns_learnt_lapsed(
			item->learnt, now_ns, op->list.addresses,
			SN_MIN(max + 1, (size_t)LAPSED_MAX));
	op->drops_learnt = true;
	cp_attach_entries_write(op, false, lapse_done);
}

static void lapsed_deleted(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;
	uint64_t now_ns = cp_attach_item_now(op->manager);
	bool stays = r < 0;

	for (size_t i = 0; r == 0 && i < op->n_lapsed; i++) {
		if (op->lapsed[i].family != SN_FAMILY_NONE) {
			cp_dns_learnt_forget(item->learnt,
					     &op->list.addresses[i]);
			continue;
		}
		cp_dns_learnt_defer(item->learnt, &op->list.addresses[i]);
		stays = true;
	}
	item->retry_learnt_ns = stays ? now_ns + RETRY_NS : 0;
	/* op.c looks at it when rows are deleted. */
	free(op->lapsed);
	op->lapsed = NULL;
	op->n_lapsed = 0;
	if (r < 0)
		lapse_done(op, r);
	else
		drop_oldest(op);
}

/* Addresses that CIDR rules name too stay while these live: their entry would
 * have to be asked for as a whole. */
static void find_lapsed(struct cp_attach_op *op, uint64_t now_ns)
{
	struct cp_attach_item *item = op->item;
	size_t n = cp_dns_learnt_lapsed(item->learnt, now_ns,
					op->list.addresses, LAPSED_MAX);
	struct cp_policy_prefix prefix;

	for (size_t i = 0; i < n; i++) {
		struct cp_dns_address address = op->list.addresses[i];
		struct cp_policy_cidr cidr = cp_attach_rows_cidr(&address);

		if (cp_policy_get_prefix(item->policy, &cidr, &prefix) &&
		    !cp_policy_prefix_is_lapsed(&prefix, now_ns)) {
			cp_dns_learnt_defer(item->learnt, &address);
			continue;
		}
		op->list.addresses[op->n_lapsed] = address;
		op->lapsed[op->n_lapsed++] = cidr;
	}
	op->list.n = op->n_lapsed;
}

void cp_attach_domains_lapse_run(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	struct sn_ipc_table body = {
		.table = SN_TABLE_RULES,
		.flags = SN_IPC_TABLE_UNUSED,
		.slot = item->slot,
		.generation = item->generation,
	};
	uint8_t *keys = NULL;

	op->lapsed = calloc(LAPSED_MAX, sizeof(*op->lapsed));
	if (op->lapsed && cp_attach_rows_reserve(&op->list, LAPSED_MAX) == 0)
		keys = malloc(LAPSED_MAX * KEY_BYTES);
	if (!keys) {
		lapsed_deleted(op, -ENOMEM);
		return;
	}
	cp_attach_learn_hold(item);
	find_lapsed(op, cp_attach_item_now(op->manager));
	if (op->n_lapsed == 0 || !cp_attach_entries_has(item)) {
		free(keys);
		op->n_lapsed = 0;
		lapsed_deleted(op, 0);
		item->retry_learnt_ns =
			cp_attach_item_now(op->manager) + RETRY_NS;
		return;
	}
	for (size_t i = 0; i < op->n_lapsed; i++) {
		struct cp_policy_compile_row row;

		cp_policy_compile_key(&item->block, item->slot, &op->lapsed[i],
				      &row);
		memcpy(keys + i * KEY_BYTES, &row.key, KEY_BYTES);
	}
	op->cursor = 0;
	cp_attach_op_rows(op, SN_IPC_TABLE_DEL, &body, keys,
			  (uint32_t)op->n_lapsed, lapsed_deleted);
}
