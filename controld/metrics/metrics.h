/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GET /metrics. A page is made on the loop in slices of half a millisecond,
 * between which everything else goes on; it says what was true after it was
 * asked for. Who asks while one is made gets the next one, all of them the same,
 * and between two there is a pause as long as the first took: scrapes however
 * frequent cost at most half of the loop's spare time. */

#include <uv.h>

#include "controld/http/http.h"
#include "controld/metrics/host.h"
#include "controld/metrics/series.h"

struct cp_metrics;

enum {
	CP_METRICS_SLICE_US = 500,
	/* Pages in memory, the one that is being made included; who takes an
	 * old one for longest is cut for a further one. */
	CP_METRICS_PAGES_MAX = 3,
};

struct cp_metrics_options {
	uv_loop_t *loop;
	struct cp_attach *manager;
	struct cp_metrics_host host;
	struct cp_http_address address;
	size_t connections_max;
	size_t attachments_max; /* that have series of their own */
	struct cp_metrics_series_labels labels;
	/* Adds what others serve; may be NULL. */
	void (*put_others)(void *userdata, struct cp_metrics_page *page);
	void *userdata;
};

int cp_metrics_new(struct cp_metrics **ret,
		   const struct cp_metrics_options *options);
/* Then calls closed (may be NULL) from the loop. */
void cp_metrics_close(struct cp_metrics *metrics,
		      void (*closed)(void *userdata), void *userdata);
