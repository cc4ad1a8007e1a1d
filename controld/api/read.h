/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Handlers of the methods that only read; they need no sentinel-dp (on_call of
 * controld/rpc/server.h). */

#include "controld/rpc/call.h"

void cp_api_read_list(struct cp_rpc_call *call, const ProtobufCMessage *message,
		      void *user);
void cp_api_read_get(struct cp_rpc_call *call, const ProtobufCMessage *message,
		     void *user);
void cp_api_read_rules(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user);
