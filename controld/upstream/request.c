/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/request.h"

#include <stdlib.h>
#include <string.h>

#include "controld/upstream/server.h"
#include "controld/upstream/stream.h"
#include "controld/upstream/udp.h"
#include "controld/upstream/validator.h"

enum {
	REFUSAL_BYTES = 512, /* an answer without records needs no more */
	ROUNDS_MAX = 8, /* of doubling */
};

struct cp_upstream_query
cp_upstream_request_query(const struct cp_upstream_try *try)
{
	const struct cp_upstream_request *request = try->request;

	return (struct cp_upstream_query){
		.name = &request->name,
		.case_mask = try->case_mask,
		.id = try->id.value,
		.type = request->type,
		.class = request->class,
		.has_edns = try->has_edns,
		.dnssec_ok = request->wants_dnssec,
		.checking_disabled = request->checking_disabled,
	};
}

/* The try's server is being asked, or still is. */
static void begin(struct cp_upstream_try *try)
{
	switch ((enum cp_upstream_place)try->place) {
	case CP_UPSTREAM_PLACE_NONE:
		try->sent_ms = cp_upstream_now(try->server->upstream);
		if (try->server->config.is_tls || try->by_stream)
			cp_upstream_stream_put(try);
		else
			cp_upstream_udp_put(try);
		return;
	case CP_UPSTREAM_PLACE_UDP:
		cp_upstream_udp_put(try);
		return;
	case CP_UPSTREAM_PLACE_UDP_QUEUE:
	case CP_UPSTREAM_PLACE_STREAM_QUEUE:
	case CP_UPSTREAM_PLACE_STREAM: /* nothing is lost on a stream */
		return;
	}
}

static void stop(struct cp_upstream_try *try, bool is_answered)
{
	switch ((enum cp_upstream_place)try->place) {
	case CP_UPSTREAM_PLACE_NONE:
		return;
	case CP_UPSTREAM_PLACE_UDP_QUEUE:
	case CP_UPSTREAM_PLACE_UDP:
		cp_upstream_udp_remove(try, is_answered);
		return;
	case CP_UPSTREAM_PLACE_STREAM_QUEUE:
	case CP_UPSTREAM_PLACE_STREAM:
		cp_upstream_stream_remove(try, is_answered);
		return;
	}
}

/* Servers in the set's order, those that do not answer behind the others. */
static void put_order(struct cp_upstream_request *request)
{
	const struct cp_upstream_set *set = request->set;
	uint8_t n = 0;

	for (uint8_t i = 0; i < set->n; i++)
		if (set->servers[i]->down_ms == 0)
			request->order[n++] = i;
	for (uint8_t i = 0; i < set->n; i++)
		if (set->servers[i]->down_ms != 0)
			request->order[n++] = i;
}

static struct cp_upstream_try *current(struct cp_upstream_request *request)
{
	return &request->tries[request->order[request->at]];
}

static void put_deadline(struct cp_upstream_request *request)
{
	struct cp_upstream *upstream = request->set->upstream;
	uint64_t now = cp_upstream_now(upstream);
	uint64_t wait = (uint64_t)upstream->try_ms << request->round;

	/* What a burst lost together does not come again together. */
	wait += cp_upstream_random_below(&upstream->random,
					 (uint32_t)(wait / 4 + 1));
	cp_upstream_wheel_put(&upstream->wheel, &request->deadline,
			      SN_MIN(now + wait, request->end_ms), now);
}

/* Servers whose time has come are asked besides. */
static void probe(struct cp_upstream_request *request)
{
	for (uint8_t i = 1; i < request->set->n; i++) {
		struct cp_upstream_try *try =
			&request->tries[request->order[i]];

		if (cp_upstream_server_take_probe(try->server))
			begin(try);
	}
}

int cp_upstream_request_new(struct cp_upstream_set *set,
			    const struct cp_upstream_question *question,
			    cp_upstream_fn fn, void *userdata,
			    struct cp_upstream_request **ret)
{
	struct cp_upstream *upstream = set->upstream;
	struct cp_upstream_request *request;
	int r;

