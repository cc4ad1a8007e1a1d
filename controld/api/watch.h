/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* WatchEvents (callbacks of controld/rpc/server.h). A reader is a number in the
 * store and at most one message on its way, so that one that stops reading
 * costs nothing and delays nobody. */

#include "controld/api/pending.h"

void cp_api_watch_call(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user);
void cp_api_watch_writable(struct cp_rpc_call *call, void *user);
void cp_api_watch_cancel(struct cp_rpc_call *call, void *user);

/* Ends all of them: a stop need not wait for readers. */
void cp_api_watch_stop(struct cp_api *api);
