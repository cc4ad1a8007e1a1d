/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Interfaces: what they are, TCX and clsact. */

#include "dataplane/attach.h"

/* Fills iface->role and iface->ethernet. 0, -ENODEV: no such interface, -EPERM:
 * argv does not allow it, -EOPNOTSUPP: its frames cannot be parsed. */
int dp_attach_tc_check(const struct dp_attach *attach, uint32_t ifindex,
		       uint8_t role, struct sn_iface *iface);
/* Is it still in this network namespace? */
bool dp_attach_tc_exists(const struct dp_attach *attach, uint32_t ifindex);

/* Has this kernel TCX? */
bool dp_attach_tc_has_tcx(void);
/* How many programs run before ours on a TCX hook, or -1. */
int32_t dp_attach_tc_get_position(uint32_t ifindex, enum sn_program_hook hook,
				  uint32_t program_id);

/* A TCX link before all others on that hook; an fd or -errno. */
int dp_attach_tc_link(uint32_t ifindex, enum sn_program_hook hook, int program);

/* clsact filters with a handle of our own. put replaces ours; remove returns 0
 * also if it, the qdisc or the interface is gone. The qdisc stays, as other
 * filters may be on it. */
int dp_attach_tc_put_filter(uint32_t ifindex, enum sn_program_hook hook,
			    int program);
int dp_attach_tc_remove_filter(uint32_t ifindex, enum sn_program_hook hook);
bool dp_attach_tc_has_filter(uint32_t ifindex, enum sn_program_hook hook);
