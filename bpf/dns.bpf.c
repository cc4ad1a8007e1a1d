/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* Programs of name resolution that belong to no attachment: the way back of
 * answers to interfaces, and who may reach the resolver's sockets. */

#include "bpf/lib/dns_tc.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	RETURN_SHOT = 2, /* TC_ACT_SHOT */
	FILTER_DROP = 0,
	FILTER_KEEP = -1, /* the whole packet */
};

/* A datagram goes on as a copy, which is no socket's: in a queue of a tenant's
 * interface it would else count for the listener's send buffer, and a full one
 * answers nobody. A connection's queue is its own. */
static __always_inline int send(struct __sk_buff *skb,
				const struct sn_packet *p, __u32 to)
{
	if (p->key.protocol != SN_PROTOCOL_UDP)
		return (int)bpf_redirect(to, 0);
	(void)bpf_clone_redirect(skb, to, 0);
	return RETURN_SHOT;
}

/* On what the host sends out of the resolver's interface. Only the listener's
 * own packets go on, to the one who asked: what is forwarded here came in by
 * another interface and can have the resolver's address forged. Fails closed:
 * nothing gets past this program on its interface. */
SEC("tc")
int sn_dns_return(struct __sk_buff *skb)
{
	struct sn_verdict_result v = {};
	struct sn_packet p = {};
	int to;

	p.hook = SN_HOOK_TC;
	p.direction = SN_INGRESS;
	p.role = SN_ROLE_WORKLOAD;
	if (skb->ingress_ifindex)
		return RETURN_SHOT;
	sn_packet_ethernet(skb, &p);
	p.key.slot = sn_dns_tc_answered(&p);
	if (!p.key.slot)
		return RETURN_SHOT;
	v.now = bpf_ktime_get_boot_ns();
	to = sn_dns_tc_restore(skb, &p, v.now);
	if (to > 0)
		return send(skb, &p, (__u32)to);
	/* Through memory: before Linux 6.2 a negated register has no bounds. */
	SN_WRITE(v.reason, (__u32)-to);
	sn_verdict_finish(skb, &p, &v);
	return RETURN_SHOT;
}

/* For the listeners of interfaces: only what steering sent, which comes in by
 * the resolver's interface and from a slot's address. Before the socket, so
 * that nobody else gets even a refusal. Fails closed: 0 drops. */
SEC("socket")
int sn_dns_filter_tc(struct __sk_buff *skb)
{
	const struct sn_dns *dns = sn_dns_get();
	__u8 address[16] SN_ALIGNED = {};
	__u8 version = 0;

	if (!dns || !dns->has_tc || skb->ifindex != dns->ifindex_host ||
	    bpf_skb_load_bytes_relative(skb, 0, &version, 1, BPF_HDR_START_NET))
		return FILTER_DROP;
	if (version >> 4 == 4) {
		if (bpf_skb_load_bytes_relative(skb, 12, address, 4,
						BPF_HDR_START_NET) ||
		    !sn_dns_tc_slot(dns, SN_FAMILY_IPV4, address))
			return FILTER_DROP;
		return FILTER_KEEP;
	}
	if (bpf_skb_load_bytes_relative(skb, 8, address, 16,
					BPF_HDR_START_NET) ||
	    !sn_dns_tc_slot(dns, SN_FAMILY_IPV6, address))
		return FILTER_DROP;
	return FILTER_KEEP;
}
