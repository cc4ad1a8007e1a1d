/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What sentinel-cp gives up before it starts a thread or reads a byte of a
 * peer: every capability, and the system calls that it never needs. */

#include <stdbool.h>
#include <sys/types.h>

#include "shared/diag.h"

bool cp_privilege_is_root(void);

/* As root only (tests, containers): joins group, so that the socket can be
 * given to it once CAP_CHOWN is gone. Others are members already or are not,
 * and nothing is done for them. */
int cp_privilege_join(gid_t group, struct sn_diag *diag);

/* no_new_privs, then empties the permitted, effective, inheritable, ambient
 * and, where that is permitted, the bounding set. No core is made of it any
 * more, and its user's other processes cannot trace it: it holds keys, and what
 * workloads do. */
int cp_privilege_drop(struct sn_diag *diag);
