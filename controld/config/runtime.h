/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The option `runtime`, for the table in controld/config/config.c. */

#include <stdbool.h>

#include "controld/config/schema.h"
#include "controld/runtime/rules.h"

enum { CP_CONFIG_RUNTIME_FILES_MAX = 1000 };

struct cp_config_runtime_rule {
	char *name;
	bool enabled;
	struct cp_config_schema_strings events;
	/* An empty list: any. */
	struct cp_config_runtime_match {
		struct cp_config_schema_strings path_prefixes;
		struct cp_config_schema_strings comms;
		struct cp_config_schema_strings executables;
		struct cp_config_schema_strings uids;
		struct cp_config_schema_strings cgroups;
		struct cp_config_schema_strings results;
	} match;
};

struct cp_config_runtime {
	bool enabled;
	uint64_t window_ms;
	uint64_t memory_bytes;
	struct cp_config_runtime_budget {
		uint64_t rate; /* 0: no bound */
		uint64_t burst;
	} budget;
	bool arguments;
	struct cp_config_schema_strings redact;
	struct cp_config_runtime_output {
		char *path; /* "": none */
		uint64_t max_bytes;
		uint64_t files;
		bool journal;
	} output;
	struct cp_config_schema_array rules; /* cp_config_runtime_rule */
};

extern const struct cp_config_schema_item cp_config_runtime_items[];
extern const struct cp_config_schema_item cp_config_runtime_match_items[];

/* Of what a rule matches, of one rule, and of all together. */
int cp_config_runtime_check_match(const void *field, struct sn_diag *diag);
int cp_config_runtime_check_rule(const void *field, struct sn_diag *diag);
int cp_config_runtime_check(const void *field, struct sn_diag *diag);

/* Adds the rule, enabled or not, to rules; its cgroups get the ids that find
 * says, NULL: 0. 0, -errno, or an answer of controld/runtime/rules.h; *diag
 * has field and line then. */
int cp_config_runtime_add_rule(struct cp_runtime_rules *rules,
			       const struct cp_config_runtime_rule *rule,
			       uint64_t (*find)(const char *cgroup),
			       struct sn_diag *diag);
