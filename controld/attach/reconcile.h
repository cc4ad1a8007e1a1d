/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Makes kernel and policies agree after the link came up. While no operation
 * runs: FDS, LIST, then one walk over each rule table, comparing each row with
 * the policy of its slot. What agrees is left untouched; the rest becomes
 * operations (stage again, attach again, detach, sweep), after which changes
 * are admitted. An attachment that the kernel enforces and the state file does
 * not know is adopted with the rules that were read. */

#include "controld/attach/item.h"

/* Link events. */
void cp_attach_reconcile_up(struct cp_attach *manager,
			    const struct sn_ipc_hello_answer *hello);
void cp_attach_reconcile_down(struct cp_attach *manager, const char *why);

/* Goes on if it waits for operations to end. */
void cp_attach_reconcile_step(struct cp_attach *manager);
/* One operation that it asked for has ended. */
void cp_attach_reconcile_settled(struct cp_attach *manager);
