/* SPDX-License-Identifier: Apache-2.0 */

/* Verdicts of the TC programs, by BPF_PROG_TEST_RUN, against the reference
 * matcher: random rule sets, random packets of every kind, random state. After
 * every packet all that the slot's tables hold is compared and taken away.
 * SN_TEST_SEED repeats a run, SN_TEST_SETS lengthens it. */

#include "test/bpf/model.h"

#include <netinet/in.h>

#include "shared/tables.h"
#include "shared/util.h"
#include "test/bpf/check.h"
#include "test/bpf/policies.h"
#include "test/bpf/world.h"
#define T_LIMIT_S 170
#include "test/unit/t.h"

enum {
	DEFAULT_SETS = 1500,
	PACKETS_PER_SET = 40,
	STALE_RULE_ID = 77777777,
};

/* One rule set in place, with what judges it. */
struct stage {
	struct world *world;
	struct world_random random;
	uint64_t seed;
	uint64_t n_packets;
	struct policies_set set;
	struct sn_dns dns;
	struct cp_policy_match_source source;
	uint32_t revision;
	uint64_t by_reason[SN_REASON_COUNT];
	uint64_t by_kind[CP_POLICY_MATCH_KIND_COUNT];
	uint64_t n_flows; /* packets that met a live flow */
};

static uint64_t word_of(const struct stage *s)
{
	return SN_WORD(s->set.block.generation, s->revision);
}

/* Half a second off, because the flows' clock is read a tick late. */
static uint64_t ago_ns(struct stage *s, uint64_t now, uint64_t low_s,
		       uint64_t high_s)
{
	uint64_t back =
		(low_s + world_random_below(&s->random,
					    (uint32_t)(high_s - low_s + 1))) *
			SN_NS_PER_S +
		SN_NS_PER_S / 2;

	return back < now ? now - back : 1;
}

/* A moment at which a flow may have been admitted: often next to the expiry of
 * one of the rules. */
static uint64_t choose_admitted(struct stage *s, uint64_t now)
{
	uint64_t expiry = policies_choose_lapsed(&s->random, &s->set, now);

	if (expiry && world_random_chance(&s->random, 60))
		return expiry - 1 + world_random_below(&s->random, 3);
	return ago_ns(s, now, 0, 1200);
}

/* Of the present word, of another, or another key's. */
static void seal_flow(struct stage *s, struct model_case *c, bool stale)
{
	struct sn_flow *flow = &c->flow.value;
	uint64_t word = c->word;

	if (stale)
		word ^= 1ULL << world_random_below(&s->random, 40);
	flow->sealed_word = model_seal(c, word);
	if (world_random_chance(&s->random, 10))
		flow->sealed_word ^= world_random(&s->random) | 1ULL << 63;
	if (world_random_chance(&s->random, 15))
		flow->flags = SN_FLOW_DENIED | (flow->flags & SN_FLOW_ANSWERED);
}

static void choose_flow(struct stage *s, struct model_case *c, uint64_t now)
{
	struct sn_flow *flow = &c->flow.value;
	bool is_inbound = world_random_chance(&s->random, 40);
	bool stale = world_random_chance(&s->random, 60);

	c->flow.exists = true;
	c->flow.answered = world_random_chance(&s->random, 50);
	*flow = (struct sn_flow){
		.flags = world_random(&s->random) & SN_FLOW_ANSWERED,
		.admitted = choose_admitted(s, now),
		.judged = ago_ns(s, now, 0, 60),
		.last_seen = ago_ns(s, now, 0, 55),
		.rule_id = STALE_RULE_ID,
	};
	if (is_inbound)
		flow->flags |= SN_FLOW_INBOUND;
	else if (world_random_chance(&s->random, 25))
		flow->flags |= SN_FLOW_AUDIT;
	if (c->frame.packet.protocol == IPPROTO_TCP)
		flow->flags |=
			(uint32_t)world_random(&s->random) &
			(SN_FLOW_FIN_LOCAL | SN_FLOW_FIN_REMOTE | SN_FLOW_RST);
	if (c->block.inbound == SN_INBOUND_BLOCK)
		flow->flags |= SN_FLOW_SEND_ONLY;
	if (world_random_chance(&s->random, 20))
		flow->judged = ago_ns(s, now, 65, 1064);
	if (world_random_chance(&s->random, 20))
		flow->last_seen = ago_ns(s, now, 130, 900);
	/* What no policy can have judged good under its present word. */
	if (c->block.mode == SN_MODE_BLOCK_ALL ||
	    (is_inbound && c->block.inbound != SN_INBOUND_ALLOW))
		stale = true;
	if (policies_is_reserved(&c->dns, c->frame.packet.family,
				 c->frame.packet.local) ||
	    policies_is_reserved(&c->dns, c->frame.packet.family,
				 c->frame.packet.remote))
		stale = true;
	seal_flow(s, c, stale);
	if (stale && world_random_chance(&s->random, 20))
		flow->flags ^= SN_FLOW_SEND_ONLY;
}

