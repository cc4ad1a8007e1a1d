/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/outbox.h"

#include <stdlib.h>

struct cp_feed_outbox_item *cp_feed_outbox_new_item(size_t size)
{
	struct cp_feed_outbox_item *item;

	if (size > CP_FEED_OUTBOX_ITEM_BYTES)
		return NULL;
	item = malloc(sizeof(*item) + size);
	if (!item)
		return NULL;
	item->n_tries = 0;
	item->size = size;
	return item;
}

struct cp_feed_outbox_item *
cp_feed_outbox_free_item(struct cp_feed_outbox_item *item)
{
	free(item);
	return NULL;
}

size_t cp_feed_outbox_cost(const struct cp_feed_outbox_item *item)
{
	return sizeof(*item) + item->size;
}

void cp_feed_outbox_init(struct cp_feed_outbox *outbox)
{
	TAILQ_INIT(&outbox->items);
	outbox->n = 0;
	outbox->n_bytes = 0;
}

struct cp_feed_outbox_item *cp_feed_outbox_take(struct cp_feed_outbox *outbox)
{
	struct cp_feed_outbox_item *item = TAILQ_FIRST(&outbox->items);

	if (!item)
		return NULL;
	TAILQ_REMOVE(&outbox->items, item, link);
	outbox->n--;
	outbox->n_bytes -= cp_feed_outbox_cost(item);
	return item;
}

static size_t make_room(struct cp_feed_outbox *outbox)
{
	size_t n = 0;

	for (; outbox->n > CP_FEED_OUTBOX_MAX ||
	       outbox->n_bytes > CP_FEED_OUTBOX_BYTES;
	     n++)
		cp_feed_outbox_free_item(cp_feed_outbox_take(outbox));
	return n;
}

size_t cp_feed_outbox_put(struct cp_feed_outbox *outbox,
			  struct cp_feed_outbox_item *item)
{
	TAILQ_INSERT_TAIL(&outbox->items, item, link);
	outbox->n++;
	outbox->n_bytes += cp_feed_outbox_cost(item);
	return make_room(outbox);
}

size_t cp_feed_outbox_put_back(struct cp_feed_outbox *outbox,
			       struct cp_feed_outbox_item *item)
{
	TAILQ_INSERT_HEAD(&outbox->items, item, link);
	outbox->n++;
	outbox->n_bytes += cp_feed_outbox_cost(item);
	return make_room(outbox);
}

size_t cp_feed_outbox_clear(struct cp_feed_outbox *outbox)
{
	struct cp_feed_outbox_item *item;
	size_t n = 0;

	for (; (item = cp_feed_outbox_take(outbox)); n++)
		cp_feed_outbox_free_item(item);
	return n;
}
