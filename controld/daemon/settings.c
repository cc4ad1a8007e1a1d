/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/daemon/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controld/attach/doh.h"
#include "shared/log.h"

#define DEFAULT_DOH_LIST "/etc/sentinel/doh-endpoints.list"

static int load_config(struct cp_daemon *daemon)
{
	const char *path = daemon->options->config;
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];
	int r;

	if (path)
		r = cp_config_load(path, &daemon->config, &diag);
	else
		r = cp_config_load(CP_DAEMON_CONFIG, &daemon->config, &diag);
	if (r == -ENOENT && !path)
		r = cp_config_default(&daemon->config);
	if (r == 0)
		return 0;
	(void)fprintf(stderr, "sentinel-cp: %s\n",
		      diag.text[0] ? sn_diag_format(&diag, text, sizeof(text)) :
				     strerror(-r));
	return CP_DAEMON_EXIT_USAGE;
}

int cp_daemon_settings_load_doh(const struct cp_daemon *daemon,
				struct cp_dns_doh **ret, struct sn_diag *diag)
{
	const char *path = daemon->config->dns.doh_list;
	int r = cp_dns_doh_load(path, ret, diag);

	if (r == -ENOENT && strcmp(path, DEFAULT_DOH_LIST) == 0) {
		*ret = NULL;
		return 0;
	}
	if (!diag->text[0] && r < 0)
		sn_diag_set(diag, NULL, "%s", strerror(-r));
	return r;
}

/* A list that is refused is a configuration that is. */
static int check_doh(const struct cp_daemon *daemon)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];

	if (cp_daemon_settings_load_doh(daemon, &doh, &diag) == 0)
		return 0;
	(void)fprintf(stderr, "sentinel-cp: %s\n",
		      sn_diag_format(&diag, text, sizeof(text)));
	return CP_DAEMON_EXIT_USAGE;
}

/* So are rules. */
static int check_rules(const struct cp_daemon *daemon)
{
	sn_cleanup(cp_rules_unrefp) struct cp_rules *rules = NULL;
	const char *path = daemon->config->detection.rules;
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];

	if (!path[0] || cp_rules_load_file(&rules, path, &diag) == 0)
		return 0;
	(void)fprintf(stderr, "sentinel-cp: %s\n",
		      sn_diag_format(&diag, text, sizeof(text)));
	return CP_DAEMON_EXIT_USAGE;
}

static int set_log_level(const struct cp_daemon *daemon)
{
	enum sn_log_level level = daemon->config->log.level;

	if (daemon->options->log_level &&
	    !sn_log_parse_level(daemon->options->log_level, &level)) {
		(void)fprintf(stderr,
			      "sentinel-cp: --log-level: '%s' is not error, "
			      "warning, info, debug or trace\n",
			      daemon->options->log_level);
		return CP_DAEMON_EXIT_USAGE;
	}
	sn_log_set_level(level);
	sn_log_set_targets(daemon->config->log.workload_names);
	return 0;
}

int cp_daemon_settings_load(struct cp_daemon *daemon)
{
	int r;

	r = load_config(daemon);
	if (r == 0)
		r = set_log_level(daemon);
	if (r == 0)
		r = check_doh(daemon);
	if (r == 0)
		r = check_rules(daemon);
	return r;
}

int cp_daemon_settings_reload(struct cp_daemon *daemon,
			      struct cp_config **before)
{
	struct cp_config *running = daemon->config;

	if (load_config(daemon) != 0) {
		daemon->config = running;
		return -EINVAL;
	}
	(void)set_log_level(daemon);
	*before = running;
	return 0;
}
