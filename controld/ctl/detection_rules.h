/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Detection rules of the daemon: the command rules with list and
 * reload. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_detection_rules_list(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_detection_rules_reload(struct cp_ctl_session *session);
