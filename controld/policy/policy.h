/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The model of one attachment's policy: settings, and rules indexed by prefix
 * and by id. A million rules take about 150 MB. Pure: times are arguments.
 *
 * Lapsed rules (their TTL has ended) stay in the model until they are removed,
 * because flows may rest on their items in the kernel; they still take room in
 * their prefix. Pointers to rules are valid until that rule is removed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/rules.h"
#include "controld/dns/settings.h"
#include "controld/policy/cidr.h"
#include "controld/policy/ports.h"
#include "shared/abi.h"
#include "shared/util.h"

#define CP_POLICY_TTL_MAX_S 3155760000U /* a century */

/* Answers of cp_policy_add() besides 0 and -errno; nothing changed but for
 * REPLACED. Those that cp_policy_add_domain() has too have the numbers of
 * cp_dns_rules_add(). */
enum {
	CP_POLICY_E_REPLACED = 1, /* same prefix, ports, owner was there */
	CP_POLICY_E_PREFIX_FULL, /* the prefix has SN_ITEMS_MAX items */
	CP_POLICY_E_FULL, /* max_rules reached, or no id left */
	CP_POLICY_E_ID, /* another rule has the id */
};

enum cp_policy_owner {
	CP_POLICY_OWNER_NONE = 0, /* as a filter: any */
	CP_POLICY_OWNER_LOCAL = 1,
	CP_POLICY_OWNER_REMOTE = 2,
	CP_POLICY_OWNER_DOH = 3, /* the daemon, see controld/policy/doh.h */
};

enum { CP_POLICY_OWNER_TEXT_BYTES = 16 };

/* "local", "remote", "doh-list". */
const char *cp_policy_owner_name(enum cp_policy_owner owner);
/* NONE: nobody is called so. */
enum cp_policy_owner cp_policy_owner_parse(const char *name);

struct cp_policy_settings {
	enum sn_mode mode; /* never NONE */
	enum sn_inbound inbound; /* never NONE */
	bool audit;
};

struct cp_policy_rule {
	uint64_t expires_ns; /* boot time; 0: never */
	uint32_t ttl_s; /* as asked for, 0: none */
	uint32_t id; /* 1 and up */
	struct cp_policy_cidr cidr;
	uint8_t verdict; /* enum sn_verdict */
	uint8_t owner; /* enum cp_policy_owner */
	uint8_t n_ports; /* 0: every protocol and port */
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX]; /* sorted */
};

/* The rules of one prefix in the order of their ids; n_rules >= 1. */
struct cp_policy_prefix {
	struct cp_policy_cidr cidr;
	uint8_t n_rules;
	uint8_t n_items; /* sum of the rules' items */
	const struct cp_policy_rule *rules[SN_ITEMS_MAX];
};

struct cp_policy_diff {
	uint32_t added;
	uint32_t removed;
	uint32_t unchanged;
};

struct cp_policy;

/* ALLOWLIST, REPLIES, no audit, nothing said of names, no rules. max_rules counts
 * lapsed ones too. */
int cp_policy_new(struct cp_policy **ret, size_t max_rules);
/* A limit that was lowered makes nothing forget the rules that it has. */
void cp_policy_put_max_rules(struct cp_policy *policy, size_t max_rules);
struct cp_policy *cp_policy_free(struct cp_policy *policy);
SN_DEFINE_CLEANUP(struct cp_policy, cp_policy_free)

/* Ids, order and the next id are kept. */
int cp_policy_copy(const struct cp_policy *policy, struct cp_policy **ret);

struct cp_policy_settings
cp_policy_get_settings(const struct cp_policy *policy);
void cp_policy_put_settings(struct cp_policy *policy,
			    const struct cp_policy_settings *settings);

/* The id that the next rule gets; 0 when they are used up. Raising it keeps
 * ids of rules that are gone from being used again. */
uint32_t cp_policy_get_next_id(const struct cp_policy *policy);
void cp_policy_raise_next_id(struct cp_policy *policy, uint32_t next_id);

/* Copies the rule in. rule->id 0: the next id. A rule with the same prefix,
 * ports and owner is replaced (verdict, TTL, expiry) under its old id and its
 * old place; *previous is what it was. ret: the rule as it now is. Both may be
 * NULL. */
int cp_policy_add(struct cp_policy *policy, const struct cp_policy_rule *rule,
		  struct cp_policy_rule *ret, struct cp_policy_rule *previous);

/* Removes the rules of exactly this prefix, with n_ports > 0 only those with
 * exactly these (sorted) ports, and only those of the owner. Lapsed ones go
 * too, but only those that live at now_ns are counted. */
