/* SPDX-License-Identifier: Apache-2.0 */

/* What an enemy behind or before the workload could do with what the slot
 * remembers: one sequence of packets for each way in that is shut. */

#include "test/bpf/frames.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "shared/util.h"
#include "test/bpf/world.h"
#include "test/unit/t.h"

enum {
	SYN = 0x02,
	SYN_ACK = 0x12,
	ACK = 0x10,
	FIN_ACK = 0x11,
	RST = 0x04,
	SOLICIT = 135,
	ADVERT = 136,
	TRIES = 10000,
};

static const uint8_t workload[16] = { 192, 168, 7, 2 };
static const uint8_t server[16] = { 10, 1, 1, 1 };

/* A world with one policy block and at most one rule, for `remote`. */
struct scene {
	struct world *world;
	struct sn_policy block;
	uint32_t revision;
	struct frames_wish wish; /* of the next packet */
	struct cp_policy_compile_row row;
};

static void narrow(struct scene *s)
{
	world_flip(s->world, WORLD_SLOT, &s->block, ++s->revision);
}

static void begin(struct scene *s, enum sn_mode mode, enum sn_inbound inbound,
		  uint8_t protocol)
{
	*s = (struct scene){
		.world = world_new(NULL),
		.block = {
			.generation = 1,
			.mode = (uint8_t)mode,
			.inbound = (uint8_t)inbound,
		},
		.wish = {
			.kind = CP_POLICY_MATCH_KIND_PLAIN,
			.role = SN_ROLE_WORKLOAD,
			.family = SN_FAMILY_IPV4,
			.ethernet = true,
			.protocol = protocol,
			.local_port = 1000,
			.remote_port = 443,
		},
	};
	(void)memcpy(s->wish.local, workload, 16);
	(void)memcpy(s->wish.remote, server, 16);
	s->world->usage[WORLD_SLOT].flow_quota = 10;
	world_put_iface(s->world, WORLD_SLOT, SN_ROLE_WORKLOAD, true);
	narrow(s);
}

/* The rule for the wish's remote address; expires_ns 0: never. */
static void put_rule(struct scene *s, enum sn_verdict verdict,
		     uint64_t expires_ns)
{
	struct cp_policy_cidr cidr = cp_policy_cidr_around(
		s->wish.family, s->wish.remote,
		s->wish.family == SN_FAMILY_IPV4 ? 32 : 128);
	uint64_t units = expires_ns >> SN_EXPIRES_SHIFT;

	(void)memset(&s->row, 0, sizeof(s->row));
	cp_policy_compile_key(&s->block, WORLD_SLOT, &cidr, &s->row);
	s->row.value.n_items = 1;
	s->row.value.prefix_length = cidr.length;
	s->row.value.items[0] = (struct sn_rule_item){
		.expires = units & SN_EXPIRES_MAX,
		.verdict = (uint8_t)verdict,
		.rule_id = 1,
		.port_high = UINT16_MAX,
	};
	world_put_row(s->world, &s->row);
}

static void withdraw(struct scene *s)
{
	put_rule(s, SN_VERDICT_DENY, 0);
	narrow(s);
}

static struct frames_frame make(const struct scene *s)
{
	struct world_random random = { .state = 1 };
	struct frames_frame frame;

	frames_make(&random, &s->wish, &frame);
	return frame;
}

static int run(const struct scene *s, const struct frames_frame *frame)
{
	return (int)world_run(s->world,
			      frame->packet.direction == SN_EGRESS ?
				      WORLD_TC_INGRESS :
				      WORLD_TC_EGRESS,
			      frame->bytes, frame->size);
}

/* The wish's packet; tcp_flags have no meaning for other protocols. */
static int packet(struct scene *s, enum sn_direction direction,
		  uint8_t tcp_flags)
{
	struct frames_frame frame;

	s->wish.direction = direction;
	s->wish.tcp_flags = tcp_flags;
	frame = make(s);
	return run(s, &frame);
}

static uint64_t count(const struct scene *s, enum sn_reason reason)
{
	return s->world->reasons[WORLD_SLOT].count[reason];
}

/* The only flow there is, taken out of its table. */
static struct sn_flow take_flow(const struct scene *s, enum world_map map)
{
	struct world_found found;

