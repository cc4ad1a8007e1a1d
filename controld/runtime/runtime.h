/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Runtime events: what the configuration and readers want is put into the
 * kernel, and what the kernel tells comes into one bounded store, for readers,
 * the file and the journal. What is missing is counted and told. All on the
 * loop's thread. */

#include <sys/queue.h>
#include <uv.h>

#include "controld/attach/attach.h"
#include "controld/config/config.h"
#include "controld/runtime/host.h"
#include "controld/runtime/ledger.h"
#include "controld/runtime/output.h"
#include "controld/runtime/store.h"
#include "sentinel/v1/runtime.pb-c.h"

struct cp_runtime;

/* config: until the next reload or the end. */
struct cp_runtime_options {
	uv_loop_t *loop;
	struct cp_attach *manager;
	const struct cp_config_runtime *config;
};

int cp_runtime_new(struct cp_runtime **ret,
		   const struct cp_runtime_options *options);
/* Calls closed from the loop. What the kernel does stays as it is. */
void cp_runtime_close(struct cp_runtime *runtime,
		      void (*closed)(void *userdata), void *userdata);
void cp_runtime_reload(struct cp_runtime *runtime,
		       const struct cp_config_runtime *config);

const struct cp_runtime_store *
cp_runtime_get_store(const struct cp_runtime *runtime);
/* Random, of this run: a number of another run means nothing. */
uint64_t cp_runtime_get_run(const struct cp_runtime *runtime);

/* By enum sn_rt_event. */
struct cp_runtime_counts {
	uint64_t received[SN_RT_EVENT_SLOTS];
	uint64_t filtered[SN_RT_EVENT_SLOTS]; /* no rule wants it after all */
	uint64_t lost[SN_RT_EVENT_SLOTS]; /* no memory */
};

struct cp_runtime_status {
	bool is_enabled;
	enum cp_runtime_host_state state;
	const char *error; /* why REFUSED; else "" */
	uint32_t generation;
	size_t n_rules; /* enabled ones of the configuration */
	unsigned int n_watchers;
	uint64_t n_missed; /* events that watchers missed, of all */
	uint64_t n_malformed; /* records that are none */
	size_t n_processes; /* known ones */
	size_t n_held; /* events in the store, and their bytes */
	size_t n_held_bytes;
	uint64_t n_recorded; /* into the store since the start */
	uint64_t n_unlogged; /* over the journal's rate */
	bool is_counted; /* the ledger was read at least once */
	struct cp_runtime_ledger_counts ledger;
	const struct cp_runtime_counts *counts;
	struct cp_runtime_output_stats output;
};
void cp_runtime_get_status(const struct cp_runtime *runtime,
			   struct cp_runtime_status *ret);

/* Embedded in what follows the store. */
struct cp_runtime_watcher {
	LIST_ENTRY(cp_runtime_watcher) link;
	/* From the loop, after new events and when is_in_force or what
	 * cp_runtime_why_waiting() says may have changed; may remove the
	 * watcher. */
	void (*woken)(struct cp_runtime_watcher *watcher);
	/* From the loop: its rule was refused, or there are no events any more;
	 * removes the watcher. */
	void (*refused)(struct cp_runtime_watcher *watcher, const char *why);
	/* One rule, in the kernel's tables for as long as it watches; NULL: what
	 * the configuration wants. */
	const struct cp_runtime_rules *filter;
	bool is_in_force;
};

#define CP_RUNTIME_OFF                                                 \
	"there are no runtime events: they need runtime.enabled, and " \
	"sentinel-dp with --runtime"

/* Answers besides 0 and -errno: of cp_runtime_watch() OFF and REFUSED, of those of
 * observers FULL. */
enum {
	CP_RUNTIME_E_OFF = 1, /* not enabled, or not by sentinel-dp */
	CP_RUNTIME_E_REFUSED, /* *diag says why */
	CP_RUNTIME_E_FULL, /* too many rules or observers, or refused ones */
};
/* Its rule may still be refused by the kernel (refused()). */
int cp_runtime_watch(struct cp_runtime *runtime,
		     struct cp_runtime_watcher *watcher, struct sn_diag *diag);
