/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events that wait in memory, in their order: first those that were sent and
 * not answered (the window), then those that are to be sent. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shared/util.h"

enum {
	CP_FEED_QUEUE_ID_BYTES = 37, /* a uuid with its NUL */
	CP_FEED_QUEUE_BUCKETS = 4096,
};

/* A packed EventEnvelope, which begins with its id. Whoever keeps it has a
 * reference; those are counted on the loop only. */
struct cp_feed_item {
	TAILQ_ENTRY(cp_feed_item) link;
	LIST_ENTRY(cp_feed_item) bucket; /* of the window */
	unsigned int n_references;
	char id[CP_FEED_QUEUE_ID_BYTES];
	uint64_t sequence;
	uint64_t position; /* where its record begins in the kernel's ring */
	uint64_t sent_ms; /* in the window: when */
	unsigned int n_vain; /* streams that were left with it unanswered */
	bool is_stored; /* on disk */
	size_t size;
	uint8_t bytes[];
};

/* With room for an event of that size and one reference. */
struct cp_feed_item *cp_feed_queue_new_item(size_t size);
/* Takes the id from the bytes; false: there is none. */
bool cp_feed_queue_name_item(struct cp_feed_item *item);
struct cp_feed_item *cp_feed_queue_ref(struct cp_feed_item *item);
struct cp_feed_item *cp_feed_queue_unref(struct cp_feed_item *item);
SN_DEFINE_CLEANUP(struct cp_feed_item, cp_feed_queue_unref)

struct cp_feed_queue {
	TAILQ_HEAD(, cp_feed_item) items;
	struct cp_feed_item *next; /* to be sent; NULL: none */
	size_t n;
	size_t n_bytes; /* memory of all */
	size_t n_window;
	LIST_HEAD(, cp_feed_item) buckets[CP_FEED_QUEUE_BUCKETS];
};

void cp_feed_queue_init(struct cp_feed_queue *queue);
void cp_feed_queue_done(struct cp_feed_queue *queue);

/* What it takes there. */
size_t cp_feed_queue_cost(const struct cp_feed_item *item);
/* Behind the others; the reference is the queue's from now on. */
void cp_feed_queue_put(struct cp_feed_queue *queue, struct cp_feed_item *item);
/* queue->next was sent. */
void cp_feed_queue_sent(struct cp_feed_queue *queue, uint64_t now_ms);
/* The one of the window with this id, of so many bytes; NULL: there is none. */
struct cp_feed_item *cp_feed_queue_find(const struct cp_feed_queue *queue,
					const char *id, size_t id_bytes);
/* The one that was sent first; NULL: the window is empty. */
struct cp_feed_item *cp_feed_queue_oldest(const struct cp_feed_queue *queue);
/* Out of the queue, which gives its reference up. */
void cp_feed_queue_remove(struct cp_feed_queue *queue,
			  struct cp_feed_item *item);
/* The detector has answered none of the window for too long. */
void cp_feed_queue_left(struct cp_feed_queue *queue);
/* The whole window is to be sent again. */
void cp_feed_queue_rewind(struct cp_feed_queue *queue);
