/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What was found: the command findings. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_findings_show(struct cp_ctl_session *session);