	world_take_all(s->world, map, &found);
	t_eq(found.n, 1);
	return found.values[0].flow;
}

static void put_flow(const struct scene *s, enum world_map map,
		     const struct sn_flow *flow)
{
	struct frames_frame frame = make(s);
	struct sn_flow_key key = frames_flow_key(&frame, WORLD_SLOT);

	world_put(s->world, map, &key, flow);
}

static uint32_t flags_now(const struct scene *s, enum world_map map)
{
	struct sn_flow flow = take_flow(s, map);

	put_flow(s, map, &flow);
	return flow.flags;
}

/* Wrong without the mark: the denied flow is forgotten, and the peer's next
 * packet opens one of its own that the workload then answers on. */
static void expect_closed(uint8_t protocol, bool answered)
{
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, protocol);
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, SYN), WORLD_PASS);
	if (answered)
		t_eq(packet(&s, SN_INGRESS, SYN_ACK), WORLD_PASS);
	t_eq(packet(&s, SN_EGRESS, ACK), WORLD_PASS);
	withdraw(&s);
	for (int i = 0; i < 3; i++) {
		t_eq(packet(&s, SN_EGRESS, ACK), WORLD_DROP);
		t_eq(packet(&s, SN_INGRESS, ACK), WORLD_DROP);
	}
	t_eq(count(&s, SN_REASON_DENY_RULE), 6);
	/* Another revocation finds it closed. */
	narrow(&s);
	t_eq(packet(&s, SN_INGRESS, ACK), WORLD_DROP);
	t_eq(packet(&s, SN_EGRESS, ACK), WORLD_DROP);
	/* Others may open flows all the same. */
	s.wish.local_port++;
	t_eq(packet(&s, SN_INGRESS, SYN), WORLD_PASS);
	t_eq(packet(&s, SN_EGRESS, SYN_ACK), WORLD_PASS);
	s.wish.local_port--;
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, ACK), WORLD_PASS);
	t_eq(packet(&s, SN_INGRESS, ACK), WORLD_PASS);
	world_free(s.world);
}

static void a_revoked_flow_is_not_reopened_by_its_peer(void)
{
	expect_closed(IPPROTO_TCP, true);
	expect_closed(IPPROTO_TCP, false);
	expect_closed(IPPROTO_UDP, true);
	expect_closed(IPPROTO_UDP, false);
}

/* An allow that came and lapsed after the denial admits nothing. */
static void a_lapsed_allow_does_not_revive_a_denied_flow(void)
{
	uint64_t now = world_now_ns();
	struct sn_flow flow;
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, IPPROTO_UDP);
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
	withdraw(&s);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_DROP);
	flow = take_flow(&s, WORLD_FLOWS_NEW);
	t_eq(flow.flags, SN_FLOW_DENIED);
	flow.admitted = now - 60 * SN_NS_PER_S;
	put_flow(&s, WORLD_FLOWS_NEW, &flow);
	put_rule(&s, SN_VERDICT_ALLOW, now - 30 * SN_NS_PER_S);
	t_eq(packet(&s, SN_INGRESS, 0), WORLD_DROP);
	flow = take_flow(&s, WORLD_FLOWS_NEW);
	flow.admitted = now - 60 * SN_NS_PER_S;
	put_flow(&s, WORLD_FLOWS_NEW, &flow);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_DROP);
	world_free(s.world);
}

/* The workload sends to itself in the name of a server that it may not reach;
 * the bridge brings the packet back as if the server had opened a flow. */
static void a_forged_source_does_not_open_the_way_to_it(void)
{
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, IPPROTO_UDP);
	(void)memcpy(s.wish.local, server, 16);
	(void)memcpy(s.wish.remote, workload, 16);
	s.wish.local_port = 443;
	s.wish.remote_port = 1000;
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);

	(void)memcpy(s.wish.local, workload, 16);
	(void)memcpy(s.wish.remote, server, 16);
	s.wish.local_port = 1000;
	s.wish.remote_port = 443;
	t_eq(packet(&s, SN_INGRESS, 0), WORLD_DROP);
	t_eq(count(&s, SN_REASON_INBOUND), 1);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_DROP);
	t_eq(count(&s, SN_REASON_NO_RULE), 1);
	/* From another port it was not the workload. */
	s.wish.remote_port = 444;
	t_eq(packet(&s, SN_INGRESS, 0), WORLD_PASS);
	world_free(s.world);
}

