// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/compile.h"

#include "test/unit/test_policy_rig.h"

static void add(struct cp_policy *policy, const char *cidr, const char *ports)
{
	struct cp_policy_rule rule = rule_of(cidr, SN_VERDICT_ALLOW, ports);

	t_eq(cp_policy_add(policy, &rule, NULL, NULL), 0);
}

static struct cp_policy *make(void)
{
	struct cp_policy *policy = NULL;

	t_eq(cp_policy_new(&policy, 100), 0);
	return policy;
}

static void block_carries_the_settings(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	const struct cp_policy_settings settings = {
		.mode = SN_MODE_DENYLIST,
		.inbound = SN_INBOUND_BLOCK,
		.audit = true,
	};
	const struct sn_policy wanted = {
		.generation = 7,
		.mode = SN_MODE_DENYLIST,
		.audit = 1,
		.inbound = SN_INBOUND_BLOCK,
		.dns = SN_DNS_STEERING_ON,
	};
	struct sn_policy block;

	cp_policy_put_settings(policy, &settings);
	cp_policy_compile_block(policy, 7, NULL, &block);
	t_mem_eq(&block, &wanted, sizeof(block));
}

static void block_steers_unless_told_not_to_or_all_is_blocked(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	struct cp_policy_settings settings = cp_policy_get_settings(policy);
	const struct cp_dns_settings off = { .no_steering = true };
	struct sn_policy block;

	for (int mode = SN_MODE_DISABLED; mode <= SN_MODE_BLOCK_ALL; mode++) {
		settings.mode = (enum sn_mode)mode;
		cp_policy_put_settings(policy, &settings);
		cp_policy_compile_block(policy, 1, NULL, &block);
		t_eq(block.dns, mode == SN_MODE_BLOCK_ALL ?
					SN_DNS_STEERING_OFF :
					SN_DNS_STEERING_ON);
	}
	settings.mode = SN_MODE_ALLOWLIST;
	cp_policy_put_settings(policy, &settings);
	cp_policy_put_dns(policy, &off);
	cp_policy_compile_block(policy, 1, NULL, &block);
	t_eq(block.dns, SN_DNS_STEERING_OFF);
}

static void four_lengths_are_listed_longest_first_and_a_fifth_is_the_trie(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	struct sn_policy block;

	add(policy, "10.0.0.0/8", NULL);
	add(policy, "10.0.0.0/30", NULL);
	add(policy, "0.0.0.0/0", NULL);
	add(policy, "10.0.0.0/9", NULL);
	add(policy, "10.128.0.0/9", NULL);
	add(policy, "10.0.0.1", NULL);
	add(policy, "2001:db8::/32", NULL);
	cp_policy_compile_block(policy, 1, NULL, &block);
	t_eq(block.trie4, 0);
	t_eq(block.n_lengths4, 4);
	t_mem_eq(block.lengths4, ((uint8_t[]){ 30, 9, 8, 0 }), 4);
	t_eq(block.n_lengths6, 1);
	t_eq(block.lengths6[0], 32);
	t_eq(block.lengths6[1], 0);

	add(policy, "10.0.0.0/10", NULL);
	cp_policy_compile_block(policy, 1, NULL, &block);
	t_eq(block.trie4, 1);
	t_eq(block.n_lengths4, 0);
	t_mem_eq(block.lengths4, ((uint8_t[4]){ 0 }), 4);
	t_eq(block.trie6, 0);
	t_eq(block.n_lengths6, 1);
}

static void reserved_lengths_fill_only_the_room_that_is_left(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	const struct sn_policy reserve = {
		.n_lengths4 = 3,
		.lengths4 = { 24, 16, 12 },
	};
	struct sn_policy block;

	add(policy, "10.0.0.0/8", NULL);
	add(policy, "10.0.0.0/20", NULL);
	cp_policy_compile_block(policy, 1, &reserve, &block);
	t_eq(block.n_lengths4, 4);
	t_mem_eq(block.lengths4, ((uint8_t[]){ 24, 20, 16, 8 }), 4);

	add(policy, "10.0.0.0/9", NULL);
	add(policy, "10.0.0.0/10", NULL);
	cp_policy_compile_block(policy, 1, &reserve, &block);
	t_mem_eq(block.lengths4, ((uint8_t[]){ 20, 10, 9, 8 }), 4);
	add(policy, "10.0.0.0/11", NULL);
	cp_policy_compile_block(policy, 1, &reserve, &block);
	t_eq(block.trie4, 1);
	t_eq(block.n_lengths4, 0);
}

static bool fits(const struct sn_policy *block, const char *cidr)
{
	struct cp_policy_rule rule = rule_of(cidr, SN_VERDICT_ALLOW, NULL);

	return cp_policy_compile_fits(block, &rule.cidr);
}

