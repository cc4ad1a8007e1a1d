/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One call on a server, as its handler sees it, whatever carries it
 * (controld/rpc/transport.h). All of this is for the loop's thread.
 *
 * A call belongs to its handler from on_call until the handler ends it with
 * exactly one of cp_rpc_call_reply(), cp_rpc_call_fail() and
 * cp_rpc_call_finish(), or until on_cancel returns, whichever is first. After
 * that the pointer must not be used, and no callback comes. A handler may end
 * a call in a callback or at any time later. */

#include <protobuf-c/protobuf-c.h>
#include <sys/socket.h>

struct cp_rpc_call;

/* Answers of cp_rpc_call_send() besides 0 and -errno. */
enum {
	CP_RPC_CALL_E_BUSY = 1, /* one is under way; wait for on_writable */
	CP_RPC_CALL_E_SIZE, /* over the message limit, nothing was sent */
};

/* pid, uid and gid of the process that made the connection; pid 0: it came over
 * the network, and get_name() says whose credential it showed (else NULL). */
const struct ucred *cp_rpc_call_get_peer(const struct cp_rpc_call *call);
const char *cp_rpc_call_get_name(const struct cp_rpc_call *call);

/* A pointer of the handler's own, NULL at first. */
void cp_rpc_call_set_data(struct cp_rpc_call *call, void *data);
void *cp_rpc_call_get_data(const struct cp_rpc_call *call);

/* Within on_call and on_message: the message now belongs to the caller, who
 * frees it with cp_rpc_message_free(). NULL if there is none. */
ProtobufCMessage *cp_rpc_call_take_message(struct cp_rpc_call *call);

/* Unary calls and client streams: ends the call with this answer. An answer
 * over the message limit becomes RESOURCE_EXHAUSTED. */
void cp_rpc_call_reply(struct cp_rpc_call *call,
		       const ProtobufCMessage *message);

/* Ends the call with a grpc_status_code other than 0 and a text, which is cut
 * at CP_RPC_STATUS_TEXT_BYTES. */
void cp_rpc_call_fail(struct cp_rpc_call *call, int code, const char *text);

/* Where the client streams: asks for the next message; until then the client is held
 * back by flow control. One request at a time. */
void cp_rpc_call_next(struct cp_rpc_call *call);

/* Where the server streams: sends one message. */
int cp_rpc_call_send(struct cp_rpc_call *call, const ProtobufCMessage *message);

/* Where the server streams: ends the call with OK, after what is under way. */
void cp_rpc_call_finish(struct cp_rpc_call *call);