/* An error with a whole quote of a packet of the wish's flow. */
static struct frames_frame make_error(const struct scene *s,
				      enum sn_direction direction,
				      enum frames_fragment fragment_quoted)
{
	struct frames_wish wish = s->wish;
	struct world_random random = { .state = 1 };
	struct frames_frame frame;

	wish.kind = CP_POLICY_MATCH_KIND_ICMP_ERROR;
	wish.direction = direction;
	for (int i = 0; i < TRIES; i++) {
		frames_make(&random, &wish, &frame);
		if (frame.fragment_quoted == fragment_quoted && frame.is_about)
			return frame;
	}
	t_fail("no such error");
	return frame;
}

static void errors_to_a_revoked_destination_drop(void)
{
	struct frames_frame error;
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, IPPROTO_UDP);
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
	t_eq(packet(&s, SN_INGRESS, 0), WORLD_PASS);
	error = make_error(&s, SN_EGRESS, FRAMES_WHOLE);
	t_eq(run(&s, &error), WORLD_PASS);
	t_eq(count(&s, SN_REASON_PASS_ICMP_ERROR), 1);
	withdraw(&s);
	t_eq(run(&s, &error), WORLD_DROP);
	t_eq(count(&s, SN_REASON_ICMP_ERROR), 1);
	world_free(s.world);
}

/* A mark is not a flow that could be spoken of, in either direction. */
static void errors_about_a_denied_flow_drop(void)
{
	struct frames_frame error;
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, IPPROTO_UDP);
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
	withdraw(&s);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_DROP);
	error = make_error(&s, SN_EGRESS, FRAMES_WHOLE);
	t_eq(run(&s, &error), WORLD_DROP);
	error = make_error(&s, SN_INGRESS, FRAMES_WHOLE);
	t_eq(run(&s, &error), WORLD_DROP);
	t_eq(count(&s, SN_REASON_ICMP_ERROR), 2);
	world_free(s.world);
}

static void later_fragments_end_with_a_revocation(void)
{
	struct frames_frame first, later;
	struct world_found found;
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, IPPROTO_UDP);
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	s.wish.first_fragment = true;
	first = make(&s);
	s.wish.first_fragment = false;
	s.wish.kind = CP_POLICY_MATCH_KIND_FRAGMENT_LATER;
	later = make(&s);
	(void)memcpy(later.bytes + later.network + 4,
		     first.bytes + first.network + 4, 2);
	t_eq(run(&s, &first), WORLD_PASS);
	t_eq(run(&s, &later), WORLD_PASS);
	t_eq(count(&s, SN_REASON_PASS_FRAGMENT), 1);
	withdraw(&s);
	t_eq(run(&s, &later), WORLD_DROP);
	t_eq(count(&s, SN_REASON_FRAGMENT), 1);
	/* A first one that passes on its flow opens the way as well. */
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(run(&s, &first), WORLD_PASS);
	world_take_all(s.world, WORLD_FRAGMENTS, &found);
	t_eq(run(&s, &first), WORLD_PASS);
	t_eq(run(&s, &later), WORLD_PASS);
	world_free(s.world);
}

/* A neighbour message without options; returns the program's answer. */
static int neighbour(const struct scene *s, uint8_t type,
		     const uint8_t *destination, const uint8_t *target,
		     uint8_t reserved)
{
	uint8_t frame[14 + 40 + 24] = {
		[12] = 0x86, 0xdd, 0x60, [19] = 24, IPPROTO_ICMPV6, 255,
	};

	(void)memcpy(frame + 22, s->wish.local, 16);
	(void)memcpy(frame + 38, destination, 16);
	frame[54] = type;
	frame[61] = reserved;
	(void)memcpy(frame + 62, target, 16);
	return (int)world_run(s->world, WORLD_TC_INGRESS, frame, sizeof(frame));
}

