/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Commands about the rules of one attachment: rules, allow, deny, remove and
 * mode. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_rules_list(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_rules_allow(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_rules_deny(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_rules_remove(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_rules_mode(struct cp_ctl_session *session);
