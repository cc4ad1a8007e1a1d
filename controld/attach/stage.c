/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/stage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/learn.h"

enum {
	/* What was learnt while staging is written in rounds; those in the last
	 * one, few or not, keep later ones waiting. */
	ROUND_SMALL = 256,
	ROUNDS_MAX = 8,
	/* Rows that are composed at a time, 786 KiB of them. */
	CHUNK_ROWS = 4096,
	KEY_BYTES = sizeof(struct sn_rule_key),
	ROW_BYTES = KEY_BYTES + sizeof(struct sn_rule_value),
};

static const struct cp_policy *policy_of(const struct cp_attach_op *op)
{
	return op->policy ? op->policy : op->item->policy;
}

/* Composes the next rows of op->table from where the cursor is: key and value,
 * or keys alone. Returns how many; *ret is NULL when there are none. */
static int compose(struct cp_attach_op *op, const struct cp_policy *policy,
		   size_t row_bytes, void **ret)
{
	struct cp_policy_prefix prefix;
	struct cp_policy_compile_row row;
	uint8_t *rows;
	int n = 0;

	*ret = NULL;
	if (!cp_attach_item_has_rows(&op->block))
		return 0;
	rows = malloc(CHUNK_ROWS * row_bytes);
	if (!rows)
		return -ENOMEM;
	while (n < CHUNK_ROWS &&
	       cp_policy_next_prefix(policy, &op->cursor, &prefix)) {
		uint8_t *at = rows + (size_t)n * row_bytes;

		cp_attach_rows_compile_prefix(policy, op->learnt, &prefix,
					      &op->block, op->item->slot, &row);
		if (row.table != op->table)
			continue;
		memcpy(at, &row.key, KEY_BYTES);
		if (row_bytes > KEY_BYTES)
			memcpy(at + KEY_BYTES, &row.value, sizeof(row.value));
		n++;
	}
	if (n > 0)
		*ret = rows;
	else
		free(rows);
	return n;
}

/* The same for what names have opened, from op->list: of prefixes that have
 * CIDR rules, or of all. */
static int compose_learnt(struct cp_attach_op *op,
			  const struct cp_policy *policy, size_t row_bytes,
			  void **ret)
{
	const struct cp_attach_rows_list *list = &op->list;
	size_t room = SN_MIN(list->n - op->cursor, (size_t)CHUNK_ROWS);
	uint8_t *rows;
	int n = 0;

	*ret = NULL;
	if (room == 0)
		return 0;
	rows = malloc(room * row_bytes);
	if (!rows)
		return -ENOMEM;
	for (; (size_t)n < room && op->cursor < list->n; op->cursor++) {
		struct cp_policy_cidr cidr =
			cp_attach_rows_cidr(&list->addresses[op->cursor]);
		uint8_t *at = rows + (size_t)n * row_bytes;
		struct cp_policy_compile_row row;

		if (cp_attach_rows_compile(policy, op->learnt, &cidr,
					   &op->block, op->item->slot,
					   &row) != 0)
			continue;
		memcpy(at, &row.key, KEY_BYTES);
		if (row_bytes > KEY_BYTES)
			memcpy(at + KEY_BYTES, &row.value, sizeof(row.value));
		n++;
	}
	if (n > 0)
		*ret = rows;
	else
		free(rows);
	return n;
}

static bool uses_trie(const struct sn_policy *block)
{
	return block->trie4 || block->trie6;
}

/* Learns go on when the caller is through. */
static void stage_done(struct cp_attach_op *op, int r)
{
	op->item->shadow = (struct cp_attach_learn_shadow){ .learnt = NULL };
	cp_attach_learn_release(op->item);
	op->staged(op, r);
}

static void swept_prefixes(struct cp_attach_op *op, int r)
{
	/* Rows that were left behind must not become part of the next try,
	 * which has the same number. */
	if (r < 0)
		op->item->has_strays = true;
	stage_done(op, op->cause);
}

static void swept_rules(struct cp_attach_op *op, int r)
{
	if (r == 0 && uses_trie(&op->block))
		cp_attach_op_sweep(op, SN_TABLE_PREFIXES, op->block.generation,
				   swept_prefixes);
	else
		swept_prefixes(op, r);
}

static void stage_failed(struct cp_attach_op *op, int r)
{
	op->cause = r;
	if (cp_attach_op_is_link_error(r)) {
		stage_done(op, r);
		return;
	}
	cp_attach_op_sweep(op, SN_TABLE_RULES, op->block.generation,
			   swept_rules);
}

static void flipped(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		stage_failed(op, r);
		return;
	}
	op->previous_block = op->item->block;
	op->previous_generation = op->item->generation;
	op->item->block = op->block;
	op->item->generation = op->block.generation;
	cp_dns_learnt_confirm_all(op->learnt);
	cp_dns_learnt_free(op->previous_learnt);
	op->previous_learnt = op->item->learnt;
	op->item->learnt = sn_steal(&op->learnt);
	op->item->is_dns_changed = true;
	stage_done(op, 0);
}

