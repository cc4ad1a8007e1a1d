// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/blocked.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/events.h"
#include "controld/ctl/table.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	SHOWN_MAX = 24, /* destinations */
	REASON_BYTES = 32,
};

struct destination {
	char end[CP_CTL_EVENTS_END_BYTES];
	char reason[REASON_BYTES];
	uint64_t n;
};

struct list {
	struct destination destinations[SHOWN_MAX];
	size_t n;
	uint64_t n_unshown; /* events about others, and those that are lost */
};

static void add(struct list *list, Sentinel__V1__Event *event)
{
	char end[CP_CTL_EVENTS_END_BYTES];
	struct destination *one;

	if (event->kind == SENTINEL__V1__EVENT_KIND__EVENT_KIND_LOST) {
		list->n_unshown += event->lost;
		return;
	}
	(void)cp_ctl_events_end(event, end);
	for (size_t i = 0; i < list->n; i++) {
		one = &list->destinations[i];
		if (strcmp(one->end, end) == 0 &&
		    strncmp(one->reason, event->reason, REASON_BYTES - 1) ==
			    0) {
			one->n++;
			return;
		}
	}
	if (list->n == SHOWN_MAX) {
		list->n_unshown++;
		return;
	}
	one = &list->destinations[list->n++];
	(void)memcpy(one->end, end, sizeof(end));
	(void)snprintf(one->reason, sizeof(one->reason), "%s",
		       cp_ctl_table_clean(event->reason));
	one->n = 1;
}

static enum cp_ctl_exit take(void *list, ProtobufCMessage *message)
{
	add(list, (Sentinel__V1__Event *)(void *)message);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit gather(struct cp_ctl_session *session, char *id,
			       struct list *list)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	Sentinel__V1__WatchEventsRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__watch_events_request__init(&request);
	request.id = id;
	exit = cp_ctl_session_stream(session, "WatchEvents", &request.base,
				     &sentinel__v1__event__descriptor, &stream);
	return exit ? exit : cp_ctl_session_read(session, stream, take, list);
}

enum cp_ctl_exit cp_ctl_run_blocked_print(struct cp_ctl_session *session,
					  char *id)
{
	sn_cleanup(sn_freep) struct list *list = calloc(1, sizeof(*list));
	enum cp_ctl_exit exit;

	if (!list)
		return cp_ctl_session_fail_errno(session, "cannot print",
						 -ENOMEM);
	exit = gather(session, id, list);
	for (size_t i = 0; i < list->n; i++)
		(void)fprintf(session->out, "    %s  (%s, %" PRIu64 ")\n",
			      list->destinations[i].end,
			      list->destinations[i].reason,
			      list->destinations[i].n);
	if (list->n_unshown)
		(void)fprintf(session->out, "    and %" PRIu64 " more\n",
			      list->n_unshown);
	return exit;
}
