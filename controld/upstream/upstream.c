/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/upstream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controld/upstream/internal.h"
#include "controld/upstream/request.h"
#include "controld/upstream/server.h"
#include "controld/upstream/stream.h"
#include "controld/upstream/udp.h"
#include "controld/upstream/validator.h"

enum {
	TIMEOUT_MS = 4000,
	TRY_MS = 400,
	TCP_IDLE_MS = 10000,
};

static void prepared(uv_prepare_t *prepare);
static void kept(uv_timer_t *keep);

static struct cp_upstream *destroy(struct cp_upstream *upstream)
{
	if (!upstream)
		return NULL;
	(void)cp_upstream_tls_context_free(upstream->tls);
	(void)cp_upstream_udp_free(upstream->batch);
	free(upstream->trust_anchor_file);
	free(upstream);
	return NULL;
}

SN_DEFINE_CLEANUP(struct cp_upstream, destroy)

void cp_upstream_handle_closed(struct cp_upstream *upstream)
{
	if (--upstream->n_handles > 0 || !upstream->is_closed)
		return;
	if (upstream->closed)
		upstream->closed(upstream->closed_userdata);
	(void)destroy(upstream);
}

static void own_handle_closed(uv_handle_t *handle)
{
	cp_upstream_handle_closed(handle->data);
}

static void start_keeping(struct cp_upstream *upstream)
{
	if (!uv_is_active((uv_handle_t *)&upstream->keep))
		(void)uv_timer_start(&upstream->keep, kept, CP_UPSTREAM_KEEP_MS,
				     CP_UPSTREAM_KEEP_MS);
}

void cp_upstream_wake_loop(struct cp_upstream *upstream)
{
	if (upstream->is_closed)
		return;
	(void)uv_prepare_start(&upstream->prepare, prepared);
	start_keeping(upstream);
}

void cp_upstream_wake(struct cp_upstream_server *server)
{
	if (server->is_ready)
		return;
	server->is_ready = true;
	TAILQ_INSERT_TAIL(&server->upstream->ready, server, ready_link);
	cp_upstream_wake_loop(server->upstream);
}

static void leave_servers(struct cp_upstream_set *set)
{
	for (uint8_t i = 0; i < set->n; i++)
		set->servers[i] = cp_upstream_server_unref(set->servers[i]);
	set->n = 0;
}

/* A set that is still held loses everything but its memory. */
static void forget(struct cp_upstream_set *set)
{
	set->validator = cp_upstream_validator_free(set->validator);
	leave_servers(set);
	LIST_REMOVE(set, link);
	set->upstream = NULL;
	if (set->n_users == 0)
		free(set);
}

static void cancel_all(struct cp_upstream *upstream)
{
	const struct cp_upstream_answer answer = { .status = -ECANCELED };
	struct cp_upstream_request *request;

	while ((request = LIST_FIRST(&upstream->requests)))
		cp_upstream_request_finish(request, &answer);
}

static void shut(struct cp_upstream *upstream)
{
	cancel_all(upstream);
	upstream->is_closed = true;
	while (!LIST_EMPTY(&upstream->sets))
		forget(LIST_FIRST(&upstream->sets));
	uv_close((uv_handle_t *)&upstream->prepare, own_handle_closed);
	uv_close((uv_handle_t *)&upstream->tick, own_handle_closed);
	uv_close((uv_handle_t *)&upstream->keep, own_handle_closed);
}

/* Those that become ready meanwhile have to wait for the next turn. */
static void flush(struct cp_upstream *upstream)
{
	struct cp_upstream_server *last =
		TAILQ_LAST(&upstream->ready, cp_upstream_ready);
	struct cp_upstream_server *server;

	while ((server = TAILQ_FIRST(&upstream->ready))) {
		TAILQ_REMOVE(&upstream->ready, server, ready_link);
		server->is_ready = false;
		cp_upstream_udp_flush(server);
		cp_upstream_stream_flush(server);
		if (server == last)
			break;
	}
}

