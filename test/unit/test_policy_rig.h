/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules as texts say them. */

#include "controld/policy/policy.h"
#include "test/unit/t.h"

/* Local and without an end; ports NULL: all of them. */
static inline struct cp_policy_rule
rule_of(const char *cidr, enum sn_verdict verdict, const char *ports)
{
	struct cp_policy_rule rule = {
		.verdict = (uint8_t)verdict,
		.owner = CP_POLICY_OWNER_LOCAL,
	};
	struct sn_diag diag = { .text = "" };
	size_t index;

	if (cp_policy_cidr_parse(cidr, &rule.cidr, &diag) != 0)
		t_fail("%s", diag.text);
	if (ports &&
	    cp_policy_ports_parse_list(&ports, 1, rule.ports, &rule.n_ports,
				       &index, &diag) != 0)
		t_fail("%s", diag.text);
	return rule;
}
