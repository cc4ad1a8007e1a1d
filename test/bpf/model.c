/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/model.h"

#include <netinet/in.h>
#include <string.h>

#include "controld/policy/match.h"
#include "shared/tables.h"
#include "shared/util.h"
#include "test/bpf/policies.h"

enum {
	TCP_FIN = 1,
	TCP_RST = 4,
	FINS = SN_FLOW_FIN_LOCAL | SN_FLOW_FIN_REMOTE,
};

/* RFC 5382 REQ-5, RFC 4787 REQ-5, RFC 5508 REQ-1; see shared/abi.h. */
static uint64_t idle_s(uint8_t protocol, bool answered, uint32_t flags)
{
	answered = answered || (flags & SN_FLOW_ANSWERED);
	if (protocol == IPPROTO_TCP) {
		if ((flags & SN_FLOW_RST) || (flags & FINS) == FINS)
			return 60;
		return answered ? 7440 : 240;
	}
	if (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
		return answered ? 180 : 120;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return 60;
	return 600;
}

static bool restarts(const struct frames_frame *f)
{
	return f->packet.direction == SN_EGRESS && f->packet.is_tcp_syn;
}

uint64_t model_seal(const struct model_case *c, uint64_t word)
{
	struct sn_flow_key key = frames_flow_key(&c->frame, WORLD_SLOT);

	return word ^ sn_flow_tag(&key);
}

/* An entry that says, under the seal of its key, a generation that the slot
 * cannot have had is another key's. */
static bool is_foreign(const struct model_case *c)
{
	uint64_t word = model_seal(c, c->flow.value.sealed_word);

	return SN_WORD_GENERATION(word) == 0 ||
	       SN_WORD_GENERATION(word) > SN_WORD_GENERATION(c->word) + 1ULL;
}

/* Whosever it is. */
static bool is_recent(const struct model_case *c, uint64_t now_ns)
{
	const struct sn_flow *flow = &c->flow.value;
	uint64_t idle_ns = idle_s(c->frame.packet.protocol, c->flow.answered,
				  flow->flags) *
			   SN_NS_PER_S;

	return c->flow.exists && now_ns - flow->last_seen < idle_ns;
}

bool model_flow_is_alive(const struct model_case *c, uint64_t now_ns)
{
	return is_recent(c, now_ns) && !is_foreign(c);
}

bool model_flow_stands(const struct model_case *c, uint64_t now_ns)
{
	const struct sn_flow *flow = &c->flow.value;

	return c->frame.may_have_flow && model_flow_is_alive(c, now_ns) &&
	       !restarts(&c->frame) &&
	       flow->sealed_word == model_seal(c, c->word) &&
	       now_ns - flow->judged < 64 * SN_NS_PER_S &&
	       !(flow->flags & (SN_FLOW_AUDIT | SN_FLOW_DENIED)) &&
	       !(c->frame.packet.direction == SN_INGRESS &&
		 (flow->flags & SN_FLOW_SEND_ONLY));
}

/* What is known of the connection after this packet: a segment disproves a
 * reset, and the opener's SYN begins a new connection. */
static uint32_t tcp_flags(const struct frames_frame *f, uint32_t flags)
{
	bool leaves = f->packet.direction == SN_EGRESS;

	if (f->packet.protocol != IPPROTO_TCP)
		return flags;
	if (!leaves && (flags & SN_FLOW_INBOUND) && f->packet.is_tcp_syn)
		flags &= ~(uint32_t)FINS;
	if (f->tcp_flags & TCP_FIN)
		flags |= leaves ? SN_FLOW_FIN_LOCAL : SN_FLOW_FIN_REMOTE;
	if (f->tcp_flags & TCP_RST)
		return flags | SN_FLOW_RST;
	return flags & ~(uint32_t)SN_FLOW_RST;
}

/* Does the packet go the other way than the one that opened the flow? */
static bool is_answer(const struct frames_frame *f, uint32_t flow_flags)
{
	bool opened_by_remote = flow_flags & SN_FLOW_INBOUND;

	return (f->packet.direction == SN_EGRESS) == opened_by_remote;
}

/* Moves an answered flow, if the quota has room for one. */
static bool promote(const struct model_case *c, struct model_outcome *ret)
{
	if (c->flow_quota == 0) {
		ret->reasons[SN_REASON_FLOW_QUOTA]++;
		return false;
	}
	ret->flow.answered = true;
	return true;
}

static void expect_standing(const struct model_case *c,
			    struct model_outcome *ret)
{
	uint32_t *flags = &ret->flow.value.flags;

	ret->is_touched = true;
	*flags = tcp_flags(&c->frame, *flags);
	if (is_answer(&c->frame, *flags)) {
		*flags |= SN_FLOW_ANSWERED;
		if (!c->flow.answered)
			(void)promote(c, ret);
	}
	ret->puts_fragment = c->frame.fragment == FRAMES_FIRST;
}

static void expect_stored(const struct model_case *c, bool alive, bool audited,
			  struct model_outcome *ret)
{
	const uint32_t kept = SN_FLOW_INBOUND | FINS | SN_FLOW_ANSWERED;
	uint32_t before = c->flow.value.flags;
	bool leaves = c->frame.packet.direction == SN_EGRESS;
	/* An inbound flow ends with the permission for it; the workload may
	 * go on by its own right. */
	bool goes_on = alive && !(leaves && (before & SN_FLOW_INBOUND) &&
				  c->block.inbound != SN_INBOUND_ALLOW);
	struct sn_flow flow = {
		.sealed_word = model_seal(c, c->word),
		.rule_id = ret->verdict.rule_id,
	};

	/* A denied flow is admitted anew. */
	if (goes_on && !(before & SN_FLOW_DENIED))
		flow.admitted = c->flow.value.admitted;
	if (goes_on)
		flow.flags = before & kept;
	else if (!leaves)
		flow.flags = SN_FLOW_INBOUND;
	if (goes_on && is_answer(&c->frame, flow.flags))
		flow.flags |= SN_FLOW_ANSWERED;
	flow.flags = tcp_flags(&c->frame, flow.flags);
	if (c->block.inbound == SN_INBOUND_BLOCK)
		flow.flags |= SN_FLOW_SEND_ONLY;
	if (audited)
		flow.flags |= SN_FLOW_AUDIT;
	/* Over quota it stays where it is, judged like any other. */
	if (alive && !c->flow.answered && is_answer(&c->frame, flow.flags))
		(void)promote(c, ret);
	ret->is_stored = true;
	ret->flow.exists = true;
	ret->flow.value = flow;
}

/* Where others may open flows, a denied flow of the workload stays marked, so
 * that its peer's next packet does not count as an opening. */
static void expect_denied(const struct model_case *c, struct model_outcome *ret)
{
	uint32_t before = c->flow.value.flags;

	ret->flow.exists = c->block.inbound == SN_INBOUND_ALLOW &&
			   !(before & SN_FLOW_INBOUND);
	ret->is_stored = ret->flow.exists;
	ret->flow.value = (struct sn_flow){
		.sealed_word = model_seal(c, c->word),
		.flags = SN_FLOW_DENIED | (before & SN_FLOW_ANSWERED),
	};
}

/* Was it rules, or inbound for a new flow, that decided? */
static bool is_by_policy(const struct model_case *c)
{
	if (!c->frame.may_have_flow || (c->block.mode != SN_MODE_ALLOWLIST &&
					c->block.mode != SN_MODE_DENYLIST))
		return false;
	return c->frame.packet.direction == SN_EGRESS ||
	       c->block.inbound != SN_INBOUND_BLOCK;
}

/* The flow table after a packet that was judged. */
static void expect_judged(const struct model_case *c, uint64_t now_ns,
			  struct model_outcome *ret)
{
	const struct frames_frame *f = &c->frame;
	bool leaves = f->packet.direction == SN_EGRESS;
	bool alive = model_flow_is_alive(c, now_ns) && !restarts(f);
	bool allowed = ret->verdict.reason == SN_REASON_ALLOWED;
	bool audited = !allowed && ret->verdict.pass;

	if (!is_by_policy(c) || (!alive && !f->keeps_flow))
		return;
	ret->puts_fragment = ret->verdict.pass && f->fragment == FRAMES_FIRST;
	if (allowed || (audited && leaves))
		expect_stored(c, alive, audited, ret);
	else if (alive && !audited)
		expect_denied(c, ret);
}

/* Whether a flow has the ends turned round is asked without its seal: it is a
 * reason to drop, and an entry that is another key's by now may as well have
 * been one. From an address to itself that entry is the packet's own. */
static bool is_reflected(const struct model_case *c, uint64_t now_ns)
{
	struct sn_flow_key key = frames_flow_key(&c->frame, WORLD_SLOT);
	bool is_to_itself = memcmp(key.local, key.remote, 16) == 0 &&
			    key.local_port == key.remote_port;

	return c->is_reflected || (is_to_itself && is_recent(c, now_ns) &&
				   !(c->flow.value.flags & SN_FLOW_DENIED));
}

/* What sn_dns_return sent: the interface's program sees its mark. */
static bool is_answer_back(const struct model_case *c)
{
	const struct cp_policy_match_packet *packet = &c->frame.packet;

	return c->is_marked && packet->direction == SN_INGRESS &&
	       packet->role == SN_ROLE_WORKLOAD &&
	       packet->kind == CP_POLICY_MATCH_KIND_PLAIN &&
	       c->frame.fragment == FRAMES_WHOLE && packet->remote_port == 53 &&
	       (packet->protocol == IPPROTO_TCP ||
		packet->protocol == IPPROTO_UDP);
}

static struct cp_policy_match_verdict
judge(const struct cp_policy_match_source *source, const struct model_case *c,
      uint64_t now_ns)
{
	const struct frames_frame *f = &c->frame;
	struct cp_policy_match_packet packet = f->packet;
	struct cp_policy_match_flow flow = {
		.word_is_current = model_flow_stands(c, now_ns),
		.is_inbound = c->flow.value.flags & SN_FLOW_INBOUND,
		.is_audit = c->flow.value.flags & SN_FLOW_AUDIT,
		.is_denied = c->flow.value.flags & SN_FLOW_DENIED,
		.admitted_ns = c->flow.value.admitted,
	};
	bool alive = f->may_have_flow && model_flow_is_alive(c, now_ns);

	packet.has_fragment_entry = c->has_fragment;
	packet.quotes_live_flow = c->quotes_live_flow;
	packet.is_reflected = is_reflected(c, now_ns);
	packet.is_first_fragment = f->fragment == FRAMES_FIRST;
	packet.is_local_reserved =
		policies_is_reserved(&c->dns, packet.family, packet.local);
	packet.is_remote_reserved =
		policies_is_reserved(&c->dns, packet.family, packet.remote);
	packet.is_steered = is_answer_back(c);
	return cp_policy_match_judge(source, &packet, alive ? &flow : NULL,
				     now_ns);
}

/* Name resolution asks no flow and makes none. A query goes to the resolver or
 * nowhere. */
static bool expect_dns(const struct model_case *c, struct model_outcome *ret)
{
	switch (ret->verdict.reason) {
	case SN_REASON_PASS_DNS:
		if (c->frame.packet.direction == SN_INGRESS)
			return true;
		ret->is_steered = c->dns.has_tc;
		if (!ret->is_steered)
			ret->verdict = (struct cp_policy_match_verdict){
				.reason = SN_REASON_DNS_STEER,
			};
		return true;
	case SN_REASON_DNS_STEER:
	case SN_REASON_DNS_ADDRESS:
		return true;
	default:
		return false;
	}
}

/* GSO packets count as what the wire sees: whole headers in each segment. */
static uint64_t count_segments(const struct model_case *c)
{
	size_t headers = c->frame.payload - c->frame.network;
	size_t bytes = c->frame.size - c->frame.network;

	if (c->gso_segs)
		return c->gso_segs;
	if (!c->gso_size || bytes <= headers)
		return 1;
	return (bytes - headers + c->gso_size - 1) / c->gso_size;
}

void model_expect(const struct cp_policy_match_source *source,
		  const struct model_case *c, uint64_t now_ns,
		  struct model_outcome *ret)
{
	const struct frames_frame *f = &c->frame;
	enum sn_direction direction = f->packet.direction;
	uint64_t packets = count_segments(c);
	bool counts_allowed;

	(void)memset(ret, 0, sizeof(*ret));
	ret->flow = c->flow;
	ret->verdict = judge(source, c, now_ns);
	ret->is_answer = is_answer_back(c);
	if (expect_dns(c, ret))
		;
	else if (model_flow_stands(c, now_ns))
		expect_standing(c, ret);
	else
		expect_judged(c, now_ns, ret);

	counts_allowed = sn_reasons_info[ret->verdict.reason].kind ==
			 SN_REASON_KIND_PASS;
	ret->has_event = !counts_allowed;
	if (ret->verdict.reason != SN_REASON_ALLOWED)
		ret->reasons[ret->verdict.reason] += packets;
	if (counts_allowed) {
		ret->counters.allowed_packets[direction] = packets;
		ret->counters.allowed_bytes[direction] = f->size - f->network;
	} else {
		ret->counters.blocked_packets[direction] = packets;
		ret->counters.blocked_bytes[direction] = f->size - f->network;
	}
}
