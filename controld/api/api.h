/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The local API: sentinel.v1.DaemonService on api.sock, over the attachment
 * manager. Requests are checked here, as far as their words go; everything
 * else is the manager's. Each change makes one line in the log that says who
 * asked for what, and what came of it. */

#include "controld/attach/attach.h"
#include "controld/rpc/server.h"

struct cp_api;
struct cp_dns_server;
struct cp_control;
struct cp_events;
struct cp_findings;
struct cp_findings_detection;
struct cp_history;
struct cp_feed_set;
struct cp_runtime;

struct cp_api_options {
	uv_loop_t *loop;
	struct cp_attach *manager;
	struct cp_dns_server *dns; /* for GetStatus, or NULL */
	const char *path;
	gid_t gid; /* (gid_t)-1: only our own user may call */
	const char *version;
	const char *daemon_id;
	/* The client of the control plane; NULL: there is none. */
	const struct cp_control *control;
	struct cp_events *events;
	const struct cp_history *history; /* NULL: there is none */
	struct cp_runtime *runtime; /* NULL: no runtime events */
	struct cp_findings *findings; /* NULL: there are none */
	struct cp_findings_detection *detection; /* with findings; or NULL */
	const struct cp_feed_set *feeds; /* NULL: no detectors */
	const char *warning; /* shown by GetStatus, or NULL */
	uint64_t max_message_bytes;
	uint64_t max_connections;
	uint64_t max_policy_bytes;
	uint64_t max_rules;
	uint64_t stream_idle_ms; /* of ApplyStream; 0: CP_API_STREAM_IDLE_MS */
};

/* Strings must outlive it. diag is filled for every failure; positive answers
 * are those of cp_rpc_server_new(). */
int cp_api_new(struct cp_api **ret, const struct cp_api_options *options,
	       struct sn_diag *diag);

/* The table of methods, for whoever else carries calls; their user is the
 * API object. */
const struct cp_rpc_method *cp_api_get_methods(size_t *n);

/* Rules that a policy may have from now on. */
void cp_api_reload(struct cp_api *api, uint64_t max_rules);

/* Ends calls, after drain_ms the hard way, then calls stopped from the loop.
 * Operations that were begun go on, so free comes after the manager's end. */
void cp_api_stop(struct cp_api *api, unsigned int drain_ms,
		 void (*stopped)(void *userdata), void *userdata);
struct cp_api *cp_api_free(struct cp_api *api);
SN_DEFINE_CLEANUP(struct cp_api, cp_api_free)
