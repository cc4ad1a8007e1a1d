/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl trace. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_trace_show(struct cp_ctl_session *session);
