/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What one attachment wanted and was not allowed: distinct destinations with
 * counts, from which a policy is made. Bounded: what has no room is counted.
 * Pure. */

#include <stddef.h>
#include <sys/queue.h>

#include "controld/dns/answer.h"
#include "controld/events/record.h"
#include "shared/util.h"

enum { CP_EVENTS_SEEN_MAX = 512 };

struct cp_events_seen_row {
	/* The destination. A name with protocol 0: it was asked for. */
	struct cp_dns_name name; /* size 0: none is known */
	struct cp_dns_address address; /* the last one; family 0: none */
	uint8_t protocol;
	uint16_t port; /* host order */
	char comm[SN_COMM_BYTES + 1]; /* "": not known */
	uint8_t reason; /* enum sn_reason, of the last one; names: 0 */
	bool is_audited; /* the last one passed */
	uint64_t count;
	int64_t first_ms; /* Unix time */
	int64_t last_ms;
};

struct cp_events_seen;

int cp_events_seen_new(struct cp_events_seen **ret);
struct cp_events_seen *cp_events_seen_free(struct cp_events_seen *seen);
SN_DEFINE_CLEANUP(struct cp_events_seen, cp_events_seen_free)

/* A flow of the workload, or a name; other records are passed over. -ENOMEM. */
int cp_events_seen_put(struct cp_events_seen *seen,
		       const struct cp_events_record *record);

size_t cp_events_seen_count(const struct cp_events_seen *seen);
/* Records that there was no room for. */
uint64_t cp_events_seen_dropped(const struct cp_events_seen *seen);
/* In the order in which they came first; index below the count. */
const struct cp_events_seen_row *
cp_events_seen_get(const struct cp_events_seen *seen, size_t index);
