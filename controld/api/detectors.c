/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/detectors.h"
#include "shared/util.h"

#include <string.h>

static const Sentinel__V1__DetectorState states[] = {
	[CP_FEED_STATE_WAITING] =
		SENTINEL__V1__DETECTOR_STATE__DETECTOR_STATE_WAITING,
	[CP_FEED_STATE_CONNECTING] =
		SENTINEL__V1__DETECTOR_STATE__DETECTOR_STATE_CONNECTING,
	[CP_FEED_STATE_STREAMING] =
		SENTINEL__V1__DETECTOR_STATE__DETECTOR_STATE_STREAMING,
};

static void put_counts(const struct cp_feed_counts *counts,
		       Sentinel__V1__DetectorStatus *ret)
{
	const uint64_t *dropped = counts->dropped;

	ret->accepted = counts->accepted;
	ret->recovered = counts->recovered;
	ret->delivered = counts->delivered;
	ret->dropped_queue = dropped[CP_FEED_DROP_QUEUE];
	ret->dropped_spool = dropped[CP_FEED_DROP_SPOOL];
	ret->dropped_disk = dropped[CP_FEED_DROP_DISK];
	ret->dropped_unanswered = dropped[CP_FEED_DROP_UNANSWERED];
	ret->dropped_memory = dropped[CP_FEED_DROP_MEMORY];
	ret->sent = counts->sent;
	ret->anomalies = counts->anomalies;
	ret->unknown_answers = counts->unknown;
	ret->malformed_answers = counts->malformed;
	ret->wrong_scores = counts->wrong_scores;
	ret->cut_reasons = counts->cut_reasons;
	ret->streams = counts->sessions;
	ret->unstored = counts->unstored;
	ret->reports = counts->reports;
	ret->reports_sent = counts->reports_sent;
	ret->reports_refused = counts->reports_refused;
	ret->reports_dropped = counts->reports_dropped;
}

void cp_api_detectors_fill(struct cp_api_detectors *ret,
			   const struct cp_feed_set *feeds,
			   Sentinel__V1__GetStatusResponse *status)
{
	size_t n = feeds ? cp_feed_set_count(feeds) : 0;

	for (size_t i = 0; i < n; i++) {
		Sentinel__V1__DetectorStatus *message = &ret->messages[i];
		struct cp_feed_status feed;

		cp_feed_set_get_status(feeds, i, &feed);
		sentinel__v1__detector_status__init(message);
		message->name = sn_borrow(feed.name);
		message->url = sn_borrow(feed.url);
		message->insecure = feed.is_insecure;
		message->state = states[feed.state];
		message->error = sn_borrow(feed.error);
		message->enabled = feed.is_enabled;
		message->no_events = sn_borrow(feed.no_events);
		message->filter_error = sn_borrow(feed.filter_error);
		message->in_memory = feed.n_memory;
		message->on_disk = feed.n_disk;
		message->unanswered = feed.n_window;
		message->memory_bytes = feed.n_memory_bytes;
		message->disk_bytes = feed.n_disk_bytes;
		message->disk_error = sn_borrow(feed.disk_error);
		message->cut_files = feed.n_cut;
		message->findings = feed.tells;
		message->reports_waiting = feed.n_reports;
		message->reports_bytes = feed.n_report_bytes;
		message->report_error = sn_borrow(feed.report_error);
		put_counts(&feed.counts, message);
		ret->pointers[i] = message;
	}
	status->detectors = ret->pointers;
	status->n_detectors = n;
}
