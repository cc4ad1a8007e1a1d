/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/item.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "controld/attach/learn.h"
#include "controld/attach/remote.h"
#include "controld/policy/compile.h"

static void format_id(const uint8_t id[SN_ID_BYTES],
		      char text[CP_ATTACH_ID_CHARS + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SN_ID_BYTES; i++) {
		text[2 * i] = digits[id[i] >> 4];
		text[2 * i + 1] = digits[id[i] & 15];
	}
	text[CP_ATTACH_ID_CHARS] = '\0';
}

int cp_attach_item_new(struct cp_attach_item **ret, struct cp_attach *manager,
		       const uint8_t id[SN_ID_BYTES], enum sn_target_type type,
		       const char *target)
{
	sn_cleanup(cp_attach_item_freep) struct cp_attach_item *item = NULL;

	item = calloc(1, sizeof(*item));
	if (!item)
		return -ENOMEM;
	item->manager = manager;
	memcpy(item->id, id, SN_ID_BYTES);
	format_id(id, item->id_text);
	item->type = type;
	item->position = -1;
	TAILQ_INIT(&item->ops);
	TAILQ_INIT(&item->learns);
	TAILQ_INIT(&item->asking);
	if (cp_dns_learnt_new(&item->learnt, &manager->options.learnt) < 0)
		return -ENOMEM;
	item->target = strdup(target);
	if (!item->target)
		return -ENOMEM;
	*ret = sn_steal(&item);
	return 0;
}

static void free_metadata(struct cp_attach_item *item)
{
	for (size_t i = 0; i < item->n_metadata; i++) {
		free(item->metadata[i].key);
		free(item->metadata[i].value);
	}
	free(item->metadata);
	item->metadata = NULL;
	item->n_metadata = 0;
}

struct cp_attach_item *cp_attach_item_free(struct cp_attach_item *item)
{
	if (!item)
		return NULL;
	free_metadata(item);
	free(item->target);
	cp_policy_free(item->policy);
	cp_dns_learnt_free(item->learnt);
	cp_dns_learnt_free(item->adopted);
	cp_state_blob_free(item->names);
	free(item);
	return NULL;
}

int cp_attach_item_put_metadata(struct cp_attach_item *item,
				const struct cp_attach_pair *pairs, size_t n)
{
	free_metadata(item);
	if (n == 0)
		return 0;
	item->metadata = calloc(n, sizeof(*item->metadata));
	if (!item->metadata)
		return -ENOMEM;
	for (; item->n_metadata < n; item->n_metadata++) {
		struct cp_attach_pair *pair = &item->metadata[item->n_metadata];

		pair->key = strdup(pairs[item->n_metadata].key);
		pair->value = strdup(pairs[item->n_metadata].value);
		if (!pair->key || !pair->value) {
			free(pair->key);
			free(pair->value);
			return -ENOMEM;
		}
	}
	return 0;
}

