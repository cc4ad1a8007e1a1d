/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The table in memory, for controld/state only: keys in order, each with one or
 * more blobs. Pure. */

#include "controld/state/blob.h"

struct cp_state_entry {
	struct cp_state_blob **blobs; /* a PUT, then APPENDs */
	size_t n_blobs;
	size_t capacity;
	uint64_t appended_bytes;
};

struct cp_state_table {
	struct cp_state_entry *entries;
	size_t n;
	size_t capacity;
	size_t n_blobs;
	uint64_t bytes; /* of all records */
};

/* NULL: absent. */
struct cp_state_entry *cp_state_table_find(const struct cp_state_table *table,
					   const char *key);

/* Applies the change and takes a share of the blob. -ENOENT: nothing to append
 * to; -ENOMEM. */
int cp_state_table_apply(struct cp_state_table *table,
			 struct cp_state_blob *blob);

/* What is absent is no error. */
void cp_state_table_del(struct cp_state_table *table, const char *key);

void cp_state_table_clear(struct cp_state_table *table);
