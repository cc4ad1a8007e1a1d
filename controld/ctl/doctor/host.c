// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/doctor/host.h"

#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BTF "/sys/kernel/btf/vmlinux"

static void look_at_kernel(struct cp_ctl_doctor_findings *findings)
{
	unsigned int major = 0, minor = 0, least = 15;
	struct utsname name;

	(void)uname(&name);
	(void)sscanf(name.release, "%u.%u", &major, &minor);
	/* Atomic operations that return a value came later there. */
	if (strcmp(name.machine, "aarch64") == 0)
		least = 18;
	if (major > 5 || (major == 5 && minor >= least))
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, "kernel",
					   NULL, "%s on %s", name.release,
					   name.machine);
	else
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_FAIL,
					   "kernel", "install a newer kernel",
					   "%s is older than 5.%u",
					   name.release, least);
	if (access(BTF, R_OK) == 0)
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, "BTF",
					   NULL, BTF);
	else
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_FAIL, "BTF",
			"use a kernel with CONFIG_DEBUG_INFO_BTF=y",
			"%s cannot be read", BTF);
}

/* Where a file system of this type is mounted; false: nowhere. */
static bool find_mount(const char *type, char *point, size_t size)
{
	FILE *file = fopen("/proc/self/mounts", "re");
	char line[8192], where[4096], kind[64];
	bool is_found = false;

	while (file && !is_found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %4095s %63s", where, kind) != 2 ||
		    strcmp(kind, type) != 0)
			continue;
		(void)snprintf(point, size, "%s", where);
		is_found = true;
	}
	if (file)
		(void)fclose(file);
	return is_found;
}

static void look_at_mounts(struct cp_ctl_doctor_findings *findings)
{
	static const struct {
		const char *subject, *type, *next;
	} mounts[] = {
		{ "bpffs", "bpf", "mount -t bpf bpf /sys/fs/bpf" },
		{ "cgroup2", "cgroup2",
		  "mount -t cgroup2 cgroup2 /sys/fs/cgroup" },
	};
	char point[4096];

	for (size_t i = 0; i < SN_ARRAY_SIZE(mounts); i++) {
		if (find_mount(mounts[i].type, point, sizeof(point)))
			cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK,
						   mounts[i].subject, NULL,
						   "mounted on %s", point);
		else
			cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_FAIL,
						   mounts[i].subject,
						   mounts[i].next,
						   "it is not mounted");
	}
}

static bool is_member(const struct group *group)
{
	gid_t groups[256];
	int n = getgroups((int)SN_ARRAY_SIZE(groups), groups);

	for (int i = 0; i < n; i++) {
		if (groups[i] == group->gr_gid)
			return true;
	}
	return geteuid() == 0 || getegid() == group->gr_gid;
}

static void look_at_accounts(struct cp_ctl_doctor_findings *findings)
{
	const struct group *group;

	if (getpwnam("sentinel"))
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, "user",
					   NULL, "sentinel");
	else
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_FAIL, "user",
			"systemd-sysusers sentinel.conf, or useradd --system "
			"--user-group sentinel",
			"there is no user sentinel for sentinel-cp");
	group = getgrnam("sentinel-admin");
	if (!group)
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_WARN, "group",
			"groupadd --system sentinel-admin",
			"there is no group sentinel-admin: only root may call "
			"the API");
	else if (!is_member(group))
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_WARN, "group",
			"usermod -aG sentinel-admin USER, and log in again",
			"you are not in sentinel-admin and may not call the "
			"API");
	else
		cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, "group",
					   NULL, "sentinel-admin");
}

static bool is_up(const char *name)
{
	struct ifreq request = { .ifr_flags = 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = false;

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0)
		up = request.ifr_flags & IFF_UP;
	if (fd >= 0)
		(void)close(fd);
	return up;
}

static void look_at_interfaces(struct cp_ctl_doctor_findings *findings)
{
	static const char *const names[] = { "sentinel0", "sentinel1" };

	for (size_t i = 0; i < SN_ARRAY_SIZE(names); i++) {
		bool is_there = if_nametoindex(names[i]);

		if (is_there && is_up(names[i]))
			cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK,
						   names[i], NULL, "up");
		else
			cp_ctl_doctor_findings_put(
				findings, CP_CTL_DOCTOR_WARN, names[i],
				"sentinel-netdev start, then restart "
				"sentinel-dp",
				"it is %s: names of attached interfaces cannot "
				"be resolved",
				is_there ? "down" : "not there");
	}
}

void cp_ctl_doctor_host_look(struct cp_ctl_doctor_findings *findings)
{
	look_at_kernel(findings);
	look_at_mounts(findings);
	look_at_accounts(findings);
	look_at_interfaces(findings);
}
