/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/config.h"

#include <stdlib.h>

#include "controld/upstream/servers.h"

#define MS	    1000000U /* of unit_ns */
#define FIELD(path) .offset = offsetof(struct cp_config, path)
#define IN(group, name)                                    \
	.offset = offsetof(struct cp_config, group.name) - \
		  offsetof(struct cp_config, group)

_Static_assert(sizeof(enum sn_log_level) == sizeof(unsigned int),
	       "the schema stores an enum as unsigned int");

/* In the order of enum sn_log_level. */
static const char *const level_names[] = {
	[SN_LOG_ERROR] = "error", [SN_LOG_WARNING] = "warning",
	[SN_LOG_INFO] = "info",	  [SN_LOG_DEBUG] = "debug",
	[SN_LOG_TRACE] = "trace", NULL,
};

static const struct cp_config_schema_item log_items[] = {
	{
		.key = "level",
		.type = CP_CONFIG_SCHEMA_TYPE_ENUM,
		IN(log, level),
		.names = level_names,
		.fallback = "info",
		.reloadable = true,
		.description = "Least important lines that are logged.",
	},
	{
		.key = "events",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(log, events),
		.fallback = "true",
		.reloadable = true,
		.description = "A line (info) for each blocked flow and name, "
			       "100 a second at most.",
	},
	{
		.key = "workload_names",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(log, workload_names),
		.fallback = "false",
		.reloadable = true,
		.description = "These lines also say addresses, names and "
			       "processes.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item events_items[] = {
	{
		.key = "records",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(events, records),
		.min = 16,
		.max = 65536,
		.fallback = "8192",
		.description = "Events that are kept for readers; each takes "
			       "about 430 bytes.",
	},
	{
		.key = "rate",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(events, rate),
		.min = 1,
		.max = 1000,
		.fallback = "32",
		.reloadable = true,
		.description = "Events of one attachment that are kept each "
			       "second; the others are counted.",
	},
	{
		.key = "redact_names",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(events, redact_names),
		.fallback = "false",
		.reloadable = true,
		.description = "Keep no names that workloads ask for; "
			       "learning then knows addresses only.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item api_items[] = {
	{
		.key = "group",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(api, group),
		.min = 1,
		.max = 32,
		.fallback = "sentinel-admin",
		.description = "Group whose members may use the local API "
			       "besides root.",
	},
	{
		.key = "max_message",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(api, max_message_bytes),
		.min = 64 << 10,
		.max = 16 << 20,
		.fallback = "4MiB",
		.description = "Largest message that a client may send.",
	},
	{
		.key = "max_connections",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(api, max_connections),
		.min = 1,
		.max = 4096,
		.fallback = "64",
		.description = "Connections that the local API serves at one "
			       "time.",
	},
	{
		.key = "max_policy",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(api, max_policy_bytes),
		.min = 64 << 10,
		.max = CP_CONFIG_YAML_MAX_BYTES,
		.fallback = "64MiB",
		.description = "Largest policy, over all of its messages.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item state_items[] = {
	{
		.key = "group_interval",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		IN(state, group_interval_ms),
		.unit_ns = MS,
		.max = 1000,
		.fallback = "0s",
		.description = "How long changes are gathered before they "
			       "are written to disk together; with 0s "
			       "only those that come during a write.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item dataplane_items[] = {
	{
		.key = "reconnect_min",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		IN(dataplane, reconnect_min_ms),
		.unit_ns = MS,
		.min = 10,
		.max = 60000,
		.fallback = "100ms",
		.description = "First pause before sentinel-dp is connected "
			       "to again; each further one is longer.",
	},
	{
		.key = "reconnect_max",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		IN(dataplane, reconnect_max_ms),
		.unit_ns = MS,
		.min = 10,
		.max = 60000,
		.fallback = "5s",
		.description = "Longest pause before sentinel-dp is "
			       "connected to again.",
	},
	{
		.key = "collect_interval",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		IN(dataplane, collect_interval_ms),
		.unit_ns = MS,
		.min = 1000,
		.max = 600000,
		.fallback = "10s",
		.reloadable = true,
		.description = "How often idle flows and lapsed rules are "
			       "removed from the kernel.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item limits_items[] = {
	{
		.key = "attachments",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(limits, attachments),
		.min = 1,
		.max = 65535,
		.fallback = "10000",
		.reloadable = true,
		.description = "Interfaces and cgroups that may be attached "
			       "at one time.",
	},
	{
		.key = "rules_per_policy",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(limits, rules_per_policy),
		.min = 1,
		.max = 4000000,
		.fallback = "1000000",
		.reloadable = true,
		.description = "Rules that one policy may have.",
	},
	{
		.key = "flows_per_attachment",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(limits, flows_per_attachment),
		.min = 256,
		.max = 16777216,
		.fallback = "65536",
		.reloadable = true,
		.description = "Established flows that are kept for one "
			       "attachment; those above are judged more "
			       "often.",
	},
	{ .key = NULL },
};

static int check_upstreams(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *texts = field;
	struct cp_dns_upstream server;

	for (size_t i = 0; i < texts->n_items; i++) {
		if (cp_upstream_servers_parse(texts->items[i], &server, diag) ==
		    0)
			continue;
		diag->line = texts->lines[i];
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	return 0;
}

static int check_timeouts(const void *field, struct sn_diag *diag)
{
	const struct cp_config_dns_timeouts *timeouts = field;

	if (timeouts->retry_ms <= timeouts->question_ms)
		return 0;
	sn_diag_set(diag, "retry", "is longer than question");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

/* In the order of cp_config_get_denied(). */
static const char *const denied_names[] = {
	"refused",
	"nxdomain",
	"sinkhole",
	NULL,
};

static const struct cp_config_schema_item timeouts_items[] = {
	{
		.key = "question",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		.offset = offsetof(struct cp_config_dns_timeouts, question_ms),
		.unit_ns = MS,
		.min = 500,
		.max = 30000,
		.fallback = "4s",
		.description = "How long upstream servers may take for one "
			       "question, all tries included.",
	},
	{
		.key = "retry",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		.offset = offsetof(struct cp_config_dns_timeouts, retry_ms),
		.unit_ns = MS,
		.min = 50,
		.max = 5000,
		.fallback = "400ms",
		.description = "Pause before a question is sent again; each "
			       "further one is twice as long.",
	},
	{
		.key = "tcp_idle",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		.offset = offsetof(struct cp_config_dns_timeouts, tcp_idle_ms),
		.unit_ns = MS,
		.min = 1000,
		.max = 600000,
		.fallback = "10s",
		.description = "How long a TCP or TLS connection, of a client "
			       "or to an upstream server, may be idle.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item quotas_items[] = {
	{
		.key = "names",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		.offset = offsetof(struct cp_config_dns_quotas, names),
		.min = 1,
		.max = 1000000,
		.fallback = "4096",
		.reloadable = true,
		.description = "Learnt names of one attachment.",
	},
	{
		.key = "addresses",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		.offset = offsetof(struct cp_config_dns_quotas, addresses),
		.min = 1,
		.max = 1000000,
		.fallback = "8192",
		.reloadable = true,
		.description = "Learnt addresses of one attachment.",
	},
	{
		.key = "addresses_per_name",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		.offset = offsetof(struct cp_config_dns_quotas,
				   addresses_per_name),
		.min = 1,
		.max = 65536,
		.fallback = "1024",
		.reloadable = true,
		.description = "Learnt addresses of one name of an "
			       "attachment.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item dns_items[] = {
	{
		.key = "upstreams",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		IN(dns, upstreams),
		.max = CP_DNS_UPSTREAMS_MAX,
		.check = check_upstreams,
		.description = "Servers that answer for names, in this order; "
			       "an empty list: those of resolv_conf.",
	},
	{
		.key = "resolv_conf",
		.type = CP_CONFIG_SCHEMA_TYPE_PATH,
		IN(dns, resolv_conf),
		.fallback = "/etc/resolv.conf",
		.description = "Where the servers stand if upstreams is "
			       "empty.",
	},
	{
		.key = "ttl_floor",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		IN(dns, ttl_floor_s),
		.unit_ns = SN_NS_PER_S,
		.max = 86400,
		.fallback = "30s",
		.reloadable = true,
		.description = "Learnt addresses live at least this long, "
			       "unless the name's rule says how long.",
	},
	{
		.key = "grace",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		IN(dns, grace_s),
		.unit_ns = SN_NS_PER_S,
		.max = 3600,
		.fallback = "10s",
		.reloadable = true,
		.description = "What learnt addresses live longer than the "
			       "client was told.",
	},
	{
		.key = "cache",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(dns, cache_bytes),
		.min = 64 << 10,
		.max = 16ULL << 30,
		.fallback = "64MiB",
		.description = "Memory for answers of upstream servers.",
	},
	{
		.key = "timeouts",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		IN(dns, timeouts),
		.items = timeouts_items,
		.check = check_timeouts,
		.description = "How long others are waited for.",
	},
	{
		.key = "quotas",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		IN(dns, quotas),
		.items = quotas_items,
		.description = "What one attachment may learn; an answer over "
			       "it fails as a whole.",
	},
	{
		.key = "max_tcp_connections",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(dns, max_tcp_connections),
		.min = 1,
		.max = 16384,
		.fallback = "1024",
		.description = "TCP connections of clients at one time, of "
			       "all attachments.",
	},
	{
		.key = "denied",
		.type = CP_CONFIG_SCHEMA_TYPE_ENUM,
		IN(dns, denied),
		.names = denied_names,
		.fallback = "refused",
		.reloadable = true,
		.description = "Answer for names that are not allowed, unless "
			       "the policy says which.",
	},
	{
		.key = "doh_list",
		.type = CP_CONFIG_SCHEMA_TYPE_PATH,
		IN(dns, doh_list),
		.fallback = "/etc/sentinel/doh-endpoints.list",
		.reloadable = true,
		.description = "Names and addresses of servers that resolve "
			       "names over HTTPS, one a line.",
	},
	{ .key = NULL },
};

static int check_dataplane(const void *field, struct sn_diag *diag)
{
	const struct cp_config_dataplane *dataplane = field;

	if (dataplane->reconnect_min_ms <= dataplane->reconnect_max_ms)
		return 0;
	sn_diag_set(diag, "reconnect_min", "is longer than reconnect_max");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

const struct cp_config_schema_item cp_config_items[] = {
	{
		.key = "log",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(log),
		.items = log_items,
		.description = "Log lines on standard error.",
	},
	{
		.key = "api",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(api),
		.items = api_items,
		.description = "The local API that sentinelctl uses.",
	},
	{
		.key = "state",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(state),
		.items = state_items,
		.description = "What is kept over a restart.",
	},
	{
		.key = "dataplane",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(dataplane),
		.items = dataplane_items,
		.check = check_dataplane,
		.description = "The link to sentinel-dp.",
	},
	{
		.key = "limits",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(limits),
		.items = limits_items,
		.description = "What the host may be asked to hold.",
	},
	{
		.key = "events",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(events),
		.items = events_items,
		.description = "What was blocked, kept in memory.",
	},
	{
		.key = "dns",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(dns),
		.items = dns_items,
		.description = "Name resolution of attachments.",
	},
	{
		.key = "control",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(control),
		.items = cp_config_control_items,
		.check = cp_config_control_check,
		.description = "The control plane, which sets policies from "
			       "afar.",
	},
	{
		.key = "metrics",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(metrics),
		.items = cp_config_monitor_metrics,
		.description = "Metrics for Prometheus.",
	},
	{
		.key = "health",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(health),
		.items = cp_config_monitor_health,
		.description = "Is it alive, and is it ready?",
	},
	{
		.key = "rest",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(rest),
		.items = cp_config_rest_items,
		.check = cp_config_rest_check,
		.description = "The API as JSON over HTTP.",
	},
	{
		.key = "runtime",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(runtime),
		.items = cp_config_runtime_items,
		.check = cp_config_runtime_check,
		.description = "Events of processes: files, programs, network.",
	},
	{
		.key = "detection",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		FIELD(detection),
		.items = cp_config_detection_items,
		.description = "Findings: which runtime events are told of.",
	},
	{
		.key = "detectors",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		FIELD(detectors),
		.max = CP_CONFIG_DETECTORS_MAX,
		.items = cp_config_detectors_items,
		.element_size = sizeof(struct cp_config_detector),
		.check = cp_config_detectors_check_one,
		.description = "Servers that judge runtime events.",
	},
	{ .key = NULL },
};

int cp_config_default(struct cp_config **ret)
{
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	int r;

	config = calloc(1, sizeof(*config));
	if (!config)
		return -ENOMEM;

	r = cp_config_schema_init(cp_config_items, config, sizeof(*config));
	if (r < 0)
		return sn_trace(r);
	*ret = sn_steal(&config);
	return 0;
}

int cp_config_load(const char *path, struct cp_config **ret,
		   struct sn_diag *diag)
{
	static const struct cp_config_yaml_limits limits = {
		.max_bytes = CP_CONFIG_MAX_BYTES,
		.max_nodes = CP_CONFIG_MAX_NODES,
	};
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	int r;

	r = cp_config_yaml_load(path, &limits, &yaml, diag);
	if (r == CP_CONFIG_YAML_E_REFUSED)
		return CP_CONFIG_E_REFUSED;
	if (r < 0)
		return sn_trace(r);
	config = calloc(1, sizeof(*config));
	if (!config)
		return -ENOMEM;

	r = cp_config_schema_fill(cp_config_items,
				  cp_config_yaml_get_root(yaml), path, NULL,
				  config, sizeof(*config), diag);
	if (r == CP_CONFIG_SCHEMA_E_REFUSED)
		return CP_CONFIG_E_REFUSED;
	if (r < 0)
		return sn_trace(r);
	if (cp_config_detectors_check(&config->detectors, diag) != 0) {
		sn_diag_at(diag, path, diag->line);
		return CP_CONFIG_E_REFUSED;
	}
	*ret = sn_steal(&config);
	return 0;
}

enum cp_dns_denied cp_config_get_denied(const struct cp_config *config)
{
	static const enum cp_dns_denied values[] = {
		CP_DNS_DENIED_REFUSED,
		CP_DNS_DENIED_NXDOMAIN,
		CP_DNS_DENIED_SINKHOLE,
	};

	return values[config->dns.denied];
}

struct cp_config *cp_config_free(struct cp_config *config)
{
	if (!config)
		return NULL;
	cp_config_schema_done(cp_config_items, config);
	free(config);
	return NULL;
}
