/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The configuration of sentinel-cp: one YAML file, every option in the table
 * cp_config_items with its default, range and description. */

#include <stdint.h>

#include "controld/config/control.h"
#include "controld/config/detection.h"
#include "controld/config/detectors.h"
#include "controld/config/monitor.h"
#include "controld/config/rest.h"
#include "controld/config/runtime.h"
#include "controld/config/schema.h"
#include "controld/dns/settings.h"
#include "shared/diag.h"
#include "shared/log.h"
#include "shared/util.h"

enum {
	CP_CONFIG_MAX_BYTES = 1 << 20, /* of the file */
	CP_CONFIG_MAX_NODES = 65536,
};

/* Answers of cp_config_load() besides 0 and -errno. */
enum {
	CP_CONFIG_E_REFUSED = 1, /* diag says where and why */
};

struct cp_config {
	struct {
		enum sn_log_level level;
		bool events;
		bool workload_names;
	} log;
	struct {
		uint64_t records;
		uint64_t rate;
		bool redact_names;
	} events;
	struct {
		char *group; /* whose members may call, besides root */
		uint64_t max_message_bytes;
		uint64_t max_connections;
		uint64_t max_policy_bytes;
	} api;
	struct {
		uint64_t group_interval_ms;
	} state;
	struct cp_config_dataplane {
		uint64_t reconnect_min_ms;
		uint64_t reconnect_max_ms;
		uint64_t collect_interval_ms;
	} dataplane;
	struct {
		uint64_t attachments;
		uint64_t rules_per_policy;
		uint64_t flows_per_attachment;
	} limits;
	struct {
		/* Each can be read by cp_upstream_servers_parse(). */
		struct cp_config_schema_strings upstreams;
		char *resolv_conf;
		uint64_t ttl_floor_s;
		uint64_t grace_s;
		uint64_t cache_bytes;
		struct cp_config_dns_timeouts {
			uint64_t question_ms;
			uint64_t retry_ms;
			uint64_t tcp_idle_ms;
		} timeouts;
		struct cp_config_dns_quotas {
			uint64_t names;
			uint64_t addresses;
			uint64_t addresses_per_name;
		} quotas;
		uint64_t max_tcp_connections;
		unsigned int denied; /* see cp_config_get_denied() */
		char *doh_list;
	} dns;
	struct cp_config_control control;
	struct cp_config_metrics {
		char *listen; /* "": off; else cp_http_address_parse() takes it */
		uint64_t max_connections;
		uint64_t attachments; /* that have series of their own */
		struct cp_config_schema_strings labels; /* keys of metadata */
	} metrics;
	struct cp_config_health {
		char *listen;
		uint64_t max_connections;
		bool control_plane; /* not ready without it */
	} health;
	struct cp_config_rest rest;
	struct cp_config_runtime runtime;
	struct cp_config_detection detection;
	struct cp_config_schema_array detectors; /* cp_config_detector */
};

/* For cp_config_schema_print(). */
extern const struct cp_config_schema_item cp_config_items[];

/* Every option at its default. Returns 0 or -ENOMEM. */
int cp_config_default(struct cp_config **ret);

/* Reads the file; an absent one is -ENOENT, an empty one means the defaults.
 * diag is filled for every failure but -ENOMEM. */
int cp_config_load(const char *path, struct cp_config **ret,
		   struct sn_diag *diag);

enum cp_dns_denied cp_config_get_denied(const struct cp_config *config);

struct cp_config *cp_config_free(struct cp_config *config);
SN_DEFINE_CLEANUP(struct cp_config, cp_config_free)
