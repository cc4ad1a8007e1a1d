/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/metrics/host.h"

#include <stdio.h>

#include "controld/control/control.h"
#include "controld/dns/server.h"
#include "controld/events/events.h"
#include "controld/http/http.h"
#include "controld/metrics/detection.h"
#include "controld/metrics/detectors.h"
#include "controld/runtime/runtime.h"
#include "controld/state/state.h"
#include "shared/log.h"
#include "shared/runtime.h"

static void put(struct cp_metrics_page *page, enum cp_metrics_id id,
		const char *labels, uint64_t value)
{
	cp_metrics_page_put(page, id, labels, "", value);
}

static void put_build(struct cp_metrics_page *page, const char *version,
		      const struct cp_attach_status *status)
{
	char dp[SN_IPC_VERSION_BYTES + 1], own[64], other[96];
	char text[256];

	(void)snprintf(dp, sizeof(dp), "%.*s", SN_IPC_VERSION_BYTES,
		       status->hello.version);
	(void)snprintf(text, sizeof(text), "version=\"%s\",dp_version=\"%s\"",
		       cp_metrics_page_escape(version, own, sizeof(own)),
		       cp_metrics_page_escape(dp, other, sizeof(other)));
	put(page, CP_METRICS_BUILD_INFO, text, 1);
}

static void put_table(void *userdata, const char *name, uint64_t entries,
		      uint64_t capacity)
{
	struct cp_metrics_page *page = userdata;
	char text[64];

	(void)snprintf(text, sizeof(text), "table=\"%s\"", name);
	put(page, CP_METRICS_TABLE_ENTRIES, text, entries);
	put(page, CP_METRICS_TABLE_CAPACITY, text, capacity);
}

static void put_attachments(struct cp_metrics_page *page,
			    const struct cp_attach_status *status)
{
	put(page, CP_METRICS_ATTACHMENTS, "", status->n_attachments);
	put(page, CP_METRICS_ATTACHMENTS_WAITING, "", status->n_waiting);
	put(page, CP_METRICS_ATTACHMENTS_MAX, "", status->max_attachments);
	put(page, CP_METRICS_QUOTA, "of=\"flows\"", status->flow_quota);
	put(page, CP_METRICS_QUOTA, "of=\"learnt-names\"",
	    status->quotas.names);
	put(page, CP_METRICS_QUOTA, "of=\"learnt-addresses\"",
	    status->quotas.addresses);
}

static void put_link(struct cp_metrics_page *page,
		     const struct cp_attach_status *status, uint64_t now_ns)
{
	put(page, CP_METRICS_LINK_UP, "", status->is_connected);
	put(page, CP_METRICS_LINK_READY, "", status->is_ready);
	put(page, CP_METRICS_LINK_CONNECTS, "", status->n_connected);
	if (status->polled_ns)
		cp_metrics_page_put_ns(page, CP_METRICS_LINK_CHECKED, "",
				       now_ns - status->polled_ns);
	else
		cp_metrics_page_put_signed(page, CP_METRICS_LINK_CHECKED, "",
					   -1);
	put(page, CP_METRICS_DP_REFUSED, "what=\"records\"",
	    status->stats.records_refused);
	put(page, CP_METRICS_DP_REFUSED, "what=\"peers\"",
	    status->stats.peers_refused);
	put(page, CP_METRICS_CHANGES, "state=\"waiting\"",
	    status->n_ops - SN_MIN(status->n_ops_running, status->n_ops));
	put(page, CP_METRICS_CHANGES, "state=\"running\"",
	    status->n_ops_running);
	put(page, CP_METRICS_LEARNS, "", status->n_learns);
}

