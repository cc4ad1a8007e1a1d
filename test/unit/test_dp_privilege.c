/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/privilege.h"

#include <linux/perf_event.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/util.h"
#include "test/unit/t.h"

enum process { PLANE, PLANE_WITHOUT_EVENTS, OPENER };

struct call {
	long pid, cpu, group, flags;
};

static const struct call own = { -1, 0, -1, PERF_FLAG_FD_CLOEXEC };

static int confine(enum process process)
{
	struct dp_privilege_needs needs = { .events = process == PLANE };
	struct sn_diag diag = { 0 };

	return process == OPENER ? dp_privilege_confine_opener() :
				   dp_privilege_confine(needs, &diag);
}

/* Nothing else: the sanitizers' _exit() makes calls that are not allowed. */
static void leave(int status)
{
	(void)syscall(SYS_exit_group, status);
}

/* In a child, since there is no way back. Returns whether the call ended it. */
static bool ends(enum process process, struct call call)
{
	const struct rlimit no_core = { 0 };
	pid_t pid = fork();
	int status;

	t_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		if (confine(process) < 0)
			leave(1);
		/* No event is where none is described. */
		(void)syscall(SYS_perf_event_open, NULL, call.pid, call.cpu,
			      call.group, call.flags);
		leave(0);
	}
	t_eq(waitpid(pid, &status, 0), pid);
	t_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static void check_only_the_own_call_is_left(enum process process)
{
	static const struct call others[] = {
		{ 0, 0, -1, PERF_FLAG_FD_CLOEXEC },
		{ 1, 0, -1, PERF_FLAG_FD_CLOEXEC },
		{ -1, 1, -1, PERF_FLAG_FD_CLOEXEC },
		{ -1, -1, -1, PERF_FLAG_FD_CLOEXEC },
		{ -1, 0, 0, PERF_FLAG_FD_CLOEXEC },
		{ -1, 0, -1, 0 },
		{ -1, 0, -1, PERF_FLAG_FD_CLOEXEC | PERF_FLAG_PID_CGROUP },
	};

	t_true(!ends(process, own));
	for (size_t i = 0; i < SN_ARRAY_SIZE(others); i++)
		t_true(ends(process, others[i]));
}

static void events_are_opened_of_no_process_and_in_no_group(void)
{
	check_only_the_own_call_is_left(PLANE);
	if (geteuid() == 0)
		check_only_the_own_call_is_left(OPENER);
	else
		(void)puts("the opener takes root, and is not tried");
}

static void no_events_are_opened_where_another_process_does(void)
{
	t_true(ends(PLANE_WITHOUT_EVENTS, own));
}

T_MAIN("dp_privilege", events_are_opened_of_no_process_and_in_no_group,
       no_events_are_opened_where_another_process_does)
