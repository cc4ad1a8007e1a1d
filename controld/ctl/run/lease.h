/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The lease stream, held by a thread of its own: it attaches, and when
 * sentinel-cp goes away and comes back, it takes the attachment over. */

#include <pthread.h>

#include "controld/ctl/session.h"

enum cp_ctl_run_lease_state {
	CP_CTL_RUN_LEASE_NONE, /* it is being made */
	CP_CTL_RUN_LEASE_HELD, /* the policy is enforced */
	/* It was not made, or the attachment has ended: `status` says why, or
	 * `error`. */
	CP_CTL_RUN_LEASE_ENDED,
};

struct cp_ctl_run_lease {
	const char *socket;
	Sentinel__V1__Policy *policy; /* NULL: closed */
	char *cgroup_path;
	char *command; /* kept as metadata */
	int told; /* one byte is written when the state changes */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	enum cp_ctl_run_lease_state state;
	char id[CP_CTL_SESSION_ID_BYTES];
	struct cp_rpc_status status;
	int error; /* -errno */
};

/* The first five fields are set before, and stay as long as the process does:
 * the thread is never joined. 0 or -errno. */
int cp_ctl_run_lease_start(struct cp_ctl_run_lease *lease);

enum cp_ctl_run_lease_state
cp_ctl_run_lease_get(struct cp_ctl_run_lease *lease);
