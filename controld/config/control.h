/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The section `control` of the configuration: where the control plane is and
 * how far it is trusted. */

#include "controld/config/schema.h"
#include "controld/config/tls.h"

/* Texts are "" if they are not stated. */
struct cp_config_control {
	/* Each can be read by cp_rpc_url_parse(); none: no control plane. */
	struct cp_config_schema_strings urls;
	bool insecure;
	struct cp_config_tls tls;
	char *token_file;
	struct cp_config_schema_strings metadata; /* "key=value" */
	uint64_t max_message_bytes;
	uint64_t max_events;
	uint64_t heartbeat_ms;
	uint64_t keepalive_ms;
	uint64_t keepalive_timeout_ms;
	uint64_t sync_timeout_ms;
	uint64_t reconnect_min_ms;
	uint64_t reconnect_max_ms;
	uint64_t subscribe_timeout_ms;
	unsigned int unanswered; /* enum cp_control_unanswered */
	bool local_rules;
	uint64_t policy_events;
	uint64_t query_timeout_ms;
	uint64_t max_queries;
};

extern const struct cp_config_schema_item cp_config_control_items[];

/* The check of the whole section. */
int cp_config_control_check(const void *field, struct sn_diag *diag);

enum { CP_CONFIG_CONTROL_METADATA_MAX = 16 };
