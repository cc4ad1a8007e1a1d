// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/top/source.h"

#include <grpc/status.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controld/ctl/events.h"
#include "controld/rpc/message.h"

#define SERVICE "/sentinel.v1.DaemonService/"

enum {
	PAGE = 1000,
	TIMEOUT_MS = 5000,
	SINCE_S = 600, /* of events that were there before us */
};

static uint64_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * SN_NS_PER_S + (uint64_t)time.tv_nsec;
}

/* One page; *token is the next one's, NULL after the last. */
static int read_page(struct cp_ctl_top_source *source,
		     struct cp_ctl_top_model *model, char **token,
		     struct cp_rpc_status *status)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__ListResponse *list;
	Sentinel__V1__ListRequest request;
	int r;

	sentinel__v1__list_request__init(&request);
	request.page_size = PAGE;
	if (*token)
		request.page_token = *token;
	r = cp_rpc_client_call(source->session->client, SERVICE "List",
			       &request.base,
			       &sentinel__v1__list_response__descriptor,
			       &answer, status);
	if (r)
		return r;
	list = (const Sentinel__V1__ListResponse *)answer;
	for (size_t i = 0; r == 0 && i < list->n_attachments; i++)
		r = cp_ctl_top_model_add(model, list->attachments[i]);
	free(*token);
	*token = *list->next_page_token && list->n_attachments ?
			 strdup(list->next_page_token) :
			 NULL;
	return r;
}

static void take(struct cp_ctl_top_source *source,
		 struct cp_ctl_top_model *model, Sentinel__V1__Event *event)
{
	char end[CP_CTL_EVENTS_END_BYTES];

	if (event->kind != SENTINEL__V1__EVENT_KIND__EVENT_KIND_LOST)
		cp_ctl_top_model_block(model, event->id,
				       cp_ctl_events_end(event, end));
	if (!*event->cursor)
		return;
	free(source->cursor);
	source->cursor = strdup(event->cursor);
}

/* What came since the last time. */
static int read_events(struct cp_ctl_top_source *source,
		       struct cp_ctl_top_model *model,
		       struct cp_rpc_status *status)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	Sentinel__V1__WatchEventsRequest request;
	int r;

	sentinel__v1__watch_events_request__init(&request);
	if (source->cursor)
		request.resume = source->cursor;
	else
		request.since_seconds = SINCE_S;
	r = cp_rpc_client_stream_new(&stream, source->session->client,
				     SERVICE "WatchEvents",
				     &sentinel__v1__event__descriptor,
				     TIMEOUT_MS);
	if (r == 0)
		r = cp_rpc_client_stream_send(stream, &request.base, status);
	if (r == 0)
		cp_rpc_client_stream_close(stream);
	while (r == 0) {
		sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *one = NULL;

		r = cp_rpc_client_stream_read(stream, &one, status);
		if (r == 0)
			take(source, model, (Sentinel__V1__Event *)(void *)one);
	}
	return r == CP_RPC_CLIENT_E_STATUS && status->code == 0 ? 0 : r;
}

bool cp_ctl_top_source_sample(struct cp_ctl_top_source *source,
			      struct cp_ctl_top_model *model,
			      struct cp_rpc_status *status)
{
	struct cp_ctl_session *session = source->session;
	char *token = NULL;
	int r = 0;

	*status = (struct cp_rpc_status){ .code = 0 };
	if (!session->client)
		r = cp_rpc_client_new(&session->client, session->options.socket,
				      TIMEOUT_MS, status);
	if (r == 0)
		cp_ctl_top_model_begin(model, now());
	while (r == 0) {
		r = read_page(source, model, &token, status);
		if (!token)
			break;
	}
	free(token);
	if (r == 0) {
		cp_ctl_top_model_end(model);
		r = read_events(source, model, status);
	}
	if (r < 0)
		cp_rpc_status_set(status, GRPC_STATUS_INTERNAL, "%s",
				  strerror(-r));
	/* The next sample has a connection of its own. */
	if (r)
		session->client = cp_rpc_client_free(session->client);
	return r == 0;
}

void cp_ctl_top_source_done(struct cp_ctl_top_source *source)
{
	free(source->cursor);
	source->cursor = NULL;
}
