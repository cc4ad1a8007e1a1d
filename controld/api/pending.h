/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the handlers of controld/api share: the API object, and calls that wait
 * for the attachment manager. */

#include <sys/queue.h>

#include "controld/api/api.h"
#include "controld/attach/observe.h"
#include "controld/rpc/call.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	CP_API_STREAMS_MAX = 4, /* ApplyStream calls at one time */
	CP_API_STREAM_IDLE_MS = 30000, /* from one message to the next */
	CP_API_WATCHES_MAX = 32, /* calls of either Watch at one time */
	/* Half of the connections that there may be by default. */
	CP_API_LEASES_MAX = 32,
};

struct cp_api_lease;
LIST_HEAD(cp_api_leases, cp_api_lease);

struct cp_api {
	struct cp_api_options options;
	struct cp_rpc_server *server;
	uint64_t started_ns;
	unsigned int n_streams;
	LIST_HEAD(, cp_api_watch) watches;
	unsigned int n_watches;
	LIST_HEAD(, cp_api_runtime) runtimes; /* WatchRuntime calls */
	unsigned int n_runtimes;
	LIST_HEAD(, cp_api_finding) findings; /* WatchFindings calls */
	unsigned int n_findings;
	struct cp_api_leases leases;
	unsigned int n_leases;
	struct cp_attach_observer ends; /* of leased attachments */
};

/* A change that was handed to the manager. It ends with the manager's answer,
 * also when the client has gone. */
struct cp_api_pending {
	struct cp_api *api;
	struct cp_rpc_call *call; /* NULL: nobody waits any more */
	const char *method;
	pid_t pid;
	uid_t uid;
	char caller[64]; /* "": a process; else who came over the network */
	char id[CP_ATTACH_ID_CHARS + 1]; /* "" until it was checked */
	/* For the log. */
	char what[CP_POLICY_CIDR_TEXT_BYTES + CP_DNS_NAME_TEXT_BYTES + 128 +
		  CP_POLICY_PORTS_LIST_BYTES];
	void (*reply)(struct cp_rpc_call *call,
		      const struct cp_attach_result *result);
};

/* NULL: no memory; the call has been answered. */
struct cp_api_pending *
cp_api_pending_new(struct cp_api *api, struct cp_rpc_call *call,
		   const char *method,
		   void (*reply)(struct cp_rpc_call *call,
				 const struct cp_attach_result *result));
/* The same for a change of an attachment whose id is checked first. NULL: the
 * call has ended. */
struct cp_api_pending *
cp_api_pending_begin(struct cp_api *api, struct cp_rpc_call *call,
		     const char *method, const char *id,
		     void (*reply)(struct cp_rpc_call *call,
				   const struct cp_attach_result *result));
/* r: what the manager's call returned; unless 0 it answers and frees. */
void cp_api_pending_started(struct cp_api_pending *pending, int r);
/* The manager's callback, userdata is the pending change. */
void cp_api_pending_done(void *userdata, const struct cp_attach_result *result);
/* on_cancel of unary methods. */
void cp_api_pending_cancel(struct cp_rpc_call *call, void *user);

/* Ends a change that was refused before it reached the manager: logs it, frees
 * it and fails the call. r: a positive answer or -errno of
 * controld/policy/convert.h. */
void cp_api_pending_drop(struct cp_api_pending *pending, int r,
			 const struct sn_diag *diag);

/* Ends a call that is no change with INVALID_ARGUMENT. */
void cp_api_pending_refuse(struct cp_rpc_call *call,
			   const struct sn_diag *diag);
