/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From the names that operators use to what dp takes: interface name to
 * ifindex, path to a cgroup's directory fd. On a worker thread, because both
 * may wait for kernel locks. */

#include <net/if.h>
#include <stdbool.h>
#include <uv.h>

#include "shared/abi.h"
#include "shared/util.h"

enum {
	CP_TARGET_RESOLVE_KIND_BYTES = 32,
	CP_TARGET_RESOLVE_PATH_MAX = 4096, /* with the final NUL */
};

/* kind: the kernel's word ("veth", "tun"), empty for physical ones. role: the
 * default, WORKLOAD for veth and tun/tap, else HOST. */
struct cp_target_resolve_iface {
	uint32_t ifindex;
	enum sn_role role;
	char name[IF_NAMESIZE];
	char kind[CP_TARGET_RESOLVE_KIND_BYTES];
};

/* fd: O_PATH of the directory, close-on-exec; closed after the callback unless
 * taken with sn_steal_fd(). id: the cgroup's (its inode number). */
struct cp_target_resolve_cgroup {
	int fd;
	uint64_t id;
};

struct cp_target_resolve;

/* status: 0; -ENODEV no such interface; -EINVAL not a possible name; -errno. */
typedef void (*cp_target_resolve_iface_fn)(
	void *userdata, int status,
	const struct cp_target_resolve_iface *iface);

/* status: 0; -ENOENT; -ENOTDIR not a directory of a cgroup2 hierarchy;
 * -EINVAL not an absolute path or one with "." or ".."; -errno. */
typedef void (*cp_target_resolve_cgroup_fn)(
	void *userdata, int status, struct cp_target_resolve_cgroup *cgroup);

/* After 0 fn is called once, from the loop, unless cancelled. ret may be NULL;
 * what it gets is valid until fn is called. */
int cp_target_resolve_iface(struct cp_target_resolve **ret, uv_loop_t *loop,
			    const char *name, cp_target_resolve_iface_fn fn,
			    void *userdata);
int cp_target_resolve_cgroup(struct cp_target_resolve **ret, uv_loop_t *loop,
			     const char *path, cp_target_resolve_cgroup_fn fn,
			     void *userdata);

/* fn is not called; the work frees itself when its thread is done. */
void cp_target_resolve_cancel(struct cp_target_resolve *resolve);
