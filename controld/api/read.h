/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Handlers of the methods that only read; they need no sentinel-dp (on_call of
 * controld/rpc/server.h). */

#include "controld/api/pending.h"

void cp_api_read_list(struct cp_rpc_call *call, const ProtobufCMessage *message,
		      void *user);
void cp_api_read_get(struct cp_rpc_call *call, const ProtobufCMessage *message,
		     void *user);
void cp_api_read_rules(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user);

/* The attachment that a request names; NULL: the call has ended. */
const struct cp_attach_item *
cp_api_read_find(struct cp_api *api, struct cp_rpc_call *call, const char *id);
