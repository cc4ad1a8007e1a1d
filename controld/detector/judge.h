/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the reference detector makes of an event: three plain rules, each with a
 * score. A detector that is worth its name has a model here. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "sentinel/v1/detector.pb-c.h"

enum {
	CP_DETECTOR_JUDGE_REASON_BYTES = 2048,
	CP_DETECTOR_JUDGE_TEXTS_MAX = 64, /* of each list */
};

/* Borrowed. */
struct cp_detector_judge_rules {
	/* Absolute, without a slash at the end: what is there or below must not
	 * be changed. */
	const char *sensitive[CP_DETECTOR_JUDGE_TEXTS_MAX];
	size_t n_sensitive;
	/* Bytes that one event may read or write; 0: any number. */
	uint64_t bytes_max;
	/* Names that processes may have; none: all of them. */
	const char *usual[CP_DETECTOR_JUDGE_TEXTS_MAX];
	size_t n_usual;
};

struct cp_detector_judge_verdict {
	bool is_anomaly;
	double score; /* 0 to 1 */
	/* Of the rule with the greatest score; "" without an anomaly. UTF-8
	 * without control characters. */
	char reason[CP_DETECTOR_JUDGE_REASON_BYTES];
};

void cp_detector_judge(const struct cp_detector_judge_rules *rules,
		       const Sentinel__V1__EventEnvelope *event,
		       struct cp_detector_judge_verdict *ret);
