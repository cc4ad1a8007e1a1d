/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cp_runtime_store {
	size_t n_bytes_max;
	size_t n_bytes;
	uint64_t oldest;
	uint64_t next;
	/* At number % MAX; NULL: there was no memory for it. */
	struct cp_runtime_stored *events[CP_RUNTIME_STORE_MAX];
};

int cp_runtime_store_new(struct cp_runtime_store **ret, size_t n_bytes)
{
	struct cp_runtime_store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->n_bytes_max = n_bytes;
	store->oldest = 1;
	store->next = 1;
	*ret = store;
	return 0;
}

static size_t size_of(const struct cp_runtime_stored *event)
{
	return event ? sizeof(*event) + event->size : 0;
}

static void drop_oldest(struct cp_runtime_store *store)
{
	struct cp_runtime_stored **at =
		&store->events[store->oldest++ % CP_RUNTIME_STORE_MAX];

	store->n_bytes -= size_of(*at);
	free(*at);
	*at = NULL;
}

struct cp_runtime_store *cp_runtime_store_free(struct cp_runtime_store *store)
{
	if (!store)
		return NULL;
	while (store->oldest < store->next)
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
	uint64_t number = store->next;

	if (fresh) {
		*fresh = *like;
		fresh->number = number;
		fresh->size = size;
		(void)protobuf_c_message_pack(message, fresh->bytes);
	}
	while (store->oldest < store->next &&
	       (store->n_bytes + size_of(fresh) > store->n_bytes_max ||
		store->next - store->oldest >= CP_RUNTIME_STORE_MAX))
		drop_oldest(store);
	store->events[number % CP_RUNTIME_STORE_MAX] = fresh;
	store->n_bytes += size_of(fresh);
	store->next++;
	return fresh ? 0 : -ENOMEM;
}

uint64_t cp_runtime_store_oldest(const struct cp_runtime_store *store)
{
	return store->oldest;
}

uint64_t cp_runtime_store_next(const struct cp_runtime_store *store)
{
	return store->next;
}

size_t cp_runtime_store_bytes(const struct cp_runtime_store *store)
{
	return store->n_bytes;
}

int cp_runtime_store_read(const struct cp_runtime_store *store,
			  uint64_t *number,
			  const struct cp_runtime_stored **ret,
			  uint64_t *n_lost)
{
	const struct cp_runtime_stored *event;

	if (*number < store->oldest) {
		*n_lost = store->oldest - *number;
		*number = store->oldest;
		return CP_RUNTIME_STORE_E_LOST;
	}
	if (*number >= store->next)
		return CP_RUNTIME_STORE_E_END;
	event = store->events[(*number)++ % CP_RUNTIME_STORE_MAX];
	if (!event) {
		*n_lost = 1;
		return CP_RUNTIME_STORE_E_LOST;
	}
	*ret = event;
	return 0;
}
