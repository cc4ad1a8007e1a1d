/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* WatchFindings: what rules and detectors find, to clients that follow at their
 * own speed. */

#include "controld/rpc/call.h"

struct cp_api;

void cp_api_finding_call(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user);
void cp_api_finding_writable(struct cp_rpc_call *call, void *user);
void cp_api_finding_cancel(struct cp_rpc_call *call, void *user);
/* Ends all of them. */
void cp_api_finding_stop(struct cp_api *api);
