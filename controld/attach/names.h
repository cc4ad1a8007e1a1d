/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* learnt.pb: which names have opened which addresses, so that they are known
 * after a restart, and the queries that were counted. In the format of the
 * state file, one message Learnt (proto/sentinel/state/v1/state.proto) an
 * attachment; written on a worker, every ten seconds if something changed and
 * when the manager closes, without a sync of its own for each change: what is
 * lost costs names, never verdicts. */

#include "controld/attach/item.h"
#include "controld/state/record.h"

enum {
	CP_ATTACH_NAMES_INTERVAL_MS = 10000,
	/* Of the file. What does not fit is left out, which is told once. */
	CP_ATTACH_NAMES_BYTES_MAX = 256 << 20,
	/* The longest floor, and the longest grace that can be configured:
	 * whatever the file says, nothing lives longer. */
	CP_ATTACH_NAMES_LIFE_MAX_S = CP_DNS_RULES_FLOOR_MAX_S + 3600,
};

/* Reads the file (blocking; before the link is made) into the items and starts
 * the timer. A file that is broken is told and left behind. -ENOMEM, or an
 * error of the loop. */
int cp_attach_names_start(struct cp_attach *manager);
/* The manager closes: the last write begins, a task of the manager's; then no
 * task is left, and the timer is closed, a handle of the manager's. */
void cp_attach_names_stop(struct cp_attach *manager);
void cp_attach_names_close(struct cp_attach *manager);

struct cp_attach_names_stats {
	uint64_t n_writes; /* that ended well */
	uint64_t n_failed;
};
void cp_attach_names_get_stats(const struct cp_attach *manager,
			       struct cp_attach_names_stats *ret);

/* For tests. take: one record of the file, into the set of its attachment. What
 * its policy does not let names open is left out, and what is over a quota.
 * -EBADMSG: it is broken, and was taken up to there; -ENOMEM. write: one round,
 * as the timer makes it. */
int cp_attach_names_take(struct cp_attach *manager,
			 const struct cp_state_record *record);
void cp_attach_names_write(struct cp_attach *manager);
