/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* The two flow tables. A flow enters sn_flows_new with its first allowed packet
 * and moves to sn_flows, where each slot has a quota, with the first packet of
 * the other direction. A flow that cannot be stored or moved cuts nothing: the
 * verdict stands, the next packet is judged again. How long a flow is idle, and
 * when it was judged, goes by CLOCK_MONOTONIC read coarsely, which is half the
 * cost of an established flow's clock; when it was admitted goes by boot time,
 * with which rules expire. */

#include "bpf/lib/count.h"

static __always_inline int sn_flow_is_alive(const struct sn_flow *flow,
					    __u8 protocol, int answered,
					    __u64 now)
{
	__u64 idle =
		sn_flow_idle_s(protocol, answered, flow->flags) * 1000000000ULL;

	return now < flow->last_seen || now - flow->last_seen < idle;
}

/* The entry of a key in whichever table has it. */
static __always_inline struct sn_flow *sn_flow_get(const struct sn_flow_key *of,
						   __u8 *answered)
{
	struct sn_flow_key key = sn_packet_copy_key(of);
	struct sn_flow *flow = bpf_map_lookup_elem(&sn_flows, &key);

	*answered = flow != NULL;
	return flow ? flow : bpf_map_lookup_elem(&sn_flows_new, &key);
}

/* True if a flow of this key is alive; word: only if judged under it. */
SN_GLOBAL int sn_flow_exists(struct sn_flow_key *key, __u64 word, __u64 now)
{
	struct sn_flow *flow;
	__u8 answered;

	if (!key)
		return 0;
	flow = sn_flow_get(key, &answered);
	if (!flow || !sn_flow_is_alive(flow, key->protocol, answered, now))
		return 0;
	if (flow->flags & SN_FLOW_DENIED)
		return 0;
	if (word && (flow->flags & (SN_FLOW_AUDIT | SN_FLOW_SEND_ONLY)))
		return 0;
	sn_read_barrier();
	return !word || SN_READ(flow->sealed_word) == (word ^ sn_flow_tag(key));
}

/* A segment that opens a connection is a new flow, whatever the last one with
 * its addresses was. */
static __always_inline int sn_flow_is_opening(const struct sn_packet *p)
{
	return p->key.protocol == SN_PROTOCOL_TCP &&
	       p->direction == SN_EGRESS && (p->tcp_flags & SN_TCP_SYN) &&
	       !(p->tcp_flags & SN_TCP_ACK);
}

/* A flow's flags after a packet. A connection that goes on was not reset, and a
 * SYN from the opener's side begins a new one with the same addresses. */
static __always_inline __u32 sn_flow_tcp_flags(const struct sn_packet *p,
					       __u32 flags)
{
	if (p->key.protocol != SN_PROTOCOL_TCP)
		return flags;
	flags &= ~SN_FLOW_RST;
	if ((p->tcp_flags & SN_TCP_SYN) && !(p->tcp_flags & SN_TCP_ACK) &&
	    p->direction == SN_INGRESS && (flags & SN_FLOW_INBOUND))
		flags &= ~(SN_FLOW_FIN_LOCAL | SN_FLOW_FIN_REMOTE);
	if (p->tcp_flags & SN_TCP_FIN)
		flags |= p->direction == SN_EGRESS ? SN_FLOW_FIN_LOCAL :
						     SN_FLOW_FIN_REMOTE;
	if (p->tcp_flags & SN_TCP_RST)
		flags |= SN_FLOW_RST;
	return flags;
}

/* Moves the flow to sn_flows within the slot's quota. The quota's counter is
 * raised before the entry is made, so it never falls below the truth. Returns 1
 * if the flow is there now. */
static __noinline int sn_flow_promote(struct sn_packet *p, struct sn_flow *flow)
{
	struct sn_flow_key key = sn_packet_copy_key(&p->key);
	struct sn_usage *usage;
	__u32 slot = p->key.slot;
	long r;

	usage = bpf_map_lookup_elem(&sn_usage, &slot);
	if (!usage)
		return 0;
	if (__sync_fetch_and_add(&usage->flows, 1) >= usage->flow_quota) {
		__sync_fetch_and_add(&usage->flows, -1);
		sn_count_reason(slot, SN_REASON_FLOW_QUOTA);
		return 0;
	}
	r = bpf_map_update_elem(&sn_flows, &key, flow, BPF_NOEXIST);
	if (r) {
		__sync_fetch_and_add(&usage->flows, -1);
		if (r == -SN_EEXIST) /* another CPU moved it */
			return 1;
		sn_count_reason(slot, SN_REASON_FLOW_FAILED);
		return 0;
	}
	bpf_map_delete_elem(&sn_flows_new, &key);
	return 1;
}

