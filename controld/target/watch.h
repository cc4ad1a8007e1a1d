/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells when a target goes away, is renamed, or (if expected) is there again.
 * Interfaces by rtnetlink, cgroups by inotify on their parent directories.
 * Each watch has the caller's cookie, unique among all of them. */

#include <uv.h>

#include "shared/abi.h"
#include "shared/util.h"

struct cp_target_watch;

/* gone and appeared end the watch of that cookie before they are called, so
 * each comes at most once; all run from the loop, never inside a call, and may
 * call any function of this header. gone: the very interface or cgroup does
 * not exist (any more) in this network namespace or hierarchy, whatever is
 * there now under its name or ifindex. reason: a static text. */
struct cp_target_watch_events {
	void (*gone)(void *userdata, void *cookie, const char *reason);
	void (*renamed)(void *userdata, void *cookie, const char *name);
	void (*appeared)(void *userdata, void *cookie);
};

/* After success only cp_target_watch_close() ends it. */
int cp_target_watch_new(struct cp_target_watch **ret, uv_loop_t *loop,
			const struct cp_target_watch_events *events,
			void *userdata);

/* The target is looked at once more after the watch is in place, and gone is
 * called if it is not there. So: resolve, add, then attach; whatever takes the
 * ifindex over before the add is attached to as if it had been there before,
 * and a change after it is told. One case is left to dp's LIST (a position that
 * is GONE): the same ifindex made anew while the netlink socket overflows.
 * -EEXIST: this cookie has a watch; -EINVAL: not a possible
 * name or path; -ENOMEM; -ENOSPC: no inotify watch left. */
int cp_target_watch_add_iface(struct cp_target_watch *watch, uint32_t ifindex,
			      const char *name, void *cookie);
int cp_target_watch_add_cgroup(struct cp_target_watch *watch, const char *path,
			       uint64_t id, void *cookie);

/* appeared is called when an interface of that name, or a cgroup at that path,
 * is there (also if it is there now). */
int cp_target_watch_expect_iface(struct cp_target_watch *watch,
				 const char *name, void *cookie);
int cp_target_watch_expect_cgroup(struct cp_target_watch *watch,
				  const char *path, void *cookie);

/* No event for the cookie comes any more. Unknown ones are ignored. */
void cp_target_watch_remove(struct cp_target_watch *watch, const void *cookie);

/* No event comes any more; closed(closed_userdata) is called from the loop
 * (may be NULL) and the object is freed. */
void cp_target_watch_close(struct cp_target_watch *watch,
			   void (*closed)(void *userdata),
			   void *closed_userdata);
