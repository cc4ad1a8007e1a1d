/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/history.h"

#include <grpc/status.h>
#include <stdlib.h>

#include "controld/api/pending.h"
#include "controld/history/history.h"

struct answer {
	Sentinel__V1__GetHistoryResponse message;
	Sentinel__V1__HistorySample *pointers[CP_HISTORY_SAMPLES_MAX];
	Sentinel__V1__HistorySample samples[CP_HISTORY_SAMPLES_MAX];
};

static void put(struct answer *answer, const struct cp_history_sample *from)
{
	size_t n = answer->message.n_samples++;
	Sentinel__V1__HistorySample *sample = &answer->samples[n];

	sentinel__v1__history_sample__init(sample);
	sample->time_ms = from->time_ms;
	sample->allowed = from->n_allowed;
	sample->blocked = from->n_blocked;
	sample->dns_allowed = from->n_names_allowed;
	sample->dns_blocked = from->n_names_blocked;
	sample->dns_failed = from->n_names_failed;
	answer->pointers[n] = sample;
}

void cp_api_history_get(struct cp_rpc_call *call,
			const ProtobufCMessage *message, void *user)
{
	const struct cp_api *api = user;
	const struct cp_history *history = api->options.history;
	struct answer *answer = calloc(1, sizeof(*answer));

	(void)message;
	if (!answer) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
		return;
	}
	sentinel__v1__get_history_response__init(&answer->message);
	answer->message.samples = answer->pointers;
	for (size_t i = 0; history && i < cp_history_count(history); i++)
		put(answer, cp_history_get(history, i));
	cp_rpc_call_reply(call, &answer->message.base);
	free(answer);
}
