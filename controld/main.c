/* SPDX-License-Identifier: Apache-2.0 */

/* sentinel-cp: reads its configuration, gives up every privilege, takes over
 * the state file, and serves the local API over the link to sentinel-dp. It
 * may end at any moment; the kernel goes on enforcing the last policy. */

#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "controld/api/api.h"
#include "controld/api/status.h"
#include "controld/attach/attach.h"
#include "controld/attach/doh.h"
#include "controld/config/config.h"
#include "controld/control/setup.h"
#include "controld/dns/setup.h"
#include "controld/events/setup.h"
#include "controld/monitor/monitor.h"
#include "controld/privilege/filter.h"
#include "controld/privilege/privilege.h"
#include "controld/rpc/core.h"
#include "controld/state/identity.h"
#include "controld/state/state.h"
#include "shared/log.h"
#include "shared/version.h"

#define DEFAULT_CONFIG	 "/etc/sentinel/sentinel-cp.yaml"
#define DEFAULT_DOH_LIST "/etc/sentinel/doh-endpoints.list"

enum {
	EXIT_USAGE = 2, /* also a configuration that is refused */
	DRAIN_MS = 5000, /* for calls in flight when the daemon stops */
	PATH_BYTES = 108, /* of a socket's address */
	MS_TO_NS = 1000000,
};

struct options {
	const char *config;
	const char *run_dir;
	const char *state_dir;
	const char *log_level;
	bool check_config;
	bool allow_root;
	bool is_done; /* --help, --version */
};

struct daemon {
	struct options options;
	struct cp_config *config;
	gid_t gid;
	char dp_socket[PATH_BYTES];
	char learnt_path[4096];
	char api_socket[PATH_BYTES];
	char daemon_id[CP_STATE_IDENTITY_BYTES];
	char warning[256];
	uv_loop_t loop;
	uv_signal_t on_term;
	uv_signal_t on_int;
	uv_signal_t on_hup;
	struct cp_state *state;
	struct cp_attach *manager;
	struct cp_control *control; /* NULL: none is configured */
	struct cp_events *events;
	struct cp_dns_server *dns;
	struct cp_api *api;
	struct cp_monitor *monitor;
	bool is_stopping;
};

static const char usage[] =
	"Usage: sentinel-cp [OPTION]...\n"
	"The control plane of Sentinel: policies, state and the local API.\n"
	"\n"
	"  --config FILE      configuration (" DEFAULT_CONFIG ";\n"
	"                     without it the defaults hold)\n"
	"  --run-dir DIR      of dp.sock and api.sock (/run/sentinel)\n"
	"  --state-dir DIR    of what is kept over restarts (/var/lib/sentinel)\n"
	"  --check-config     check the configuration and exit: 0 or 2\n"
	"  --log-level LEVEL  error, warning, info, debug or trace, instead of\n"
	"                     the configuration's\n"
	"  --allow-root       start although the user is root\n"
	"  --version          show the version\n"
	"  --help             show this\n";

enum option_id {
	OPTION_CONFIG = 256,
	OPTION_RUN_DIR,
	OPTION_STATE_DIR,
	OPTION_CHECK_CONFIG,
	OPTION_LOG_LEVEL,
	OPTION_ALLOW_ROOT,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "state-dir", required_argument, NULL, OPTION_STATE_DIR },
	{ "check-config", no_argument, NULL, OPTION_CHECK_CONFIG },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "allow-root", no_argument, NULL, OPTION_ALLOW_ROOT },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

/* False: the option is not known. */
static bool take_option(struct options *options, int option)
{
	switch (option) {
	case OPTION_CONFIG:
		options->config = optarg;
		return true;
	case OPTION_RUN_DIR:
		options->run_dir = optarg;
		return true;
	case OPTION_STATE_DIR:
		options->state_dir = optarg;
		return true;
	case OPTION_CHECK_CONFIG:
		options->check_config = true;
		return true;
	case OPTION_LOG_LEVEL:
		options->log_level = optarg;
		return true;
	case OPTION_ALLOW_ROOT:
		options->allow_root = true;
		return true;
	case OPTION_VERSION:
		(void)puts("sentinel-cp " SN_VERSION);
		options->is_done = true;
		return true;
	case OPTION_HELP:
		(void)fputs(usage, stdout);
		options->is_done = true;
		return true;
	default:
		return false;
	}
}

