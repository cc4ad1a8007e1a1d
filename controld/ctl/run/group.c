// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/util.h"

#define PREFIX "sentinel-run-"

enum {
	LINE_BYTES = 2 * PATH_MAX + 512,
	KILL_MS = 10000,
	PAUSE_MS = 20, /* of another look, if the kernel tells nothing */
	DEPTH_MAX = 32, /* of cgroups that a command made */
	SWEPT_MAX = 64, /* leftovers removed by one run */
};

/* Where the hierarchy is. */

/* mountinfo writes blanks and backslashes as \ooo. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*out++ = (char)((text[1] - '0') << 6 |
					(text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* "ID PARENT DEVICE ROOT POINT OPTIONS... - TYPE SOURCE OPTIONS". */
static bool read_mount(char *line, char point[PATH_MAX])
{
	char *dash = strstr(line, " - cgroup2 "), *field = line;

	if (!dash)
		return false;
	*dash = '\0';
	for (int i = 0; field && i < 4; i++) {
		field = strchr(field, ' ');
		if (field)
			field++;
	}
	if (!field)
		return false;
	field[strcspn(field, " ")] = '\0';
	unescape(field);
	return snprintf(point, PATH_MAX, "%s", field) < PATH_MAX;
}

static int find_mount(char point[PATH_MAX])
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[LINE_BYTES];
	int r = -ENOENT;

	if (!file)
		return -errno;
	while (r && fgets(line, sizeof(line), file)) {
		if (read_mount(line, point))
			r = 0;
	}
	(void)fclose(file);
	return r;
}

/* The path of our own cgroup in the hierarchy, "" for its root. */
static int find_own(char own[PATH_MAX])
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[LINE_BYTES];

	if (!file)
		return -errno;
	own[0] = '\0';
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		/* Outside of our cgroup namespace there is no path. */
		if (line[4] && strncmp(line + 3, "/..", 3) != 0)
			(void)snprintf(own, PATH_MAX, "%.*s", PATH_MAX - 1,
				       line + 3);
	}
	(void)fclose(file);
	return 0;
}

/* Start time of a process in ticks, which tells it from a later one with its
 * number; 0: there is none. */
