/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/stream.h"

#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/pending.h"
#include "controld/api/validate.h"
#include "controld/policy/convert.h"
#include "controld/policy/convert_dns.h"

struct stream {
	struct cp_api *api;
	struct cp_rpc_call *call; /* until it was handed on */
	struct cp_api_pending *pending; /* set once it was handed on */
	uv_timer_t idle;
	struct cp_policy *policy; /* NULL: no message yet */
	char id[CP_ATTACH_ID_CHARS + 1];
	bool dry_run;
	size_t n_rules; /* of the messages before, policy aside */
	size_t n_domains;
	uint64_t bytes;
};

static void idle_closed(uv_handle_t *handle)
{
	free(sn_container_of((void *)handle, struct stream, idle));
}

static void free_stream(struct stream *stream)
{
	stream->api->n_streams--;
	cp_policy_free(stream->policy);
	uv_close((uv_handle_t *)&stream->idle, idle_closed);
}

/* Frees the stream; the caller then ends the call. */
static void give_up(struct cp_rpc_call *call, struct stream *stream)
{
	cp_rpc_call_set_data(call, NULL);
	free_stream(stream);
}

static void wait_for_message(struct cp_rpc_call *call, struct stream *stream);

void cp_api_stream_call(struct cp_rpc_call *call,
			const ProtobufCMessage *message, void *user)
{
	struct cp_api *api = user;
	struct stream *stream;

	(void)message;
	if (api->n_streams >= CP_API_STREAMS_MAX) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "too many ApplyStream calls at one time; try "
				 "again");
		return;
	}
	stream = calloc(1, sizeof(*stream));
	if (!stream) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
		return;
	}
	stream->api = api;
	stream->call = call;
	(void)uv_timer_init(api->options.loop, &stream->idle);
	api->n_streams++;
	cp_rpc_call_set_data(call, stream);
	wait_for_message(call, stream);
}

/* A client that says nothing must not keep others from one of the few
 * streams. */
static void is_idle(uv_timer_t *idle)
{
	struct stream *stream = sn_container_of(idle, struct stream, idle);
	struct cp_rpc_call *call = stream->call;

	give_up(call, stream);
	cp_rpc_call_fail(call, GRPC_STATUS_DEADLINE_EXCEEDED,
			 "no message came for too long; nothing was changed");
}

static void wait_for_message(struct cp_rpc_call *call, struct stream *stream)
{
	uint64_t idle_ms = stream->api->options.stream_idle_ms;

	(void)uv_timer_start(&stream->idle, is_idle,
			     idle_ms ? idle_ms : CP_API_STREAM_IDLE_MS, 0);
	cp_rpc_call_next(call);
}

static void reply(struct cp_rpc_call *call,
		  const struct cp_attach_result *result);

/* Ends the stream and its call. */
static void refuse(struct cp_rpc_call *call, struct stream *stream, int r,
		   const struct sn_diag *diag)
{
	struct cp_api_pending *pending;

	pending = cp_api_pending_new(stream->api, call, "ApplyStream", reply);
	if (pending) {
		memcpy(pending->id, stream->id, sizeof(pending->id));
		cp_api_pending_drop(pending, r, diag);
	}
	free_stream(stream);
}

static int take_first(struct stream *stream,
		      const Sentinel__V1__ApplyStreamRequest *request,
		      struct sn_diag *diag)
{
	int r;

	if (cp_api_validate_id(request->id, diag))
		return CP_POLICY_CONVERT_E_INVALID;
	if (!request->policy) {
		sn_diag_set(diag, "policy",
			    "must be stated in the first message");
		return CP_POLICY_CONVERT_E_INVALID;
	}
	r = cp_policy_convert_policy(request->policy,
				     stream->api->options.max_rules,
				     CP_POLICY_OWNER_LOCAL, "policy",
				     &stream->policy, diag);
	if (r)
		return r;
	(void)snprintf(stream->id, sizeof(stream->id), "%s", request->id);
	stream->dry_run = request->dry_run;
	return 0;
}

static int take(struct stream *stream,
		const Sentinel__V1__ApplyStreamRequest *request,
		struct sn_diag *diag)
{
	int r;

