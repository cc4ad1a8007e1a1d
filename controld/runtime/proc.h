/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What /proc says of one process; short reads from memory, no disk. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/abi.h"

enum { CP_RUNTIME_PROC_CGROUP_BYTES = 4096 };

struct cp_runtime_proc {
	uint32_t parent; /* 0: none */
	uint64_t start_ticks;
	char comm[SN_COMM_BYTES];
	uint32_t uid; /* the real ones */
	uint32_t gid;
	/* From the root of the hierarchy on; "": not known. */
	char cgroup[CP_RUNTIME_PROC_CGROUP_BYTES];
};

/* Are we in the first pid namespace? In another one numbers are somebody
 * else's. */
bool cp_runtime_proc_has_host(void);

/* Only when it began. -errno. */
int cp_runtime_proc_read_start(pid_t pid, uint64_t *ret_ticks);
/* -errno; what is in *ret then means nothing. */
int cp_runtime_proc_read(pid_t pid, struct cp_runtime_proc *ret);

/* What the files of these names say, of text that the kernel wrote; what is not as
 * it writes it is -EIO, or no cgroup. */
int cp_runtime_proc_parse_stat(const char *text, struct cp_runtime_proc *ret);
int cp_runtime_proc_parse_status(const char *text, struct cp_runtime_proc *ret);
void cp_runtime_proc_parse_cgroup(const char *text,
				  struct cp_runtime_proc *ret);
