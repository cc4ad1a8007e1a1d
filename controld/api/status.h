/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GetStatus (on_call of controld/rpc/server.h). */

#include "controld/rpc/call.h"
#include "sentinel/v1/daemon.pb-c.h"

struct cp_api;

void cp_api_status_get(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user);

/* Calls visit with what GetStatus would answer. */
void cp_api_status_visit(
	struct cp_api *api,
	void (*visit)(void *visitor,
		      const Sentinel__V1__GetStatusResponse *status),
	void *visitor);
