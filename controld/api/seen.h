/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GetSeen (on_call of controld/rpc/server.h). */

#include "controld/rpc/call.h"

void cp_api_seen_get(struct cp_rpc_call *call, const ProtobufCMessage *message,
		     void *user);
