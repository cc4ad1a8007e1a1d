/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A record in memory. Blobs are counted and never change, so that a worker can
 * read those that it has a share of; only the loop counts. */

#include "controld/state/record.h"
#include "shared/util.h"

struct cp_state_blob {
	unsigned int n_users;
	enum cp_state_record_kind kind;
	size_t size;
	char key[CP_STATE_RECORD_KEY_MAX + 1];
	uint8_t data[];
};

/* With one user. -EINVAL: key; -ENOMEM. */
int cp_state_blob_new(struct cp_state_blob **ret,
		      enum cp_state_record_kind kind, const char *key,
		      const void *data, size_t size);
struct cp_state_blob *cp_state_blob_share(struct cp_state_blob *blob);
struct cp_state_blob *cp_state_blob_free(struct cp_state_blob *blob);
SN_DEFINE_CLEANUP(struct cp_state_blob, cp_state_blob_free)

/* Borrows the blob as a record. */
struct cp_state_record cp_state_blob_record(const struct cp_state_blob *blob);
