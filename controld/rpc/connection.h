/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The connections of a server; for server.c and incall.c only. */

#include <grpc/grpc.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <uv.h>

struct cp_rpc_server;

/* gRPC owns a connection's descriptor and closes it without telling. So we
 * keep a duplicate, whose hang-up says that the connection is over: gRPC
 * shuts the socket down before it closes it. Freed in the watch's close
 * callback, once the connection is over and has no call. */
struct cp_rpc_connection {
	LIST_ENTRY(cp_rpc_connection) link;
	struct cp_rpc_server *server;
	uv_poll_t watch;
	int watch_fd;
	/* gRPC's number for it, by which a call names its connection. */
	int grpc_fd;
	struct ucred peer;
	unsigned int n_calls;
	/* Of these, the ones that were let through to a handler. */
	unsigned int n_admitted;
	bool is_over;
};

/* Gives fd to gRPC; closes it on failure. */
int cp_rpc_connection_new(struct cp_rpc_server *server, int fd,
			  const struct ucred *peer);
/* The connection that a call came by; NULL if it has ended meanwhile. */
struct cp_rpc_connection *cp_rpc_connection_find(struct cp_rpc_server *server,
						 grpc_call *call);
/* A call of it is gone. */
void cp_rpc_connection_call_ended(struct cp_rpc_connection *connection);
/* When gRPC has dropped them all: closes the watches. */
void cp_rpc_connection_close_all(struct cp_rpc_server *server);
