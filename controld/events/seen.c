/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/events/seen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cp_events_seen {
	struct cp_events_seen_row *rows;
	size_t n;
	size_t size;
	uint64_t n_dropped;
};

int cp_events_seen_new(struct cp_events_seen **ret)
{
	struct cp_events_seen *seen = calloc(1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	*ret = seen;
	return 0;
}

struct cp_events_seen *cp_events_seen_free(struct cp_events_seen *seen)
{
	if (seen)
		free(seen->rows);
	free(seen);
	return NULL;
}

static bool is_destination(const struct cp_events_record *record)
{
	if (record->kind == CP_EVENTS_KIND_NAME)
		return record->name.size > 0;
	return record->kind == CP_EVENTS_KIND_FLOW && record->flow.family &&
	       record->flow.direction == SN_EGRESS;
}

/* Count and times are the caller's. */
static struct cp_events_seen_row make(const struct cp_events_record *record)
{
	struct cp_events_seen_row row = {
		.name = record->name,
		.is_audited = record->is_audited,
	};

	if (record->kind == CP_EVENTS_KIND_NAME)
		return row;
	row.address.family = record->flow.family;
	memcpy(row.address.bytes, record->flow.remote,
	       sizeof(row.address.bytes));
	row.protocol = record->flow.protocol;
	row.port = ntohs(record->flow.remote_port);
	row.reason = record->flow.reason;
	memcpy(row.comm, record->flow.comm, SN_COMM_BYTES);
	return row;
}

/* The packets of a call that was reported do not tell the process. */
static bool is_same_process(const struct cp_events_seen_row *a,
			    const struct cp_events_seen_row *b)
{
	return !a->comm[0] || !b->comm[0] || strcmp(a->comm, b->comm) == 0;
}

/* Addresses of one name are one destination. */
static bool is_same(const struct cp_events_seen_row *a,
		    const struct cp_events_seen_row *b)
{
	if (a->protocol != b->protocol || a->port != b->port ||
	    (a->address.family == 0) != (b->address.family == 0) ||
	    !is_same_process(a, b) || !cp_dns_name_is_equal(&a->name, &b->name))
		return false;
	return a->name.size > 0 || (a->address.family == b->address.family &&
				    memcmp(a->address.bytes, b->address.bytes,
					   sizeof(a->address.bytes)) == 0);
}

static int grow(struct cp_events_seen *seen)
{
	size_t size = seen->size ? 2 * seen->size : 8;
	struct cp_events_seen_row *rows;

	if (seen->n < seen->size)
		return 0;
	rows = realloc(seen->rows, size * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	seen->rows = rows;
	seen->size = size;
	return 0;
}

int cp_events_seen_put(struct cp_events_seen *seen,
		       const struct cp_events_record *record)
{
	struct cp_events_seen_row row, *old = NULL;
	int r;

	if (!is_destination(record))
		return 0;
	row = make(record);
	for (size_t i = 0; i < seen->n && !old; i++)
		old = is_same(&seen->rows[i], &row) ? &seen->rows[i] : NULL;
	row.first_ms = old ? old->first_ms : record->time_ms;
	row.last_ms = record->time_ms;
	row.count = old ? old->count + 1 : 1;
	if (old) {
		if (!row.comm[0])
			(void)memcpy(row.comm, old->comm, sizeof(row.comm));
		*old = row;
		return 0;
	}
	if (seen->n == CP_EVENTS_SEEN_MAX) {
		seen->n_dropped++;
		return 0;
	}
	r = grow(seen);
	if (r < 0)
		return r;
	seen->rows[seen->n++] = row;
	return 0;
}

size_t cp_events_seen_count(const struct cp_events_seen *seen)
{
	return seen->n;
}

uint64_t cp_events_seen_dropped(const struct cp_events_seen *seen)
{
	return seen->n_dropped;
}

const struct cp_events_seen_row *
cp_events_seen_get(const struct cp_events_seen *seen, size_t index)
{
	return &seen->rows[index];
}
