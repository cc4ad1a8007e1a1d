/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The mapping `tls` of whatever is connected to, and the rules that its URL
 * keeps: encrypted and verified, or plain text by its own word. */

#include "controld/config/schema.h"
#include "controld/rpc/peer.h"
#include "controld/rpc/secrets.h"

/* Texts are "" if they are not stated. */
struct cp_config_tls {
	char *ca;
	char *certificate;
	char *key;
	/* Each can be read by cp_rpc_peer_parse_pin(). */
	struct cp_config_schema_strings pins;
};

extern const struct cp_config_schema_item cp_config_tls_items[];

/* Of a string: "" or an absolute path. */
int cp_config_tls_check_file(const void *field, struct sn_diag *diag);
/* Of the mapping with the switch `insecure` and the URLs beside it, of which
 * the option is named urls. */
int cp_config_tls_check(const struct cp_config_tls *tls, bool is_insecure,
			const char *urls, char *const *items, size_t n_items,
			struct sn_diag *diag);

/* What the mapping has, in other words; pointers are borrowed from it. */
struct cp_config_tls_parts {
	struct cp_rpc_secrets_files files;
	struct cp_rpc_peer_pin pins[CP_RPC_PEER_PINS_MAX];
	size_t n_pins;
};
void cp_config_tls_get_parts(const struct cp_config_tls *tls, char *token_file,
			     struct cp_config_tls_parts *ret);
