/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/check.h"

#include <errno.h>

#include "test/unit/t.h"

enum { SLOT = 7, GENERATION = 3 };

struct row {
	struct sn_rule_key key;
	struct sn_rule_value value;
};

struct prefix_row {
	struct sn_prefix_key key;
	struct sn_rule_value value;
};

static struct row new_row(void)
{
	struct row row = {
		.key = { .slot = SLOT,
			 .generation = GENERATION,
			 .address = { 192, 0, 2, 1 },
			 .family = SN_FAMILY_IPV4,
			 .prefix_length = 32 },
		.value = { .n_items = 1, .prefix_length = 32 },
	};

	row.value.items[0] = (struct sn_rule_item){
		.verdict = SN_VERDICT_ALLOW,
		.protocol = 6,
		.rule_id = 1,
		.port_low = 443,
		.port_high = 443,
	};
	return row;
}

static struct prefix_row new_prefix_row(void)
{
	struct row row = new_row();

	return (struct prefix_row){
		.key = { .prefix_bits = SN_PREFIX_FIXED_BITS + 24,
			 .slot = SLOT,
			 .generation = GENERATION,
			 .family = SN_FAMILY_IPV4,
			 .address = { 192, 0, 2 } },
		.value = row.value,
	};
}

static int check(const struct row *row)
{
	uint32_t index = 0;

	return dp_check_rows(SN_TABLE_RULES, SLOT, GENERATION,
			     (const uint8_t *)row, 1, true, &index);
}

static int check_prefix(const struct prefix_row *row)
{
	uint32_t index = 0;

	return dp_check_rows(SN_TABLE_PREFIXES, SLOT, GENERATION,
			     (const uint8_t *)row, 1, true, &index);
}

#define REFUSED(change)                     \
	do {                                \
		struct row row = new_row(); \
		change;                     \
		t_eq(check(&row), -EINVAL); \
	} while (0)

#define PASSED(change)                      \
	do {                                \
		struct row row = new_row(); \
		change;                     \
		t_eq(check(&row), 0);       \
	} while (0)

static void rule_of_the_slot_and_generation_passes(void)
{
	PASSED((void)row);
	PASSED(row.key.address[3] = 255);
}

static void key_of_another_slot_or_generation_is_refused(void)
{
	REFUSED(row.key.slot = SLOT + 1);
	REFUSED(row.key.generation = GENERATION + 1);
}

static void family_is_known(void)
{
	REFUSED(row.key.family = 0);
	REFUSED(row.key.family = 5);
	REFUSED(row.key.family = 255);
}

static void prefix_is_canonical(void)
{
	REFUSED(row.key.prefix_length = 31);
	REFUSED(row.key.prefix_length = 33);
	REFUSED(row.key.prefix_length = 255);
	REFUSED(row.key.address[4] = 1);
	PASSED((row.key.prefix_length = 31, row.key.address[3] = 0));
	PASSED((row.key.prefix_length = 0,
		memset(row.key.address, 0, sizeof(row.key.address))));
	REFUSED((row.key.prefix_length = 0));
	PASSED((row.key.family = SN_FAMILY_IPV6, row.key.prefix_length = 128));
	REFUSED((row.key.family = SN_FAMILY_IPV6, row.key.prefix_length = 129));
	PASSED((row.key.family = SN_FAMILY_IPV6, row.key.prefix_length = 33));
}

static void padding_is_zero(void)
{
	REFUSED(row.key.pad[0] = 1);
	REFUSED(row.key.pad[5] = 1);
	REFUSED(row.value.pad[1] = 1);
}

static void items_are_counted_and_nothing_follows_the_last(void)
{
	REFUSED(row.value.n_items = 0);
	REFUSED(row.value.n_items = SN_ITEMS_MAX + 1);
	REFUSED(row.value.n_items = 2);
	REFUSED(row.value.items[1].rule_id = 1);
	REFUSED(row.value.items[7].port_high = 1);
	PASSED(for (int i = 1; i < SN_ITEMS_MAX; i++)
		       row.value.items[i] = row.value.items[0];
	       row.value.n_items = SN_ITEMS_MAX);
}

