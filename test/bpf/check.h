/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What one run of a TC program left behind, against what the model wants. */

#include "test/bpf/model.h"

struct check_found {
	uint32_t answer;
	uint64_t reasons[SN_REASON_SLOTS];
	struct sn_counters counters;
	unsigned int n_events;
	struct sn_event event;
	struct world_found flows;
	struct world_found flows_new;
	struct world_found fragments;
	uint32_t n_usage;
	uint32_t mark;
	size_t n_nat;
	struct sn_dns_nat_key nat_key;
	struct sn_dns_nat nat;
	uint64_t tick_ns; /* world_tick_ns() before begin_ns */
	uint64_t begin_ns;
	uint64_t end_ns;
};

/* NULL, or what is not as it should be. */
const char *check_case(const struct model_case *c,
		       const struct model_outcome *want,
		       const struct check_found *got);
