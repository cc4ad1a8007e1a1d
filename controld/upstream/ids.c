/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/ids.h"

#include <assert.h>
#include <stddef.h>

#include "shared/util.h"

void cp_upstream_ids_put(struct cp_upstream_ids *ids,
			 struct cp_upstream_random *random,
			 struct cp_upstream_id *id)
{
	assert(ids->n < CP_UPSTREAM_IDS_MAX);
	do {
		id->value = cp_upstream_random_u16(random);
	} while (cp_upstream_ids_get(ids, id->value));
	LIST_INSERT_HEAD(&ids->buckets[id->value % CP_UPSTREAM_IDS_BUCKETS], id,
			 link);
	ids->n++;
}

struct cp_upstream_id *cp_upstream_ids_get(const struct cp_upstream_ids *ids,
					   uint16_t value)
{
	struct cp_upstream_id *id;

	LIST_FOREACH(id, &ids->buckets[value % CP_UPSTREAM_IDS_BUCKETS], link)
		if (id->value == value)
			return id;
	return NULL;
}

struct cp_upstream_id *cp_upstream_ids_first(const struct cp_upstream_ids *ids)
{
	for (size_t i = 0; ids->n > 0 && i < CP_UPSTREAM_IDS_BUCKETS; i++)
		if (!LIST_EMPTY(&ids->buckets[i]))
			return LIST_FIRST(&ids->buckets[i]);
	return NULL;
}

void cp_upstream_ids_remove(struct cp_upstream_ids *ids,
			    struct cp_upstream_id *id, uint8_t n_awaited)
{
	uint32_t at = ids->n_late % CP_UPSTREAM_IDS_LATE;

	LIST_REMOVE(id, link);
	ids->n--;
	if (n_awaited == 0)
		return;
	ids->late[at].value = id->value;
	ids->late[at].n = n_awaited;
	ids->n_late++;
}

bool cp_upstream_ids_take_late(struct cp_upstream_ids *ids, uint16_t value)
{
	uint32_t n = SN_MIN(ids->n_late, (uint32_t)CP_UPSTREAM_IDS_LATE);

	for (uint32_t i = 0; i < n; i++) {
		if (ids->late[i].value == value && ids->late[i].n > 0) {
			ids->late[i].n--;
			return true;
		}
	}
	return false;
}
