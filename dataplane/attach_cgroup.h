/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cgroups: which one a directory is, where in the tree, and whose. */

#include "dataplane/attach.h"

/* Makes the iterator's link; without the program no cgroup is admitted. */
int dp_attach_cgroup_init(struct dp_attach *attach);

/* Fills target->object and its ancestors from a directory's fd (O_PATH does).
 * 0, -ENOTDIR: no cgroup2 directory, -EINVAL: deeper than SN_ANCESTORS_MAX,
 * -EPERM: the root, or sentinel-dp or the peer lives in it or below,
 * -EEXIST and -EBUSY: as dp_slots_check_cgroup(), -EOPNOTSUPP. */
int dp_attach_cgroup_check(const struct dp_attach *attach, int fd, pid_t peer,
			   struct sn_target *target);

/* Writes the slot into the cgroup's storage, which is there once a program
 * has been attached, and stays. 0 also if there is none and slot is 0. */
int dp_attach_cgroup_set_slot(const struct dp_attach *attach, uint64_t id,
			      uint32_t slot);
