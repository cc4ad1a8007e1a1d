/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* cgroup programs. Each finds its slot in the storage of the cgroup that it is
 * attached to. cgroup_skb judges every packet; connect and sendmsg only make a
 * refusal known to the caller at once, and turn to the slot's resolver what is
 * steered there. */

#include "bpf/lib/dns_cgroup.h"
#include "bpf/lib/verdict.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	CALL_REFUSE = 0,
	CALL_PASS = 1,
};

/* An IPv6 socket with IP_HDRINCL sends any bytes as IPv6, also those of an IPv4
 * packet that the policy allows: to the link's host for the address that the
 * call named, not for the one in the bytes. */
static __always_inline int is_other_version(const struct __sk_buff *skb,
					    const struct sn_packet *p)
{
	__u32 type = p->key.family == SN_FAMILY_IPV4 ? SN_ETHERTYPE_IPV4 :
						       SN_ETHERTYPE_IPV6;

	return skb->protocol != bpf_htons(type);
}

/* A datagram is a query, and so is what begins a connection. */
static __always_inline int is_over_rate(const struct sn_packet *p)
{
	return p->direction == SN_EGRESS &&
	       (p->key.protocol == SN_PROTOCOL_UDP || sn_flow_is_opening(p)) &&
	       sn_dns_is_over_rate(p->key.slot, bpf_ktime_get_boot_ns());
}

static __always_inline int judge_packet(struct __sk_buff *skb, __u8 direction)
{
	__u32 *slot = bpf_get_local_storage(&sn_cgroups, 0);
	struct sn_verdict_result v = {};
	struct sn_packet p = {};

	p.hook = SN_HOOK_CGROUP_SKB;
	p.direction = direction;
	p.role = SN_ROLE_WORKLOAD;
	p.loopback = skb->ifindex == SN_DNS_LOOPBACK_IFINDEX;
	p.key.slot = SN_READ(*slot);
	sn_packet_network(skb, &p, 0);
	if (!p.error && is_other_version(skb, &p))
		p.error = SN_REASON_PARSE;
	p.steered = (__u8)sn_dns_cgroup_is_steered(skb, &p);
	p.over_rate = (__u8)(p.steered && is_over_rate(&p));
	if (sn_verdict_packet(skb, &p, &v) != SN_OUTCOME_PASS)
		return 0;
	if (direction == SN_EGRESS)
		sn_dns_cgroup_set_mark(skb, &p, v.reason == SN_REASON_PASS_DNS);
	else if (p.steered && p.key.protocol == SN_PROTOCOL_UDP)
		sn_dns_give_back(p.key.slot);
	return 1;
}

/* Fails closed: 0 drops and the sender sees EPERM. */
SEC("cgroup_skb/egress")
int sn_skb_egress(struct __sk_buff *skb)
{
	return judge_packet(skb, SN_EGRESS);
}

/* Fails closed: 0 drops. */
SEC("cgroup_skb/ingress")
int sn_skb_ingress(struct __sk_buff *skb)
{
	return judge_packet(skb, SN_INGRESS);
}

/* A call to the unspecified address ends at the loopback address. */
static __always_inline void set_loopback(struct sn_packet *p)
{
	__u32 *a = (__u32 *)p->key.remote;

	if (a[0] | a[1] | a[2] | a[3])
		return;
	if (p->key.family == SN_FAMILY_IPV4)
		a[0] = bpf_htonl(0x7f000001);
	else
		a[3] = bpf_htonl(1);
}

/* DHCP discovery is passed by rule when its packet is seen whole. */
static __always_inline int is_dhcp_discovery(const struct sn_packet *p)
{
	const __u32 *a = (const __u32 *)p->key.remote;

	if (p->key.protocol != SN_PROTOCOL_UDP)
		return 0;
	if (p->key.family == SN_FAMILY_IPV4)
		return p->key.remote_port == bpf_htons(67) &&
		       a[0] == 0xffffffff;
	return p->key.remote_port == bpf_htons(547) &&
	       a[0] == bpf_htonl(0xff020000) && a[1] == 0 && a[2] == 0 &&
	       a[3] == bpf_htonl(0x00010002);
}

/* 127.0.0.0/8 or ::1. */
static __always_inline int is_loopback(const struct sn_packet *p)
{
	const __u32 *a = (const __u32 *)p->key.remote;

	if (p->key.family == SN_FAMILY_IPV4)
		return p->key.remote[0] == 127;
	return a[0] == 0 && a[1] == 0 && a[2] == 0 && a[3] == bpf_htonl(1);
}

/* Datagrams that only their packet can be judged by: a server's answer to a
 * process of its own cgroup passes on that process's flow. */
static __always_inline int is_judged_as_packet(const struct sn_packet *p)
{
	return is_loopback(p) || is_dhcp_discovery(p);
}

/* A name server on the loopback device is asked as little as any other. */
static __always_inline int is_for_resolver(const struct sn_packet *p)
{
	__u32 slot = p->key.slot;
	__u64 *word = bpf_map_lookup_elem(&sn_words, &slot);

	return word && sn_verdict_is_for_dns(p, SN_READ(*word));
}

static __always_inline int judge_call(struct bpf_sock_addr *ctx, __u8 hook,
				      int is6)
{
	__u32 *slot = bpf_get_local_storage(&sn_cgroups, 0);
	struct sn_verdict_result v = {};
	struct sn_packet p = {};
	int outcome;

	p.hook = hook;
	p.direction = SN_EGRESS;
	p.role = SN_ROLE_WORKLOAD;
	p.key.slot = SN_READ(*slot);
	p.key.protocol = (__u8)ctx->protocol;
	p.key.remote_port = (__u16)ctx->user_port;
	p.has_ports = (__u8)sn_packet_has_ports(p.key.protocol);
	if (!p.has_ports)
		p.key.remote_port = 0;
	p.key.family = sn_dns_cgroup_read(ctx, is6, (__u32 *)p.key.remote);
	set_loopback(&p);
	if (hook == SN_HOOK_SENDMSG && is_judged_as_packet(&p) &&
	    !is_for_resolver(&p))
		return CALL_PASS;
	outcome = sn_verdict_call(&p, &v);
	if (outcome == SN_OUTCOME_STEER) {
		v.reason = sn_dns_cgroup_steer(ctx, &p, is6);
		outcome = v.reason == SN_REASON_PASS_DNS ?
				  SN_OUTCOME_PASS :
				  sn_verdict_refuse_call(&p, &v);
	}
	return outcome == SN_OUTCOME_PASS ? CALL_PASS : CALL_REFUSE;
}

/* Fails closed: 0 makes connect() end in EPERM. */
SEC("cgroup/connect4")
int sn_connect4(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, SN_HOOK_CONNECT, 0);
}

/* Fails closed, as above. */
SEC("cgroup/connect6")
int sn_connect6(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, SN_HOOK_CONNECT, 1);
}

/* Fails closed: 0 makes sendmsg() to an address end in EPERM. */
SEC("cgroup/sendmsg4")
int sn_sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, SN_HOOK_SENDMSG, 0);
}

/* Fails closed, as above. */
SEC("cgroup/sendmsg6")
int sn_sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, SN_HOOK_SENDMSG, 1);
}
