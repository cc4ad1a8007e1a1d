/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The little of rtnetlink that targets need. */

#include <libmnl/libmnl.h>
#include <stdbool.h>

#include "controld/target/resolve.h"

enum {
	CP_TARGET_NETLINK_BYTES = 32768, /* of a receive buffer */
};

/* A blocking socket with a receive timeout, for worker threads. */
int cp_target_netlink_open(struct mnl_socket **ret);

/* Asks for one link, by ifindex or (0) by name. -ENODEV: there is none. */
int cp_target_netlink_get(struct mnl_socket *socket, uint32_t ifindex,
			  const char *name,
			  struct cp_target_resolve_iface *iface);

/* Reads RTM_NEWLINK or RTM_DELLINK. False: not about a link of its own (a
 * bridge speaks of its ports by the same messages), or malformed. */
bool cp_target_netlink_parse(const struct nlmsghdr *message,
			     struct cp_target_resolve_iface *iface);
