/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Looks whether targets are there. Blocking: for worker threads. */

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ifindex 0: by name. Cgroups: path, not NULL. Answer: status 0, it is there
 * (ifindex and name, or id, are what was found); -ENOENT: it is not; -EAGAIN:
 * cannot be told now, for instance because the hierarchy is not mounted. */
struct cp_target_probe {
	const char *path;
	uint64_t id;
	uint32_t ifindex;
	int status;
	char name[IF_NAMESIZE];
	void *userdata;
};

void cp_target_probe_run(struct cp_target_probe *probes, size_t n_probes);
