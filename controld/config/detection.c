/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/detection.h"

#define IN(name) .offset = offsetof(struct cp_config_detection, name)

const struct cp_config_schema_item cp_config_detection_items[] = {
	{
		.key = "rules",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(rules),
		.max = CP_CONFIG_SCHEMA_MAX_STRING,
		.fallback = "",
		.reloadable = true,
		.description = "File of rules, by which runtime events are "
			       "findings; empty: none.",
	},
	{
		.key = "memory",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(memory_bytes),
		.min = 64 << 10,
		.max = 1 << 30,
		.fallback = "4MiB",
		.description = "Memory for the last findings.",
	},
	{
		.key = "rate",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(rate),
		.max = 1000000,
		.fallback = "10",
		.reloadable = true,
		.description = "Findings of one rule or detector each second; "
			       "what is over it is counted and told; 0: no "
			       "bound.",
	},
	{
		.key = "burst",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(burst),
		.min = 1,
		.max = 1000000,
		.fallback = "100",
		.reloadable = true,
		.description = "Findings of one of these at once after a "
			       "pause.",
	},
	{ .key = NULL },
};
