/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The policy of a run: that of a file, or an empty allowlist, and what --allow
 * adds: an address, a prefix or a name, with ports behind a colon if wanted.
 * "*." before a name is for the name and every name below it; IPv6 with ports
 * stands in brackets. */

#include "controld/ctl/options.h"
#include "shared/diag.h"

/* Answers besides 0 and -errno. */
enum {
	CP_CTL_RUN_ALLOW_E_REFUSED = 1, /* diag->text says why */
};

/* policy belongs to protobuf-c's default allocator, as those of files do. */
int cp_ctl_run_allow_add(Sentinel__V1__Policy *policy, const char *text,
			 struct sn_diag *diag);

/* An allowlist without rules, freed with cp_policy_file_free(). NULL: no
 * memory. */
Sentinel__V1__Policy *cp_ctl_run_allow_new(void);
