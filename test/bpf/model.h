/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What one packet must leave behind: the reference matcher's verdict, and from
 * it and the state before the counters, reasons, event, flow and fragment
 * entry. The rules for flows are DESIGN's, written as one plain sequence. */

#include "controld/policy/match.h"
#include "test/bpf/frames.h"

struct model_flow {
	bool exists;
	bool answered; /* in sn_flows, else in sn_flows_new */
	struct sn_flow value;
};

struct model_case {
	struct sn_policy block;
	uint64_t word;
	struct frames_frame frame;
	struct model_flow flow; /* of the frame's key */
	bool has_fragment; /* an entry that a later fragment may pass on */
	bool quotes_live_flow;
	bool has_mirror;
	bool is_reflected; /* another flow, alive, has the ends turned round */
	uint32_t flow_quota;
	uint32_t gso_segs; /* 0: not told, or no GSO */
	uint32_t gso_size; /* 0: no GSO */
	struct sn_dns dns;
	bool is_marked; /* as an answer on its way back */
};

struct model_outcome {
	struct cp_policy_match_verdict verdict;
	uint64_t reasons[SN_REASON_SLOTS];
	struct sn_counters counters;
	bool has_event;
	struct model_flow flow;
	bool is_stored; /* admitted or judged now */
	bool is_touched; /* passed without a judgement */
	bool puts_fragment;
	bool is_steered; /* to the resolver, by a translation */
	bool is_answer; /* its mark is taken away */
};

/* The sealed word of a flow of the frame's key. */
uint64_t model_seal(const struct model_case *c, uint64_t word);
bool model_flow_is_alive(const struct model_case *c, uint64_t now_ns);
/* The case's flow lets its packet pass without a judgement. */
bool model_flow_stands(const struct model_case *c, uint64_t now_ns);

void model_expect(const struct cp_policy_match_source *source,
		  const struct model_case *c, uint64_t now_ns,
		  struct model_outcome *ret);
