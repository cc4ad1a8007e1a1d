/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Explain (callbacks of controld/rpc/server.h). */

#include "controld/rpc/call.h"

void cp_api_explain_call(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user);
void cp_api_explain_cancel(struct cp_rpc_call *call, void *user);