static int parse_options(int argc, char **argv, struct options *options)
{
	int option;

	options->run_dir = "/run/sentinel";
	options->state_dir = "/var/lib/sentinel";
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		if (!take_option(options, option)) {
			(void)fputs("Try 'sentinel-cp --help'.\n", stderr);
			return EXIT_USAGE;
		}
		if (options->is_done)
			return 0;
	}
	if (optind < argc) {
		(void)fprintf(stderr,
			      "sentinel-cp: '%s' is no option\n"
			      "Try 'sentinel-cp --help'.\n",
			      argv[optind]);
		return EXIT_USAGE;
	}
	return 0;
}

static int load_config(struct daemon *daemon)
{
	const char *path = daemon->options.config;
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];
	int r;

	if (path)
		r = cp_config_load(path, &daemon->config, &diag);
	else
		r = cp_config_load(DEFAULT_CONFIG, &daemon->config, &diag);
	if (r == -ENOENT && !path)
		r = cp_config_default(&daemon->config);
	if (r == 0)
		return 0;
	(void)fprintf(stderr, "sentinel-cp: %s\n",
		      diag.text[0] ? sn_diag_format(&diag, text, sizeof(text)) :
				     strerror(-r));
	return EXIT_USAGE;
}

/* An absent list at the usual place is an empty one. *ret: NULL then. */
static int load_doh(const struct daemon *daemon, struct cp_dns_doh **ret,
		    struct sn_diag *diag)
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
static int check_doh(const struct daemon *daemon)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];

	if (load_doh(daemon, &doh, &diag) == 0)
		return 0;
	(void)fprintf(stderr, "sentinel-cp: %s\n",
		      sn_diag_format(&diag, text, sizeof(text)));
	return EXIT_USAGE;
}

static int set_log_level(const struct daemon *daemon)
{
	enum sn_log_level level = daemon->config->log.level;

	if (daemon->options.log_level &&
	    !sn_log_parse_level(daemon->options.log_level, &level)) {
		(void)fprintf(stderr,
			      "sentinel-cp: --log-level: '%s' is not error, "
			      "warning, info, debug or trace\n",
			      daemon->options.log_level);
		return EXIT_USAGE;
	}
	sn_log_set_level(level);
	sn_log_set_targets(daemon->config->log.workload_names);
	return 0;
}

/* The name of a socket in the run directory. */
static int join(char ret[PATH_BYTES], const char *folder, const char *name)
{
	int n = snprintf(ret, PATH_BYTES, "%s/%s", folder, name);

	if (n > 0 && n < PATH_BYTES)
		return 0;
	sn_log(SN_LOG_ERROR, "start error='%s is too long'", folder);
	return -ENAMETOOLONG;
}

static int prepare_folders(struct daemon *daemon)
{
	const char *state = daemon->options.state_dir;

	(void)umask(0077);
	if (mkdir(state, 0700) < 0 && errno != EEXIST) {
		sn_log(SN_LOG_ERROR, "start error='cannot make %s: %s'", state,
		       strerror(errno));
		return -errno;
	}
	if (join(daemon->dp_socket, daemon->options.run_dir, "dp.sock") < 0 ||
	    join(daemon->api_socket, daemon->options.run_dir, "api.sock") < 0)
		return -ENAMETOOLONG;
	return 0;
}

/* A group that does not exist narrows who may call, and is told. */
static void find_group(struct daemon *daemon)
{
	const char *name = daemon->config->api.group;
	const struct group *group = name ? getgrnam(name) : NULL;

	daemon->gid = group ? group->gr_gid : (gid_t)-1;
	if (group)
		return;
	(void)snprintf(daemon->warning, sizeof(daemon->warning),
		       "group %.100s (api.group) does not exist: only root and "
		       "the user of sentinel-cp can call the local API",
		       name ? name : "");
	sn_log(SN_LOG_WARNING, "%s", daemon->warning);
}

