/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a rule is about, where people may write an address, a prefix or a name.
 * Whatever is an address or a prefix is one, and what was meant to be one is
 * told as a bad one, never taken for a name. Pure. */

#include <stdbool.h>

#include "controld/dns/name.h"
#include "controld/policy/cidr.h"
#include "shared/diag.h"

enum {
	CP_POLICY_SUBJECT_E_REFUSED = 1, /* diag->text says why */
};

struct cp_policy_subject {
	bool is_name;
	struct cp_policy_cidr cidr; /* unless it is a name */
	struct cp_dns_name name;
};

int cp_policy_subject_parse(const char *text, struct cp_policy_subject *ret,
			    struct sn_diag *diag);
