/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/watch.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/validate.h"
#include "controld/events/events.h"
#include "shared/util.h"

enum {
	CURSOR_BYTES = 40, /* run in hex, '-', number */
	MS_PER_S = 1000,
	SINCE_MAX_S = 366 * 86400,
};

struct cp_api_watch {
	LIST_ENTRY(cp_api_watch) link;
	struct cp_api *api;
	struct cp_rpc_call *call;
	struct cp_events_watcher watcher;
	struct cp_events_filter filter;
	uint64_t next; /* number in the store */
	bool is_restarted; /* to be told */
	bool follows;
	bool is_sending;
};

/* A record as a message, with what it points to. */
struct view {
	Sentinel__V1__Event message;
	char cursor[CURSOR_BYTES];
	char id[CP_EVENTS_ID_BYTES];
	char local[INET6_ADDRSTRLEN];
	char remote[INET6_ADDRSTRLEN];
	char name[CP_DNS_NAME_TEXT_BYTES];
	char comm[SN_COMM_BYTES + 1];
};

/* A message's strings are UTF-8; a process is called as it likes. */
static void put_comm(struct view *view, const struct sn_event *flow)
{
	for (size_t i = 0; i < SN_COMM_BYTES && flow->comm[i]; i++) {
		int c = flow->comm[i];

		view->comm[i] = (char)(isascii(c) && isprint(c) ? c : '?');
	}
	view->message.comm = view->comm;
}

static void put_flow(struct view *view, const struct sn_event *flow)
{
	Sentinel__V1__Event *message = &view->message;
	int family = flow->family == SN_FAMILY_IPV4 ? AF_INET : AF_INET6;

	message->kind = SENTINEL__V1__EVENT_KIND__EVENT_KIND_FLOW;
	message->reason = sn_borrow(sn_reasons_info[flow->reason].name);
	message->direction = flow->direction == SN_EGRESS ?
				     SENTINEL__V1__DIRECTION__DIRECTION_EGRESS :
				     SENTINEL__V1__DIRECTION__DIRECTION_INGRESS;
	message->protocol = flow->protocol;
	if (flow->family) {
		(void)inet_ntop(family, flow->local, view->local,
				sizeof(view->local));
		(void)inet_ntop(family, flow->remote, view->remote,
				sizeof(view->remote));
	}
	message->local_address = view->local;
	message->remote_address = view->remote;
	message->local_port = ntohs(flow->local_port);
	message->remote_port = ntohs(flow->remote_port);
	message->rule_id = flow->rule_id;
	message->pid = flow->tgid;
	put_comm(view, flow);
}

static void fill(struct view *view, const struct cp_events *events,
		 const struct cp_events_record *record)
{
	Sentinel__V1__Event *message = &view->message;

	(void)memset(view, 0, sizeof(*view));
	sentinel__v1__event__init(message);
	(void)snprintf(view->cursor, sizeof(view->cursor), "%016llx-%llu",
		       (unsigned long long)cp_events_get_run(events),
		       (unsigned long long)record->seq);
	(void)memcpy(view->id, record->id, sizeof(view->id));
	message->cursor = view->cursor;
	message->id = view->id;
	message->time_ms = record->time_ms;
	message->audited = record->is_audited;
	if (record->name.size > 0)
		message->name = cp_dns_name_format(&record->name, view->name);
	switch ((enum cp_events_kind)record->kind) {
	case CP_EVENTS_KIND_FLOW:
		put_flow(view, &record->flow);
		break;
	case CP_EVENTS_KIND_NAME:
		message->kind = SENTINEL__V1__EVENT_KIND__EVENT_KIND_NAME;
		message->reason = sn_borrow("dns-denied");
		message->name_type = record->type;
		break;
	case CP_EVENTS_KIND_LOST:
		message->kind = SENTINEL__V1__EVENT_KIND__EVENT_KIND_LOST;
		message->reason = sn_borrow("rate");
		message->lost = record->n_lost;
		break;
	}
}

static void send_lost(struct cp_api_watch *watch, const char *reason,
		      uint64_t n)
{
	Sentinel__V1__Event message;

	sentinel__v1__event__init(&message);
	message.kind = SENTINEL__V1__EVENT_KIND__EVENT_KIND_LOST;
	message.time_ms = cp_events_now_ms(watch->api->options.events);
	message.reason = sn_borrow(reason);
	message.lost = n;
	watch->is_sending = cp_rpc_call_send(watch->call, &message.base) == 0;
}

static void release(struct cp_api_watch *watch)
{
	cp_events_unwatch(watch->api->options.events, &watch->watcher);
	LIST_REMOVE(watch, link);
	watch->api->n_watches--;
	free(watch);
}

/* Sends what comes next, if nothing is on its way. The watch may be gone
 * afterwards. */
static void advance(struct cp_api_watch *watch)
{
	struct cp_events *events = watch->api->options.events;
	const struct cp_events_record *record;
	struct cp_rpc_call *call = watch->call;
	struct view view;
	uint64_t n_lost;

	if (watch->is_sending)
		return;
	if (watch->is_restarted) {
		watch->is_restarted = false;
		send_lost(watch, "restart", 0);
		return;
	}
	switch (cp_events_ring_read(cp_events_get_ring(events), &watch->filter,
				    &watch->next, &record, &n_lost)) {
	case 0:
		fill(&view, events, record);
		watch->is_sending =
			cp_rpc_call_send(call, &view.message.base) == 0;
		break;
	case CP_EVENTS_RING_E_LOST:
		cp_events_count_missed(events, n_lost);
		send_lost(watch, "overwritten", n_lost);
		break;
	default:
		if (watch->follows)
			break;
		release(watch);
		cp_rpc_call_finish(call);
		break;
	}
}