	request = calloc(1,
			 sizeof(*request) + set->n * sizeof(request->tries[0]));
	if (!request)
		return sn_trace(-ENOMEM);
	request->set = set;
	request->fn = fn;
	request->userdata = userdata;
	request->end_ms = cp_upstream_now(upstream) + upstream->timeout_ms;
	request->name = *question->name;
	request->type = question->type;
	request->class = question->class;
	request->wants_dnssec = question->wants_dnssec;
	request->checking_disabled = question->checking_disabled;
	for (uint8_t i = 0; i < set->n; i++) {
		request->tries[i].request = request;
		request->tries[i].server = set->servers[i];
	}
	if (set->dnssec && !question->checking_disabled) {
		r = cp_upstream_validator_ask(request);
		if (r < 0) {
			free(request);
			return r;
		}
		cp_upstream_wheel_put(&upstream->wheel, &request->deadline,
				      request->end_ms,
				      cp_upstream_now(upstream));
	} else {
		put_order(request);
		begin(current(request));
		probe(request);
		put_deadline(request);
	}
	set->n_users++;
	LIST_INSERT_HEAD(&upstream->requests, request, link);
	upstream->stats.n_asked++;
	upstream->stats.n_under_way++;
	*ret = request;
	return 0;
}

struct cp_upstream_request *
cp_upstream_request_free(struct cp_upstream_request *request)
{
	struct cp_upstream_set *set = request->set;
	struct cp_upstream *upstream = set->upstream;

	for (uint8_t i = 0; i < set->n; i++)
		stop(&request->tries[i], false);
	cp_upstream_validator_cancel(request);
	cp_upstream_wheel_remove(&upstream->wheel, &request->deadline);
	LIST_REMOVE(request, link);
	upstream->stats.n_under_way--;
	free(request->refusal);
	free(request);
	(void)cp_upstream_set_unref(set);
	return NULL;
}

void cp_upstream_request_finish(struct cp_upstream_request *request,
				const struct cp_upstream_answer *answer)
{
	struct cp_upstream_stats *stats = &request->set->upstream->stats;
	cp_upstream_fn fn = request->fn;
	void *userdata = request->userdata;

	if (answer->status == 0)
		stats->n_answered++;
	else if (answer->status != -ECANCELED)
		stats->n_failed++;
	(void)cp_upstream_request_free(request);
	fn(userdata, answer);
}

/* With the refusal of a server if there is one, else with the best of reasons. */
static void give_up(struct cp_upstream_request *request)
{
	struct cp_upstream_answer answer = {
		.status = CP_UPSTREAM_E_UNREACHABLE
	};
	uint8_t *refusal = sn_steal(&request->refusal);

	if (refusal)
		answer = (struct cp_upstream_answer){
			.message = refusal,
			.size = request->refusal_size,
		};
	else if (request->was_silent)
		answer.status = CP_UPSTREAM_E_TIMEOUT;
	else if (request->was_unverified)
		answer.status = CP_UPSTREAM_E_TLS;
	else if (request->error)
		answer.status = request->error;
	cp_upstream_request_finish(request, &answer);
	free(refusal);
}

/* The next server that has not failed, with a longer wait once all had their
 * turn. */
static void go_on(struct cp_upstream_request *request)
{
	struct cp_upstream *upstream = request->set->upstream;
	const struct cp_upstream_try *last = current(request);
	uint8_t n = request->set->n;

	for (uint8_t i = 0; i < n; i++) {
		if (++request->at == n) {
			request->at = 0;
			if (request->round < ROUNDS_MAX)
				request->round++;
		}
		if (current(request)->is_over)
			continue;
		if (current(request) != last)
			upstream->stats.n_failovers++;
		begin(current(request));
		put_deadline(request);
		return;
	}
	give_up(request);
}