static void host_listed_and_trie_prefixes_fit_and_others_do_not(void)
{
	const struct sn_policy block = {
		.trie6 = 1,
		.n_lengths4 = 1,
		.lengths4 = { 24 },
	};

	t_true(fits(&block, "192.0.2.1"));
	t_true(fits(&block, "192.0.2.0/24"));
	t_false(fits(&block, "192.0.2.0/25"));
	t_false(fits(&block, "0.0.0.0/0"));
	t_true(fits(&block, "2001:db8::/31"));
	t_true(fits(&block, "2001:db8::"));
}

static void row_of_a_prefix_has_all_items_in_order(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	struct cp_policy_rule deny =
		rule_of("192.0.2.0/24", SN_VERDICT_DENY, "53");
	const struct sn_rule_key key = {
		.slot = 5,
		.generation = 3,
		.address = { 192, 0, 2 },
		.family = SN_FAMILY_IPV4,
		.prefix_length = 24,
	};
	const struct sn_rule_value value = {
		.n_items = 3,
		.prefix_length = 24,
		.items = {
			{ .verdict = SN_VERDICT_ALLOW, .rule_id = 1,
			  .port_high = 65535 },
			{ .verdict = SN_VERDICT_DENY, .rule_id = 2,
			  .port_low = 53, .port_high = 53, .expires = 2 },
			{ .verdict = SN_VERDICT_DENY, .rule_id = 2,
			  .protocol = 6, .port_low = 80, .port_high = 90,
			  .expires = 2 },
		},
	};
	struct cp_policy_compile_row row;
	struct sn_policy block;

	add(policy, "192.0.2.0/24", NULL);
	deny.ports[1] = (struct cp_policy_ports){ 80, 90, 6, 0 };
	deny.n_ports = 2;
	deny.expires_ns = 65537; /* rounded up to two units of 65,536 ns */
	t_eq(cp_policy_add(policy, &deny, NULL, NULL), 0);
	cp_policy_compile_block(policy, 3, NULL, &block);
	t_eq(cp_policy_compile_row(policy, &deny.cidr, &block, 5, &row), 0);
	t_eq(row.table, SN_TABLE_RULES);
	t_mem_eq(&row.key, &key, sizeof(key));
	t_mem_eq(&row.value, &value, sizeof(value));
}

static void trie_keys_count_the_fixed_bits(void)
{
	const struct sn_policy block = { .generation = 9, .trie6 = 1 };
	struct cp_policy_rule rule =
		rule_of("2001:db8::/33", SN_VERDICT_ALLOW, NULL);
	struct cp_policy_rule host =
		rule_of("2001:db8::1", SN_VERDICT_ALLOW, NULL);
	const struct sn_prefix_key key = {
		.prefix_bits = 96 + 33,
		.slot = 2,
		.generation = 9,
		.family = SN_FAMILY_IPV6,
		.address = { 0x20, 0x01, 0x0d, 0xb8 },
	};
	struct cp_policy_compile_row row;

	cp_policy_compile_key(&block, 2, &rule.cidr, &row);
	t_eq(row.table, SN_TABLE_PREFIXES);
	t_mem_eq(&row.key, &key, sizeof(key));
	cp_policy_compile_key(&block, 2, &host.cidr, &row);
	t_eq(row.table, SN_TABLE_RULES);
	t_eq(row.key.rule.prefix_length, 128);
}

static void a_prefix_without_rules_is_absent_and_has_its_key(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	struct cp_policy_rule rule =
		rule_of("10.0.0.1", SN_VERDICT_ALLOW, NULL);
	const struct sn_policy block = { .generation = 4 };
	struct cp_policy_compile_row row;

	t_eq(cp_policy_compile_row(policy, &rule.cidr, &block, 8, &row),
	     CP_POLICY_COMPILE_E_ABSENT);
	t_eq(row.key.rule.slot, 8);
	t_eq(row.key.rule.generation, 4);
	t_eq(row.value.n_items, 0);
}

static void far_expiry_saturates(void)
{
	struct cp_policy_rule rule =
		rule_of("10.0.0.1", SN_VERDICT_ALLOW, NULL);
	struct sn_rule_item items[SN_ITEMS_MAX];

	rule.expires_ns = UINT64_MAX;
	t_eq(cp_policy_compile_items(&rule, items), 1);
	t_eq(items[0].expires, SN_EXPIRES_MAX);
	rule.expires_ns = 1;
	(void)cp_policy_compile_items(&rule, items);
	t_eq(items[0].expires, 1);
	rule.expires_ns = 65536;
	(void)cp_policy_compile_items(&rule, items);
	t_eq(items[0].expires, 1);
}

