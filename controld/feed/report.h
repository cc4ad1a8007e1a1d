/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a detector found as a finding, with what is left of the event. */

#include "controld/feed/answer.h"
#include "controld/findings/findings.h"

/* event: a packed EventEnvelope. */
void cp_feed_report_put(struct cp_findings *findings, const char *detector,
			const struct cp_feed_answer *answer, const void *event,
			size_t event_bytes);
