/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the host's counters were at times of the last hour, so that who begins to
 * look sees where things come from. In memory only. Sums of all slots are made
 * a few at a time, between which the loop goes on. */

#include <uv.h>

struct cp_attach;
struct cp_dns_server;
struct cp_history;

enum {
	CP_HISTORY_INTERVAL_MS = 10000,
	CP_HISTORY_SAMPLES_MAX = 360,
};

/* Counters, which only rise; packets and calls since the kernel's tables were
 * made, names since the start. */
struct cp_history_sample {
	int64_t time_ms; /* Unix time */
	uint64_t n_allowed; /* packets */
	uint64_t n_blocked; /* and calls that were refused */
	uint64_t n_names_allowed;
	uint64_t n_names_blocked;
	uint64_t n_names_failed;
};

struct cp_history_options {
	uv_loop_t *loop;
	const struct cp_attach *manager;
	const struct cp_dns_server *dns; /* NULL: no names are counted */
	uint64_t interval_ms; /* 0: CP_HISTORY_INTERVAL_MS */
};

int cp_history_new(struct cp_history **ret,
		   const struct cp_history_options *options);
/* Before manager and dns are closed. Then calls closed from the loop. */
void cp_history_close(struct cp_history *history,
		      void (*closed)(void *userdata), void *userdata);

/* Oldest first; index below the count. None is made while sentinel-dp has not
 * been met. */
size_t cp_history_count(const struct cp_history *history);
const struct cp_history_sample *cp_history_get(const struct cp_history *history,
					       size_t index);
