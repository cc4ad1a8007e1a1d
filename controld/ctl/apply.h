/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The command apply, and policies on their way to the daemon: in one message
 * or, when they are larger, as a stream of parts. */

#include <stdbool.h>

#include "controld/ctl/session.h"

enum {
	/* Larger requests go as a stream; a message may have 4 MiB. */
	CP_CTL_APPLY_UNARY_MAX_BYTES = 3 << 20,
	CP_CTL_APPLY_PART_BYTES = 1 << 20, /* of rules in one part */
	CP_CTL_APPLY_TIMEOUT_MS = 600000, /* of a whole stream */
};

enum cp_ctl_exit cp_ctl_apply_file(struct cp_ctl_session *session);

/* Reads a policy file; tells what is wrong with its line. */
enum cp_ctl_exit cp_ctl_apply_load(struct cp_ctl_session *session,
				   const char *path,
				   Sentinel__V1__Policy **ret);

/* *ret is an ApplyStreamResponse. */
enum cp_ctl_exit cp_ctl_apply_stream(struct cp_ctl_session *session, char *id,
				     Sentinel__V1__Policy *policy, bool dry_run,
				     ProtobufCMessage **ret);
