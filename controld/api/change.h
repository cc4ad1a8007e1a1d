/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Handlers of the unary methods that change something (on_call of
 * controld/rpc/server.h). */

#include "controld/api/pending.h"
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

/* An answer about what was attached, and what it points to. */
struct cp_api_change_attached {
	Sentinel__V1__AttachResponse message;
	struct cp_attach_info info;
	char id[CP_ATTACH_ID_CHARS + 1];
	char *notes[CP_ATTACH_NOTES_MAX];
};
void cp_api_change_fill_attached(struct cp_api *api, const char *id,
				 struct cp_api_change_attached *ret);

/* Checks a request and hands it on. A positive answer of
 * controld/policy/convert.h or -errno: it was refused before that; else *started
 * is what the manager's call returned. */
int cp_api_change_begin_attach(struct cp_api_pending *pending,
			       const Sentinel__V1__AttachRequest *message,
			       cp_attach_done done, void *userdata,
			       int *started, struct sn_diag *diag);
