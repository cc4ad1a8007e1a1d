/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What was blocked, by name and port: the daemon's events of one attachment,
 * each destination once. */

#include "controld/ctl/session.h"

/* Lines to session->out; none if nothing was blocked. */
enum cp_ctl_exit cp_ctl_run_blocked_print(struct cp_ctl_session *session,
					  char *id);