/* The flow that an ICMP error quotes, alive or not. */
static void put_quoted(struct stage *s, struct model_case *c, uint64_t now)
{
	struct sn_flow_key key = c->frame.quoted;
	static const uint32_t flags[] = { 0,
					  0,
					  SN_FLOW_INBOUND,
					  SN_FLOW_AUDIT,
					  SN_FLOW_SEND_ONLY,
					  SN_FLOW_DENIED };
	struct sn_flow flow = {
		.admitted = 1,
		.last_seen = ago_ns(s, now, 0, 50),
		.flags = flags[world_random_below(&s->random,
						  SN_ARRAY_SIZE(flags))],
	};
	bool is_current = world_random_chance(&s->random, 70);
	bool is_idle = world_random_chance(&s->random, 20) &&
		       now > 1000 * SN_NS_PER_S;

	if (world_random_chance(&s->random, 30))
		return;
	key.slot = WORLD_SLOT;
	flow.sealed_word = c->word ^ sn_flow_tag(&key);
	if (!is_current)
		flow.sealed_word ^= 1ULL << world_random_below(&s->random, 64);
	if (is_idle)
		flow.last_seen = now - 900 * SN_NS_PER_S;
	if (world_random_chance(&s->random, 15)) { /* another flow */
		((uint8_t *)&key)[8 + world_random_below(&s->random, 36)] ^= 1;
		c->quotes_live_flow = false;
	} else {
		c->quotes_live_flow = c->frame.quotes && !is_idle &&
				      !(flow.flags & SN_FLOW_DENIED);
		/* What the workload says of a flow needs that flow to stand. */
		if (c->frame.packet.direction == SN_EGRESS &&
		    (!is_current ||
		     (flow.flags & (SN_FLOW_AUDIT | SN_FLOW_SEND_ONLY))))
			c->quotes_live_flow = false;
	}
	/* In sn_flows TCP lives longer than the idle time here. */
	world_put(s->world,
		  is_idle || world_random_chance(&s->random, 50) ?
			  WORLD_FLOWS_NEW :
			  WORLD_FLOWS,
		  &key, &flow);
}

static void put_fragment(struct stage *s, struct model_case *c, uint64_t now)
{
	struct sn_fragment_key key = frames_fragment_key(&c->frame, WORLD_SLOT);
	struct sn_fragment entry = {
		.expires = now + 20 * SN_NS_PER_S,
		.word = c->word,
		.header_bytes = c->frame.fragment_offset,
	};

	if (world_random_chance(&s->random, 40))
		return;
	c->has_fragment = true;
	if (world_random_chance(&s->random, 20)) {
		c->has_fragment = false;
		entry.expires = now - 1;
	} else if (world_random_chance(&s->random, 20)) {
		c->has_fragment = false;
		entry.header_bytes++;
	} else if (world_random_chance(&s->random, 20)) {
		c->has_fragment = false;
		entry.word ^= 1ULL << world_random_below(&s->random, 64);
	} else if (world_random_chance(&s->random, 10)) {
		c->has_fragment = false;
		((uint8_t *)&key)[world_random_below(&s->random, 44)] ^= 1;
	}
	world_put(s->world, WORLD_FRAGMENTS, &key, &entry);
}

