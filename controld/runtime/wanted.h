/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules of the configuration, of observers and of watchers, made one set. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/diag.h"

struct cp_runtime;

/* From now on what all of these say. -errno, or an answer of
 * controld/runtime/rules.h, with *diag: what was wanted before stays so. */
int cp_runtime_wanted_put(struct cp_runtime *runtime, struct sn_diag *diag);
/* Has a cgroup come or gone that a rule names? Those that a watcher names are
 * the ones that it found. */
bool cp_runtime_wanted_is_stale(const struct cp_runtime *runtime);
/* The id of a cgroup by its path from the root of the hierarchy on; 0: there is
 * none. */
uint64_t cp_runtime_wanted_find_cgroup(const char *path);
/* Whether a path from what is mounted here on is one from the root on, as the
 * kernel tells them: not so in a namespace of cgroups, or without a mount. */
bool cp_runtime_wanted_is_whole(void);
#define CP_RUNTIME_WANTED_NOT_WHOLE \
	"the root of the hierarchy of cgroups is not mounted here"
/* Where the hierarchy is mounted; "": nowhere. */
void cp_runtime_wanted_find_mount(char *ret, size_t ret_bytes);