static void woken(struct cp_events_watcher *watcher)
{
	advance(sn_container_of(watcher, struct cp_api_watch, watcher));
}

void cp_api_watch_writable(struct cp_rpc_call *call, void *user)
{
	struct cp_api_watch *watch = cp_rpc_call_get_data(call);

	(void)user;
	watch->is_sending = false;
	advance(watch);
}

void cp_api_watch_cancel(struct cp_rpc_call *call, void *user)
{
	(void)user;
	release(cp_rpc_call_get_data(call));
}

void cp_api_watch_stop(struct cp_api *api)
{
	struct cp_api_watch *watch;

	while ((watch = LIST_FIRST(&api->watches))) {
		struct cp_rpc_call *call = watch->call;

		release(watch);
		cp_rpc_call_fail(call, GRPC_STATUS_UNAVAILABLE,
				 "sentinel-cp is stopping");
	}
}

/* Requests. */

/* A cursor is ours and whole, or refused. */
static int read_cursor(struct cp_api_watch *watch, const char *text,
		       struct sn_diag *diag)
{
	const struct cp_events *events = watch->api->options.events;
	unsigned long long run, seq;
	char again[CURSOR_BYTES];

	if (sscanf(text, "%16llx-%llu", &run, &seq) != 2 ||
	    snprintf(again, sizeof(again), "%016llx-%llu", run, seq) >=
		    CURSOR_BYTES ||
	    strcmp(again, text) != 0 || seq == UINT64_MAX) {
		sn_diag_set(diag, "resume", "is not the cursor of an event");
		return CP_API_VALIDATE_E_INVALID;
	}
	watch->is_restarted =
		run != cp_events_get_run(events) ||
		seq >= cp_events_ring_next(cp_events_get_ring(events));
	if (!watch->is_restarted)
		watch->next = seq + 1;
	return 0;
}

static int read_filter(struct cp_api_watch *watch,
		       const Sentinel__V1__WatchEventsRequest *request,
		       struct sn_diag *diag)
{
	struct cp_events_filter *filter = &watch->filter;
	int r = 0;

	if (request->since_seconds > SINCE_MAX_S) {
		sn_diag_set(diag, "since_seconds", "is over a year");
		return CP_API_VALIDATE_E_INVALID;
	}
	if (request->id[0])
		r = cp_api_validate_id(request->id, diag);
	if (r)
		return r;
	(void)memcpy(filter->id, request->id, strlen(request->id));
	filter->blocked_only = request->blocked_only;
	for (size_t i = 0; i < request->n_kinds; i++) {
		if (request->kinds[i] ==
		    SENTINEL__V1__EVENT_KIND__EVENT_KIND_UNSPECIFIED) {
			sn_diag_set(diag, "kinds", "must be stated");
			return CP_API_VALIDATE_E_INVALID;
		}
		filter->kinds |= 1U << request->kinds[i];
	}
	if (request->since_seconds)
		filter->since_ms =
			cp_events_now_ms(watch->api->options.events) -
			(int64_t)request->since_seconds * MS_PER_S;
	return 0;
}

/* An attachment that has ended may have events that are still held. */
static bool is_known(const struct cp_api_watch *watch)
{
	const struct cp_events_ring *ring =
		cp_events_get_ring(watch->api->options.events);
	struct cp_events_filter filter = { .blocked_only = false };
	uint64_t seq = cp_events_ring_oldest(ring), n_lost;
	const struct cp_events_record *record;

	(void)memcpy(filter.id, watch->filter.id, sizeof(filter.id));
	return !filter.id[0] ||
	       cp_attach_get(watch->api->options.manager, filter.id) ||
	       cp_events_ring_read(ring, &filter, &seq, &record, &n_lost) == 0;
}

/* 0, or the call has ended and the watch is the caller's to free. */
static int begin(struct cp_api_watch *watch,
		 const Sentinel__V1__WatchEventsRequest *request)
{
	struct sn_diag diag = { 0 };
	int r;

	watch->next = cp_events_ring_oldest(
		cp_events_get_ring(watch->api->options.events));
	watch->follows = request->follow;
	r = read_filter(watch, request, &diag);
	if (r == 0 && request->resume[0])
		r = read_cursor(watch, request->resume, &diag);
	if (r) {
		cp_api_pending_refuse(watch->call, &diag);
		return r;
	}
	if (is_known(watch))
		return 0;
	cp_rpc_call_fail(watch->call, GRPC_STATUS_NOT_FOUND,
			 "no attachment has this id");
	return -ENOENT;
}

void cp_api_watch_call(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user)
{
	struct cp_api *api = user;
	struct cp_api_watch *watch;

	if (api->n_watches >= CP_API_WATCHES_MAX) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "too many WatchEvents calls at one time");
		return;
	}
	watch = calloc(1, sizeof(*watch));
	if (!watch) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
		return;
	}
	watch->api = api;
	watch->call = call;
	watch->watcher.woken = woken;
	if (begin(watch, (const void *)message) != 0) {
		free(watch);
		return;
	}
	cp_rpc_call_set_data(call, watch);
	LIST_INSERT_HEAD(&api->watches, watch, link);
	api->n_watches++;
	cp_events_watch(api->options.events, &watch->watcher);
	advance(watch);
}
