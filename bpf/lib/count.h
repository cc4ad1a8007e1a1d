/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Counters, reasons and events. Nothing here changes a verdict; what cannot be
 * counted or sent is itself counted where there is a place for it. Atomic
 * additions, because a cgroup program can be interrupted by another hook of
 * the same slot on the same CPU. */

#include "bpf/lib/maps.h"
#include "bpf/lib/packet.h"

static __always_inline void sn_count_reasons(__u32 slot, __u32 reason, __u32 n)
{
	struct sn_reasons *r = bpf_map_lookup_elem(&sn_reasons, &slot);

	if (r && reason < SN_REASON_SLOTS)
		__sync_fetch_and_add(&r->count[reason], n);
}

static __always_inline void sn_count_reason(__u32 slot, __u32 reason)
{
	sn_count_reasons(slot, reason, 1);
}

/* A GSO packet counts as the segments that it becomes. One that comes from
 * outside the kernel (tap, AF_PACKET) has no count yet. */
static __always_inline __u32 sn_count_segments(struct __sk_buff *skb,
					       const struct sn_packet *p)
{
	__u32 headers = p->transport - p->offset + p->header_bytes;

	if (skb->gso_segs)
		return skb->gso_segs;
	if (!skb->gso_size || p->error || p->length <= headers)
		return 1;
	return (p->length - headers + skb->gso_size - 1) / skb->gso_size;
}

static __always_inline void sn_count_packet(__u32 slot, __u32 direction,
					    __u32 packets, __u32 bytes,
					    int blocked)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct sn_counters *c;
	__u32 index;

	/* Where CPU numbers have gaps, the high ones share the first's row. */
	index = slot * sn_n_cpus + (cpu < sn_n_cpus ? cpu : 0);
	c = bpf_map_lookup_elem(&sn_counters, &index);
	direction &= 1;
	if (!c)
		return;
	if (blocked) {
		__sync_fetch_and_add(&c->blocked_packets[direction], packets);
		__sync_fetch_and_add(&c->blocked_bytes[direction], bytes);
	} else {
		__sync_fetch_and_add(&c->allowed_packets[direction], packets);
		__sync_fetch_and_add(&c->allowed_bytes[direction], bytes);
	}
}

/* At most SN_EVENTS_PER_SECOND events of a slot; two CPUs that begin a second
 * at once may let a few more through. */
static __always_inline int sn_count_event_allowed(__u32 slot, __u64 now)
{
	struct sn_usage *usage = bpf_map_lookup_elem(&sn_usage, &slot);
	__u32 second = (__u32)(now / 1000000000ULL);

	if (!usage)
		return 0;
	if (SN_READ(usage->event_second) != second) {
		SN_WRITE(usage->event_second, second);
		SN_WRITE(usage->events, 0);
	}
	if (SN_READ(usage->events) >= SN_EVENTS_PER_SECOND)
		return 0;
	__sync_fetch_and_add(&usage->events, 1);
	return 1;
}

/* Copy of the flow that a packet belongs to. */
struct sn_flow_view {
	__u64 admitted;
	__u32 flags;
	__u8 alive; /* 0: the rest has no meaning */
	__u8 answered; /* its entry is in sn_flows */
	__u8 pad[2];
};

struct sn_verdict_result {
	__u64 word;
	__u64 now; /* boot time; 0 until a judgement needs it */
	__u64 seen; /* the flows' clock */
	__u32 reason;
	__u32 rule_id;
	__u8 audit;
	__u8 no_flow; /* allowed without a flow to be kept */
	__u8 admit; /* judged as a new flow */
	__u8 send_only; /* inbound is BLOCK */
	__u8 reopens; /* inbound is ALLOW */
	__u8 pad[3];
	struct sn_flow_view flow; /* what is known of the packet's flow */
};

/* First packet of a denied flow: the flow's own entry in sn_denied says when it
 * was reported last. The rate is checked first, so that a flood cannot push
 * other slots' entries out of that table. */
static __always_inline int
sn_count_report(struct sn_packet *p, struct sn_verdict_result *v, int is_call)
{
	struct sn_event *event;
	struct sn_flow_key key;
	__u64 *last;
	__u64 now;

	if (!p || !v)
		return 0;
	now = v->now;
	key = sn_packet_copy_key(&p->key);
	last = bpf_map_lookup_elem(&sn_denied, &key);
	if (last && now - *last < SN_EVENT_REPEAT_NS)
		return 0;
	if (!sn_count_event_allowed(p->key.slot, now)) {
		sn_count_reason(p->key.slot, SN_REASON_EVENT_LIMITED);
		return 0;
	}
	bpf_map_update_elem(&sn_denied, &key, &now, BPF_ANY);
	event = bpf_ringbuf_reserve(&sn_events, sizeof(*event), 0);
	if (!event) {
		sn_count_reason(p->key.slot, SN_REASON_EVENT_LOST);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time = now;
	event->word = v->word;
	event->slot = p->key.slot;
	event->rule_id = v->rule_id;
	event->reason = (__u8)v->reason;
	event->direction = p->direction;
	event->family = p->key.family;
	event->protocol = p->key.protocol;
	event->hook = p->hook;
	event->audit = v->audit;
	event->local_port = p->key.local_port;
	event->remote_port = p->key.remote_port;
	sn_copy16(event->local, p->key.local);
	sn_copy16(event->remote, p->key.remote);
	if (is_call) {
		event->tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
		bpf_get_current_comm(event->comm, sizeof(event->comm));
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SN_GLOBAL int sn_count_event(struct sn_packet *p, struct sn_verdict_result *v)
{
	return sn_count_report(p, v, 0);
}

/* The same by the process that calls. Apart, because programs that see packets
 * may not ask for one on all kernels. */
SN_GLOBAL int sn_count_call(struct sn_packet *p, struct sn_verdict_result *v)
{
	return sn_count_report(p, v, 1);
}
