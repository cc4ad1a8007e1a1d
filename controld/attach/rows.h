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

/* What rules without ports and without TTL say of whole prefixes. Such a deny
 * keeps names from opening what it covers, but for what a more specific prefix
 * allows in the same way. Rules with ports or TTL are compared with names like
 * with each other, by the length of the prefix.
 *
 * add: what the rules of one prefix say together with one more of them. */
enum sn_verdict cp_attach_rows_add_verdict(enum sn_verdict verdict,
					   const struct cp_policy_rule *rule);
/* That of the longest prefix around the address, of those of at least
 * `shortest` and at most `longest` bits, of which they say anything. */
enum sn_verdict cp_attach_rows_get_verdict(const struct cp_policy *policy,
					   const struct cp_dns_address *address,
					   int longest, int shortest);
/* Do CIDR rules allow the address, on whatever ports? Of the prefixes around it
 * the longest one with a live rule decides; now_ns 0: with one without TTL. */
bool cp_attach_rows_allows(const struct cp_policy *policy,
			   const struct cp_dns_address *address,
			   uint64_t now_ns);
/* Does the policy keep names from opening special addresses, as long as no CIDR
 * rule without TTL allows these? In mode PROXY the control plane may have given
 * them. */
bool cp_attach_rows_shuts_special(const struct cp_policy *policy);
/* May no name open the address? Either it is denied as a whole, or it is special
 * and nothing opens it (any more). */
bool cp_attach_rows_denies(const struct cp_policy *policy,
			   const struct cp_dns_address *address);

/* How many items the CIDR rules leave to names; all, if none are written. */
uint8_t cp_attach_rows_room(const struct cp_policy *policy,
			    const struct cp_dns_address *address);

/* Answers as cp_policy_compile_row(). learnt is left out unless the policy
 * learns, and where it denies the address. */
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
