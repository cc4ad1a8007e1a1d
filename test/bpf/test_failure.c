/* SPDX-License-Identifier: Apache-2.0 */

/* The ways out without a decision, which drop in every mode, and the limits
 * that random packets hardly reach. */

#include "test/bpf/frames.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "shared/util.h"
#include "test/bpf/policies.h"
#include "test/bpf/world.h"
#include "test/unit/t.h"

enum {
	RULE_ID = 4711,
	EVENTS_SECOND = 64,
	/* sn_flows in test/bpf/world.c */
	FLOWS_MAX = 1024,
};

static struct frames_frame udp_frame(uint16_t local_port)
{
	struct frames_frame frame;

	frames_make_udp4((const uint8_t[]){ 10, 1, 1, 1 }, local_port, 443,
			 &frame);
	return frame;
}

static uint32_t run(const struct world *world, const struct frames_frame *frame)
{
	return world_run(world, WORLD_TC_INGRESS, frame->bytes, frame->size);
}

static void put_policy(const struct world *world, enum sn_mode mode, bool audit,
		       uint32_t generation)
{
	struct sn_policy block = {
		.generation = generation,
		.mode = (uint8_t)mode,
		.audit = audit,
		.inbound = SN_INBOUND_ALLOW,
	};

	world_put_iface(world, WORLD_SLOT, SN_ROLE_WORKLOAD, true);
	world_flip(world, WORLD_SLOT, &block, 7);
}

static uint64_t count(const struct world *world, uint32_t slot,
		      enum sn_reason reason)
{
	return world->reasons[slot].count[reason];
}

static uint64_t blocked(const struct world *world, uint32_t slot,
			enum sn_direction direction)
{
	return world_get_counters(world, slot).blocked_packets[direction];
}

static void without_an_interface_record_packets_drop(void)
{
	struct frames_frame frame = udp_frame(1000);
	struct world *world = world_new(NULL);
	struct sn_event event;

	t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq((int)world_run(world, WORLD_TC_EGRESS, frame.bytes, frame.size),
	     WORLD_DROP);
	t_eq(count(world, 0, SN_REASON_NO_SLOT), 2);
	t_eq(blocked(world, 0, SN_EGRESS), 1);
	t_eq(blocked(world, 0, SN_INGRESS), 1);
	t_eq(world_take_events(world, &event), 1);
	t_eq(event.reason, SN_REASON_NO_SLOT);
	t_eq(event.slot, 0);
	world_free(world);
}

static void slot_0_and_slots_beyond_the_table_drop(void)
{
	static const uint32_t slots[] = { 0, WORLD_SLOTS, 0xffffffff };
	struct frames_frame frame = udp_frame(1000);
	struct world *world = world_new(NULL);
	struct sn_policy block = {
		.generation = 1,
		.mode = SN_MODE_DISABLED,
		.inbound = SN_INBOUND_ALLOW,
	};

	world_flip(world, 0, &block, 0);
	for (size_t i = 0; i < SN_ARRAY_SIZE(slots); i++) {
		world_put_iface(world, slots[i], SN_ROLE_WORKLOAD, true);
		t_eq((int)run(world, &frame), WORLD_DROP);
		t_eq(count(world, 0, SN_REASON_NO_SLOT), i + 1);
	}
	world_free(world);
}

/* Test runs give cgroup programs a storage of their own, which is zero. */
static void cgroup_programs_drop_where_no_slot_is_stored(void)
{
	struct frames_frame frame = udp_frame(1000);
	struct world *world = world_new(NULL);

	put_policy(world, SN_MODE_DISABLED, false, 1);
	t_eq(world_run(world, WORLD_SKB_EGRESS, frame.bytes, frame.size), 0);
	t_eq(world_run(world, WORLD_SKB_INGRESS, frame.bytes, frame.size), 0);
	t_eq(count(world, 0, SN_REASON_NO_SLOT), 2);
	t_eq(blocked(world, 0, SN_EGRESS), 1);
	t_eq(blocked(world, 0, SN_INGRESS), 1);
	world_free(world);
}

static void without_a_policy_packets_drop_in_spite_of_audit(void)
{
	struct frames_frame frame = udp_frame(1000);
	struct world *world = world_new(NULL);

	put_policy(world, SN_MODE_DENYLIST, true, 4);
	world->words[WORLD_SLOT] = SN_WORD(0, 3);
	world->policies[2 * WORLD_SLOT].generation = 0;
	t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq(count(world, WORLD_SLOT, SN_REASON_NO_POLICY), 1);
	t_eq(blocked(world, WORLD_SLOT, SN_EGRESS), 1);
	world_free(world);
}

