/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl events. */

#include "controld/ctl/session.h"
#include "sentinel/v1/event.pb-c.h"

enum cp_ctl_exit cp_ctl_events_show(struct cp_ctl_session *session);

enum {
	/* A name of escapes, an address, a port. */
	CP_CTL_EVENTS_END_BYTES = 1200,
};

/* "example.com (192.0.2.1) 443/tcp", or the name that was asked for. */
const char *cp_ctl_events_end(Sentinel__V1__Event *event,
			      char ret[CP_CTL_EVENTS_END_BYTES]);
