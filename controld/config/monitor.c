/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/monitor.h"

#include <string.h>

#include "controld/config/config.h"
#include "controld/config/listen.h"
#include "controld/metrics/series.h"

#define METRICS(name) .offset = offsetof(struct cp_config_metrics, name)
#define HEALTH(name)  .offset = offsetof(struct cp_config_health, name)

enum { LISTEN_MAX = 64 };

static bool is_key(const char *text)
{
	size_t size = strlen(text);

	return size > 0 && size < CP_METRICS_SERIES_LABEL_BYTES &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "abcdefghijklmnopqrstuvwxyz0123456789._/-") == size;
}

static int check_labels(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *keys = field;
	char one[CP_METRICS_SERIES_LABEL_BYTES + 16], other[sizeof(one)];

	for (size_t i = 0; i < keys->n_items; i++) {
		diag->line = keys->lines[i];
		if (!is_key(keys->items[i])) {
			sn_diag_set(diag, NULL,
				    "'%.64s' cannot be a key of metadata",
				    keys->items[i]);
			return CP_CONFIG_SCHEMA_E_REFUSED;
		}
		(void)cp_metrics_series_name(keys->items[i], one, sizeof(one));
		for (size_t j = 0; j < i; j++) {
			if (strcmp(one,
				   cp_metrics_series_name(keys->items[j], other,
							  sizeof(other))) != 0)
				continue;
			sn_diag_set(diag, NULL,
				    "'%.64s' and '%.64s' are one label",
				    keys->items[j], keys->items[i]);
			return CP_CONFIG_SCHEMA_E_REFUSED;
		}
	}
	return 0;
}

const struct cp_config_schema_item cp_config_monitor_metrics[] = {
	{
		.key = "listen",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		METRICS(listen),
		.max = LISTEN_MAX,
		.fallback = "127.0.0.1:9102",
		.check = cp_config_listen_check,
		.description = "Address and port of /metrics; empty: off.",
	},
	{
		.key = "max_connections",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		METRICS(max_connections),
		.min = 1,
		.max = 1024,
		.fallback = "32",
		.description = "Connections that are served at one time.",
	},
	{
		.key = "attachments",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		METRICS(attachments),
		.max = 65535,
		.fallback = "10000",
		.description = "Attachments that have series of their own.",
	},
	{
		.key = "labels",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		METRICS(labels),
		.max = CP_METRICS_SERIES_LABELS_MAX,
		.check = check_labels,
		.description = "Keys of metadata that become labels of "
			       "sentinel_attachment_info.",
	},
	{ .key = NULL },
};

const struct cp_config_schema_item cp_config_monitor_health[] = {
	{
		.key = "listen",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		HEALTH(listen),
		.max = LISTEN_MAX,
		.fallback = "127.0.0.1:9101",
		.check = cp_config_listen_check,
		.description = "Address and port of /healthz and /readyz; "
			       "empty: off.",
	},
	{
		.key = "max_connections",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		HEALTH(max_connections),
		.min = 1,
		.max = 1024,
		.fallback = "32",
		.description = "Connections that are served at one time.",
	},
	{
		.key = "control_plane",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		HEALTH(control_plane),
		.fallback = "false",
		.description = "Not ready while the control plane is not in "
			       "step.",
	},
	{ .key = NULL },
};
