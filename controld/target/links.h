/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's news about interfaces (RTMGRP_LINK), on the loop. Embedded in
 * its owner. */

#include <uv.h>

#include "controld/target/netlink.h"

/* changed: an interface is new or has changed, or (deleted) has gone from this
 * network namespace. lost: news were lost, look at everything again. Both may
 * also run inside cp_target_links_drain(). */
struct cp_target_links {
	uv_poll_t poll;
	struct mnl_socket *socket;
	void (*changed)(struct cp_target_links *links, bool deleted,
			const struct cp_target_resolve_iface *iface);
	void (*lost)(struct cp_target_links *links);
	void (*closed)(struct cp_target_links *links);
};

/* The three functions are set by the caller before. After success only
 * cp_target_links_close() ends it, after failure there is nothing to undo. */
int cp_target_links_init(struct cp_target_links *links, uv_loop_t *loop);

/* Handles what the kernel has queued up to now. */
void cp_target_links_drain(struct cp_target_links *links);

/* Calls links->closed from the loop. */
void cp_target_links_close(struct cp_target_links *links);