static unsigned long long start_of(long pid)
{
	char path[64], text[1024];
	unsigned long long start = 0;
	const char *at;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[SN_MAX(n, 0)] = '\0';
	/* The name, in parentheses, may have any byte in it. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	if (at)
		start = strtoull(at, NULL, 10);
	return start;
}

/* What is in it. */

static int read_at(const struct cp_ctl_run_group *group, const char *name,
		   char *text, size_t size)
{
	int fd = openat(group->fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	(void)close(fd);
	if (n < 0)
		return -EIO;
	text[n] = '\0';
	return 0;
}

static int write_at(const struct cp_ctl_run_group *group, const char *name,
		    const char *text)
{
	int fd = openat(group->fd, name, O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

int cp_ctl_run_group_enter(const struct cp_ctl_run_group *group)
{
	return write_at(group, "cgroup.procs", "0");
}

static int count(const struct cp_ctl_run_group *group)
{
	char text[65536];
	int n = 0;

	if (read_at(group, "cgroup.procs", text, sizeof(text)) != 0)
		return 0;
	for (const char *at = text; *at; at++)
		n += *at == '\n';
	return n;
}

static bool is_populated(const struct cp_ctl_run_group *group)
{
	char text[256];

	return read_at(group, "cgroup.events", text, sizeof(text)) == 0 &&
	       strstr(text, "populated 1");
}

int cp_ctl_run_group_kill(const struct cp_ctl_run_group *group)
{
	int n = count(group), waited = 0;
	int r = write_at(group, "cgroup.kill", "1");

	if (r < 0)
		return r == -ENODEV ? 0 : r;
	while (is_populated(group)) {
		if (waited >= KILL_MS)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, PAUSE_MS);
		waited += PAUSE_MS;
	}
	return n;
}

static int remove_below(int parent, const char *name, int depth)
{
	const struct dirent *entry;
	DIR *dir;
	int fd;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY || depth == DEPTH_MAX)
		return -errno;
	fd = openat(parent, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)remove_below(fd, entry->d_name, depth + 1);
	}
	(void)closedir(dir);
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return -errno;
}

int cp_ctl_run_group_remove(const struct cp_ctl_run_group *group)
{
	int r, waited = 0;

	/* It is busy until the last process is gone for good. */
	while ((r = remove_below(AT_FDCWD, group->path, 0)) == -EBUSY &&
	       waited < KILL_MS) {
		(void)poll(NULL, 0, PAUSE_MS);
		waited += PAUSE_MS;
	}
	return r;
}

/* Making. */

static int open_at(const char *parent, const char *name,
		   struct cp_ctl_run_group *ret)
{
	if (snprintf(ret->path, sizeof(ret->path), "%s/%s", parent, name) >=
	    (int)sizeof(ret->path))
		return -ENAMETOOLONG;
	ret->fd = open(ret->path,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return ret->fd < 0 ? -errno : 0;
}

/* Leftovers beside the new one. */
static void sweep(const char *parent)
{
	const struct dirent *entry;
	DIR *dir = opendir(parent);
	int n = 0;

	while (dir && n < SWEPT_MAX && (entry = readdir(dir))) {
		struct cp_ctl_run_group old = { .fd = -1 };
		unsigned long long start;
		char *end;
		long pid;

		if (strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) != 0)
			continue;
		pid = strtol(entry->d_name + sizeof(PREFIX) - 1, &end, 10);
		start = *end == '-' ? strtoull(end + 1, NULL, 10) : 0;
		if (!start || start_of(pid) == start ||
		    open_at(parent, entry->d_name, &old) < 0)
			continue;
		n++;
		if (cp_ctl_run_group_kill(&old) >= 0)
			(void)cp_ctl_run_group_remove(&old);
		(void)close(old.fd);
	}
	if (dir)
		(void)closedir(dir);
}

static int make_at(const char *parent, const char *name,
		   struct cp_ctl_run_group *ret)
{
	char procs[PATH_MAX];
	int r;

	/* To move a process, the common ancestor has to be writable too. */
	if (snprintf(procs, sizeof(procs), "%s/cgroup.procs", parent) >=
	    (int)sizeof(procs))
		return -ENAMETOOLONG;
	if (access(procs, W_OK) < 0)
		return -errno;
	sweep(parent);
	r = open_at(parent, name, ret);
	if (r != -ENOENT)
		return r == 0 ? -EEXIST : r;
	if (mkdir(ret->path, 0755) < 0)
		return -errno;
	r = open_at(parent, name, ret);
	if (r < 0)
		(void)rmdir(ret->path);
	return r;
}

static int refuse(int r, struct sn_diag *diag)
{
	if (r == -EACCES || r == -EPERM)
		sn_diag_set(diag, NULL,
			    "no cgroup may be made here by this user; run it "
			    "as root (sudo), or where systemd delegates one: "
			    "systemd-run --user --scope sentinelctl run ...");
	else
		sn_diag_set(diag, NULL, "no cgroup can be made: %s",
			    strerror(-r));
	return CP_CTL_RUN_GROUP_E_REFUSED;
}

/* May anybody but root move processes in what is below? Unknown: yes. */
static bool is_delegated(const char *point, const char *own)
{
	char path[2 * PATH_MAX + sizeof("/cgroup.procs")];
	struct stat about;

	(void)snprintf(path, sizeof(path), "%s%s/cgroup.procs", point, own);
	return stat(path, &about) < 0 || about.st_uid != 0 ||
	       (about.st_mode & S_IWOTH) ||
	       ((about.st_mode & S_IWGRP) && about.st_gid != 0);
}

/* Cuts the path before the first cgroup that is delegated. False: all are. */
static bool keep_undelegated(const char *point, char *own)
{
	char *at = own;

	if (is_delegated(point, ""))
		return false;
	while (*at) {
		char *end = strchrnul(at + 1, '/'), kept = *end;

		*end = '\0';
		if (is_delegated(point, own)) {
			*at = '\0';
			break;
		}
		*end = kept;
		at = end;
	}
	return true;
}

int cp_ctl_run_group_make(struct cp_ctl_run_group *ret, bool is_for_other,
			  struct sn_diag *diag)
{
	char point[PATH_MAX], own[PATH_MAX], parent[2 * PATH_MAX], name[96];
	unsigned int random = 0;
	char *slash;
	int r;

	if (find_mount(point) < 0 || find_own(own) < 0) {
		sn_diag_set(diag, NULL,
			    "no cgroup2 hierarchy is mounted; mount one: mount "
			    "-t cgroup2 cgroup2 /sys/fs/cgroup");
		return CP_CTL_RUN_GROUP_E_REFUSED;
	}
	if (is_for_other && !keep_undelegated(point, own)) {
		sn_diag_set(diag, NULL,
			    "others than root may move processes in %s, so "
			    "the command could leave its cgroup",
			    point);
		return CP_CTL_RUN_GROUP_E_REFUSED;
	}
	if (getrandom(&random, sizeof(random), 0) < 0)
		return refuse(-errno, diag);
	(void)snprintf(name, sizeof(name), PREFIX "%ld-%llu-%08x",
		       (long)getpid(), start_of(getpid()), random);
	for (;;) {
		(void)snprintf(parent, sizeof(parent), "%s%s", point, own);
		r = strlen(parent) < PATH_MAX ? make_at(parent, name, ret) :
						-ENAMETOOLONG;
		slash = strrchr(own, '/');
		if (r == 0 || !slash)
			break;
		*slash = '\0';
	}
	return r == 0 ? 0 : refuse(r, diag);
}
