/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Samples of detection rules and of what is found. */

#include "controld/findings/detection.h"
#include "controld/metrics/page.h"

/* detection: NULL if there are no rules to be had. */
void cp_metrics_detection_put(struct cp_metrics_page *page,
			      struct cp_findings *findings,
			      const struct cp_findings_detection *detection);
