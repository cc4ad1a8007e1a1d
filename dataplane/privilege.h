/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What sentinel-dp may still do: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON from
 * the beginning, and, once everything is loaded, the system calls that serving
 * its peer takes. */

#include <stdbool.h>

#include "shared/diag.h"

/* Keeps the three capabilities, here and in the bounding set; no new ones can
 * be gained, and no core is made of it. Returns 0, or -errno and *diag: -EPERM
 * if one is missing. */
int dp_privilege_drop(struct sn_diag *diag);

struct dp_privilege_needs {
	bool netlink; /* for clsact filters */
	bool sums; /* runs of the program that sends them */
	bool events; /* on tracepoints, where no other process opens them */
};

/* Any other system call ends the process from here on: no program can be
 * loaded, no file opened for reading or writing, nothing executed. Returns 0,
 * or -errno and *diag. */
int dp_privilege_confine(struct dp_privilege_needs needs, struct sn_diag *diag);

/* Of the process that opens tracepoints (dataplane/opener.h): CAP_SYS_ADMIN and
 * the calls that it makes, nothing else. 0 or -errno. */
int dp_privilege_confine_opener(void);
