/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/connection.h"

#include <fcntl.h>
#include <grpc/grpc_posix.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/rpc/internal.h"
#include "shared/util.h"

static void closed(uv_handle_t *handle)
{
	struct cp_rpc_connection *connection =
		sn_container_of(handle, struct cp_rpc_connection, watch);
	struct cp_rpc_server *server = connection->server;

	sn_closep(&connection->watch_fd);
	free(connection);
	cp_rpc_server_handle_closed(server);
}

static void close_if_unused(struct cp_rpc_connection *connection)
{
	if (!connection->is_over || connection->n_calls ||
	    uv_is_closing((const uv_handle_t *)&connection->watch))
		return;
	LIST_REMOVE(connection, link);
	connection->server->stats.n_connections--;
	uv_close((uv_handle_t *)&connection->watch, closed);
}

static void hung_up(uv_poll_t *watch, int status, int events)
{
	struct cp_rpc_connection *connection =
		sn_container_of(watch, struct cp_rpc_connection, watch);

	(void)status;
	(void)events;
	(void)uv_poll_stop(watch);
	connection->is_over = true;
	close_if_unused(connection);
}

int cp_rpc_connection_new(struct cp_rpc_server *server, int fd,
			  const struct ucred *peer)
{
	sn_cleanup(sn_freep) struct cp_rpc_connection *connection = NULL;
	sn_cleanup(sn_closep) int watch_fd = -1;
	sn_cleanup(sn_closep) int grpc_fd = fd;
	int r;

	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return sn_trace(-ENOMEM);
	watch_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (watch_fd < 0)
		return sn_trace(-errno);
	r = uv_poll_init(server->loop, &connection->watch, watch_fd);
	if (r < 0)
		return sn_trace(r);

	connection->server = server;
	connection->peer = *peer;
	connection->grpc_fd = fd;
	connection->watch_fd = sn_steal_fd(&watch_fd);
	LIST_INSERT_HEAD(&server->connections, connection, link);
	server->n_open++;
	server->stats.n_connections++;
	r = uv_poll_start(&connection->watch, UV_DISCONNECT, hung_up);
	if (r < 0) {
		connection->is_over = true;
		close_if_unused(sn_steal(&connection));
		return sn_trace(r);
	}
	connection = NULL;
	grpc_server_add_channel_from_fd(server->server, sn_steal_fd(&grpc_fd),
					server->credentials);
	return 0;
}

/* A number may be in use again, by a connection that came later, while an
 * earlier one is still listed; but not while a call holds the earlier one, so
 * the newest of that number, which is listed first, is the call's. */
struct cp_rpc_connection *cp_rpc_connection_find(struct cp_rpc_server *server,
						 grpc_call *call)
{
	struct cp_rpc_connection *connection;
	char *peer = grpc_call_get_peer(call);
	char rest;
	int fd;

	if (sscanf(peer, "fd:%d%c", &fd, &rest) != 1)
		fd = -1;
	gpr_free(peer);
	LIST_FOREACH(connection, &server->connections, link)
		if (connection->grpc_fd == fd)
			return connection;
	return NULL;
}

void cp_rpc_connection_call_ended(struct cp_rpc_connection *connection)
{
	connection->n_calls--;
	close_if_unused(connection);
}

void cp_rpc_connection_close_all(struct cp_rpc_server *server)
{
	struct cp_rpc_connection *connection;
	struct cp_rpc_connection *next;

	for (connection = LIST_FIRST(&server->connections); connection;
	     connection = next) {
		next = LIST_NEXT(connection, link);
		connection->is_over = true;
		close_if_unused(connection);
	}
}