static void a_block_of_another_generation_is_a_race(void)
{
	struct frames_frame frame = udp_frame(1000);
	struct world *world = world_new(NULL);

	put_policy(world, SN_MODE_DISABLED, true, 4);
	world->words[WORLD_SLOT] = SN_WORD(6, 0);
	t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq(count(world, WORLD_SLOT, SN_REASON_RACE), 1);
	world->words[WORLD_SLOT] = SN_WORD(4, 0);
	t_eq((int)run(world, &frame), WORLD_PASS);
	t_eq(count(world, WORLD_SLOT, SN_REASON_RACE), 1);
	world_free(world);
}

static void put_allow(struct world *world, uint8_t length, bool trie,
		      struct cp_policy_compile_row *ret)
{
	struct sn_policy block = {
		.generation = 1,
		.mode = SN_MODE_ALLOWLIST,
		.audit = 1,
		.inbound = SN_INBOUND_REPLIES,
		.trie4 = trie,
	};
	const uint8_t address[16] = { 10, 1, 1, 1 };
	struct cp_policy_cidr cidr =
		cp_policy_cidr_around(SN_FAMILY_IPV4, address, length);

	cp_policy_compile_key(&block, WORLD_SLOT, &cidr, ret);
	ret->value.n_items = 1;
	ret->value.prefix_length = length;
	ret->value.items[0] = (struct sn_rule_item){
		.verdict = SN_VERDICT_ALLOW,
		.rule_id = RULE_ID,
		.port_high = UINT16_MAX,
	};
	world_put_iface(world, WORLD_SLOT, SN_ROLE_WORKLOAD, true);
	world_put_row(world, ret);
	world_flip(world, WORLD_SLOT, &block, 0);
}

/* damage: what a value looks like whose element now is another key's, or which
 * is being written. */
static void expect_race(struct world *world, uint8_t length, bool trie,
			int damage)
{
	struct frames_frame frame = udp_frame(1000);
	uint64_t races = count(world, WORLD_SLOT, SN_REASON_RACE);
	struct cp_policy_compile_row row;
	struct world_found found;
	enum world_map map = trie ? WORLD_PREFIXES : WORLD_RULES;

	put_allow(world, length, trie, &row);
	t_eq((int)run(world, &frame), WORLD_PASS);
	t_eq(count(world, WORLD_SLOT, SN_REASON_RACE), races);
	world_take_all(world, WORLD_FLOWS_NEW, &found);
	t_eq(found.n, 1);
	t_eq(found.values[0].flow.rule_id, RULE_ID);
	switch (damage) {
	case 0:
		row.value.tag ^= 1;
		break;
	case 1:
		*sn_rule_end(&row.value, row.value.n_items) ^= 1ULL << 63;
		break;
	case 2:
		row.value.seq++;
		break;
	default:
		row.value.prefix_length--;
	}
	world_put(world, map, &row.key, &row.value);
	t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq(count(world, WORLD_SLOT, SN_REASON_RACE), races + 1);
	(void)world_del(world, map, &row.key);
}

static void entries_whose_seal_is_broken_never_decide(void)
{
	struct world *world = world_new(NULL);

	for (int damage = 0; damage < 3; damage++) {
		expect_race(world, 32, false, damage);
		expect_race(world, 24, true, damage);
	}
	/* A trie's value must belong to the prefix that it names. */
	expect_race(world, 24, true, 3);
	world_free(world);
}

