/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What can be the name of a target. Pure. */

#include <stdbool.h>
#include <stddef.h>

/* As the kernel takes it: 1 to 15 bytes without '/', ':' and white space, not
 * "." or "..". */
bool cp_target_name_is_iface(const char *name);

/* Absolute, under 4,096 bytes, at least one component, each of at most 255
 * bytes and none of them "." or "..", no empty component, no '/' at the end:
 * so one directory has one path (symbolic links aside). */
bool cp_target_name_is_cgroup(const char *path);

/* Bytes of the path of the parent directory, at least 1 ("/"). */
size_t cp_target_name_parent(const char *path, size_t bytes);