size_t cp_policy_remove(struct cp_policy *policy,
			const struct cp_policy_cidr *cidr,
			const struct cp_policy_ports *ports, size_t n_ports,
			enum cp_policy_owner owner, uint64_t now_ns);
/* False: there is no such rule. */
bool cp_policy_remove_id(struct cp_policy *policy, uint32_t id);

/* NULL: there is none. next: the rule with the smallest id above `id`, so that
 * id 0 begins; lapsed ones included. */
const struct cp_policy_rule *cp_policy_get_rule(const struct cp_policy *policy,
						uint32_t id);
const struct cp_policy_rule *cp_policy_next_rule(const struct cp_policy *policy,
						 uint32_t id);
/* All of them in the order of their ids; *cursor begins as 0 and is good until
 * the policy changes. NULL after the last. */
const struct cp_policy_rule *
cp_policy_walk_rules(const struct cp_policy *policy, size_t *cursor);

/* False: the prefix has no rule. */
bool cp_policy_get_prefix(const struct cp_policy *policy,
			  const struct cp_policy_cidr *cidr,
			  struct cp_policy_prefix *ret);
/* Every prefix in no particular order; *cursor begins as 0 and is good until
 * the policy changes. False after the last. */
bool cp_policy_next_prefix(const struct cp_policy *policy, size_t *cursor,
			   struct cp_policy_prefix *ret);
/* How many prefixes have that length. */
size_t cp_policy_count_length(const struct cp_policy *policy,
			      enum sn_family family, uint8_t length);

/* An item in the kernel lapses at most 66 us after its rule. */
static inline bool cp_policy_rule_is_lapsed(const struct cp_policy_rule *rule,
					    uint64_t now_ns)
{
	return rule->expires_ns && rule->expires_ns <= now_ns;
}
bool cp_policy_prefix_is_lapsed(const struct cp_policy_prefix *prefix,
				uint64_t now_ns);

/* Same prefix, ports, owner, verdict, TTL. */
bool cp_policy_rule_is_equal(const struct cp_policy_rule *a,
			     const struct cp_policy_rule *b);

/* All CIDR rules; live ones, cheap while no rule has lapsed since the last call. */
size_t cp_policy_count(const struct cp_policy *policy);
size_t cp_policy_count_live(struct cp_policy *policy, uint64_t now_ns);
/* The earliest moment at which a rule may lapse; 0: never. */
uint64_t cp_policy_next_expiry(struct cp_policy *policy, uint64_t now_ns);

/* Name resolution: settings, and domain rules with ids of the same numbers as
 * the CIDR rules'; max_rules is for both together. Answers of add are those of
 * cp_dns_rules_add(), CP_POLICY_E_FULL when no id or room is left, and
 * CP_POLICY_E_ID; id 0: the next one. ret (may be NULL): the rule as it now
 * is. Copy, adopt_ids and compare include the domain rules; settings that
 * differ are no difference of rules. */
const struct cp_dns_settings *cp_policy_get_dns(const struct cp_policy *policy);
void cp_policy_put_dns(struct cp_policy *policy,
		       const struct cp_dns_settings *settings);
const struct cp_dns_rules *
cp_policy_get_domains(const struct cp_policy *policy);
int cp_policy_add_domain(struct cp_policy *policy,
			 const struct cp_dns_rule *rule,
			 struct cp_dns_rule *ret, struct cp_dns_rule *previous);
/* False: there is no such domain rule. */
bool cp_policy_remove_domain_id(struct cp_policy *policy, uint32_t id);
size_t cp_policy_remove_domains(struct cp_policy *policy,
				const struct cp_dns_name *name,
				const struct cp_policy_ports *ports,
				size_t n_ports, enum cp_policy_owner owner);

/* Sets expires_ns of every rule: now_ns + TTL, or 0. For a whole policy that
 * is about to take effect. */
void cp_policy_start_ttls(struct cp_policy *policy, uint64_t now_ns);

/* Renumbers `policy`, which is to replace `running`: rules that are equal keep
 * the running one's id, the others get ids that `running` never used. -ERANGE:
 * there are not enough left; -ENOMEM. */
int cp_policy_adopt_ids(struct cp_policy *policy,
			const struct cp_policy *running);

/* Rules of `before` that have lapsed count as gone. */
struct cp_policy_diff cp_policy_compare(const struct cp_policy *before,
					const struct cp_policy *after,
					uint64_t now_ns);
