/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/runtime.h"

#include <errno.h>
#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/cursor.h"
#include "controld/api/pending.h"
#include "controld/rpc/message.h"
#include "controld/runtime/judge.h"
#include "controld/runtime/runtime.h"
#include "controld/runtime/wanted.h"
#include "shared/runtime.h"

struct cp_api_runtime {
	LIST_ENTRY(cp_api_runtime) link;
	struct cp_api *api;
	struct cp_rpc_call *call;
	struct cp_runtime_watcher watcher;
	struct cp_runtime_rules *filter; /* NULL: none */
	uint64_t events; /* bits, of the filter; all without one */
	struct cp_runtime_position next; /* in the store */
	bool is_restarted; /* to be told */
	bool is_announced; /* that the filter is in force */
	bool is_waiting; /* it was told why */
	bool follows;
	bool is_sending;
};

/* What is sent besides what is stored. */

static void send_note(struct cp_api_runtime *watch, const char *name,
		      const char *why, Sentinel__V1__RuntimeCut cause,
		      uint64_t n)
{
	Sentinel__V1__RuntimeEvent message;

	sentinel__v1__runtime_event__init(&message);
	message.event = (char *)(uintptr_t)name;
	message.error = (char *)(uintptr_t)why;
	message.gap_cause = cause;
	message.gap = n;
	watch->is_sending = cp_rpc_call_send(watch->call, &message.base) == 0;
}

/* A part that gets a slash in front may be one byte longer than it was. */
struct rooms {
	char path[SN_RT_PATH_MAX + 1];
	char target[SN_RT_PATH_MAX + 1];
};

/* As it is judged; at NULL: not known. room: as many bytes as the path has. */
static struct cp_runtime_bytes judged(const Sentinel__V1__RuntimeFile *file,
				      char *room)
{
	struct cp_runtime_bytes path = { file->path, strlen(file->path) };

	if (file->cut || path.size == 0)
		return (struct cp_runtime_bytes){ NULL, 0 };
	if (file->raw_path.len > 0)
		path = (struct cp_runtime_bytes){
			(const char *)file->raw_path.data, file->raw_path.len
		};
	if (!file->as_passed)
		return path;
	path.size = cp_runtime_judge_clean(path, room);
	path.at = room;
	return path;
}

/* As far as filters of readers reach. */
static void read_subject(const Sentinel__V1__RuntimeEvent *event,
			 uint8_t number, struct rooms *rooms,
			 struct cp_runtime_subject *ret)
{
	const Sentinel__V1__RuntimeProcess *process = event->process;
	const Sentinel__V1__RuntimeFile *file = event->file;
	const Sentinel__V1__RuntimeFile *target = event->target;

	*ret = (struct cp_runtime_subject){
		.event = (enum sn_rt_event)number,
		.uid = process->uid,
		.cgroup = process->cgroup_id,
	};
	(void)memcpy(ret->comm, process->comm,
		     strnlen(process->comm, sizeof(ret->comm)));
	if (process->cgroup[0])
		ret->cgroup_path =
			(struct cp_runtime_bytes){ process->cgroup,
						   strlen(process->cgroup) };
	ret->has_file = file && !file->text;
	if (ret->has_file)
		ret->path = judged(file, rooms->path);
	ret->has_target = target && !target->text && target->path[0];
	if (ret->has_target)
		ret->target = judged(target, rooms->target);
}

static bool passes(const struct cp_api_runtime *watch,
		   const struct cp_runtime_stored *stored,
		   const Sentinel__V1__RuntimeEvent *event)
{
	struct cp_runtime_subject subject;
	struct rooms rooms;
	struct sn_rt_bits bits;

	if (!event->process || !watch->filter)
		return true;
	read_subject(event, stored->kind, &rooms, &subject);
	return cp_runtime_rules_match(watch->filter, &subject, &bits);
}

/* Cheap, before it is unpacked. */
static bool may_pass(const struct cp_api_runtime *watch,
		     const struct cp_runtime_stored *stored)
{
	if (!watch->filter && !stored->is_configured)
		return false;
	return stored->kind == SN_RT_EVENT_NONE ||
	       (watch->events & SN_RT_EVENT_BIT(stored->kind));
}

/* Returns whether it was sent. */
static bool send_stored(struct cp_api_runtime *watch,
			const struct cp_runtime_stored *stored)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	Sentinel__V1__RuntimeEvent *event;
	struct sn_diag diag = { .text = "" };
	char cursor[CP_API_CURSOR_BYTES];
	char *before;

	if (!may_pass(watch, stored) ||
	    cp_rpc_message_unpack(&sentinel__v1__runtime_event__descriptor,
				  stored->bytes, stored->size, &message,
				  &diag) != 0)
		return false;
	event = (void *)message;
	if (!passes(watch, stored, event))
		return false;
	(void)cp_api_cursor_write(
		cp_runtime_get_run(watch->api->options.runtime), &watch->next,
		cursor);
	before = event->cursor;
	event->cursor = cursor;
	watch->is_sending = cp_rpc_call_send(watch->call, message) == 0;
	event->cursor = before;
	return true;
}

