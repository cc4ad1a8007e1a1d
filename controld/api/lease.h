/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lease: attachments that live as long as a stream. When the stream breaks,
 * processes may be left that nobody minds any more; so the attachment is closed
 * first, and ends when its cgroup is empty. */

#include "controld/api/pending.h"

/* Once, before calls come, and before the server stops: the latter ends the
 * streams and leaves the attachments, for clients to come back to. */
void cp_api_lease_init(struct cp_api *api);
void cp_api_lease_stop(struct cp_api *api);

void cp_api_lease_call(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user);
void cp_api_lease_cancel(struct cp_rpc_call *call, void *user);
