/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/detection.h"

#include <errno.h>
#include <grpc/status.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/pending.h"
#include "controld/findings/detection.h"
#include "shared/runtime.h"
#include "shared/util.h"

Sentinel__V1__DetectionStatus *
cp_api_detection_fill(const struct cp_api *api,
		      Sentinel__V1__DetectionStatus *ret)
{
	struct cp_findings_detection_status status;
	struct cp_findings_stats stats;

	if (!api->options.detection)
		return NULL;
	cp_findings_detection_get_status(api->options.detection, &status);
	cp_findings_get_stats(api->options.findings, &stats);
	sentinel__v1__detection_status__init(ret);
	ret->path = sn_borrow(status.path);
	ret->rules = (uint32_t)status.n_rules;
	ret->enabled = (uint32_t)status.n_enabled;
	ret->loaded_ns = status.loaded_ns;
	ret->in_force = status.is_in_force;
	ret->error = sn_borrow(status.error);
	ret->findings = stats.n_found;
	ret->limited = stats.n_limited;
	ret->lost = stats.n_lost;
	ret->held = stats.n_held;
	ret->held_bytes = stats.n_held_bytes;
	ret->readers = stats.n_watchers;
	ret->missed = stats.n_missed;
	return ret;
}

/* False: the call has ended. */
static bool is_there(const struct cp_api *api, struct cp_rpc_call *call)
{
	if (api->options.detection)
		return true;
	cp_rpc_call_fail(call, GRPC_STATUS_FAILED_PRECONDITION,
			 "nothing is detected here");
	return false;
}

/* The list. */

struct list {
	Sentinel__V1__ListRulesResponse message;
	Sentinel__V1__DetectionStatus status;
	struct row {
		Sentinel__V1__DetectionRule message;
		char *events[SN_RT_EVENT_COUNT];
	} rows[CP_RULES_MAX];
	Sentinel__V1__DetectionRule *pointers[CP_RULES_MAX];
};

static void put_row(struct row *row, const struct cp_rules_rule *rule,
		    const struct cp_findings_detection_count *count)
{
	Sentinel__V1__DetectionRule *message = &row->message;

	sentinel__v1__detection_rule__init(message);
	message->name = sn_borrow(rule->name);
	message->description = sn_borrow(rule->description);
	message->enabled = rule->enabled;
	message->severity = (Sentinel__V1__Severity)rule->severity + 1;
	(void)memcpy(&message->tags, &rule->tags, sizeof(message->tags));
	message->n_tags = rule->n_tags;
	message->events = row->events;
	for (size_t i = SN_RT_EVENT_NONE + 1; i < SN_RT_EVENT_COUNT; i++) {
		if (rule->events & SN_RT_EVENT_BIT(i))
			row->events[message->n_events++] =
				sn_borrow(sn_runtime_events[i].name);
	}
	message->line = rule->line;
	message->hits = count->n_hits;
	message->limited = count->n_limited;
	message->last_hit_ns = count->last_ns;
}

void cp_api_detection_list(struct cp_rpc_call *call,
			   const ProtobufCMessage *message, void *user)
{
	const struct cp_api *api = user;
	const struct cp_findings_detection *detection = api->options.detection;
	sn_cleanup(sn_freep) struct list *list = NULL;
	const struct cp_rules *rules;

	(void)message;
	if (!is_there(api, call))
		return;
	list = calloc(1, sizeof(*list));
	if (!list) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
		return;
	}
	sentinel__v1__list_rules_response__init(&list->message);
	list->message.status = cp_api_detection_fill(api, &list->status);
	list->message.rules = list->pointers;
	rules = cp_findings_detection_get_rules(detection);
	for (size_t i = 0; rules && i < cp_rules_count(rules); i++) {
		struct cp_findings_detection_count count;

		cp_findings_detection_get_count(detection, i, &count);
		put_row(&list->rows[i], cp_rules_get(rules, i), &count);
		list->pointers[i] = &list->rows[i].message;
		list->message.n_rules++;
	}
	cp_rpc_call_reply(call, &list->message.base);
}

/* Reading the file again. */

/* The call, until the kernel has the rules. */
struct reload {
	struct cp_findings_detection_waiter waiter;
	const struct cp_findings_detection *detection;
	struct cp_api_pending *pending;
};

static void reply(struct cp_rpc_call *call,
		  const struct cp_attach_result *result)
{
	const struct cp_api_pending *pending = cp_rpc_call_get_data(call);
	Sentinel__V1__ReloadRulesResponse answer;
	Sentinel__V1__DetectionStatus status;

	(void)result;
	sentinel__v1__reload_rules_response__init(&answer);
	answer.status = cp_api_detection_fill(pending->api, &status);
	cp_rpc_call_reply(call, &answer.base);
}

static void settled(struct cp_findings_detection_waiter *waiter)
{
	struct reload *reload = sn_container_of(waiter, struct reload, waiter);
	struct cp_attach_result result = { .code = CP_ATTACH_CODE_OK };
	struct cp_findings_detection_status status;

	cp_findings_detection_get_status(reload->detection, &status);
	if (status.error[0]) {
		result.code = CP_ATTACH_CODE_PRECONDITION;
		sn_diag_set(&result.diag, NULL, "%s", status.error);
	}
	cp_api_pending_done(reload->pending, &result);
	free(reload);
}

static void refuse(struct cp_api_pending *pending, int r,
		   const struct sn_diag *diag)
{
	struct cp_attach_result result = {
		.code = r == -ENOMEM ? CP_ATTACH_CODE_EXHAUSTED :
				       CP_ATTACH_CODE_PRECONDITION,
	};
	char text[SN_DIAG_TEXT_BYTES];

	(void)sn_diag_format(diag, text, sizeof(text));
	sn_diag_set(&result.diag, NULL, "%s", text);
	cp_api_pending_done(pending, &result);
}

void cp_api_detection_reload(struct cp_rpc_call *call,
			     const ProtobufCMessage *message, void *user)
{
	struct cp_api *api = user;
	struct cp_api_pending *pending;
	struct sn_diag diag = { .text = "" };
	struct reload *reload;
	int r;

	(void)message;
	if (!is_there(api, call))
		return;
	pending = cp_api_pending_new(api, call, "ReloadRules", reply);
	if (!pending)
		return;
	reload = calloc(1, sizeof(*reload));
	r = reload ? cp_findings_detection_load(api->options.detection, &diag) :
		     -ENOMEM;
	if (r != 0) {
		free(reload);
		refuse(pending, r, &diag);
		return;
	}
	reload->pending = pending;
	reload->detection = api->options.detection;
	reload->waiter.settled = settled;
	if (!cp_findings_detection_wait(api->options.detection,
					&reload->waiter))
		settled(&reload->waiter);
}
