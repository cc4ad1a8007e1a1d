/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Runtime events' own data, for controld/runtime only. */

#include "controld/attach/guest.h"
#include "controld/runtime/clock.h"
#include "controld/runtime/files.h"
#include "controld/runtime/mounts.h"
#include "controld/runtime/owners.h"
#include "controld/runtime/processes.h"
#include "controld/runtime/redact.h"
#include "controld/runtime/runtime.h"
#include "controld/runtime/sets.h"

enum { CP_RUNTIME_PROCESSES_MAX = 65536, CP_RUNTIME_ERROR_BYTES = 1024 };

struct cp_runtime_reader;

struct cp_runtime {
	struct cp_runtime_options options;
	struct cp_attach_guest guest;
	struct cp_runtime_host *host;
	struct cp_runtime_reader *reader; /* NULL: there is no ring */
	uint64_t before_ring; /* what was read of those before it, bytes */
	uv_timer_t tick;
	uv_timer_t window;
	uv_poll_t mounts_poll;
	int mounts_fd;
	unsigned int n_handles; /* that are not closed */
	bool is_ended; /* nothing is read any more */
	bool is_closing;
	void (*closed)(void *userdata);
	void *closed_userdata;

	struct cp_runtime_set *wanted; /* NULL: nothing */
	struct cp_runtime_sets sets;
	/* Why rules could not be made, which is tried again; "": they were. */
	char error[CP_RUNTIME_ERROR_BYTES];

	struct cp_runtime_mounts *mounts;
	struct cp_runtime_processes *processes;
	struct cp_runtime_files *files;
	struct cp_runtime_owners *owners;
	struct cp_runtime_clock clock;
	struct cp_runtime_redact *redact;
	struct cp_runtime_ledger *ledger;
	bool is_ledger_read;
	struct cp_runtime_store *store;
	struct cp_runtime_output *output; /* NULL: none */
	uint64_t run;
	uint64_t boot; /* of the host's boot */
	uint64_t n_told;

	LIST_HEAD(, cp_runtime_observer) observers;
	unsigned int n_observers;
	uint64_t n_observed; /* ever */
	LIST_HEAD(, cp_runtime_watcher) watchers;
	struct cp_runtime_watcher *next_watcher; /* while they are woken */
	unsigned int n_watchers;
	uint64_t n_missed;
	uint64_t n_malformed;
	struct cp_runtime_counts counts;
	int64_t lines_second;
	uint32_t n_lines; /* in that second */
	uint64_t n_unlogged;
};
