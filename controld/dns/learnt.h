/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What one attachment has learnt: names, their addresses, how long, and by
 * which rules they are open. An address that several names own lives as long as
 * one of them does, and its ports are the sum of theirs. Lapsed addresses stay
 * until the kernel has let go of them, because flows may rest on their entries.
 * Names, addresses and lapsed addresses are bounded. Pure: times are boot-time
 * ns.
 *
 * The rule of a learnt name is not kept but looked up: a change of rules is
 * followed by cp_dns_learnt_apply(). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/answer.h"
#include "controld/dns/name.h"
#include "controld/dns/rules.h"
#include "controld/policy/cidr.h"
#include "shared/util.h"

enum {
	CP_DNS_LEARNT_ITEMS_MAX = SN_ITEMS_MAX, /* of one address */
	/* Lapsed addresses that may be kept for each live one of the quota; the
	 * oldest goes first, and with it what still rests on it. */
	CP_DNS_LEARNT_LAPSED_FACTOR = 16,
};

/* Answers of cp_dns_learnt_put() besides 0 and -errno; nothing changed. */
enum {
	CP_DNS_LEARNT_E_NAMES = 1, /* quota of names */
	CP_DNS_LEARNT_E_ADDRESSES, /* quota of addresses */
	CP_DNS_LEARNT_E_PER_NAME, /* addresses of one name */
	CP_DNS_LEARNT_E_PORTS, /* an address would need over SN_ITEMS_MAX items */
};

struct cp_dns_learnt_limits {
	size_t names;
	size_t addresses;
	size_t addresses_per_name;
};

struct cp_dns_learnt;

int cp_dns_learnt_new(struct cp_dns_learnt **ret,
		      const struct cp_dns_learnt_limits *limits);
struct cp_dns_learnt *cp_dns_learnt_free(struct cp_dns_learnt *learnt);
SN_DEFINE_CLEANUP(struct cp_dns_learnt, cp_dns_learnt_free)
void cp_dns_learnt_put_limits(struct cp_dns_learnt *learnt,
			      const struct cp_dns_learnt_limits *limits);

/* One name with its addresses, all or none. match: what allows it (verdict
 * ALLOW, at least one rule) or, for names that the control plane opened, one
 * made by the caller. A life that is shorter than the present one does not
 * shorten it. room[i] (may be NULL): items that address i may have at most,
 * where CIDR rules share its entry. */
int cp_dns_learnt_put(struct cp_dns_learnt *learnt,
		      const struct cp_dns_name *name,
		      const struct cp_dns_match *match,
		      const struct cp_dns_address *addresses, size_t n,
		      const uint8_t *room, uint64_t expires_ns,
		      uint64_t now_ns);

/* Is every one of these addresses learnt under the name until expires_ns at
 * least? */
bool cp_dns_learnt_has(const struct cp_dns_learnt *learnt,
		       const struct cp_dns_name *name,
		       const struct cp_dns_address *addresses, size_t n,
		       uint64_t expires_ns);

/* The items of an address as the kernel's entry has them (allow, rule id,
 * ports, expiry), lapsed ones included. 0: the address is not there. */
uint8_t cp_dns_learnt_items(const struct cp_dns_learnt *learnt,
			    const struct cp_dns_address *address,
			    struct sn_rule_item items[SN_ITEMS_MAX]);

/* Looks every name up again and drops those that the rules do not allow any
 * more; what is left gets the ports and ids of its rules. keep_unruled: names
 * without a deciding rule stay (opened by the control plane). changed is
 * called for each address whose items differ from before; afterwards
 * cp_dns_learnt_items() tells the new ones. Returns the number of names
 * dropped, or -ENOMEM with nothing changed. */
int cp_dns_learnt_apply(struct cp_dns_learnt *learnt,
			const struct cp_dns_rules *rules, bool keep_unruled,
			void (*changed)(void *userdata,
					const struct cp_dns_address *address),
			void *userdata);
/* A copy under other rules, for a generation that is being staged. */
int cp_dns_learnt_derive(const struct cp_dns_learnt *learnt,
			 const struct cp_dns_rules *rules, bool keep_unruled,
			 struct cp_dns_learnt **ret);

/* Addresses of which no name lives any more; up to `max`, oldest first. */
size_t cp_dns_learnt_lapsed(const struct cp_dns_learnt *learnt, uint64_t now_ns,
			    struct cp_dns_address *ret, size_t max);
/* The kernel has deleted the entry, or it is to be deleted in any case. */
void cp_dns_learnt_forget(struct cp_dns_learnt *learnt,
			  const struct cp_dns_address *address);
/* The oldest lapsed address that is over the bound; false: none is. */
bool cp_dns_learnt_over(const struct cp_dns_learnt *learnt, uint64_t now_ns,
			struct cp_dns_address *ret);

/* Live ones. */
size_t cp_dns_learnt_count_names(const struct cp_dns_learnt *learnt,
				 uint64_t now_ns);
size_t cp_dns_learnt_count_addresses(const struct cp_dns_learnt *learnt,
				     uint64_t now_ns);
/* Every address that has an entry, in no particular order; *cursor begins as 0
 * and is good until something changes. */
bool cp_dns_learnt_next_address(const struct cp_dns_learnt *learnt,
				size_t *cursor, struct cp_dns_address *ret);

/* One row for each live pair of name and address, in the order of names and
 * then addresses; `after` NULL begins. */
struct cp_dns_learnt_row {
	struct cp_dns_name name;
	struct cp_dns_address address;
	uint64_t expires_ns;
	uint32_t rule_id; /* of the first deciding rule; 0: control plane */
};
bool cp_dns_learnt_next_row(const struct cp_dns_learnt *learnt,
			    const struct cp_dns_learnt_row *after,
			    uint64_t now_ns, struct cp_dns_learnt_row *ret);
