/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How sentinelctl waits for its supervisor and for the command: signals that
 * somebody sends to it go on to the command; those of the terminal reach the
 * command by themselves, because it is in the same process group. */

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "controld/ctl/session.h"

struct cp_ctl_run_wait {
	sigset_t before; /* mask of the process */
	int signals; /* signalfd */
	int channel;
	pid_t supervisor;
	pid_t child; /* 0: there is none */
	bool was_started; /* the command */
	bool is_over; /* the supervisor has gone */
	bool is_lost; /* and did not say so */
};

/* From now on signals wait to be read. 0 or -errno. */
int cp_ctl_run_wait_begin(struct cp_ctl_run_wait *run);
void cp_ctl_run_wait_end(struct cp_ctl_run_wait *run);

/* Until the policy is enforced. 0, or what to exit with; that was told. */
int cp_ctl_run_wait_ready(struct cp_ctl_run_wait *run,
			  struct cp_ctl_session *session);

/* Until the command has ended. What to exit with. */
int cp_ctl_run_wait_child(struct cp_ctl_run_wait *run,
			  struct cp_ctl_session *session);
