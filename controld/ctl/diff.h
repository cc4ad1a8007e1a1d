/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl diff: what another policy would change for the traffic seen. */

#include "controld/ctl/judge.h"
#include "controld/ctl/session.h"
#include "sentinel/v1/daemon.pb-c.h"

enum cp_ctl_exit cp_ctl_diff_show(struct cp_ctl_session *session);

/* A row of GetSeen as something to judge. False: no rule can have its name or
 * address. */
struct cp_ctl_diff_storage {
	struct cp_dns_name name;
	struct cp_dns_address address;
};
bool cp_ctl_diff_read(const Sentinel__V1__Seen *seen,
		      struct cp_ctl_diff_storage *storage,
		      struct cp_ctl_judge_destination *ret);