static void neighbour_messages_carry_nothing_off_the_link(void)
{
	static const uint8_t local[16] = { 0xfd, 0x77, [15] = 2 };
	static const uint8_t far[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
	static const uint8_t near[16] = { 0xfe, 0x80, [15] = 9 };
	static const uint8_t group[16] = { 0xff, 2, [15] = 1 };
	static const uint8_t wide[16] = { 0xff, 5, [15] = 1 };
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, IPPROTO_UDP);
	(void)memcpy(s.wish.local, local, 16);
	t_eq(neighbour(&s, SOLICIT, far, far, 0), WORLD_PASS);
	t_eq(neighbour(&s, ADVERT, far, local, 0), WORLD_PASS);
	t_eq(neighbour(&s, SOLICIT, near, far, 1), WORLD_PASS);
	t_eq(neighbour(&s, ADVERT, group, far, 1), WORLD_PASS);
	t_eq(count(&s, SN_REASON_PASS_NEIGHBOUR), 4);
	t_eq(neighbour(&s, SOLICIT, far, near, 0), WORLD_DROP);
	t_eq(neighbour(&s, ADVERT, far, far, 0), WORLD_DROP);
	t_eq(neighbour(&s, SOLICIT, far, far, 1), WORLD_DROP);
	t_eq(neighbour(&s, ADVERT, far, local, 1), WORLD_DROP);
	t_eq(neighbour(&s, SOLICIT, wide, wide, 0), WORLD_DROP);
	t_eq(neighbour(&s, 133, far, far, 0), WORLD_DROP);
	t_eq(count(&s, SN_REASON_NEIGHBOUR), 6);
	world_free(s.world);
}

/* Over quota a connection must not live shorter than within. */
static void a_flow_over_quota_lives_as_long_as_one_within(void)
{
	uint64_t now = world_now_ns();
	struct sn_flow flow;
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, IPPROTO_TCP);
	s.world->usage[WORLD_SLOT].flow_quota = 0;
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, SYN), WORLD_PASS);
	t_eq(packet(&s, SN_INGRESS, SYN_ACK), WORLD_PASS);
	t_eq(count(&s, SN_REASON_FLOW_QUOTA), 1);
	flow = take_flow(&s, WORLD_FLOWS_NEW);
	t_eq(flow.flags, SN_FLOW_ANSWERED);
	flow.last_seen = flow.admitted = now - 1000 * SN_NS_PER_S;
	flow.judged = flow.last_seen;
	put_flow(&s, WORLD_FLOWS_NEW, &flow);
	/* It is answered, so it is alive; judged again, it is kept as new. */
	t_eq(packet(&s, SN_INGRESS, ACK), WORLD_PASS);
	t_eq(count(&s, SN_REASON_FLOW_QUOTA), 2);
	t_eq(count(&s, SN_REASON_INBOUND), 0);
	flow = take_flow(&s, WORLD_FLOWS_NEW);
	t_eq(flow.flags, SN_FLOW_ANSWERED);
	t_true(flow.last_seen >= now - WORLD_TICK_NS &&
	       flow.judged >= now - WORLD_TICK_NS);
	t_eq(flow.admitted, now - 1000 * SN_NS_PER_S);
	world_free(s.world);
}

/* Path MTU discovery of fragmented datagrams (RFC 8200 4.5, RFC 8201). */
static void a_quoted_first_fragment_belongs_to_its_flow(void)
{
	static const uint8_t local[16] = { 0xfd, 0x77, [15] = 2 };
	static const uint8_t remote[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
	struct frames_frame error;
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, IPPROTO_UDP);
	s.wish.family = SN_FAMILY_IPV6;
	(void)memcpy(s.wish.local, local, 16);
	(void)memcpy(s.wish.remote, remote, 16);
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
	error = make_error(&s, SN_INGRESS, FRAMES_FIRST);
	t_eq(run(&s, &error), WORLD_PASS);
	t_eq(count(&s, SN_REASON_PASS_ICMP_ERROR), 1);
	error = make_error(&s, SN_INGRESS, FRAMES_LATER);
	t_eq(run(&s, &error), WORLD_DROP);
	world_free(s.world);
}

/* A reset with a wrong sequence number ends no connection, so it must not
 * shorten its flow's life. */
