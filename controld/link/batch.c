/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/link/batch.h"

#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

/* Rows of one record that waits for its answer. */
struct piece {
	uint32_t first;
	uint32_t n;
};

/* Answers come in order, so the pieces are a ring. */
struct batch {
	struct cp_link *link;
	enum sn_ipc_type type;
	struct sn_ipc_table body;
	uint8_t *rows;
	uint8_t *deleted;
	uint32_t n_rows;
	uint32_t row_bytes;
	uint32_t rows_per_record;
	uint32_t next_row;
	uint32_t head;
	uint32_t n_pieces;
	struct piece pieces[CP_LINK_BATCH_OUTSTANDING];
	int status;
	uint32_t index;
	uint32_t applied;
	bool all_sent;
	cp_link_batch_fn fn;
	void *userdata;
};

static void answered(void *userdata, const struct cp_link_answer *answer);

static int send_next(struct batch *batch)
{
	struct sn_ipc_table body = batch->body;
	uint32_t left = batch->n_rows - batch->next_row;
	uint32_t n = SN_MIN(left, batch->rows_per_record);
	uint32_t at;
	int r;

	if (n < left)
		body.flags &= ~(uint32_t)SN_IPC_TABLE_NARROW;
	r = cp_link_request(batch->link, batch->type, &body,
			    batch->rows ?
				    batch->rows + (size_t)batch->next_row *
							  batch->row_bytes :
				    NULL,
			    n, -1, answered, batch);
	if (r < 0)
		return r;

	at = (batch->head + batch->n_pieces) % CP_LINK_BATCH_OUTSTANDING;
	batch->pieces[at] = (struct piece){ batch->next_row, n };
	batch->n_pieces++;
	batch->next_row += n;
	batch->all_sent = batch->next_row == batch->n_rows;
	return 0;
}

static struct batch *batch_free(struct batch *batch)
{
	if (!batch)
		return NULL;
	free(batch->deleted);
	free(batch->rows);
	free(batch);
	return NULL;
}

static void complete(struct batch *batch)
{
	const struct cp_link_batch_result result = {
		.status = batch->status,
		.index = batch->index,
		.applied = batch->applied,
		.n_rows = batch->n_rows,
		.rows = batch->rows,
		.deleted = batch->deleted,
	};

	batch->fn(batch->userdata, &result);
	(void)batch_free(batch);
}

/* The first error stays. */
static void note_error(struct batch *batch, int status, uint32_t index)
{
	if (batch->status < 0)
		return;
	batch->status = status;
	batch->index = index;
}

static void answered(void *userdata, const struct cp_link_answer *answer)
{
	struct batch *batch = userdata;
	struct piece piece = batch->pieces[batch->head];
	int r;

	batch->head = (batch->head + 1) % CP_LINK_BATCH_OUTSTANDING;
	batch->n_pieces--;
	batch->applied += SN_MIN(answer->applied, piece.n);
	if (batch->deleted && answer->rows)
		(void)memcpy(batch->deleted + piece.first, answer->rows,
			     SN_MIN(answer->n_rows, piece.n));
	if (answer->status < 0)
		note_error(batch, answer->status,
			   piece.first + SN_MIN(answer->index, piece.n));

	while (!batch->all_sent && batch->status == 0 &&
	       batch->n_pieces < CP_LINK_BATCH_OUTSTANDING) {
		r = send_next(batch);
		/* A full queue is tried again with the next answer. */
		if (r == -ENOBUFS && batch->n_pieces > 0)
			break;
		if (r < 0)
			note_error(batch, r, batch->next_row);
	}
	if (batch->n_pieces == 0)
		complete(batch);
}

int cp_link_batch_send(struct cp_link *link, enum sn_ipc_type type,
		       const struct sn_ipc_table *body, void *rows,
		       uint32_t n_rows, cp_link_batch_fn fn, void *userdata)
{
	uint32_t row_bytes = cp_link_row_bytes(type, body);
	struct batch *batch;
	int r;

	if ((type != SN_IPC_TABLE_PUT && type != SN_IPC_TABLE_DEL) ||
	    row_bytes == 0 || (n_rows > 0 && !rows))
		return -EINVAL;
	batch = calloc(1, sizeof(*batch));
	if (!batch)
		return -ENOMEM;

	*batch = (struct batch){
		.link = link,
		.type = type,
		.body = *body,
		.rows = rows,
		.n_rows = n_rows,
		.row_bytes = row_bytes,
		.rows_per_record = (uint32_t)(SN_IPC_RECORD_BYTES -
					      sizeof(struct sn_ipc_header) -
					      sizeof(struct sn_ipc_table)) /
				   row_bytes,
		.index = n_rows,
		.fn = fn,
		.userdata = userdata,
	};
	if (type == SN_IPC_TABLE_DEL && n_rows > 0) {
		batch->deleted = malloc(n_rows);
		if (!batch->deleted) {
			free(batch);
			return -ENOMEM;
		}
		(void)memset(batch->deleted, SN_IPC_DELETED_ABSENT, n_rows);
	}
	r = send_next(batch);
	if (r < 0) {
		batch->rows = NULL;
		(void)batch_free(batch);
		return r;
	}
	while (!batch->all_sent &&
	       batch->n_pieces < CP_LINK_BATCH_OUTSTANDING &&
	       send_next(batch) == 0)
		;
	return 0;
}
