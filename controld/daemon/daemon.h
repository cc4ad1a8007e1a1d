/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinel-cp: reads its configuration, gives up every privilege, takes over
 * the state file, and serves the local API over the link to sentinel-dp. It
 * may end at any moment; the kernel goes on enforcing the last policy.
 *
 * What it is made of is the table in parts.c: each part is opened after those
 * that it uses, and closed before them. */

#include <stdbool.h>

enum { CP_DAEMON_EXIT_USAGE = 2 }; /* also a configuration that is refused */

#define CP_DAEMON_CONFIG    "/etc/sentinel/sentinel-cp.yaml"
#define CP_DAEMON_RUN_DIR   "/run/sentinel"
#define CP_DAEMON_STATE_DIR "/var/lib/sentinel"

struct cp_daemon_options {
	const char *config; /* NULL: CP_DAEMON_CONFIG if it is there */
	const char *run_dir;
	const char *state_dir;
	const char *log_level; /* NULL: the configuration's */
	bool check_config; /* and do nothing else */
	bool allow_root;
};

/* Runs until a signal ends it. Returns the exit status. */
int cp_daemon_run(const struct cp_daemon_options *options);