/* The key of the flow that the same packet makes when it is sent the other
 * way, as one with a forged source is. */
static struct sn_flow_key mirror_key(const struct frames_frame *frame)
{
	struct sn_flow_key key = frames_flow_key(frame, WORLD_SLOT);

	(void)memcpy(key.local, frame->packet.remote, 16);
	(void)memcpy(key.remote, frame->packet.local, 16);
	key.local_port = frame->key_remote_port;
	key.remote_port = frame->key_local_port;
	return key;
}

static void put_mirror(struct stage *s, struct model_case *c, uint64_t now)
{
	struct sn_flow_key key = mirror_key(&c->frame);
	struct sn_flow_key own = frames_flow_key(&c->frame, WORLD_SLOT);
	struct sn_flow flow = {
		.sealed_word = world_random(&s->random),
		.last_seen = ago_ns(s, now, 0, 50),
	};

	if (c->frame.packet.direction == SN_EGRESS || !c->frame.may_have_flow ||
	    world_random_chance(&s->random, 70))
		return;
	/* From an address to itself, which is no other flow. */
	if (memcmp(&key, &own, sizeof(key)) == 0)
		return;
	c->has_mirror = true;
	if (world_random_chance(&s->random, 20))
		flow.flags = SN_FLOW_DENIED;
	else if (world_random_chance(&s->random, 20) &&
		 now > 1000 * SN_NS_PER_S)
		flow.last_seen = now - 900 * SN_NS_PER_S;
	else
		c->is_reflected = true;
	world_put(s->world, WORLD_FLOWS_NEW, &key, &flow);
}

static void put_state(struct stage *s, struct model_case *c, uint64_t now)
{
	struct sn_flow_key key;

	s->world->usage[WORLD_SLOT] = (struct sn_usage){
		.flow_quota = c->flow_quota,
	};
	if (c->frame.packet.kind == CP_POLICY_MATCH_KIND_ICMP_ERROR)
		put_quoted(s, c, now);
	if (c->frame.fragment == FRAMES_LATER)
		put_fragment(s, c, now);
	put_mirror(s, c, now);
	if (!c->frame.may_have_flow || world_random_chance(&s->random, 40))
		return;
	choose_flow(s, c, now);
	s->n_flows++;
	key = frames_flow_key(&c->frame, WORLD_SLOT);
	world_put(s->world, c->flow.answered ? WORLD_FLOWS : WORLD_FLOWS_NEW,
		  &key, &c->flow.value);
	if (c->flow.answered) { /* the flow itself fills no more than it may */
		s->world->usage[WORLD_SLOT].flows = 1;
		s->world->usage[WORLD_SLOT].flow_quota++;
	}
}

