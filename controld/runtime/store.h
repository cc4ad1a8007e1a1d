/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The last messages in memory, packed and numbered: events, or findings. Readers
 * keep a position each and nothing else, so that a slow one costs nothing and is
 * told what it missed: a gap that is overwritten counts as what it stood for, so
 * that what a reader got and what it was told is missing are all that there was.
 * Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "shared/util.h"

enum {
	CP_RUNTIME_STORE_MAX = 1 << 16, /* events, however small */
};

struct cp_runtime_store;

/* One as it is held. What stands before the size is for readers to choose by,
 * before anything is unpacked. */
struct cp_runtime_stored {
	uint64_t number; /* 1 and up, without gaps */
	/* enum sn_rt_event, of a gap the one that is missing, NONE: neither; of
	 * a finding its severity. */
	uint8_t kind;
	/* A rule of the configuration wants it; true of findings. */
	bool is_configured;
	uint64_t n; /* that it stands for: itself, or those missing */
	size_t size;
	uint8_t bytes[];
};

/* Between two of them. */
struct cp_runtime_position {
	uint64_t number; /* of the one that comes next */
	uint64_t n_before; /* what all before it stand for */
};

/* n_bytes: of what is held, all of it; at least one event is. */
int cp_runtime_store_new(struct cp_runtime_store **ret, size_t n_bytes);
struct cp_runtime_store *cp_runtime_store_free(struct cp_runtime_store *store);
SN_DEFINE_CLEANUP(struct cp_runtime_store, cp_runtime_store_free)

/* Packs message under the next number; the other fields are those of `like`.
 * -ENOMEM: the number is used up, as if it had been overwritten. */
int cp_runtime_store_put(struct cp_runtime_store *store,
			 const ProtobufCMessage *message,
			 const struct cp_runtime_stored *like);

/* Before the oldest one that is held, and behind all of them. */
struct cp_runtime_position
cp_runtime_store_oldest(const struct cp_runtime_store *store);
struct cp_runtime_position
cp_runtime_store_next(const struct cp_runtime_store *store);
/* A reader's own word for where it was; number is at most that of next. What is
 * held counts, and n_before only where that is gone. */
struct cp_runtime_position
cp_runtime_store_find(const struct cp_runtime_store *store,
		      struct cp_runtime_position claimed);
size_t cp_runtime_store_bytes(const struct cp_runtime_store *store);

/* Answers of cp_runtime_store_read() besides 0. */
enum {
	CP_RUNTIME_STORE_E_END = 1, /* nothing more */
	CP_RUNTIME_STORE_E_LOST, /* *n_lost are gone; reading goes on behind */
};

/* What is at *position, which then moves on. *ret is good until the next put. */
int cp_runtime_store_read(const struct cp_runtime_store *store,
			  struct cp_runtime_position *position,
			  const struct cp_runtime_stored **ret,
			  uint64_t *n_lost);
