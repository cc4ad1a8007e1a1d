/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From a record to the store, the file and the journal. */

#include "controld/runtime/internal.h"

struct cp_runtime_telling {
	const struct cp_runtime_record *record;
	const struct cp_runtime_process *process; /* NULL: not known */
	const struct cp_runtime_set *set;
	const struct sn_rt_bits *matched;
};

/* -ENOMEM: it is lost. */
int cp_runtime_tell_event(struct cp_runtime *runtime,
			  const struct cp_runtime_telling *telling);
/* event: enum sn_rt_event that is missing; n 0: nobody knows how many. */
void cp_runtime_tell_gap(struct cp_runtime *runtime, size_t event,
			 Sentinel__V1__RuntimeCut cause, uint64_t n);
void cp_runtime_tell_step(struct cp_runtime *runtime, int64_t step_ns);
/* Wakes the watchers. */
void cp_runtime_tell_all(struct cp_runtime *runtime);