static void choose_wish(struct stage *s, struct frames_wish *wish)
{
	static const uint8_t protocols[] = { 6,	 6,   6,   17, 17, 17, 1, 58,
					     33, 132, 136, 47, 50, 4,  89 };
	static const uint8_t tcp[] = { 0x02, 0x02, 0x10, 0x12, 0x11,
				       0x04, 0x18, 0x00, 0xc2 };
	struct world_random *r = &s->random;

	*wish = (struct frames_wish){
		.kind = world_random_chance(r, 60) ?
				CP_POLICY_MATCH_KIND_PLAIN :
				(enum cp_policy_match_kind)world_random_below(
					r, CP_POLICY_MATCH_KIND_COUNT),
		.direction = world_random_chance(r, 65) ? SN_EGRESS :
							  SN_INGRESS,
		.role = world_random_chance(r, 75) ? SN_ROLE_WORKLOAD :
						     SN_ROLE_HOST,
		.family = world_random_chance(r, 50) ? SN_FAMILY_IPV4 :
						       SN_FAMILY_IPV6,
		.ethernet = world_random_chance(r, 80),
		.protocol = protocols[world_random_below(r, sizeof(protocols))],
		.tcp_flags = tcp[world_random_below(r, sizeof(tcp))],
		.first_fragment = world_random_chance(r, 10),
	};
	switch (wish->kind) {
	case CP_POLICY_MATCH_KIND_ARP_FORGED:
		/* A workload must not; what others say is theirs. */
		wish->direction = SN_EGRESS;
		/* fall through */
	case CP_POLICY_MATCH_KIND_ARP:
	case CP_POLICY_MATCH_KIND_ETHERTYPE:
	case CP_POLICY_MATCH_KIND_ENCAPSULATED:
		wish->ethernet = true;
		break;
	case CP_POLICY_MATCH_KIND_NEIGHBOUR:
	case CP_POLICY_MATCH_KIND_ROUTER_SOLICIT:
	case CP_POLICY_MATCH_KIND_ROUTER:
	case CP_POLICY_MATCH_KIND_NEIGHBOUR_BAD:
	case CP_POLICY_MATCH_KIND_MLD:
		wish->family = SN_FAMILY_IPV6;
		break;
	default:
		break;
	}
	policies_choose_address(r, wish->family, wish->remote);
	policies_choose_local(wish->family, wish->local);
	if (world_random_chance(r, 5))
		policies_choose_reserved(&s->dns, wish->family, wish->local);
	wish->remote_port = policies_choose_port(r);
	wish->local_port = (uint16_t)(40000 + world_random_below(r, 4));
	if (wish->kind == CP_POLICY_MATCH_KIND_PLAIN &&
	    world_random_chance(r, 2)) {
		(void)memcpy(wish->local, wish->remote, 16);
		wish->local_port = wish->remote_port;
	}
}

static enum world_program program_of(const struct frames_wish *wish)
{
	bool enters = (wish->direction == SN_EGRESS) ==
		      (wish->role == SN_ROLE_WORKLOAD);

	return enters ? WORLD_TC_INGRESS : WORLD_TC_EGRESS;
}

static void subtract(struct sn_counters *from, const struct sn_counters *what)
{
	for (int i = 0; i < 2; i++) {
		from->allowed_packets[i] -= what->allowed_packets[i];
		from->allowed_bytes[i] -= what->allowed_bytes[i];
		from->blocked_packets[i] -= what->blocked_packets[i];
		from->blocked_bytes[i] -= what->blocked_bytes[i];
	}
}

static void run_case(struct stage *s, const struct model_case *c,
		     enum world_program program, struct check_found *ret)
{
	struct world *world = s->world;
	struct sn_reasons *reasons = &world->reasons[WORLD_SLOT];
	struct world_found denied;
	struct sn_reasons before = *reasons;
	struct sn_counters counters = world_get_counters(world, WORLD_SLOT);
	struct sn_flow_key mirror = mirror_key(&c->frame);
	struct world_skb skb = {
		.gso_segs = c->gso_segs,
		.gso_size = c->gso_size,
		.mark = c->is_marked ? WORLD_MARK : 0,
	};

	(void)memset(ret, 0, sizeof(*ret));
	ret->tick_ns = world_tick_ns();
	ret->begin_ns = world_now_ns();
	ret->answer = world_run_skb(world, program, c->frame.bytes,
				    c->frame.size, &skb, NULL, NULL);
	ret->mark = skb.mark;
	ret->end_ns = world_now_ns();
	ret->counters = world_get_counters(world, WORLD_SLOT);
	subtract(&ret->counters, &counters);
	for (int i = 0; i < SN_REASON_SLOTS; i++)
		ret->reasons[i] = reasons->count[i] - before.count[i];
	ret->n_usage = world->usage[WORLD_SLOT].flows;
	ret->n_events = world_take_events(world, &ret->event);
	if (c->has_mirror)
		t_true(world_del(world, WORLD_FLOWS_NEW, &mirror));
	world_take_all(world, WORLD_DENIED, &denied);
	world_take_all(world, WORLD_FLOWS, &ret->flows);
	world_take_all(world, WORLD_FLOWS_NEW, &ret->flows_new);
	world_take_all(world, WORLD_FRAGMENTS, &ret->fragments);
	ret->n_nat = world_take_nat(world, &ret->nat_key, &ret->nat, 1);
}

