/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cp_runtime_store {
	size_t n_bytes_max;
	size_t n_bytes;
	struct cp_runtime_position oldest;
	struct cp_runtime_position next;
	/* At number % MAX. */
	struct slot {
		struct cp_runtime_stored *event; /* NULL: no memory for it */
		uint64_t n;
	} slots[CP_RUNTIME_STORE_MAX];
};

int cp_runtime_store_new(struct cp_runtime_store **ret, size_t n_bytes)
{
	struct cp_runtime_store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->n_bytes_max = n_bytes;
	store->oldest.number = 1;
	store->next.number = 1;
	*ret = store;
	return 0;
}

static size_t size_of(const struct cp_runtime_stored *event)
{
	return event ? sizeof(*event) + event->size : 0;
}

static void drop_oldest(struct cp_runtime_store *store)
{
	struct slot *slot =
		&store->slots[store->oldest.number++ % CP_RUNTIME_STORE_MAX];

	store->oldest.n_before += slot->n;
	store->n_bytes -= size_of(slot->event);
	free(slot->event);
	slot->event = NULL;
}

struct cp_runtime_store *cp_runtime_store_free(struct cp_runtime_store *store)
{
	if (!store)
		return NULL;
	while (store->oldest.number < store->next.number)
		drop_oldest(store);
	free(store);
	return NULL;
}

int cp_runtime_store_put(struct cp_runtime_store *store,
			 const ProtobufCMessage *message,
			 const struct cp_runtime_stored *like)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	struct cp_runtime_stored *fresh = malloc(sizeof(*fresh) + size);
	uint64_t number = store->next.number;
	struct slot *slot = &store->slots[number % CP_RUNTIME_STORE_MAX];

	if (fresh) {
		*fresh = *like;
		fresh->number = number;
		fresh->size = size;
		(void)protobuf_c_message_pack(message, fresh->bytes);
	}
	while (store->oldest.number < number &&
	       (store->n_bytes + size_of(fresh) > store->n_bytes_max ||
		number - store->oldest.number >= CP_RUNTIME_STORE_MAX))
		drop_oldest(store);
	slot->event = fresh;
	slot->n = like->n;
	store->n_bytes += size_of(fresh);
	store->next.number++;
	store->next.n_before += like->n;
	return fresh ? 0 : -ENOMEM;
}

struct cp_runtime_position
cp_runtime_store_oldest(const struct cp_runtime_store *store)
{
	return store->oldest;
}

struct cp_runtime_position
cp_runtime_store_next(const struct cp_runtime_store *store)
{
	return store->next;
}

/* Past the event at the position, which is held. */
static struct cp_runtime_stored *pass(const struct cp_runtime_store *store,
				      struct cp_runtime_position *position)
{
	const struct slot *slot =
		&store->slots[position->number % CP_RUNTIME_STORE_MAX];

	position->number++;
	position->n_before += slot->n;
	return slot->event;
}

struct cp_runtime_position
cp_runtime_store_find(const struct cp_runtime_store *store,
		      struct cp_runtime_position claimed)
{
	struct cp_runtime_position at = store->oldest;

	if (claimed.number < at.number) {
		claimed.n_before = SN_MIN(claimed.n_before, at.n_before);
		return claimed;
	}
	while (at.number < claimed.number)
		(void)pass(store, &at);
	return at;
}

size_t cp_runtime_store_bytes(const struct cp_runtime_store *store)
{
	return store->n_bytes;
}

int cp_runtime_store_read(const struct cp_runtime_store *store,
			  struct cp_runtime_position *position,
			  const struct cp_runtime_stored **ret,
			  uint64_t *n_lost)
{
	uint64_t n_before = position->n_before;

	if (position->number < store->oldest.number)
		*position = store->oldest;
	while (position->number < store->next.number) {
		struct cp_runtime_position behind = *position;
		struct cp_runtime_stored *event = pass(store, &behind);

		if (event && position->n_before == n_before) {
			*position = behind;
			*ret = event;
			return 0;
		}
		if (event)
			break;
		*position = behind;
	}
	if (position->n_before == n_before)
		return CP_RUNTIME_STORE_E_END;
	*n_lost = position->n_before - n_before;
	return CP_RUNTIME_STORE_E_LOST;
}
