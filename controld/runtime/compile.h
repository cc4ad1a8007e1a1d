/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules as rows of the kernel's tables: for every field and every value that
 * rules name, the rules that do, one bit each. Pure. */

#include "controld/runtime/rules.h"

struct cp_runtime_row {
	struct sn_rt_match_key key; /* slot and generation are zero */
	struct sn_rt_bits bits;
};

struct cp_runtime_compiled {
	size_t n_rows;
	struct cp_runtime_row *rows; /* one for each key */
	/* fields, n_words, path_bytes and exe_bytes; the rest is zero. */
	struct sn_rt_settings settings;
};

/* -ENOMEM. */
int cp_runtime_compile_init(struct cp_runtime_compiled *compiled,
			    const struct cp_runtime_rules *rules);
void cp_runtime_compile_done(struct cp_runtime_compiled *compiled);
