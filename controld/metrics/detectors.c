/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/metrics/detectors.h"

#include <stdio.h>

static void put(struct cp_metrics_page *page, enum cp_metrics_id id,
		const char *detector, const char *more, uint64_t value)
{
	cp_metrics_page_put(page, id, detector, more, value);
}

static void put_counts(struct cp_metrics_page *page, const char *detector,
		       const struct cp_feed_counts *counts)
{
	enum cp_metrics_id id = CP_METRICS_DETECTOR_EVENTS;
	char text[64];

	put(page, id, detector, "what=\"accepted\"", counts->accepted);
	put(page, id, detector, "what=\"recovered\"", counts->recovered);
	put(page, id, detector, "what=\"delivered\"", counts->delivered);
	put(page, id, detector, "what=\"sent\"", counts->sent);
	for (size_t i = 0; i < CP_FEED_DROP_COUNT; i++) {
		(void)snprintf(text, sizeof(text), "cause=\"%s\"",
			       cp_feed_drop_names[i]);
		put(page, CP_METRICS_DETECTOR_DROPPED, detector, text,
		    counts->dropped[i]);
	}
	put(page, CP_METRICS_DETECTOR_ANOMALIES, detector, "",
	    counts->anomalies);
	id = CP_METRICS_DETECTOR_REFUSED;
	put(page, id, detector, "why=\"unknown\"", counts->unknown);
	put(page, id, detector, "why=\"malformed\"", counts->malformed);
	put(page, id, detector, "why=\"score\"", counts->wrong_scores);
	put(page, id, detector, "why=\"reason\"", counts->cut_reasons);
	put(page, CP_METRICS_DETECTOR_STREAMS, detector, "", counts->sessions);
	id = CP_METRICS_DETECTOR_REPORTS;
	put(page, id, detector, "what=\"made\"", counts->reports);
	put(page, id, detector, "what=\"sent\"", counts->reports_sent);
	put(page, id, detector, "what=\"refused\"", counts->reports_refused);
	put(page, id, detector, "what=\"dropped\"", counts->reports_dropped);
}

static void put_one(struct cp_metrics_page *page,
		    const struct cp_feed_status *status)
{
	static const char *const states[] = {
		[CP_FEED_STATE_WAITING] = "state=\"waiting\"",
		[CP_FEED_STATE_CONNECTING] = "state=\"connecting\"",
		[CP_FEED_STATE_STREAMING] = "state=\"streaming\"",
	};
	char name[2 * CP_FEED_NAME_BYTES], detector[3 * CP_FEED_NAME_BYTES];
	enum cp_metrics_id id = CP_METRICS_DETECTOR_HELD;

	(void)snprintf(detector, sizeof(detector), "detector=\"%s\"",
		       cp_metrics_page_escape(status->name, name,
					      sizeof(name)));
	put(page, CP_METRICS_DETECTOR_STATE, detector, states[status->state],
	    1);
	put_counts(page, detector, &status->counts);
	put(page, id, detector, "where=\"memory\"", status->n_memory);
	put(page, id, detector, "where=\"disk\"", status->n_disk);
	id = CP_METRICS_DETECTOR_HELD_BYTES;
	put(page, id, detector, "where=\"memory\"", status->n_memory_bytes);
	put(page, id, detector, "where=\"disk\"", status->n_disk_bytes);
	put(page, CP_METRICS_DETECTOR_REPORTS_HELD, detector, "",
	    status->n_reports);
}

void cp_metrics_detectors_put(struct cp_metrics_page *page,
			      const struct cp_feed_set *feeds)
{
	struct cp_feed_status status;

	for (size_t i = 0; i < cp_feed_set_count(feeds); i++) {
		cp_feed_set_get_status(feeds, i, &status);
		put_one(page, &status);
	}
}
