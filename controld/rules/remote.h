/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Conditions about the ends of a connection, for cond.c: prefixes, and names
 * that the resolver has opened. */

#include "controld/dns/name.h"
#include "controld/rules/cond.h"

/* A value of names: what is looked up, the first 1 + size bytes. */
struct cp_rules_remote_name {
	uint8_t is_below; /* what is below the name, else the name itself */
	uint8_t wire[CP_DNS_NAME_WIRE_MAX];
};

/* 0, or CP_RULES_E_REFUSED with the text of *diag. *ret is the set's from then
 * on; of names there are one or two. */
int cp_rules_remote_put_cidr(struct cp_rules_cond *cond, const char *text,
			     struct cp_policy_cidr *ret, struct sn_diag *diag);
int cp_rules_remote_put_name(struct cp_rules_cond *cond, const char *text,
			     struct cp_rules_remote_name ret[2],
			     struct sn_diag *diag);

enum cp_rules_fit cp_rules_remote_judge_cidrs(const struct cp_rules_cond *cond,
					      struct cp_rules_view *view);
enum cp_rules_fit cp_rules_remote_judge_names(const struct cp_rules_cond *cond,
					      struct cp_rules_view *view);
