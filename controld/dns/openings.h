/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What learnt names open, one by one and summed up over an address, for
 * learnt.c. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/rules.h"
#include "controld/policy/ports.h"
#include "shared/abi.h"

enum {
	CP_DNS_OPENINGS_SUM_MAX = 64, /* different ones of one address */
};

struct cp_dns_openings_one {
	uint32_t rule_id; /* 0: no rule */
	struct cp_policy_ports ports;
};

/* Of one name. */
struct cp_dns_openings {
	uint8_t n;
	struct cp_dns_openings_one one[SN_ITEMS_MAX];
};

/* Every port under the rule. */
struct cp_dns_openings cp_dns_openings_all(uint32_t rule_id);
/* What a match opens. False: more than an entry can hold. */
bool cp_dns_openings_read(const struct cp_dns_match *match,
			  struct cp_dns_openings *ret);

bool cp_dns_openings_is_equal(const struct cp_dns_openings *a,
			      const struct cp_dns_openings *b);
bool cp_dns_openings_has(const struct cp_dns_openings *openings,
			 const struct cp_dns_openings_one *one);
/* Does the item of an entry open this, by whatever rule? */
bool cp_dns_openings_is_covered(const struct cp_dns_openings_one *one,
				const struct sn_rule_item *item);
struct cp_dns_openings_one
cp_dns_openings_from_item(const struct sn_rule_item *item);

/* Is it one of those that the rule by itself has? */
bool cp_dns_openings_is_of(const struct cp_dns_openings_one *one,
			   const struct cp_dns_rule *rule);

/* As few as say what all say that were added: one whose ports are among
 * another's is left out if it does not end later. All zero is empty. */
struct cp_dns_openings_sum {
	size_t n;
	bool is_over; /* something was left out */
	struct {
		struct cp_dns_openings_one one;
		uint64_t expires_ns;
	} parts[CP_DNS_OPENINGS_SUM_MAX];
};

void cp_dns_openings_add(struct cp_dns_openings_sum *sum,
			 const struct cp_dns_openings *openings,
			 uint64_t expires_ns);

/* The items of an entry in the order of rule ids and ports; of more than room
 * those that end last. */
uint8_t cp_dns_openings_to_items(const struct cp_dns_openings_sum *sum,
				 uint8_t room,
				 struct sn_rule_item items[SN_ITEMS_MAX]);
