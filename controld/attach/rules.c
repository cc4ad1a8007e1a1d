/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/rules.h"

#include <stdlib.h>
#include <string.h>

#include "controld/attach/apply.h"
#include "controld/attach/change.h"
#include "controld/attach/doh.h"
#include "controld/attach/entries.h"
#include "controld/attach/learn.h"
#include "controld/attach/remote.h"
#include "controld/dns/special.h"
#include "shared/log.h"

enum {
	KEY_BYTES = sizeof(struct sn_rule_key),
	ROW_BYTES = KEY_BYTES + sizeof(struct sn_rule_value),
	LAPSED_MAX = 4096, /* entries that one run asks for */
};

/* Prefixes in use are asked for again after this. */
#define RETRY_LAPSED_NS (30 * SN_NS_PER_S)

static void remember(struct cp_attach_op *op)
{
	struct cp_policy_prefix prefix;

	op->n_before = 0;
	if (!cp_policy_get_prefix(op->item->policy, &op->rule.cidr, &prefix))
		return;
	for (; op->n_before < prefix.n_rules; op->n_before++)
		op->before[op->n_before] = *prefix.rules[op->n_before];
}

/* Puts the rules of the prefix back as they were, in their order. */
static void undo_model(struct cp_attach_op *op)
{
	struct cp_policy *policy = op->item->policy;

	(void)cp_policy_remove(policy, &op->rule.cidr, NULL, 0,
			       CP_POLICY_OWNER_NONE, 0);
	for (uint8_t i = 0; i < op->n_before; i++) {
		if (cp_policy_add(policy, &op->before[i], NULL, NULL) == 0)
			continue;
		/* Only for want of memory; the prefix then opens less, and
		 * what was kept is staged as a whole. */
		op->item->is_suspect = true;
	}
}

/* Writes the prefix as the model now has it. */
static void write_prefix(struct cp_attach_op *op, uint32_t flags,
			 cp_attach_op_step step)
{
	struct cp_attach_item *item = op->item;
	struct sn_ipc_table body = {
		.flags = flags,
		.slot = item->slot,
		.generation = item->generation,
	};
	struct cp_policy_compile_row row;
	uint8_t *bytes;
	int absent;

	if (item->slot == 0 || !cp_attach_item_has_rows(&item->block)) {
		step(op, 0);
		return;
	}
	/* A change that fails must not be in another's entry. */
	cp_attach_learn_hold(item);
	bytes = malloc(ROW_BYTES);
	if (!bytes) {
		step(op, -ENOMEM);
		return;
	}
	absent = cp_attach_rows_compile(item->policy, item->learnt,
					&op->rule.cidr, &item->block,
					item->slot, &row);
	body.table = row.table;
	memcpy(bytes, &row.key, KEY_BYTES);
	memcpy(bytes + KEY_BYTES, &row.value, sizeof(row.value));
	cp_attach_op_rows(op, absent ? SN_IPC_TABLE_DEL : SN_IPC_TABLE_PUT,
			  &body, bytes, 1, step);
}

/* Is it an address within the prefix that the change of its rules may close to
 * names, or open again? all: the prefix has begun or ceased to deny; that is so
 * for all that no longer prefix decides about, because shorter ones say the same
 * of all of it. special: each special one may be, as rules with ports count. */
static bool is_turned(const struct cp_attach_op *op,
		      const struct cp_dns_address *address, bool all,
		      bool special)
{
	const struct cp_policy_cidr *cidr = &op->rule.cidr;
	int longest = cidr->family == SN_FAMILY_IPV4 ? 32 : 128;

	if (address->family != cidr->family ||
	    !cp_policy_cidr_contains(cidr, address->bytes))
		return false;
	if (special && cp_dns_special_has(address))
		return true;
	return all &&
	       cp_attach_rows_get_verdict(op->item->policy, address, longest,
					  cidr->length + 1) == SN_VERDICT_NONE;
}

/* Finds what names have opened and the change closes, or opens again. The entry
 * of a host prefix is written as a whole in any case. */