static int give_up_privileges(struct daemon *daemon)
{
	struct sn_diag diag = { 0 };
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN); /* until it can be obeyed */
	find_group(daemon);
	r = cp_privilege_join(daemon->gid, &diag);
	if (r == 0)
		r = cp_privilege_drop(&diag);
	if (r == 0)
		r = cp_privilege_filter_load(&diag);
	if (r < 0)
		sn_log(SN_LOG_ERROR, "start error='%s'", diag.text);
	return r;
}

static int open_state(struct daemon *daemon, struct sn_diag *diag)
{
	char path[4096];
	int n, r;

	n = snprintf(path, sizeof(path), "%s/state.pb",
		     daemon->options.state_dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	/* As long as the other, but for a byte. */
	n = snprintf(daemon->learnt_path, sizeof(daemon->learnt_path),
		     "%s/learnt.pb", daemon->options.state_dir);
	if (n < 0 || (size_t)n >= sizeof(daemon->learnt_path))
		return -ENAMETOOLONG;
	r = cp_state_load(&daemon->state, &daemon->loop, path,
			  daemon->config->state.group_interval_ms * MS_TO_NS,
			  diag);
	if (r != 0)
		return r < 0 ? r : -EBADMSG;
	return cp_state_identity_get(daemon->state, daemon->daemon_id);
}

static struct cp_attach_options manager_options(struct daemon *daemon)
{
	const struct cp_config *config = daemon->config;

	return (struct cp_attach_options){
		.loop = &daemon->loop,
		.socket_path = daemon->dp_socket,
		.store = daemon->state,
		.reconnect_min_ns =
			config->dataplane.reconnect_min_ms * MS_TO_NS,
		.reconnect_max_ns =
			config->dataplane.reconnect_max_ms * MS_TO_NS,
		.collect_interval_ms = config->dataplane.collect_interval_ms,
		.max_attachments = config->limits.attachments,
		.max_rules = config->limits.rules_per_policy,
		.flow_quota = (uint32_t)config->limits.flows_per_attachment,
		.learnt = {
			.names = config->dns.quotas.names,
			.addresses = config->dns.quotas.addresses,
			.addresses_per_name =
				config->dns.quotas.addresses_per_name,
		},
		.learnt_path = daemon->learnt_path,
	};
}

static int open_manager(struct daemon *daemon, struct sn_diag *diag)
{
	struct cp_attach_options options = manager_options(daemon);

	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	int r;

	r = load_doh(daemon, &doh, diag);
	if (r == 0)
		r = cp_attach_new(&daemon->manager, &options, diag);
	if (r == 0)
		cp_attach_doh_put(daemon->manager, sn_steal(&doh));
	if (r == 0)
		r = cp_events_setup_new(&daemon->events, daemon->manager,
					daemon->config);
	return r;
}

/* A list that is refused, or not there any more, changes nothing. */
static void reload_doh(struct daemon *daemon)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];
	size_t n_addresses;
	int r;

	r = cp_dns_doh_load(daemon->config->dns.doh_list, &doh, &diag);
	if (r == -ENOENT && !cp_attach_doh_get(daemon->manager))
		return;
	if (r != 0) {
		sn_log(SN_LOG_ERROR,
		       "doh-list error='%s': the list before stays",
		       diag.text[0] ?
			       sn_diag_format(&diag, text, sizeof(text)) :
			       strerror(-r));
		return;
	}
	(void)cp_dns_doh_get_addresses(doh, &n_addresses);
	sn_log(SN_LOG_INFO, "doh-list names=%zu addresses=%zu",
	       cp_dns_doh_count_names(doh), n_addresses);
	cp_attach_doh_put(daemon->manager, sn_steal(&doh));
}