static void put_queries(struct cp_metrics_page *page,
			const struct cp_dns_resolve_stats *stats)
{
	static const char *const ends[] = {
		[CP_ATTACH_DNS_END_ALLOWED] = "result=\"allowed\"",
		[CP_ATTACH_DNS_END_BLOCKED] = "result=\"blocked\"",
		[CP_ATTACH_DNS_END_FAILED] = "result=\"failed\"",
	};
	enum cp_metrics_id id = CP_METRICS_DNS_QUERIES;

	put(page, id, "result=\"allowed\"", stats->n_allowed);
	put(page, id, "result=\"blocked\"", stats->n_blocked);
	put(page, id, "result=\"failed-malformed\"", stats->n_failed_malformed);
	put(page, id, "result=\"failed-upstream\"", stats->n_failed_upstream);
	put(page, id, "result=\"failed-quota\"", stats->n_failed_quota);
	put(page, id, "result=\"failed-learn\"", stats->n_failed_learn);
	put(page, id, "result=\"failed-busy\"", stats->n_failed_busy);
	put(page, id, "result=\"failed-proxy\"", stats->n_failed_proxy);
	put(page, id, "result=\"ignored\"", stats->n_ignored);
	put(page, CP_METRICS_DNS_WAITING, "", stats->n_waiting);
	for (size_t i = 0; i < SN_ARRAY_SIZE(ends); i++)
		cp_metrics_page_put_histogram(
			page, CP_METRICS_DNS_LATENCY, ends[i],
			cp_dns_resolve_latency_bounds, stats->latency[i].n,
			CP_DNS_RESOLVE_LATENCIES, stats->latency[i].sum_ns);
	id = CP_METRICS_DNS_CACHE_LOOKUPS;
	put(page, id, "result=\"hit\"", stats->cache.n_hits);
	put(page, id, "result=\"miss\"", stats->cache.n_misses);
	put(page, CP_METRICS_DNS_CACHE_EVICTED, "", stats->cache.n_evicted);
	put(page, CP_METRICS_DNS_CACHE_ENTRIES, "", stats->cache.n_entries);
	put(page, CP_METRICS_DNS_CACHE_BYTES, "", stats->cache.bytes);
}

static void put_dns(struct cp_metrics_page *page,
		    const struct cp_dns_server *dns)
{
	struct cp_dns_server_status status;
	enum cp_metrics_id id = CP_METRICS_DNS_TCP;

	cp_dns_server_get_status(dns, &status);
	put_queries(page, &status.resolve);
	put(page, CP_METRICS_DNS_TCP_CONNECTIONS, "", status.tcp.n_connections);
	put(page, id, "what=\"accepted\"", status.tcp.n_accepted);
	put(page, id, "what=\"refused\"", status.tcp.n_refused);
	put(page, id, "what=\"evicted\"", status.tcp.n_evicted);
	put(page, id, "what=\"expired\"", status.tcp.n_expired);
	put(page, CP_METRICS_DNS_LISTENERS, "", status.n_listeners);
	put(page, CP_METRICS_DNS_LISTENERS_WANTED, "",
	    status.n_listeners_wanted);
	put(page, CP_METRICS_UPSTREAM_SERVERS, "", status.n_upstreams);
	put(page, CP_METRICS_UPSTREAM_WAITING, "", status.upstream.n_under_way);
	id = CP_METRICS_UPSTREAM;
	put(page, id, "what=\"asked\"", status.upstream.n_asked);
	put(page, id, "what=\"answered\"", status.upstream.n_answered);
	put(page, id, "what=\"failed\"", status.upstream.n_failed);
	put(page, id, "what=\"retransmitted\"",
	    status.upstream.n_retransmitted);
	put(page, id, "what=\"failover\"", status.upstream.n_failovers);
	put(page, id, "what=\"truncated\"", status.upstream.n_truncated);
	id = CP_METRICS_UPSTREAM_REFUSED;
	put(page, id, "why=\"mismatch\"", status.upstream.n_mismatched);
	put(page, id, "why=\"tls\"", status.upstream.n_tls_refused);
}

