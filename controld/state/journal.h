/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The journal: what was changed since the state file was written, beside it as
 * NAME.journal. Little-endian:
 *   header: magic "SNJOURN\n", u32 version, u32 0, SHA-256 that is in the state
 *           file's header, SHA-256 of the 48 bytes before
 *   frame:  magic "SNFR", u32 bytes of its records, u64 number (1, 2, ...),
 *           SHA-256 of the header, the 16 bytes before and the records
 *   records (controld/state/record.h), to be applied in order
 * A frame is what is written and synced in one step, and the next one is only
 * begun when it is on disk. So a crash leaves sound frames and behind them at
 * most one that is cut or has gaps: it was never acknowledged, and is left out.
 * Sound frames behind a broken one mean that acknowledged changes are damaged:
 * the journal is refused. One of another state file is out of date, because a
 * crash came between the renames of both.
 *
 * Broken while it grows (a full disk), the journal is cut back to its sound
 * frames and ends; a new one begins with the next state file. Blocking. */

#include "controld/state/file.h"

enum {
	CP_STATE_JOURNAL_VERSION = 1,
	CP_STATE_JOURNAL_HEADER_BYTES = 80,
	CP_STATE_JOURNAL_FRAME_BYTES = 48, /* before its records */
	CP_STATE_JOURNAL_RECORDS_MAX = 16 << 20, /* bytes, of one frame */
};

/* Answers of the calls below besides 0 and -errno. */
enum {
	CP_STATE_JOURNAL_E_REFUSED = CP_STATE_FILE_E_REFUSED, /* *diag: why */
	CP_STATE_JOURNAL_E_OTHER, /* belongs to another state file, or absent */
	CP_STATE_JOURNAL_E_TORN, /* replayed, but for its last frame */
};

/* fd -1: none that may grow. */
struct cp_state_journal {
	int fd;
	uint64_t size;
	uint64_t number; /* of the last frame */
	uint8_t header[CP_STATE_JOURNAL_HEADER_BYTES];
};

/* Checks the whole journal before fn is called for the first record. Pure; *ret
 * is filled but for the fd. */
int cp_state_journal_parse(const void *data, size_t size,
			   const struct cp_state_file_id *id,
			   cp_state_record_fn fn, void *userdata,
			   struct cp_state_journal *ret, struct sn_diag *diag);

/* The same for the journal of the state file NAME; 0: *ret may grow. */
int cp_state_journal_open(int dir_fd, const char *name,
			  const struct cp_state_file_id *id,
			  cp_state_record_fn fn, void *userdata,
			  struct cp_state_journal *ret, struct sn_diag *diag);

/* An empty journal in place of the one that is there; *ret is closed before. */
int cp_state_journal_start(struct cp_state_journal *journal, int dir_fd,
			   const char *name, const struct cp_state_file_id *id);

/* One frame more, synced. After a failure journal->fd is -1. -ESTALE: somebody
 * removed or changed the file. */
int cp_state_journal_append(struct cp_state_journal *journal,
			    const struct cp_state_record *records,
			    size_t n_records);

void cp_state_journal_close(struct cp_state_journal *journal);
