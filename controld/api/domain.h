/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Handlers of the methods about names (on_call of controld/rpc/server.h). */

#include "controld/rpc/call.h"

#define CP_API_DOMAIN(name)                                 \
	void cp_api_domain_##name(struct cp_rpc_call *call, \
				  const ProtobufCMessage *message, void *user)

CP_API_DOMAIN(allow);
CP_API_DOMAIN(deny);
CP_API_DOMAIN(remove);
CP_API_DOMAIN(set_mode);
CP_API_DOMAIN(read_rules);
CP_API_DOMAIN(read_learnt);
