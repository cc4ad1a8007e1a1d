/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The domain rules of one policy and the one matcher for all uses. From the
 * full name towards the root the most specific suffix that has a rule for the
 * name decides; deny wins a tie. A rule is for its own name, with `subdomains`
 * also for all names below it. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/name.h"
#include "controld/policy/ports.h"
#include "shared/abi.h"
#include "shared/util.h"

#define CP_DNS_RULES_FLOOR_MAX_S 604800U /* a week */

enum {
	CP_DNS_RULES_MAX = 1000000, /* of one policy */
	/* Rules of one name that differ in owner, subdomains or ports. */
	CP_DNS_RULES_PER_NAME = 8,
};

/* Answers of cp_dns_rules_add() besides 0 and -errno. */
enum {
	CP_DNS_RULES_E_REPLACED = 1, /* same name, subdomains, ports, owner */
	CP_DNS_RULES_E_NAME_FULL, /* CP_DNS_RULES_PER_NAME */
	CP_DNS_RULES_E_FULL, /* CP_DNS_RULES_MAX */
};

struct cp_dns_rule {
	uint32_t id; /* of the policy's own numbers, shared with its CIDR rules */
	uint32_t ttl_floor_s; /* 0: the daemon's */
	uint8_t verdict; /* enum sn_verdict */
	uint8_t owner; /* enum cp_policy_owner */
	bool subdomains;
	uint8_t n_ports; /* 0: learnt addresses are open on every port */
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX]; /* sorted */
	struct cp_dns_name name;
};

struct cp_dns_rules;

int cp_dns_rules_new(struct cp_dns_rules **ret);
struct cp_dns_rules *cp_dns_rules_free(struct cp_dns_rules *rules);
SN_DEFINE_CLEANUP(struct cp_dns_rules, cp_dns_rules_free)
int cp_dns_rules_copy(const struct cp_dns_rules *rules,
		      struct cp_dns_rules **ret);

/* Copies the rule in; its id must be set and no other rule's. A rule with the
 * same name, subdomains, ports and owner is replaced (verdict, floor) under its
 * old id; *previous (may be NULL) is what it was. */
int cp_dns_rules_add(struct cp_dns_rules *rules, const struct cp_dns_rule *rule,
		     struct cp_dns_rule *previous);

/* Removes the rules of exactly this name and owner (0: any owner), with n_ports > 0
 * only those with exactly these ports. Whether they cover subdomains does not
 * matter. Returns how many. */
size_t cp_dns_rules_remove(struct cp_dns_rules *rules,
			   const struct cp_dns_name *name,
			   const struct cp_policy_ports *ports, size_t n_ports,
			   uint8_t owner);
bool cp_dns_rules_remove_id(struct cp_dns_rules *rules, uint32_t id);

/* What decides a name: all rules of the deciding suffix that are for it and
 * have the deciding verdict. Their ports are all inherited; a rule without
 * ports opens every port. Pointers are good until the rules change. */
struct cp_dns_match {
	enum sn_verdict verdict; /* NONE: no rule */
	uint8_t n_rules;
	const struct cp_dns_rule *rules[CP_DNS_RULES_PER_NAME]; /* by id */
	uint32_t ttl_floor_s; /* the largest of these rules', 0: none stated */
};
void cp_dns_rules_match(const struct cp_dns_rules *rules,
			const struct cp_dns_name *name,
			struct cp_dns_match *ret);

/* Sum of the ports of a match, sorted, without repetition; n 0: every port.
 * More than CP_POLICY_PORTS_MAX distinct ones: -E2BIG, nothing is open. */
int cp_dns_rules_get_ports(const struct cp_dns_match *match,
			   struct cp_policy_ports ret[CP_POLICY_PORTS_MAX],
			   uint8_t *n);

size_t cp_dns_rules_count(const struct cp_dns_rules *rules);
/* NULL: there is none. */
const struct cp_dns_rule *cp_dns_rules_get(const struct cp_dns_rules *rules,
					   uint32_t id);
/* The rule with the same name, subdomains, ports and owner, whatever its id;
 * NULL: there is none. */
const struct cp_dns_rule *cp_dns_rules_find(const struct cp_dns_rules *rules,
					    const struct cp_dns_rule *rule);
/* All rules of exactly this name, in the order of ids; returns how many. */
unsigned int
cp_dns_rules_list(const struct cp_dns_rules *rules,
		  const struct cp_dns_name *name,
		  const struct cp_dns_rule *ret[CP_DNS_RULES_PER_NAME]);
/* The rule with the smallest id above `id`, so that id 0 begins. */
const struct cp_dns_rule *cp_dns_rules_next(const struct cp_dns_rules *rules,
					    uint32_t id);
/* Same name, subdomains, ports, owner, verdict and floor, whatever the id. */
bool cp_dns_rules_is_equal(const struct cp_dns_rule *a,
			   const struct cp_dns_rule *b);
