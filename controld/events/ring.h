/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The last events in memory, numbered. Readers keep a number each and nothing
 * else, so that a slow one costs nothing and is told what it missed. Pure. */

#include <stddef.h>

#include "controld/events/record.h"
#include "shared/util.h"

struct cp_events_ring;

int cp_events_ring_new(struct cp_events_ring **ret, size_t size);
struct cp_events_ring *cp_events_ring_free(struct cp_events_ring *ring);
SN_DEFINE_CLEANUP(struct cp_events_ring, cp_events_ring_free)

/* Copies the record in under the next number. */
void cp_events_ring_put(struct cp_events_ring *ring,
			const struct cp_events_record *record);

/* The number of the oldest one that is held, and the one that comes next. */
uint64_t cp_events_ring_oldest(const struct cp_events_ring *ring);
uint64_t cp_events_ring_next(const struct cp_events_ring *ring);

/* All zero: everything. */
struct cp_events_filter {
	char id[CP_EVENTS_ID_BYTES]; /* "": all attachments */
	bool blocked_only; /* not what audit let pass */
	uint32_t kinds; /* bits by enum cp_events_kind; LOST always comes */
	int64_t since_ms; /* not before */
};

/* Answers of cp_events_ring_read() besides 0. */
enum {
	CP_EVENTS_RING_E_END = 1, /* nothing more */
	CP_EVENTS_RING_E_LOST, /* *n_lost are gone; reading goes on behind */
};

/* The first record from *seq on that passes the filter (which may be NULL).
 * *seq moves behind what was looked at. *ret is good until the next put. */
int cp_events_ring_read(const struct cp_events_ring *ring,
			const struct cp_events_filter *filter, uint64_t *seq,
			const struct cp_events_record **ret, uint64_t *n_lost);
