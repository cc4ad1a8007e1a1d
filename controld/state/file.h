/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The state file's format: the whole table as it was at one moment. What came
 * after that is in the journal (controld/state/journal.h). Little-endian:
 *   header: magic "SNSTATE\n", u32 version, u32 number of this file, u64 bytes
 *           of all records, SHA-256 of the 24 bytes before and of the records
 *   records (controld/state/record.h)
 * Of each key one PUT and then its APPENDs; keys rise. The number is one more
 * than that of the file before, so that no two files have the same checksum,
 * by which the journal names its file. Version 1 had the number of records
 * there, no APPENDs and no journal; it is read too. Blocking. */

#include <stddef.h>
#include <stdint.h>

#include "controld/state/record.h"
#include "shared/diag.h"

enum {
	CP_STATE_FILE_VERSION = 2,
	CP_STATE_FILE_HEADER_BYTES = 56,
	CP_STATE_FILE_DIGEST_BYTES = 32,
	CP_STATE_FILE_NAME_BYTES = 256,
};

/* A file over this is refused; 10,000 attachments with 100 rules take 50
 * MiB. */
#define CP_STATE_FILE_BYTES_MAX (1ULL << 30)

/* Answer of the calls below besides 0 and -errno: not a state file that this
 * version can read, *diag says why. */
enum {
	CP_STATE_FILE_E_REFUSED = 1,
};

struct cp_state_file_id {
	uint32_t number;
	uint8_t digest[CP_STATE_FILE_DIGEST_BYTES];
};

/* Checks the whole file before fn is called for the first record. Pure. */
int cp_state_file_parse(const void *data, size_t size, cp_state_record_fn fn,
			void *userdata, struct cp_state_file_id *id,
			struct sn_diag *diag);

/* The whole file in *ret (free(3)). -ENOENT: there is none. */
int cp_state_file_read(int dir_fd, const char *name, void **ret, size_t *size,
		       struct sn_diag *diag);

/* Creates NAME.tmp, whatever has that name, for writing: an fd or -errno. */
int cp_state_file_create(int dir_fd, const char *name);

/* Writes NAME.tmp under id->number, syncs it and fills id->digest; on failure
 * it is removed. */
int cp_state_file_stage(int dir_fd, const char *name,
			const struct cp_state_record *records, size_t n_records,
			struct cp_state_file_id *id);

/* Renames NAME.tmp to NAME and syncs the directory. */
int cp_state_file_commit(int dir_fd, const char *name);