static void item_has_a_verdict_and_ordered_ports(void)
{
	REFUSED(row.value.items[0].verdict = 0);
	REFUSED(row.value.items[0].verdict = 3);
	PASSED(row.value.items[0].verdict = SN_VERDICT_DENY);
	PASSED(row.value.items[0].rule_id = 0);
	REFUSED(row.value.items[0].port_low = 444);
	PASSED(row.value.items[0].expires = SN_EXPIRES_MAX);
}

static void ports_need_a_protocol_that_has_them_or_any(void)
{
	static const uint8_t with[] = { 0, 6, 17, 33, 132, 136 };
	static const uint8_t without[] = { 1, 47, 58, 255 };

	for (size_t i = 0; i < sizeof(with); i++)
		PASSED(row.value.items[0].protocol = with[i]);
	for (size_t i = 0; i < sizeof(without); i++) {
		REFUSED(row.value.items[0].protocol = without[i]);
		PASSED((row.value.items[0].protocol = without[i],
			row.value.items[0].port_low = 0,
			row.value.items[0].port_high = 65535));
	}
}

static void trie_prefix_counts_the_fixed_bits(void)
{
	struct prefix_row row = new_prefix_row();

	t_eq(check_prefix(&row), 0);
	row.key.prefix_bits = SN_PREFIX_FIXED_BITS + 23;
	t_eq(check_prefix(&row), 0);
	row.key.prefix_bits = SN_PREFIX_FIXED_BITS + 22;
	t_eq(check_prefix(&row), -EINVAL);
	row.key.prefix_bits = SN_PREFIX_FIXED_BITS + 33;
	t_eq(check_prefix(&row), -EINVAL);
	row.key.prefix_bits = SN_PREFIX_FIXED_BITS - 1;
	t_eq(check_prefix(&row), -EINVAL);
	row.key.prefix_bits = UINT32_MAX;
	t_eq(check_prefix(&row), -EINVAL);
}

static void index_names_the_first_refused_row(void)
{
	struct row rows[4];
	uint32_t index = 99;

	for (size_t i = 0; i < 4; i++)
		rows[i] = new_row();
	rows[2].key.slot++;
	rows[3].key.slot++;
	t_eq(dp_check_rows(SN_TABLE_RULES, SLOT, GENERATION,
			   (const uint8_t *)rows, 4, true, &index),
	     -EINVAL);
	t_eq(index, 2);
	t_eq(dp_check_rows(SN_TABLE_RULES, SLOT, GENERATION,
			   (const uint8_t *)rows, 2, true, &index),
	     0);
}

static void keys_alone_are_checked_without_values(void)
{
	struct row row = new_row();
	uint32_t index = 0;

	t_eq(dp_check_rows(SN_TABLE_RULES, SLOT, GENERATION,
			   (const uint8_t *)&row.key, 1, false, &index),
	     0);
	row.key.pad[0] = 1;
	t_eq(dp_check_rows(SN_TABLE_RULES, SLOT, GENERATION,
			   (const uint8_t *)&row.key, 1, false, &index),
	     -EINVAL);
}

static void table_without_checks_takes_nothing(void)
{
	uint8_t row[sizeof(struct sn_flow_key) + sizeof(struct sn_flow)] = { 0 };
	uint32_t index = 0;

	t_eq(dp_check_rows(SN_TABLE_FLOWS, SLOT, GENERATION, row, 1, true,
			   &index),
	     -EINVAL);
}

static struct sn_policy new_policy(void)
{
	return (struct sn_policy){
		.mode = SN_MODE_ALLOWLIST,
		.inbound = SN_INBOUND_REPLIES,
		.n_lengths4 = 2,
		.lengths4 = { 24, 8 },
		.n_lengths6 = 1,
		.lengths6 = { 64 },
	};
}

#define POLICY(change, r)                          \
	do {                                       \
		struct sn_policy p = new_policy(); \
		change;                            \
		t_eq(dp_check_policy(&p), r);      \
	} while (0)

