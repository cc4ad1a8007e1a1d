/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl learn: a policy file from what an attachment wanted. */

#include "controld/ctl/session.h"
#include "controld/ctl/wanted.h"

enum cp_ctl_exit cp_ctl_learn_print(struct cp_ctl_session *session);

/* The same from what was fetched. wildcards: names, below which one rule
 * stands for all. 0 or -ENOMEM; -EINVAL: a wildcard is no name. */
int cp_ctl_learn_write(const struct cp_ctl_wanted *wanted,
		       const char *const *wildcards, size_t n_wildcards,
		       FILE *out);
