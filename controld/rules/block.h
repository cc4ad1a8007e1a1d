/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A block of conditions, compiled from what a file says: all of its keys have to
 * fit, of each key one value. */

#include "controld/rules/file.h"
#include "controld/rules/view.h"

enum cp_rules_fit {
	CP_RULES_FIT_NO,
	CP_RULES_FIT_YES,
	CP_RULES_FIT_UNKNOWN, /* what it is about is there and not known */
};

struct cp_rules_block;

/* match and its texts are used as long as the block. 0, -ENOMEM, or
 * CP_RULES_E_REFUSED; *diag has field and line then. */
int cp_rules_block_new(struct cp_rules_block **ret,
		       const struct cp_rules_file_match *match,
		       struct sn_diag *diag);
struct cp_rules_block *cp_rules_block_free(struct cp_rules_block *block);
SN_DEFINE_CLEANUP(struct cp_rules_block, cp_rules_block_free)

enum cp_rules_fit cp_rules_block_judge(const struct cp_rules_block *block,
				       struct cp_rules_view *view);

/* Adds to the last rule of wanted what the kernel can decide of the block; as
 * controld/runtime/rules.h answers. */
int cp_rules_block_put_wanted(const struct cp_rules_block *block,
			      struct cp_runtime_rules *wanted,
			      uint64_t (*find)(const char *cgroup),
			      struct sn_diag *diag);
