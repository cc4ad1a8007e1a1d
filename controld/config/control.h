/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The section `control` of the configuration: where the control plane is and
 * how far it is trusted. */

#include "controld/config/schema.h"
#include "controld/rpc/peer.h"
#include "controld/rpc/secrets.h"

/* Texts are "" if they are not stated. */
struct cp_config_control {
	/* Each can be read by cp_rpc_url_parse(); none: no control plane. */
	struct cp_config_schema_strings urls;
	bool insecure;
	struct cp_config_control_tls {
		char *ca;
		char *certificate;
		char *key;
		/* Each can be read by cp_rpc_peer_parse_pin(). */
		struct cp_config_schema_strings pins;
	} tls;
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

/* What the section has, in other words; pointers are borrowed from it. */
struct cp_config_control_parts {
	struct cp_rpc_secrets_files files;
	struct cp_rpc_peer_pin pins[CP_RPC_PEER_PINS_MAX];
	size_t n_pins;
};
void cp_config_control_get_parts(const struct cp_config_control *control,
				 struct cp_config_control_parts *ret);

enum { CP_CONFIG_CONTROL_METADATA_MAX = 16 };