static void release(struct cp_api_runtime *watch)
{
	struct cp_api *api = watch->api;

	cp_runtime_unwatch(api->options.runtime, &watch->watcher);
	LIST_REMOVE(watch, link);
	api->n_runtimes--;
	cp_runtime_rules_free(watch->filter);
	free(watch);
}

/* Whether what it watches is in force. Returns whether something was sent. */
static bool send_state(struct cp_api_runtime *watch)
{
	const char *why = cp_runtime_why_waiting(watch->api->options.runtime,
						 &watch->watcher);

	if (watch->watcher.is_in_force && !watch->is_announced) {
		watch->is_announced = true;
		watch->is_waiting = false;
		send_note(watch, "watching", "", 0, 0);
		return true;
	}
	if (!why[0] || watch->is_waiting)
		return false;
	watch->is_announced = false;
	watch->is_waiting = true;
	send_note(watch, "waiting", why, 0, 0);
	return true;
}

/* Returns whether there is nothing more for now. */
static bool send_next(struct cp_api_runtime *watch)
{
	struct cp_runtime *runtime = watch->api->options.runtime;
	const struct cp_runtime_stored *stored;
	uint64_t n_lost;

	if (watch->is_restarted) {
		watch->is_restarted = false;
		send_note(watch, "gap", "",
			  SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_RESTART, 0);
		return false;
	}
	if (watch->follows && send_state(watch))
		return false;
	switch (cp_runtime_store_read(cp_runtime_get_store(runtime),
				      &watch->next, &stored, &n_lost)) {
	case 0:
		(void)send_stored(watch, stored);
		return false;
	case CP_RUNTIME_STORE_E_LOST:
		cp_runtime_count_missed(runtime, n_lost);
		send_note(watch, "gap", "",
			  SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_READER,
			  n_lost);
		return false;
	default:
		return true;
	}
}

/* Sends what comes next, if nothing is on its way. The watch may be gone
 * afterwards. */
static void advance(struct cp_api_runtime *watch)
{
	struct cp_rpc_call *call = watch->call;

	while (!watch->is_sending) {
		if (!send_next(watch))
			continue;
		if (watch->follows)
			return;
		release(watch);
		cp_rpc_call_finish(call);
		return;
	}
}

static void woken(struct cp_runtime_watcher *watcher)
{
	advance(sn_container_of(watcher, struct cp_api_runtime, watcher));
}

static void refused(struct cp_runtime_watcher *watcher, const char *why)
{
	struct cp_api_runtime *watch =
		sn_container_of(watcher, struct cp_api_runtime, watcher);
	struct cp_rpc_call *call = watch->call;

	release(watch);
	cp_rpc_call_fail(call, GRPC_STATUS_FAILED_PRECONDITION, why);
}

void cp_api_runtime_writable(struct cp_rpc_call *call, void *user)
{
	struct cp_api_runtime *watch = cp_rpc_call_get_data(call);

	(void)user;
	watch->is_sending = false;
	advance(watch);
}

void cp_api_runtime_cancel(struct cp_rpc_call *call, void *user)
{
	(void)user;
	release(cp_rpc_call_get_data(call));
}

void cp_api_runtime_stop(struct cp_api *api)
{
	struct cp_api_runtime *watch;

	while ((watch = LIST_FIRST(&api->runtimes))) {
		struct cp_rpc_call *call = watch->call;

		release(watch);
		cp_rpc_call_fail(call, GRPC_STATUS_UNAVAILABLE,
				 "sentinel-cp is stopping");
	}
}

/* Requests. */

static int read_cursor(struct cp_api_runtime *watch, const char *text,
		       struct sn_diag *diag)
{
	const struct cp_runtime *runtime = watch->api->options.runtime;
	const struct cp_runtime_store *store = cp_runtime_get_store(runtime);
	struct cp_runtime_position position;
	uint64_t run;

	if (!cp_api_cursor_read(text, &run, &position)) {
		sn_diag_set(diag, "resume", "is not the cursor of an event");
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	watch->is_restarted = run != cp_runtime_get_run(runtime) ||
			      position.number >
				      cp_runtime_store_next(store).number;
	if (!watch->is_restarted)
		watch->next = cp_runtime_store_find(store, position);
	return 0;
}

static int put_events(struct cp_runtime_rules *rules,
		      const Sentinel__V1__WatchRuntimeRequest *request,
		      struct sn_diag *diag)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < request->n_events; i++)
		r = cp_runtime_rules_put_event(rules, request->events[i], diag);
	for (size_t i = SN_RT_EVENT_NONE + 1;
	     r == 0 && request->n_events == 0 && i < SN_RT_EVENT_COUNT; i++)
		r = cp_runtime_rules_put_event(rules, sn_runtime_events[i].name,
					       diag);
	return r;
}

