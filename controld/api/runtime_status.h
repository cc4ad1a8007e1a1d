/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What GetStatus says of runtime events: what is seen here of each, and the
 * ledger. */

#include "controld/runtime/runtime.h"
#include "sentinel/v1/daemon.pb-c.h"

enum { CP_API_RUNTIME_STATUS_REASON_BYTES = 512 };

struct cp_api_runtime_status {
	Sentinel__V1__RuntimeStatus message;
	Sentinel__V1__RuntimeEventStatus events[SN_RT_EVENT_COUNT];
	Sentinel__V1__RuntimeEventStatus *pointers[SN_RT_EVENT_COUNT];
	char reasons[SN_RT_EVENT_COUNT][CP_API_RUNTIME_STATUS_REASON_BYTES];
};

/* Returns the message in ret, with borrowed texts; NULL: there are no runtime
 * events. hello: NULL if sentinel-dp was never there. */
Sentinel__V1__RuntimeStatus *
cp_api_runtime_status_fill(struct cp_api_runtime_status *ret,
			   const struct cp_runtime *runtime,
			   const struct sn_ipc_hello_answer *hello);

/* What is seen of one event; reason is "" if it is all there is to see. */
Sentinel__V1__FeatureState
cp_api_runtime_status_judge(const struct sn_ipc_hello_answer *hello,
			    enum sn_rt_event event,
			    char reason[CP_API_RUNTIME_STATUS_REASON_BYTES]);