static void prepared(uv_prepare_t *prepare)
{
	struct cp_upstream *upstream = prepare->data;

	(void)uv_prepare_stop(prepare);
	if (upstream->is_closing) {
		shut(upstream);
		return;
	}
	cp_upstream_validator_flush(upstream);
	flush(upstream);
	if (!TAILQ_EMPTY(&upstream->ready) || upstream->is_closing)
		cp_upstream_wake_loop(upstream);
}

static void ticked(uv_timer_t *tick)
{
	struct cp_upstream *upstream = tick->data;
	struct cp_upstream_deadline *deadline;

	while ((deadline = cp_upstream_wheel_take(&upstream->wheel,
						  cp_upstream_now(upstream))))
		cp_upstream_request_time_out(sn_container_of(
			deadline, struct cp_upstream_request, deadline));
	if (upstream->stats.n_under_way == 0)
		(void)uv_timer_stop(tick);
}

static void kept(uv_timer_t *keep)
{
	struct cp_upstream *upstream = keep->data;
	uint64_t now = cp_upstream_now(upstream);
	struct cp_upstream_server *server;
	struct cp_upstream_set *set, *next;
	bool has_unused = false;

	LIST_FOREACH(server, &upstream->servers, link) {
		cp_upstream_udp_keep(server, false);
		cp_upstream_stream_keep(server, false);
	}
	for (set = LIST_FIRST(&upstream->sets); set; set = next) {
		next = LIST_NEXT(set, link);
		if (set->n_users > 0)
			continue;
		if (now - set->unused_ms >= CP_UPSTREAM_SET_KEEP_MS)
			forget(set);
		else
			has_unused = true;
	}
	if (upstream->n_sockets == 0 && upstream->n_streams == 0 && !has_unused)
		(void)uv_timer_stop(keep);
}

static void init_handles(struct cp_upstream *upstream)
{
	uv_loop_t *loop = upstream->loop;

	/* These three only note the loop. */
	(void)uv_prepare_init(loop, &upstream->prepare);
	(void)uv_timer_init(loop, &upstream->tick);
	(void)uv_timer_init(loop, &upstream->keep);
	upstream->prepare.data = upstream;
	upstream->tick.data = upstream;
	upstream->keep.data = upstream;
	upstream->n_handles = 3;
}

static uint32_t or_default(uint32_t value, uint32_t usual)
{
	return value ? value : usual;
}

int cp_upstream_new(struct cp_upstream **ret,
		    const struct cp_upstream_options *options,
		    struct sn_diag *diag)
{
	sn_cleanup(destroyp) struct cp_upstream *upstream = NULL;
	int r;

	upstream = calloc(1, sizeof(*upstream));
	if (!upstream)
		return sn_trace(-ENOMEM);
	upstream->loop = options->loop;
	upstream->timeout_ms = or_default(options->timeout_ms, TIMEOUT_MS);
	upstream->try_ms = or_default(options->try_ms, TRY_MS);
	upstream->tcp_idle_ms = or_default(options->tcp_idle_ms, TCP_IDLE_MS);
	upstream->requests_max =
		or_default(options->requests_max, CP_UPSTREAM_REQUESTS_MAX);
	TAILQ_INIT(&upstream->ready);
	TAILQ_INIT(&upstream->told);
	if (options->trust_anchor_file) {
		upstream->trust_anchor_file =
			strdup(options->trust_anchor_file);
		if (!upstream->trust_anchor_file)
			return sn_trace(-ENOMEM);
	}
	r = cp_upstream_udp_new(&upstream->batch);
	if (r == 0)
		r = cp_upstream_tls_context_new(&upstream->tls,
						options->ca_file, diag);
	if (r < 0)
		return r;
	init_handles(upstream);
	*ret = sn_steal(&upstream);
	return 0;
}

