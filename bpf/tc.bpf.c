/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* TC programs: one pair serves every attached interface, which finds its slot
 * by ifindex. For a workload's interface (host side of a veth or tap) what
 * comes in is the workload's egress; for role `host` it is what goes out. */

#include "bpf/lib/dns_tc.h"
#include "bpf/lib/verdict.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	VERDICT_NEXT = -1, /* TCX_NEXT, TC_ACT_UNSPEC: later programs run */
	VERDICT_SHOT = 2, /* TCX_DROP, TC_ACT_SHOT */
};

/* A query on its way to the slot's resolver. */
static __always_inline int steer(struct __sk_buff *skb, struct sn_packet *p,
				 struct sn_verdict_result *v, int ethernet)
{
	int to = sn_dns_tc_steer(skb, p, ethernet, v->now);

	if (to <= 0)
		v->reason = (__u32)-to;
	if (sn_verdict_finish(skb, p, v) != SN_OUTCOME_PASS)
		return VERDICT_SHOT;
	return (int)bpf_redirect((__u32)to, 0);
}

static __always_inline int judge(struct __sk_buff *skb, int enters)
{
	__u32 ifindex = skb->ifindex;
	struct sn_iface *iface = bpf_map_lookup_elem(&sn_ifaces, &ifindex);
	struct sn_verdict_result v = {};
	struct sn_packet p = {};
	int outcome;

	p.hook = SN_HOOK_TC;
	p.direction = enters ? SN_EGRESS : SN_INGRESS;
	if (!iface || iface->ifindex != ifindex) {
		p.length = skb->len;
		return sn_verdict_packet(skb, &p, &v) ? VERDICT_NEXT :
							VERDICT_SHOT;
	}
	p.key.slot = iface->slot;
	p.role = iface->role;
	if (iface->role == SN_ROLE_HOST)
		p.direction = enters ? SN_INGRESS : SN_EGRESS;
	if (iface->ethernet)
		sn_packet_ethernet(skb, &p);
	else
		sn_packet_network(skb, &p, 0);
	if (!enters && sn_dns_tc_is_answer(skb, &p)) {
		p.steered = 1;
		skb->mark = 0;
	}
	outcome = sn_verdict_packet(skb, &p, &v);
	if (outcome == SN_OUTCOME_STEER)
		return steer(skb, &p, &v, iface->ethernet);
	return outcome == SN_OUTCOME_PASS ? VERDICT_NEXT : VERDICT_SHOT;
}

/* Fails closed: an interface without a record has no slot and is dropped. */
SEC("tc")
int sn_tc_ingress(struct __sk_buff *skb)
{
	return judge(skb, 1);
}

/* Fails closed, as above. */
SEC("tc")
int sn_tc_egress(struct __sk_buff *skb)
{
	return judge(skb, 0);
}