/* Why what it watches is not in force; "": it is, or is about to be. */
const char *cp_runtime_why_waiting(const struct cp_runtime *runtime,
				   const struct cp_runtime_watcher *watcher);
void cp_runtime_unwatch(struct cp_runtime *runtime,
			struct cp_runtime_watcher *watcher);
void cp_runtime_count_missed(struct cp_runtime *runtime, uint64_t n);

/* Embedded in what takes events as they come and keeps its own account of them.
 * Its rules go into the kernel beside the configuration's; what only they match
 * is told to it, and not to readers without a filter, the file or the journal. */
struct cp_runtime_observer {
	LIST_ENTRY(cp_runtime_observer) link;
	uint64_t id; /* given by cp_runtime_observe() */
	/* Its own number for the rules that it puts, and for those by which the
	 * event that it is told was judged; the latter 0: by none of its. */
	uint64_t version;
	uint64_t told_version;
	/* Adds its rules, as they are now, to rules; cgroups get the ids that
	 * find says. 0, -errno, or an answer of controld/runtime/rules.h. */
	int (*put_wanted)(struct cp_runtime_observer *observer,
			  struct cp_runtime_rules *rules,
			  uint64_t (*find)(const char *cgroup));
	/* An event that one of its rules matches, or a gap or a step of the
	 * clock, which all are told. number: in this run.
	 * Everything is good in the call only. */
	void (*told)(struct cp_runtime_observer *observer,
		     const Sentinel__V1__RuntimeEvent *event, uint64_t number);
	/* What is in the kernel's ring was told, for now; may be NULL. */
	void (*batch_told)(struct cp_runtime_observer *observer);
	/* The host's state has changed; may be NULL. */
	void (*changed)(struct cp_runtime_observer *observer);
	/* The kernel is to keep the records from this position of its ring on,
	 * so that whoever reads it after a crash finds them, with the same
	 * uuids. Not more than a part of the ring: then nothing is read until
	 * less is held. */
	bool is_holding;
	uint64_t held_from;
};

/* 0, -errno, or CP_RUNTIME_E_FULL: it does not observe. The observer may have no
 * rules (yet). Ends with cp_runtime_unobserve(), before the runtime does. */
int cp_runtime_observe(struct cp_runtime *runtime,
		       struct cp_runtime_observer *observer);
void cp_runtime_unobserve(struct cp_runtime *runtime,
			  struct cp_runtime_observer *observer);
/* It wants others now. 0, -errno, or CP_RUNTIME_E_FULL: those of before stay in
 * force, and it has to want them again. */
int cp_runtime_observer_changed(struct cp_runtime *runtime);
/* Of its rules that the kernel has; 0: it has none. */
uint64_t cp_runtime_get_version(const struct cp_runtime *runtime,
				const struct cp_runtime_observer *observer);
/* And of those that sentinel-dp has just refused; 0: it did not. */
uint64_t
cp_runtime_get_refused_version(const struct cp_runtime *runtime,
			       const struct cp_runtime_observer *observer);
/* Of the event that is being told, for held_from. It rises, also when another
 * ring takes the place of this one. */
uint64_t cp_runtime_get_position(const struct cp_runtime *runtime);
/* An observer holds less than before. May tell more events. */
void cp_runtime_release(struct cp_runtime *runtime);
/* Tells what is in the ring, and nothing more: what comes then stays there for
 * the next run, and so do the rules, whoever ceases to observe. */
void cp_runtime_end(struct cp_runtime *runtime);
/* Has the kernel what is wanted now? And if not, is it on its way there? */
bool cp_runtime_is_in_force(const struct cp_runtime *runtime);
bool cp_runtime_is_changing(const struct cp_runtime *runtime);
/* Why sentinel-dp refused what is wanted; "": it did not. */
const char *cp_runtime_why_refused(const struct cp_runtime *runtime);