static int put_filter(struct cp_runtime_rules *rules,
		      const Sentinel__V1__WatchRuntimeRequest *request,
		      struct sn_diag *diag)
{
	int r = cp_runtime_rules_add(rules, "reader", diag);

	if (r == 0)
		r = put_events(rules, request, diag);
	for (size_t i = 0; r == 0 && i < request->n_path_prefixes; i++)
		r = cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH,
					      request->path_prefixes[i], diag);
	for (size_t i = 0; r == 0 && i < request->n_comms; i++)
		r = cp_runtime_rules_put_comm(rules, request->comms[i], diag);
	for (size_t i = 0; r == 0 && i < request->n_uids; i++)
		r = cp_runtime_rules_put_uid(rules, request->uids[i]);
	if (r == 0 && request->n_cgroups && !cp_runtime_wanted_is_whole()) {
		sn_diag_set(diag, "cgroups", CP_RUNTIME_WANTED_NOT_WHOLE);
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	for (size_t i = 0; r == 0 && i < request->n_cgroups; i++) {
		uint64_t id =
			cp_runtime_wanted_find_cgroup(request->cgroups[i]);

		if (id == 0) {
			sn_diag_set(diag, "cgroups", "there is no cgroup '%s'",
				    request->cgroups[i]);
			return CP_RUNTIME_RULES_E_REFUSED;
		}
		r = cp_runtime_rules_put_cgroup(rules, id, request->cgroups[i],
						diag);
	}
	return r;
}

static bool has_filter(const Sentinel__V1__WatchRuntimeRequest *request)
{
	return request->n_events || request->n_path_prefixes ||
	       request->n_comms || request->n_uids || request->n_cgroups;
}

/* 0, or the call has ended. */
static int begin(struct cp_api_runtime *watch,
		 const Sentinel__V1__WatchRuntimeRequest *request)
{
	const struct cp_runtime_store *store =
		cp_runtime_get_store(watch->api->options.runtime);
	struct sn_diag diag = { 0 };
	int r = 0;

	watch->follows = request->follow;
	watch->events = UINT64_MAX;
	watch->next = request->from_now ? cp_runtime_store_next(store) :
					  cp_runtime_store_oldest(store);
	if (has_filter(request)) {
		r = cp_runtime_rules_new(&watch->filter);
		if (r == 0)
			r = put_filter(watch->filter, request, &diag);
		if (r == 0)
			watch->events = cp_runtime_rules_events(watch->filter);
	}
	if (r == 0 && request->resume[0])
		r = read_cursor(watch, request->resume, &diag);
	if (r == 0)
		return 0;
	if (r < 0 || !diag.text[0])
		sn_diag_set(&diag, NULL, "needs too much memory");
	cp_api_pending_refuse(watch->call, &diag);
	return r;
}

static int join(struct cp_api_runtime *watch)
{
	struct sn_diag diag = { .text = "" };
	int r;

	watch->watcher.woken = woken;
	watch->watcher.refused = refused;
	/* What is held already needs no rule in the kernel. */
	watch->watcher.filter = watch->follows ? watch->filter : NULL;
	r = cp_runtime_watch(watch->api->options.runtime, &watch->watcher,
			     &diag);
	if (r == CP_RUNTIME_E_OFF)
		cp_rpc_call_fail(watch->call, GRPC_STATUS_FAILED_PRECONDITION,
				 CP_RUNTIME_OFF);
	else if (r != 0)
		cp_rpc_call_fail(watch->call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 r < 0 ? strerror(-r) : diag.text);
	return r;
}

void cp_api_runtime_call(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user)
{
	struct cp_api *api = user;
	struct cp_api_runtime *watch = NULL;

	if (!api->options.runtime) {
		cp_rpc_call_fail(call, GRPC_STATUS_FAILED_PRECONDITION,
				 "there are no runtime events");
		return;
	}
	if (api->n_runtimes < CP_API_WATCHES_MAX)
		watch = calloc(1, sizeof(*watch));
	if (!watch) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "too many WatchRuntime calls at one time");
		return;
	}
	watch->api = api;
	watch->call = call;
	if (begin(watch, (const void *)message) != 0 || join(watch) != 0) {
		cp_runtime_rules_free(watch->filter);
		free(watch);
		return;
	}
	cp_rpc_call_set_data(call, watch);
	LIST_INSERT_HEAD(&api->runtimes, watch, link);
	api->n_runtimes++;
	advance(watch);
}
