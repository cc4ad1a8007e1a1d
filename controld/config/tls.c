/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/tls.h"

#include "controld/rpc/url.h"

#define refuse(diag, ...) \
	(sn_diag_set(diag, __VA_ARGS__), CP_CONFIG_SCHEMA_E_REFUSED)

static int check_pins(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *texts = field;
	struct cp_rpc_peer_pin pin;

	for (size_t i = 0; i < texts->n_items; i++) {
		if (cp_rpc_peer_parse_pin(texts->items[i], &pin, diag) == 0)
			continue;
		diag->line = texts->lines[i];
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	return 0;
}

int cp_config_tls_check_file(const void *field, struct sn_diag *diag)
{
	const char *path = *(char *const *)field;

	if (!path || !path[0] || path[0] == '/')
		return 0;
	return refuse(diag, NULL, "must be an absolute path");
}

static bool is_set(const char *text)
{
	return text && text[0];
}

int cp_config_tls_check(const struct cp_config_tls *tls, bool is_insecure,
			const char *urls, char *const *items, size_t n_items,
			struct sn_diag *diag)
{
	struct cp_rpc_url url;
	bool has_plain = false;

	for (size_t i = 0; i < n_items; i++) {
		if (cp_rpc_url_parse(items[i], &url, diag))
			return CP_CONFIG_SCHEMA_E_REFUSED;
		has_plain |= !url.is_tls;
		if (url.is_tls && !is_set(tls->ca))
			return refuse(diag, "tls.ca",
				      "must be stated for %s: the file of the "
				      "authorities that may vouch for it",
				      items[i]);
		if (!url.is_tls && !is_insecure)
			return refuse(diag, urls,
				      "%s is plain text, which insecure: true "
				      "would permit",
				      items[i]);
	}
	if (is_insecure && !has_plain && n_items > 0)
		return refuse(diag, "insecure",
			      "is for http:// URLs, of which there are none");
	if (is_set(tls->certificate) != is_set(tls->key))
		return refuse(diag, "tls",
			      "certificate and key must be stated together");
	return 0;
}

const struct cp_config_schema_item cp_config_tls_items[] = {
	{
		.key = "ca",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_config_tls, ca),
		.fallback = "",
		.check = cp_config_tls_check_file,
		.description = "File (PEM) of the authorities that may vouch "
			       "for the server; https:// needs it.",
	},
	{
		.key = "certificate",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_config_tls, certificate),
		.fallback = "",
		.check = cp_config_tls_check_file,
		.description = "File (PEM) of this host's certificate, for "
			       "mutual TLS.",
	},
	{
		.key = "key",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_config_tls, key),
		.fallback = "",
		.check = cp_config_tls_check_file,
		.description = "File (PEM) of the certificate's key.",
	},
	{
		.key = "pins",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		.offset = offsetof(struct cp_config_tls, pins),
		.max = CP_RPC_PEER_PINS_MAX,
		.check = check_pins,
		.description = "Public keys of which the server must have one, "
			       "whoever vouches for it.",
	},
	{ .key = NULL },
};

static char *or_null(char *text)
{
	return is_set(text) ? text : NULL;
}

void cp_config_tls_get_parts(const struct cp_config_tls *tls, char *token_file,
			     struct cp_config_tls_parts *ret)
{
	struct sn_diag diag;

	*ret = (struct cp_config_tls_parts){
		.files = {
			.ca = or_null(tls->ca),
			.certificate = or_null(tls->certificate),
			.key = or_null(tls->key),
			.token = or_null(token_file),
		},
	};
	for (size_t i = 0; i < tls->pins.n_items; i++)
		if (cp_rpc_peer_parse_pin(tls->pins.items[i],
					  &ret->pins[ret->n_pins], &diag) == 0)
			ret->n_pins++;
}