/* The index of the first item whose id is not below `id_text`. */
static size_t lower_bound(const struct cp_attach *manager, const char *id_text)
{
	size_t low = 0, high = manager->n_items;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(manager->items[middle]->id_text, id_text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t cp_attach_item_index_after(const struct cp_attach *manager,
				  const char *id_text)
{
	size_t at = lower_bound(manager, id_text);

	if (at < manager->n_items &&
	    strcmp(manager->items[at]->id_text, id_text) == 0)
		at++;
	return at;
}

int cp_attach_item_add(struct cp_attach_item *item)
{
	struct cp_attach *manager = item->manager;
	size_t at = lower_bound(manager, item->id_text);

	if (at < manager->n_items &&
	    strcmp(manager->items[at]->id_text, item->id_text) == 0)
		return -EEXIST;
	if (manager->n_items == manager->items_size) {
		size_t size = SN_MAX(2 * manager->items_size, (size_t)16);
		struct cp_attach_item **items;

		items = reallocarray(manager->items, size, sizeof(*items));
		if (!items)
			return -ENOMEM;
		manager->items = items;
		manager->items_size = size;
	}
	memmove(&manager->items[at + 1], &manager->items[at],
		(manager->n_items - at) * sizeof(*manager->items));
	manager->items[at] = item;
	manager->n_items++;
	return 0;
}

void cp_attach_item_drop(struct cp_attach_item *item)
{
	struct cp_attach *manager = item->manager;
	size_t at = lower_bound(manager, item->id_text);

	if (!item->is_new && !manager->is_closing)
		cp_attach_observe_ended(item);
	cp_attach_remote_ended(item);
	cp_attach_learn_cancel(item);
	if (at < manager->n_items && manager->items[at] == item) {
		manager->n_items--;
		memmove(&manager->items[at], &manager->items[at + 1],
			(manager->n_items - at) * sizeof(*manager->items));
	}
	if (item->is_in_ready)
		TAILQ_REMOVE(&manager->ready, item, ready);
	if (manager->watch)
		cp_target_watch_remove(manager->watch, item);
	cp_attach_item_put_slot(item, 0);
	cp_attach_item_free(item);
}

struct cp_attach_item *cp_attach_item_find(const struct cp_attach *manager,
					   const char *id_text)
{
	size_t at = lower_bound(manager, id_text);

	if (at < manager->n_items &&
	    strcmp(manager->items[at]->id_text, id_text) == 0)
		return manager->items[at];
	return NULL;
}

struct cp_attach_item *cp_attach_item_find_id(const struct cp_attach *manager,
					      const uint8_t id[SN_ID_BYTES])
{
	char text[CP_ATTACH_ID_CHARS + 1];

	format_id(id, text);
	return cp_attach_item_find(manager, text);
}

struct cp_attach_item *
cp_attach_item_find_target(const struct cp_attach *manager,
			   const struct cp_attach_item *item)
{
	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_attach_item *other = manager->items[i];

		if (other != item && other->type == item->type &&
		    other->object == item->object && !other->is_waiting &&
		    !other->is_gone)
			return other;
	}
	return NULL;
}

struct cp_attach_item *cp_attach_item_by_slot(const struct cp_attach *manager,
					      uint32_t slot)
{
	if (!manager->by_slot || slot == 0 || slot >= manager->hello.n_slots)
		return NULL;
	return manager->by_slot[slot];
}

void cp_attach_item_put_slot(struct cp_attach_item *item, uint32_t slot)
{
	struct cp_attach *manager = item->manager;

	if (cp_attach_item_by_slot(manager, item->slot) == item)
		manager->by_slot[item->slot] = NULL;
	item->slot = slot;
	if (manager->by_slot && slot > 0 && slot < manager->hello.n_slots)
		manager->by_slot[slot] = item;
}

void cp_attach_item_handle_closed(struct cp_attach *manager)
{
	void (*closed)(void *userdata) = manager->closed;
	void *userdata = manager->closed_userdata;

	manager->n_handles--;
	if (manager->n_handles > 0 || !manager->is_done)
		return;
	free(manager);
	if (closed)
		closed(userdata);
}

bool cp_attach_item_is_lost(const struct cp_attach_item *item)
{
	struct stat st;

	if (item->position != SN_IPC_POSITION_GONE)
		return false;
	if (item->type != SN_TARGET_CGROUP)
		return item->manager->hello.tcx;
	return stat(item->target, &st) < 0 || st.st_ino != item->object;
}

bool cp_attach_item_has_rows(const struct sn_policy *block)
{
	return block->mode != SN_MODE_BLOCK_ALL;
}

void cp_attach_item_compile_block(const struct cp_attach_item *item,
				  const struct cp_policy *policy,
				  uint32_t generation,
				  const struct sn_policy *reserve,
				  struct sn_policy *ret)
{
	cp_policy_compile_block(policy, generation, reserve, ret);
	if (item->role == SN_ROLE_HOST)
		ret->dns = SN_DNS_STEERING_OFF;
}

size_t cp_attach_item_count_prefixes(const struct cp_attach_item *item)
{
	size_t n = 0;

	for (unsigned int length = 0; length <= 128; length++) {
		uint8_t bits = (uint8_t)length;

		n += cp_policy_count_length(item->policy, SN_FAMILY_IPV6, bits);
		if (length <= 32)
			n += cp_policy_count_length(item->policy,
						    SN_FAMILY_IPV4, bits);
	}
	return n;
}

uint64_t cp_attach_item_now(const struct cp_attach *manager)
{
	struct timespec now;

	if (manager->options.now_ns)
		return manager->options.now_ns();
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t cp_attach_item_wall_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}
