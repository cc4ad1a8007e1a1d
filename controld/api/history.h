/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GetHistory. */

#include "controld/rpc/server.h"

void cp_api_history_get(struct cp_rpc_call *call,
			const ProtobufCMessage *message, void *user);
