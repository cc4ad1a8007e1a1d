/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls on a channel (controld/rpc/channel.h), for the loop's thread.
 * Callbacks come from the loop and never within the calls below. */

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "controld/rpc/channel.h"
#include "controld/rpc/status.h"

struct cp_rpc_outcall;

/* Answers of cp_rpc_outcall_send() besides 0 and -errno. */
enum {
	CP_RPC_OUTCALL_E_BUSY = 1, /* one is under way; wait for writable */
};

struct cp_rpc_outcall_events {
	/* cp_rpc_outcall_send() would succeed; the first time this also says
	 * that there is a connection. */
	void (*writable)(void *userdata);
	/* The message that was asked for, as it came; borrowed. */
	void (*message)(void *userdata, const void *data, size_t size);
	/* The call is over, and gone when this returns. Nothing comes after
	 * it. */
	void (*ended)(void *userdata, const struct cp_rpc_status *status);
};

/* Opens a stream in both directions. method: "/package.Service/Method". */
int cp_rpc_outcall_new(struct cp_rpc_outcall **ret,
		       struct cp_rpc_channel *channel, const char *method,
		       const struct cp_rpc_outcall_events *events,
		       void *userdata);
/* Sends one packed message, which is copied. */
int cp_rpc_outcall_send(struct cp_rpc_outcall *call, const void *data,
			size_t size);
/* Asks for the next message; until then the server is held back by flow
 * control. One request at a time. */
void cp_rpc_outcall_next(struct cp_rpc_outcall *call);
/* Ends it without further callbacks; the pointer must not be used again. */
void cp_rpc_outcall_drop(struct cp_rpc_outcall *call);

/* A unary call. done comes once: answer is NULL unless the status is OK, and
 * belongs to done otherwise (cp_rpc_message_free()). */
typedef void (*cp_rpc_outcall_done)(void *userdata,
				    const struct cp_rpc_status *status,
				    ProtobufCMessage *answer);
int cp_rpc_outcall_ask(struct cp_rpc_channel *channel, const char *method,
		       const ProtobufCMessage *request,
		       const ProtobufCMessageDescriptor *response,
		       unsigned int timeout_ms, cp_rpc_outcall_done done,
		       void *userdata);
