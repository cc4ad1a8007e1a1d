// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controld/ctl/run/descriptors.h"
#include "shared/util.h"

enum step {
	STEP_GROUP,
	STEP_USER,
	STEP_COMMAND,
};

/* What the child tells when it cannot become the command. */
struct failure {
	enum step step;
	int error;
};

/* For good: neither set-user-ID programs nor file capabilities lead back. */
static int become_user(const struct passwd *user)
{
	if (initgroups(user->pw_name, user->pw_gid) < 0 ||
	    setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    setenv("HOME", user->pw_dir, 1) < 0 ||
	    setenv("USER", user->pw_name, 1) < 0 ||
	    setenv("LOGNAME", user->pw_name, 1) < 0)
		return -errno;
	return 0;
}

static __attribute__((noreturn)) void
become_command(const struct cp_ctl_run_group *group, char *const *command,
	       const struct passwd *user, const sigset_t *signals, int report)
{
	struct failure failure = { .step = STEP_GROUP };

	failure.error = -cp_ctl_run_group_enter(group);
	if (!failure.error && user) {
		failure.step = STEP_USER;
		failure.error = -become_user(user);
	}
	if (!failure.error) {
		failure.step = STEP_COMMAND;
		cp_ctl_run_descriptors_close(report);
		(void)sigprocmask(SIG_SETMASK, signals, NULL);
		(void)execvp(command[0], command);
		failure.error = errno;
	}
	(void)!write(report, &failure, sizeof(failure));
	_exit(CP_CTL_RUN_CHILD_NOT_EXECUTABLE);
}

static int explain(const struct failure *failure, const char *command,
		   const struct passwd *user, int *status, struct sn_diag *diag)
{
	const char *why = strerror(failure->error);

	*status = 1;
	switch (failure->step) {
	case STEP_GROUP:
		sn_diag_set(diag, NULL, "cannot enter the cgroup: %s", why);
		break;
	case STEP_USER:
		sn_diag_set(diag, NULL,
			    "cannot become the user '%s': %s; only root can",
			    user->pw_name, why);
		break;
	case STEP_COMMAND:
		*status = failure->error == ENOENT ?
				  CP_CTL_RUN_CHILD_NOT_FOUND :
				  CP_CTL_RUN_CHILD_NOT_EXECUTABLE;
		sn_diag_set(diag, NULL, "cannot run '%s': %s", command, why);
		break;
	}
	return CP_CTL_RUN_CHILD_E_STATUS;
}

int cp_ctl_run_child_start(const struct cp_ctl_run_group *group,
			   char *const *command, const struct passwd *user,
			   const sigset_t *signals, pid_t *pid, int *status,
			   struct sn_diag *diag)
{
	struct failure failure;
	int pipes[2];
	ssize_t n;
	pid_t child;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		become_command(group, command, user, signals, pipes[1]);
	(void)close(pipes[1]);
	if (child < 0) {
		n = -errno;
		(void)close(pipes[0]);
		return (int)n;
	}
	do {
		n = read(pipes[0], &failure, sizeof(failure));
	} while (n < 0 && errno == EINTR);
	(void)close(pipes[0]);
	if (n == sizeof(failure)) {
		(void)waitpid(child, NULL, 0);
		return explain(&failure, command[0], user, status, diag);
	}
	*pid = child;
	return 0;
}
