// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/compile.h"

#include <assert.h>
#include <string.h>

uint64_t cp_policy_compile_expires(uint64_t expires_ns)
{
	uint64_t units = expires_ns >> SN_EXPIRES_SHIFT;

	if (expires_ns & ((1ULL << SN_EXPIRES_SHIFT) - 1))
		units++;
	return SN_MIN(units, SN_EXPIRES_MAX);
}

static uint8_t host_length(enum sn_family family)
{
	return family == SN_FAMILY_IPV4 ? 32 : 128;
}

static bool has_length(const uint8_t *lengths, uint8_t n, unsigned int length)
{
	for (uint8_t i = 0; i < n; i++) {
		if (lengths[i] == length)
			return true;
	}
	return false;
}

/* Which lengths of a family are hashed: those in use and, if all of them have
 * room, as many reserved ones as fit. Returns true if the trie is needed. */
static bool choose_lengths(const struct cp_policy *policy,
			   enum sn_family family, const uint8_t *reserved,
			   uint8_t n_reserved, uint8_t lengths[SN_LENGTHS_MAX],
			   uint8_t *n_lengths)
{
	unsigned int n_used = 0, room, n = 0;

	for (uint8_t i = 0; i < host_length(family); i++)
		n_used += cp_policy_count_length(policy, family, i) > 0;
	*n_lengths = 0;
	if (n_used > SN_LENGTHS_MAX)
		return true;

	room = SN_LENGTHS_MAX - n_used;
	for (unsigned int i = host_length(family); i-- > 0;) {
		if (cp_policy_count_length(policy, family, (uint8_t)i) > 0) {
			lengths[n++] = (uint8_t)i;
		} else if (room > 0 && has_length(reserved, n_reserved, i)) {
			lengths[n++] = (uint8_t)i;
			room--;
		}
	}
	*n_lengths = (uint8_t)n;
	return false;
}

void cp_policy_compile_block(const struct cp_policy *policy,
			     uint32_t generation,
			     const struct sn_policy *reserve,
			     struct sn_policy *ret)
{
	const struct cp_policy_settings settings =
		cp_policy_get_settings(policy);
	const struct cp_dns_settings *dns = cp_policy_get_dns(policy);
	static const struct sn_policy nothing = { .generation = 0 };
	struct sn_policy block = {
		.generation = generation,
		.mode = (uint8_t)settings.mode,
		.audit = settings.audit,
		.inbound = (uint8_t)settings.inbound,
	};

	if (!dns->no_steering && settings.mode != SN_MODE_BLOCK_ALL)
		block.dns = SN_DNS_STEERING_ON;

	if (!reserve)
		reserve = &nothing;
	block.trie4 = choose_lengths(policy, SN_FAMILY_IPV4, reserve->lengths4,
				     reserve->n_lengths4, block.lengths4,
				     &block.n_lengths4);
	block.trie6 = choose_lengths(policy, SN_FAMILY_IPV6, reserve->lengths6,
				     reserve->n_lengths6, block.lengths6,
				     &block.n_lengths6);
	*ret = block;
}

static bool uses_trie(const struct sn_policy *block,
		      const struct cp_policy_cidr *cidr)
{
	if (cp_policy_cidr_is_host(cidr))
		return false;
	return cidr->family == SN_FAMILY_IPV4 ? block->trie4 : block->trie6;
}

bool cp_policy_compile_fits(const struct sn_policy *block,
			    const struct cp_policy_cidr *cidr)
{
	if (cp_policy_cidr_is_host(cidr) || uses_trie(block, cidr))
		return true;
	if (cidr->family == SN_FAMILY_IPV4)
		return has_length(block->lengths4, block->n_lengths4,
				  cidr->length);
	return has_length(block->lengths6, block->n_lengths6, cidr->length);
}

void cp_policy_compile_key(const struct sn_policy *block, uint32_t slot,
			   const struct cp_policy_cidr *cidr,
			   struct cp_policy_compile_row *ret)
{
	(void)memset(ret, 0, sizeof(*ret));
	if (uses_trie(block, cidr)) {
		ret->table = SN_TABLE_PREFIXES;
		ret->key.prefix.prefix_bits =
			SN_PREFIX_FIXED_BITS + (uint32_t)cidr->length;
		ret->key.prefix.slot = slot;
		ret->key.prefix.generation = block->generation;
		ret->key.prefix.family = cidr->family;
		(void)memcpy(ret->key.prefix.address, cidr->address,
			     sizeof(cidr->address));
		return;
	}
	ret->table = SN_TABLE_RULES;
	ret->key.rule.slot = slot;
	ret->key.rule.generation = block->generation;
	ret->key.rule.family = cidr->family;
	ret->key.rule.prefix_length = cidr->length;
	(void)memcpy(ret->key.rule.address, cidr->address,
		     sizeof(cidr->address));
}