static int open_api(struct daemon *daemon, struct sn_diag *diag)
{
	const struct cp_config *config = daemon->config;
	struct cp_api_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.path = daemon->api_socket,
		.gid = daemon->gid,
		.version = SN_VERSION,
		.daemon_id = daemon->daemon_id,
		.control = daemon->control,
		.events = daemon->events,
		.dns = daemon->dns,
		.warning = daemon->warning[0] ? daemon->warning : NULL,
		.max_message_bytes = config->api.max_message_bytes,
		.max_connections = config->api.max_connections,
		.max_policy_bytes = config->api.max_policy_bytes,
		.max_rules = config->limits.rules_per_policy,
	};

	return cp_api_new(&daemon->api, &options, diag);
}

static int open_monitor(struct daemon *daemon)
{
	struct cp_monitor_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.host = {
			.state = daemon->state,
			.dns = daemon->dns,
			.events = daemon->events,
			.control = daemon->control,
			.version = SN_VERSION,
		},
		.config = daemon->config,
	};

	return cp_monitor_new(&daemon->monitor, &options);
}

static void
visit_status(void *userdata,
	     void (*visit)(void *visitor,
			   const Sentinel__V1__GetStatusResponse *status),
	     void *visitor)
{
	struct daemon *daemon = userdata;

	if (daemon->api)
		cp_api_status_visit(daemon->api, visit, visitor);
	else
		visit(visitor, NULL);
}

static int open_control(struct daemon *daemon, struct sn_diag *diag)
{
	struct cp_control_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.daemon_id = daemon->daemon_id,
		.version = SN_VERSION,
		.visit_status = visit_status,
		.userdata = daemon,
	};
	int r;

	r = cp_control_setup_new(&daemon->control, &options, daemon->config);
	if (r < 0)
		sn_diag_set(diag, "control", "cannot be started: %s",
			    strerror(-r));
	return r;
}

static void manager_closed(void *userdata)
{
	struct daemon *daemon = userdata;

	daemon->manager = NULL;
	if (daemon->state)
		cp_state_close(sn_steal(&daemon->state), NULL, NULL);
}

static void dns_closed(void *userdata)
{
	struct daemon *daemon = userdata;

	daemon->events = cp_events_free(daemon->events);
	if (daemon->manager)
		cp_attach_close(daemon->manager, manager_closed, daemon);
	else
		manager_closed(daemon);
}

static void control_stopped(void *userdata)
{
	struct daemon *daemon = userdata;

	if (daemon->dns)
		cp_dns_server_close(sn_steal(&daemon->dns), dns_closed, daemon);
	else
		dns_closed(daemon);
}

static void monitor_closed(void *userdata)
{
	struct daemon *daemon = userdata;

	if (daemon->dns)
		cp_dns_server_put_proxy(daemon->dns, NULL);
	if (daemon->control)
		cp_control_stop(daemon->control, control_stopped, daemon);
	else
		control_stopped(daemon);
}

static void api_stopped(void *userdata)
{
	struct daemon *daemon = userdata;

	if (daemon->monitor)
		cp_monitor_close(sn_steal(&daemon->monitor), monitor_closed,
				 daemon);
	else
		monitor_closed(daemon);
}

/* API, metrics and health, stream, resolver, operations, link, state: in this order, so that what
 * was begun is answered, and what was answered is on disk. */
static void stop(struct daemon *daemon)
{
	if (daemon->is_stopping)
		return;
	daemon->is_stopping = true;
	uv_close((uv_handle_t *)&daemon->on_term, NULL);
	uv_close((uv_handle_t *)&daemon->on_int, NULL);
	uv_close((uv_handle_t *)&daemon->on_hup, NULL);
	if (daemon->api)
		cp_api_stop(daemon->api, DRAIN_MS, api_stopped, daemon);
	else
		api_stopped(daemon);
}

static void on_signal(uv_signal_t *handle, int number)
{
	sn_log(SN_LOG_INFO, "stopping signal=%d", number);
	stop(handle->data);
}

/* A configuration that is refused changes nothing. Options that are not
 * reloadable keep their values until a restart. */
