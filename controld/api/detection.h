/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ListRules and ReloadRules, and what GetStatus says of detection. */

#include "controld/rpc/call.h"
#include "sentinel/v1/finding.pb-c.h"

struct cp_api;

void cp_api_detection_list(struct cp_rpc_call *call,
			   const ProtobufCMessage *message, void *user);
void cp_api_detection_reload(struct cp_rpc_call *call,
			     const ProtobufCMessage *message, void *user);

/* With borrowed texts. Returns ret, or NULL: nothing is detected here. */
Sentinel__V1__DetectionStatus *
cp_api_detection_fill(const struct cp_api *api,
		      Sentinel__V1__DetectionStatus *ret);
