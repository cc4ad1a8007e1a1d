/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A blocking gRPC client on a Unix socket, for sentinelctl and tests. A
 * client and its streams belong to one thread. Messages that are returned are
 * freed with cp_rpc_message_free(). */

#include <protobuf-c/protobuf-c.h>

#include "controld/rpc/status.h"
#include "shared/util.h"

struct cp_rpc_client;
struct cp_rpc_client_stream;

enum {
	/* Answers over this are refused with RESOURCE_EXHAUSTED. */
	CP_RPC_CLIENT_MAX_MESSAGE_BYTES = 4 * 1024 * 1024,
};

/* Answers of the calls below besides 0 and -errno. */
enum {
	/* The call has ended and *status says how: a code other than 0, or 0
	 * when a server stream has ended well. */
	CP_RPC_CLIENT_E_STATUS = 1,
};

/* Connects, in timeout_ms at most (0: no limit); each later call may take
 * timeout_ms as well, unless a stream states another. Who cannot be reached
 * gets E_STATUS with UNAVAILABLE, or PERMISSION_DENIED, and a text with path
 * and reason. */
int cp_rpc_client_new(struct cp_rpc_client **ret, const char *path,
		      unsigned int timeout_ms, struct cp_rpc_status *status);
struct cp_rpc_client *cp_rpc_client_free(struct cp_rpc_client *client);
SN_DEFINE_CLEANUP(struct cp_rpc_client, cp_rpc_client_free)

/* method: "/package.Service/Method". *ret is written when 0 is returned. */
int cp_rpc_client_call(struct cp_rpc_client *client, const char *method,
		       const ProtobufCMessage *request,
		       const ProtobufCMessageDescriptor *response,
		       ProtobufCMessage **ret, struct cp_rpc_status *status);

/* Opens a stream in either direction. timeout_ms is for the whole of it, 0:
 * none. The stream must be freed before its client; freeing one that has not
 * ended cancels the call. */
int cp_rpc_client_stream_new(struct cp_rpc_client_stream **ret,
			     struct cp_rpc_client *client, const char *method,
			     const ProtobufCMessageDescriptor *response,
			     unsigned int timeout_ms);
struct cp_rpc_client_stream *
cp_rpc_client_stream_free(struct cp_rpc_client_stream *stream);
SN_DEFINE_CLEANUP(struct cp_rpc_client_stream, cp_rpc_client_stream_free)

/* Sends one message; blocks while the server holds us back. */
int cp_rpc_client_stream_send(struct cp_rpc_client_stream *stream,
			      const ProtobufCMessage *message,
			      struct cp_rpc_status *status);
/* Says that nothing more is sent. A broken stream shows in the next read. */
void cp_rpc_client_stream_close(struct cp_rpc_client_stream *stream);
/* Waits for the next message. */
int cp_rpc_client_stream_read(struct cp_rpc_client_stream *stream,
			      ProtobufCMessage **ret,
			      struct cp_rpc_status *status);
/* After close: reads the one answer and the status of a client stream. */
int cp_rpc_client_stream_finish(struct cp_rpc_client_stream *stream,
				ProtobufCMessage **ret,
				struct cp_rpc_status *status);
