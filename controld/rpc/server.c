/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/server.h"

#include <assert.h>
#include <grpc/grpc_security.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controld/rpc/core.h"
#include "controld/rpc/incall.h"
#include "controld/rpc/internal.h"
#include "controld/rpc/tls.h"
#include "shared/util.h"

enum {
	/* Clients accepted in a row before other events get their turn. */
	MAX_ACCEPTS = 16,
	/* Streams that a connection may open beyond its limit of calls; those
	 * are refused with a status, further ones wait in the client. */
	SPARE_STREAMS = 16,
	MAX_ARGS = 8,
};

static void request_call(struct cp_rpc_server *server);

static void free_server(struct cp_rpc_server *server)
{
	void (*done)(void *user) = server->done;
	void *user = server->done_user;

	grpc_server_credentials_release(server->credentials);
	grpc_call_details_destroy(&server->details);
	grpc_metadata_array_destroy(&server->metadata);
	cp_rpc_listen_done(&server->listener);
	free(server);
	cp_rpc_core_done();
	if (done)
		done(user);
}

void cp_rpc_server_handle_closed(struct cp_rpc_server *server)
{
	if (!--server->n_open)
		free_server(server);
}

static void accept_watch_closed(uv_handle_t *handle)
{
	cp_rpc_server_handle_closed(
		sn_container_of(handle, struct cp_rpc_server, accept_watch));
}

static void timer_closed(uv_handle_t *handle)
{
	cp_rpc_server_handle_closed(
		sn_container_of(handle, struct cp_rpc_server, drain_timer));
}

static void queue_stopped(struct cp_rpc_queue *queue)
{
	cp_rpc_server_handle_closed(
		sn_container_of(queue, struct cp_rpc_server, queue));
}

/* The second half of stopping, once gRPC holds nothing of ours. */
static void destroy_if_idle(struct cp_rpc_server *server)
{
	if (!server->is_stopping || server->is_destroyed || server->n_calls ||
	    server->shutdown_op.is_pending || server->request_op.is_pending)
		return;
	server->is_destroyed = true;
	grpc_server_destroy(server->server);
	uv_close((uv_handle_t *)&server->drain_timer, timer_closed);
	cp_rpc_connection_close_all(server);
	cp_rpc_queue_stop(&server->queue, queue_stopped);
}

/* Also ends the connections; without it an idle one would keep the shutdown
 * waiting until its client has answered. */
static void cancel_all(struct cp_rpc_server *server)
{
	if (server->is_cancelled)
		return;
	server->is_cancelled = true;
	(void)uv_timer_stop(&server->drain_timer);
	grpc_server_cancel_all_calls(server->server);
}

static void drain_ended(uv_timer_t *timer)
{
	cancel_all(sn_container_of(timer, struct cp_rpc_server, drain_timer));
}

static void shutdown_done(struct cp_rpc_queue_op *op, bool ok)
{
	(void)ok;
	destroy_if_idle(sn_container_of(op, struct cp_rpc_server, shutdown_op));
}

void cp_rpc_server_call_ended(struct cp_rpc_server *server)
{
	server->n_calls--;
	if (server->is_stopping && !server->n_calls)
		cancel_all(server);
	destroy_if_idle(server);
}

static void call_came(struct cp_rpc_queue_op *op, bool ok)
{
	struct cp_rpc_server *server =
		sn_container_of(op, struct cp_rpc_server, request_op);
	grpc_call *call = server->requested;

	if (ok)
		cp_rpc_incall_start(server, call, server->details.method);
	grpc_call_details_destroy(&server->details);
	grpc_metadata_array_destroy(&server->metadata);
	grpc_call_details_init(&server->details);
	grpc_metadata_array_init(&server->metadata);
	server->requested = NULL;
	if (ok && !server->is_stopping)
		request_call(server);
	else
		destroy_if_idle(server);
}

static void request_call(struct cp_rpc_server *server)
{
	grpc_call_error error;

	server->request_op.done = call_came;
	cp_rpc_queue_begin(&server->queue, &server->request_op);
	error = grpc_server_request_call(server->server, &server->requested,
					 &server->details, &server->metadata,
					 server->queue.cq, server->queue.cq,
					 &server->request_op);
	assert(error == GRPC_CALL_OK);
	(void)error;
}

