/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What was blocked: records of the kernel's ring buffer and names that the
 * resolver denied, gathered in one bounded store, for readers that follow it
 * and for the journal; and per attachment what it wanted, for learning. Each
 * attachment has a rate, so that none crowds the others out; what is left out
 * is counted and told. All on the loop's thread. */

#include <sys/queue.h>

#include "controld/attach/attach.h"
#include "controld/events/ring.h"
#include "controld/events/seen.h"

struct cp_events;

enum {
	/* Lines in the log each second, of all attachments. */
	CP_EVENTS_LINES_PER_S = 100,
};

struct cp_events_options {
	struct cp_attach *manager;
	size_t n_records;
	uint32_t rate; /* records of one attachment each second */
	bool redact_names; /* names are not kept at all */
	bool logs; /* a line for each record */
	bool logs_names; /* with what workloads called and were called */
	/* Unix time in ms; NULL: the machine's. For tests. */
	int64_t (*wall_ms)(void);
};

struct cp_events_stats {
	uint64_t n_recorded;
	uint64_t n_limited;
	uint64_t n_missed; /* told by cp_events_count_missed() */
	uint32_t n_watchers;
	size_t n_held; /* in the ring */
	size_t n_held_max;
};

/* Observes the manager until it is freed. */
int cp_events_new(struct cp_events **ret,
		  const struct cp_events_options *options);
struct cp_events *cp_events_free(struct cp_events *events);
SN_DEFINE_CLEANUP(struct cp_events, cp_events_free)

/* Takes over everything but manager and n_records. */
void cp_events_reload(struct cp_events *events,
		      const struct cp_events_options *options);

const struct cp_events_ring *cp_events_get_ring(const struct cp_events *events);
/* Random, of this run: a number of another run means nothing. */
uint64_t cp_events_get_run(const struct cp_events *events);
void cp_events_get_stats(const struct cp_events *events,
			 struct cp_events_stats *ret);
int64_t cp_events_now_ms(const struct cp_events *events);

/* NULL: nothing was blocked. */
const struct cp_events_seen *cp_events_get_seen(const struct cp_events *events,
						const char *id);

/* Embedded in what follows the store. woken comes from the loop, after each
 * new record, and may remove the watcher. */
struct cp_events_watcher {
	LIST_ENTRY(cp_events_watcher) link;
	void (*woken)(struct cp_events_watcher *watcher);
};
void cp_events_watch(struct cp_events *events,
		     struct cp_events_watcher *watcher);
void cp_events_unwatch(struct cp_events *events,
		       struct cp_events_watcher *watcher);
void cp_events_count_missed(struct cp_events *events, uint64_t n);
