/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/runtime_status.h"

#include <stdio.h>
#include <string.h>

#include "shared/runtime.h"
#include "shared/util.h"

enum { BITS = 64 };

_Static_assert(SN_RUNTIME_LIMIT_COUNT <= 64, "limits are bits of one word");

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

/* Why nothing comes from this hook; NULL: it works. */
static const char *find_fault(const struct sn_ipc_hello_answer *hello,
			      size_t row)
{
	const struct sn_runtime_hook *hook = &sn_runtime_hooks[row];

	if (hello->program_error[hook->program])
		return "its program does not load";
	if (!sn_runtime_is_call(hook->kind))
		return NULL;
	if (!hello->tracefs)
		return "no tracefs was mounted when sentinel-dp started";
	return hello->hooks_missing[row / BITS] & 1ULL << row % BITS ?
		       "this kernel does not have it" :
		       NULL;
}

/* What is seen of an event by one of the ways. */
struct view {
	size_t n_working;
	const struct sn_runtime_hook
		*broken; /* the last that may not be missing */
	const char *fault;
	uint64_t limits; /* by enum sn_runtime_limit, of what is not exact */
};

static bool is_told_otherwise(const struct sn_ipc_hello_answer *hello,
			      size_t row)
{
	enum sn_runtime_hook_row better = sn_runtime_get_better(row);

	return better != SN_RUNTIME_HOOK_NONE &&
	       !find_fault(hello, (size_t)better);
}

static struct view look(const struct sn_ipc_hello_answer *hello,
			enum sn_rt_event event, enum sn_runtime_way way)
{
	struct view view = { 0 };

	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		const struct sn_runtime_hook *hook = &sn_runtime_hooks[i];
		const char *why;

		if (hook->event != event || hook->way != way ||
		    is_told_otherwise(hello, i))
			continue;
		why = find_fault(hello, i);
		view.n_working += !why;
		if (why && hook->kind != SN_RUNTIME_KIND_SYSCALL_OLD) {
			view.broken = hook;
			view.fault = why;
		}
		if (!why && hook->limit != SN_RUNTIME_LIMIT_EXACT)
			view.limits |= 1ULL << hook->limit;
	}
	return view;
}

/* In the order of shared/runtime.def. */
static void add_limits(char *reason, size_t bytes, uint64_t limits)
{
	const char *between = "";

	for (size_t i = 0; i < SN_RUNTIME_LIMIT_COUNT; i++) {
		size_t n = strlen(reason);

		if (!(limits & 1ULL << i))
			continue;
		(void)snprintf(reason + n, bytes - n, "%s%s", between,
			       sn_runtime_limits[i]);
		between = "; ";
	}
}

static void describe(const struct view *view, const struct view *exact,
		     char reason[CP_API_RUNTIME_STATUS_REASON_BYTES])
{
	const size_t bytes = CP_API_RUNTIME_STATUS_REASON_BYTES;
	size_t n;

	reason[0] = '\0';
	if (view->broken) {
		(void)snprintf(reason, bytes, "%s: %s", view->broken->name,
			       view->fault);
		return;
	}
	if (exact->limits && !exact->broken) {
		(void)snprintf(reason, bytes, "fexit: ");
		add_limits(reason, bytes, exact->limits);
		n = strlen(reason);
		(void)snprintf(reason + n, bytes - n, "; tracepoint: %s",
			       view->limits ? "" : "exact");
	} else if (view->limits) {
		(void)snprintf(reason, bytes, "best effort: ");
	}
	add_limits(reason, bytes, view->limits);
}

Sentinel__V1__FeatureState
cp_api_runtime_status_judge(const struct sn_ipc_hello_answer *hello,
			    enum sn_rt_event event,
			    char reason[CP_API_RUNTIME_STATUS_REASON_BYTES])
{
	struct view view = look(hello, event, SN_RUNTIME_WAY_TRACEPOINT);
	struct view exact = look(hello, event, SN_RUNTIME_WAY_FEXIT);
	/* The feature as a whole says whether 32-bit calls are seen. */
	struct view compat = look(hello, event, SN_RUNTIME_WAY_COMPAT);

	describe(&view, &exact, reason);
	if (view.n_working + exact.n_working + compat.n_working == 0)
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
	row->event = sn_borrow(name ? name : "");
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
	message->error = sn_borrow(status.error);
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
	message->file_error = sn_borrow(
		status.output.error ? strerror(-status.output.error) : "");
	message->unlogged = status.n_unlogged;
	for (size_t i = 0; i < SN_RT_EVENT_COUNT; i++)
		put_event(ret, i, &status, hello);
	message->events = ret->pointers;
	message->n_events = SN_RT_EVENT_COUNT;
	return message;
}