static __always_inline int sn_flow_is_answer(const struct sn_packet *p,
					     __u32 flags)
{
	return p->direction ==
	       (flags & SN_FLOW_INBOUND ? SN_EGRESS : SN_INGRESS);
}

/* True if a stored verdict is good for this packet as it is, should its word
 * still be the slot's. */
static __always_inline int sn_flow_stands(const struct sn_packet *p,
					  __u32 flags, __u64 judged, __u64 now)
{
	/* Another CPU may have read the clock a tick later. */
	if ((now > judged && now - judged >= SN_REJUDGE_NS) ||
	    (flags & (SN_FLOW_AUDIT | SN_FLOW_DENIED)))
		return 0;
	return !(p->direction == SN_INGRESS && (flags & SN_FLOW_SEND_ONLY));
}

/* Books a packet on a flow that stands. Bit by bit: should the element be
 * another flow's by now, nothing of its verdict is changed. */
static __always_inline void sn_flow_touch(struct sn_flow *flow, __u32 before,
					  __u32 flags, __u64 now)
{
	if (now > flow->last_seen && now - flow->last_seen > SN_TOUCH_NS)
		SN_WRITE(flow->last_seen, now);
	if (flags & ~before)
		__sync_fetch_and_or(&flow->flags, flags & ~before);
	if (before & ~flags)
		__sync_fetch_and_and(&flow->flags, ~(before & ~flags));
}

/* Looks for the packet's flow. Returns 1 if its verdict stands under v->word;
 * the packet is booked on it then. Else v->flow tells what was found. */
SN_GLOBAL int sn_flow_check(struct sn_packet *p, struct sn_verdict_result *v)
{
	struct sn_flow *flow;
	__u8 answered = 0;
	__u32 flags, rule_id;
	__u64 judged, word;

	if (!p || !v)
		return 0;
	flow = sn_flow_get(&p->key, &answered);
	v->flow.answered = answered;
	if (!flow || sn_flow_is_opening(p) ||
	    !sn_flow_is_alive(flow, p->key.protocol, answered, v->seen))
		return 0;
	v->flow.admitted = SN_READ(flow->admitted);
	v->flow.flags = SN_READ(flow->flags);
	judged = SN_READ(flow->judged);
	rule_id = SN_READ(flow->rule_id);
	sn_read_barrier();
	word = SN_READ(flow->sealed_word) ^ sn_flow_tag(&p->key);
	/* A generation that the slot cannot have had (one more than the word's
	 * may be current by now): the element is another key's, and what was
	 * read says nothing of this one, who opened it least of all. */
	if (SN_WORD_GENERATION(word) - 1 > SN_WORD_GENERATION(v->word))
		return 0;
	v->flow.alive = 1;
	if (word != v->word ||
	    !sn_flow_stands(p, v->flow.flags, judged, v->seen))
		return 0;
	flags = sn_flow_tcp_flags(p, v->flow.flags);
	if (sn_flow_is_answer(p, v->flow.flags))
		flags |= SN_FLOW_ANSWERED;
	sn_flow_touch(flow, v->flow.flags, flags, v->seen);
	if (!answered && sn_flow_is_answer(p, flags)) {
		/* Not what is behind the pointer now: the element may have been
		 * recycled since it was looked at. */
		struct sn_flow copy = {
			.sealed_word = v->word ^ sn_flow_tag(&p->key),
			.admitted = v->flow.admitted,
			.judged = judged,
			.last_seen = v->seen,
			.rule_id = rule_id,
			.flags = flags,
		};

		sn_flow_promote(p, &copy);
	}
	return 1;
}

/* Writes what a judgement found. passed_by_audit: the entry is there only to
 * know the replies. */
