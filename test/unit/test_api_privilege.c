/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/privilege/filter.h"

#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "controld/privilege/privilege.h"
#include "shared/util.h"
#include "test/unit/t.h"

static void *answer(void *userdata)
{
	return userdata;
}

static bool has_no_capability(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	       syscall(SYS_capget, &header, caps) == 0 && !caps[0].effective &&
	       !caps[0].permitted && !caps[0].inheritable &&
	       !caps[1].effective && !caps[1].permitted;
}

static bool is_refused(long result)
{
	return result < 0 && errno == EPERM;
}

static bool makes_sockets(void)
{
	return is_refused(socket(AF_PACKET, SOCK_RAW, 0)) &&
	       is_refused(socket(AF_VSOCK, SOCK_STREAM, 0)) &&
	       socket(AF_UNIX, SOCK_STREAM, 0) >= 0 &&
	       socket(AF_NETLINK, SOCK_RAW, 0) >= 0 &&
	       socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static bool makes_threads_but_no_processes(void)
{
	pthread_t thread;
	void *ret = NULL;
	int token;

	if (!is_refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) ||
	    !is_refused(execl("/bin/true", "true", NULL)))
		return false;
	if (syscall(SYS_clone3, NULL, 0) >= 0 || errno != ENOSYS)
		return false;
	return pthread_create(&thread, NULL, answer, &token) == 0 &&
	       pthread_join(thread, &ret) == 0 && ret == &token;
}

/* In a child, since there is no way back; the exit status is the number of
 * the first check that failed. */
static int give_up_and_try(void)
{
	struct sn_diag diag = { 0 };

	if (cp_privilege_drop(&diag) < 0 || cp_privilege_filter_load(&diag) < 0)
		return 1;
	if (!has_no_capability() || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 2;
	if (!is_refused(syscall(SYS_bpf, 0, NULL, 0)))
		return 3;
	if (!is_refused(unshare(CLONE_NEWUSER)))
		return 4;
	if (!makes_sockets())
		return 5;
	return makes_threads_but_no_processes() ? 0 : 6;
}

static void what_was_given_up_is_refused_and_threads_work(void)
{
	int status;
	pid_t pid = fork();

	t_true(pid >= 0);
	if (pid == 0)
		_exit(give_up_and_try());
	t_eq(waitpid(pid, &status, 0), pid);
	t_true(WIFEXITED(status));
	t_eq(WEXITSTATUS(status), 0);
}

static void joining_no_group_or_without_root_changes_nothing(void)
{
	struct sn_diag diag = { 0 };
	int before = getgroups(0, NULL);

	t_eq(cp_privilege_join((gid_t)-1, &diag), 0);
	t_eq(getgroups(0, NULL), before);
	t_eq(cp_privilege_is_root(), getuid() == 0 || geteuid() == 0);
}

T_MAIN("api_privilege", what_was_given_up_is_refused_and_threads_work,
       joining_no_group_or_without_root_changes_nothing)
