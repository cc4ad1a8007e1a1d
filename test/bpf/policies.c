/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/policies.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "shared/util.h"
#include "test/unit/t.h"

enum {
	RULES_MAX = 40,
	LENGTHS_MAX = 12,
	/* Nothing lapses within a run of the test. */
	LIFE_S = 3000,
};

uint16_t policies_choose_port(struct world_random *random)
{
	static const uint16_t ports[] = { 1,	22,   53,    80,   443, 853,
					  8080, 8443, 65535, 5000, 0 };
	uint32_t pick = world_random_below(random, SN_ARRAY_SIZE(ports));

	/* Often next to a rule's port. */
	return (uint16_t)(ports[pick] + world_random_chance(random, 15) -
			  world_random_chance(random, 15));
}

void policies_choose_local(enum sn_family family, uint8_t ret[16])
{
	(void)memset(ret, 0, 16);
	if (family == SN_FAMILY_IPV4) {
		(void)memcpy(ret, (const uint8_t[]){ 192, 168, 7, 2 }, 4);
		return;
	}
	(void)memcpy(ret, (const uint8_t[]){ 0xfd, 0x77, 0, 7 }, 4);
	ret[15] = 2;
}

/* 18.0.0.0/15 and two of the /64 that choose_address() makes. */
static const uint8_t range4[4] = { 18, 0 };
static const uint8_t range6[8] = { 0x20, 1, 0x0d, 0xb8, 0, 0x81, 0, 1 };
static const uint8_t loopback6[8] = { 0x20, 1, 0x0d, 0xb8, 0, 0x80, 0, 1 };

struct sn_dns policies_dns(bool has_tc)
{
	struct sn_dns dns = {
		.range4_bits = 15,
		.has_tc = has_tc,
		.mac_host = { 2, 0, 0, 0, 0, 0x10 },
		.mac_steer = { 2, 0, 0, 0, 0, 0x11 },
		.port_tc = htons(20053),
		.port_cgroup = htons(20054),
		.ifindex_host = 98,
		.ifindex_steer = 99,
		.mark = WORLD_MARK,
	};

	(void)memcpy(dns.range4, range4, sizeof(range4));
	(void)memcpy(dns.range6, range6, sizeof(range6));
	(void)memcpy(dns.loopback6, loopback6, sizeof(loopback6));
	return dns;
}

void policies_choose_reserved(const struct sn_dns *dns, enum sn_family family,
			      uint8_t ret[16])
{
	(void)memset(ret, 0, 16);
	if (family == SN_FAMILY_IPV4) {
		(void)memcpy(ret, (const uint8_t[]){ 18, 1, 1, 3 }, 4);
		return;
	}
	(void)memcpy(ret, dns->range6, 8);
	ret[15] = 3;
}

bool policies_is_reserved(const struct sn_dns *dns, enum sn_family family,
			  const uint8_t address[16])
{
	if (family == SN_FAMILY_IPV4)
		return (address[0] == 127 && (address[1] & 0xf0) == 16) ||
		       (dns->has_tc && address[0] == 18 && address[1] < 2);
	return memcmp(address, loopback6, 8) == 0 ||
	       (dns->has_tc && memcmp(address, range6, 8) == 0);
}

static void choose_metadata6(struct world_random *random, uint8_t ret[16])
{
	static const uint8_t addresses[8][16] = {
		{ 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 },
		{ 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23 },
		{ 0, 0x64, 0xff, 0x9b, [12] = 169, 254, 169, 254 },
		{ 0, 0x64, 0xff, 0x9b, [12] = 169, 254, 170, 2 },
		{ 0, 0x64, 0xff, 0x9b, [12] = 169, 254, 170, 23 },
		{ 0, 0x64, 0xff, 0x9b, [12] = 100, 100, 100, 200 },
		{ 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54 },
		{ 0xfe, 0x80, [12] = 0xa9, [13] = 0xfe, 0xa9, 0xfe },
	};

	(void)memcpy(ret, addresses[world_random_below(random, 8)], 16);
	if (world_random_chance(random, 20)) /* a neighbour of it */
		ret[15] ^= 1;
}

