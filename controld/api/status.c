/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/status.h"

#include <grpc/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/detection.h"
#include "controld/api/detectors.h"
#include "controld/api/pending.h"
#include "controld/api/runtime_status.h"
#include "controld/control/control.h"
#include "controld/dns/server.h"
#include "controld/events/events.h"
#include "shared/util.h"

enum {
	WARNINGS_MAX = 64,
	WARNING_BYTES = 512,
	TABLES_MAX = 4,
	REASON_BYTES = 256,
};

/* The answer and everything it points to. */
struct report {
	Sentinel__V1__GetStatusResponse message;
	Sentinel__V1__DataplaneStatus dataplane;
	Sentinel__V1__ControlPlaneStatus control;
	Sentinel__V1__EventsStatus events;
	Sentinel__V1__TrafficStatus traffic;
	Sentinel__V1__DnsStatus dns;
	Sentinel__V1__LatencyCount latencies[CP_DNS_RESOLVE_LATENCIES];
	Sentinel__V1__LatencyCount *latency_ptrs[CP_DNS_RESOLVE_LATENCIES];
	char version[SN_IPC_VERSION_BYTES + 1];
	Sentinel__V1__TableStatus tables[TABLES_MAX];
	Sentinel__V1__TableStatus *table_ptrs[TABLES_MAX];
	Sentinel__V1__FeatureStatus features[SN_FEATURE_COUNT];
	Sentinel__V1__FeatureStatus *feature_ptrs[SN_FEATURE_COUNT];
	char reasons[SN_FEATURE_COUNT][REASON_BYTES];
	char warnings[WARNINGS_MAX][WARNING_BYTES];
	char *warning_ptrs[WARNINGS_MAX];
	size_t n_unshown;
	struct cp_api_runtime_status runtime;
	Sentinel__V1__DetectionStatus detection;
	struct cp_api_detectors detectors;
};

static void warn(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(struct report *report, const char *format, ...)
{
	size_t n = report->message.n_warnings;
	va_list args;

	/* The last one is for how many more there are. */
	if (n >= WARNINGS_MAX - 1) {
		report->n_unshown++;
		return;
	}
	va_start(args, format);
	(void)vsnprintf(report->warnings[n], WARNING_BYTES, format, args);
	va_end(args);
	report->warning_ptrs[n] = report->warnings[n];
	report->message.n_warnings++;
}

static void put_table(void *userdata, const char *name, uint64_t entries,
		      uint64_t capacity)
{
	struct report *report = userdata;
	size_t n = report->message.n_tables++;
	Sentinel__V1__TableStatus *table = &report->tables[n];

	sentinel__v1__table_status__init(table);
	table->name = sn_borrow(name);
	table->entries = entries;
	table->capacity = capacity;
	report->table_ptrs[n] = table;
	if (capacity && entries >= capacity - capacity / 10)
		warn(report, "table %s is nine tenths full: %llu of %llu", name,
		     (unsigned long long)entries, (unsigned long long)capacity);
}

static const char *const feature_names[SN_FEATURE_COUNT] = {
	[SN_FEATURE_EGRESS_TC] = "egress-tc",
	[SN_FEATURE_EGRESS_CGROUP] = "egress-cgroup",
	[SN_FEATURE_DNS_TC] = "dns-tc",
	[SN_FEATURE_DNS_CGROUP] = "dns-cgroup",
	[SN_FEATURE_RUNTIME] = "runtime",
};

/* The first program of the feature that failed; NULL. One that options leave out
 * (ECANCELED) did not. */
static const struct sn_program_info *
find_failed(const struct sn_ipc_hello_answer *hello, enum sn_feature feature,
	    bool needed, int *error)
{
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++) {
		const struct sn_program_info *info = &sn_programs_info[i];
		int failure = abs(hello->program_error[i]);

		/* Without functions tracepoints tell the same events. */
		if (info->feature == feature && info->needed == needed &&
		    info->hook != SN_PROGRAM_HOOK_FUNCTION_RETURN && failure &&
		    failure != ECANCELED) {
			*error = failure;
			return info;
		}
	}
	return NULL;
}

