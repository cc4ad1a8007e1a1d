/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Samples of the daemon's parts, each few. */

#include "controld/attach/info.h"
#include "controld/metrics/page.h"

struct cp_control;
struct cp_dns_server;
struct cp_events;
struct cp_findings;
struct cp_findings_detection;
struct cp_http_stats;
struct cp_feed_set;
struct cp_runtime;
struct cp_state;

struct cp_metrics_host {
	const struct cp_state *state;
	const struct cp_dns_server *dns;
	const struct cp_events *events;
	const struct cp_runtime *runtime; /* NULL: no runtime events */
	struct cp_findings *findings; /* NULL: there are none */
	const struct cp_findings_detection *detection; /* with them, or NULL */
	const struct cp_feed_set *feeds; /* NULL: no detectors */
	const struct cp_control *control; /* NULL: none is configured */
	const char *version;
};

/* status: with all attachments counted, as of now_ns. */
void cp_metrics_host_put(struct cp_metrics_page *page,
			 const struct cp_metrics_host *host,
			 const struct cp_attach_status *status,
			 uint64_t now_ns);

void cp_metrics_host_put_http(struct cp_metrics_page *page, const char *name,
			      const struct cp_http_stats *stats);
