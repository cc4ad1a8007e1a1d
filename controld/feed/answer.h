/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a detector answers, which may be anything. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CP_FEED_ANSWER_ID_BYTES = 37,
	CP_FEED_ANSWER_REASON_BYTES = 1024, /* of which the rest is cut */
};

struct cp_feed_answer {
	/* As it came, if it is as long as ids are; else "". */
	char id[CP_FEED_ANSWER_ID_BYTES];
	bool is_anomaly;
	double score; /* 0 if it is no number from 0 to 1 */
	bool is_score_wrong;
	bool is_reason_cut;
	char reason[CP_FEED_ANSWER_REASON_BYTES]; /* UTF-8 */
};

/* False: not a DetectionResponse, or there is no memory to read it. */
bool cp_feed_answer_read(const void *data, size_t size,
			 struct cp_feed_answer *ret);
