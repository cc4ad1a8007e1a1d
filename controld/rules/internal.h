/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A set of rules' own data, for controld/rules only. */

#include "controld/rules/block.h"

struct cp_rules_compiled {
	struct cp_rules_rule rule; /* texts are the file's */
	struct cp_rules_block *match;
	struct cp_rules_block **exceptions;
	size_t n_exceptions;
};

struct cp_rules {
	size_t n_refs;
	struct cp_rules_file file;
	uint64_t events; /* of enabled rules */
	size_t n;
	struct cp_rules_compiled *rules;
	struct sn_rt_bits by_event[SN_RT_EVENT_COUNT]; /* enabled ones */
};
