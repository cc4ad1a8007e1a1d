/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/check.h"

#include <string.h>

#include "shared/util.h"

struct context {
	const struct sn_check *check;
	const uint8_t *key;
	const uint8_t *value; /* NULL: keys only */
	uint32_t slot;
	uint32_t generation;
};

static const uint8_t *get_part(const struct context *context)
{
	return context->check->in_value ? context->value : context->key;
}

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t number;

	(void)memcpy(&number, at, sizeof(number));
	return number;
}

static bool is_zero(const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (at[i])
			return false;
	}
	return true;
}

/* No bit is set behind the first `bits` of an address of 16 bytes, and an IPv4
 * address has nothing behind its four bytes. */
static bool is_prefix(const uint8_t *address, uint32_t bits, uint8_t family)
{
	uint32_t most = family == SN_FAMILY_IPV4 ? 32 : 128;
	uint32_t whole = bits / 8;

	if (bits > most)
		return false;
	if (bits % 8) {
		if (address[whole] & (0xffU >> (bits % 8)))
			return false;
		whole++;
	}
	return is_zero(address + whole, 16 - whole);
}

static bool has_ports(uint8_t protocol)
{
	switch (protocol) {
	case 6: /* TCP */
	case 17: /* UDP */
	case 33: /* DCCP */
	case 132: /* SCTP */
	case 136: /* UDP-Lite */
		return true;
	default:
		return false;
	}
}

static bool is_item(const uint8_t *at)
{
	struct sn_rule_item item;

	(void)memcpy(&item, at, sizeof(item));
	if (item.verdict != SN_VERDICT_ALLOW && item.verdict != SN_VERDICT_DENY)
		return false;
	/* rule_id 0: opened by a name that no rule is about. */
	if (item.port_low > item.port_high)
		return false;
	if (item.port_low == 0 && item.port_high == UINT16_MAX)
		return true;
	return item.protocol == 0 || has_ports((uint8_t)item.protocol);
}

static bool are_items(const uint8_t *items, size_t bytes, uint8_t n_items)
{
	size_t room = bytes / sizeof(struct sn_rule_item);

	if (n_items > room)
		return false;
	for (size_t i = 0; i < n_items; i++) {
		if (!is_item(items + i * sizeof(struct sn_rule_item)))
			return false;
	}
	return is_zero(items + n_items * sizeof(struct sn_rule_item),
		       (room - n_items) * sizeof(struct sn_rule_item));
}

static bool is_legal(const struct context *context)
{
	const struct sn_check *check = context->check;
	const uint8_t *part = get_part(context);
	const uint8_t *field = part + check->offset;
	uint32_t bits;

	switch (check->kind) {
	case SN_CHECK_SLOT:
		return get_u32(field) == context->slot;
	case SN_CHECK_GENERATION:
		return get_u32(field) == context->generation;
	case SN_CHECK_FAMILY:
		return *field == SN_FAMILY_IPV4 || *field == SN_FAMILY_IPV6;
	case SN_CHECK_PREFIX:
		return is_prefix(field, part[check->a], part[check->b]);
	case SN_CHECK_TRIE_PREFIX:
		bits = get_u32(part + check->a);
		return bits >= SN_PREFIX_FIXED_BITS &&
		       is_prefix(field, bits - SN_PREFIX_FIXED_BITS,
				 part[check->b]);
	case SN_CHECK_ZERO:
		return is_zero(field, check->bytes);
	case SN_CHECK_RANGE:
		return *field >= check->a && *field <= check->b;
	case SN_CHECK_ITEMS:
		return are_items(field, check->bytes, part[check->a]);
	}
	return false;
}

static int check_row(enum sn_table table, struct context *context)
{
	bool any = false;

	for (size_t i = 0; i < sn_tables_n_checks; i++) {
		context->check = &sn_tables_checks[i];
		if (context->check->table != table)
			continue;
		any = true;
		if (context->check->in_value && !context->value)
			continue;
		if (!is_legal(context))
			return -EINVAL;
	}
	return any ? 0 : -EINVAL;
}

int dp_check_rows(enum sn_table table, uint32_t slot, uint32_t generation,
		  const uint8_t *rows, size_t n_rows, bool with_value,
		  uint32_t *index)
{
	const struct sn_table_info *info = &sn_tables_info[table];
	size_t stride = info->key_bytes + (with_value ? info->value_bytes : 0);

	for (size_t i = 0; i < n_rows; i++) {
		struct context context = {
			.key = rows + i * stride,
			.slot = slot,
			.generation = generation,
		};

		if (with_value)
			context.value = context.key + info->key_bytes;
		if (check_row(table, &context) < 0) {
			*index = (uint32_t)i;
			return -EINVAL;
		}
	}
	return 0;
}

/* Longest first, shorter than a host prefix, zero behind the last. */
static bool are_lengths(const uint8_t *lengths, uint8_t n, uint8_t host_bits)
{
	uint8_t before = host_bits;

	if (n > SN_LENGTHS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (lengths[i] >= before)
			return false;
		before = lengths[i];
	}
	return is_zero(lengths + n, (size_t)(SN_LENGTHS_MAX - n));
}

static bool are_tables(const struct sn_policy *policy)
{
	if (policy->trie4 > 1 || policy->trie6 > 1)
		return false;
	if ((policy->trie4 && policy->n_lengths4) ||
	    (policy->trie6 && policy->n_lengths6))
		return false;
	return are_lengths(policy->lengths4, policy->n_lengths4, 32) &&
	       are_lengths(policy->lengths6, policy->n_lengths6, 128);
}

int dp_check_host_policy(const struct sn_policy *policy)
{
	const struct sn_policy plain = {
		.generation = policy->generation,
		.runtime_events = policy->runtime_events,
	};

	if (memcmp(policy, &plain, sizeof(plain)) != 0 ||
	    policy->runtime_events >= SN_RT_EVENT_BIT(SN_RT_EVENT_COUNT) ||
	    (policy->runtime_events & SN_RT_EVENT_BIT(SN_RT_EVENT_NONE)))
		return -EINVAL;
	return 0;
}

int dp_check_policy(const struct sn_policy *policy)
{
	if (policy->mode < SN_MODE_DISABLED || policy->mode > SN_MODE_BLOCK_ALL)
		return -EINVAL;
	if (policy->inbound < SN_INBOUND_REPLIES ||
	    policy->inbound > SN_INBOUND_BLOCK)
		return -EINVAL;
	if (policy->audit > 1 || !are_tables(policy))
		return -EINVAL;
	if (policy->dns > SN_DNS_STEERING_ON ||
	    (policy->dns && policy->mode == SN_MODE_BLOCK_ALL) ||
	    policy->runtime_events ||
	    !is_zero(policy->pad, sizeof(policy->pad)))
		return -EINVAL;
	return 0;
}
