/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/model.h"

#include <netinet/in.h>
#include <string.h>

#include "controld/policy/match.h"
#include "shared/tables.h"
#include "shared/util.h"

enum {
	TCP_FIN = 1,
	TCP_RST = 4,
};

/* RFC 5382 REQ-5, RFC 4787 REQ-5, RFC 5508 REQ-1; see shared/abi.h. */
static uint64_t idle_s(uint8_t protocol, bool answered, uint32_t flags)
{
	uint32_t fins = SN_FLOW_FIN_LOCAL | SN_FLOW_FIN_REMOTE;

	if (protocol == IPPROTO_TCP) {
		if ((flags & SN_FLOW_RST) || (flags & fins) == fins)
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

bool model_flow_is_alive(const struct model_case *c, uint64_t now_ns)
{
	const struct sn_flow *flow = &c->flow.value;
	uint64_t idle_ns = idle_s(c->frame.packet.protocol, c->flow.answered,
				  flow->flags) *
			   SN_NS_PER_S;

	return c->flow.exists && now_ns - flow->last_seen < idle_ns;
}

bool model_flow_stands(const struct model_case *c, uint64_t now_ns)
{
	const struct sn_flow *flow = &c->flow.value;

	return c->frame.may_have_flow && model_flow_is_alive(c, now_ns) &&
	       !restarts(&c->frame) && flow->word == c->word &&
	       now_ns - flow->judged < 64 * SN_NS_PER_S &&
	       !(flow->flags & SN_FLOW_AUDIT) &&
	       !(c->frame.packet.direction == SN_INGRESS &&
		 (flow->flags & SN_FLOW_SEND_ONLY));
}

static uint32_t tcp_flags(const struct frames_frame *f)
{
	uint32_t flags = 0;

	if (f->tcp_flags & TCP_FIN)
		flags |= f->packet.direction == SN_EGRESS ? SN_FLOW_FIN_LOCAL :
							    SN_FLOW_FIN_REMOTE;
	if (f->tcp_flags & TCP_RST)
		flags |= SN_FLOW_RST;
	return flags;
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
	ret->is_touched = true;
	ret->flow.value.flags |= tcp_flags(&c->frame);
	if (!c->flow.answered && is_answer(&c->frame, c->flow.value.flags))
		(void)promote(c, ret);
	ret->puts_fragment = c->frame.fragment == FRAMES_FIRST;
}

static void expect_stored(const struct model_case *c, bool alive, bool audited,
			  struct model_outcome *ret)
{
	const uint32_t kept = SN_FLOW_INBOUND | SN_FLOW_FIN_LOCAL |
			      SN_FLOW_FIN_REMOTE | SN_FLOW_RST;
	bool leaves = c->frame.packet.direction == SN_EGRESS;
	/* An inbound flow ends with the permission for it; the workload may
	 * go on by its own right. */
	bool goes_on = alive &&
		       !(leaves && (c->flow.value.flags & SN_FLOW_INBOUND) &&
			 c->block.inbound != SN_INBOUND_ALLOW);
	struct sn_flow flow = {
		.word = c->word,
		.admitted = goes_on ? c->flow.value.admitted : 0,
		.rule_id = ret->verdict.rule_id,
		.flags = tcp_flags(&c->frame),
	};

	if (goes_on)
		flow.flags |= c->flow.value.flags & kept;
	else if (!leaves)
		flow.flags |= SN_FLOW_INBOUND;
	if (c->block.inbound == SN_INBOUND_BLOCK)
		flow.flags |= SN_FLOW_SEND_ONLY;
	if (audited)
		flow.flags |= SN_FLOW_AUDIT;
	if (alive && !c->flow.answered && is_answer(&c->frame, flow.flags) &&
	    !promote(c, ret))
		return;
	ret->is_stored = true;
	ret->flow.exists = true;
	ret->flow.value = flow;
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
		ret->flow.exists = false;
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
		.admitted_ns = c->flow.value.admitted,
	};
	bool alive = f->may_have_flow && model_flow_is_alive(c, now_ns);

	packet.has_fragment_entry = c->has_fragment;
	packet.quotes_live_flow = c->quotes_live_flow;
	return cp_policy_match_judge(source, &packet, alive ? &flow : NULL,
				     now_ns);
}

void model_expect(const struct cp_policy_match_source *source,
		  const struct model_case *c, uint64_t now_ns,
		  struct model_outcome *ret)
{
	const struct frames_frame *f = &c->frame;
	enum sn_direction direction = f->packet.direction;
	uint64_t packets = SN_MAX(c->gso_segs, 1U);
	bool counts_allowed;

	(void)memset(ret, 0, sizeof(*ret));
	ret->flow = c->flow;
	ret->verdict = judge(source, c, now_ns);
	if (model_flow_stands(c, now_ns))
		expect_standing(c, ret);
	else
		expect_judged(c, now_ns, ret);

	counts_allowed = sn_reasons_info[ret->verdict.reason].kind ==
			 SN_REASON_KIND_PASS;
	ret->has_event = !counts_allowed;
	if (ret->verdict.reason != SN_REASON_ALLOWED)
		ret->reasons[ret->verdict.reason]++;
	if (counts_allowed) {
		ret->counters.allowed_packets[direction] = packets;
		ret->counters.allowed_bytes[direction] = f->size - f->network;
	} else {
		ret->counters.blocked_packets[direction] = packets;
		ret->counters.blocked_bytes[direction] = f->size - f->network;
	}
}