static Sentinel__V1__FeatureState
judge_dns_tc(const struct sn_ipc_hello_answer *hello, char reason[REASON_BYTES])
{
	const struct sn_dns *dns = &hello->dns;
	uint64_t n_slots;

	if (!dns->has_tc) {
		(void)snprintf(
			reason, REASON_BYTES,
			"the resolver's interfaces were not there when "
			"sentinel-dp started (run sentinel-netdev): port "
			"53 is dropped");
		return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED;
	}
	n_slots = (1ULL << (32 - dns->range4_bits)) - SN_DNS_SLOT_FIRST;
	if (n_slots >= hello->n_slots)
		return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_FULL;
	(void)snprintf(reason, REASON_BYTES,
		       "the resolver's IPv4 range has addresses for %llu of "
		       "%u attachments",
		       (unsigned long long)n_slots, hello->n_slots);
	return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_PARTIAL;
}

static Sentinel__V1__FeatureState
judge_dns_cgroup(const struct sn_ipc_hello_answer *hello,
		 char reason[REASON_BYTES])
{
	if (!hello->dns.port_cgroup) {
		(void)snprintf(reason, REASON_BYTES,
			       "sentinel-dp tells no port of a resolver");
		return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED;
	}
	(void)snprintf(reason, REASON_BYTES,
		       "sockets in other network namespaces than sentinel-dp's "
		       "have no resolver: their port 53 is dropped");
	return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_PARTIAL;
}

/* Returns whether that is all there is to say. */
static bool judge_runtime(const struct sn_ipc_hello_answer *hello,
			  char reason[REASON_BYTES],
			  Sentinel__V1__FeatureState *state)
{
	int error;

	*state = SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED;
	if (!hello->runtime) {
		error = hello->program_error[SN_PROGRAM_RT_OPEN];
		(void)snprintf(reason, REASON_BYTES, "%s%s",
			       error ? "sentinel-dp could not load it: " :
				       "sentinel-dp runs without --runtime",
			       error ? strerror(error) : "");
		return true;
	}
	*state = SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_PARTIAL;
	if (hello->tracefs && !hello->perf_error)
		return false;
	if (hello->perf_error)
		(void)snprintf(reason, REASON_BYTES,
			       "system calls are not seen: the kernel refuses "
			       "perf_event_open: %s (sentinel-dp was started "
			       "without CAP_SYS_ADMIN)",
			       strerror(abs(hello->perf_error)));
	else
		(void)snprintf(reason, REASON_BYTES,
			       "system calls are not seen: no tracefs was "
			       "mounted when sentinel-dp started");
	return true;
}

static void tell_runtime(const struct sn_ipc_hello_answer *hello,
			 char reason[REASON_BYTES])
{
	int error = hello->program_error[SN_PROGRAM_RT_DONE_UNLINK];
	const char *compat = "";

	if (hello->program_error[SN_PROGRAM_RT_COMPAT])
		compat =
			error ? "; 32-bit calls are not seen (sentinel-dp "
				"runs without --runtime-compat)" :
				"; 32-bit calls by functions only (sentinel-dp "
				"runs without --runtime-compat)";
	if (error)
		(void)snprintf(reason, REASON_BYTES,
			       "by tracepoints: most events are best effort "
			       "(functions of the kernel are refused: %s)%s",
			       strerror(error), compat);
	else
		(void)snprintf(reason, REASON_BYTES,
			       "by functions of the kernel and tracepoints: "
			       "some events are best effort%s",
			       compat);
}

