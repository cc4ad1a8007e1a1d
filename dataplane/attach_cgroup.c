/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/attach_cgroup.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "shared/util.h"

enum { TASK_CGROUPS_MAX = 64 };

int dp_attach_cgroup_init(struct dp_attach *attach)
{
	int program = attach->object->programs[SN_PROGRAM_TASK_CGROUPS];

	attach->task_link = -1;
	if (program < 0)
		return 0;
	attach->task_link = bpf_link_create(program, 0, BPF_TRACE_ITER, NULL);
	return attach->task_link < 0 ? sn_trace(-errno) : 0;
}

/* The id of a cgroup2 directory is its inode's number. */
static int get_id(int fd, struct stat *st)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, st) < 0)
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC || !S_ISDIR(st->st_mode))
		return -ENOTDIR;
	return 0;
}

/* Up to the root of the mount through which the fd was opened. */
static int walk_up(int fd, struct sn_target *target)
{
	sn_cleanup(sn_closep) int below = -1;
	struct stat is, up;
	int r;

	r = get_id(fd, &is);
	if (r < 0)
		return r;
	target->object = is.st_ino;
	target->n_ancestors = 0;
	for (;;) {
		int above = openat(below < 0 ? fd : below, "..",
				   O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (above < 0)
			return sn_trace(-errno);
		sn_closep(&below);
		below = above;
		r = get_id(below, &up);
		if (r == -ENOTDIR)
			return 0;
		if (r < 0)
			return sn_trace(r);
		if (up.st_dev != is.st_dev || up.st_ino == is.st_ino)
			return 0;
		if (target->n_ancestors == SN_ANCESTORS_MAX)
			return -EINVAL;
		target->ancestors[target->n_ancestors++] = up.st_ino;
		is = up;
	}
}

/* Ids of the process' own cgroup and of all above it; 0 if it is not found. */
static int find_task_cgroups(const struct dp_attach *attach, pid_t pid,
			     uint64_t ids[TASK_CGROUPS_MAX], size_t *n_ids)
{
	sn_cleanup(sn_closep) int fd = -1;
	size_t room = TASK_CGROUPS_MAX * sizeof(ids[0]);
	size_t used = 0;
	ssize_t n;
	int r;

	if (attach->task_link < 0)
		return -EOPNOTSUPP;
	r = dp_object_set_task(attach->object, (uint32_t)pid);
	if (r < 0)
		return r;
	fd = bpf_iter_create(attach->task_link);
	if (fd < 0)
		return sn_trace(-errno);
	do {
		n = read(fd, (char *)ids + used, room - used);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return sn_trace(-errno);
		used += n > 0 ? (size_t)n : 0;
	} while (n && used < room);
	*n_ids = used / sizeof(ids[0]);
	return 0;
}

/* What cannot be looked up is refused: the attachment could cut off the very
 * process that has to open it again. */
static int check_not_home_of(const struct dp_attach *attach, pid_t pid,
			     uint64_t id)
{
	uint64_t ids[TASK_CGROUPS_MAX];
	size_t n_ids = 0;
	int r;

	if (pid <= 0)
		return -EPERM;
	r = find_task_cgroups(attach, pid, ids, &n_ids);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_ids; i++) {
		if (ids[i] == id)
			return -EPERM;
	}
	return n_ids ? 0 : -EPERM;
}

int dp_attach_cgroup_check(const struct dp_attach *attach, int fd, pid_t peer,
			   struct sn_target *target)
{
	int r;

	r = walk_up(fd, target);
	if (r < 0)
		return r;
	if (!target->n_ancestors)
		return -EPERM;
	r = check_not_home_of(attach, getpid(), target->object);
	if (r >= 0)
		r = check_not_home_of(attach, peer, target->object);
	if (r >= 0)
		r = dp_slots_check_cgroup(attach->slots, target->object,
					  target->ancestors,
					  target->n_ancestors);
	return r;
}

int dp_attach_cgroup_set_slot(const struct dp_attach *attach, uint64_t id,
			      uint32_t slot)
{
	if (bpf_map_update_elem(attach->object->maps[SN_TABLE_CGROUPS], &id,
				&slot, BPF_ANY) == 0)
		return 0;
	return errno == ENOENT && !slot ? 0 : sn_trace(-errno);
}
