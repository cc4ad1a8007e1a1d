/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reports that wait to be sent to a detector, in their order: as many as have
 * room, of which the oldest make room for new ones. Pure. */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shared/util.h"

enum {
	CP_FEED_OUTBOX_MAX = 1024,
	CP_FEED_OUTBOX_BYTES = 2 << 20, /* memory of all */
	CP_FEED_OUTBOX_ITEM_BYTES = 64 << 10, /* of a report */
};

/* A packed AnomalyReport. */
struct cp_feed_outbox_item {
	TAILQ_ENTRY(cp_feed_outbox_item) link;
	unsigned int n_tries; /* that may have failed for its own fault */
	size_t size;
	uint8_t bytes[];
};

struct cp_feed_outbox {
	TAILQ_HEAD(, cp_feed_outbox_item) items;
	size_t n;
	size_t n_bytes;
};

/* With room for so many bytes; NULL: there is no memory, or size is above
 * ITEM_BYTES. */
struct cp_feed_outbox_item *cp_feed_outbox_new_item(size_t size);
struct cp_feed_outbox_item *
cp_feed_outbox_free_item(struct cp_feed_outbox_item *item);
SN_DEFINE_CLEANUP(struct cp_feed_outbox_item, cp_feed_outbox_free_item)
/* What it takes. */
size_t cp_feed_outbox_cost(const struct cp_feed_outbox_item *item);

void cp_feed_outbox_init(struct cp_feed_outbox *outbox);
/* Behind the others, or, as one that was taken, before them. Takes the item over,
 * and returns how many were dropped. */
size_t cp_feed_outbox_put(struct cp_feed_outbox *outbox,
			  struct cp_feed_outbox_item *item);
size_t cp_feed_outbox_put_back(struct cp_feed_outbox *outbox,
			       struct cp_feed_outbox_item *item);
/* The oldest, which is the caller's; NULL: none waits. */
struct cp_feed_outbox_item *cp_feed_outbox_take(struct cp_feed_outbox *outbox);
/* Drops all; returns how many. */
size_t cp_feed_outbox_clear(struct cp_feed_outbox *outbox);
