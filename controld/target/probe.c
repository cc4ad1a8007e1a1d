/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/probe.h"

#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "controld/target/name.h"
#include "controld/target/netlink.h"

static int probe_iface(struct mnl_socket *socket, struct cp_target_probe *probe)
{
	struct cp_target_resolve_iface iface;
	int r;

	r = cp_target_netlink_get(socket, probe->ifindex, probe->name, &iface);
	if (r == -ENODEV)
		return -ENOENT;
	if (r < 0)
		return -EAGAIN;
	probe->ifindex = iface.ifindex;
	(void)memcpy(probe->name, iface.name, sizeof(probe->name));
	return 0;
}

/* A path that is not there proves that the cgroup is gone only if the nearest
 * directory above it is still of a cgroup2 hierarchy: without its mount a
 * cgroup lives on. */
static int judge_absence(const char *path)
{
	char above[PATH_MAX];
	struct statfs fs;
	size_t bytes = strlen(path);

	(void)memcpy(above, path, bytes + 1);
	do {
		bytes = cp_target_name_parent(above, bytes);
		above[bytes] = '\0';
		if (statfs(above, &fs) == 0)
			return fs.f_type == CGROUP2_SUPER_MAGIC ? -ENOENT :
								  -EAGAIN;
	} while (bytes > 1);
	return -EAGAIN;
}

static int probe_cgroup(struct cp_target_probe *probe)
{
	struct statfs fs;
	struct stat status;

	if (stat(probe->path, &status) < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ENODEV ?
			       judge_absence(probe->path) :
			       -EAGAIN;
	if (statfs(probe->path, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC ||
	    !S_ISDIR(status.st_mode))
		return -EAGAIN;
	probe->id = status.st_ino;
	return 0;
}

void cp_target_probe_run(struct cp_target_probe *probes, size_t n_probes)
{
	struct mnl_socket *socket = NULL;

	for (size_t i = 0; i < n_probes; i++) {
		if (probes[i].path)
			probes[i].status = probe_cgroup(&probes[i]);
		else if (!socket && cp_target_netlink_open(&socket) < 0)
			probes[i].status = -EAGAIN;
		else
			probes[i].status = probe_iface(socket, &probes[i]);
	}
	if (socket)
		(void)mnl_socket_close(socket);
}