void policies_choose_address(struct world_random *random, enum sn_family family,
			     uint8_t ret[16])
{
	static const uint8_t metadata[4][4] = {
		{ 169, 254, 169, 254 },
		{ 169, 254, 170, 2 },
		{ 169, 254, 170, 23 },
		{ 100, 100, 100, 200 },
	};
	uint64_t bits = world_random(random);
	uint32_t kind = world_random_below(random, 100);

	(void)memset(ret, 0, 16);
	if (family == SN_FAMILY_IPV4) {
		if (kind < 6) {
			(void)memcpy(ret, metadata[bits & 3], 4);
			ret[3] = (uint8_t)(ret[3] ^ (kind == 5));
			return;
		}
		ret[0] = kind < 85 ? 10 : (uint8_t)(9 << (bits & 3));
		ret[1] = (uint8_t)(bits >> 8 & 0x81);
		ret[2] = (uint8_t)(bits >> 16 & 0x03);
		ret[3] = (uint8_t)(bits >> 24 & 0x13);
		return;
	}
	if (kind < 8) {
		choose_metadata6(random, ret);
		return;
	}
	ret[0] = kind < 90 ? 0x20 : (uint8_t)(bits & 0x3f);
	ret[1] = 0x01;
	ret[2] = 0x0d;
	ret[3] = 0xb8;
	ret[5] = (uint8_t)(bits >> 8 & 0x81);
	ret[7] = (uint8_t)(bits >> 16 & 1);
	ret[8] = (uint8_t)(bits >> 24 & 0x80);
	ret[11] = (uint8_t)(bits >> 32 & 2);
	ret[15] = (uint8_t)(bits >> 40 & 3);
}

static void choose_ports(struct world_random *random,
			 struct cp_policy_ports *ret)
{
	static const uint8_t protocols[] = { 0, 0, 6, 6, 17, 17, 33, 132, 136 };
	static const uint8_t alone[] = { 1, 6, 17, 47, 50, 58, 89, 132 };
	uint16_t a, b;

	*ret = (struct cp_policy_ports){ .high = UINT16_MAX };
	if (world_random_chance(random, 30)) {
		ret->protocol =
			alone[world_random_below(random, sizeof(alone))];
		return;
	}
	ret->protocol =
		protocols[world_random_below(random, sizeof(protocols))];
	do {
		a = policies_choose_port(random);
		b = world_random_chance(random, 50) ?
			    a :
			    policies_choose_port(random);
		ret->low = SN_MIN(a, b);
		ret->high = SN_MAX(a, b);
	} while (ret->low == 0);
}

static void choose_rule_ports(struct world_random *random,
			      struct cp_policy_rule *rule)
{
	uint32_t n = world_random_below(random, 4);

	while (n-- > 0) {
		struct cp_policy_ports ports;
		uint8_t at = rule->n_ports;
		int order = -1;

		choose_ports(random, &ports);
		while (at > 0) {
			order = cp_policy_ports_compare(&rule->ports[at - 1],
							&ports);
			if (order <= 0)
				break;
			at--;
		}
		if (at > 0 && order == 0)
			continue;
		(void)memmove(&rule->ports[at + 1], &rule->ports[at],
			      (size_t)(rule->n_ports - at) * sizeof(ports));
		rule->ports[at] = ports;
		rule->n_ports++;
	}
}

static uint64_t choose_expiry(struct world_random *random, uint64_t now_ns)
{
	uint64_t past_s = SN_MIN(now_ns / SN_NS_PER_S / 2, 1000U);
	uint32_t kind = world_random_below(random, 100);

	if (kind < 50 || past_s < 2)
		return 0;
	if (kind < 75)
		return now_ns + LIFE_S * SN_NS_PER_S +
		       (world_random(random) & 0xffffffff);
	return now_ns -
	       (1 + world_random_below(random, (uint32_t)past_s)) *
		       SN_NS_PER_S -
	       (world_random(random) & 0xfffffff);
}