static Sentinel__V1__FeatureState
judge_feature(const struct cp_attach_status *status, enum sn_feature feature,
	      char reason[REASON_BYTES])
{
	Sentinel__V1__FeatureState state;
	const struct sn_program_info *failed;
	bool is_needed = true;
	int error = 0;

	if (!status->has_hello) {
		(void)snprintf(reason, REASON_BYTES,
			       "sentinel-dp has not connected yet");
		return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED;
	}
	if (feature == SN_FEATURE_RUNTIME &&
	    judge_runtime(&status->hello, reason, &state))
		return state;
	failed = find_failed(&status->hello, feature, true, &error);
	if (!failed) {
		failed = find_failed(&status->hello, feature, false, &error);
		is_needed = false;
	}
	if (failed) {
		(void)snprintf(reason, REASON_BYTES,
			       "program %s was not loaded: %s (needs %s and "
			       "kernel %s)",
			       failed->function, strerror(error),
			       failed->capability, failed->kernel);
		return is_needed ?
			       SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_UNSUPPORTED :
			       SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_PARTIAL;
	}
	if (feature == SN_FEATURE_EGRESS_TC && !status->hello.tcx) {
		(void)snprintf(reason, REASON_BYTES,
			       "no TCX links (kernel 6.6): a clsact filter of "
			       "higher priority can pass packets before ours");
		return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_PARTIAL;
	}
	if (feature == SN_FEATURE_DNS_TC)
		return judge_dns_tc(&status->hello, reason);
	if (feature == SN_FEATURE_DNS_CGROUP)
		return judge_dns_cgroup(&status->hello, reason);
	if (feature == SN_FEATURE_RUNTIME) {
		tell_runtime(&status->hello, reason);
		return state;
	}
	return SENTINEL__V1__FEATURE_STATE__FEATURE_STATE_FULL;
}

static void put_features(struct report *report,
			 const struct cp_attach_status *status)
{
	for (size_t i = 0; i < SN_FEATURE_COUNT; i++) {
		Sentinel__V1__FeatureStatus *feature = &report->features[i];

		sentinel__v1__feature_status__init(feature);
		feature->name = sn_borrow(feature_names[i]);
		feature->state = judge_feature(status, (enum sn_feature)i,
					       report->reasons[i]);
		feature->reason = report->reasons[i];
		report->feature_ptrs[i] = feature;
	}
	report->message.features = report->feature_ptrs;
	report->message.n_features = SN_FEATURE_COUNT;
}

static void warn_of_item(struct report *report,
			 const struct cp_attach_info *info)
{
	if (info->state == CP_ATTACH_STATE_WAITING)
		warn(report, "%s waits for its target %.200s", info->id,
		     info->target);
	else if (info->position <= SN_IPC_POSITION_GONE)
		warn(report,
		     "our program is gone from a hook of %.200s (%s): it is "
		     "not enforced; detach and attach it again",
		     info->target, info->id);
	else if (info->state == CP_ATTACH_STATE_REPAIRING)
		warn(report,
		     "%s (%.200s) does not have its policy; this is tried "
		     "again",
		     info->id, info->target);
	else if (info->position > 0)
		warn(report,
		     "another program runs before ours on %.200s (%s) and "
		     "could pass packets",
		     info->target, info->id);
}

/* Steered, without a way to the resolver. */
static bool lacks_resolver(const struct cp_attach_status *status,
			   const struct cp_attach_info *info)
{
	return status->has_hello && info->is_steered && !info->dns_address[0] &&
	       info->state != CP_ATTACH_STATE_WAITING;
}

