/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How many processes and threads a run may have at a time. The kernel refuses
 * more where the pids controller is on (pids.max); where it is not, they are
 * counted (not those in cgroups that the command makes itself), and a run that
 * has more is killed. The controller is not turned on here: that would change a
 * cgroup that is not ours, and leave runs in one that has processes without
 * domain controllers. */

#include <pthread.h>
#include <stdatomic.h>

#include "controld/ctl/run/group.h"
#include "controld/ctl/session.h"

struct cp_ctl_run_bound {
	struct cp_ctl_run_group group;
	uint64_t limit; /* 0: none */
	pthread_t thread;
	atomic_bool was_exceeded; /* and so the run was killed */
};

/* Answers besides 0 and -errno. */
enum {
	CP_CTL_RUN_BOUND_E_UNAVAILABLE = 1, /* there is no pids.max */
};

/* Leaves it to the kernel. */
int cp_ctl_run_bound_set(const struct cp_ctl_run_group *group, uint64_t limit);

/* False too if they cannot be counted: what is not known to be bounded is not
 * to go on. */
bool cp_ctl_run_bound_is_kept(const struct cp_ctl_run_group *group,
			      uint64_t limit);

/* Sets the limit or begins to count, in a thread that ends with the process.
 * The group is copied; its descriptor has to stay. 0 or -errno. */
int cp_ctl_run_bound_start(struct cp_ctl_run_bound *bound,
			   const struct cp_ctl_run_group *group,
			   uint64_t limit);

/* Forks that the kernel has refused. */
uint64_t cp_ctl_run_bound_count_refused(const struct cp_ctl_run_bound *bound);

/* A line to `errors` if the limit was reached. */
void cp_ctl_run_bound_tell(const struct cp_ctl_run_bound *bound,
			   struct cp_ctl_session *session);
