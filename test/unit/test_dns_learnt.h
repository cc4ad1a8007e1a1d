/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names, rules and addresses for the tests of learnt.c. */

#include <netinet/in.h>

#include "controld/dns/learnt.h"
#include "test/unit/t.h"

#define S 1000000000ULL

static inline struct cp_dns_learnt *make(size_t names, size_t addresses,
					 size_t per_name)
{
	const struct cp_dns_learnt_limits limits = {
		.names = names,
		.addresses = addresses,
		.addresses_per_name = per_name,
		.seed = 0x5eed,
	};
	struct cp_dns_learnt *learnt = NULL;

	t_eq(cp_dns_learnt_new(&learnt, &limits), 0);
	return learnt;
}

static inline struct cp_dns_name name_of(const char *text)
{
	struct cp_dns_name name;
	struct sn_diag diag = { .text = "" };

	if (cp_dns_name_parse(text, &name, &diag) != 0)
		t_fail("%s: %s", text, diag.text);
	return name;
}

static inline struct cp_dns_address address_of(unsigned int i)
{
	struct cp_dns_address address = { .family = SN_FAMILY_IPV4,
					  .bytes = { 192, 0, 2 } };

	address.bytes[2] = (uint8_t)(i >> 8);
	address.bytes[3] = (uint8_t)i;
	return address;
}

/* A rule for one TCP port; 0: for all. */
static inline struct cp_dns_rule rule_of(uint32_t id, enum sn_verdict verdict,
					 const char *name, uint16_t port,
					 bool subdomains)
{
	struct cp_dns_rule rule = {
		.id = id,
		.verdict = (uint8_t)verdict,
		.owner = 1,
		.subdomains = subdomains,
		.n_ports = port > 0,
		.name = name_of(name),
	};

	rule.ports[0] = (struct cp_policy_ports){ .low = port,
						  .high = port,
						  .protocol = IPPROTO_TCP };
	return rule;
}

static inline struct cp_dns_rules *rules_of(const struct cp_dns_rule *list,
					    size_t n)
{
	struct cp_dns_rules *rules = NULL;

	t_eq(cp_dns_rules_new(&rules), 0);
	for (size_t i = 0; i < n; i++)
		t_eq(cp_dns_rules_add(rules, &list[i], NULL), 0);
	return rules;
}

static inline int put_room(struct cp_dns_learnt *learnt,
			   const struct cp_dns_rules *rules, const char *text,
			   unsigned int first, size_t n, const uint8_t *room,
			   uint64_t expires_ns, uint64_t now_ns)
{
	struct cp_dns_address addresses[64];
	struct cp_dns_name name = name_of(text);
	struct cp_dns_match match;

	for (size_t i = 0; i < n; i++)
		addresses[i] = address_of(first + (unsigned int)i);
	cp_dns_rules_match(rules, &name, &match);
	return cp_dns_learnt_put(learnt, &name, &match, addresses, n, room,
				 expires_ns, now_ns);
}

static inline int put(struct cp_dns_learnt *learnt,
		      const struct cp_dns_rules *rules, const char *text,
		      unsigned int first, size_t n, uint64_t expires_ns,
		      uint64_t now_ns)
{
	return put_room(learnt, rules, text, first, n, NULL, expires_ns,
			now_ns);
}

static inline uint8_t items_of(const struct cp_dns_learnt *learnt,
			       unsigned int i,
			       struct sn_rule_item items[SN_ITEMS_MAX])
{
	struct cp_dns_address address = address_of(i);

	return cp_dns_learnt_items(learnt, &address, SN_ITEMS_MAX, items);
}

/* Does an item let a new flow to the TCP port in that began at `at`? */
static inline bool opens(const struct cp_dns_learnt *learnt, unsigned int i,
			 uint16_t port, uint64_t at)
{
	struct sn_rule_item items[SN_ITEMS_MAX];
	uint8_t n = items_of(learnt, i, items);

	for (uint8_t k = 0; k < n; k++) {
		if ((items[k].protocol == 0 ||
		     items[k].protocol == IPPROTO_TCP) &&
		    items[k].port_low <= port && items[k].port_high >= port &&
		    ((uint64_t)items[k].expires << SN_EXPIRES_SHIFT) > at)
			return true;
	}
	return false;
}