static void put_control(struct report *report, const struct cp_control *control)
{
	static const Sentinel__V1__ControlPlaneState states[] = {
		[CP_CONTROL_STATE_WAITING] =
			SENTINEL__V1__CONTROL_PLANE_STATE__CONTROL_PLANE_STATE_WAITING,
		[CP_CONTROL_STATE_CONNECTING] =
			SENTINEL__V1__CONTROL_PLANE_STATE__CONTROL_PLANE_STATE_CONNECTING,
		[CP_CONTROL_STATE_SYNCING] =
			SENTINEL__V1__CONTROL_PLANE_STATE__CONTROL_PLANE_STATE_SYNCING,
		[CP_CONTROL_STATE_SYNCED] =
			SENTINEL__V1__CONTROL_PLANE_STATE__CONTROL_PLANE_STATE_SYNCED,
	};
	struct cp_control_status status;

	cp_control_get_status(control, &status);
	sentinel__v1__control_plane_status__init(&report->control);
	report->control.state = states[status.state];
	report->control.url = sn_borrow(status.url);
	report->control.insecure = status.is_insecure;
	report->control.last_sync = status.last_sync_s;
	report->control.queued_events = status.n_queued;
	report->control.dropped_events = status.n_dropped;
	report->control.commands = status.n_commands;
	report->control.commands_refused = status.n_refused;
	report->control.attachments_closed = status.n_closed;
	report->control.last_error = sn_borrow(status.last_error);
	report->message.control_plane = &report->control;
	if (status.is_insecure)
		warn(report,
		     "the control plane %s is neither encrypted nor verified: "
		     "whoever is on the way sets the policies",
		     status.url);
	if (status.state != CP_CONTROL_STATE_SYNCED)
		warn(report,
		     "the control plane is not connected: %s; the last "
		     "policies stay enforced",
		     status.last_error[0] ? status.last_error : "not yet");
	if (status.n_closed > 0)
		warn(report,
		     "%llu attachments are closed until the control plane "
		     "states a policy",
		     (unsigned long long)status.n_closed);
}

static void put_latencies(struct report *report,
			  const struct cp_dns_resolve_stats *stats)
{
	enum { US_TO_NS = 1000 };
	const uint64_t *counts = stats->latency[CP_ATTACH_DNS_END_ALLOWED].n;

	for (size_t i = 0; i < CP_DNS_RESOLVE_LATENCIES; i++) {
		Sentinel__V1__LatencyCount *latency = &report->latencies[i];

		sentinel__v1__latency_count__init(latency);
		if (i < CP_DNS_RESOLVE_LATENCIES - 1)
			latency->up_to_us =
				cp_dns_resolve_latency_bounds[i] / US_TO_NS;
		latency->count = counts[i];
		report->latency_ptrs[i] = latency;
	}
	report->dns.latencies = report->latency_ptrs;
	report->dns.n_latencies = CP_DNS_RESOLVE_LATENCIES;
}

static void put_dns(struct report *report,
		    const struct cp_dns_server_status *status)
{
	const struct cp_dns_resolve_stats *resolve = &status->resolve;
	Sentinel__V1__DnsStatus *dns = &report->dns;

	sentinel__v1__dns_status__init(dns);
	dns->allowed = resolve->n_allowed;
	dns->blocked = resolve->n_blocked;
	dns->failed = resolve->n_failed_malformed + resolve->n_failed_upstream +
		      resolve->n_failed_quota + resolve->n_failed_learn +
		      resolve->n_failed_busy + resolve->n_failed_proxy;
	dns->waiting = resolve->n_waiting;
	dns->upstream_waiting = status->upstream.n_under_way;
	dns->listeners = status->n_listeners;
	dns->listeners_wanted = status->n_listeners_wanted;
	dns->upstreams = (uint32_t)status->n_upstreams;
	dns->upstream_asked = status->upstream.n_asked;
	dns->upstream_failed = status->upstream.n_failed;
	dns->cache_hits = resolve->cache.n_hits;
	dns->cache_misses = resolve->cache.n_misses;
	put_latencies(report, resolve);
	report->message.dns = dns;
}

/* And what keeps names from being resolved at all. */
static void report_dns(struct report *report, const struct cp_api *api,
		       const struct cp_attach_status *status)
{
	struct cp_dns_server_status dns;

	if (!api->options.dns)
		return;
	cp_dns_server_get_status(api->options.dns, &dns);
	put_dns(report, &dns);
	if (status->is_connected && dns.n_listeners < dns.n_listeners_wanted)
		warn(report, "the resolver listens on %u of %u sockets: %.300s",
		     dns.n_listeners, dns.n_listeners_wanted,
		     dns.last_error[0] ? dns.last_error : "not yet");
	if (dns.n_upstreams == 0)
		warn(report, "no upstream server for names is known "
			     "(dns.upstreams, dns.resolv_conf): where a policy "
			     "states none, every name fails");
}