static void on_reload(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;
	struct cp_config *before = daemon->config;
	struct cp_attach_options options;

	(void)number;
	if (load_config(daemon) != 0) {
		daemon->config = before;
		sn_log(SN_LOG_ERROR, "reload refused: the running "
				     "configuration stays");
		return;
	}
	cp_config_free(before);
	(void)set_log_level(daemon);
	options = manager_options(daemon);
	cp_attach_reload(daemon->manager, &options);
	cp_api_reload(daemon->api, options.max_rules);
	if (daemon->control)
		cp_control_reload(daemon->control, options.max_rules);
	reload_doh(daemon);
	cp_dns_setup_reload(daemon->dns, daemon->config);
	cp_events_setup_reload(daemon->events, daemon->config);
	sn_log(SN_LOG_INFO, "reloaded");
}

static int open_all(struct daemon *daemon)
{
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];
	int r;

	r = open_state(daemon, &diag);
	if (r == 0) {
		diag = (struct sn_diag){ 0 };
		r = open_manager(daemon, &diag);
	}
	if (r == 0) {
		diag = (struct sn_diag){ 0 };
		r = cp_dns_setup_new(&daemon->dns, &daemon->loop,
				     daemon->manager, daemon->config, &diag);
	}
	if (r == 0) {
		diag = (struct sn_diag){ 0 };
		r = open_control(daemon, &diag);
	}
	if (r == 0 && daemon->control)
		cp_dns_server_put_proxy(daemon->dns,
					cp_control_get_proxy(daemon->control));
	if (r == 0) {
		diag = (struct sn_diag){ 0 };
		r = open_api(daemon, &diag);
	}
	if (r == 0)
		r = open_monitor(daemon);
	if (r == 0) {
		sn_log(SN_LOG_INFO, "started version=%s daemon_id=%s api=%s",
		       SN_VERSION, daemon->daemon_id, daemon->api_socket);
		return 0;
	}
	sn_log(SN_LOG_ERROR, "start error='%s'",
	       diag.text[0] ? sn_diag_format(&diag, text, sizeof(text)) :
			      strerror(r < 0 ? -r : EINVAL));
	return r;
}

static int run(struct daemon *daemon)
{
	int r;

	r = uv_loop_init(&daemon->loop);
	if (r < 0)
		return EXIT_FAILURE;
	(void)uv_signal_init(&daemon->loop, &daemon->on_term);
	(void)uv_signal_init(&daemon->loop, &daemon->on_int);
	(void)uv_signal_init(&daemon->loop, &daemon->on_hup);
	daemon->on_term.data = daemon;
	daemon->on_int.data = daemon;
	daemon->on_hup.data = daemon;
	(void)uv_signal_start(&daemon->on_term, on_signal, SIGTERM);
	(void)uv_signal_start(&daemon->on_int, on_signal, SIGINT);
	cp_rpc_core_init();
	r = open_all(daemon);
	if (r != 0)
		stop(daemon);
	else
		(void)uv_signal_start(&daemon->on_hup, on_reload, SIGHUP);
	(void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
	(void)cp_control_free(daemon->control);
	cp_api_free(daemon->api);
	cp_rpc_core_done();
	(void)uv_loop_close(&daemon->loop);
	if (r == 0)
		sn_log(SN_LOG_INFO, "stopped");
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int start(struct daemon *daemon)
{
	int r;

	r = load_config(daemon);
	if (r == 0)
		r = set_log_level(daemon);
	if (r == 0)
		r = check_doh(daemon);
	if (r != 0)
		return r;
	if (daemon->options.check_config) {
		(void)puts("OK");
		return EXIT_SUCCESS;
	}
	if (cp_privilege_is_root() && !daemon->options.allow_root) {
		(void)fputs("sentinel-cp: refuses to run as root; start it as "
			    "user sentinel, or with --allow-root\n",
			    stderr);
		return EXIT_FAILURE;
	}
	if (prepare_folders(daemon) < 0 || give_up_privileges(daemon) < 0)
		return EXIT_FAILURE;
	return run(daemon);
}

int main(int argc, char **argv)
{
	static struct daemon daemon;
	int r;

	r = parse_options(argc, argv, &daemon.options);
	if (r != 0 || daemon.options.is_done)
		return r;
	r = start(&daemon);
	cp_config_free(daemon.config);
	return r;
}
