/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/util.h"

enum {
	TEXT_BYTES = 4096,
	/* Of /proc/PID/stat (proc(5)), the name being the second. */
	PARENT_FIELD = 4,
	START_FIELD = 22,
};

/* PROC_PID_INIT_INO of the kernel. */
#define PID_NS_INITIAL 0xEFFFFFFCU

bool cp_runtime_proc_has_host(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 &&
	       status.st_ino == PID_NS_INITIAL;
}

/* The first bytes of a file, ended by a NUL. */
static int read_file(pid_t pid, const char *name, char text[TEXT_BYTES])
{
	char path[64];
	sn_cleanup(sn_closep) int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, TEXT_BYTES - 1);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	text[n] = '\0';
	return 0;
}

/* name_end: the ')' behind the name, which may hold anything. */
static int read_field(const char *name_end, int field, uint64_t *ret)
{
	const char *at = name_end;

	for (int i = 2; at && i < field; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return -EIO;
	*ret = strtoull(at, NULL, 10);
	return 0;
}

int cp_runtime_proc_read_start(pid_t pid, uint64_t *ret_ticks)
{
	char text[TEXT_BYTES];
	int r = read_file(pid, "stat", text);

	return r < 0 ? r :
		       read_field(strrchr(text, ')'), START_FIELD, ret_ticks);
}

int cp_runtime_proc_parse_stat(const char *text, struct cp_runtime_proc *ret)
{
	const char *name = strchr(text, '(');
	const char *end = strrchr(text, ')');
	uint64_t parent = 0;
	int r;

	if (!name || !end || end < name)
		return -EIO;
	(void)memset(ret->comm, 0, sizeof(ret->comm));
	(void)memcpy(ret->comm, name + 1,
		     SN_MIN((size_t)(end - name - 1), sizeof(ret->comm) - 1));
	r = read_field(end, PARENT_FIELD, &parent);
	if (r == 0)
		r = read_field(end, START_FIELD, &ret->start_ticks);
	ret->parent = (uint32_t)parent;
	return r;
}

int cp_runtime_proc_parse_status(const char *text, struct cp_runtime_proc *ret)
{
	/* A name has its line feeds escaped there. */
	const char *uid = strstr(text, "\nUid:");
	const char *gid = strstr(text, "\nGid:");

	if (!uid || !gid)
		return -EIO;
	ret->uid = (uint32_t)strtoul(uid + 5, NULL, 10);
	ret->gid = (uint32_t)strtoul(gid + 5, NULL, 10);
	return 0;
}

void cp_runtime_proc_parse_cgroup(const char *text, struct cp_runtime_proc *ret)
{
	static const char line[] = "\n0::/";
	const char *at = strncmp(text, line + 1, strlen(line + 1)) == 0 ?
				 text :
				 strstr(text, line);
	size_t n;

	ret->cgroup[0] = '\0';
	if (!at)
		return;
	at = strchr(at, '/');
	n = strcspn(at, "\n");
	/* The rest was cut off. */
	if (at[n] != '\n' || n >= sizeof(ret->cgroup))
		return;
	(void)memcpy(ret->cgroup, at, n);
	ret->cgroup[n] = '\0';
}

int cp_runtime_proc_read(pid_t pid, struct cp_runtime_proc *ret)
{
	char text[TEXT_BYTES];
	int r = read_file(pid, "stat", text);

	if (r == 0)
		r = cp_runtime_proc_parse_stat(text, ret);
	if (r == 0)
		r = read_file(pid, "status", text);
	if (r == 0)
		r = cp_runtime_proc_parse_status(text, ret);
	if (r < 0)
		return r;
	if (read_file(pid, "cgroup", text) < 0)
		text[0] = '\0';
	cp_runtime_proc_parse_cgroup(text, ret);
	return 0;
}
