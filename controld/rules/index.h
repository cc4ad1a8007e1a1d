/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which rules an event may hit, by what most of them name: its kind, user, name,
 * paths, executable and cgroup. For each value a word of rules that name it, as
 * the kernel has them; what no condition says is true of all. So 500 rules cost
 * what a few do. */

#include "controld/rules/view.h"

struct cp_rules;
struct cp_rules_index;

/* Of the enabled rules of a set, which it is used with. -ENOMEM. */
int cp_rules_index_new(struct cp_rules_index **ret,
		       const struct cp_rules *rules);
struct cp_rules_index *cp_rules_index_free(struct cp_rules_index *index);
SN_DEFINE_CLEANUP(struct cp_rules_index, cp_rules_index_free)

/* No rule that the event hits is left out. Returns how many words of *ret say
 * anything. */
size_t cp_rules_index_find(const struct cp_rules_index *index,
			   struct cp_rules_view *view, struct sn_rt_bits *ret);