static void client_came(uv_poll_t *watch, int status, int events)
{
	struct cp_rpc_server *server =
		sn_container_of(watch, struct cp_rpc_server, accept_watch);

	(void)status;
	(void)events;
	for (unsigned int i = 0; i < MAX_ACCEPTS; i++) {
		sn_cleanup(sn_closep) int fd = -1;
		struct ucred peer;
		int r;

		r = cp_rpc_listen_accept(&server->listener, &fd, &peer);
		if (r == CP_RPC_LISTEN_E_AGAIN)
			return;
		if (r == 0 && !cp_rpc_listen_admits(fd, &peer, server->uid,
						    server->options.gid)) {
			server->stats.n_peers_refused++;
			continue;
		}
		if (r ||
		    server->stats.n_connections >=
			    server->options.max_connections ||
		    cp_rpc_connection_new(server, sn_steal_fd(&fd), &peer) < 0)
			server->stats.n_connections_refused++;
		else
			server->stats.n_accepted++;
	}
}

static void put_arg(grpc_channel_args *args, const char *key, int value)
{
	assert(args->num_args < MAX_ARGS);
	args->args[args->num_args++] = (grpc_arg){
		.type = GRPC_ARG_INTEGER,
		/* gRPC copies the key; its type forgot the const. */
		.key = (char *)(uintptr_t)key,
		.value.integer = value,
	};
}