uint8_t cp_policy_compile_items(const struct cp_policy_rule *rule,
				struct sn_rule_item *items)
{
	static const struct cp_policy_ports everything = { .high = UINT16_MAX };
	const struct cp_policy_ports *ports = rule->n_ports ? rule->ports :
							      &everything;
	uint8_t n = rule->n_ports ? rule->n_ports : 1;

	for (uint8_t i = 0; i < n; i++) {
		items[i] = (struct sn_rule_item){
			.expires = cp_policy_compile_expires(rule->expires_ns) &
				   SN_EXPIRES_MAX,
			.protocol = ports[i].protocol,
			.verdict = rule->verdict,
			.rule_id = rule->id,
			.port_low = ports[i].low,
			.port_high = ports[i].high,
		};
	}
	return n;
}

void cp_policy_compile_prefix(const struct cp_policy_prefix *prefix,
			      const struct sn_policy *block, uint32_t slot,
			      struct cp_policy_compile_row *ret)
{
	uint8_t n = 0;

	assert(prefix->n_items <= SN_ITEMS_MAX);
	cp_policy_compile_key(block, slot, &prefix->cidr, ret);
	for (uint8_t i = 0; i < prefix->n_rules; i++)
		n = (uint8_t)(n +
			      cp_policy_compile_items(prefix->rules[i],
						      &ret->value.items[n]));
	ret->value.n_items = n;
	ret->value.prefix_length = prefix->cidr.length;
}

int cp_policy_compile_row(const struct cp_policy *policy,
			  const struct cp_policy_cidr *cidr,
			  const struct sn_policy *block, uint32_t slot,
			  struct cp_policy_compile_row *ret)
{
	struct cp_policy_prefix prefix;

	if (!cp_policy_get_prefix(policy, cidr, &prefix)) {
		cp_policy_compile_key(block, slot, cidr, ret);
		return CP_POLICY_COMPILE_E_ABSENT;
	}
	cp_policy_compile_prefix(&prefix, block, slot, ret);
	return 0;
}

bool cp_policy_compile_is_equal(const struct cp_policy_compile_row *a,
				const struct cp_policy_compile_row *b)
{
	return a->table == b->table &&
	       memcmp(&a->key, &b->key, sizeof(a->key)) == 0 &&
	       a->value.n_items == b->value.n_items &&
	       a->value.prefix_length == b->value.prefix_length &&
	       a->value.n_items <= SN_ITEMS_MAX &&
	       memcmp(a->value.items, b->value.items,
		      a->value.n_items * sizeof(a->value.items[0])) == 0;
}

int cp_policy_compile_get_cidr(const struct cp_policy_compile_row *row,
			       struct cp_policy_cidr *ret)
{
	struct cp_policy_cidr cidr = { .length = row->value.prefix_length };
	const uint8_t *address;

	if (row->table == SN_TABLE_PREFIXES) {
		cidr.family = row->key.prefix.family;
		address = row->key.prefix.address;
		if (row->key.prefix.prefix_bits !=
		    SN_PREFIX_FIXED_BITS + (uint32_t)cidr.length)
			return CP_POLICY_COMPILE_E_INVALID;
	} else {
		cidr.family = row->key.rule.family;
		address = row->key.rule.address;
		if (row->key.rule.prefix_length != cidr.length)
			return CP_POLICY_COMPILE_E_INVALID;
	}
	if ((cidr.family != SN_FAMILY_IPV4 && cidr.family != SN_FAMILY_IPV6) ||
	    cidr.length > host_length(cidr.family))
		return CP_POLICY_COMPILE_E_INVALID;

	(void)memcpy(cidr.address, address, sizeof(cidr.address));
	if (!cp_policy_cidr_contains(&cidr, cidr.address) ||
	    (cidr.family == SN_FAMILY_IPV4 &&
	     memcmp(cidr.address + 4, (const uint8_t[12]){ 0 }, 12) != 0))
		return CP_POLICY_COMPILE_E_INVALID;
	*ret = cidr;
	return 0;
}

/* The item as a spec of a rule; false if a rule cannot say it. */
static bool read_ports(const struct sn_rule_item *item,
		       struct cp_policy_ports *ret)
{
	*ret = (struct cp_policy_ports){
		.low = item->port_low,
		.high = item->port_high,
		.protocol = (uint8_t)item->protocol,
	};
	if (ret->low == 0)
		return ret->high == UINT16_MAX;
	return ret->low <= ret->high &&
	       (ret->protocol == 0 || cp_policy_ports_has_ports(ret->protocol));
}

