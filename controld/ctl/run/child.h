/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The command of a run: in its cgroup from before its first instruction, with
 * no descriptor but the standard ones (a socket from before would be outside
 * of the policy), and as another user if that was wanted. */

#include <pwd.h>
#include <signal.h>

#include "controld/ctl/run/group.h"

enum {
	CP_CTL_RUN_CHILD_NOT_EXECUTABLE = 126,
	CP_CTL_RUN_CHILD_NOT_FOUND = 127,
	CP_CTL_RUN_CHILD_SIGNAL = 128, /* + number of the signal */
};

/* Answers of cp_ctl_run_child_start() besides 0 and -errno. */
enum {
	/* *status is what to exit with, diag->text says why. */
	CP_CTL_RUN_CHILD_E_STATUS = 1,
};

/* user: NULL keeps the present one. signals: the mask of the command. *pid is
 * a child to be waited for. */
int cp_ctl_run_child_start(const struct cp_ctl_run_group *group,
			   char *const *command, const struct passwd *user,
			   const sigset_t *signals, pid_t *pid, int *status,
			   struct sn_diag *diag);
