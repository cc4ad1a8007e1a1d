/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What GetStatus says of detectors. */

#include "controld/feed/set.h"
#include "sentinel/v1/daemon.pb-c.h"

struct cp_api_detectors {
	Sentinel__V1__DetectorStatus messages[CP_CONFIG_DETECTORS_MAX];
	Sentinel__V1__DetectorStatus *pointers[CP_CONFIG_DETECTORS_MAX];
};

/* Puts them into status, with borrowed texts. feeds may be NULL. */
void cp_api_detectors_fill(struct cp_api_detectors *ret,
			   const struct cp_feed_set *feeds,
			   Sentinel__V1__GetStatusResponse *status);
