/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Learning through the attachment manager with its fake sentinel-dp. */

#include "controld/attach/dns.h"
#include "test/unit/test_attach_rig.h"

struct lesson {
	bool is_done;
	enum cp_attach_dns_learn_code code;
	unsigned int order;
};

static inline void learnt(void *userdata, enum cp_attach_dns_learn_code code)
{
	struct lesson *lesson = userdata;

	t_false(lesson->is_done);
	lesson->is_done = true;
	lesson->code = code;
	lesson->order = ++n_done;
}

static inline struct cp_dns_name name_of(const char *text)
{
	struct sn_diag diag = { .text = "" };
	struct cp_dns_name name;

	if (cp_dns_name_parse(text, &name, &diag) != 0)
		t_fail("%s: %s", text, diag.text);
	return name;
}

/* 198.51.i/256.i: none that the other tests use. With SPECIAL, 10.0.i/256.i,
 * which names open only where something else lets them. */
enum { SPECIAL = 1 << 16 };

static inline struct cp_dns_address address_of(unsigned int i)
{
	struct cp_dns_address address = { .family = SN_FAMILY_IPV4,
					  .bytes = { 198, 51 } };

	if (i & SPECIAL)
		memcpy(address.bytes, "\12\0", 2);
	address.bytes[2] = (uint8_t)(i >> 8);
	address.bytes[3] = (uint8_t)i;
	return address;
}

/* With a port if it is not 0. */
static inline struct cp_dns_rule domain_port(enum sn_verdict verdict,
					     const char *name, uint16_t port)
{
	struct cp_dns_rule rule = {
		.verdict = (uint8_t)verdict,
		.owner = CP_POLICY_OWNER_LOCAL,
		.name = name_of(name),
		.n_ports = port > 0,
	};

	rule.ports[0] = (struct cp_policy_ports){ .low = port,
						  .high = port,
						  .protocol = IPPROTO_TCP };
	if (!port)
		memset(rule.ports, 0, sizeof(rule.ports));
	return rule;
}

static inline struct cp_dns_rule domain(enum sn_verdict verdict,
					const char *name)
{
	return domain_port(verdict, name, 0);
}

static inline struct cp_policy *
with_domain(struct cp_policy *policy, enum sn_verdict verdict, const char *name)
{
	struct cp_dns_rule rule = domain(verdict, name);

	t_eq(cp_policy_add_domain(policy, &rule, NULL, NULL), 0);
	return policy;
}

/* Role HOST, which "lo" has by its kind, is never steered. */
static inline struct outcome attach_as(struct rig *rig, enum sn_role role,
				       struct cp_policy *with)
{
	struct cp_attach_request request = {
		.type = SN_TARGET_TC,
		.target = "lo",
		.role = role,
		.policy = with,
	};
	struct outcome outcome = { 0 };

	t_eq(cp_attach_add(rig->manager, &request, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	return outcome;
}

static inline struct outcome attach_workload(struct rig *rig,
					     struct cp_policy *with)
{
	return attach_as(rig, SN_ROLE_WORKLOAD, with);
}

static inline void ask(struct rig *rig, struct lesson *lesson, const char *text,
		       unsigned int first, size_t n, uint64_t life_s)
{
	struct cp_dns_address addresses[64];
	struct cp_dns_name name = name_of(text);
	struct cp_attach_dns_learn request = {
		.slot = slot_of(rig)->target.slot,
		.name = &name,
		.addresses = addresses,
		.n_addresses = n,
		.life_ns = life_s * SN_NS_PER_S,
	};

	for (size_t i = 0; i < n; i++)
		addresses[i] = address_of(first + (unsigned int)i);
	t_eq(cp_attach_dns_learn(rig->manager, &request, learnt, lesson), 0);
	t_false(lesson->is_done);
}

static inline enum cp_attach_dns_learn_code learn(struct rig *rig,
						  const char *text,
						  unsigned int first, size_t n,
						  uint64_t life_s)
{
	struct lesson lesson = { 0 };

	ask(rig, &lesson, text, first, n, life_s);
	TURN_UNTIL(rig, lesson.is_done);
	return lesson.code;
}

static inline bool is_learnt(struct rig *rig, const char *text, unsigned int i,
			     uint64_t life_s)
{
	struct cp_dns_name name = name_of(text);
	struct cp_dns_address address = address_of(i);

	return cp_attach_dns_is_learnt(rig->manager, slot_of(rig)->target.slot,
				       &name, &address, 1,
				       life_s * SN_NS_PER_S);
}

/* The kernel's entry of the address in the current generation, or NULL. */
static inline struct fake_row *entry_of(struct rig *rig, unsigned int i)
{
	struct fake_slot *slot = slot_of(rig);
	struct cp_dns_address address = address_of(i);
	struct cp_policy_cidr cidr = {
		.family = SN_FAMILY_IPV4,
		.length = 32,
	};
	struct cp_policy_compile_row row;

	memcpy(cidr.address, address.bytes, sizeof(cidr.address));
	cp_policy_compile_key(&slot->policy, slot->target.slot, &cidr, &row);
	return fake_find(rig->fake, row.table, &row.key);
}

/* Would a new TCP flow to the port pass by the address's own entry now, and
 * `in_s` seconds later? Deny wins. */
static inline bool is_open_in(struct rig *rig, unsigned int i, uint16_t port,
			      uint64_t in_s)
{
	const struct fake_row *row = entry_of(rig, i);
	uint64_t at = now_ns + in_s * SN_NS_PER_S;
	bool is_open = false;

	for (uint8_t k = 0; row && k < row->value.n_items; k++) {
		const struct sn_rule_item *item = &row->value.items[k];
		uint64_t ends = (uint64_t)item->expires << SN_EXPIRES_SHIFT;

		if ((item->protocol != 0 && item->protocol != IPPROTO_TCP) ||
		    item->port_low > port || item->port_high < port ||
		    (ends != 0 && ends <= at))
			continue;
		if (item->verdict == SN_VERDICT_DENY)
			return false;
		is_open = true;
	}
	return is_open;
}

static inline bool is_open(struct rig *rig, unsigned int i, uint16_t port)
{
	return is_open_in(rig, i, port, 0);
}

static inline struct outcome allow_domain(struct rig *rig, const char *id,
					  const char *name, uint16_t port)
{
	struct cp_dns_rule rule = domain_port(SN_VERDICT_ALLOW, name, port);
	struct outcome outcome = { 0 };

	t_eq(cp_attach_dns_add_domain(rig->manager, id, &rule, done, &outcome),
	     0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome deny_domain(struct rig *rig, const char *id,
					 const char *name)
{
	struct cp_dns_rule rule = domain(SN_VERDICT_DENY, name);
	struct outcome outcome = { 0 };

	t_eq(cp_attach_dns_add_domain(rig->manager, id, &rule, done, &outcome),
	     0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome drop_domain(struct rig *rig, const char *id,
					 const char *name)
{
	struct cp_dns_rule rule = domain(SN_VERDICT_ALLOW, name);
	struct outcome outcome = { 0 };

	t_eq(cp_attach_dns_remove_domains(rig->manager, id, &rule, done,
					  &outcome),
	     0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome set_dns_mode(struct rig *rig, const char *id,
					  enum cp_dns_mode mode)
{
	struct outcome outcome = { 0 };

	t_eq(cp_attach_dns_set_mode(rig->manager, id, mode, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}
