/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The cgroup of one run: made below the cgroup that sentinelctl itself is in,
 * or the nearest one above where that is allowed (all of them for root, the
 * delegated ones for a user), so that whoever ends the surroundings ends the
 * run as well. What is to run as another user is kept above all that is
 * delegated: who may write a cgroup may move processes from one below it to
 * another. Its name tells who made it, so that a later run can remove what
 * one left whose processes were all killed. */

#include <limits.h>
#include <stdbool.h>

#include "shared/diag.h"

struct cp_ctl_run_group {
	char path[PATH_MAX];
	int fd; /* of the directory */
};

/* Answers besides 0. */
enum {
	CP_CTL_RUN_GROUP_E_REFUSED = 1, /* diag->text says why */
};

/* is_for_other: the command will be another user's. */
int cp_ctl_run_group_make(struct cp_ctl_run_group *ret, bool is_for_other,
			  struct sn_diag *diag);

/* Moves the calling process. 0 or -errno. */
int cp_ctl_run_group_enter(const struct cp_ctl_run_group *group);

/* Kills every process in it and waits until they are gone, 10 s at most. The
 * number of those that were there (as far as it can be told), or -errno. */
int cp_ctl_run_group_kill(const struct cp_ctl_run_group *group);

/* Removes it and what was made below it. 0 or -errno. */
int cp_ctl_run_group_remove(const struct cp_ctl_run_group *group);
