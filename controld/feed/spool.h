/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events on disk, in the order of their sequence: a folder of files, of which
 * the last one grows, a place from which reading goes on, and the file
 * `position`, which says what was answered. The oldest file goes when all of it
 * was answered, or when the folder would become larger than it may; what was not
 * read of it is counted. A crash costs at most a record that was half written,
 * and has answered ones read again. Blocking. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/feed/record.h"
#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_FEED_SPOOL_MIN_BYTES = 1 << 20,
	CP_FEED_SPOOL_FILES = 8, /* that a full folder has, about */
	CP_FEED_SPOOL_FILES_MAX = 65536, /* that are looked at */
};

struct cp_feed_spool;

struct cp_feed_spool_options {
	const char *path; /* of the folder, which is made if it is not there */
	uint64_t max_bytes; /* MIN_BYTES or more */
	bool is_synced; /* written means that it survives a loss of power */
};

struct cp_feed_spool_stats {
	uint64_t n_unread; /* records behind the place of reading */
	uint64_t n_bytes; /* of all files */
	uint64_t n_files;
	uint64_t n_dropped; /* unread ones that had no room, since the start */
	uint64_t n_broken; /* unread ones that could not be read again */
	uint64_t n_cut; /* ends of files that were no records */
	uint64_t last_sequence; /* ever used */
	uint64_t below; /* was answered, as `position` says; 0: it does not */
	uint64_t gone_sequence; /* up to which files had no room; 0: none */
	int error; /* of the last write; 0 or -errno */
};

/* diag says what could not be done with which file. */
int cp_feed_spool_new(struct cp_feed_spool **ret,
		      const struct cp_feed_spool_options *options,
		      struct sn_diag *diag);
struct cp_feed_spool *cp_feed_spool_free(struct cp_feed_spool *spool);
SN_DEFINE_CLEANUP(struct cp_feed_spool, cp_feed_spool_free)

struct cp_feed_spool_item {
	struct cp_feed_record record;
	/* Whoever reads has it already; so are all that came before. */
	bool is_read;
};

/* Writes items in turn. *n_written are on disk, the others are not: 0, or
 * -errno says why. */
int cp_feed_spool_write(struct cp_feed_spool *spool,
			const struct cp_feed_spool_item *items, size_t n,
			size_t *n_written);
/* What is written next goes into a file of its own, so that it may also come
 * before what is there. */
void cp_feed_spool_begin(struct cp_feed_spool *spool);
/* No file goes for what is written from now on: the bytes that there is room for,
 * records with their heads. */
uint64_t cp_feed_spool_keep(struct cp_feed_spool *spool);

/* Hands out unread records until their events are max_bytes or more, or none is
 * left. Other than 0 from fn ends it, and the record stays unread; so it does
 * where there is no descriptor for its file. */
typedef int (*cp_feed_spool_fn)(void *userdata,
				const struct cp_feed_record *record);
int cp_feed_spool_read(struct cp_feed_spool *spool, size_t max_bytes,
		       cp_feed_spool_fn fn, void *userdata);

/* Everything below this sequence is answered. saves: the file too, else only
 * what can be removed is. */
void cp_feed_spool_trim(struct cp_feed_spool *spool, uint64_t below,
			bool saves);

void cp_feed_spool_get_stats(const struct cp_feed_spool *spool,
			     struct cp_feed_spool_stats *ret);
