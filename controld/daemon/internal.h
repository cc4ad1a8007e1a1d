/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's own data, for controld/daemon only. */

#include <sys/types.h>
#include <uv.h>

#include "controld/api/api.h"
#include "controld/attach/attach.h"
#include "controld/config/config.h"
#include "controld/control/control.h"
#include "controld/daemon/daemon.h"
#include "controld/dns/server.h"
#include "controld/events/events.h"
#include "controld/feed/set.h"
#include "controld/findings/detection.h"
#include "controld/history/history.h"
#include "controld/monitor/monitor.h"
#include "controld/rest/rest.h"
#include "controld/runtime/runtime.h"
#include "controld/state/identity.h"
#include "controld/state/state.h"

enum {
	CP_DAEMON_SOCKET_BYTES = 108, /* of a socket's address */
	CP_DAEMON_PATH_BYTES = 4096,
};

struct cp_daemon {
	const struct cp_daemon_options *options;
	struct cp_config *config;

	/* What prepare.c found. */
	gid_t gid; /* -1: api.group does not exist */
	char dp_socket[CP_DAEMON_SOCKET_BYTES];
	char api_socket[CP_DAEMON_SOCKET_BYTES];
	char state_path[CP_DAEMON_PATH_BYTES];
	char learnt_path[CP_DAEMON_PATH_BYTES];
	char warning[256]; /* for GetStatus; "": none */

	uv_loop_t loop;
	uv_signal_t on_term;
	uv_signal_t on_int;
	uv_signal_t on_hup;
	bool is_stopping;

	/* The parts (parts.c); NULL: not there. */
	size_t n_parts; /* that have begun to be opened and are not closed */
	char daemon_id[CP_STATE_IDENTITY_BYTES];
	struct cp_state *state;
	struct cp_attach *manager;
	struct cp_events *events;
	struct cp_runtime *runtime;
	struct cp_findings *findings;
	struct cp_findings_detection *detection;
	struct cp_feed_set *feeds;
	struct cp_dns_server *dns;
	struct cp_control *control; /* NULL also if none is configured */
	struct cp_monitor *monitor;
	struct cp_history *history;
	struct cp_api *api;
	struct cp_rest *rest; /* NULL also if none is configured */
};
