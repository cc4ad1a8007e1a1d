/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One change of the table, in the state file and in its journal alike.
 * Little-endian:
 *   u16 bytes of key, u16 kind, u32 bytes of blob, key, blob
 * Pure. */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	CP_STATE_RECORD_KEY_MAX = 64,
	CP_STATE_RECORD_HEAD_BYTES = 8,
};

enum cp_state_record_kind {
	CP_STATE_RECORD_PUT, /* the key has this blob */
	CP_STATE_RECORD_APPEND, /* and this one behind those it has */
	CP_STATE_RECORD_DEL, /* the key is gone; no blob */
	CP_STATE_RECORD_KINDS,
};

/* key is NUL-terminated. */
struct cp_state_record {
	enum cp_state_record_kind kind;
	const char *key;
	const void *blob;
	size_t size;
};

/* Returning other than 0 ends the walk with that value. */
typedef int (*cp_state_record_fn)(void *userdata,
				  const struct cp_state_record *record);

/* Reads the record at *at into *record and moves *at behind it; key is where
 * record->key points. False: malformed, or cut by end. */
bool cp_state_record_next(const uint8_t **at, const uint8_t *end,
			  char key[CP_STATE_RECORD_KEY_MAX + 1],
			  struct cp_state_record *record);

size_t cp_state_record_bytes(const struct cp_state_record *record);
size_t cp_state_record_sum(const struct cp_state_record *records, size_t n);

/* What precedes key and blob. */
void cp_state_record_head(const struct cp_state_record *record,
			  uint8_t head[CP_STATE_RECORD_HEAD_BYTES]);

static inline uint32_t cp_state_record_get32(const uint8_t *at)
{
	uint32_t v;

	(void)memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static inline uint64_t cp_state_record_get64(const uint8_t *at)
{
	uint64_t v;

	(void)memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

static inline void cp_state_record_set32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	(void)memcpy(at, &v, sizeof(v));
}

static inline void cp_state_record_set64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	(void)memcpy(at, &v, sizeof(v));
}
