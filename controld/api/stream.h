/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ApplyStream: a policy over several messages, applied as one when the client
 * has sent all of it. What a stream gathers is bounded, and so are the number
 * of streams and the time between two messages. */

#include "controld/rpc/call.h"

void cp_api_stream_call(struct cp_rpc_call *call,
			const ProtobufCMessage *message, void *user);
void cp_api_stream_message(struct cp_rpc_call *call,
			   const ProtobufCMessage *message, void *user);
void cp_api_stream_half_close(struct cp_rpc_call *call, void *user);
void cp_api_stream_cancel(struct cp_rpc_call *call, void *user);
