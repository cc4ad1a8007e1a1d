/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/stage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
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

		cp_policy_compile_prefix(&prefix, &op->block, op->item->slot,
					 &row);
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

static bool uses_trie(const struct sn_policy *block)
{
	return block->trie4 || block->trie6;
}

static void stage_done(struct cp_attach_op *op, int r)
{
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
		if (op->table == SN_TABLE_PREFIXES || !uses_trie(&op->block)) {
			flip(op);
			return;
		}
		op->table = SN_TABLE_PREFIXES;
		op->cursor = 0;
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

void cp_attach_stage_run(struct cp_attach_op *op, cp_attach_op_step staged)
{
	op->staged = staged;
	op->cursor = 0;
	op->has_begun = false;
	op->table = SN_TABLE_RULES;
	cp_attach_item_compile_block(op->item, policy_of(op),
				     op->item->generation + 1, &op->item->block,
				     &op->block);
	if (op->item->has_strays)
		cp_attach_op_sweep(op, SN_TABLE_RULES, 0,
				   strays_sweep_prefixes);
	else
		put_rows(op, 0);
}

void cp_attach_stage_commit(struct cp_attach_op *op)
{
	struct cp_attach_item *item = op->item;

	assert(op->policy && !op->previous);
	op->previous = item->policy;
	item->policy = sn_steal(&op->policy);
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
		if (op->table == SN_TABLE_PREFIXES || !uses_trie(&op->block)) {
			cp_attach_op_finish(op);
			return;
		}
		op->table = SN_TABLE_PREFIXES;
		op->cursor = 0;
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
	if (op->item->slot == 0 || op->block.generation == 0)
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
	retire->previous = sn_steal(&op->previous);
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
