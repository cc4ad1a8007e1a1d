// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/run.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controld/ctl/apply.h"
#include "controld/ctl/run/allow.h"
#include "controld/ctl/run/channel.h"
#include "controld/ctl/run/child.h"
#include "controld/ctl/run/supervisor.h"
#include "controld/ctl/run/wait.h"
#include "controld/ctl/table.h"
#include "controld/policy/file.h"

enum {
	COMMAND_BYTES = 256, /* of the metadata */
};

static enum cp_ctl_exit make_policy(struct cp_ctl_session *session,
				    Sentinel__V1__Policy **ret)
{
	const struct cp_ctl_options *options = &session->options;
	struct sn_diag diag = { .text = "" };
	enum cp_ctl_exit exit;
	int r;

	if (options->policy_path) {
		exit = cp_ctl_apply_load(session, options->policy_path, ret);
		if (exit)
			return exit;
	} else {
		*ret = cp_ctl_run_allow_new();
		if (!*ret)
			return cp_ctl_session_fail_errno(session, "policy",
							 -ENOMEM);
	}
	if (options->audit)
		(*ret)->audit = true;
	for (size_t i = 0; i < options->n_allow; i++) {
		r = cp_ctl_run_allow_add(*ret, options->allow[i], &diag);
		if (r > 0)
			return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
						   "--allow '%s': %s",
						   options->allow[i],
						   diag.text);
		if (r < 0)
			return cp_ctl_session_fail_errno(session, "--allow", r);
	}
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit find_user(struct cp_ctl_session *session,
				  const struct passwd **ret)
{
	const char *name = session->options.user;

	if (!name)
		return CP_CTL_EXIT_OK;
	errno = 0;
	*ret = getpwnam(name);
	if (!*ret)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "there is no user '%s'", name);
	if (geteuid() != 0)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "only root can run a command as "
					   "another user; use sudo, or leave "
					   "--user out");
	return CP_CTL_EXIT_OK;
}

/* The last part of the program's path, in letters that metadata may have. */
static void describe(const char *command, char text[COMMAND_BYTES])
{
	const char *slash = strrchr(command, '/');

	(void)snprintf(text, COMMAND_BYTES, "%s", slash ? slash + 1 : command);
	for (char *at = text; *at; at++) {
		if (*at < 0x20 || *at > 0x7e)
			*at = '?';
	}
}

/* The end. */

/* Tells the supervisor that all is over, and prints what it says. */
static void hear_out(struct cp_ctl_session *session,
		     struct cp_ctl_run_wait *run)
{
	struct cp_ctl_run_channel_record record = { .text = "" };

	(void)cp_ctl_run_channel_send(run->channel, CP_CTL_RUN_CHANNEL_DONE,
				      "");
	while (!run->is_over &&
	       cp_ctl_run_channel_receive(run->channel, &record) == 0 &&
	       record.kind != CP_CTL_RUN_CHANNEL_NONE &&
	       record.kind != CP_CTL_RUN_CHANNEL_END) {
		/* Without a command there is nothing to report. */
		if (run->was_started ||
		    record.kind != CP_CTL_RUN_CHANNEL_REPORT)
			(void)fputs(record.text, session->errors);
	}
	(void)close(run->channel);
	(void)waitpid(run->supervisor, NULL, 0);
}

/* The supervisor was killed; its work is ours now. */
static void clean_up(const struct cp_ctl_run_group *group)
{
	if (cp_ctl_run_group_kill(group) >= 0)
		(void)cp_ctl_run_group_remove(group);
}

static void tell_end(struct cp_ctl_session *session, int status)
{
	const char *command = session->options.args[1];
	char shown[COMMAND_BYTES];

	describe(command, shown);
	if (session->options.json)
		return;
	if (status > CP_CTL_RUN_CHILD_SIGNAL &&
	    status < CP_CTL_RUN_CHILD_SIGNAL + NSIG)
		(void)fprintf(session->errors,
			      "sentinelctl: run: '%s' was ended by signal %d "
			      "(%s)\n",
			      shown, status - CP_CTL_RUN_CHILD_SIGNAL,
			      strsignal(status - CP_CTL_RUN_CHILD_SIGNAL));
	else
		(void)fprintf(session->errors,
			      "sentinelctl: run: '%s' ended with %d\n", shown,
			      status);
}

static int start_and_wait(struct cp_ctl_session *session,
			  const struct cp_ctl_run_group *group,
			  const struct passwd *user,
			  struct cp_ctl_run_wait *run)
{
	char *const *command = session->options.args + 1;
	struct sn_diag diag = { .text = "" };
	int status = CP_CTL_EXIT_FAILED, r;

	r = cp_ctl_run_wait_ready(run, session);
	if (r)
		return r;
	r = cp_ctl_run_child_start(group, command, user, &run->before,
				   &run->child, &status, &diag);
	run->was_started = r == 0;
	if (r == 0) {
		status = cp_ctl_run_wait_child(run, session);
		tell_end(session, status);
	} else if (r > 0) {
		(void)cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s",
					  diag.text);
	} else {
		(void)cp_ctl_session_fail_errno(session, "cannot fork", r);
	}
	return status;
}

static enum cp_ctl_exit run_in(struct cp_ctl_session *session,
			       const struct cp_ctl_run_group *group,
			       Sentinel__V1__Policy *policy,
			       const struct passwd *user)
{
	struct cp_ctl_run_wait run = { .channel = -1 };
	char command[COMMAND_BYTES];
	int r, status;

	describe(session->options.args[1], command);
	(void)fflush(NULL);
	r = cp_ctl_run_wait_begin(&run);
	if (r == 0)
		r = cp_ctl_run_supervisor_start(session, group, policy, command,
						&run.supervisor, &run.channel);
	if (r < 0) {
		(void)cp_ctl_run_group_remove(group);
		return cp_ctl_session_fail_errno(session, "cannot begin", r);
	}
	status = start_and_wait(session, group, user, &run);
	hear_out(session, &run);
	clean_up(group);
	cp_ctl_run_wait_end(&run);
	return (enum cp_ctl_exit)status;
}

enum cp_ctl_exit cp_ctl_run_command(struct cp_ctl_session *session)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *policy = NULL;
	struct cp_ctl_run_group group = { .fd = -1 };
	struct sn_diag diag = { .text = "" };
	const struct passwd *user = NULL;
	enum cp_ctl_exit exit;

	exit = make_policy(session, &policy);
	if (exit == CP_CTL_EXIT_OK)
		exit = find_user(session, &user);
	if (exit)
		return exit;
	if (cp_ctl_run_group_make(&group, user != NULL, &diag) != 0)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s",
					   diag.text);
	exit = run_in(session, &group, policy, user);
	(void)close(group.fd);
	return exit;
}
