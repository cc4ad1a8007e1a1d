/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What sentinelctl and the supervisor of a run tell each other: records of a
 * kind and a text over a socket pair, whose end tells that the other is gone. */

#include <stddef.h>

enum {
	CP_CTL_RUN_CHANNEL_BYTES = 32768, /* of one text */
};

enum cp_ctl_run_channel_kind {
	CP_CTL_RUN_CHANNEL_NONE,
	/* From the supervisor: */
	CP_CTL_RUN_CHANNEL_READY, /* the policy is enforced; the id */
	CP_CTL_RUN_CHANNEL_ERROR, /* lines for the operator */
	CP_CTL_RUN_CHANNEL_REPORT, /* the same, at the end */
	CP_CTL_RUN_CHANNEL_END, /* all is done */
	/* To the supervisor: */
	CP_CTL_RUN_CHANNEL_DONE, /* the command has ended */
};

struct cp_ctl_run_channel_record {
	enum cp_ctl_run_channel_kind kind;
	char text[CP_CTL_RUN_CHANNEL_BYTES + 1];
};

/* Longer texts go as several records. 0 or -errno; blocks. */
int cp_ctl_run_channel_send(int fd, enum cp_ctl_run_channel_kind kind,
			    const char *text);

/* Kind NONE: the other end is gone. 0 or -errno; blocks. */
int cp_ctl_run_channel_receive(int fd, struct cp_ctl_run_channel_record *ret);
