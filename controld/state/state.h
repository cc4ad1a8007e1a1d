/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The state on disk: a table of keys and packed messages (the messages of
 * sentinel/state/v1/state.proto, packed and unpacked by the caller; here they
 * are bytes). A change is made in memory; a sync appends what was changed to
 * the journal on a worker (controld/state/journal.h). When the journal has
 * grown as large as the table, or could not be written, the whole table becomes
 * a new state file under a temporary name, which is renamed
 * (controld/state/file.h), with an empty journal. */

#include <stdbool.h>
#include <uv.h>

#include "shared/diag.h"
#include "shared/util.h"

struct cp_state;

enum {
	CP_STATE_KEY_MAX = 64, /* bytes of a key, 1 and up */
	CP_STATE_GROUP_MS = 50, /* what the daemon groups by */
	CP_STATE_ENTRIES_MAX = 65536,
	/* The journal, and what is appended to one key, may grow to this, or to
	 * the size of what they are added to. */
	CP_STATE_JOURNAL_BYTES_MIN = 1 << 20,
	CP_STATE_APPENDED_BYTES_MIN = 64 << 10,
};

/* Answers of cp_state_load() besides 0 and -errno; *diag says what the
 * operator can do. The daemon must not start: an empty state would forget
 * policies. */
enum {
	CP_STATE_E_REFUSED = 1, /* broken, cut, or of a newer version */
	CP_STATE_E_IN_USE, /* another process holds the lock */
};

/* Answer of cp_state_append() besides 0 and -errno: nothing changed. */
enum {
	CP_STATE_E_PUT = 1, /* put the whole: absent, or enough was appended */
};

/* Reads file and journal (blocking; before the loop runs) and holds a lock
 * (PATH.lock) until closed. No file: an empty table, cp_state_is_new(). diag is filled on
 * every failure. group_ns: see cp_state_sync(). */
int cp_state_load(struct cp_state **ret, uv_loop_t *loop, const char *path,
		  uint64_t group_ns, struct sn_diag *diag);

/* There was no file. */
bool cp_state_is_new(const struct cp_state *state);

/* Copies the blob. -EINVAL: key; -ENOSPC: CP_STATE_ENTRIES_MAX, or a file over
 * CP_STATE_FILE_BYTES_MAX; -ENOMEM. Not on disk before a sync. */
int cp_state_put(struct cp_state *state, const char *key, const void *blob,
		 size_t size);

/* The same, but adds the blob behind those that the key has, so that a small
 * change of a large message costs little: the reader applies it. */
int cp_state_append(struct cp_state *state, const char *key, const void *blob,
		    size_t size);

/* An absent key is no error. */
void cp_state_del(struct cp_state *state, const char *key);

/* What was put. Borrows until the next put or del of the key; NULL if it is
 * absent. */
const void *cp_state_get(const struct cp_state *state, const char *key,
			 size_t *size);

/* In the order of keys; what was appended follows what was put, under the same
 * key. fn may not change the table. */
void cp_state_each(const struct cp_state *state,
		   void (*fn)(void *userdata, const char *key, const void *blob,
			      size_t size),
		   void *userdata);

/* error: 0 or -errno of the write (-ENOSPC, -EIO). File and journal are as
 * before then, the table in memory is not: put back what must not be kept. */
typedef void (*cp_state_sync_fn)(void *userdata, int error);

/* fn is called once, from the loop, when everything put before is on disk or
 * could not be written. Written at once when idle; changes made while a write
 * is under way, or within group_ns of the end of the last one, are written
 * together. After an error the next sync tries again. -ENOMEM. */
int cp_state_sync(struct cp_state *state, cp_state_sync_fn fn, void *userdata);

struct cp_state_stats {
	uint64_t n_writes; /* that ended well */
	uint64_t n_files; /* of these: of the whole table */
	uint64_t n_failed;
	int last_error; /* of the last write; 0: it ended well */
	uint64_t journal_bytes;
	size_t n_waiting; /* changes that are not on disk yet */
};
void cp_state_get_stats(const struct cp_state *state,
			struct cp_state_stats *ret);

/* Writes what is not on disk yet, answers everyone who waits, then calls
 * closed(closed_userdata) (may be NULL) and frees the table. */
void cp_state_close(struct cp_state *state, void (*closed)(void *userdata),
		    void *closed_userdata);