static const char *reason_name(uint32_t reason)
{
	return reason < SN_REASON_COUNT ? sn_reasons_info[reason].name : "?";
}

static void print_flow(const char *title, bool exists, bool answered,
		       const struct sn_flow *flow, uint64_t now)
{
	if (!exists) {
		(void)printf("%s: none\n", title);
		return;
	}
	(void)printf("%s: %s sealed %" PRIx64 ", seconds ago: admitted %.6f, "
		     "judged %.3f, seen %.3f; rule %u, flags %x\n",
		     title, answered ? "answered" : "new",
		     (uint64_t)flow->sealed_word,
		     (double)(int64_t)(now - flow->admitted) / 1e9,
		     (double)(int64_t)(now - flow->judged) / 1e9,
		     (double)(int64_t)(now - flow->last_seen) / 1e9,
		     flow->rule_id, flow->flags);
}

static void print_case(struct stage *s, const struct model_case *c,
		       const struct model_outcome *want,
		       const struct check_found *got)
{
	const struct cp_policy_match_packet *p = &c->frame.packet;
	uint64_t now = got->begin_ns;

	(void)printf("packet %" PRIu64 " of SN_TEST_SEED=%" PRIu64 "\n",
		     s->n_packets, s->seed);
	(void)printf("kind %d, %s, role %d, family %d, protocol %u, ports "
		     "%u -> %u, tcp flags %x, fragment %d, entry %d, quote "
		     "%d, reflected %d, quota %u, gso %u of %u\n",
		     p->kind, p->direction == SN_EGRESS ? "egress" : "ingress",
		     p->role, p->family, p->protocol, p->local_port,
		     p->remote_port, c->frame.tcp_flags, c->frame.fragment,
		     c->has_fragment, c->quotes_live_flow, c->is_reflected,
		     c->flow_quota, c->gso_segs, c->gso_size);
	policies_print(&s->set, p, now);
	frames_print(&c->frame);
	print_flow("flow before", c->flow.exists, c->flow.answered,
		   &c->flow.value, now);
	print_flow("flow expected", want->flow.exists, want->flow.answered,
		   &want->flow.value, now);
	if (got->flows.n)
		print_flow("flow found", true, true, &got->flows.values[0].flow,
			   now);
	if (got->flows_new.n)
		print_flow("flow found", true, false,
			   &got->flows_new.values[0].flow, now);
	(void)printf("expected: pass %d, %s, rule %u, fragment %d\n",
		     want->verdict.pass, reason_name(want->verdict.reason),
		     want->verdict.rule_id, want->puts_fragment);
	(void)printf("found: answer %d, %u events, %s, rule %u;",
		     (int)got->answer, got->n_events,
		     got->n_events ? reason_name(got->event.reason) : "-",
		     got->event.rule_id);
	for (uint32_t i = 0; i < SN_REASON_SLOTS; i++) {
		if (got->reasons[i])
			(void)printf(" %s +%" PRIu64, reason_name(i),
				     got->reasons[i]);
	}
	(void)printf("\n");
	(void)fflush(stdout);
}

/* What comes from a tap says the size of its segments, not how many. */
static void choose_gso(struct stage *s, struct model_case *c)
{
	uint8_t protocol = c->frame.packet.protocol;

	if (c->frame.packet.kind != CP_POLICY_MATCH_KIND_PLAIN ||
	    !c->frame.may_have_flow || !world_random_chance(&s->random, 10))
		return;
	c->gso_size = 1 + world_random_below(&s->random, 20);
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) ||
	    c->frame.fragment != FRAMES_WHOLE ||
	    world_random_chance(&s->random, 50))
		c->gso_segs = 2 + world_random_below(&s->random, 40);
}

