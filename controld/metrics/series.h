/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Samples of attachments, and of all slots together: what has to be made in
 * slices because there may be many. */

#include "controld/attach/attach.h"
#include "controld/metrics/page.h"

enum {
	CP_METRICS_SERIES_LABELS_MAX = 8,
	CP_METRICS_SERIES_LABEL_BYTES = 64, /* of a key */
};

/* Metadata that becomes labels. */
struct cp_metrics_series_labels {
	const char *keys[CP_METRICS_SERIES_LABELS_MAX]; /* borrowed */
	size_t n;
};

/* The label's name for a key of metadata: metadata_ and the key, in which what
 * a name cannot hold is an underscore. Returns to. */
char *cp_metrics_series_name(const char *key, char *to, size_t size);

void cp_metrics_series_put(struct cp_metrics_page *page,
			   const struct cp_attach_info *info,
			   const struct cp_metrics_series_labels *labels);

/* totals: of all slots. */
void cp_metrics_series_put_totals(struct cp_metrics_page *page,
				  const struct cp_attach_totals *totals);
