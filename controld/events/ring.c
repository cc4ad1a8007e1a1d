/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/events/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cp_events_ring {
	size_t size;
	uint64_t next; /* number of the record that comes */
	struct cp_events_record records[]; /* at number % size */
};

int cp_events_ring_new(struct cp_events_ring **ret, size_t size)
{
	struct cp_events_ring *ring;

	assert(size > 0);
	ring = calloc(1, sizeof(*ring) + size * sizeof(ring->records[0]));
	if (!ring)
		return -ENOMEM;
	ring->size = size;
	ring->next = 1;
	*ret = ring;
	return 0;
}

struct cp_events_ring *cp_events_ring_free(struct cp_events_ring *ring)
{
	free(ring);
	return NULL;
}

void cp_events_ring_put(struct cp_events_ring *ring,
			const struct cp_events_record *record)
{
	struct cp_events_record *at = &ring->records[ring->next % ring->size];

	*at = *record;
	at->seq = ring->next++;
}

uint64_t cp_events_ring_oldest(const struct cp_events_ring *ring)
{
	return ring->next > ring->size ? ring->next - ring->size : 1;
}

uint64_t cp_events_ring_next(const struct cp_events_ring *ring)
{
	return ring->next;
}

static bool passes(const struct cp_events_filter *filter,
		   const struct cp_events_record *record)
{
	if (!filter)
		return true;
	if (filter->id[0] && strcmp(filter->id, record->id) != 0)
		return false;
	if (record->time_ms < filter->since_ms)
		return false;
	if (record->kind == CP_EVENTS_KIND_LOST)
		return true;
	if (filter->blocked_only && record->is_audited)
		return false;
	return !filter->kinds || (filter->kinds & (1U << record->kind));
}

int cp_events_ring_read(const struct cp_events_ring *ring,
			const struct cp_events_filter *filter, uint64_t *seq,
			const struct cp_events_record **ret, uint64_t *n_lost)
{
	uint64_t oldest = cp_events_ring_oldest(ring);

	if (*seq < oldest) {
		*n_lost = oldest - *seq;
		*seq = oldest;
		return CP_EVENTS_RING_E_LOST;
	}
	while (*seq < ring->next) {
		const struct cp_events_record *record =
			&ring->records[(*seq)++ % ring->size];

		if (!passes(filter, record))
			continue;
		*ret = record;
		return 0;
	}
	return CP_EVENTS_RING_E_END;
}
