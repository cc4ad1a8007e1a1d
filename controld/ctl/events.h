/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl events. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_events_show(struct cp_ctl_session *session);
