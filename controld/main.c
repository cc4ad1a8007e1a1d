/* SPDX-License-Identifier: Apache-2.0 */

/* The command line of sentinel-cp. */

#include <getopt.h>
#include <stdio.h>

#include "controld/daemon/daemon.h"
#include "shared/version.h"

struct options {
	struct cp_daemon_options daemon;
	bool is_done; /* --help, --version */
};

static const char usage[] =
	"Usage: sentinel-cp [OPTION]...\n"
	"The control plane of Sentinel: policies, state and the local API.\n"
	"\n"
	"  --config FILE      configuration (" CP_DAEMON_CONFIG ";\n"
	"                     without it the defaults hold)\n"
	"  --run-dir DIR      of dp.sock and api.sock (" CP_DAEMON_RUN_DIR ")\n"
	"  --state-dir DIR    of what is kept over restarts (" CP_DAEMON_STATE_DIR
	")\n"
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
		options->daemon.config = optarg;
		return true;
	case OPTION_RUN_DIR:
		options->daemon.run_dir = optarg;
		return true;
	case OPTION_STATE_DIR:
		options->daemon.state_dir = optarg;
		return true;
	case OPTION_CHECK_CONFIG:
		options->daemon.check_config = true;
		return true;
	case OPTION_LOG_LEVEL:
		options->daemon.log_level = optarg;
		return true;
	case OPTION_ALLOW_ROOT:
		options->daemon.allow_root = true;
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

	options->daemon.run_dir = CP_DAEMON_RUN_DIR;
	options->daemon.state_dir = CP_DAEMON_STATE_DIR;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		if (!take_option(options, option)) {
			(void)fputs("Try 'sentinel-cp --help'.\n", stderr);
			return CP_DAEMON_EXIT_USAGE;
		}
		if (options->is_done)
			return 0;
	}
	if (optind < argc) {
		(void)fprintf(stderr,
			      "sentinel-cp: '%s' is no option\n"
			      "Try 'sentinel-cp --help'.\n",
			      argv[optind]);
		return CP_DAEMON_EXIT_USAGE;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = { .is_done = false };
	int r;

	r = parse_options(argc, argv, &options);
	if (r != 0 || options.is_done)
		return r;
	return cp_daemon_run(&options.daemon);
}