void cp_upstream_request_time_out(struct cp_upstream_request *request)
{
	struct cp_upstream *upstream = request->set->upstream;
	struct cp_upstream_try *try = current(request);

	request->was_silent = true;
	if (request->pending) {
		give_up(request);
		return;
	}
	/* One lost packet of a server that answers others says nothing. */
	if (try->server->answered_ms < try->sent_ms)
		cp_upstream_server_failed(try->server);
	if (cp_upstream_now(upstream) >= request->end_ms)
		give_up(request);
	else
		go_on(request);
}

static void fail(struct cp_upstream_try *try)
{
	struct cp_upstream_request *request = try->request;

	try->is_over = true;
	if (try == current(request))
		go_on(request);
}

void cp_upstream_request_failed(struct cp_upstream_try *try, int why)
{
	struct cp_upstream_request *request = try->request;

	if (why == CP_UPSTREAM_E_TIMEOUT)
		request->was_silent = true;
	else if (why == CP_UPSTREAM_E_TLS)
		request->was_unverified = true;
	else if (why < 0)
		request->error = why;
	if (why > 0)
		cp_upstream_server_failed(try->server);
	fail(try);
}

/* The same server once more, in another way. */
static void again(struct cp_upstream_try *try)
{
	begin(try);
	if (try == current(try->request))
		put_deadline(try->request);
}

void cp_upstream_request_distrust(struct cp_upstream_try *try)
{
	try->by_stream = true;
	again(try);
}

static bool is_refusal(unsigned int rcode)
{
	return rcode == CP_UPSTREAM_QUERY_SERVFAIL ||
	       rcode == CP_UPSTREAM_QUERY_NOTIMP ||
	       rcode == CP_UPSTREAM_QUERY_REFUSED;
}

static bool has_other(const struct cp_upstream_request *request,
		      const struct cp_upstream_try *than)
{
	for (uint8_t i = 0; i < request->set->n; i++)
		if (&request->tries[i] != than && !request->tries[i].is_over)
			return true;
	return false;
}

/* Another server may know better; if none does, this is the answer. */
static void keep_refusal(struct cp_upstream_try *try, const uint8_t *message,
			 size_t size)
{
	struct cp_upstream_request *request = try->request;

	if (!request->refusal && size <= REFUSAL_BYTES) {
		request->refusal = malloc(size);
		if (request->refusal) {
			(void)memcpy(request->refusal, message, size);
			request->refusal_size = size;
		}
	}
	fail(try);
}

/* Asks without EDNS, unless that was it already. */
static bool leave_edns(struct cp_upstream_try *try)
{
	if (!try->has_edns)
		return false;
	try->no_edns = true;
	again(try);
	return true;
}

void cp_upstream_request_bare(struct cp_upstream_try *try)
{
	cp_upstream_server_answered(try->server);
	if (!leave_edns(try))
		fail(try);
}

void cp_upstream_request_answered(struct cp_upstream_try *try, uint8_t *message,
				  size_t size, bool is_truncated)
{
	struct cp_upstream_request *request = try->request;
	struct cp_upstream_query query = cp_upstream_request_query(try);
	unsigned int rcode = cp_upstream_query_rcode(message);
	struct cp_upstream_server *server = try->server;
	struct cp_upstream_answer answer = { .message = message, .size = size };

	cp_upstream_server_answered(server);
	if (rcode == CP_UPSTREAM_QUERY_FORMERR &&
	    !cp_upstream_query_has_additional(message) && leave_edns(try))
		return;
	if (try->no_edns && rcode != CP_UPSTREAM_QUERY_FORMERR)
		server->no_edns_until_ms =
			server->answered_ms + CP_UPSTREAM_SERVER_NO_EDNS_MS;
	if (is_truncated) {
		server->upstream->stats.n_truncated++;
		try->by_stream = true;
		again(try);
		return;
	}
	cp_upstream_query_clean(&query, message);
	if (is_refusal(rcode) && has_other(request, try)) {
		keep_refusal(try, message, size);
		return;
	}
	cp_upstream_request_finish(request, &answer);
}
