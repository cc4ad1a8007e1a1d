/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A set of rules' own data, for controld/rules only. */

#include "controld/rules/block.h"
#include "controld/rules/index.h"
#include "controld/rules/output.h"

/* What has to be the same for events to be counted together. */
enum cp_rules_by {
	CP_RULES_BY_PROCESS = 1,
	CP_RULES_BY_EXECUTABLE = 2,
	CP_RULES_BY_UID = 4,
	CP_RULES_BY_CGROUP = 8,
	CP_RULES_BY_CONTAINER = 16,
	CP_RULES_BY_PATH = 32,
};

struct cp_rules_compiled {
	struct cp_rules_rule rule; /* texts are the file's */
	struct cp_rules_block *match;
	struct cp_rules_block **exceptions;
	size_t n_exceptions;
	size_t rate; /* events that make a hit */
	uint64_t window_ns;
	uint32_t by; /* enum cp_rules_by */
	struct cp_rules_output *output;
};

struct cp_rules {
	size_t n_refs;
	struct cp_rules_file file;
	struct cp_rules_env env;
	uint64_t events; /* of enabled rules */
	size_t n;
	struct cp_rules_compiled *rules;
	struct cp_rules_index *index;
};
