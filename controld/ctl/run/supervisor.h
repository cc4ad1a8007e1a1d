/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The process that minds a run: it holds the lease, and when the command or
 * sentinelctl has ended, however that was, it kills what is left in the cgroup
 * and removes it. In a session of its own, deaf to what the terminal sends. */

#include <sys/types.h>

#include "controld/ctl/run/group.h"
#include "controld/ctl/session.h"

/* Forks, before this process has used gRPC. *channel is our end (channel.h):
 * closing it ends the run. 0 or -errno. */
int cp_ctl_run_supervisor_start(const struct cp_ctl_session *session,
				const struct cp_ctl_run_group *group,
				Sentinel__V1__Policy *policy, char *command,
				pid_t *pid, int *channel);
