/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/table.h"

#include <stdlib.h>

static uint64_t cost(const struct cp_state_blob *blob)
{
	struct cp_state_record record = cp_state_blob_record(blob);

	return cp_state_record_bytes(&record);
}

/* Where key is or belongs. */
static size_t position(const struct cp_state_table *table, const char *key,
		       bool *found)
{
	size_t low = 0, high = table->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(table->entries[middle].blobs[0]->key, key);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = false;
	return low;
}

struct cp_state_entry *cp_state_table_find(const struct cp_state_table *table,
					   const char *key)
{
	bool found;
	size_t at = position(table, key, &found);

	return found ? &table->entries[at] : NULL;
}

/* Room for one more blob. */
static int grow_entry(struct cp_state_entry *entry)
{
	size_t capacity = entry->capacity * 2 + 1;
	struct cp_state_blob **blobs;

	if (entry->n_blobs < entry->capacity)
		return 0;
	blobs = realloc(entry->blobs,
			capacity * sizeof(struct cp_state_blob *));
	if (!blobs)
		return -ENOMEM;
	entry->blobs = blobs;
	entry->capacity = capacity;
	return 0;
}

static int grow_table(struct cp_state_table *table)
{
	size_t capacity = SN_MAX(table->capacity * 2, (size_t)64);
	struct cp_state_entry *entries;

	if (table->n < table->capacity)
		return 0;
	entries = realloc(table->entries, capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	table->entries = entries;
	table->capacity = capacity;
	return 0;
}

/* Leaves an entry without blobs. */
static void empty_entry(struct cp_state_table *table,
			struct cp_state_entry *entry)
{
	for (size_t i = 0; i < entry->n_blobs; i++) {
		table->bytes -= cost(entry->blobs[i]);
		cp_state_blob_free(entry->blobs[i]);
	}
	table->n_blobs -= entry->n_blobs;
	entry->n_blobs = 0;
	entry->appended_bytes = 0;
}

/* The entry has room. */
static void add_blob(struct cp_state_table *table, struct cp_state_entry *entry,
		     struct cp_state_blob *blob)
{
	entry->blobs[entry->n_blobs++] = cp_state_blob_share(blob);
	table->n_blobs++;
	table->bytes += cost(blob);
}

static int append(struct cp_state_table *table, struct cp_state_blob *blob)
{
	struct cp_state_entry *entry = cp_state_table_find(table, blob->key);
	int r;

	if (!entry)
		return -ENOENT;
	r = grow_entry(entry);
	if (r < 0)
		return r;
	add_blob(table, entry, blob);
	entry->appended_bytes += cost(blob);
	return 0;
}

static int put(struct cp_state_table *table, struct cp_state_blob *blob)
{
	struct cp_state_entry new = { 0 };
	bool found;
	size_t at = position(table, blob->key, &found);
	int r;

	if (found) {
		empty_entry(table, &table->entries[at]);
		add_blob(table, &table->entries[at], blob);
		return 0;
	}
	r = grow_table(table);
	if (r == 0)
		r = grow_entry(&new);
	if (r < 0)
		return r;
	(void)memmove(&table->entries[at + 1], &table->entries[at],
		      (table->n - at) * sizeof(*table->entries));
	table->n++;
	table->entries[at] = new;
	add_blob(table, &table->entries[at], blob);
	return 0;
}

void cp_state_table_del(struct cp_state_table *table, const char *key)
{
	bool found;
	size_t at = position(table, key, &found);

	if (!found)
		return;
	empty_entry(table, &table->entries[at]);
	free(table->entries[at].blobs);
	table->n--;
	(void)memmove(&table->entries[at], &table->entries[at + 1],
		      (table->n - at) * sizeof(*table->entries));
}

int cp_state_table_apply(struct cp_state_table *table,
			 struct cp_state_blob *blob)
{
	switch (blob->kind) {
	case CP_STATE_RECORD_PUT:
		return put(table, blob);
	case CP_STATE_RECORD_APPEND:
		return append(table, blob);
	case CP_STATE_RECORD_DEL:
		cp_state_table_del(table, blob->key);
		return 0;
	case CP_STATE_RECORD_KINDS:
		break;
	}
	return -EINVAL;
}

void cp_state_table_clear(struct cp_state_table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		empty_entry(table, &table->entries[i]);
		free(table->entries[i].blobs);
	}
	free(table->entries);
	*table = (struct cp_state_table){ 0 };
}
