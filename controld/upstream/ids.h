/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ids of the questions that are under way on one socket or stream. Those
 * that were given up are remembered for a while, so that a late answer is not
 * taken for a forgery. Pure. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "controld/upstream/random.h"

enum {
	CP_UPSTREAM_IDS_BUCKETS = 64,
	CP_UPSTREAM_IDS_LATE = 256, /* no fewer than a UDP port has questions */
	CP_UPSTREAM_IDS_MAX = 1024, /* of 65536, so that a free one is found */
};

/* Embedded in what the id stands for. */
struct cp_upstream_id {
	LIST_ENTRY(cp_upstream_id) link;
	uint16_t value;
};

/* To be zeroed before use. */
struct cp_upstream_ids {
	LIST_HEAD(, cp_upstream_id) buckets[CP_UPSTREAM_IDS_BUCKETS];
	uint32_t n; /* under way */
	uint32_t n_late; /* ever remembered */
	struct {
		uint16_t value;
		uint8_t n; /* answers that may still come */
	} late[CP_UPSTREAM_IDS_LATE]; /* a ring */
};

/* Chooses an id that is free; n must be below CP_UPSTREAM_IDS_MAX. */
void cp_upstream_ids_put(struct cp_upstream_ids *ids,
			 struct cp_upstream_random *random,
			 struct cp_upstream_id *id);
struct cp_upstream_id *cp_upstream_ids_get(const struct cp_upstream_ids *ids,
					   uint16_t value);
/* Any of them; NULL: none. */
struct cp_upstream_id *cp_upstream_ids_first(const struct cp_upstream_ids *ids);
/* n_awaited: answers that may still come. */
void cp_upstream_ids_remove(struct cp_upstream_ids *ids,
			    struct cp_upstream_id *id, uint8_t n_awaited);
/* True once for each answer that was awaited. */
bool cp_upstream_ids_take_late(struct cp_upstream_ids *ids, uint16_t value);
