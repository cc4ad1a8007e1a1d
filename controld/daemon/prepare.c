/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/daemon/prepare.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controld/privilege/filter.h"
#include "controld/privilege/privilege.h"
#include "shared/log.h"

/* The name of a file in a folder. */
static int join(char *ret, size_t size, const char *folder, const char *name)
{
	int n = snprintf(ret, size, "%s/%s", folder, name);

	if (n > 0 && (size_t)n < size)
		return 0;
	sn_log(SN_LOG_ERROR, "start error='%s is too long'", folder);
	return -ENAMETOOLONG;
}

static int join_all(struct cp_daemon *daemon)
{
	const char *run = daemon->options->run_dir;
	const char *state = daemon->options->state_dir;
	int r;

	r = join(daemon->dp_socket, sizeof(daemon->dp_socket), run, "dp.sock");
	if (r == 0)
		r = join(daemon->api_socket, sizeof(daemon->api_socket), run,
			 "api.sock");
	if (r == 0)
		r = join(daemon->state_path, sizeof(daemon->state_path), state,
			 "state.pb");
	if (r == 0)
		r = join(daemon->learnt_path, sizeof(daemon->learnt_path),
			 state, "learnt.pb");
	return r;
}

static int make_folder(const struct cp_daemon *daemon)
{
	const char *state = daemon->options->state_dir;

	(void)umask(0077);
	if (mkdir(state, 0700) < 0 && errno != EEXIST) {
		sn_log(SN_LOG_ERROR, "start error='cannot make %s: %s'", state,
		       strerror(errno));
		return -errno;
	}
	return 0;
}

/* A group that does not exist narrows who may call, and is told. */
static void find_group(struct cp_daemon *daemon)
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

static int give_up_privileges(struct cp_daemon *daemon)
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

int cp_daemon_prepare(struct cp_daemon *daemon)
{
	int r;

	r = make_folder(daemon);
	if (r == 0)
		r = join_all(daemon);
	if (r == 0)
		r = give_up_privileges(daemon);
	return r;
}
