// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/wait.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controld/ctl/run/channel.h"
#include "controld/ctl/run/child.h"

enum {
	PATIENCE_MS = 1000, /* until we say what we wait for */
};

int cp_ctl_run_wait_begin(struct cp_ctl_run_wait *run)
{
	static const int wanted[] = { SIGCHLD, SIGHUP,	SIGINT, SIGQUIT,
				      SIGTERM, SIGUSR1, SIGUSR2 };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < SN_ARRAY_SIZE(wanted); i++)
		(void)sigaddset(&set, wanted[i]);
	if (sigprocmask(SIG_BLOCK, &set, &run->before) < 0)
		return -errno;
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->signals < 0 ? -errno : 0;
}

void cp_ctl_run_wait_end(struct cp_ctl_run_wait *run)
{
	if (run->signals >= 0)
		(void)close(run->signals);
	(void)sigprocmask(SIG_SETMASK, &run->before, NULL);
}

/* 0: none is left. */
static int next_signal(const struct cp_ctl_run_wait *run,
		       struct signalfd_siginfo *info)
{
	if (read(run->signals, info, sizeof(*info)) != sizeof(*info))
		return 0;
	return (int)info->ssi_signo;
}

/* What the supervisor says. True: the command may run. */
static bool hear(struct cp_ctl_run_wait *run, struct cp_ctl_session *session)
{
	struct cp_ctl_run_channel_record record = { .text = "" };

	if (cp_ctl_run_channel_receive(run->channel, &record) < 0)
		record.kind = CP_CTL_RUN_CHANNEL_NONE;
	switch (record.kind) {
	case CP_CTL_RUN_CHANNEL_READY:
		return true;
	case CP_CTL_RUN_CHANNEL_ERROR:
	case CP_CTL_RUN_CHANNEL_REPORT:
		(void)fputs(record.text, session->errors);
		break;
	case CP_CTL_RUN_CHANNEL_NONE:
		(void)cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					  "the supervisor was killed");
		run->is_over = true;
		run->is_lost = true;
		break;
	case CP_CTL_RUN_CHANNEL_END:
	case CP_CTL_RUN_CHANNEL_DONE:
		run->is_over = true;
		break;
	}
	return false;
}

static int wait_for(struct cp_ctl_run_wait *run, int timeout_ms, bool *spoke)
{
	struct pollfd fds[] = {
		{ .fd = run->signals, .events = POLLIN },
		{ .fd = run->is_over ? -1 : run->channel, .events = POLLIN },
	};
	int n = poll(fds, SN_ARRAY_SIZE(fds), timeout_ms);

	*spoke = n > 0 && fds[1].revents;
	return n;
}

int cp_ctl_run_wait_ready(struct cp_ctl_run_wait *run,
			  struct cp_ctl_session *session)
{
	struct signalfd_siginfo info;
	int timeout_ms = PATIENCE_MS, number;
	bool spoke;

	for (;;) {
		if (wait_for(run, timeout_ms, &spoke) == 0) {
			timeout_ms = -1;
			if (isatty(STDERR_FILENO))
				(void)fputs("sentinelctl: run: waiting until "
					    "the policy is in force ...\n",
					    session->errors);
		}
		if (spoke && hear(run, session))
			return 0;
		if (run->is_over)
			return CP_CTL_EXIT_FAILED;
		while ((number = next_signal(run, &info))) {
			if (number != SIGCHLD)
				return CP_CTL_RUN_CHILD_SIGNAL + number;
		}
	}
}

/* The command has stopped. Whoever has a shell with job control gets it back;
 * everybody else has to be told. */
static void follow_stop(struct cp_ctl_run_wait *run,
			struct cp_ctl_session *session, int number)
{
	if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
		(void)raise(SIGSTOP);
		(void)kill(run->child, SIGCONT);
		return;
	}
	(void)fprintf(session->errors,
		      "sentinelctl: run: the command has stopped (signal %d); "
		      "'kill -CONT %d' lets it go on\n",
		      number, (int)run->child);
}

static int status_of(int status)
{
	return WIFSIGNALED(status) ?
		       CP_CTL_RUN_CHILD_SIGNAL + WTERMSIG(status) :
		       WEXITSTATUS(status);
}

/* Nobody holds the lease: the command must not go on. A supervisor that could
 * say so has killed it, or it had ended before. */
static int end_child(struct cp_ctl_run_wait *run)
{
	int status = 0;

	(void)kill(run->child, SIGKILL);
	(void)waitpid(run->child, &status, 0);
	run->child = 0;
	return run->is_lost ? CP_CTL_EXIT_FAILED : status_of(status);
}

/* -1: it has not ended. */
static int look_at_child(struct cp_ctl_run_wait *run,
			 struct cp_ctl_session *session)
{
	int status;

	while (waitpid(run->child, &status, WNOHANG | WUNTRACED) ==
	       run->child) {
		if (WIFSTOPPED(status)) {
			follow_stop(run, session, WSTOPSIG(status));
			continue;
		}
		run->child = 0;
		return status_of(status);
	}
	return -1;
}

int cp_ctl_run_wait_child(struct cp_ctl_run_wait *run,
			  struct cp_ctl_session *session)
{
	struct signalfd_siginfo info;
	int number, status = -1;
	bool spoke;

	while (status < 0) {
		(void)wait_for(run, -1, &spoke);
		if (spoke)
			(void)hear(run, session);
		if (run->is_over)
			return end_child(run);
		while ((number = next_signal(run, &info))) {
			if (number != SIGCHLD && info.ssi_code <= 0)
				(void)kill(run->child, number);
		}
		status = look_at_child(run, session);
	}
	return status;
}