static void a_segment_after_a_reset_takes_it_back(void)
{
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, IPPROTO_TCP);
	put_rule(&s, SN_VERDICT_ALLOW, 0);
	t_eq(packet(&s, SN_EGRESS, SYN), WORLD_PASS);
	t_eq(packet(&s, SN_INGRESS, SYN_ACK), WORLD_PASS);
	for (int i = 0; i < 2; i++) {
		t_eq(packet(&s, SN_INGRESS, RST), WORLD_PASS);
		t_eq(flags_now(&s, WORLD_FLOWS),
		     SN_FLOW_RST | SN_FLOW_ANSWERED);
		if (i == 1) /* not on its flow, but judged again */
			narrow(&s);
		t_eq(packet(&s, SN_EGRESS, ACK), WORLD_PASS);
		t_eq(flags_now(&s, WORLD_FLOWS), SN_FLOW_ANSWERED);
	}
	world_free(s.world);
}

static void expect_fins(struct scene *s, enum sn_direction opener,
			uint32_t kept_flags, uint32_t flags_after_syn)
{
	enum sn_direction other = opener == SN_EGRESS ? SN_INGRESS : SN_EGRESS;
	uint32_t fins = SN_FLOW_FIN_LOCAL | SN_FLOW_FIN_REMOTE;

	t_eq(packet(s, opener, SYN), WORLD_PASS);
	t_eq(packet(s, other, SYN_ACK), WORLD_PASS);
	t_eq(packet(s, opener, FIN_ACK), WORLD_PASS);
	t_eq(packet(s, other, FIN_ACK), WORLD_PASS);
	t_eq(flags_now(s, WORLD_FLOWS), fins | kept_flags);
	t_eq(packet(s, SN_INGRESS, SYN), WORLD_PASS);
	t_eq(flags_now(s, WORLD_FLOWS), flags_after_syn | kept_flags);
}

static void a_peer_that_opens_again_begins_anew(void)
{
	struct scene s;

	begin(&s, SN_MODE_DENYLIST, SN_INBOUND_ALLOW, IPPROTO_TCP);
	expect_fins(&s, SN_INGRESS, SN_FLOW_INBOUND | SN_FLOW_ANSWERED, 0);
	world_free(s.world);
	/* On a flow of the workload its SYN opens nothing. */
	begin(&s, SN_MODE_DENYLIST, SN_INBOUND_ALLOW, IPPROTO_TCP);
	expect_fins(&s, SN_EGRESS, SN_FLOW_ANSWERED,
		    SN_FLOW_FIN_LOCAL | SN_FLOW_FIN_REMOTE);
	world_free(s.world);
}

static void reasons_count_the_segments_that_counters_count(void)
{
	struct frames_frame frame;
	struct scene s;
	size_t payload;

	begin(&s, SN_MODE_BLOCK_ALL, SN_INBOUND_REPLIES, IPPROTO_UDP);
	frame = make(&s);
	payload = frame.size - frame.payload;
	t_true(payload > 1);
	t_eq((int)world_run_gso(s.world, WORLD_TC_INGRESS, frame.bytes,
				frame.size, 7, 100),
	     WORLD_DROP);
	t_eq(count(&s, SN_REASON_MODE), 7);
	/* Not counted yet: as many as its payload fills. */
	t_eq((int)world_run_gso(s.world, WORLD_TC_INGRESS, frame.bytes,
				frame.size, 0, 1),
	     WORLD_DROP);
	t_eq(count(&s, SN_REASON_MODE), 7 + payload);
	t_eq((int)world_run_gso(s.world, WORLD_TC_INGRESS, frame.bytes,
				frame.size, 0, (uint32_t)payload - 1),
	     WORLD_DROP);
	t_eq(count(&s, SN_REASON_MODE), 7 + payload + 2);
	t_eq(world_get_counters(s.world, WORLD_SLOT).blocked_packets[SN_EGRESS],
	     count(&s, SN_REASON_MODE));
	world_free(s.world);
}

