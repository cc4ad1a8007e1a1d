/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tracefs.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shared/util.h"

enum { PATH_BYTES = 256, NUMBER_BYTES = 16 };

_Static_assert((int)SN_RUNTIME_HOOK_COUNT <= (int)SN_IPC_HOOKS_MAX, "HELLO");

static uint32_t read_number(const char *path)
{
	sn_cleanup(sn_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[NUMBER_BYTES] = { 0 };
	unsigned long number;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	number = strtoul(text, NULL, 10);
	return number > UINT32_MAX ? 0 : (uint32_t)number;
}

void dp_tracefs_read(struct dp_tracefs *tracefs, const char *root)
{
	char path[PATH_BYTES];
	struct stat st;

	(void)memset(tracefs, 0, sizeof(*tracefs));
	tracefs->opener = -1;
	(void)snprintf(path, sizeof(path), "%s/events/syscalls", root);
	tracefs->has = stat(path, &st) == 0;
	for (size_t i = 0; tracefs->has && i < SN_RUNTIME_HOOK_COUNT; i++) {
		if (!sn_runtime_is_call(sn_runtime_hooks[i].kind))
			continue;
		(void)snprintf(path, sizeof(path),
			       "%s/events/syscalls/sys_exit_%s/id", root,
			       sn_runtime_hooks[i].name);
		tracefs->ids[i] = read_number(path);
	}
}

int dp_tracefs_open_event(uint32_t id)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = id,
		.sample_period = 1,
		.disabled = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1,
			  PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

void dp_tracefs_get_missing(const struct dp_tracefs *tracefs,
			    uint64_t missing[SN_IPC_HOOKS_MAX / 64])
{
	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		if (sn_runtime_is_call(sn_runtime_hooks[i].kind) &&
		    !tracefs->ids[i])
			missing[i / 64] |= 1ULL << (i % 64);
	}
}
