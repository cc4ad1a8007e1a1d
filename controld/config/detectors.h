/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The option `detectors`, for the table in controld/config/config.c. */

#include "controld/config/runtime.h"
#include "controld/config/tls.h"

enum { CP_CONFIG_DETECTORS_MAX = 8 };

/* Texts are "" if they are not stated. */
struct cp_config_detector {
	struct cp_config_runtime_rule filter; /* the name is the detector's */
	char *url; /* can be read by cp_rpc_url_parse() */
	bool insecure;
	struct cp_config_tls tls;
	char *token_file;
	uint64_t queue_bytes;
	uint64_t window;
	unsigned int answers; /* 0: all, 1: anomalies */
	uint64_t max_message_bytes;
	uint64_t connect_timeout_ms;
	uint64_t answer_timeout_ms;
	uint64_t keepalive_ms;
	uint64_t keepalive_timeout_ms;
	uint64_t reconnect_min_ms;
	uint64_t reconnect_max_ms;
	bool findings; /* it is told of those of rules */
	struct cp_config_detector_spool {
		char *path;
		uint64_t max_bytes;
		unsigned int mode; /* enum cp_feed_mode */
	} spool;
};

extern const struct cp_config_schema_item cp_config_detectors_items[];

/* Of one detector, and of all together. */
int cp_config_detectors_check_one(const void *field, struct sn_diag *diag);
int cp_config_detectors_check(const struct cp_config_schema_array *all,
			      struct sn_diag *diag);
