/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Generic operations on the tables of shared/tables.def that hold entries of
 * slots (shapes HASH, LRU and TRIE, writers CP and BPF). Rows have passed
 * dataplane/check.h. */

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/object.h"
#include "dataplane/slots.h"
#include "shared/ipc.h"

enum {
	DP_TABLE_STEP = 4096, /* entries that one call looks at, at most */
	DP_TABLE_NOWHERE = -1,
};

/* Has entries of slots that the peer may read. */
bool dp_table_is_open(const struct dp_object *object, enum sn_table table);

/* Whether its programs have sums that dp_table_flush() sends. */
bool dp_table_has_flush(const struct dp_object *object, enum sn_table table);
int dp_table_flush(const struct dp_object *object);
/* Offsets in the key of its u32; DP_TABLE_NOWHERE: it has none. */
int dp_table_get_slot_offset(enum sn_table table);
int dp_table_get_generation_offset(enum sn_table table);

/* CLOCK_BOOTTIME, as in every record. */
uint64_t dp_table_get_now(void);

/* Writes rows (key and value each) over what is there; seals values where the
 * table is sealed. *applied counts also on failure: -ENOSPC: full. */
int dp_table_put(const struct dp_object *object, enum sn_table table,
		 const uint8_t *rows, size_t n_rows, uint32_t *applied);

/* Deletes keys; deleted[] is enum sn_ipc_deleted. unused: leaves entries that
 * have live items or on which a flow may rest. */
int dp_table_delete(const struct dp_object *object, enum sn_table table,
		    const uint8_t *keys, size_t n_keys, bool unused,
		    uint8_t *deleted);

/* Copies the entries of the given keys that exist to rows; *n_found. */
int dp_table_get(const struct dp_object *object, enum sn_table table,
		 const uint8_t *keys, size_t n_keys, uint8_t *rows,
		 uint32_t *n_found);

/* Says of one entry whether it goes (true). */
typedef bool (*dp_table_judge)(void *arg, const void *key, const void *value);

/* One step through a table from cursor (all zero: its beginning), which is
 * moved; looks at up to n_most entries and deletes those that judge takes.
 * Entries may be met twice if others delete meanwhile. slots: whose flow counts
 * follow deletions. *n_deleted and *n_seen are added to. */
int dp_table_step(const struct dp_object *object, struct dp_slots *slots,
		  enum sn_table table, uint8_t cursor[SN_IPC_CURSOR_BYTES],
		  uint32_t n_most, dp_table_judge judge, void *arg,
		  uint32_t *n_seen, uint32_t *n_deleted, bool *done);

/* Entries of slot (0: all) and generation (0: all, where it has one). */
bool dp_table_is_of(enum sn_table table, const void *key, uint32_t slot,
		    uint32_t generation);
/* An idle flow, an ended fragment or a denial that is to be reported again. */
bool dp_table_is_idle(enum sn_table table, const void *key, const void *value,
		      uint64_t now);

/* At start: marks slots whose next generation has entries already. */
int dp_table_find_staged(const struct dp_object *object,
			 struct dp_slots *slots);