static void put_control(struct cp_metrics_page *page,
			const struct cp_control *control)
{
	static const char *const states[] = {
		[CP_CONTROL_STATE_WAITING] = "state=\"waiting\"",
		[CP_CONTROL_STATE_CONNECTING] = "state=\"connecting\"",
		[CP_CONTROL_STATE_SYNCING] = "state=\"syncing\"",
		[CP_CONTROL_STATE_SYNCED] = "state=\"synced\"",
	};
	struct cp_control_status status;

	cp_control_get_status(control, &status);
	put(page, CP_METRICS_CONTROL_STATE, states[status.state], 1);
	cp_metrics_page_put_signed(page, CP_METRICS_CONTROL_SYNC, "",
				   status.last_sync_s);
	put(page, CP_METRICS_CONTROL_QUEUED, "", status.n_queued);
	put(page, CP_METRICS_CONTROL_DROPPED, "", status.n_dropped);
	put(page, CP_METRICS_CONTROL_COMMANDS, "result=\"done\"",
	    status.n_commands - SN_MIN(status.n_refused, status.n_commands));
	put(page, CP_METRICS_CONTROL_COMMANDS, "result=\"refused\"",
	    status.n_refused);
	put(page, CP_METRICS_CONTROL_CLOSED, "", status.n_closed);
}

static void put_events(struct cp_metrics_page *page,
		       const struct cp_events *events)
{
	struct cp_events_stats stats;

	cp_events_get_stats(events, &stats);
	put(page, CP_METRICS_EVENTS, "result=\"recorded\"", stats.n_recorded);
	put(page, CP_METRICS_EVENTS, "result=\"limited\"", stats.n_limited);
	put(page, CP_METRICS_EVENTS_MISSED, "", stats.n_missed);
	put(page, CP_METRICS_EVENTS_READERS, "", stats.n_watchers);
	put(page, CP_METRICS_EVENTS_HELD, "", stats.n_held);
	put(page, CP_METRICS_EVENTS_LIMIT, "", stats.n_held_max);
}

static void put_runtime_event(struct cp_metrics_page *page,
			      const struct cp_runtime_status *status,
			      size_t event)
{
	const struct sn_rt_count *count = &status->ledger.of[event];
	const struct cp_runtime_counts *counts = status->counts;
	enum cp_metrics_id id = CP_METRICS_RUNTIME_DROPPED;
	char text[64];

	(void)snprintf(text, sizeof(text), "event=\"%s\"",
		       event == SN_RT_EVENT_NONE ?
			       "process" :
			       sn_runtime_events[event].name);
	put(page, CP_METRICS_RUNTIME_EVENTS, text,
	    counts->received[event] - counts->filtered[event] -
		    counts->lost[event]);
	put(page, CP_METRICS_RUNTIME_FILTERED, text, counts->filtered[event]);
	cp_metrics_page_put(page, id, text, "cause=\"daemon\"",
			    counts->lost[event]);
	/* As 0 they would seem to have been reset. */
	if (!status->is_counted && status->state != CP_RUNTIME_HOST_UNSUPPORTED)
		return;
	put(page, CP_METRICS_RUNTIME_GENERATED, text, count->generated);
	put(page, CP_METRICS_RUNTIME_SUMMED, text, count->summed);
	cp_metrics_page_put(page, id, text, "cause=\"budget\"",
			    count->over_budget);
	cp_metrics_page_put(page, id, text, "cause=\"ring\"", count->ring_full);
	cp_metrics_page_put(page, id, text, "cause=\"memory\"", count->failed);
}

