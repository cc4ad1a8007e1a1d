/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the walk through a policy file gathers, shared by file.c and
 * file_dns.c; it is the userdata of the schema's callbacks. A model of the
 * policy serves to find duplicates: the id of a rule in it is the rule's index
 * in `lines` plus one, which leads to its line. */

#include "controld/config/schema.h"
#include "controld/policy/policy.h"
#include "sentinel/v1/policy.pb-c.h"

struct cp_policy_file_walk {
	struct cp_policy *model;
	unsigned int *lines; /* of CIDR and domain rules */
	size_t n_lines;
	Sentinel__V1__Rule **rules;
	size_t n_rules;
	Sentinel__V1__DomainRule **domains;
	size_t n_domains;
};

/* What both kinds of rules have. */
struct cp_policy_file_walk_rule {
	char *allow; /* either it or deny */
	char *deny;
	struct cp_config_schema_strings ports;
};

/* Room for one element more; sizes are powers of two. NULL: no memory, the
 * array stays. */
void *cp_policy_file_walk_grow(void *array, size_t n, size_t element_size);

/* The line of the rule that was added to the model last. 0 or -ENOMEM. */
int cp_policy_file_walk_put_line(struct cp_policy_file_walk *walk,
				 unsigned int line);

/* 0 or CP_CONFIG_SCHEMA_E_REFUSED. */
int cp_policy_file_walk_check(const struct cp_policy_file_walk_rule *rule,
			      struct sn_diag *diag);
/* What is allowed or denied. */
const char *
cp_policy_file_walk_get_subject(const struct cp_policy_file_walk_rule *rule);

/* Room for a message of size bytes and, behind it in the one allocation, copies
 * of the rule's subject and ports; *ports is NULL if there are none. NULL: no
 * memory. */
void *cp_policy_file_walk_copy(const struct cp_policy_file_walk_rule *rule,
			       size_t size, char **subject, char ***ports);

/* Of a refused rule whose field is in diag: a port has a line of its own. */
void cp_policy_file_walk_find_line(const struct cp_policy_file_walk_rule *rule,
				   struct sn_diag *diag);
