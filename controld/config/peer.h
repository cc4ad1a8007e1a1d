/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rows that the tables of the control plane and of detectors share, as both are
 * connected to alike. `of` is the struct that a table fills; its fields have
 * the names of their options. */

#include "controld/config/schema.h"
#include "controld/config/tls.h"

/* Milliseconds, in the field that ends in _ms. */
#define CP_CONFIG_PEER_DURATION(of, name_, min_, max_, fallback_, text_)       \
	{                                                                      \
		.key = #name_, .type = CP_CONFIG_SCHEMA_TYPE_DURATION,         \
		.offset = offsetof(struct of, name_##_ms), .unit_ns = 1000000, \
		.min = min_, .max = max_, .fallback = fallback_,               \
		.description = text_,                                          \
	}

#define CP_CONFIG_PEER_SECRETS(of)                                            \
	{                                                                     \
		.key = "tls",                                                 \
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,                        \
		.offset = offsetof(struct of, tls),                           \
		.items = cp_config_tls_items,                                 \
		.description = "How both sides know each other; files are "   \
			       "read for each connection.",                   \
	},                                                                    \
	{                                                                     \
		.key = "token_file", .type = CP_CONFIG_SCHEMA_TYPE_STRING,    \
		.offset = offsetof(struct of, token_file), .fallback = "",    \
		.check = cp_config_tls_check_file,                            \
		.description = "File of a token that is sent with each call " \
			       "(authorization: Bearer).",                    \
	}

#define CP_CONFIG_PEER_KEEPALIVE(of)                                         \
	CP_CONFIG_PEER_DURATION(of, keepalive, 100, 3600000, "6m",           \
				"A silent connection is tried after this."), \
		CP_CONFIG_PEER_DURATION(                                     \
			of, keepalive_timeout, 100, 600000, "20s",           \
			"How long the answer to that, and the "              \
			"acknowledgement of anything sent, may take.")

#define CP_CONFIG_PEER_RECONNECT(of)                                        \
	CP_CONFIG_PEER_DURATION(of, reconnect_min, 10, 60000, "1s",         \
				"Shortest pause before it is connected to " \
				"again; the pauses grow and are drawn at "  \
				"random."),                                 \
		CP_CONFIG_PEER_DURATION(                                    \
			of, reconnect_max, 10, 3600000, "1m",               \
			"Longest pause before it is connected to "          \
			"again.")