static void put_runtime(struct cp_metrics_page *page,
			const struct cp_runtime *runtime)
{
	static const char *const states[] = {
		[CP_RUNTIME_HOST_AWAY] = "state=\"away\"",
		[CP_RUNTIME_HOST_UNSUPPORTED] = "state=\"unsupported\"",
		[CP_RUNTIME_HOST_CHANGING] = "state=\"changing\"",
		[CP_RUNTIME_HOST_IN_FORCE] = "state=\"in-force\"",
		[CP_RUNTIME_HOST_REFUSED] = "state=\"refused\"",
	};
	struct cp_runtime_status status;

	cp_runtime_get_status(runtime, &status);
	put(page, CP_METRICS_RUNTIME_STATE,
	    status.is_enabled ? states[status.state] : "state=\"off\"", 1);
	for (size_t i = 0; i < SN_RT_EVENT_COUNT; i++)
		put_runtime_event(page, &status, i);
	put(page, CP_METRICS_RUNTIME_MALFORMED, "", status.n_malformed);
	put(page, CP_METRICS_RUNTIME_PROCESSES, "", status.n_processes);
	put(page, CP_METRICS_RUNTIME_READERS, "", status.n_watchers);
	put(page, CP_METRICS_RUNTIME_MISSED, "", status.n_missed);
	put(page, CP_METRICS_RUNTIME_HELD, "", status.n_held_bytes);
	put(page, CP_METRICS_RUNTIME_FILE, "result=\"written\"",
	    status.output.n_written);
	put(page, CP_METRICS_RUNTIME_FILE, "result=\"dropped\"",
	    status.output.n_dropped);
}

static void put_state(struct cp_metrics_page *page,
		      const struct cp_state *state,
		      const struct cp_attach_status *status)
{
	struct cp_state_stats stats;

	cp_state_get_stats(state, &stats);
	put(page, CP_METRICS_STATE_WRITES, "kind=\"file\"", stats.n_files);
	put(page, CP_METRICS_STATE_WRITES, "kind=\"journal\"",
	    stats.n_writes - stats.n_files);
	put(page, CP_METRICS_STATE_FAILED, "", stats.n_failed);
	put(page, CP_METRICS_STATE_JOURNAL, "", stats.journal_bytes);
	put(page, CP_METRICS_STATE_WAITING, "", stats.n_waiting);
	put(page, CP_METRICS_LEARNT_WRITES, "", status->n_names_writes);
	put(page, CP_METRICS_LEARNT_FAILED, "", status->n_names_failed);
}

void cp_metrics_host_put(struct cp_metrics_page *page,
			 const struct cp_metrics_host *host,
			 const struct cp_attach_status *status, uint64_t now_ns)
{
	put_build(page, host->version, status);
	put_attachments(page, status);
	cp_attach_info_each_table(status, put_table, page);
	put_link(page, status, now_ns);
	put_dns(page, host->dns);
	if (host->control)
		put_control(page, host->control);
	put_events(page, host->events);
	if (host->runtime)
		put_runtime(page, host->runtime);
	if (host->findings)
		cp_metrics_detection_put(page, host->findings, host->detection);
	if (host->feeds)
		cp_metrics_detectors_put(page, host->feeds);
	put_state(page, host->state, status);
	put(page, CP_METRICS_LOG_SUPPRESSED, "", sn_log_count_suppressed());
}

void cp_metrics_host_put_http(struct cp_metrics_page *page, const char *name,
			      const struct cp_http_stats *stats)
{
	static const struct {
		const char *label;
		size_t index;
	} classes[] = {
		{ "class=\"2xx\"", 2 },
		{ "class=\"4xx\"", 4 },
		{ "class=\"5xx\"", 5 },
	};
	char text[64];

	(void)snprintf(text, sizeof(text), "server=\"%s\"", name);
	put(page, CP_METRICS_HTTP_CONNECTIONS, text, stats->n_connections);
	put(page, CP_METRICS_HTTP_CUT, text, stats->n_cut);
	cp_metrics_page_put(page, CP_METRICS_HTTP_REQUESTS, text,
			    "result=\"served\"", stats->n_requests);
	cp_metrics_page_put(page, CP_METRICS_HTTP_REQUESTS, text,
			    "result=\"refused\"", stats->n_refused);
	for (size_t i = 0; i < SN_ARRAY_SIZE(classes); i++)
		cp_metrics_page_put(page, CP_METRICS_HTTP_ANSWERS, text,
				    classes[i].label,
				    stats->n_answers[classes[i].index]);
}