static int find_turned(struct cp_attach_op *op)
{
	const struct cp_attach_item *item = op->item;
	const struct cp_policy *policy = item->policy;
	const struct cp_policy_cidr *cidr = &op->rule.cidr;
	struct cp_dns_address at = { .family = cidr->family };
	enum sn_verdict before = SN_VERDICT_NONE, after, beyond;
	bool turns_all, turns_special;
	size_t n = 0;
	int r;

	if (cp_policy_cidr_is_host(cidr) || !cp_attach_entries_has(item))
		return 0;
	memcpy(at.bytes, cidr->address, sizeof(at.bytes));
	for (uint8_t i = 0; i < op->n_before; i++)
		before = cp_attach_rows_add_verdict(before, &op->before[i]);
	after = cp_attach_rows_get_verdict(policy, &at, cidr->length,
					   cidr->length);
	beyond = cp_attach_rows_get_verdict(policy, &at, cidr->length - 1, 0);
	before = before == SN_VERDICT_NONE ? beyond : before;
	after = after == SN_VERDICT_NONE ? beyond : after;
	turns_all = (before == SN_VERDICT_DENY) != (after == SN_VERDICT_DENY);
	turns_special = cp_attach_rows_shuts_special(policy) &&
			cp_dns_special_meets(&at, cidr->length);
	if (!turns_all && !turns_special)
		return 0;
	r = cp_dns_learnt_list_addresses(item->learnt, &op->list.addresses,
					 &op->list.n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < op->list.n; i++) {
		const struct cp_dns_address *address = &op->list.addresses[i];

		if (is_turned(op, address, turns_all, turns_special))
			op->list.addresses[n++] = *address;
	}
	op->list.n = n;
	op->turns_names = true;
	op->narrows = !turns_all || after == SN_VERDICT_DENY;
	return 0;
}

static void put_back(struct cp_attach_op *op, int r)
{
	if (r < 0)
		op->item->is_suspect = true;
	cp_attach_op_finish(op);
}

static void prefix_put_back(struct cp_attach_op *op, int r)
{
	if (r < 0)
		put_back(op, r);
	else
		cp_attach_entries_write(op, true, put_back);
}

/* The model is as it was before. */
static void write_back(struct cp_attach_op *op)
{
	write_prefix(op, SN_IPC_TABLE_NARROW, prefix_put_back);
}

static void saved(struct cp_attach_op *op, int r)
{
	if (r == 0) {
		op->result.generation = op->item->generation;
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_op_fail(op, CP_ATTACH_CODE_INTERNAL,
			  "the state file cannot be written: %s; the change "
			  "was taken back",
			  strerror(-r));
	undo_model(op);
	cp_attach_remote_unstamp(op);
	(void)cp_attach_change_put(op->item, &op->rule.cidr);
	write_back(op);
}

static void written(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		cp_attach_op_fail_errno(op, r, "the rule");
		undo_model(op);
		write_back(op);
		return;
	}
	/* What is learnt under a rule could not be taken back with it. */
	if (!op->turns_names)
		cp_attach_learn_release(op->item);
	cp_attach_remote_stamp(op);
	r = cp_attach_change_put(op->item, &op->rule.cidr);
	if (r < 0)
		saved(op, r);
	else
		cp_attach_op_sync(op, saved);
}

static void prefix_written(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		undo_model(op);
		cp_attach_op_fail_errno(op, r, "the rule");
		cp_attach_op_finish(op);
		return;
	}
	cp_attach_entries_write(op, op->narrows, written);
}

/* The rules of the prefix have changed in the model. */
static void write_change(struct cp_attach_op *op, uint32_t flags)
{
	int r;

	if (!cp_attach_doh_settle(op, op->item->policy, &op->rule.cidr)) {
		undo_model(op);
		cp_attach_op_finish(op);
		return;
	}
	r = find_turned(op);
	if (r < 0)
		prefix_written(op, r);
	else
		write_prefix(op, flags, prefix_written);
}

/* An answer of cp_policy_add() that is no success. */
static void fail_add(struct cp_attach_op *op, int r)
{
	char text[CP_POLICY_CIDR_TEXT_BYTES];

	if (r == CP_POLICY_E_PREFIX_FULL)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "prefix %s would have more than %d port "
				  "specifications",
				  cp_policy_cidr_format(&op->rule.cidr, text),
				  SN_ITEMS_MAX);
	else if (r > 0)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "the policy has as many rules as it may have "
				  "(limits.rules_per_policy)");
	else
		cp_attach_op_fail_errno(op, r, "the rule");
	cp_attach_op_finish(op);
}