/* Does something wait for it, or will what comes? */
static bool has_events(const Sentinel__V1__DetectorStatus *one)
{
	return one->in_memory + one->on_disk > 0 ||
	       (one->enabled && !one->no_events[0]);
}

static void warn_of_detectors(struct report *report)
{
	const Sentinel__V1__GetStatusResponse *message = &report->message;

	for (size_t i = 0; i < message->n_detectors; i++) {
		const Sentinel__V1__DetectorStatus *one = message->detectors[i];

		if (one->error[0] &&
		    one->state !=
			    SENTINEL__V1__DETECTOR_STATE__DETECTOR_STATE_STREAMING)
			warn(report, "detector '%s' is not there: %s%s",
			     one->name, one->error,
			     has_events(one) ? "; its events wait" : "");
		if (one->no_events[0])
			warn(report, "detector '%s' gets no events: %s",
			     one->name, one->no_events);
		if (one->filter_error[0])
			warn(report,
			     "the filter of detector '%s' was refused: %s; the "
			     "one before stays",
			     one->name, one->filter_error);
		if (one->disk_error[0])
			warn(report, "the spool of detector '%s': %s",
			     one->name, one->disk_error);
		if (one->report_error[0])
			warn(report, "detector '%s' takes no findings: %s",
			     one->name, one->report_error);
	}
}

static void warn_of_runtime(struct report *report)
{
	const Sentinel__V1__RuntimeStatus *runtime = report->message.runtime;

	if (runtime && runtime->error[0])
		warn(report,
		     "the rules of runtime events are not in force: %s; those "
		     "before stay",
		     runtime->error);
	if (runtime && runtime->file_error[0])
		warn(report, "the file of runtime events lacks events: %s",
		     runtime->file_error);
}

static void warn_of_detection(struct report *report)
{
	const Sentinel__V1__DetectionStatus *detection =
		report->message.detection;
	const Sentinel__V1__RuntimeStatus *runtime = report->message.runtime;

	if (!detection)
		return;
	if (detection->error[0])
		warn(report,
		     "the detection rules were refused: %s; those before stay",
		     detection->error);
	if (detection->enabled > 0 && !detection->in_force &&
	    !(runtime && runtime->error[0]))
		warn(report, "the detection rules are not in force: they need "
			     "runtime.enabled, and sentinel-dp with --runtime");
}

static void add_traffic(Sentinel__V1__TrafficStatus *traffic,
			const struct cp_attach_totals *totals)
{
	const struct sn_counters *counters = &totals->counters;

	for (int i = 0; i < 2; i++) {
		traffic->packets_allowed += counters->allowed_packets[i];
		traffic->packets_blocked += counters->blocked_packets[i];
		traffic->bytes_allowed += counters->allowed_bytes[i];
		traffic->bytes_blocked += counters->blocked_bytes[i];
	}
	traffic->calls_refused += totals->reasons.count[SN_REASON_CALL_REFUSED];
}

