/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One run of sentinelctl: its options, where it writes, and its connection,
 * which is made with the first call. What goes wrong is told on `errors` where
 * it happens; callers only pass the exit status on. */

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "controld/ctl/options.h"
#include "controld/rpc/client.h"
#include "controld/rpc/status.h"

enum cp_ctl_exit {
	CP_CTL_EXIT_OK = 0,
	CP_CTL_EXIT_FAILED = 1, /* refused, or could not be done */
	CP_CTL_EXIT_USAGE = 2,
};

enum {
	CP_CTL_SESSION_ID_BYTES = 33, /* a whole id and NUL */
	CP_CTL_SESSION_PREFIX_MIN = 6, /* digits */
	CP_CTL_SESSION_TIMEOUT_MS = 60000, /* of a call */
};

struct cp_ctl_session {
	struct cp_ctl_options options;
	const char *name; /* of the command */
	FILE *out;
	FILE *errors;
	struct cp_rpc_client *client;
};

void cp_ctl_session_done(struct cp_ctl_session *session);

/* "sentinelctl: COMMAND: text" on errors. Returns `result`. */
enum cp_ctl_exit cp_ctl_session_fail(struct cp_ctl_session *session,
				     enum cp_ctl_exit result,
				     const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for a failure of the machine: r is -errno. */
enum cp_ctl_exit cp_ctl_session_fail_errno(struct cp_ctl_session *session,
					   const char *what, int r);
/* The same for a call that was not answered well, with what to do next. */
enum cp_ctl_exit cp_ctl_session_fail_status(struct cp_ctl_session *session,
					    const struct cp_rpc_status *status);

/* Connects unless that was done. */
enum cp_ctl_exit cp_ctl_session_connect(struct cp_ctl_session *session);

/* One call of DaemonService ("Attach"). *ret is freed with
 * cp_rpc_message_free(). */
enum cp_ctl_exit cp_ctl_session_call(struct cp_ctl_session *session,
				     const char *method,
				     const ProtobufCMessage *request,
				     const ProtobufCMessageDescriptor *response,
				     ProtobufCMessage **ret);

/* Opens a server stream of DaemonService with this request. */
enum cp_ctl_exit
cp_ctl_session_stream(struct cp_ctl_session *session, const char *method,
		      const ProtobufCMessage *request,
		      const ProtobufCMessageDescriptor *response,
		      struct cp_rpc_client_stream **ret);

/* Reads a stream to its end; `take` has each message until it fails, which is
 * then the result. */
enum cp_ctl_exit cp_ctl_session_read(
	struct cp_ctl_session *session, struct cp_rpc_client_stream *stream,
	enum cp_ctl_exit (*take)(void *userdata, ProtobufCMessage *message),
	void *userdata);

/* Makes a whole id of a prefix that the operator gave. */
enum cp_ctl_exit cp_ctl_session_resolve(struct cp_ctl_session *session,
					const char *prefix,
					char id[CP_CTL_SESSION_ID_BYTES]);

/* Ends the output; tells if it could not be written. */
enum cp_ctl_exit cp_ctl_session_flush(struct cp_ctl_session *session);
