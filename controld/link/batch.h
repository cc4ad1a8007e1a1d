/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Any number of table rows as pipelined TABLE_PUT or TABLE_DEL records, a few
 * of them unanswered at a time, with one completion. */

#include "controld/link/link.h"

enum {
	CP_LINK_BATCH_OUTSTANDING = 8, /* records */
};

/* status: 0, or the first error: dp's, -ECONNRESET, or what
 * cp_link_request() returned later on. After an error nothing more is sent,
 * but up to CP_LINK_BATCH_OUTSTANDING records were on their way, so rows
 * behind `index` may have been applied as well.
 * index: the first refused row, n_rows if there is none. applied: all that dp
 * says it applied. deleted: TABLE_DEL only, one enum sn_ipc_deleted a row,
 * SN_IPC_DELETED_ABSENT where no answer came; NULL for TABLE_PUT. rows: as
 * given, freed after the call. */
struct cp_link_batch_result {
	int status;
	uint32_t index;
	uint32_t applied;
	uint32_t n_rows;
	const void *rows;
	const uint8_t *deleted;
};

typedef void (*cp_link_batch_fn)(void *userdata,
				 const struct cp_link_batch_result *result);

/* type: SN_IPC_TABLE_PUT (rows: key and value) or SN_IPC_TABLE_DEL (keys).
 * SN_IPC_TABLE_NARROW goes with the last record only, other flags with each.
 * rows: from malloc(3); taken on success only. Without rows one empty record
 * is sent, so that flags and the staging of a generation have their effect.
 * 0 or the error of the first cp_link_request(); then fn is not called. */
int cp_link_batch_send(struct cp_link *link, enum sn_ipc_type type,
		       const struct sn_ipc_table *body, void *rows,
		       uint32_t n_rows, cp_link_batch_fn fn, void *userdata);
