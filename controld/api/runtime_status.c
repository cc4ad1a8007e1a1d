/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/runtime_status.h"

#include <stdio.h>
#include <string.h>

#include "shared/runtime.h"

enum { BITS = 64 };

static const Sentinel__V1__RuntimeState states[] = {
	[CP_RUNTIME_HOST_AWAY] =
		SENTINEL__V1__RUNTIME_STATE__RUNTIME_STATE_AWAY,
	[CP_RUNTIME_HOST_UNSUPPORTED] =
		SENTINEL__V1__RUNTIME_STATE__RUNTIME_STATE_UNSUPPORTED,
	[CP_RUNTIME_HOST_CHANGING] =
		SENTINEL__V1__RUNTIME_STATE__RUNTIME_STATE_CHANGING,
	[CP_RUNTIME_HOST_IN_FORCE] =
		SENTINEL__V1__RUNTIME_STATE__RUNTIME_STATE_IN_FORCE,
	[CP_RUNTIME_HOST_REFUSED] =
		SENTINEL__V1__RUNTIME_STATE__RUNTIME_STATE_REFUSED,
};

static char *borrow(const char *text)
{
	char *ret;

	memcpy(&ret, &text, sizeof(ret));
	return ret;
}

/* Why nothing comes from this hook; NULL: it works. */
static const char *find_fault(const struct sn_ipc_hello_answer *hello,
			      size_t row)
{
	const struct sn_runtime_hook *hook = &sn_runtime_hooks[row];

	if (hello->program_error[hook->program])
		return "its program does not load";
	if (hook->kind == SN_RUNTIME_KIND_BTF)
		return NULL;
	if (!hello->tracefs)
		return "no tracefs was mounted when sentinel-dp started";
	return hello->hooks_missing[row / BITS] & 1ULL << row % BITS ?
		       "this kernel does not have it" :
		       NULL;
}

Sentinel__V1__FeatureState
cp_api_runtime_status_judge(const struct sn_ipc_hello_answer *hello,
			    enum sn_rt_event event,
			    char reason[CP_API_RUNTIME_STATUS_REASON_BYTES])
{
	const struct sn_runtime_hook *broken = NULL;
	const char *fault = NULL, *limit = NULL;
	size_t n_working = 0;

	reason[0] = '\0';
	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		const struct sn_runtime_hook *hook = &sn_runtime_hooks[i];
		const char *why = hook->event == event ? find_fault(hello, i) :
							 NULL;

		if (hook->event != event)
			continue;
		n_working += !why;
		if (why && (hook->kind != SN_RUNTIME_KIND_SYSCALL_OLD)) {
			broken = hook;
			fault = why;
		}
		if (!why && hook->limit != SN_RUNTIME_LIMIT_EXACT)
			limit = sn_runtime_limits[hook->limit];
	}
	if (broken)
		(void)snprintf(reason, CP_API_RUNTIME_STATUS_REASON_BYTES,
			       "%s: %s", broken->name, fault);
	else if (limit)
		(void)snprintf(reason, CP_API_RUNTIME_STATUS_REASON_BYTES,
			       "best effort: %s", limit);
	if (n_working == 0)
		return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED;
	return reason[0] ? SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_PARTIAL :
			   SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_FULL;
}

static void put_event(struct cp_api_runtime_status *ret, size_t event,
		      const struct cp_runtime_status *status,
		      const struct sn_ipc_hello_answer *hello)
{
	Sentinel__V1__RuntimeEventStatus *row = &ret->events[event];
	const struct sn_rt_count *count = &status->ledger.of[event];
	const struct cp_runtime_counts *counts = status->counts;
	const char *name = sn_runtime_events[event].name;
	bool can_be = hello && hello->runtime;

	sentinel__v1__runtime_event_status__init(row);
	row->event = borrow(name ? name : "");
	row->generated = count->generated;
	row->sent = count->sent;
	row->over_budget = count->over_budget;
	row->ring_full = count->ring_full;
	row->failed = count->failed;
	row->summed = count->summed;
	row->filtered = counts->filtered[event];
	row->lost = counts->lost[event];
	row->delivered = counts->received[event] - row->filtered - row->lost;
	row->state = SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED;
	if (name && can_be)
		row->state = cp_api_runtime_status_judge(
			hello, (enum sn_rt_event)event, ret->reasons[event]);
	else if (name)
		(void)snprintf(ret->reasons[event], sizeof(ret->reasons[event]),
			       "%s",
			       hello ? "sentinel-dp runs without --runtime" :
				       "sentinel-dp has not connected yet");
	row->reason = ret->reasons[event];
	ret->pointers[event] = row;
}

Sentinel__V1__RuntimeStatus *
cp_api_runtime_status_fill(struct cp_api_runtime_status *ret,
			   const struct cp_runtime *runtime,
			   const struct sn_ipc_hello_answer *hello)
{
	Sentinel__V1__RuntimeStatus *message = &ret->message;
	struct cp_runtime_status status;

	if (!runtime)
		return NULL;
	cp_runtime_get_status(runtime, &status);
	sentinel__v1__runtime_status__init(message);
	message->state = status.is_enabled ?
				 states[status.state] :
				 SENTINEL__V1__RUNTIME_STATE__RUNTIME_STATE_OFF;
	message->error = borrow(status.error);
	message->generation = status.generation;
	message->rules = (uint32_t)status.n_rules;
	message->readers = status.n_watchers;
	message->missed = status.n_missed;
	message->malformed = status.n_malformed;
	message->processes = status.n_processes;
	message->held = status.n_held;
	message->held_bytes = status.n_held_bytes;
	message->file_written = status.output.n_written;
	message->file_dropped = status.output.n_dropped;
	message->file_error = borrow(
		status.output.error ? strerror(-status.output.error) : "");
	message->unlogged = status.n_unlogged;
	for (size_t i = 0; i < SN_RT_EVENT_COUNT; i++)
		put_event(ret, i, &status, hello);
	message->events = ret->pointers;
	message->n_events = SN_RT_EVENT_COUNT;
	return message;
}