/* Expiry as a number that grows with the length of life. */
static uint64_t life(const struct cp_policy_rule *rule)
{
	return rule->expires_ns ? rule->expires_ns : UINT64_MAX;
}

static bool is_narrowing(const struct cp_policy_rule *rule, bool is_replaced,
			 const struct cp_policy_rule *previous)
{
	if (rule->verdict == SN_VERDICT_DENY)
		return true;
	return is_replaced && previous->verdict == SN_VERDICT_ALLOW &&
	       life(rule) < life(previous);
}

static void add_by_generation(struct cp_attach_op *op)
{
	struct cp_policy_rule now_rule;
	int r;

	r = cp_policy_copy(op->item->policy, &op->policy);
	if (r == 0)
		r = cp_policy_add(op->policy, &op->rule, &now_rule, NULL);
	if (r < 0 || r > CP_POLICY_E_REPLACED) {
		fail_add(op, r);
		return;
	}
	op->result.rule_id = now_rule.id;
	op->result.replaced = r == CP_POLICY_E_REPLACED;
	if (cp_attach_doh_settle(op, op->policy, &op->rule.cidr))
		cp_attach_apply_replace(op);
	else
		cp_attach_op_finish(op);
}

static bool fits(const struct cp_attach_op *op)
{
	return op->item->slot == 0 ||
	       cp_policy_compile_fits(&op->item->block, &op->rule.cidr);
}

/* Lapsed rules of a full prefix make room for one that is asked for; flows
 * that still rest on them end. False: there are none. */
static bool evict(struct cp_attach_op *op)
{
	struct cp_policy *policy = op->item->policy;
	uint64_t now_ns = cp_attach_item_now(op->manager);
	bool any = false;

	for (uint8_t i = 0; i < op->n_before; i++)
		if (cp_policy_rule_is_lapsed(&op->before[i], now_ns))
			any |= cp_policy_remove_id(policy, op->before[i].id);
	return any;
}

void cp_attach_rules_add_run(struct cp_attach_op *op)
{
	struct cp_policy_rule now_rule, previous;
	bool is_replaced, is_evicting = false;
	int r;

	op->rule.expires_ns = 0;
	if (op->rule.ttl_s)
		op->rule.expires_ns = cp_attach_item_now(op->manager) +
				      op->rule.ttl_s * SN_NS_PER_S;
	if (!fits(op)) {
		add_by_generation(op);
		return;
	}
	remember(op);
	r = cp_policy_add(op->item->policy, &op->rule, &now_rule, &previous);
	if (r == CP_POLICY_E_PREFIX_FULL && evict(op)) {
		is_evicting = true;
		r = cp_policy_add(op->item->policy, &op->rule, &now_rule,
				  &previous);
	}
	if (r < 0 || r > CP_POLICY_E_REPLACED) {
		if (is_evicting)
			undo_model(op);
		fail_add(op, r);
		return;
	}
	is_replaced = r == CP_POLICY_E_REPLACED;
	op->result.rule_id = now_rule.id;
	op->result.replaced =
		is_replaced &&
		!cp_policy_rule_is_lapsed(&previous,
					  cp_attach_item_now(op->manager));
	write_change(op, is_evicting || is_narrowing(&now_rule, is_replaced,
						     &previous) ?
				 SN_IPC_TABLE_NARROW :
				 0);
}

void cp_attach_rules_remove_run(struct cp_attach_op *op)
{
	struct cp_policy *policy = op->item->policy;
	size_t n_before, n;

	remember(op);
	n_before = cp_policy_count(policy);
	n = cp_policy_remove(policy, &op->rule.cidr, op->rule.ports,
			     op->rule.n_ports,
			     (enum cp_policy_owner)op->rule.owner,
			     cp_attach_item_now(op->manager));
	op->result.removed = (uint32_t)n;
	op->result.generation = op->item->generation;
	if (n == 0)
		cp_attach_op_fail(op, CP_ATTACH_CODE_NOT_FOUND,
				  "there is no such rule");
	if (cp_policy_count(policy) == n_before) {
		cp_attach_op_finish(op);
		return;
	}
	write_change(op, SN_IPC_TABLE_NARROW);
}

