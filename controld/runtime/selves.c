/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/selves.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/util.h"

enum {
	STAT_BYTES = 1024,
	STAT_START_FIELD = 22, /* of /proc/PID/stat (proc(5)) */
};

/* PROC_PID_INIT_INO of the kernel. */
#define PID_NS_INITIAL 0xEFFFFFFCU

/* -errno; 0: *ret is when the process began, in ticks. */
static int read_start(pid_t pid, uint64_t *ret)
{
	char path[64], text[STAT_BYTES];
	sn_cleanup(sn_closep) int fd = -1;
	const char *at;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	text[n] = '\0';
	/* The name, in parentheses, may hold anything. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < STAT_START_FIELD; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return -EIO;
	*ret = strtoull(at, NULL, 10);
	return 0;
}

static bool is_in_first_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 &&
	       status.st_ino == PID_NS_INITIAL;
}

void cp_runtime_selves_get(pid_t peer,
			   struct sn_rt_left_out ret[SN_RT_LEFT_OUT_MAX])
{
	const pid_t pids[] = { getpid(), peer };
	size_t n = 0;

	(void)memset(ret, 0, SN_RT_LEFT_OUT_MAX * sizeof(*ret));
	if (!is_in_first_namespace())
		return;
	for (size_t i = 0; i < SN_ARRAY_SIZE(pids); i++) {
		uint64_t start;

		if (pids[i] <= 0 || read_start(pids[i], &start) < 0)
			continue;
		ret[n++] = (struct sn_rt_left_out){
			.tgid = (uint32_t)pids[i],
			.start_ticks = start,
		};
	}
}