void cp_upstream_close(struct cp_upstream *upstream,
		       void (*closed)(void *userdata), void *userdata)
{
	if (upstream->is_closing)
		return;
	upstream->is_closing = true;
	upstream->closed = closed;
	upstream->closed_userdata = userdata;
	cp_upstream_wake_loop(upstream);
}

static struct cp_upstream_set *find(const struct cp_upstream *upstream,
				    const struct cp_upstream_set *like)
{
	struct cp_upstream_set *set;

	LIST_FOREACH(set, &upstream->sets, link)
		if (set->n == like->n && set->dnssec == like->dnssec &&
		    memcmp(set->servers, like->servers, sizeof(set->servers)) ==
			    0)
			break;
	return set;
}

static int make_set(struct cp_upstream *upstream,
		    const struct cp_dns_upstream *servers, size_t n,
		    bool dnssec, struct cp_upstream_set **ret)
{
	struct cp_upstream_set *set;
	int r = 0;

	set = calloc(1, sizeof(*set));
	if (!set)
		return sn_trace(-ENOMEM);
	set->upstream = upstream;
	set->dnssec = dnssec;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = cp_upstream_server_get(upstream, &servers[i],
					   &set->servers[i]);
		if (r == 0)
			set->n++;
	}
	if (r < 0) {
		leave_servers(set);
		free(set);
		return r;
	}
	*ret = set;
	return 0;
}

int cp_upstream_set_get(struct cp_upstream *upstream,
			const struct cp_dns_upstream *servers, size_t n,
			bool dnssec, struct cp_upstream_set **ret)
{
	static uint64_t last_id;
	struct cp_upstream_set *made, *set;
	int r;

	assert(n > 0 && n <= CP_DNS_UPSTREAMS_MAX);
	if (upstream->is_closing)
		return -ECANCELED;
	if (dnssec) {
		r = cp_upstream_validator_check(upstream, servers, n);
		if (r < 0)
			return r;
	}
	r = make_set(upstream, servers, n, dnssec, &made);
	if (r < 0)
		return r;
	set = find(upstream, made);
	if (set) {
		leave_servers(made);
		free(made);
	} else {
		set = made;
		set->id = ++last_id;
		LIST_INSERT_HEAD(&upstream->sets, set, link);
	}
	set->n_users++;
	*ret = set;
	return 0;
}

struct cp_upstream_set *cp_upstream_set_unref(struct cp_upstream_set *set)
{
	if (!set || --set->n_users > 0)
		return NULL;
	if (!set->upstream) {
		free(set);
		return NULL;
	}
	set->unused_ms = cp_upstream_now(set->upstream);
	if (!set->upstream->is_closed)
		start_keeping(set->upstream);
	return NULL;
}

uint64_t cp_upstream_set_id(const struct cp_upstream_set *set)
{
	return set->id;
}

int cp_upstream_ask(struct cp_upstream_set *set,
		    const struct cp_upstream_question *question,
		    cp_upstream_fn fn, void *userdata,
		    struct cp_upstream_request **ret)
{
	struct cp_upstream *upstream = set->upstream;
	int r;

	if (!upstream || upstream->is_closing)
		return -ECANCELED;
	if (upstream->stats.n_under_way >= upstream->requests_max)
		return -ENOBUFS;
	r = cp_upstream_request_new(set, question, fn, userdata, ret);
	if (r < 0)
		return r;
	if (!uv_is_active((uv_handle_t *)&upstream->tick))
		(void)uv_timer_start(&upstream->tick, ticked,
				     CP_UPSTREAM_WHEEL_TICK_MS,
				     CP_UPSTREAM_WHEEL_TICK_MS);
	return 0;
}

void cp_upstream_cancel(struct cp_upstream_request *request)
{
	(void)cp_upstream_request_free(request);
}

void cp_upstream_get_stats(const struct cp_upstream *upstream,
			   struct cp_upstream_stats *ret)
{
	*ret = upstream->stats;
}