static void flip(struct cp_attach_op *op)
{
	struct sn_ipc_flip body = {
		.slot = op->item->slot,
		.policy = op->block,
	};

	cp_attach_op_request(op, SN_IPC_FLIP, &body, -1, flipped);
}

static void put_learnt(struct cp_attach_op *op, int r);

/* Entries of what was learnt since its set was copied. Nothing may come behind
 * the last of them but FLIP. */
static void put_touched(struct cp_attach_op *op)
{
	struct cp_attach_rows_list done = op->list;

	op->list = op->touched;
	op->touched = done;
	op->touched.n = 0;
	op->cursor = 0;
	if (op->list.n <= ROUND_SMALL || ++op->n_rounds > ROUNDS_MAX)
		cp_attach_learn_hold(op->item);
	if (op->list.n == 0)
		flip(op);
	else
		put_learnt(op, 0);
}

static void put_learnt(struct cp_attach_op *op, int r)
{
	struct sn_ipc_table body = {
		.table = SN_TABLE_RULES,
		.slot = op->item->slot,
		.generation = op->block.generation,
	};
	void *rows = NULL;
	int n = 0;

	if (r == 0)
		n = compose_learnt(op, policy_of(op), ROW_BYTES, &rows);
	if (r < 0 || n < 0) {
		stage_failed(op, r < 0 ? r : n);
		return;
	}
	if (n > 0)
		cp_attach_op_rows(op, SN_IPC_TABLE_PUT, &body, rows,
				  (uint32_t)n, put_learnt);
	else
		put_touched(op);
}

static void put_rows(struct cp_attach_op *op, int r)
{
	struct sn_ipc_table body = {
		.slot = op->item->slot,
		.generation = op->block.generation,
	};
	bool is_first = !op->has_begun;
	void *rows = NULL;
	int n;

	if (r < 0) {
		stage_failed(op, r);
		return;
	}
	n = compose(op, policy_of(op), ROW_BYTES, &rows);
	if (n < 0) {
		stage_failed(op, n);
		return;
	}
	/* An empty policy's first record stages the generation. */
	if (n == 0 && !is_first) {
		op->cursor = 0;
		if (op->table == SN_TABLE_PREFIXES || !uses_trie(&op->block)) {
			put_learnt(op, 0);
			return;
		}
		op->table = SN_TABLE_PREFIXES;
		put_rows(op, 0);
		return;
	}
	op->has_begun = true;
	body.table = op->table;
	cp_attach_op_rows(op, SN_IPC_TABLE_PUT, &body, rows, (uint32_t)n,
			  put_rows);
}

static void strays_swept(struct cp_attach_op *op, int r)
{
	if (r < 0) {
		stage_done(op, r);
		return;
	}
	op->item->has_strays = false;
	put_rows(op, 0);
}

static void strays_sweep_prefixes(struct cp_attach_op *op, int r)
{
	if (r < 0)
		stage_done(op, r);
	else
		cp_attach_op_sweep(op, SN_TABLE_PREFIXES, 0, strays_swept);
}

/* Only addresses without CIDR rules: those with them are in the rows of
 * these. */
static int list_learnt(struct cp_attach_op *op, const struct cp_policy *policy)
{
	struct cp_policy_prefix prefix;
	size_t n = 0;
	int r;

	cp_attach_rows_done(&op->list);
	r = cp_dns_learnt_list_addresses(op->learnt, &op->list.addresses,
					 &op->list.n);
	if (r < 0)
		return r;
	op->list.size = op->list.n;
	if (!cp_attach_rows_learns(policy))
		op->list.n = 0;
	for (size_t i = 0; i < op->list.n; i++) {
		struct cp_policy_cidr cidr =
			cp_attach_rows_cidr(&op->list.addresses[i]);

		if (!cp_policy_get_prefix(policy, &cidr, &prefix))
			op->list.addresses[n++] = op->list.addresses[i];
	}
	op->list.n = n;
	return 0;
}

/* What names have opened as it will be under the policy to come. */
static int derive_learnt(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;
	const struct cp_policy *policy = policy_of(op);
	int r;

	op->learnt = cp_dns_learnt_free(op->learnt);
	r = cp_dns_learnt_copy(item->learnt, &op->learnt);
	if (r < 0)
		return r;
	(void)cp_dns_learnt_apply(
		op->learnt, cp_policy_get_domains(policy),
		cp_attach_rows_keeps_unruled(policy, item->policy), NULL, NULL);
	r = list_learnt(op, policy);
	if (r < 0)
		return r;
	op->touched.n = 0;
	op->n_rounds = 0;
	item->shadow = (struct cp_attach_learn_shadow){
		.learnt = op->learnt,
		.policy = policy,
		.touched = &op->touched,
	};
	return 0;
}

