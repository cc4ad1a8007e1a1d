/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Commands about attachments: attach, detach, list, show. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_attachments_attach(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_attachments_detach(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_attachments_list(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_attachments_show(struct cp_ctl_session *session);
