/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/privilege.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "shared/util.h"

struct kept {
	cap_value_t values[3];
	int n;
};

/* Numbers of arguments. */
enum { PERF_PID = 1, PERF_CPU, PERF_GROUP, PERF_FLAGS };

static const struct kept own = { { CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON }, 3 };
static const struct kept openers = { { CAP_SYS_ADMIN }, 1 };

static int refuse(struct sn_diag *diag, const char *what, int r)
{
	sn_diag_set(diag, NULL, "%s: %s", what, strerror(-r));
	return sn_trace(r);
}

static bool is_kept(const struct kept *kept, cap_value_t value)
{
	for (int i = 0; i < kept->n; i++) {
		if (kept->values[i] == value)
			return true;
	}
	return false;
}

static int drop_bounding(const struct kept *kept)
{
	for (cap_value_t value = 0; value <= cap_max_bits(); value++) {
		if (is_kept(kept, value) || cap_get_bound(value) != 1)
			continue;
		if (cap_drop_bound(value) < 0)
			return -errno;
	}
	return 0;
}

static int set_kept(const struct kept *kept)
{
	cap_t caps = cap_init();
	int r = 0;

	if (!caps)
		return -ENOMEM;
	if (cap_set_flag(caps, CAP_PERMITTED, kept->n, kept->values, CAP_SET) <
		    0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, kept->n, kept->values, CAP_SET) <
		    0 ||
	    cap_set_proc(caps) < 0)
		r = -errno;
	(void)cap_free(caps);
	return r;
}

int dp_privilege_drop(struct sn_diag *diag)
{
	int r;

	r = drop_bounding(&own);
	if (r < 0)
		return refuse(diag, "cannot limit the bounding set", r);
	if (cap_reset_ambient() < 0)
		return refuse(diag, "cannot clear ambient capabilities",
			      -errno);
	r = set_kept(&own);
	if (r < 0)
		return refuse(diag,
			      "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are "
			      "needed",
			      r);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return refuse(diag, "no_new_privs", -errno);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return refuse(diag, "cannot forbid a core", -errno);
	return 0;
}

/* Whatever their arguments. */
static const int plain_calls[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(close),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(getsockopt),
	SCMP_SYS(gettid),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(newfstatat),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg),
	SCMP_SYS(tgkill),
	SCMP_SYS(unlinkat),
	SCMP_SYS(write),
};

/* libbpf's netlink besides socket(2). */
static const int netlink_calls[] = {
	SCMP_SYS(bind),	  SCMP_SYS(getsockname), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto), SCMP_SYS(setsockopt),
};

static const unsigned int bpf_commands[] = {
	BPF_MAP_LOOKUP_ELEM,  BPF_MAP_UPDATE_ELEM,    BPF_MAP_DELETE_ELEM,
	BPF_MAP_LOOKUP_BATCH, BPF_MAP_UPDATE_BATCH,   BPF_OBJ_PIN,
	BPF_OBJ_GET,	      BPF_OBJ_GET_INFO_BY_FD, BPF_PROG_QUERY,
	BPF_LINK_CREATE,      BPF_LINK_UPDATE,	      BPF_LINK_DETACH,
	BPF_ITER_CREATE,
};

/* TCGETS is isatty(3) of the log. */
static const unsigned int ioctls[] = { SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFHWADDR,
				       SIOCETHTOOL, TCGETS };

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

/* The call with one of these values as an argument, 32 bits of it. */
static int allow_values(scmp_filter_ctx filter, int call, unsigned int argument,
			const unsigned int *values, size_t n)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct scmp_arg_cmp is = {
			.arg = argument,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = UINT32_MAX,
			.datum_b = values[i],
		};

		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1,
					   &is);
	}
	return r;
}

/* perf_event_open(2) as dp_tracefs_open_event() makes it: of no process, on the
 * first CPU, in no group. A filter cannot see what the event is. */
static int allow_events(scmp_filter_ctx filter)
{
	static const unsigned int values[] = {
		[PERF_PID] = UINT32_MAX,
		[PERF_CPU] = 0,
		[PERF_GROUP] = UINT32_MAX,
		[PERF_FLAGS] = PERF_FLAG_FD_CLOEXEC,
	};
	struct scmp_arg_cmp are[SN_ARRAY_SIZE(values) - PERF_PID];

	for (unsigned int i = 0; i < SN_ARRAY_SIZE(are); i++)
		are[i] = (struct scmp_arg_cmp){
			.arg = PERF_PID + i,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = UINT32_MAX,
			.datum_b = values[PERF_PID + i],
		};
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
				      SCMP_SYS(perf_event_open),
				      SN_ARRAY_SIZE(are), are);
}

static int fill(scmp_filter_ctx filter, struct dp_privilege_needs needs)
{
	const unsigned int run = BPF_PROG_TEST_RUN;
	const unsigned int walk = O_PATH | O_DIRECTORY | O_CLOEXEC;
	const unsigned int barrier = MEMBARRIER_CMD_GLOBAL;
	const unsigned int family = AF_NETLINK;
	const struct scmp_arg_cmp not_executable = {
		.arg = 2,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = PROT_EXEC,
		.datum_b = 0,
	};
	int r;

	r = allow_all(filter, plain_calls, SN_ARRAY_SIZE(plain_calls));
	if (r >= 0)
		r = allow_values(filter, SCMP_SYS(bpf), 0, bpf_commands,
				 SN_ARRAY_SIZE(bpf_commands));
	if (r >= 0)
		r = allow_values(filter, SCMP_SYS(ioctl), 1, ioctls,
				 SN_ARRAY_SIZE(ioctls));
	if (r >= 0)
		r = allow_values(filter, SCMP_SYS(openat), 2, &walk, 1);
	if (r >= 0)
		r = allow_values(filter, SCMP_SYS(membarrier), 0, &barrier, 1);
	if (r >= 0)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
					   SCMP_SYS(mmap), 1, &not_executable);
	if (r >= 0 && needs.sums)
		r = allow_values(filter, SCMP_SYS(bpf), 0, &run, 1);
	if (r >= 0 && needs.events)
		r = allow_events(filter);
	if (r < 0 || !needs.netlink)
		return r;
	r = allow_all(filter, netlink_calls, SN_ARRAY_SIZE(netlink_calls));
	if (r >= 0)
		r = allow_values(filter, SCMP_SYS(socket), 0, &family, 1);
	return r;
}

int dp_privilege_confine(struct dp_privilege_needs needs, struct sn_diag *diag)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return refuse(diag, "seccomp", -ENOMEM);
	r = fill(filter, needs);
	if (r >= 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? refuse(diag, "seccomp", r) : 0;
}

int dp_privilege_confine_opener(void)
{
	static const int calls[] = {
		SCMP_SYS(recvmsg),	   SCMP_SYS(sendmsg),
		SCMP_SYS(close),	   SCMP_SYS(exit_group),
		SCMP_SYS(restart_syscall),
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return -ENOMEM;
	r = drop_bounding(&openers);
	if (r >= 0 && cap_reset_ambient() < 0)
		r = -errno;
	if (r >= 0)
		r = set_kept(&openers);
	if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r >= 0)
		r = allow_all(filter, calls, SN_ARRAY_SIZE(calls));
	if (r >= 0)
		r = allow_events(filter);
	if (r >= 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? sn_trace(r) : 0;
}
