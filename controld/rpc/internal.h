/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The server's inside, for server.c, connection.c and incall.c; nobody else
 * includes this. All of it belongs to the loop's thread. */

#include <grpc/grpc.h>
#include <sys/queue.h>

#include "controld/rpc/call.h"
#include "controld/rpc/connection.h"
#include "controld/rpc/listen.h"
#include "controld/rpc/queue.h"
#include "controld/rpc/server.h"
#include "controld/rpc/transport.h"

struct cp_rpc_server {
	uv_loop_t *loop;
	struct cp_rpc_server_options options;
	uid_t uid; /* its own, which may call as well */
	struct cp_rpc_listen listener;
	struct cp_rpc_queue queue;
	uv_poll_t accept_watch;
	uv_timer_t drain_timer;
	grpc_server *server;
	grpc_server_credentials *credentials;
	int port; /* 0: it is on a path */

	/* The one request for a further call that is always under way. */
	struct cp_rpc_queue_op request_op;
	grpc_call *requested;
	grpc_call_details details;
	grpc_metadata_array metadata;

	LIST_HEAD(, cp_rpc_connection) connections;
	unsigned int n_calls;
	unsigned int n_admitted;
	struct cp_rpc_server_stats stats;

	struct cp_rpc_queue_op shutdown_op;
	bool is_stopping;
	bool is_cancelled;
	bool is_destroyed;
	/* Handles that have not been closed yet, the queue being one. */
	unsigned int n_open;
	void (*done)(void *user);
	void *done_user;
};

/* server.c */

/* A call object is gone. */
void cp_rpc_server_call_ended(struct cp_rpc_server *server);
/* A handle has been closed; frees the server after the last one. */
void cp_rpc_server_handle_closed(struct cp_rpc_server *server);
