/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/privilege/privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "shared/util.h"

enum { GROUPS_MAX = 256 };

static int fail(struct sn_diag *diag, const char *what)
{
	int r = -errno;

	sn_diag_set(diag, NULL, "%s: %s", what, strerror(-r));
	return sn_trace(r);
}

bool cp_privilege_is_root(void)
{
	return geteuid() == 0 || getuid() == 0;
}

int cp_privilege_join(gid_t group, struct sn_diag *diag)
{
	gid_t groups[GROUPS_MAX];
	int n;

	if (geteuid() != 0 || group == (gid_t)-1)
		return 0;
	n = getgroups(GROUPS_MAX - 1, groups);
	if (n < 0)
		return fail(diag, "cannot read the supplementary groups");
	groups[n] = group;
	/* Without CAP_SETGID the socket's group can only be one of ours. */
	if (setgroups((size_t)n + 1, groups) < 0 && errno != EPERM)
		return fail(diag, "cannot join the group of the API");
	return 0;
}

static int empty_bounding_set(struct sn_diag *diag)
{
	for (unsigned long cap = 0; cap <= 63; cap++) {
		int r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (r < 0)
			return 0; /* after the kernel's last capability */
		if (r == 0)
			continue;
		/* Needs CAP_SETPCAP; without it no_new_privs is what keeps
		 * the set from ever mattering. */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return fail(diag, "cannot empty the bounding set");
	}
	return 0;
}

int cp_privilege_drop(struct sn_diag *diag)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = { 0 };
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(diag, "cannot set no_new_privs");
	r = empty_bounding_set(diag);
	if (r < 0)
		return r;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return fail(diag, "cannot clear the ambient capabilities");
	if (syscall(SYS_capset, &header, none) < 0)
		return fail(diag, "cannot drop the capabilities");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(diag, "cannot forbid a core");
	return 0;
}