void cp_attach_stage_run(struct cp_attach_op *op, cp_attach_op_step staged)
{
	int r;

	op->staged = staged;
	op->cursor = 0;
	op->has_begun = false;
	op->table = SN_TABLE_RULES;
	cp_attach_item_compile_block(op->item, policy_of(op),
				     op->item->generation + 1, &op->item->block,
				     &op->block);
	r = derive_learnt(op);
	if (r < 0)
		stage_done(op, r);
	else if (op->item->has_strays)
		cp_attach_op_sweep(op, SN_TABLE_RULES, 0,
				   strays_sweep_prefixes);
	else
		put_rows(op, 0);
}

void cp_attach_stage_commit(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;

	assert(op->policy && !op->previous);
	/* Without a slot nothing was staged. If there is no memory to go back
	 * to what was learnt, less of it is left then. */
	if (!op->previous_learnt) {
		(void)cp_dns_learnt_copy(item->learnt, &op->previous_learnt);
		(void)cp_dns_learnt_apply(
			item->learnt, cp_policy_get_domains(op->policy),
			cp_attach_rows_keeps_unruled(op->policy, item->policy),
			NULL, NULL);
	}
	op->previous = item->policy;
	item->policy = sn_steal(&op->policy);
	item->shadow = (struct cp_attach_learn_shadow){
		.learnt = op->previous_learnt,
		.policy = op->previous,
	};
}

void cp_attach_stage_go_back(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;

	item->shadow = (struct cp_attach_learn_shadow){ .learnt = NULL };
	cp_policy_free(item->policy);
	item->policy = sn_steal(&op->previous);
	if (op->previous_learnt) {
		cp_dns_learnt_free(item->learnt);
		item->learnt = sn_steal(&op->previous_learnt);
	}
}

static void delete_learnt(struct cp_attach_op *op, int r)
{
	struct sn_ipc_table body = {
		.table = SN_TABLE_RULES,
		.slot = op->item->slot,
		.generation = op->block.generation,
	};
	void *rows = NULL;
	int n = 0;

	if (r == 0)
		n = compose_learnt(op, op->previous, KEY_BYTES, &rows);
	if (n > 0)
		cp_attach_op_rows(op, SN_IPC_TABLE_DEL, &body, rows,
				  (uint32_t)n, delete_learnt);
	else
		cp_attach_op_finish(op);
}

/* The rows of a retired generation go by their keys: a sweep would have to
 * look at the whole table. */
static void delete_rows(struct cp_attach_op *op, int r)
{
	struct sn_ipc_table body = {
		.slot = op->item->slot,
		.generation = op->block.generation,
	};
	void *rows = NULL;
	int n = 0;

	if (r == 0)
		n = compose(op, op->previous, KEY_BYTES, &rows);
	if (r < 0 || n < 0) {
		cp_attach_op_finish(op);
		return;
	}
	if (n == 0) {
		op->cursor = 0;
		if (op->table == SN_TABLE_PREFIXES || !uses_trie(&op->block)) {
			delete_learnt(op, 0);
			return;
		}
		op->table = SN_TABLE_PREFIXES;
		delete_rows(op, 0);
		return;
	}
	body.table = op->table;
	cp_attach_op_rows(op, SN_IPC_TABLE_DEL, &body, rows, (uint32_t)n,
			  delete_rows);
}

static void retire_run(struct cp_attach_op *op)
{
	op->table = SN_TABLE_RULES;
	if (op->item->slot == 0 || op->block.generation == 0 || !op->learnt ||
	    list_learnt(op, op->previous) < 0)
		cp_attach_op_finish(op);
	else
		delete_rows(op, 0);
}

void cp_attach_stage_retire(struct cp_attach_op *op)
{
	struct cp_attach_op *retire;

	retire = cp_attach_op_enqueue(op->item, retire_run, true);
	if (!retire)
		return; /* the rows stay until the slot is freed */
	op->item->shadow = (struct cp_attach_learn_shadow){ .learnt = NULL };
	retire->previous = sn_steal(&op->previous);
	retire->learnt = sn_steal(&op->previous_learnt);
	retire->block = op->previous_block;
}

static void sweep_done(struct cp_attach_op *op, int r)
{
	(void)r;
	cp_attach_op_finish(op);
}

static void sweep_prefixes(struct cp_attach_op *op, int r)
{
	(void)r;
	cp_attach_op_sweep(op, SN_TABLE_PREFIXES, 0, sweep_done);
}

void cp_attach_stage_sweep_run(struct cp_attach_op *op)
{
	cp_attach_op_sweep(op, SN_TABLE_RULES, 0, sweep_prefixes);
}