static void rows_read_back_make_the_same_rules(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	sn_cleanup(cp_policy_freep) struct cp_policy *again = make();
	struct cp_policy_compile_row row, other;
	const struct cp_policy_rule *rule;
	struct cp_policy_prefix prefix;
	struct sn_policy block;
	size_t cursor = 0;

	add(policy, "10.0.0.0/8", "443/tcp");
	add(policy, "10.0.0.0/8", NULL);
	add(policy, "2001:db8::1", "proto/47");
	cp_policy_compile_block(policy, 2, NULL, &block);
	while (cp_policy_next_prefix(policy, &cursor, &prefix)) {
		cp_policy_compile_prefix(&prefix, &block, 1, &row);
		row.value.tag = 1;
		row.value.used = 2;
		*sn_rule_end(&row.value, row.value.n_items) = 3;
		t_eq(cp_policy_compile_adopt(again, &row, 0), 0);
	}
	t_eq(cp_policy_count(again), 3);
	for (uint32_t id = 1; id <= 3; id++) {
		rule = cp_policy_get_rule(again, id);
		t_true(cp_policy_rule_is_equal(rule,
					       cp_policy_get_rule(policy, id)));
		t_eq(cp_policy_compile_row(policy, &rule->cidr, &block, 1,
					   &row),
		     0);
		t_eq(cp_policy_compile_row(again, &rule->cidr, &block, 1,
					   &other),
		     0);
		other.value.used = 99;
		t_true(cp_policy_compile_is_equal(&row, &other));
		other.value.items[0].rule_id = 99;
		t_false(cp_policy_compile_is_equal(&row, &other));
	}
}

static void adopted_ttl_is_what_is_left(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	const struct sn_policy block = { .generation = 1 };
	struct cp_policy_rule rule =
		rule_of("10.0.0.1", SN_VERDICT_ALLOW, NULL);
	struct cp_policy_prefix prefix = {
		.cidr = rule.cidr,
		.n_rules = 1,
		.n_items = 1,
		.rules = { &rule },
	};
	struct cp_policy_compile_row row;

	rule.id = 77;
	rule.expires_ns = 10 * SN_NS_PER_S;
	cp_policy_compile_prefix(&prefix, &block, 1, &row);
	t_eq(cp_policy_compile_adopt(policy, &row, 7 * SN_NS_PER_S), 0);
	t_eq(cp_policy_get_rule(policy, 77)->ttl_s, 4); /* 3 s and 65 us */
	t_true(cp_policy_get_rule(policy, 77)->expires_ns >= rule.expires_ns);
	t_eq(cp_policy_get_next_id(policy), 78);
	t_eq(cp_policy_compile_adopt(policy, &row, 0),
	     CP_POLICY_COMPILE_E_INVALID);
}

static void foreign_rows_are_refused(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = make();
	const struct cp_policy_compile_row good = {
		.table = SN_TABLE_RULES,
		.key.rule = { .family = SN_FAMILY_IPV4,
			      .prefix_length = 8,
			      .address = { 10 } },
		.value = { .n_items = 1,
			   .prefix_length = 8,
			   .items = { { .verdict = SN_VERDICT_ALLOW,
					.rule_id = 1,
					.port_high = 65535 } } },
	};
	struct cp_policy_compile_row row;

#define REFUSED(change)                                        \
	do {                                                   \
		row = good;                                    \
		change;                                        \
		t_eq(cp_policy_compile_adopt(policy, &row, 0), \
		     CP_POLICY_COMPILE_E_INVALID);             \
	} while (0)
	REFUSED(row.value.n_items = 0);
	REFUSED(row.value.n_items = 9);
	REFUSED(row.value.prefix_length = 9);
	REFUSED(row.key.rule.family = 5);
	REFUSED(row.key.rule.address[1] = 1);
	REFUSED(row.key.rule.address[4] = 1);
	REFUSED(row.key.rule.prefix_length = row.value.prefix_length = 33);
	REFUSED(row.value.items[0].rule_id = 0);
	REFUSED(row.value.items[0].verdict = 3);
	REFUSED(row.value.items[0].port_high = 5);
	REFUSED(row.value.items[0].port_low = 5;
		row.value.items[0].protocol = 47);
	REFUSED(row.value.n_items = 2);
#undef REFUSED
	t_eq(cp_policy_compile_adopt(policy, &good, 0), 0);
}

T_MAIN("policy_compile", block_carries_the_settings,
       block_steers_unless_told_not_to_or_all_is_blocked,
       four_lengths_are_listed_longest_first_and_a_fifth_is_the_trie,
       reserved_lengths_fill_only_the_room_that_is_left,
       host_listed_and_trie_prefixes_fit_and_others_do_not,
       row_of_a_prefix_has_all_items_in_order, trie_keys_count_the_fixed_bits,
       a_prefix_without_rules_is_absent_and_has_its_key, far_expiry_saturates,
       rows_read_back_make_the_same_rules, adopted_ttl_is_what_is_left,
       foreign_rows_are_refused)
