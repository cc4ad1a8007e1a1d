/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The client's own data, for controld/control only. */

#include <sys/queue.h>

#include "controld/attach/observe.h"
#include "controld/control/command.h"
#include "controld/control/control.h"
#include "controld/control/queue.h"
#include "controld/control/report.h"
#include "controld/rpc/backoff.h"
#include "controld/rpc/outcall.h"

enum { CP_CONTROL_ERROR_BYTES = 512 };

struct cp_control_wait;
TAILQ_HEAD(cp_control_waits, cp_control_wait);

struct cp_control {
	struct cp_control_options options;
	struct cp_control_report_host host;
	struct cp_attach_observer observer;
	struct cp_control_queue *queue;
	struct cp_dns_proxy *proxy;

	/* The stream (session.c). */
	struct cp_rpc_channel *channel;
	struct cp_rpc_outcall *call; /* NULL: there is none */
	enum cp_control_state state;
	size_t endpoint;
	struct cp_rpc_url url;
	struct cp_rpc_backoff backoff;
	uv_timer_t timer; /* pause, or limit until SyncAck */
	uv_timer_t heartbeat_timer;
	uint64_t synced_at_ms;
	int64_t last_sync_s;
	char next_sync[CP_ATTACH_ID_CHARS + 1]; /* "": from the first */
	bool has_sent_sync; /* all parts */
	bool is_writable;
	char next_beat[CP_ATTACH_ID_CHARS + 1];
	uint64_t n_lost_before; /* subscriptions dropped when it began */
	char last_error[CP_CONTROL_ERROR_BYTES];

	/* Commands (apply.c). */
	uv_work_t work;
	struct cp_control_decoding *decoding; /* NULL: none under way */
	size_t n_running;
	size_t running_bytes; /* of their messages */
	bool is_receiving;
	uint64_t n_commands;
	uint64_t n_refused;

	/* New attachments (subscribe.c). */
	struct cp_control_waits waits; /* oldest first */
	uv_timer_t wait_timer;

	/* Policy events. */
	uint64_t events_from_ms; /* of the second that is counted */
	uint64_t n_events;
	uint64_t n_unsent;

	bool is_stopping;
	unsigned int n_open; /* handles and parts that have not closed */
	void (*stopped)(void *userdata);
	void *stopped_userdata;
};

/* control.c: a handle or part has closed. */
void cp_control_part_closed(struct cp_control *control);