/* What a reader finds whose element was recycled: good under its own key. */
static void another_keys_flow_lets_nothing_pass(void)
{
	static const uint32_t flags[] = { 0, SN_FLOW_INBOUND };
	struct sn_flow_key key, other;
	struct frames_frame frame;
	struct sn_flow flow = { .rule_id = 9 };
	struct scene s;

	begin(&s, SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, IPPROTO_UDP);
	s.world->usage[WORLD_SLOT].flow_quota = 0; /* it stays where it is */
	frame = make(&s);
	key = frames_flow_key(&frame, WORLD_SLOT);
	frame.key_local_port ^= 1;
	other = frames_flow_key(&frame, WORLD_SLOT);
	flow.admitted = flow.judged = flow.last_seen = world_now_ns();
	for (size_t i = 0; i < SN_ARRAY_SIZE(flags); i++) {
		flow.flags = flags[i];
		flow.sealed_word = s.world->words[WORLD_SLOT] ^
				   sn_flow_tag(&key);
		put_flow(&s, WORLD_FLOWS_NEW, &flow);
		t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
		flow.sealed_word = s.world->words[WORLD_SLOT] ^
				   sn_flow_tag(&other);
		put_flow(&s, WORLD_FLOWS_NEW, &flow);
		t_eq(packet(&s, SN_EGRESS, 0), WORLD_DROP);
		t_eq(count(&s, SN_REASON_NO_RULE), i + 1);
	}
	world_free(s.world);
}

static void another_interfaces_record_drops(void)
{
	uint32_t ifindex = WORLD_IFINDEX;
	struct sn_iface iface = {
		.slot = WORLD_SLOT,
		.ifindex = WORLD_IFINDEX + 1,
		.role = SN_ROLE_WORKLOAD,
		.ethernet = 1,
	};
	struct scene s;

	begin(&s, SN_MODE_DISABLED, SN_INBOUND_ALLOW, IPPROTO_UDP);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
	world_put(s.world, WORLD_IFACES, &ifindex, &iface);
	t_eq(packet(&s, SN_EGRESS, 0), WORLD_DROP);
	t_eq(packet(&s, SN_INGRESS, 0), WORLD_DROP);
	t_eq(s.world->reasons[0].count[SN_REASON_NO_SLOT], 2);
	world_free(s.world);
}

static void metadata_addresses_need_a_rule_of_their_own(void)
{
	static const char *const addresses[] = {
		"169.254.169.254",
		"169.254.170.2",
		"169.254.170.23",
		"100.100.100.200",
		"fd00:ec2::254",
		"fd00:ec2::23",
		"fd20:ce::254",
		"fe80::a9fe:a9fe",
		"64:ff9b::169.254.169.254",
		"64:ff9b::169.254.170.2",
		"64:ff9b::169.254.170.23",
		"64:ff9b::100.100.100.200",
	};
	struct scene s;

	begin(&s, SN_MODE_DENYLIST, SN_INBOUND_REPLIES, IPPROTO_UDP);
	for (size_t i = 0; i < SN_ARRAY_SIZE(addresses); i++) {
		bool is6 = strchr(addresses[i], ':');

		s.wish.family = is6 ? SN_FAMILY_IPV6 : SN_FAMILY_IPV4;
		(void)memset(s.wish.remote, 0, 16);
		t_eq(inet_pton(is6 ? AF_INET6 : AF_INET, addresses[i],
			       s.wish.remote),
		     1);
		t_eq(packet(&s, SN_EGRESS, 0), WORLD_DROP);
		t_eq(count(&s, SN_REASON_METADATA), i + 1);
		s.wish.remote[is6 ? 15 : 3] ^= 1; /* the address beside it */
		t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
		s.wish.remote[is6 ? 15 : 3] ^= 1;
		put_rule(&s, SN_VERDICT_ALLOW, 0);
		t_eq(packet(&s, SN_EGRESS, 0), WORLD_PASS);
	}
	world_free(s.world);
}

T_MAIN("review", a_revoked_flow_is_not_reopened_by_its_peer,
       a_lapsed_allow_does_not_revive_a_denied_flow,
       a_forged_source_does_not_open_the_way_to_it,
       errors_to_a_revoked_destination_drop, errors_about_a_denied_flow_drop,
       later_fragments_end_with_a_revocation,
       neighbour_messages_carry_nothing_off_the_link,
       a_flow_over_quota_lives_as_long_as_one_within,
       a_quoted_first_fragment_belongs_to_its_flow,
       a_segment_after_a_reset_takes_it_back,
       a_peer_that_opens_again_begins_anew,
       reasons_count_the_segments_that_counters_count,
       another_keys_flow_lets_nothing_pass, another_interfaces_record_drops,
       metadata_addresses_need_a_rule_of_their_own)
