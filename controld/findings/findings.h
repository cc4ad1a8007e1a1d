/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Findings: what rules and detectors say of runtime events, with the event and
 * the processes that led to it, in one bounded store for readers. Each rule and
 * each detector has a rate; what is over it is counted, and told once a second
 * where it is missing. All on the loop's thread. */

#include <sys/queue.h>
#include <uv.h>

#include "controld/config/config.h"
#include "controld/findings/sources.h"
#include "controld/runtime/runtime.h"
#include "controld/runtime/store.h"

enum {
	CP_FINDINGS_TEXT_MAX = 4096, /* bytes; the rest is cut off */
	CP_FINDINGS_LINES_PER_S = 100, /* in the log */
};

struct cp_findings;

/* "critical" and so on. */
const char *cp_findings_name_severity(Sentinel__V1__Severity severity);

struct cp_findings_options {
	uv_loop_t *loop;
	struct cp_runtime *runtime; /* knows processes; NULL: nobody does */
	const struct cp_config_detection *config; /* in the call */
	bool logs_names; /* with what processes called and were called */
};

int cp_findings_new(struct cp_findings **ret,
		    const struct cp_findings_options *options);
/* Calls closed from the loop. Watchers have gone before. */
void cp_findings_close(struct cp_findings *findings,
		       void (*closed)(void *userdata), void *userdata);
void cp_findings_reload(struct cp_findings *findings,
			const struct cp_config_detection *config,
			bool logs_names);

/* What is found; all of it is the caller's and used in the call only. */
struct cp_findings_report {
	enum cp_findings_kind kind;
	const char *name; /* of the rule or the detector */
	Sentinel__V1__Severity severity;
	const char *text; /* bytes that are not UTF-8 are replaced */
	char *const *tags; /* UTF-8 */
	size_t n_tags;
	double score;
	uint64_t count; /* events that it stands for */
	/* Unix time in ns; 0: that of the event, without one now. */
	int64_t time_ns;
	const Sentinel__V1__RuntimeEvent *event; /* NULL: not held any more */
};

/* Keeps it, or counts what becomes of it instead. Readers are woken from the
 * loop. */
void cp_findings_put(struct cp_findings *findings,
		     const struct cp_findings_report *report);

/* Of packed Sentinel__V1__Finding. */
const struct cp_runtime_store *
cp_findings_get_store(const struct cp_findings *findings);
/* Random, of this run: a number of another run means nothing. */
uint64_t cp_findings_get_run(const struct cp_findings *findings);
struct cp_findings_sources *
cp_findings_get_sources(const struct cp_findings *findings);
/* One that finds nothing any more; what it left out is told now. */
void cp_findings_drop(struct cp_findings *findings,
		      struct cp_findings_source *source);

struct cp_findings_stats {
	uint64_t n_found;
	uint64_t n_limited;
	uint64_t n_lost; /* no memory */
	uint64_t n_missed; /* told by cp_findings_count_missed() */
	uint64_t n_unlogged; /* over LINES_PER_S */
	unsigned int n_watchers;
	size_t n_held; /* in the store, and their bytes */
	size_t n_held_bytes;
};
void cp_findings_get_stats(const struct cp_findings *findings,
			   struct cp_findings_stats *ret);

/* Embedded in what follows the store. */
struct cp_findings_watcher {
	LIST_ENTRY(cp_findings_watcher) link;
	/* After new findings; may remove the watcher. */
	void (*woken)(struct cp_findings_watcher *watcher);
};
void cp_findings_watch(struct cp_findings *findings,
		       struct cp_findings_watcher *watcher);
void cp_findings_unwatch(struct cp_findings *findings,
			 struct cp_findings_watcher *watcher);

/* Embedded in what takes each finding when it is made; gaps are none. */
struct cp_findings_listener {
	LIST_ENTRY(cp_findings_listener) link;
	/* finding: good in the call. */
	void (*found)(struct cp_findings_listener *listener,
		      const Sentinel__V1__Finding *finding);
};
void cp_findings_listen(struct cp_findings *findings,
			struct cp_findings_listener *listener);
void cp_findings_unlisten(struct cp_findings_listener *listener);
void cp_findings_count_missed(struct cp_findings *findings, uint64_t n);
