/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The format of a spool's files. Little-endian:
 *   header: magic "SNSPOOL\n", u32 version, u32 0
 *   record: u32 bytes of the event, u32 CRC-32 of the rest of the record and of
 *           the length, u64 sequence, the event
 * Sequences rise. What a crash cut is the end of the last file; what is broken
 * ends its file, because nothing behind it can be told from what it is. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CP_FEED_RECORD_VERSION = 1,
	CP_FEED_RECORD_FILE_BYTES = 16, /* before the first record */
	CP_FEED_RECORD_HEAD_BYTES = 16,
	CP_FEED_RECORD_EVENT_MAX = 128 << 10, /* bytes of one event */
};

struct cp_feed_record {
	uint64_t sequence;
	const uint8_t *data;
	size_t size;
};

enum cp_feed_record_end {
	CP_FEED_RECORD_END_NONE, /* *ret is the record, *at moved behind it */
	CP_FEED_RECORD_END_CLEAN, /* there is none */
	/* The rest may be the beginning of a record. */
	CP_FEED_RECORD_END_CUT,
	CP_FEED_RECORD_END_BROKEN,
};

void cp_feed_record_write_file(uint8_t ret[CP_FEED_RECORD_FILE_BYTES]);
bool cp_feed_record_check_file(const uint8_t *data, size_t size);

/* What precedes the event. size: up to EVENT_MAX. */
void cp_feed_record_write_head(const struct cp_feed_record *record,
			       uint8_t ret[CP_FEED_RECORD_HEAD_BYTES]);
/* The record at data[*at], of size bytes in all. after: the sequence before. */
enum cp_feed_record_end cp_feed_record_next(const uint8_t *data, size_t size,
					    size_t *at, uint64_t after,
					    struct cp_feed_record *ret);

/* What was answered of a spool: "everything below this sequence". */
enum { CP_FEED_RECORD_POSITION_BYTES = 24 };
void cp_feed_record_write_position(uint64_t sequence,
				   uint8_t ret[CP_FEED_RECORD_POSITION_BYTES]);
bool cp_feed_record_read_position(const uint8_t *data, size_t size,
				  uint64_t *ret);
