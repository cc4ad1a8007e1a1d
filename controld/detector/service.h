/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* DetectorService (proto/sentinel/v1/detector.proto) and gRPC's health service,
 * for a server of controld/rpc/server.h. Each event is answered before the next
 * one is taken, so that a host sends no faster than we judge. */

#include "controld/detector/judge.h"
#include "controld/rpc/server.h"

struct cp_detector_service {
	struct cp_detector_judge_rules rules;
	uint64_t n_events;
	uint64_t n_anomalies;
	uint64_t n_reports;
};

/* The server's user is a struct cp_detector_service. */
const struct cp_rpc_method *cp_detector_service_get_methods(size_t *n);