static __noinline int sn_flow_store(struct sn_packet *p,
				    struct sn_verdict_result *v,
				    int passed_by_audit)
{
	struct sn_flow_key key = sn_packet_copy_key(&p->key);
	struct sn_flow flow = {
		.sealed_word = v->word ^ sn_flow_tag(&p->key),
		.admitted = v->now,
		.judged = v->seen,
		.last_seen = v->seen,
		.rule_id = v->rule_id,
	};

	if (v->flow.alive && !v->admit) {
		flow.admitted = v->flow.admitted;
		flow.flags |= v->flow.flags &
			      (SN_FLOW_INBOUND | SN_FLOW_FIN_LOCAL |
			       SN_FLOW_FIN_REMOTE | SN_FLOW_ANSWERED);
		if (sn_flow_is_answer(p, flow.flags))
			flow.flags |= SN_FLOW_ANSWERED;
	} else if (p->direction == SN_INGRESS) {
		flow.flags |= SN_FLOW_INBOUND;
	}
	flow.flags = sn_flow_tcp_flags(p, flow.flags);
	if (v->send_only)
		flow.flags |= SN_FLOW_SEND_ONLY;
	if (passed_by_audit)
		flow.flags |= SN_FLOW_AUDIT;
	if (v->flow.answered) {
		if (!bpf_map_update_elem(&sn_flows, &key, &flow, BPF_EXIST))
			return 0;
	} else if (v->flow.alive && sn_flow_is_answer(p, flow.flags) &&
		   sn_flow_promote(p, &flow)) {
		return 0;
	}
	if (bpf_map_update_elem(&sn_flows_new, &key, &flow, BPF_ANY))
		sn_count_reason(p->key.slot, SN_REASON_FLOW_FAILED);
	return 0;
}

/* A flow that the workload opened and whose peer could open it again (inbound
 * ALLOW) stays, marked, as long as there are packets: it is judged by the rules
 * and not taken for one that the peer opened. */
static __noinline int sn_flow_mark_denied(struct sn_packet *p,
					  struct sn_verdict_result *v)
{
	struct sn_flow_key key = sn_packet_copy_key(&p->key);
	struct sn_flow flow = {
		.sealed_word = v->word ^ sn_flow_tag(&p->key),
		.admitted = v->now,
		.judged = v->seen,
		.last_seen = v->seen,
		.flags = SN_FLOW_DENIED | (v->flow.flags & SN_FLOW_ANSWERED),
	};

	if (v->flow.answered)
		bpf_map_update_elem(&sn_flows, &key, &flow, BPF_EXIST);
	else
		bpf_map_update_elem(&sn_flows_new, &key, &flow, BPF_ANY);
	return 0;
}

/* A flow that was judged again and is denied now is forgotten, so that it
 * has to be admitted anew. */
static __noinline int sn_flow_forget(struct sn_packet *p,
				     struct sn_verdict_result *v)
{
	struct sn_flow_key key = sn_packet_copy_key(&p->key);
	__u32 slot = p->key.slot;
	struct sn_usage *usage;

	if (!v->flow.answered) {
		bpf_map_delete_elem(&sn_flows_new, &key);
		return 0;
	}
	if (bpf_map_delete_elem(&sn_flows, &key))
		return 0;
	usage = bpf_map_lookup_elem(&sn_usage, &slot);
	if (usage)
		__sync_fetch_and_add(&usage->flows, -1);
	return 0;
}

static __always_inline void sn_fragment_key(const struct sn_packet *p,
					    struct sn_fragment_key *key)
{
	key->slot = p->key.slot;
	key->id = p->fragment_id;
	key->family = p->key.family;
	key->protocol = p->fragment_protocol;
	key->direction = p->direction;
	sn_copy16(key->source,
		  p->direction == SN_EGRESS ? p->key.local : p->key.remote);
	sn_copy16(key->destination,
		  p->direction == SN_EGRESS ? p->key.remote : p->key.local);
}

/* An allowed first fragment opens the way for the later ones. If it cannot be
 * stored they are dropped. */
static __noinline int sn_flow_fragment_put(struct sn_packet *p, __u64 word,
					   __u64 now)
{
	struct sn_fragment_key key = {};
	struct sn_fragment value = {
		.expires = now + SN_FRAGMENT_NS,
		.word = word,
		.header_bytes = p->header_bytes,
	};

	sn_fragment_key(p, &key);
	if (bpf_map_update_elem(&sn_fragments, &key, &value, BPF_ANY))
		sn_count_reason(p->key.slot, SN_REASON_FLOW_FAILED);
	return 0;
}

static __noinline int sn_flow_fragment_passes(struct sn_packet *p, __u64 word,
					      __u64 now)
{
	struct sn_fragment_key key = {};
	struct sn_fragment *value;

	sn_fragment_key(p, &key);
	value = bpf_map_lookup_elem(&sn_fragments, &key);
	return value && value->expires > now && value->word == word &&
	       p->fragment_offset >= value->header_bytes;
}
