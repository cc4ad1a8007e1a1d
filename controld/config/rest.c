/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/rest.h"

#include <string.h>

#include "controld/config/listen.h"
#include "controld/rest/rest.h"

#define IN(name) .offset = offsetof(struct cp_config_rest, name)

static int check_hosts(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *hosts = field;

	for (size_t i = 0; i < hosts->n_items; i++) {
		const char *host = hosts->items[i];
		size_t size = strlen(host);

		if (size < CP_REST_HOST_BYTES &&
		    strspn(host,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "abcdefghijklmnopqrstuvwxyz0123456789.-") == size)
			continue;
		diag->line = hosts->lines[i];
		sn_diag_set(diag, NULL, "'%.64s' is no name of a host", host);
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	return 0;
}

/* "" or an absolute path. */
static int check_file(const void *field, struct sn_diag *diag)
{
	const char *path = *(char *const *)field;

	if (!path[0] || path[0] == '/')
		return 0;
	sn_diag_set(diag, NULL, "'%.64s' is not an absolute path", path);
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

int cp_config_rest_check(const void *field, struct sn_diag *diag)
{
	const struct cp_config_rest *rest = field;

	if (!rest->listen[0] || (rest->certificate[0] && rest->key[0]))
		return 0;
	sn_diag_set(diag, "listen",
		    "needs certificate and key: it is served over TLS only");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

const struct cp_config_schema_item cp_config_rest_items[] = {
	{
		.key = "socket",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(socket),
		.fallback = "true",
		.description = "Serve it on rest.sock in the run directory, to "
			       "those who may use api.sock.",
	},
	{
		.key = "listen",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(listen),
		.max = 64,
		.fallback = "",
		.check = cp_config_listen_check,
		.description = "Address and port where it is served over TLS; "
			       "empty: not at all.",
	},
	{
		.key = "certificate",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(certificate),
		.fallback = "",
		.check = check_file,
		.reloadable = true,
		.description = "Certificate of the TLS server, PEM, and those "
			       "that lead to its authority.",
	},
	{
		.key = "key",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(key),
		.fallback = "",
		.check = check_file,
		.reloadable = true,
		.description = "Key of the certificate, PEM.",
	},
	{
		.key = "client_ca",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		IN(client_ca),
		.fallback = "",
		.check = check_file,
		.reloadable = true,
		.description = "Authorities that certificates of callers lead "
			       "to; without it callers are not asked for any.",
	},
	{
		.key = "callers",
		.type = CP_CONFIG_SCHEMA_TYPE_PATH,
		IN(callers),
		.fallback = "/etc/sentinel/rest-callers",
		.reloadable = true,
		.description = "Who may call over TLS, and as what: "
			       "lines of NAME viewer|operator|admin "
			       "token|certificate SHA256 [UNTIL].",
	},
	{
		.key = "hosts",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		IN(hosts),
		.max = CP_REST_HOSTS_MAX,
		.check = check_hosts,
		.description = "Names that requests may have as Host, besides "
			       "localhost and addresses.",
	},
	{
		.key = "max_connections",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		IN(max_connections),
		.min = 2,
		.max = 1024,
		.fallback = "32",
		.description = "Connections that are served at one time on "
			       "each listener; half of them may be streams.",
	},
	{ .key = NULL },
};
