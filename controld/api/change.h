/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Handlers of the unary methods that change something (on_call of
 * controld/rpc/server.h). */

#include "controld/rpc/call.h"

#define CP_API_CHANGE(name)                                 \
	void cp_api_change_##name(struct cp_rpc_call *call, \
				  const ProtobufCMessage *message, void *user)

CP_API_CHANGE(attach);
CP_API_CHANGE(detach);
CP_API_CHANGE(apply);
CP_API_CHANGE(set_mode);
CP_API_CHANGE(allow);
CP_API_CHANGE(deny);
CP_API_CHANGE(remove);
