/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/setup.h"

#include <stdio.h>
#include <string.h>

#include "controld/api/api.h"
#include "controld/http/tls.h"
#include "controld/web/web.h"
#include "shared/log.h"

static const char *text_of(const struct sn_diag *diag, int r, char *text,
			   size_t size)
{
	return diag->text[0] ? sn_diag_format(diag, text, size) :
			       strerror(r < 0 ? -r : EINVAL);
}

/* What is refused is wiped. */
static int check_secrets(struct cp_rpc_secrets *secrets, struct sn_diag *diag)
{
	const struct cp_http_tls tls = {
		.certificate = secrets->certificate,
		.key = secrets->key,
		.client_ca = secrets->ca,
	};
	int r = cp_http_tls_check(&tls, diag);

	if (r)
		cp_rpc_secrets_done(secrets);
	return r;
}

/* False: refused, and told. */
static bool load_secrets(const struct cp_config_rest *config,
			 struct cp_rpc_secrets *ret)
{
	const struct cp_rpc_secrets_files files = {
		.certificate = config->certificate,
		.key = config->key,
		.ca = config->client_ca[0] ? config->client_ca : NULL,
	};
	char text[sizeof(struct sn_diag)];
	struct sn_diag diag = { 0 };
	int r = cp_rpc_secrets_load(&files, ret, &diag);

	if (r == 0)
		r = check_secrets(ret, &diag);
	if (r)
		sn_log(SN_LOG_ERROR, "rest-tls error='%s'",
		       text_of(&diag, r, text, sizeof(text)));
	return r == 0;
}

static bool load_callers(const struct cp_config_rest *config,
			 struct cp_rest_callers **ret)
{
	char text[sizeof(struct sn_diag)];
	struct sn_diag diag = { 0 };
	int r = cp_rest_callers_load(config->callers, ret, &diag);

	if (r)
		sn_log(SN_LOG_ERROR, "rest-callers error='%s'",
		       text_of(&diag, r, text, sizeof(text)));
	else
		sn_log(SN_LOG_INFO, "rest-callers n=%zu",
		       cp_rest_callers_count(*ret));
	return r == 0;
}

void cp_rest_setup_reload(struct cp_rest *rest, const struct cp_config *config)
{
	struct cp_rest_callers *callers = NULL;
	struct cp_rpc_secrets secrets = { 0 };

	if (!cp_rest_has_remote(rest) || !config->rest.certificate[0] ||
	    !config->rest.key[0])
		return;
	if (load_callers(&config->rest, &callers))
		cp_rest_put_callers(rest, callers);
	if (load_secrets(&config->rest, &secrets))
		cp_rest_put_secrets(rest, &secrets);
}

/* api.sock has a shorter name, and what is there without rest.sock starts. */
static bool has_path(const char *run_dir, char path[CP_REST_PATH_BYTES])
{
	int n = snprintf(path, CP_REST_PATH_BYTES, "%s/rest.sock", run_dir);

	if (n > 0 && n < CP_REST_PATH_BYTES)
		return true;
	sn_log(SN_LOG_WARNING,
	       "rest-socket error='%s/rest.sock is too long for a socket': not "
	       "served",
	       run_dir);
	return false;
}

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
	int r;

	*ret = NULL;
	options.has_remote = config->rest.listen[0] != '\0';
	if (options.has_remote &&
	    cp_http_address_parse(config->rest.listen, &options.address,
				  diag) != 0)
		return -EINVAL;
	if (config->rest.socket && has_path(setup->run_dir, path))
		options.socket_path = path;
	if (!options.socket_path && !options.has_remote)
		return 0;
	options.methods = cp_api_get_methods(&options.n_methods);
	options.pages = cp_web_get_pages(&options.n_pages);
	r = cp_rest_new(ret, &options);
	if (r == 0)
		cp_rest_setup_reload(*ret, config);
	return r;
}