static int find_lapsed(struct cp_attach_op *op, uint64_t now_ns)
{
	struct cp_policy_prefix prefix;
	size_t cursor = 0;

	op->lapsed = calloc(LAPSED_MAX, sizeof(*op->lapsed));
	if (!op->lapsed)
		return -ENOMEM;
	/* Those of sn_prefixes stand at the end, so that each table's are
	 * one batch; cursor of the operation is where they begin. */
	while (op->n_lapsed < LAPSED_MAX &&
	       cp_policy_next_prefix(op->item->policy, &cursor, &prefix)) {
		struct cp_policy_compile_row row;
		struct cp_policy_cidr swapped;

		if (!cp_policy_prefix_is_lapsed(&prefix, now_ns))
			continue;
		op->lapsed[op->n_lapsed++] = prefix.cidr;
		cp_policy_compile_key(&op->item->block, op->item->slot,
				      &prefix.cidr, &row);
		if (row.table != SN_TABLE_RULES)
			continue;
		swapped = op->lapsed[op->cursor];
		op->lapsed[op->cursor++] = prefix.cidr;
		op->lapsed[op->n_lapsed - 1] = swapped;
	}
	return 0;
}

static void note_lapsed(struct cp_attach_item *item, uint64_t now_ns)
{
	item->n_lapsed = cp_policy_count(item->policy) -
			 cp_policy_count_live(item->policy, now_ns);
}

static void lapse_done(struct cp_attach_op *op, int r)
{
	struct cp_attach_item *item = op->item;
	uint64_t now_ns = cp_attach_item_now(op->manager);
	size_t n_removed = 0;

	for (size_t i = 0; r == 0 && i < op->n_lapsed; i++) {
		if (op->lapsed[i].family == SN_FAMILY_NONE)
			continue;
		(void)cp_policy_remove(item->policy, &op->lapsed[i], NULL, 0,
				       CP_POLICY_OWNER_NONE, now_ns);
		/* No sync: a state file that still has them loses them when
		 * read. */
		(void)cp_attach_change_put(item, &op->lapsed[i]);
		n_removed++;
	}
	if (r < 0 || n_removed < op->n_lapsed)
		item->retry_lapsed_ns = now_ns + RETRY_LAPSED_NS;
	else
		item->retry_lapsed_ns = op->n_lapsed == LAPSED_MAX ? now_ns : 0;
	note_lapsed(item, now_ns);
	cp_attach_op_finish(op);
}

/* Asks for the entries from..to of op->lapsed, which are of one table. */
static void delete_lapsed(struct cp_attach_op *op, size_t from, size_t to,
			  cp_attach_op_step step)
{
	struct cp_attach_item *item = op->item;
	struct sn_ipc_table body = {
		.flags = SN_IPC_TABLE_UNUSED,
		.slot = item->slot,
		.generation = item->generation,
	};
	struct cp_policy_compile_row row;
	uint8_t *keys;

	op->cursor = from;
	if (from == to || item->slot == 0 ||
	    !cp_attach_item_has_rows(&item->block)) {
		step(op, 0);
		return;
	}
	keys = malloc((to - from) * KEY_BYTES);
	if (!keys) {
		step(op, -ENOMEM);
		return;
	}
	for (size_t i = from; i < to; i++) {
		cp_policy_compile_key(&item->block, item->slot, &op->lapsed[i],
				      &row);
		memcpy(keys + (i - from) * KEY_BYTES, &row.key, KEY_BYTES);
		body.table = row.table;
	}
	cp_attach_op_rows(op, SN_IPC_TABLE_DEL, &body, keys,
			  (uint32_t)(to - from), step);
}

static void lapsed_rules_deleted(struct cp_attach_op *op, int r)
{
	if (r < 0)
		lapse_done(op, r);
	else
		delete_lapsed(op, op->n_lapsed_rules, op->n_lapsed, lapse_done);
}

void cp_attach_rules_lapse_run(struct cp_attach_op *op)
{
	uint64_t now_ns = cp_attach_item_now(op->manager);
	int r;

	cp_attach_learn_hold(op->item);
	r = find_lapsed(op, now_ns);
	if (r < 0 || op->n_lapsed == 0) {
		op->item->retry_lapsed_ns = 0;
		note_lapsed(op->item, now_ns);
		cp_attach_op_finish(op);
		return;
	}
	op->n_lapsed_rules = op->cursor;
	delete_lapsed(op, 0, op->n_lapsed_rules, lapsed_rules_deleted);
}