/* Adds what the item says to the rule that it belongs to. */
static bool read_item(const struct sn_rule_item *item,
		      struct cp_policy_rule *rule, bool is_first)
{
	struct cp_policy_ports ports;

	if (item->rule_id == 0 || (item->verdict != SN_VERDICT_ALLOW &&
				   item->verdict != SN_VERDICT_DENY))
		return false;
	if (!read_ports(item, &ports))
		return false;
	if (is_first) {
		rule->id = item->rule_id;
		rule->verdict = (uint8_t)item->verdict;
		rule->expires_ns = (uint64_t)item->expires << SN_EXPIRES_SHIFT;
		rule->n_ports = 0;
		if (ports.protocol == 0 && ports.low == 0)
			return true;
	} else if (rule->n_ports == 0 || rule->verdict != item->verdict ||
		   cp_policy_ports_compare(&rule->ports[rule->n_ports - 1],
					   &ports) >= 0) {
		return false;
	} else if (item->expires) {
		/* Only those of names differ; none is to live longer. */
		rule->expires_ns =
			SN_MIN(rule->expires_ns,
			       (uint64_t)item->expires << SN_EXPIRES_SHIFT);
	}
	rule->ports[rule->n_ports++] = ports;
	return true;
}

static uint32_t life_left(uint64_t expires_ns, uint64_t now_ns)
{
	uint64_t left_s;

	if (expires_ns == 0)
		return 0;
	if (expires_ns <= now_ns)
		return 1;
	left_s = (expires_ns - now_ns + SN_NS_PER_S - 1) / SN_NS_PER_S;
	return (uint32_t)SN_MIN(left_s, (uint64_t)CP_POLICY_TTL_MAX_S);
}

/* The rules that a row's items make, in order; false if it is no row of ours. */
static bool read_rules(const struct cp_policy_compile_row *row,
		       const struct cp_policy_rule *common,
		       struct cp_policy_rule rules[SN_ITEMS_MAX],
		       uint8_t *n_rules)
{
	const struct sn_rule_item *items = row->value.items;
	uint8_t n = 0;

	if (row->value.n_items == 0 || row->value.n_items > SN_ITEMS_MAX)
		return false;
	for (uint8_t i = 0; i < row->value.n_items; i++) {
		bool is_first = i == 0 ||
				items[i].rule_id != items[i - 1].rule_id;

		if (is_first)
			rules[n++] = *common;
		if (!read_item(&items[i], &rules[n - 1], is_first))
			return false;
	}
	*n_rules = n;
	return true;
}

/* Beside CIDR rules an entry may have what names have opened: one domain rule
 * for many addresses, and for the ports of a CIDR rule, of which the longer life
 * is kept. */
static int adopt_rule(struct cp_policy *policy, struct cp_policy_rule *rule,
		      bool *is_renumbered)
{
	struct cp_policy_rule previous;
	int r;

	r = cp_policy_add(policy, rule, NULL, &previous);
	if (r == CP_POLICY_E_ID) {
		rule->id = 0;
		*is_renumbered = true;
		r = cp_policy_add(policy, rule, NULL, &previous);
	}
	if (r != CP_POLICY_E_REPLACED || previous.verdict != rule->verdict ||
	    previous.id == rule->id)
		return r;
	*is_renumbered = true;
	if (rule->expires_ns && (previous.expires_ns == 0 ||
				 previous.expires_ns > rule->expires_ns))
		(void)cp_policy_add(policy, &previous, NULL, NULL);
	return 0;
}

int cp_policy_compile_adopt(struct cp_policy *policy,
			    const struct cp_policy_compile_row *row,
			    uint64_t now_ns)
{
	struct cp_policy_rule rules[SN_ITEMS_MAX];
	struct cp_policy_rule common = { .owner = CP_POLICY_OWNER_LOCAL };
	bool is_renumbered = false;
	uint8_t n_rules;
	int r;

	r = cp_policy_compile_get_cidr(row, &common.cidr);
	if (r)
		return r;
	if (!read_rules(row, &common, rules, &n_rules))
		return CP_POLICY_COMPILE_E_INVALID;
	for (uint8_t i = 0; i < n_rules; i++) {
		rules[i].ttl_s = life_left(rules[i].expires_ns, now_ns);
		r = adopt_rule(policy, &rules[i], &is_renumbered);
		if (r)
			return r < 0 ? r : CP_POLICY_COMPILE_E_INVALID;
	}
	return is_renumbered ? CP_POLICY_COMPILE_E_RENUMBERED : 0;
}
