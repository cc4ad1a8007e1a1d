/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The command status. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_status_show(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_status_features(struct cp_ctl_session *session);