	if (!stream->policy) {
		r = take_first(stream, request, diag);
		if (r)
			return r;
	} else if (request->id[0] || request->policy || request->dry_run) {
		sn_diag_set(diag,
			    request->id[0]  ? "id" :
			    request->policy ? "policy" :
					      "dry_run",
			    "belongs into the first message only");
		return CP_POLICY_CONVERT_E_INVALID;
	}
	r = cp_policy_convert_add_rules(stream->policy, request->rules,
					request->n_rules, stream->n_rules,
					CP_POLICY_OWNER_LOCAL, "", diag);
	stream->n_rules += request->n_rules;
	if (r == 0)
		r = cp_policy_convert_dns_add_rules(
			stream->policy, request->domains, request->n_domains,
			stream->n_domains, CP_POLICY_OWNER_LOCAL, "", diag);
	stream->n_domains += request->n_domains;
	return r;
}

void cp_api_stream_message(struct cp_rpc_call *call,
			   const ProtobufCMessage *message, void *user)
{
	struct stream *stream = cp_rpc_call_get_data(call);
	struct sn_diag diag = { 0 };
	int r;

	(void)user;
	stream->bytes += protobuf_c_message_get_packed_size(message);
	if (stream->bytes > stream->api->options.max_policy_bytes) {
		sn_diag_set(&diag, NULL,
			    "the policy has more bytes than it may have "
			    "(api.max_policy)");
		refuse(call, stream, CP_POLICY_CONVERT_E_FULL, &diag);
		return;
	}
	r = take(stream, (const void *)message, &diag);
	if (r) {
		refuse(call, stream, r, &diag);
		return;
	}
	wait_for_message(call, stream);
}

static void reply(struct cp_rpc_call *call,
		  const struct cp_attach_result *result)
{
	Sentinel__V1__ApplyStreamResponse answer =
		SENTINEL__V1__APPLY_STREAM_RESPONSE__INIT;
	Sentinel__V1__ApplyResponse inner = SENTINEL__V1__APPLY_RESPONSE__INIT;

	inner.generation = result->generation;
	inner.added = result->added;
	inner.removed = result->removed;
	inner.unchanged = result->unchanged;
	answer.result = &inner;
	cp_rpc_call_reply(call, &answer.base);
}

/* The pending change counts as the stream until it has ended. */
static void applied(void *userdata, const struct cp_attach_result *result)
{
	struct stream *stream = userdata;
	struct cp_api_pending *pending = stream->pending;

	free_stream(stream);
	if (pending->call)
		cp_rpc_call_set_data(pending->call, NULL);
	cp_api_pending_done(pending, result);
}

void cp_api_stream_half_close(struct cp_rpc_call *call, void *user)
{
	struct stream *stream = cp_rpc_call_get_data(call);
	struct sn_diag diag = { 0 };
	struct cp_api *api = user;
	int r;

	(void)uv_timer_stop(&stream->idle);
	if (!stream->policy) {
		sn_diag_set(&diag, "id", "the stream has no message");
		refuse(call, stream, CP_POLICY_CONVERT_E_INVALID, &diag);
		return;
	}
	stream->pending = cp_api_pending_new(api, call, "ApplyStream", reply);
	if (!stream->pending) {
		free_stream(stream);
		return;
	}
	cp_rpc_call_set_data(call, stream);
	(void)snprintf(stream->pending->what, sizeof(stream->pending->what),
		       " rules=%zu dry_run=%d", cp_policy_count(stream->policy),
		       (int)stream->dry_run);
	r = cp_attach_apply(api->options.manager, stream->id,
			    sn_steal(&stream->policy), stream->dry_run, applied,
			    stream);
	if (r < 0) {
		struct cp_api_pending *pending = stream->pending;

		give_up(call, stream);
		cp_api_pending_started(pending, r);
	}
}

void cp_api_stream_cancel(struct cp_rpc_call *call, void *user)
{
	struct stream *stream = cp_rpc_call_get_data(call);

	(void)user;
	if (!stream)
		return;
	if (stream->pending)
		stream->pending->call = NULL;
	else
		free_stream(stream);
}
