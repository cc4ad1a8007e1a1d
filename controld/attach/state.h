/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An attachment as the state file keeps it
 * (proto/sentinel/state/v1/state.proto). */

#include "controld/attach/item.h"
#include "controld/state/times.h"
#include "sentinel/state/v1/state.pb-c.h"

/* Puts the attachment into the store's table; a sync makes it durable. */
int cp_attach_state_put(struct cp_attach_item *item);
void cp_attach_state_del(struct cp_attach_item *item);

/* Every attachment of the store goes into the registry. -EBADMSG and diag for
 * one that cannot be read. */
int cp_attach_state_load(struct cp_attach *manager, struct sn_diag *diag);

/* ports, port_ptrs: room for those of the rule. ret points into both and into
 * rule. */
void cp_attach_state_pack_rule(const struct cp_policy_rule *rule,
			       const struct cp_state_times_now *now,
			       Sentinel__State__V1__Rule *ret,
			       Sentinel__State__V1__Port *ports,
			       Sentinel__State__V1__Port **port_ptrs);
/* -EBADMSG. */
int cp_attach_state_unpack_rule(const Sentinel__State__V1__Rule *message,
				bool same_boot, uint64_t saved_boot_ns,
				const struct cp_state_times_now *now,
				struct cp_policy_rule *ret);
