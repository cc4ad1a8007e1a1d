/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/rest.h"

#include <string.h>

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
