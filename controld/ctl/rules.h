/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What one attachment allows: the commands rules and learnt; rules is also what
 * controld/ctl/detection.h has. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_rules_run(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_rules_learnt(struct cp_ctl_session *session);
