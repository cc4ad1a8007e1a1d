/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "shared/util.h"

static int refuse(struct sn_diag *diag, const char *root, const char *text,
		  int r)
{
	sn_diag_set(diag, NULL, "%s: %s%s%s", root, text, r ? ": " : "",
		    r ? strerror(-r) : "");
	return r ? r : -EINVAL;
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

static int make_root(const char *root, struct sn_diag *diag)
{
	char parent[PATH_MAX];
	char *slash;

	(void)snprintf(parent, sizeof(parent), "%s", root);
	slash = strrchr(parent, '/');
	if (slash && slash != parent)
		*slash = '\0';
	if (!is_bpffs(root) && !is_bpffs(parent))
		return refuse(diag, root,
			      "no bpffs is mounted there; run "
			      "`mount -t bpf bpf /sys/fs/bpf`",
			      0);
	if (mkdir(root, 0700) < 0 && errno != EEXIST)
		return refuse(diag, root, "cannot be made", -errno);
	return 0;
}

int dp_pins_open(struct dp_pins *pins, const char *root, struct sn_diag *diag)
{
	sn_cleanup(sn_closep) int fd = -1;
	struct stat st;
	int r;

	if (strlen(root) >= sizeof(pins->root))
		return refuse(diag, root, "path is too long", 0);
	r = make_root(root, diag);
	if (r < 0)
		return r;
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return refuse(diag, root, "cannot be opened", -errno);
	if (st.st_uid != geteuid())
		return refuse(diag, root, "belongs to another user", 0);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = -errno;
		return refuse(diag, root,
			      r == -EWOULDBLOCK ?
				      "another sentinel-dp runs on it" :
				      "cannot be locked",
			      r);
	}
	(void)strcpy(pins->root, root);
	pins->fd = sn_steal_fd(&fd);
	return 0;
}

void dp_pins_done(struct dp_pins *pins)
{
	sn_closep(&pins->fd);
}

static void write_path(const struct dp_pins *pins, const char *folder,
		       const char *name, char path[DP_PINS_PATH_BYTES])
{
	(void)snprintf(path, DP_PINS_PATH_BYTES, "%s/%s/%s", pins->root, folder,
		       name);
}

int dp_pins_make(const struct dp_pins *pins, const char *folder)
{
	if (mkdirat(pins->fd, folder, 0700) < 0 && errno != EEXIST)
		return sn_trace(-errno);
	return 0;
}

int dp_pins_put(const struct dp_pins *pins, const char *folder,
		const char *name, int fd)
{
	char path[DP_PINS_PATH_BYTES];

	write_path(pins, folder, name, path);
	return bpf_obj_pin(fd, path) < 0 ? sn_trace(-errno) : 0;
}

int dp_pins_get(const struct dp_pins *pins, const char *folder,
		const char *name)
{
	char path[DP_PINS_PATH_BYTES];
	int fd;

	write_path(pins, folder, name, path);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int dp_pins_remove(const struct dp_pins *pins, const char *folder,
		   const char *name)
{
	char path[DP_PINS_PATH_BYTES];

	write_path(pins, folder, name, path);
	if (unlinkat(AT_FDCWD, path, 0) < 0 && errno != ENOENT)
		return sn_trace(-errno);
	return 0;
}

struct removal {
	const struct dp_pins *pins;
	const char *folder;
};

static int remove_one(void *arg, const char *name)
{
	const struct removal *removal = arg;

	return dp_pins_remove(removal->pins, removal->folder, name);
}

int dp_pins_remove_folder(const struct dp_pins *pins, const char *folder)
{
	struct removal removal = { .pins = pins, .folder = folder };
	int r;

	r = dp_pins_each(pins, folder, remove_one, &removal);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return sn_trace(r);
	if (unlinkat(pins->fd, folder, AT_REMOVEDIR) < 0)
		return sn_trace(-errno);
	return 0;
}

int dp_pins_rename(const struct dp_pins *pins, const char *from, const char *to)
{
	if (renameat(pins->fd, from, pins->fd, to) < 0)
		return sn_trace(-errno);
	return 0;
}

int dp_pins_has(const struct dp_pins *pins, const char *folder)
{
	struct stat st;

	if (fstatat(pins->fd, folder, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : sn_trace(-errno);
}

int dp_pins_each(const struct dp_pins *pins, const char *folder,
		 int (*visit)(void *arg, const char *name), void *arg)
{
	struct dirent *entry;
	DIR *directory;
	int fd, r = 0;

	fd = openat(pins->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		r = -errno;
		(void)close(fd);
		return sn_trace(r);
	}
	while (r >= 0 && (entry = readdir(directory))) {
		if (entry->d_name[0] != '.')
			r = visit(arg, entry->d_name);
	}
	(void)closedir(directory);
	return r < 0 ? sn_trace(r) : 0;
}

/* `links/<slot>-<program>-<hook>-<instance>` of a runtime program. */
static int see_instance(void *arg, const char *name)
{
	uint32_t *greatest = arg;
	const char *end = strrchr(name, '-');
	unsigned long instance = end ? strtoul(end + 1, NULL, 10) : 0;

	if (strstr(name, "-sn_rt_") && instance < UINT32_MAX)
		*greatest = SN_MAX(*greatest, (uint32_t)instance);
	return 0;
}

int dp_pins_pass_instances(const struct dp_pins *pins, uint32_t last,
			   uint32_t *ret)
{
	int r = dp_pins_each(pins, "links", see_instance, &last);

	if (r < 0 && r != -ENOENT)
		return sn_trace(r);
	*ret = last + 1;
	return 0;
}
