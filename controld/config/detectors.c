/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/detectors.h"

#include <string.h>

#include "controld/config/peer.h"
#include "controld/rpc/url.h"

#define IN(name)    .offset = offsetof(struct cp_config_detector, name)
#define SPOOL(name) .offset = offsetof(struct cp_config_detector_spool, name)

#define refuse(diag, ...) \
	(sn_diag_set(diag, __VA_ARGS__), CP_CONFIG_SCHEMA_E_REFUSED)

static int check_url(const void *field, struct sn_diag *diag)
{
	struct cp_rpc_url url;

	return cp_rpc_url_parse(*(char *const *)field, &url, diag) ?
		       CP_CONFIG_SCHEMA_E_REFUSED :
		       0;
}

int cp_config_detectors_check_one(const void *field, struct sn_diag *diag)
{
	const struct cp_config_detector *detector = field;
	int r = cp_config_runtime_check_rule(&detector->filter, diag);

	if (r != 0)
		return r;
	if (strpbrk(detector->filter.name, "\"\\\n'"))
		return refuse(diag, "name", "has a quote or a control sign");
	if (detector->reconnect_min_ms > detector->reconnect_max_ms)
		return refuse(diag, "reconnect_min",
			      "is longer than reconnect_max");
	return cp_config_tls_check(&detector->tls, detector->insecure, "url",
				   &detector->url, 1, diag);
}

int cp_config_detectors_check(const struct cp_config_schema_array *all,
			      struct sn_diag *diag)
{
	const struct cp_config_detector *of = all->items;

	for (size_t i = 0; i < all->n_items; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(of[i].filter.name, of[j].filter.name) == 0)
				return refuse(diag, "detectors",
					      "two have the name '%s'",
					      of[i].filter.name);
			if (of[i].spool.path[0] &&
			    strcmp(of[i].spool.path, of[j].spool.path) == 0)
				return refuse(diag, "detectors",
					      "'%s' and '%s' have one spool",
					      of[j].filter.name,
					      of[i].filter.name);
		}
	}
	return 0;
}

/* In the order of enum cp_feed_mode. */
static const char *const mode_names[] = {
	"overflow",
	"always",
	NULL,
};

static const char *const answers_names[] = {
	"all",
	"anomalies",
	NULL,
};

#define DURATION(name, ...) \
	CP_CONFIG_PEER_DURATION(cp_config_detector, name, __VA_ARGS__)

static const struct cp_config_schema_item spool_items[] = {
	{
		.key = "path",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		SPOOL(path),
		.fallback = "",
		.check = cp_config_tls_check_file,
		.description = "Folder of this detector alone; empty: none, "
			       "and what has no room in memory is dropped.",
	},
	{
		.key = "max_size",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		SPOOL(max_bytes),
		.min = 1 << 20,
		.max = 1ULL << 40,
		.fallback = "256MiB",
		.description = "Size of all its files, beyond which the oldest "
			       "events are dropped.",
	},
	{
		.key = "mode",
		.type = CP_CONFIG_SCHEMA_TYPE_ENUM,
		SPOOL(mode),
		.names = mode_names,
		.fallback = "overflow",
		.description = "overflow: what has no room in memory is "
			       "written. always: everything is, and synced "
			       "before the kernel forgets it, so that not even "
			       "a crash loses events.",
	},
	{ .key = NULL },
};

const struct cp_config_schema_item cp_config_detectors_items[] = {
	{
		.key = "name",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(filter.name),
		.required = true,
		.min = 1,
		.max = CP_RUNTIME_RULES_NAME_BYTES - 1,
		.description = "What metrics, findings and the log call it.",
	},
	{
		.key = "enabled",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(filter.enabled),
		.fallback = "true",
		.reloadable = true,
		.description = "Does it want events?",
	},
	{
		.key = "url",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(url),
		.required = true,
		.check = check_url,
		.description =
			"Where it listens: https://host:port, or http:// "
			"with insecure.",
	},
	{
		.key = "insecure",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(insecure),
		.fallback = "false",
		.description = "Permits http://: whoever is on the way reads "
			       "the events.",
	},
	CP_CONFIG_PEER_SECRETS(cp_config_detector),
	{
		.key = "events",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		IN(filter.events),
		.required = true,
		.min = 1,
		.max = SN_RT_EVENT_COUNT,
		.reloadable = true,
		.description = "What it is to get (file_open, process_exec and "
			       "so on).",
	},
	{
		.key = "match",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		IN(filter.match),
		.items = cp_config_runtime_match_items,
		.reloadable = true,
		.check = cp_config_runtime_check_match,
		.description = "As in runtime.rules.",
	},
	{
		.key = "findings",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(findings),
		.fallback = "false",
		.reloadable = true,
		.description = "Is it told of what detection.rules find "
			       "(ReportAnomaly)? Up to 1,024 reports, or 2 "
			       "MiB, wait while it is away.",
	},
	{
		.key = "queue",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(queue_bytes),
		.min = 64 << 10,
		.max = 1 << 30,
		.fallback = "8MiB",
		.description =
			"Memory for events that wait for it; 16 MiB more "
			"may wait for the spool.",
	},
	{
		.key = "window",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(window),
		.min = 1,
		.max = 65536,
		.fallback = "1024",
		.description = "Events that may be sent and not answered.",
	},
	{
		.key = "answers",
		.type = CP_CONFIG_SCHEMA_TYPE_ENUM,
		IN(answers),
		.names = answers_names,
		.fallback = "all",
		.description = "all: each event is answered, and sent again "
			       "until it is. anomalies: only these are, and "
			       "after a break the last window is sent again.",
	},
	{
		.key = "max_message",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(max_message_bytes),
		.min = 1 << 10,
		.max = 4 << 20,
		.fallback = "64KiB",
		.description = "Largest answer; a larger one ends the stream.",
	},
	DURATION(connect_timeout, 100, 600000, "20s",
		 "How long a connection may take to come about."),
	DURATION(answer_timeout, 100, 3600000, "1m",
		 "How long it may not read, or leave an event unanswered "
		 "when those before it are, before the stream is begun "
		 "anew."),
	CP_CONFIG_PEER_KEEPALIVE(cp_config_detector),
	CP_CONFIG_PEER_RECONNECT(cp_config_detector),
	{
		.key = "spool",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		IN(spool),
		.items = spool_items,
		.description = "Events on disk while it is away or too slow.",
	},
	{ .key = NULL },
};
