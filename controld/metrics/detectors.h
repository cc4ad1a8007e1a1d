/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of /metrics that is about detectors. */

#include "controld/feed/set.h"
#include "controld/metrics/page.h"

void cp_metrics_detectors_put(struct cp_metrics_page *page,
			      const struct cp_feed_set *feeds);
