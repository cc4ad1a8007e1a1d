/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "shared/diag.h"

/* The system call filter, which later threads inherit. It refuses with EPERM
 * what would start a program or a process, load code into the kernel, change
 * mounts, namespaces, identities or clocks, look into other processes, or
 * open a socket that is not Unix, netlink or IP; controld/privilege/filter.c
 * is the list. clone3 answers ENOSYS, because its flags cannot be inspected
 * and libc then uses clone. To be called with one thread. */
int cp_privilege_filter_load(struct sn_diag *diag);