/* Every length has an entry; the shortest decides, so all are looked at. */
static void all_the_lengths_of_the_trie_are_walked(void)
{
	static const uint8_t address[16] = { 0x20, 1, 0xd, 0xb8, [15] = 9 };
	struct world_random random = { .state = 3 };
	struct sn_policy block = {
		.generation = 1,
		.mode = SN_MODE_ALLOWLIST,
		.inbound = SN_INBOUND_REPLIES,
		.trie6 = 1,
	};
	struct frames_wish wish = {
		.kind = CP_POLICY_MATCH_KIND_PLAIN,
		.role = SN_ROLE_WORKLOAD,
		.family = SN_FAMILY_IPV6,
		.ethernet = true,
		.local = { 0xfd, 2 },
		.protocol = IPPROTO_TCP,
		.tcp_flags = 2,
		.remote_port = 443,
	};
	struct world *world = world_new(NULL);
	struct frames_frame frame;
	struct world_found found;

	(void)memcpy(wish.remote, address, 16);
	frames_make(&random, &wish, &frame);
	world_put_iface(world, WORLD_SLOT, SN_ROLE_WORKLOAD, true);
	for (int length = 128; length >= 0; length--) {
		struct cp_policy_cidr cidr = cp_policy_cidr_around(
			SN_FAMILY_IPV6, address, (uint8_t)length);
		struct cp_policy_compile_row row;

		cp_policy_compile_key(&block, WORLD_SLOT, &cidr, &row);
		row.value.n_items = 1;
		row.value.prefix_length = (uint8_t)length;
		row.value.items[0] = (struct sn_rule_item){
			.protocol = length ? IPPROTO_UDP : IPPROTO_TCP,
			.verdict = SN_VERDICT_ALLOW,
			.rule_id = 1 + (uint32_t)length,
			.port_high = UINT16_MAX,
		};
		world_put_row(world, &row);
	}
	world_flip(world, WORLD_SLOT, &block, 0);
	t_eq((int)run(world, &frame), WORLD_PASS);
	world_take_all(world, WORLD_FLOWS_NEW, &found);
	t_eq(found.n, 1);
	t_eq(found.values[0].flow.rule_id, 1);
	world_free(world);
}

static void events_of_one_flow_and_one_second_are_limited(void)
{
	struct world *world = world_new(NULL);
	struct frames_frame frame = udp_frame(2000);
	struct sn_event event;
	unsigned int n = 0;

	put_policy(world, SN_MODE_BLOCK_ALL, false, 1);
	for (int i = 0; i < 5; i++)
		t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq(world_take_events(world, &event), 1);
	t_eq(event.reason, SN_REASON_MODE);
	for (uint16_t i = 0; i < 5 * EVENTS_SECOND; i++) {
		frame = udp_frame((uint16_t)(3000 + i));
		t_eq((int)run(world, &frame), WORLD_DROP);
		n += world_take_events(world, &event);
	}
	/* They took a second or two. */
	t_true(n >= EVENTS_SECOND - 1 && n <= 3 * EVENTS_SECOND);
	t_eq(n + count(world, WORLD_SLOT, SN_REASON_EVENT_LIMITED),
	     5 * EVENTS_SECOND);
	t_eq(count(world, WORLD_SLOT, SN_REASON_MODE), 5 + 5 * EVENTS_SECOND);
	world_free(world);
}

static void a_denied_flow_is_reported_again_after_a_minute(void)
{
	struct world *world = world_new(NULL);
	struct frames_frame frame = udp_frame(2000);
	struct sn_flow_key key = frames_flow_key(&frame, WORLD_SLOT);
	struct sn_event event;
	uint64_t last;

	put_policy(world, SN_MODE_BLOCK_ALL, false, 1);
	last = world_now_ns() - 50 * SN_NS_PER_S;
	world_put(world, WORLD_DENIED, &key, &last);
	t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq(world_take_events(world, &event), 0);
	last = world_now_ns() - 61 * SN_NS_PER_S;
	world_put(world, WORLD_DENIED, &key, &last);
	t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq((int)run(world, &frame), WORLD_DROP);
	t_eq(world_take_events(world, &event), 1);
	world_free(world);
}

static void events_that_find_the_ring_full_are_counted(void)
{
	struct world *world = world_new(NULL);
	struct frames_frame frame = udp_frame(2000);
	uint64_t lost;

	put_policy(world, SN_MODE_BLOCK_ALL, false, 1);
	for (uint16_t i = 0; i < 1000; i++) {
		frame = udp_frame((uint16_t)(3000 + i));
		world->usage[WORLD_SLOT].events = 0;
		t_eq((int)run(world, &frame), WORLD_DROP);
	}
	lost = count(world, WORLD_SLOT, SN_REASON_EVENT_LOST);
	/* 64 KiB hold 682 records of 96 bytes. */
	t_true(lost > 250 && lost < 400);
	t_eq(count(world, WORLD_SLOT, SN_REASON_MODE), 1000);
	world_free(world);
}

