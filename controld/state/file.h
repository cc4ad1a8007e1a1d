/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The state file's format. Little-endian:
 *   header: magic "SNSTATE\n", u32 version, u32 number of records, u64 bytes of
 *           all records, SHA-256 of the 24 bytes before and of the records
 *   record: u32 bytes of key, u32 bytes of blob, key, blob
 * Keys rise strictly, so equal tables are equal files. Blocking. */

#include <stddef.h>
#include <stdint.h>

#include "shared/diag.h"

enum {
	CP_STATE_FILE_VERSION = 1,
	CP_STATE_FILE_HEADER_BYTES = 56,
	CP_STATE_FILE_KEY_MAX = 64,
};

/* A file over this is refused; 10,000 attachments with 100 rules take 50
 * MiB. */
#define CP_STATE_FILE_BYTES_MAX (1ULL << 30)

/* Answer of the calls below besides 0 and -errno: not a state file that this
 * version can read, *diag says why. */
enum {
	CP_STATE_FILE_E_REFUSED = 1,
};

/* key is NUL-terminated. */
struct cp_state_file_record {
	const char *key;
	const void *blob;
	size_t size;
};

/* Returning other than 0 ends the walk with that value. */
typedef int (*cp_state_file_fn)(void *userdata,
				const struct cp_state_file_record *record);

/* Checks the whole file before fn is called for the first record. Pure. */
int cp_state_file_parse(const void *data, size_t size, cp_state_file_fn fn,
			void *userdata, struct sn_diag *diag);

/* The whole file in *ret (free(3)). -ENOENT: there is none. */
int cp_state_file_read(int dir_fd, const char *name, void **ret, size_t *size,
		       struct sn_diag *diag);

/* Writes NAME.tmp and syncs it; on failure it is removed. */
int cp_state_file_stage(int dir_fd, const char *name,
			const struct cp_state_file_record *records,
			size_t n_records);

/* Renames NAME.tmp to NAME and syncs the directory. */
int cp_state_file_commit(int dir_fd, const char *name);
