/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an attachment wanted and the policy that it has, for learn and diff. */

#include "controld/ctl/session.h"
#include "controld/policy/policy.h"
#include "sentinel/v1/daemon.pb-c.h"

struct cp_ctl_wanted {
	char id[CP_CTL_SESSION_ID_BYTES];
	Sentinel__V1__GetSeenResponse *seen;
	ProtobufCMessage **pages; /* that rules and domains point into */
	size_t n_pages;
	Sentinel__V1__Rule **rules; /* in force; id and owner are taken out */
	size_t n_rules;
	Sentinel__V1__DomainRule **domains;
	size_t n_domains;
	uint64_t n_foreign; /* rules that are not local, left out of these */
	struct cp_policy *policy; /* settings and local rules as a model */
};

/* By the session's --since. What was fetched is freed with done, on failure
 * too; all zero is empty. */
enum cp_ctl_exit cp_ctl_wanted_fetch(struct cp_ctl_session *session,
				     const char *id, struct cp_ctl_wanted *ret);
void cp_ctl_wanted_done(struct cp_ctl_wanted *wanted);
