/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A rule's finding as detectors get it: proto/sentinel/v1/detector.proto says
 * which label is what. Pure. */

#include "controld/feed/envelope.h"
#include "sentinel/v1/finding.pb-c.h"

enum {
	CP_FEED_ANOMALY_OWN_LABELS = 16,
	CP_FEED_ANOMALY_LABELS =
		CP_FEED_ANOMALY_OWN_LABELS + 2 * CP_FEED_ENVELOPE_ENTRIES,
	CP_FEED_ANOMALY_NUMBER_BYTES = 24,
};

/* The message and what it points to, besides the finding. */
struct cp_feed_anomaly {
	Sentinel__V1__AnomalyReport message;
	Sentinel__V1__AnomalyReport__LabelsEntry labels[CP_FEED_ANOMALY_LABELS];
	Sentinel__V1__AnomalyReport__LabelsEntry
		*labels_at[CP_FEED_ANOMALY_LABELS];
	struct cp_feed_envelope envelope;
	char tags[CP_FEED_ENVELOPE_LIST_BYTES];
	char time[CP_FEED_ANOMALY_NUMBER_BYTES];
	char events[CP_FEED_ANOMALY_NUMBER_BYTES];
};

/* *ret->message is good as long as finding and hostname are. */
void cp_feed_anomaly_fill(struct cp_feed_anomaly *ret,
			  const Sentinel__V1__Finding *finding,
			  const char *hostname);
