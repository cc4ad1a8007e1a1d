/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/queue.h"

#include <stdlib.h>
#include <string.h>

enum {
	ID_TAG = 1 << 3 | 2, /* event_id on the wire */
	ID_CHARS = CP_FEED_QUEUE_ID_BYTES - 1,
};

struct cp_feed_item *cp_feed_queue_new_item(size_t size)
{
	struct cp_feed_item *item = calloc(1, sizeof(*item) + size);

	if (!item)
		return NULL;
	item->n_references = 1;
	item->size = size;
	return item;
}

bool cp_feed_queue_name_item(struct cp_feed_item *item)
{
	if (item->size < 2 + ID_CHARS || item->bytes[0] != ID_TAG ||
	    item->bytes[1] != ID_CHARS || memchr(item->bytes + 2, 0, ID_CHARS))
		return false;
	(void)memcpy(item->id, item->bytes + 2, ID_CHARS);
	item->id[ID_CHARS] = '\0';
	return true;
}

struct cp_feed_item *cp_feed_queue_ref(struct cp_feed_item *item)
{
	item->n_references++;
	return item;
}

struct cp_feed_item *cp_feed_queue_unref(struct cp_feed_item *item)
{
	if (item && --item->n_references == 0)
		free(item);
	return NULL;
}

void cp_feed_queue_init(struct cp_feed_queue *queue)
{
	(void)memset(queue, 0, sizeof(*queue));
	TAILQ_INIT(&queue->items);
}

void cp_feed_queue_done(struct cp_feed_queue *queue)
{
	struct cp_feed_item *item;

	while ((item = TAILQ_FIRST(&queue->items)))
		cp_feed_queue_remove(queue, item);
}

size_t cp_feed_queue_cost(const struct cp_feed_item *item)
{
	return sizeof(*item) + item->size;
}

void cp_feed_queue_put(struct cp_feed_queue *queue, struct cp_feed_item *item)
{
	TAILQ_INSERT_TAIL(&queue->items, item, link);
	queue->n++;
	queue->n_bytes += cp_feed_queue_cost(item);
	if (!queue->next)
		queue->next = item;
}

/* Ids are numbers in hex whose low digits differ. */
static size_t hash(const char *id)
{
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < ID_CHARS; i++)
		sum = (sum ^ (unsigned char)id[i]) * 16777619U;
	return (sum ^ sum >> 16) % CP_FEED_QUEUE_BUCKETS;
}

void cp_feed_queue_sent(struct cp_feed_queue *queue, uint64_t now_ms)
{
	struct cp_feed_item *item = queue->next;

	item->sent_ms = now_ms;
	queue->n_window++;
	LIST_INSERT_HEAD(&queue->buckets[hash(item->id)], item, bucket);
	queue->next = TAILQ_NEXT(item, link);
}

struct cp_feed_item *cp_feed_queue_find(const struct cp_feed_queue *queue,
					const char *id, size_t id_bytes)
{
	struct cp_feed_item *item;

	if (id_bytes != ID_CHARS)
		return NULL;
	LIST_FOREACH(item, &queue->buckets[hash(id)], bucket) {
		if (memcmp(item->id, id, ID_CHARS) == 0)
			return item;
	}
	return NULL;
}

struct cp_feed_item *cp_feed_queue_oldest(const struct cp_feed_queue *queue)
{
	return queue->n_window > 0 ? TAILQ_FIRST(&queue->items) : NULL;
}

static void leave_window(struct cp_feed_queue *queue, struct cp_feed_item *item)
{
	LIST_REMOVE(item, bucket);
	item->sent_ms = 0;
	queue->n_window--;
}

/* The window is what stands before queue->next. */
static bool is_in_window(const struct cp_feed_queue *queue,
			 const struct cp_feed_item *item)
{
	return !queue->next || item->sequence < queue->next->sequence;
}

void cp_feed_queue_remove(struct cp_feed_queue *queue,
			  struct cp_feed_item *item)
{
	if (is_in_window(queue, item))
		leave_window(queue, item);
	else if (queue->next == item)
		queue->next = TAILQ_NEXT(item, link);
	TAILQ_REMOVE(&queue->items, item, link);
	queue->n--;
	queue->n_bytes -= cp_feed_queue_cost(item);
	cp_feed_queue_unref(item);
}

void cp_feed_queue_left(struct cp_feed_queue *queue)
{
	struct cp_feed_item *item = TAILQ_FIRST(&queue->items);

	for (; item && item != queue->next; item = TAILQ_NEXT(item, link))
		item->n_vain++;
}

void cp_feed_queue_rewind(struct cp_feed_queue *queue)
{
	struct cp_feed_item *item = TAILQ_FIRST(&queue->items);

	while (queue->n_window > 0) {
		leave_window(queue, item);
		item = TAILQ_NEXT(item, link);
	}
	queue->next = TAILQ_FIRST(&queue->items);
}