static struct cp_policy_rule choose_rule(struct world_random *random,
					 const uint8_t lengths4[LENGTHS_MAX],
					 const uint8_t lengths6[LENGTHS_MAX],
					 uint32_t n_lengths, uint64_t now_ns)
{
	enum sn_family family = world_random_chance(random, 50) ?
					SN_FAMILY_IPV4 :
					SN_FAMILY_IPV6;
	bool is4 = family == SN_FAMILY_IPV4;
	uint32_t pick = world_random_below(random, n_lengths);
	struct cp_policy_rule rule = {
		.verdict = world_random_chance(random, 65) ? SN_VERDICT_ALLOW :
							     SN_VERDICT_DENY,
		.owner = world_random_chance(random, 50) ?
				 CP_POLICY_OWNER_LOCAL :
				 CP_POLICY_OWNER_REMOTE,
		.expires_ns = choose_expiry(random, now_ns),
	};
	uint8_t length = is4 ? lengths4[pick] : lengths6[pick];
	uint8_t address[16];

	if (world_random_chance(random, 35))
		length = is4 ? 32 : 128;
	policies_choose_address(random, family, address);
	rule.cidr = cp_policy_cidr_around(family, address, length);
	choose_rule_ports(random, &rule);
	return rule;
}

/* A few lengths make the hash engine, many the trie; some are those where the
 * universe's addresses differ. */
static uint32_t choose_lengths(struct world_random *random,
			       uint8_t lengths4[LENGTHS_MAX],
			       uint8_t lengths6[LENGTHS_MAX])
{
	static const uint8_t near4[] = { 0, 8, 9, 16, 23, 24, 27, 28, 30, 31 };
	static const uint8_t near6[] = { 0,  32, 41, 48,  64,  65,
					 95, 96, 63, 120, 126, 127 };
	uint32_t n = 1 + world_random_below(random, 4);

	if (world_random_chance(random, 50))
		n = LENGTHS_MAX;
	for (uint32_t i = 0; i < n; i++) {
		bool near = world_random_chance(random, 70);

		lengths4[i] =
			near ? near4[world_random_below(random, sizeof(near4))] :
			       (uint8_t)world_random_below(random, 32);
		lengths6[i] =
			near ? near6[world_random_below(random, sizeof(near6))] :
			       (uint8_t)world_random_below(random, 128);
	}
	return n;
}

static struct cp_policy_settings choose_settings(struct world_random *random)
{
	uint32_t kind = world_random_below(random, 100);

	return (struct cp_policy_settings){
		.mode = kind < 50 ? SN_MODE_ALLOWLIST :
			kind < 85 ? SN_MODE_DENYLIST :
			kind < 95 ? SN_MODE_BLOCK_ALL :
				    SN_MODE_DISABLED,
		.inbound = (enum sn_inbound)(1 + world_random_below(random, 3)),
		.audit = world_random_chance(random, 30),
	};
}

/* Lengths that are listed although no rule has them. */
static void choose_reserve(struct world_random *random, struct sn_policy *ret)
{
	*ret = (struct sn_policy){ .n_lengths4 = 0 };
	if (world_random_chance(random, 50))
		return;
	ret->n_lengths4 = ret->n_lengths6 = SN_LENGTHS_MAX;
	for (int i = 0; i < SN_LENGTHS_MAX; i++) {
		ret->lengths4[i] =
			(uint8_t)(31 - 7 * i -
				  (int)world_random_below(random, 6));
		ret->lengths6[i] =
			(uint8_t)(127 - 30 * i -
				  (int)world_random_below(random, 25));
	}
}

static void compile(struct policies_set *set)
{
	struct cp_policy_prefix prefix;
	size_t cursor = 0;

	set->rows = calloc(RULES_MAX, sizeof(*set->rows));
	t_not_null(set->rows);
	while (cp_policy_next_prefix(set->policy, &cursor, &prefix))
		cp_policy_compile_prefix(&prefix, &set->block, WORLD_SLOT,
					 &set->rows[set->n_rows++]);
}

