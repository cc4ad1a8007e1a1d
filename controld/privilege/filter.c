/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/privilege/filter.h"

#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "shared/util.h"

/* A list of what is refused rather than of what is allowed: the libraries'
 * threads, allocator and clocks change their system calls with every release,
 * and a filter that kills the daemon for that would be switched off. */
static const int refused[] = {
	/* programs and processes */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	/* code in the kernel, and its configuration */
	SCMP_SYS(bpf),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(syslog),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(userfaultfd),
	/* mounts and namespaces */
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(open_by_handle_at),
	/* other processes */
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	/* identities, keys and clocks */
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(personality),
	SCMP_SYS(modify_ldt),
};

static bool is_admitted_family(int family)
{
	return family == AF_UNIX || family == AF_NETLINK || family == AF_INET ||
	       family == AF_INET6;
}

/* EPERM for one call, or (arg not NULL) for it with such an argument. */
static int refuse(scmp_filter_ctx filter, int call,
		  const struct scmp_arg_cmp *arg)
{
	return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), call,
				      arg ? 1 : 0, arg);
}

/* Every family by itself, since a rule compares with one number. What is set
 * in the upper half of the register is above all of them. */
static int refuse_sockets(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp family = { .arg = 0, .op = SCMP_CMP_EQ };
	struct scmp_arg_cmp above = {
		.arg = 0,
		.op = SCMP_CMP_GT,
		.datum_a = AF_NETLINK,
	};
	int r;

	for (int i = 0; i <= AF_NETLINK; i++) {
		if (is_admitted_family(i))
			continue;
		family.datum_a = (scmp_datum_t)i;
		r = refuse(filter, SCMP_SYS(socket), &family);
		if (r < 0)
			return r;
	}
	return refuse(filter, SCMP_SYS(socket), &above);
}

static int add_rules(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp process = {
		.arg = 0,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = CLONE_THREAD,
		.datum_b = 0,
	};
	struct scmp_arg_cmp typing = {
		.arg = 1,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = UINT32_MAX,
		.datum_b = TIOCSTI,
	};
	int r;

	for (size_t i = 0; i < SN_ARRAY_SIZE(refused); i++) {
		r = refuse(filter, refused[i], NULL);
		if (r < 0)
			return r;
	}
	r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3),
			     0);
	if (r == 0)
		r = refuse(filter, SCMP_SYS(clone), &process);
	if (r == 0)
		r = refuse(filter, SCMP_SYS(ioctl), &typing);
	return r < 0 ? r : refuse_sockets(filter);
}

int cp_privilege_filter_load(struct sn_diag *diag)
{
	scmp_filter_ctx filter;
	int r = -ENOMEM;

	filter = seccomp_init(SCMP_ACT_ALLOW);
	if (filter) {
		r = add_rules(filter);
		if (r == 0)
			r = seccomp_load(filter);
		seccomp_release(filter);
	}
	if (r < 0)
		sn_diag_set(diag, NULL,
			    "cannot load the system call filter: %s",
			    strerror(-r));
	return sn_trace(r);
}
