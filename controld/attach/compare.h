/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One attachment's rows in the kernel against its policy and what its names
 * have opened, for reconcile.c. CIDR rules have to be there as they are. What
 * else an entry has is taken for a name's, if its rule is there and allows it:
 * the kernel knows best what is open, also where the daemon has lost the
 * name. Whatever is neither makes a difference, and the policy is staged
 * again. */

#include "controld/attach/item.h"
#include "controld/policy/compile.h"

/* item->listed, block and policy are set. */
void cp_attach_compare_begin(struct cp_attach_item *item);
/* Sets item->is_different, or counts n_matched. */
void cp_attach_compare_row(struct cp_attach_item *item,
			   const struct cp_policy_compile_row *row);
/* All rows were seen: what the kernel has opened becomes the item's. */
void cp_attach_compare_end(struct cp_attach_item *item);
