/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Entries of the kernel's tables: the CIDR rules of a prefix, and with them
 * what names have opened of it. CIDR rules come first and have room first. */

#include "controld/attach/item.h"
#include "controld/policy/compile.h"

struct cp_policy_cidr cp_attach_rows_cidr(const struct cp_dns_address *address);
/* False: no host prefix. */
bool cp_attach_rows_address(const struct cp_policy_cidr *cidr,
			    struct cp_dns_address *ret);

/* Has the kernel entries for names under this policy? */
bool cp_attach_rows_learns(const struct cp_policy *policy);
/* Do names about which no rule says anything stay open? was: the policy under
 * which they were learnt. */
bool cp_attach_rows_keeps_unruled(const struct cp_policy *policy,
				  const struct cp_policy *was);

/* How many items the CIDR rules leave to names. */
uint8_t cp_attach_rows_room(const struct cp_policy *policy,
			    const struct cp_dns_address *address);

/* Answers as cp_policy_compile_row(). learnt is left out unless the policy
 * learns. */
int cp_attach_rows_compile(const struct cp_policy *policy,
			   const struct cp_dns_learnt *learnt,
			   const struct cp_policy_cidr *cidr,
			   const struct sn_policy *block, uint32_t slot,
			   struct cp_policy_compile_row *ret);
/* The same for a prefix that was looked up. */
void cp_attach_rows_compile_prefix(const struct cp_policy *policy,
				   const struct cp_dns_learnt *learnt,
				   const struct cp_policy_prefix *prefix,
				   const struct sn_policy *block, uint32_t slot,
				   struct cp_policy_compile_row *ret);

/* Addresses that somebody has to go through. All zero is empty. */
struct cp_attach_rows_list {
	struct cp_dns_address *addresses; /* free(3) */
	size_t n;
	size_t size;
	bool is_cut; /* there was no memory for one */
};
void cp_attach_rows_add(struct cp_attach_rows_list *list,
			const struct cp_dns_address *address);
int cp_attach_rows_reserve(struct cp_attach_rows_list *list, size_t n);
void cp_attach_rows_done(struct cp_attach_rows_list *list);
