/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The client of a control plane: connects to it, tells what is attached, and
 * applies what it commands (proto/sentinel/v1/control.proto). Whatever the
 * peer does or fails to do, the loop goes on: a stream has one message under
 * way in each direction, events wait in a bounded queue, and commands are
 * operations of the attachment manager like those of the local API. Large
 * commands are read by a worker. */

#include "controld/attach/attach.h"
#include "controld/dns/proxy.h"
#include "controld/rpc/channel.h"
#include "sentinel/v1/daemon.pb-c.h"

struct cp_control;

enum {
	CP_CONTROL_ENDPOINTS_MAX = 8,
	/* Commands that have begun and not ended; beyond them, or beyond
	 * max_message_bytes of them, the peer waits. */
	CP_CONTROL_RUNNING_MAX = 1024,
	/* Commands up to this size are read on the loop. */
	CP_CONTROL_INLINE_BYTES = 64 * 1024,
	/* An answer to QueryDns, of which many may come at one time: 64
	 * addresses and what later versions have to say. */
	CP_CONTROL_ANSWER_BYTES = 16 * 1024,
	/* Events that wait, besides their number. */
	CP_CONTROL_QUEUE_BYTES = 32 * 1024 * 1024,
};

/* What happens to a new attachment that the control plane has not answered in
 * subscribe_timeout_ms. */
enum cp_control_unanswered {
	CP_CONTROL_UNANSWERED_CLOSED, /* it stays closed */
	CP_CONTROL_UNANSWERED_LOCAL, /* its own policy takes effect */
	CP_CONTROL_UNANSWERED_ROLLBACK, /* it is detached */
};

/* Texts and arrays are copied. */
struct cp_control_options {
	uv_loop_t *loop;
	struct cp_attach *manager;
	const char *daemon_id;
	const char *version;
	const char *const *urls; /* each checked by cp_rpc_url_parse() */
	size_t n_urls;
	struct cp_rpc_secrets_files files;
	const struct cp_rpc_peer_pin *pins;
	size_t n_pins;
	const struct cp_attach_pair *metadata;
	size_t n_metadata;
	size_t max_message_bytes;
	size_t max_rules;
	size_t max_events; /* that wait */
	uint64_t keepalive_ms;
	uint64_t keepalive_timeout_ms;
	uint64_t sync_timeout_ms; /* from connecting to SyncAck */
	uint64_t heartbeat_ms;
	uint64_t backoff_min_ms;
	uint64_t backoff_max_ms;
	uint64_t query_timeout_ms; /* of QueryDns */
	unsigned int max_queries; /* of these at one time */
	uint64_t subscribe_timeout_ms;
	enum cp_control_unanswered unanswered;
	bool local_rules;
	uint64_t policy_events_per_s; /* 0: none are sent */
	/* Calls visit with what GetStatus would answer; NULL: not known. */
	void (*visit_status)(
		void *userdata,
		void (*visit)(void *visitor,
			      const Sentinel__V1__GetStatusResponse *status),
		void *visitor);
	void *userdata;
};

enum cp_control_state {
	CP_CONTROL_STATE_WAITING, /* before the next attempt */
	CP_CONTROL_STATE_CONNECTING,
	CP_CONTROL_STATE_SYNCING, /* connected, no SyncAck yet */
	CP_CONTROL_STATE_SYNCED,
};

/* Borrowed pointers, good until the loop goes on. */
struct cp_control_status {
	enum cp_control_state state;
	const char *url; /* the one in use, or to be tried next */
	bool is_insecure; /* it is plain text */
	int64_t last_sync_s; /* Unix time of the last SyncAck; 0: never */
	uint64_t n_queued;
	uint64_t n_dropped;
	uint64_t n_commands; /* since the start */
	uint64_t n_refused;
	uint64_t n_closed; /* attachments that wait for it, closed */
	const char *last_error; /* of the last attempt or stream; "": none */
};

/* Begins to connect; from now on the manager's attachments are under remote
 * control (controld/attach/remote.h). */
int cp_control_new(struct cp_control **ret,
		   const struct cp_control_options *options);

/* Rules that a policy may have from now on. */
void cp_control_reload(struct cp_control *control, size_t max_rules);

void cp_control_get_status(const struct cp_control *control,
			   struct cp_control_status *ret);

/* Asks the control plane about names; good until cp_control_stop(). */
struct cp_dns_proxy *cp_control_get_proxy(struct cp_control *control);

/* Ends the stream, then calls stopped from the loop. Commands that were begun
 * go on, so free comes after the manager's end. */
void cp_control_stop(struct cp_control *control,
		     void (*stopped)(void *userdata), void *userdata);
struct cp_control *cp_control_free(struct cp_control *control);
