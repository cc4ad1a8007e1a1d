/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl top: rates of the attachments, on a terminal or as text. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_top_run(struct cp_ctl_session *session);
