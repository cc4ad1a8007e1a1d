/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What one attachment has learnt: names, their addresses, how long, and by
 * which rules they are open. An address that several names own lives as long as
 * one of them does, and its ports are the sum of theirs. Lapsed addresses stay
 * until the kernel has let go of them, because flows may rest on their entries.
 * Names, addresses and lapsed addresses are bounded. Pure: times are boot-time
 * ns.
 *
 * What a name opens is kept with it, as its rules said when it was learnt; a
 * change of rules is followed by cp_dns_learnt_apply(). A set is ahead of the
 * kernel: what was put counts as open only once it was confirmed, but is
 * revoked like the rest.
 *
 * An entry of the kernel whose name is not known (the names of the last seconds
 * are lost when the daemon dies) is anonymous: it lives to its end, unless a
 * change of rules could be about it. */

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

/* seed: of hashes, random, so that nobody can choose collisions. */
struct cp_dns_learnt_limits {
	size_t names;
	size_t addresses;
	size_t addresses_per_name;
	uint64_t seed;
};

struct cp_dns_learnt;

int cp_dns_learnt_new(struct cp_dns_learnt **ret,
		      const struct cp_dns_learnt_limits *limits);
struct cp_dns_learnt *cp_dns_learnt_free(struct cp_dns_learnt *learnt);
SN_DEFINE_CLEANUP(struct cp_dns_learnt, cp_dns_learnt_free)
void cp_dns_learnt_put_limits(struct cp_dns_learnt *learnt,
			      const struct cp_dns_learnt_limits *limits);

/* One name with its addresses, all or none. match: what allows it (verdict
 * ALLOW, at least one rule), or one without rules for names that no rule is
 * about: these open every port under rule id 0. A life that is shorter than the
 * present one does not shorten it. room[i] (may be NULL): items that address i
 * may have at most, where CIDR rules share its entry. */
int cp_dns_learnt_put(struct cp_dns_learnt *learnt,
		      const struct cp_dns_name *name,
		      const struct cp_dns_match *match,
		      const struct cp_dns_address *addresses, size_t n,
		      const uint8_t *room, uint64_t expires_ns,
		      uint64_t now_ns);

/* The kernel has what was put with this expiry; what is not there any more is
 * left out. */
void cp_dns_learnt_confirm(struct cp_dns_learnt *learnt,
			   const struct cp_dns_name *name,
			   const struct cp_dns_address *addresses, size_t n,
			   uint64_t expires_ns);
/* The kernel has all of it. */
void cp_dns_learnt_confirm_all(struct cp_dns_learnt *learnt);

/* Is every one of these addresses learnt and confirmed under the name until
 * expires_ns at least? */
bool cp_dns_learnt_has(const struct cp_dns_learnt *learnt,
		       const struct cp_dns_name *name,
		       const struct cp_dns_address *addresses, size_t n,
		       uint64_t expires_ns);

/* The items of an address as the kernel's entry has them (allow, rule id,
 * ports, expiry), lapsed ones included, in the order of rule ids and ports, at
 * most `room` (1..SN_ITEMS_MAX) of them: if there are more, those that end last.
 * 0: the address is not there. */
uint8_t cp_dns_learnt_items(const struct cp_dns_learnt *learnt,
			    const struct cp_dns_address *address, uint8_t room,
			    struct sn_rule_item items[SN_ITEMS_MAX]);

/* Would cp_dns_learnt_apply() change nothing? */
bool cp_dns_learnt_is_current(const struct cp_dns_learnt *learnt,
			      const struct cp_dns_rules *rules,
			      bool keep_unruled);
/* Looks every name up again and drops those that the rules do not allow any
 * more; what is left gets the ports and ids of its rules. keep_unruled: names
 * without a deciding rule stay. changed (may be NULL) is called for each address
 * whose items may differ from before, once the new ones are in place. Returns
 * the number of names dropped. */
size_t cp_dns_learnt_apply(
	struct cp_dns_learnt *learnt, const struct cp_dns_rules *rules,
	bool keep_unruled,
	void (*changed)(void *userdata, const struct cp_dns_address *address),
	void *userdata);
/* -ENOMEM. */
int cp_dns_learnt_copy(const struct cp_dns_learnt *learnt,
		       struct cp_dns_learnt **ret);

/* May an item of the kernel be of a learnt address: does it allow and end, and
 * does its rule, if it has one, say what it says? */
bool cp_dns_learnt_is_plausible(const struct sn_rule_item *item,
				const struct cp_dns_rules *rules,
				bool keep_unruled);
/* Takes in the items that the kernel's entry of an address has (allowing ones
 * that end): under the names that `known` (may be NULL) has for the address, as
 * far as these open what the items say, else anonymously. No life becomes longer
 * than in both. Quotas do not matter. -ENOMEM. */
int cp_dns_learnt_adopt(struct cp_dns_learnt *learnt,
			const struct cp_dns_learnt *known,
			const struct cp_dns_address *address,
			const struct sn_rule_item *items, uint8_t n_items,
			uint64_t now_ns);

/* Addresses of which no name lives any more; up to `max`, oldest first. */
size_t cp_dns_learnt_lapsed(const struct cp_dns_learnt *learnt, uint64_t now_ns,
			    struct cp_dns_address *ret, size_t max);
/* The kernel still needs the entry: the others are asked for first. */
void cp_dns_learnt_defer(struct cp_dns_learnt *learnt,
			 const struct cp_dns_address *address);
/* The kernel has deleted the entry, or it is to be deleted in any case. An
 * address that lives is kept. */
void cp_dns_learnt_forget(struct cp_dns_learnt *learnt,
			  const struct cp_dns_address *address);
/* The oldest lapsed address that is over the bound; false: none is. */
bool cp_dns_learnt_over(const struct cp_dns_learnt *learnt, uint64_t now_ns,
			struct cp_dns_address *ret);

/* Live ones. Anonymous entries have no name and count as addresses only. */
size_t cp_dns_learnt_count_names(const struct cp_dns_learnt *learnt,
				 uint64_t now_ns);
size_t cp_dns_learnt_count_addresses(const struct cp_dns_learnt *learnt,
				     uint64_t now_ns);
/* Every address that has an entry, in no particular order, in an array that
 * free(3) releases. -ENOMEM. */
int cp_dns_learnt_list_addresses(const struct cp_dns_learnt *learnt,
				 struct cp_dns_address **ret, size_t *n);

/* One row for each live pair of name and address, in the order of names (as
 * bytes) and then addresses; `after` NULL begins. */
struct cp_dns_learnt_row {
	struct cp_dns_name name;
	struct cp_dns_address address;
	uint64_t expires_ns;
	uint32_t rule_id; /* of the first deciding rule; 0: none */
	uint8_t n_ports; /* 0: every protocol and port */
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
};
/* The n-th pair of this address that has a name and ends after now_ns, in the
 * order in which they were learnt. */
bool cp_dns_learnt_get_row(const struct cp_dns_learnt *learnt,
			   const struct cp_dns_address *address, size_t n,
			   uint64_t now_ns, struct cp_dns_learnt_row *ret);
bool cp_dns_learnt_next_row(const struct cp_dns_learnt *learnt,
			    const struct cp_dns_learnt_row *after,
			    uint64_t now_ns, struct cp_dns_learnt_row *ret);