static void try_packet(struct stage *s)
{
	struct model_case c = {
		.block = s->set.block,
		.word = word_of(s),
		.flow_quota = world_random_chance(&s->random, 80),
		.dns = s->dns,
	};
	struct model_outcome want;
	struct frames_wish wish;
	struct check_found got;
	const char *wrong;
	uint64_t now;

	choose_wish(s, &wish);
	frames_make(&s->random, &wish, &c.frame);
	choose_gso(s, &c);
	c.is_marked = world_random_chance(&s->random, 15);
	world_put_iface(s->world, WORLD_SLOT, wish.role, wish.ethernet);
	now = world_now_ns();
	put_state(s, &c, now);
	model_expect(&s->source, &c, now, &want);
	run_case(s, &c, program_of(&wish), &got);
	s->n_packets++;
	s->by_reason[want.verdict.reason]++;
	s->by_kind[c.frame.packet.kind]++;
	wrong = check_case(&c, &want, &got);
	if (!wrong)
		return;
	print_case(s, &c, &want, &got);
	t_fail("%s: packet %" PRIu64 " of SN_TEST_SEED=%" PRIu64, wrong,
	       s->n_packets, s->seed);
}

static void start_stage(struct stage *s, const char *test)
{
	(void)memset(s, 0, sizeof(*s));
	s->seed = world_seed(test);
	s->random.state = s->seed;
	s->world = world_new(NULL);
}

static void next_set(struct stage *s, uint32_t generation)
{
	uint32_t zero = 0;

	policies_done(&s->set, s->world);
	policies_make(&s->random, generation, world_now_ns(), &s->set);
	policies_put(&s->set, s->world);
	s->revision = (uint32_t)world_random(&s->random);
	world_flip(s->world, WORLD_SLOT, &s->set.block, s->revision);
	s->dns = policies_dns(world_random_chance(&s->random, 80));
	world_put(s->world, WORLD_DNS, &zero, &s->dns);
	s->source = cp_policy_match_source_policy(
		s->set.policy, world_random_chance(&s->random, 50));
	s->source.steers = s->set.block.dns;
}

static void end_stage(struct stage *s)
{
	policies_done(&s->set, s->world);
	world_free(s->world);
}

/* Nothing may be counted or kept for a slot that saw no packet. */
static void check_others(const struct stage *s)
{
	for (uint32_t slot = 0; slot < WORLD_SLOTS; slot++) {
		struct sn_counters c = world_get_counters(s->world, slot);

		if (slot == WORLD_SLOT)
			continue;
		for (int i = 0; i < SN_REASON_SLOTS; i++)
			t_eq(s->world->reasons[slot].count[i], 0);
		t_eq(c.allowed_packets[0] + c.allowed_packets[1] +
			     c.blocked_packets[0] + c.blocked_packets[1],
		     0);
	}
}

static void random_packets_get_the_verdict_of_the_matcher(void)
{
	uint64_t n_sets = world_setting("SN_TEST_SETS", DEFAULT_SETS);
	static struct stage s;

	start_stage(&s, __func__);
	for (uint32_t i = 1; i <= n_sets; i++) {
		next_set(&s, i);
		for (int n = 0; n < PACKETS_PER_SET; n++)
			try_packet(&s);
	}
	check_others(&s);
	/* A run that never came to a reason or a kind proves nothing of it. */
	for (uint32_t i = 0; i < SN_REASON_COUNT; i++) {
		(void)printf("  %-16s %8" PRIu64 "\n", sn_reasons_info[i].name,
			     s.by_reason[i]);
		if (n_sets < 200 || i == SN_REASON_NO_SLOT ||
		    i == SN_REASON_DNS_NETNS || i == SN_REASON_DNS_RATE ||
		    i == SN_REASON_NO_POLICY || i == SN_REASON_RACE ||
		    i == SN_REASON_HELPER || i == SN_REASON_PASS_LOCAL ||
		    sn_reasons_info[i].kind == SN_REASON_KIND_INFO)
			continue;
		t_true(s.by_reason[i] > 0);
	}
	(void)printf("  %" PRIu64 " packets, %" PRIu64 " with a flow\n",
		     s.n_packets, s.n_flows);
	end_stage(&s);
}

T_MAIN("verdict", random_packets_get_the_verdict_of_the_matcher)