static void policy_fields_are_in_range(void)
{
	POLICY((void)p, 0);
	POLICY(p.mode = 0, -EINVAL);
	POLICY(p.mode = 5, -EINVAL);
	POLICY(p.inbound = 0, -EINVAL);
	POLICY(p.inbound = 4, -EINVAL);
	POLICY(p.audit = 2, -EINVAL);
	POLICY(p.audit = 1, 0);
	POLICY(p.dns = SN_DNS_STEERING_ON, 0);
	POLICY(p.dns = SN_DNS_STEERING_ON + 1, -EINVAL);
	POLICY((p.dns = SN_DNS_STEERING_ON, p.mode = SN_MODE_BLOCK_ALL),
	       -EINVAL);
	POLICY(p.pad[3] = 1, -EINVAL);
	POLICY(p.runtime_events = 2, -EINVAL);
}

static void policy_lengths_fall_and_exclude_the_trie(void)
{
	POLICY(p.n_lengths4 = 5, -EINVAL);
	POLICY(p.lengths4[0] = 8, -EINVAL);
	POLICY(p.lengths4[0] = 32, -EINVAL);
	POLICY(p.lengths4[2] = 4, -EINVAL);
	POLICY(p.lengths6[0] = 128, -EINVAL);
	POLICY(p.lengths6[0] = 127, 0);
	POLICY(p.trie4 = 1, -EINVAL);
	POLICY(p.trie4 = 2, -EINVAL);
	POLICY((p.trie4 = 1, p.n_lengths4 = 0, p.lengths4[0] = 0,
		p.lengths4[1] = 0),
	       0);
	POLICY(p.trie6 = 1, -EINVAL);
}

static void policy_of_the_host_is_its_events(void)
{
	struct sn_policy policy = { .generation = 7, .runtime_events = 2 };

	t_eq(dp_check_host_policy(&policy), 0);
	policy.runtime_events = SN_RT_EVENT_BIT(SN_RT_EVENT_COUNT) - 2;
	t_eq(dp_check_host_policy(&policy), 0);
	policy.runtime_events = 1;
	t_eq(dp_check_host_policy(&policy), -EINVAL);
	policy.runtime_events = SN_RT_EVENT_BIT(SN_RT_EVENT_COUNT);
	t_eq(dp_check_host_policy(&policy), -EINVAL);
	policy.runtime_events = 2;
	policy.mode = SN_MODE_DISABLED;
	t_eq(dp_check_host_policy(&policy), -EINVAL);
	policy.mode = 0;
	policy.pad[3] = 1;
	t_eq(dp_check_host_policy(&policy), -EINVAL);
}

static int check_match(struct sn_rt_match_key key)
{
	struct {
		struct sn_rt_match_key key;
		struct sn_rt_bits bits;
	} row = { .key = key };
	uint32_t index = 0;

	return dp_check_rows(SN_TABLE_RT_MATCH, SLOT, GENERATION,
			     (const uint8_t *)&row, 1, true, &index);
}

static void values_of_runtime_rules_have_a_field(void)
{
	struct sn_rt_match_key key = {
		.slot = SLOT,
		.generation = GENERATION,
		.field = SN_RT_FIELD_EVENT,
	};

	t_eq(check_match(key), 0);
	key.field = SN_RT_FIELD_COUNT - 1;
	t_eq(check_match(key), 0);
	key.field = SN_RT_FIELD_COUNT;
	t_eq(check_match(key), -EINVAL);
	key.field = 0;
	t_eq(check_match(key), -EINVAL);
	key.field = SN_RT_FIELD_UID;
	key.any = 2;
	t_eq(check_match(key), -EINVAL);
	key.any = 1;
	key.pad[5] = 1;
	t_eq(check_match(key), -EINVAL);
	key.pad[5] = 0;
	key.generation++;
	t_eq(check_match(key), -EINVAL);
}

T_MAIN("dp_check", policy_of_the_host_is_its_events,
       values_of_runtime_rules_have_a_field,
       rule_of_the_slot_and_generation_passes,
       key_of_another_slot_or_generation_is_refused, family_is_known,
       prefix_is_canonical, padding_is_zero,
       items_are_counted_and_nothing_follows_the_last,
       item_has_a_verdict_and_ordered_ports,
       ports_need_a_protocol_that_has_them_or_any,
       trie_prefix_counts_the_fixed_bits, index_names_the_first_refused_row,
       keys_alone_are_checked_without_values,
       table_without_checks_takes_nothing, policy_fields_are_in_range,
       policy_lengths_fall_and_exclude_the_trie)
