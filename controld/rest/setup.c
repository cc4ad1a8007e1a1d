/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/setup.h"

#include <stdio.h>
#include <string.h>

#include "controld/api/api.h"

int cp_rest_setup_new(struct cp_rest **ret, const struct cp_rest_setup *setup,
		      const struct cp_config *config, struct sn_diag *diag)
{
	struct cp_rest_options options = {
		.loop = setup->loop,
		.user = setup->api,
		.version = setup->version,
		.connections_max = config->rest.max_connections,
		.hosts = (const char *const *)config->rest.hosts.items,
		.n_hosts = config->rest.hosts.n_items,
		.gid = setup->gid,
	};
	char path[CP_REST_PATH_BYTES];
	int n;

	*ret = NULL;
	if (!config->rest.socket)
		return 0;
	n = snprintf(path, sizeof(path), "%s/rest.sock", setup->run_dir);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		sn_diag_set(diag, NULL, "%s is too long", setup->run_dir);
		return -ENAMETOOLONG;
	}
	options.socket_path = path;
	options.methods = cp_api_get_methods(&options.n_methods);
	return cp_rest_new(ret, &options);
}