void policies_make(struct world_random *random, uint32_t generation,
		   uint64_t now_ns, struct policies_set *ret)
{
	struct cp_policy_settings settings = choose_settings(random);
	uint8_t lengths4[LENGTHS_MAX], lengths6[LENGTHS_MAX];
	uint32_t n_lengths = choose_lengths(random, lengths4, lengths6);
	uint32_t n_rules = world_random_below(random, RULES_MAX + 1);
	struct policies_set set = { .policy = NULL };
	struct cp_dns_settings dns;
	struct sn_policy reserve;

	t_eq(cp_policy_new(&set.policy, RULES_MAX), 0);
	cp_policy_put_settings(set.policy, &settings);
	dns = *cp_policy_get_dns(set.policy);
	dns.no_steering = world_random_chance(random, 40);
	cp_policy_put_dns(set.policy, &dns);
	for (uint32_t i = 0; i < n_rules; i++) {
		struct cp_policy_rule rule = choose_rule(
			random, lengths4, lengths6, n_lengths, now_ns);
		int r = cp_policy_add(set.policy, &rule, NULL, NULL);

		t_true(r == 0 || r == CP_POLICY_E_REPLACED ||
		       r == CP_POLICY_E_PREFIX_FULL);
	}
	choose_reserve(random, &reserve);
	cp_policy_compile_block(set.policy, generation, &reserve, &set.block);
	compile(&set);
	*ret = set;
}

void policies_put(const struct policies_set *set, struct world *world)
{
	for (size_t i = 0; i < set->n_rows; i++)
		world_put_row(world, &set->rows[i]);
}

void policies_done(struct policies_set *set, const struct world *world)
{
	for (size_t i = 0; i < set->n_rows; i++)
		world_del_row(world, &set->rows[i]);
	free(set->rows);
	cp_policy_free(set->policy);
	*set = (struct policies_set){ .policy = NULL };
}

uint64_t policies_choose_lapsed(struct world_random *random,
				const struct policies_set *set, uint64_t now_ns)
{
	for (int i = 0; set->n_rows && i < 20; i++) {
		const struct sn_rule_value *value =
			&set->rows[world_random_below(random,
						      (uint32_t)set->n_rows)]
				 .value;
		const struct sn_rule_item *item =
			&value->items[world_random_below(random,
							 value->n_items)];
		uint64_t expires = (uint64_t)item->expires << SN_EXPIRES_SHIFT;

		if (expires && expires < now_ns)
			return expires;
	}
	return 0;
}

static void print_rule(const struct cp_policy_rule *rule, uint64_t now_ns)
{
	char text[CP_POLICY_CIDR_TEXT_BYTES];
	char ports[CP_POLICY_PORTS_TEXT_BYTES];

	(void)printf("  rule %u %s %s", rule->id,
		     rule->verdict == SN_VERDICT_DENY ? "deny" : "allow",
		     cp_policy_cidr_format(&rule->cidr, text));
	for (uint8_t i = 0; i < rule->n_ports; i++)
		(void)printf(" %s",
			     cp_policy_ports_format(&rule->ports[i], ports));
	if (rule->expires_ns)
		(void)printf(" life %.6f s",
			     (double)(int64_t)(rule->expires_ns - now_ns) /
				     1e9);
	(void)printf("\n");
}

void policies_print(const struct policies_set *set,
		    const struct cp_policy_match_packet *packet,
		    uint64_t now_ns)
{
	const struct sn_policy *b = &set->block;
	const struct cp_policy_rule *rule = NULL;

	(void)printf(
		"mode %u, audit %u, inbound %u, dns %u, trie4 %u, trie6 %u, "
		"lengths4 %u, lengths6 %u, rules that cover the remote:\n",
		b->mode, b->audit, b->inbound, b->dns, b->trie4, b->trie6,
		b->n_lengths4, b->n_lengths6);
	while ((rule = cp_policy_next_rule(set->policy, rule ? rule->id : 0))) {
		if (rule->cidr.family == packet->family &&
		    cp_policy_cidr_contains(&rule->cidr, packet->remote))
			print_rule(rule, now_ns);
	}
}
