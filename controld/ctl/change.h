/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Single changes of one attachment: allow, deny, remove, mode and dns-mode. An
 * address or a prefix makes a CIDR rule, all else a domain rule. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_change_allow(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_change_deny(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_change_remove(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_change_mode(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_change_dns_mode(struct cp_ctl_session *session);
