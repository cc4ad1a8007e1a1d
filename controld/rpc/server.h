/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A gRPC server on a Unix socket, driven by a libuv loop. Everything of it,
 * handlers included, runs on the loop's thread. Connections are accepted
 * here, so that each call knows who made it by SO_PEERCRED, and are bounded,
 * as are calls, message sizes, metadata and idle time. Calls are handled as
 * controld/rpc/call.h says.
 *
 * On a TCP port instead, gRPC accepts, who calls is not known, and of
 * connections only their memory is bounded. */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "shared/diag.h"

struct cp_rpc_call;
struct cp_rpc_secrets;
struct cp_rpc_server;

enum {
	CP_RPC_SERVER_MAX_CONNECTIONS = 64,
	CP_RPC_SERVER_MAX_CALLS = 128,
	CP_RPC_SERVER_MAX_CALLS_PER_CONNECTION = 16,
	CP_RPC_SERVER_MAX_MESSAGE_BYTES = 4 * 1024 * 1024,
	CP_RPC_SERVER_MAX_METADATA_BYTES = 16 * 1024,
	/* gRPC collects a whole message before it compares its size with the
	 * limit, so a message limit alone does not bound memory. This is what
	 * it may hold of all connections together; over it, it ends calls. */
	CP_RPC_SERVER_MAX_MEMORY_BYTES = 64 * 1024 * 1024,
	/* A connection without a call is closed after this. */
	CP_RPC_SERVER_IDLE_MS = 10 * 60 * 1000,
};

enum cp_rpc_kind {
	CP_RPC_KIND_UNARY,
	CP_RPC_KIND_CLIENT_STREAM,
	CP_RPC_KIND_SERVER_STREAM,
	CP_RPC_KIND_BOTH_STREAM,
};

/* Whom a method is for, where callers are told apart (controld/rest); each may
 * what those below it may. What a row does not state is for the strongest. */
enum cp_rpc_role {
	CP_RPC_ROLE_ADMIN, /* what is attached and what is not */
	CP_RPC_ROLE_OPERATOR, /* policies of what is attached */
	CP_RPC_ROLE_VIEWER, /* nothing is changed */
};

/* One row per remote method; rows must outlive the server. Unset callbacks
 * are NULL. Messages are borrowed for the callback; see
 * cp_rpc_call_take_message(). */
struct cp_rpc_method {
	/* "/sentinel.v1.DaemonService/Attach". */
	const char *path;
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *response;
	enum cp_rpc_kind kind;
	enum cp_rpc_role role;
	/* Server streams that can be taken up again: the field of a message that
	 * says where it stands, and that of a request to go on behind it. */
	const char *cursor;
	const char *resume;
	/* A call has come. message: the request; NULL where the client
	 * streams, whose messages come one by one, each after
	 * cp_rpc_call_next(). Streams of both sides have what is said of
	 * either. */
	void (*on_call)(struct cp_rpc_call *call,
			const ProtobufCMessage *message, void *user);
	/* Client streams: the message that was asked for. */
	void (*on_message)(struct cp_rpc_call *call,
			   const ProtobufCMessage *message, void *user);
	/* Client streams: the client has sent all; instead of on_message. */
	void (*on_half_close)(struct cp_rpc_call *call, void *user);
	/* Server streams: cp_rpc_call_send() would succeed again. */
	void (*on_writable)(struct cp_rpc_call *call, void *user);
	/* The client went away, its deadline passed, it sent something that
	 * was refused, or the server is stopping. The call is gone when this
	 * returns. Never called after reply, fail or finish. */
	void (*on_cancel)(struct cp_rpc_call *call, void *user);
};

/* Limits that are 0 take the value of the constant of the same name. */
struct cp_rpc_server_options {
	const char *path; /* NULL: address is served */
	/* "127.0.0.1:50051", "[::1]:0"; 0 is a free port. */
	const char *address;
	/* Of the address; NULL: plain text. Borrowed for the call. */
	const struct cp_rpc_secrets *secrets;
	/* Group whose members may call besides root and the server's own
	 * user; (gid_t)-1: nobody else. The peer of each connection is asked
	 * for, whatever the mode of the socket file. */
	gid_t gid;
	const struct cp_rpc_method *methods;
	size_t n_methods;
	/* Given to each callback. */
	void *user;
	unsigned int max_connections;
	unsigned int max_calls;
	unsigned int max_calls_per_connection;
	unsigned int max_message_bytes;
	unsigned int max_memory_bytes;
	unsigned int idle_ms;
};

struct cp_rpc_server_stats {
	/* At present. */
	unsigned int n_connections;
	unsigned int n_calls;
	/* Since the start. */
	uint64_t n_accepted;
	uint64_t n_connections_refused; /* over the limit, or no descriptor */
	uint64_t n_peers_refused; /* of no group that may call */
	uint64_t n_calls_started; /* those that reached a handler */
	uint64_t n_calls_refused; /* over a limit, or of no known method */
	uint64_t n_messages_refused; /* by cp_rpc_message_unpack() */
	uint64_t n_calls_cancelled; /* on_cancel was called */
};

/* Answers of cp_rpc_server_new() besides 0 and -errno. */
enum {
	CP_RPC_SERVER_E_BUSY = 1, /* another server holds the path */
	CP_RPC_SERVER_E_PATH, /* the path cannot be a socket's */
	CP_RPC_SERVER_E_ADDRESS, /* it cannot be bound to, or not with these
				  * secrets */
};

/* Starts to serve. *diag is filled for every failure. Nothing may fork in
 * this process from then on. */
int cp_rpc_server_new(struct cp_rpc_server **ret, uv_loop_t *loop,
		      const struct cp_rpc_server_options *options,
		      struct sn_diag *diag);

/* Accepts nothing more, gives the calls in flight drain_ms to end, cancels
 * the rest, and frees the server; then calls done (may be NULL) from the
 * loop. To be called once, from the loop; may be called in a handler. */
void cp_rpc_server_stop(struct cp_rpc_server *server, unsigned int drain_ms,
			void (*done)(void *user), void *user);

/* Of the address; 0 of a path. */
int cp_rpc_server_get_port(const struct cp_rpc_server *server);

/* Of connections and peers nothing is known of an address. */
void cp_rpc_server_get_stats(const struct cp_rpc_server *server,
			     struct cp_rpc_server_stats *ret);
