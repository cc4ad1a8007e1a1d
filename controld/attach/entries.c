/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/entries.h"

#include <stdlib.h>
#include <string.h>

enum {
	KEY_BYTES = sizeof(struct sn_rule_key),
	ROW_BYTES = KEY_BYTES + sizeof(struct sn_rule_value),
};

bool cp_attach_entries_has(const struct cp_attach_item *item)
{
	return item->slot != 0 && cp_attach_rows_learns(item->policy);
}

/* The keys of those that are to go, or the rows of those that stay. */
static int compose(const struct cp_attach_op *op, bool absent, uint8_t **ret,
		   uint32_t *n)
{
	const struct cp_attach_item *item = op->item;
	const struct cp_dns_learnt *learnt = op->drops_learnt ? NULL :
								item->learnt;
	size_t bytes = absent ? KEY_BYTES : ROW_BYTES;
	uint8_t *rows = malloc((op->list.n + 1) * bytes);

	if (!rows)
		return -ENOMEM;
	*n = 0;
	for (size_t i = 0; i < op->list.n; i++) {
		struct cp_policy_cidr cidr =
			cp_attach_rows_cidr(&op->list.addresses[i]);
		uint8_t *at = rows + *n * bytes;
		struct cp_policy_compile_row row;

		if ((cp_attach_rows_compile(item->policy, learnt, &cidr,
					    &item->block, item->slot,
					    &row) != 0) != absent)
			continue;
		memcpy(at, &row.key, KEY_BYTES);
		if (!absent)
			memcpy(at + KEY_BYTES, &row.value, sizeof(row.value));
		(*n)++;
	}
	*ret = rows;
	return 0;
}

static void put_entries(struct cp_attach_op *op, int r)
{
	struct sn_ipc_table body = {
		.table = SN_TABLE_RULES,
		.flags = op->narrows ? SN_IPC_TABLE_NARROW : 0,
		.slot = op->item->slot,
		.generation = op->item->generation,
	};
	uint8_t *rows = NULL;
	uint32_t n = 0;

	if (r == 0)
		r = compose(op, false, &rows, &n);
	if (r < 0) {
		op->written(op, r);
		return;
	}
	/* Without rows the revision rises all the same. */
	cp_attach_op_rows(op, SN_IPC_TABLE_PUT, &body, rows, n, op->written);
}

void cp_attach_entries_write(struct cp_attach_op *op, bool narrows,
			     cp_attach_op_step written)
{
	struct sn_ipc_table body = {
		.table = SN_TABLE_RULES,
		.slot = op->item->slot,
		.generation = op->item->generation,
	};
	uint8_t *keys;
	uint32_t n;
	int r;

	op->written = written;
	op->narrows = narrows;
	if (op->list.n == 0 || !cp_attach_entries_has(op->item)) {
		written(op, 0);
		return;
	}
	r = compose(op, true, &keys, &n);
	if (r < 0) {
		written(op, r);
	} else if (n == 0) {
		free(keys);
		put_entries(op, 0);
	} else {
		cp_attach_op_rows(op, SN_IPC_TABLE_DEL, &body, keys, n,
				  put_entries);
	}
}