static void make_grpc(struct cp_rpc_server *server,
		      const struct cp_rpc_secrets *secrets)
{
	const struct cp_rpc_server_options *options = &server->options;
	grpc_resource_quota *quota;
	grpc_arg array[MAX_ARGS];
	grpc_channel_args args = { .args = array };

	put_arg(&args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		(int)options->max_message_bytes);
	put_arg(&args, GRPC_ARG_MAX_METADATA_SIZE,
		CP_RPC_SERVER_MAX_METADATA_BYTES);
	put_arg(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS,
		(int)options->max_calls_per_connection + SPARE_STREAMS);
	put_arg(&args, GRPC_ARG_MAX_CONNECTION_IDLE_MS, (int)options->idle_ms);
	/* What is compressed reaches us as it is and is refused there. */
	put_arg(&args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
	/* Two servers on one port would share its clients. */
	put_arg(&args, GRPC_ARG_ALLOW_REUSEPORT, 0);
	quota = grpc_resource_quota_create(NULL);
	grpc_resource_quota_resize(quota, options->max_memory_bytes);
	put_arg(&args, GRPC_ARG_RESOURCE_QUOTA, 0);
	array[args.num_args - 1].type = GRPC_ARG_POINTER;
	array[args.num_args - 1].value.pointer.p = quota;
	array[args.num_args - 1].value.pointer.vtable =
		grpc_resource_quota_arg_vtable();
	server->server = grpc_server_create(&args, NULL);
	grpc_resource_quota_unref(quota);
	server->credentials = secrets ?
				      cp_rpc_tls_server_new(secrets) :
				      grpc_insecure_server_credentials_create();
	grpc_server_register_completion_queue(server->server, server->queue.cq,
					      NULL);
}

/* What cannot be bound to has to be stopped like any other. */
static int start_grpc(struct cp_rpc_server *server, const char *address,
		      struct sn_diag *diag)
{
	int r = 0;

	if (address && server->credentials)
		server->port = grpc_server_add_http2_port(
			server->server, address, server->credentials);
	if (address && server->port == 0) {
		sn_diag_set(diag, NULL,
			    "cannot listen on %s: it is in use, or none of "
			    "ours, or the certificate and key do not fit",
			    address);
		r = CP_RPC_SERVER_E_ADDRESS;
	}
	grpc_server_start(server->server);
	request_call(server);
	return r;
}

static unsigned int or_default(unsigned int value, unsigned int otherwise)
{
	return SN_MIN(value ? value : otherwise, INT_MAX / 2U);
}

static void set_options(struct cp_rpc_server *server,
			const struct cp_rpc_server_options *options)
{
	struct cp_rpc_server_options *own = &server->options;

	*own = *options;
	server->uid = geteuid();
	own->path = NULL;
	own->address = NULL;
	own->secrets = NULL;
	own->max_connections = or_default(options->max_connections,
					  CP_RPC_SERVER_MAX_CONNECTIONS);
	own->max_calls =
		or_default(options->max_calls, CP_RPC_SERVER_MAX_CALLS);
	own->max_calls_per_connection =
		or_default(options->max_calls_per_connection,
			   CP_RPC_SERVER_MAX_CALLS_PER_CONNECTION);
	own->max_message_bytes = or_default(options->max_message_bytes,
					    CP_RPC_SERVER_MAX_MESSAGE_BYTES);
	own->max_memory_bytes = or_default(options->max_memory_bytes,
					   CP_RPC_SERVER_MAX_MEMORY_BYTES);
	own->idle_ms = or_default(options->idle_ms, CP_RPC_SERVER_IDLE_MS);
}

static int open_server(struct cp_rpc_server *server, const char *path,
		       struct sn_diag *diag)
{
	int r = 0;

	if (path)
		r = cp_rpc_listen_init(&server->listener, path,
				       server->options.gid, diag);
	if (r == CP_RPC_LISTEN_E_BUSY)
		return CP_RPC_SERVER_E_BUSY;
	if (r == CP_RPC_LISTEN_E_PATH)
		return CP_RPC_SERVER_E_PATH;
	if (r < 0)
		return r;
	r = cp_rpc_queue_init(&server->queue, server->loop);
	if (r < 0) {
		sn_diag_set(diag, NULL, "cannot make the server's thread: %s",
			    strerror(-r));
		cp_rpc_listen_done(&server->listener);
	}
	return r;
}

static int watch_path(struct cp_rpc_server *server, const char *path,
		      struct sn_diag *diag)
{
	int r = uv_poll_init(server->loop, &server->accept_watch,
			     server->listener.fd);

	if (r == 0) {
		server->n_open++;
		r = uv_poll_start(&server->accept_watch, UV_READABLE,
				  client_came);
	}
	if (r < 0)
		sn_diag_set(diag, NULL, "cannot watch %s: %s", path,
			    strerror(-r));
	return sn_trace(r);
}

int cp_rpc_server_new(struct cp_rpc_server **ret, uv_loop_t *loop,
		      const struct cp_rpc_server_options *options,
		      struct sn_diag *diag)
{
	struct cp_rpc_server *server;
	int r;

	server = calloc(1, sizeof(*server));
	if (!server) {
		sn_diag_set(diag, NULL, "out of memory");
		return sn_trace(-ENOMEM);
	}
	server->loop = loop;
	server->listener = CP_RPC_LISTEN_NONE;
	LIST_INIT(&server->connections);
	set_options(server, options);
	cp_rpc_core_init();
	r = open_server(server, options->path, diag);
	if (r) {
		cp_rpc_core_done();
		free(server);
		return r;
	}
	grpc_call_details_init(&server->details);
	grpc_metadata_array_init(&server->metadata);
	make_grpc(server, options->secrets);
	(void)uv_timer_init(loop, &server->drain_timer);
	server->n_open = 2; /* timer and queue */
	r = start_grpc(server, options->address, diag);
	if (r == 0 && options->path)
		r = watch_path(server, options->path, diag);
	if (r) {
		cp_rpc_server_stop(server, 0, NULL, NULL);
		return r;
	}
	*ret = server;
	return 0;
}

void cp_rpc_server_stop(struct cp_rpc_server *server, unsigned int drain_ms,
			void (*done)(void *user), void *user)
{
	assert(!server->is_stopping);

	server->is_stopping = true;
	server->done = done;
	server->done_user = user;
	if (server->accept_watch.loop)
		uv_close((uv_handle_t *)&server->accept_watch,
			 accept_watch_closed);
	cp_rpc_listen_done(&server->listener);
	server->shutdown_op.done = shutdown_done;
	cp_rpc_queue_begin(&server->queue, &server->shutdown_op);
	grpc_server_shutdown_and_notify(server->server, server->queue.cq,
					&server->shutdown_op);
	if (!drain_ms || !server->n_calls)
		cancel_all(server);
	else
		(void)uv_timer_start(&server->drain_timer, drain_ended,
				     drain_ms, 0);
}

int cp_rpc_server_get_port(const struct cp_rpc_server *server)
{
	return server->port;
}

void cp_rpc_server_get_stats(const struct cp_rpc_server *server,
			     struct cp_rpc_server_stats *ret)
{
	*ret = server->stats;
	ret->n_calls = server->n_calls;
}