/* Sends a datagram and its answer. */
static void exchange(const struct world *world, uint16_t port)
{
	struct world_random random = { .state = 5 };
	struct frames_frame frame = udp_frame(port);
	struct frames_wish wish = {
		.kind = CP_POLICY_MATCH_KIND_PLAIN,
		.direction = SN_INGRESS,
		.role = SN_ROLE_WORKLOAD,
		.family = SN_FAMILY_IPV4,
		.ethernet = true,
		.local = { 192, 168, 7, 2 },
		.remote = { 10, 1, 1, 1 },
		.protocol = IPPROTO_UDP,
		.local_port = port,
		.remote_port = 443,
	};

	t_eq((int)run(world, &frame), WORLD_PASS);
	frames_make(&random, &wish, &frame);
	t_eq((int)world_run(world, WORLD_TC_EGRESS, frame.bytes, frame.size),
	     WORLD_PASS);
}

static void answered_flows_fill_no_more_than_the_quota(void)
{
	struct world *world = world_new(NULL);
	struct world_found found;

	put_policy(world, SN_MODE_DENYLIST, false, 1);
	world->usage[WORLD_SLOT].flow_quota = 10;
	for (uint16_t i = 0; i < 25; i++)
		exchange(world, (uint16_t)(1000 + i));
	t_eq(world->usage[WORLD_SLOT].flows, 10);
	t_eq(count(world, WORLD_SLOT, SN_REASON_FLOW_QUOTA), 15);
	world_take_all(world, WORLD_FLOWS, &found);
	t_eq(found.n, 10);
	world_take_all(world, WORLD_FLOWS_NEW, &found);
	t_eq(found.n, 15);
	world_free(world);
}

/* Room for no flow at all cuts nothing. */
static void a_full_flow_table_is_counted_and_passes(void)
{
	struct world *world = world_new(NULL);
	struct sn_flow_key key = { .slot = 1 };
	struct sn_flow flow = { .sealed_word = 1 };

	put_policy(world, SN_MODE_DENYLIST, false, 1);
	world->usage[WORLD_SLOT].flow_quota = 10;
	for (uint16_t i = 0; i < FLOWS_MAX; i++) {
		key.local_port = i;
		world_put(world, WORLD_FLOWS, &key, &flow);
	}
	exchange(world, 1000);
	t_eq(count(world, WORLD_SLOT, SN_REASON_FLOW_FAILED), 1);
	t_eq(world->usage[WORLD_SLOT].flows, 0);
	world_free(world);
}

static void every_cut_of_a_good_frame_drops(void)
{
	struct world *world = world_new(NULL);
	struct frames_frame frame = udp_frame(1000);
	size_t end = frame.size;
	struct sn_event event;

	put_policy(world, SN_MODE_DENYLIST, true, 1);
	while (end > frame.network + 20) {
		struct frames_frame cut = frame;

		cut.size = --end;
		world->usage[WORLD_SLOT].events = 0;
		t_eq((int)run(world, &cut), WORLD_DROP);
	}
	t_true(count(world, WORLD_SLOT, SN_REASON_PARSE) > 8);
	t_true(world_take_events(world, &event) > 0);
	t_eq(event.reason, SN_REASON_PARSE);
	t_eq(event.audit, 0);
	world_free(world);
}

/* Answers, and stays known, however many come. */
static void replies_under_audit_keep_their_flow(void)
{
	struct world *world = world_new(NULL);
	struct sn_policy block = {
		.generation = 1,
		.mode = SN_MODE_ALLOWLIST,
		.audit = 1,
		.inbound = SN_INBOUND_REPLIES,
	};

	world_put_iface(world, WORLD_SLOT, SN_ROLE_WORKLOAD, true);
	world_flip(world, WORLD_SLOT, &block, 0);
	for (int i = 0; i < 3; i++)
		exchange(world, 1000);
	t_eq(count(world, WORLD_SLOT, SN_REASON_NO_RULE), 6);
	t_eq(count(world, WORLD_SLOT, SN_REASON_INBOUND), 0);
	t_eq(blocked(world, WORLD_SLOT, SN_INGRESS), 3);
	world_free(world);
}

T_MAIN("failure", without_an_interface_record_packets_drop,
       slot_0_and_slots_beyond_the_table_drop,
       cgroup_programs_drop_where_no_slot_is_stored,
       without_a_policy_packets_drop_in_spite_of_audit,
       a_block_of_another_generation_is_a_race,
       entries_whose_seal_is_broken_never_decide,
       all_the_lengths_of_the_trie_are_walked,
       events_of_one_flow_and_one_second_are_limited,
       a_denied_flow_is_reported_again_after_a_minute,
       events_that_find_the_ring_full_are_counted,
       answered_flows_fill_no_more_than_the_quota,
       a_full_flow_table_is_counted_and_passes, every_cut_of_a_good_frame_drops,
       replies_under_audit_keep_their_flow)
