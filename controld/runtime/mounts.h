/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a file of some file system is in this host's own tree. The kernel tells
 * a device and the path inside its file system, which mean the same in every
 * container; the mounts of this process' namespace (proc(5), mountinfo) tell
 * where, if anywhere, that is to be seen here. */

#include <stddef.h>
#include <stdint.h>

#include "shared/util.h"

enum {
	CP_RUNTIME_MOUNTS_MAX = 100000, /* as fs.mount-max has it */
};

/* Answers of cp_runtime_mounts_find() besides 0. */
enum {
	CP_RUNTIME_MOUNTS_E_NOWHERE =
		1, /* no mount shows it, or one hides it */
	CP_RUNTIME_MOUNTS_E_LONG, /* the path does not fit */
};

struct cp_runtime_mounts;

/* Empty: nothing is found. */
int cp_runtime_mounts_new(struct cp_runtime_mounts **ret);
struct cp_runtime_mounts *
cp_runtime_mounts_free(struct cp_runtime_mounts *mounts);
SN_DEFINE_CLEANUP(struct cp_runtime_mounts, cp_runtime_mounts_free)

/* Replaces what is known by what the file says, of which /proc/self/mountinfo is
 * one. 0 or -errno (-E2BIG: more than CP_RUNTIME_MOUNTS_MAX); what was known
 * stays then. */
int cp_runtime_mounts_load(struct cp_runtime_mounts *mounts, const char *path);

/* fs_path: absolute, from the file system's own root, size bytes without NUL.
 * If several mounts show the file, the one with the greatest part of the file
 * system is taken. ret gets a NUL. */
int cp_runtime_mounts_find(const struct cp_runtime_mounts *mounts,
			   uint32_t major, uint32_t minor, const char *fs_path,
			   size_t size, char *ret, size_t ret_bytes);