static void put_warnings(struct report *report, struct cp_api *api,
			 const struct cp_attach_status *status)
{
	struct cp_attach *manager = api->options.manager;
	const struct cp_attach_item *item;
	struct cp_attach_info info;
	size_t n_lacking = 0;

	if (api->options.warning)
		warn(report, "%s", api->options.warning);
	if (api->options.control)
		put_control(report, api->options.control);
	if (!status->is_connected)
		warn(report,
		     "sentinel-dp is not connected: %s; the last policies stay "
		     "enforced and cannot be changed",
		     status->last_error[0] ? status->last_error : "not yet");
	else if (!status->is_ready)
		warn(report, "policies are being compared with those that "
			     "sentinel-dp enforces; changes have to wait");
	report_dns(report, api, status);
	warn_of_runtime(report);
	warn_of_detection(report);
	warn_of_detectors(report);
	if (status->events_lost)
		warn(report, "%llu events were lost, the ring was full",
		     (unsigned long long)status->events_lost);
	for (item = cp_attach_get_next(manager, NULL); item;
	     item = cp_attach_get_next(manager, info.id)) {
		cp_attach_info_get(item, &info);
		warn_of_item(report, &info);
		add_traffic(&report->traffic, &info.totals);
		n_lacking += lacks_resolver(status, &info);
	}
	if (n_lacking > 0)
		warn(report,
		     "%zu attachment%s without a resolver: port 53 is dropped, "
		     "their notes tell why",
		     n_lacking, n_lacking == 1 ? " is" : "s are");
	if (report->n_unshown > 0) {
		size_t n = report->message.n_warnings++;

		(void)snprintf(report->warnings[n], WARNING_BYTES,
			       "%zu more warnings are not shown",
			       report->n_unshown);
		report->warning_ptrs[n] = report->warnings[n];
	}
	report->message.warnings = report->warning_ptrs;
}

static void put_events(struct report *report, const struct cp_api *api,
		       const struct cp_attach_status *status)
{
	struct cp_events_stats stats;

	if (!api->options.events)
		return;
	cp_events_get_stats(api->options.events, &stats);
	sentinel__v1__events_status__init(&report->events);
	report->events.recorded = stats.n_recorded;
	report->events.limited = stats.n_limited;
	report->events.kernel_limited = status->events_limited;
	report->events.kernel_lost = status->events_lost;
	report->events.missed = stats.n_missed;
	report->events.readers = stats.n_watchers;
	report->message.events = &report->events;
}

static void fill(struct report *report, struct cp_api *api)
{
	struct cp_attach_status status;
	Sentinel__V1__GetStatusResponse *message = &report->message;

	cp_attach_info_get_status(api->options.manager, &status);
	sentinel__v1__get_status_response__init(message);
	sentinel__v1__dataplane_status__init(&report->dataplane);
	message->version = sn_borrow(api->options.version);
	message->daemon_id = sn_borrow(api->options.daemon_id);
	message->dataplane = &report->dataplane;
	sentinel__v1__traffic_status__init(&report->traffic);
	message->traffic = &report->traffic;
	report->dataplane.connected = status.is_connected;
	(void)snprintf(report->version, sizeof(report->version), "%.*s",
		       SN_IPC_VERSION_BYTES, status.hello.version);
	report->dataplane.version = report->version;
	if (!status.is_connected)
		report->dataplane.last_error = sn_borrow(
			status.last_error[0] ? status.last_error : "not yet");
	report->dataplane.events_lost = status.events_lost;
	message->attachments = (uint32_t)status.n_attachments;
	message->attachments_waiting = (uint32_t)status.n_waiting;
	message->uptime_seconds =
		(cp_attach_now(api->options.manager) - api->started_ns) /
		SN_NS_PER_S;
	message->tables = report->table_ptrs;
	cp_attach_info_each_table(&status, put_table, report);
	put_features(report, &status);
	put_events(report, api, &status);
	message->runtime = cp_api_runtime_status_fill(
		&report->runtime, api->options.runtime,
		status.has_hello ? &status.hello : NULL);
	message->detection = cp_api_detection_fill(api, &report->detection);
	cp_api_detectors_fill(&report->detectors, api->options.feeds, message);
	put_warnings(report, api, &status);
}

void cp_api_status_visit(
	struct cp_api *api,
	void (*visit)(void *visitor,
		      const Sentinel__V1__GetStatusResponse *status),
	void *visitor)
{
	struct report *report = calloc(1, sizeof(*report));

	if (report)
		fill(report, api);
	visit(visitor, report ? &report->message : NULL);
	free(report);
}

void cp_api_status_get(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user)
{
	struct report *report = calloc(1, sizeof(*report));

	(void)message;
	if (!report) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
		return;
	}
	fill(report, user);
	cp_rpc_call_reply(call, &report->message.base);
	free(report);
}
