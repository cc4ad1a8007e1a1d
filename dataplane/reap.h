/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sweeps what detached slots have left in every table, in bounded steps
 * between requests, and frees them. A walk begins a moment after the first of
 * its slots became dirty: it takes a grace period in which no request is
 * answered, and one is enough for many. */

#include "dataplane/object.h"
#include "dataplane/slots.h"
#include "shared/ipc.h"

struct dp_reap {
	const struct dp_object *object;
	struct dp_slots *slots;
	bool *walked; /* slots that the present walk sweeps */
	bool walking;
	bool stalled; /* a map failed; tried again at the next detach */
	uint64_t due; /* when the next walk begins */
	uint64_t not_before;
	uint32_t table;
	uint8_t cursor[SN_IPC_CURSOR_BYTES];
};

/* 0 or -ENOMEM. */
int dp_reap_init(struct dp_reap *reap, const struct dp_object *object,
		 struct dp_slots *slots);
void dp_reap_done(struct dp_reap *reap);

/* A slot has become dirty. */
void dp_reap_wake(struct dp_reap *reap);
/* For poll(2): -1: nothing to do, 0: a step is due, else wait that long. */
int dp_reap_get_timeout_ms(const struct dp_reap *reap);
/* One step of at most DP_TABLE_STEP entries. */
void dp_reap_step(struct dp_reap *reap);
/* Steps until a slot is free or nothing can be done. */
void dp_reap_finish(struct dp_reap *reap);
/* Steps until nothing of detached slots is in the tables, or nothing can be
 * done. */
void dp_reap_finish_all(struct dp_reap *reap);
