/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A block of conditions, compiled from what a file says: all of its keys have to
 * fit. */

#include "controld/rules/cond.h"

struct cp_rules_block;

/* What macros say of one event, so that each is judged once. */
struct cp_rules_memo {
	const struct cp_rules_env *env;
	uint64_t event; /* counts them */
	struct cp_rules_memo_fit {
		uint64_t event;
		enum cp_rules_fit fit;
	} fits[CP_RULES_ENV_MACROS_MAX];
};

/* match and its texts are used as long as the block. 0, -ENOMEM, or
 * CP_RULES_E_REFUSED; *diag has field and line then. */
int cp_rules_block_new(struct cp_rules_block **ret,
		       const struct cp_rules_file_match *match,
		       struct cp_rules_env *env, struct sn_diag *diag);
struct cp_rules_block *cp_rules_block_free(struct cp_rules_block *block);
SN_DEFINE_CLEANUP(struct cp_rules_block, cp_rules_block_free)

enum cp_rules_fit cp_rules_block_judge(const struct cp_rules_block *block,
				       struct cp_rules_view *view,
				       struct cp_rules_memo *memo);

/* The condition by which the kernel can decide this field, of the block or of
 * what it uses; NULL: none. Of several the first, which costs least. */
const struct cp_rules_cond *
cp_rules_block_find(const struct cp_rules_block *block,
		    const struct cp_rules_env *env, enum sn_rt_field field);
