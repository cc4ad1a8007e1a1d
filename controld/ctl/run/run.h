/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl run: a command in a cgroup of its own, under a policy of its
 * own. Three processes: this one starts the command and waits for it, the
 * supervisor (supervisor.h) minds what has to be undone, and the command. If
 * any of them is killed, the others end what is left. */

#include "controld/ctl/session.h"

/* Exits as the command does, with 128 + n if signal n ended it. */
enum cp_ctl_exit cp_ctl_run_command(struct cp_ctl_session *session);
