/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files of detection rules, without a daemon: the command rules with check and
 * test. */

#include "controld/ctl/session.h"

/* args[2]: the file. */
enum cp_ctl_exit cp_ctl_detection_check(struct cp_ctl_session *session);
/* args[3]: events, one JSON object a line as trace prints them; "expected" in it
 * is a list of the rules that it has to hit, and of no other. */
enum cp_ctl_exit cp_ctl_detection_test(struct cp_ctl_session *session);
