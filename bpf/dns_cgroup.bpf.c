/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* Name resolution of cgroups, beside the calls that sn_connect and sn_sendmsg
 * steer: the answers' addresses, the addresses and ports that no attached
 * cgroup may take, and the filter of the listeners. */

#include "bpf/lib/dns_cgroup.h"
#include "bpf/lib/verdict.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	CALL_REFUSE = 0,
	CALL_PASS = 1,
	FILTER_DROP = 0,
	FILTER_KEEP = 0x7fffffff, /* bytes, more than any packet has */
	IPV4_BYTES = 20,
	IPV6_BYTES = 40,
	TCP_BYTES = 20,
	STATE_LISTEN = 10, /* TCP_LISTEN */
};

static __always_inline int restore(struct bpf_sock_addr *ctx, int is6)
{
	__u32 *slot = bpf_get_local_storage(&sn_cgroups, 0);

	sn_dns_cgroup_restore(ctx, SN_READ(*slot), is6);
	return CALL_PASS;
}

/* Decides nothing: what is not the slot's listener stays as it is. */
SEC("cgroup/recvmsg4")
int sn_recvmsg4(struct bpf_sock_addr *ctx)
{
	return restore(ctx, 0);
}

/* Decides nothing, as above. */
SEC("cgroup/recvmsg6")
int sn_recvmsg6(struct bpf_sock_addr *ctx)
{
	return restore(ctx, 1);
}

/* Decides nothing, as above. */
SEC("cgroup/getpeername4")
int sn_getpeername4(struct bpf_sock_addr *ctx)
{
	return restore(ctx, 0);
}

/* Decides nothing, as above. */
SEC("cgroup/getpeername6")
int sn_getpeername6(struct bpf_sock_addr *ctx)
{
	return restore(ctx, 1);
}

static __always_inline int refuse_bind(struct sn_packet *p)
{
	struct sn_verdict_result v = {};
	__u32 slot = p->key.slot;
	__u64 *word = bpf_map_lookup_elem(&sn_words, &slot);

	if (word)
		v.word = SN_READ(*word);
	v.now = bpf_ktime_get_boot_ns();
	v.reason = SN_REASON_DNS_ADDRESS;
	(void)sn_verdict_refuse_call(p, &v);
	return CALL_REFUSE;
}

/* Whatever the policy: the listeners serve all attachments of the host, and
 * who took their port before sentinel-cp would end name resolution for all.
 * Other network namespaces have ports and addresses of their own. */
static __always_inline int judge_bind(struct bpf_sock_addr *ctx, int is6)
{
	__u32 *slot = bpf_get_local_storage(&sn_cgroups, 0);
	const struct sn_dns *dns = sn_dns_get();
	struct sn_packet p = {};

	if (!dns)
		return CALL_REFUSE;
	if (!dns->port_cgroup || bpf_get_netns_cookie(ctx) != dns->netns_cookie)
		return CALL_PASS;
	p.hook = SN_HOOK_BIND;
	p.direction = SN_INGRESS;
	p.key.slot = SN_READ(*slot);
	p.key.protocol = (__u8)ctx->protocol;
	p.key.local_port = (__u16)ctx->user_port;
	p.key.family = sn_dns_cgroup_read(ctx, is6, (__u32 *)p.key.local);
	if (p.key.local_port == dns->port_cgroup ||
	    p.key.local_port == dns->port_tc ||
	    sn_dns_is_reserved(dns, p.key.family, p.key.local))
		return refuse_bind(&p);
	return CALL_PASS;
}

/* Fails closed: 0 makes bind() end in EPERM. */
SEC("cgroup/bind4")
int sn_bind4(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 0);
}

/* Fails closed, as above. */
SEC("cgroup/bind6")
int sn_bind6(struct bpf_sock_addr *ctx)
{
	return judge_bind(ctx, 1);
}

/* The network header of a packet at a listener, as far as it is needed. */
struct arrival {
	__u32 slot; /* whose address it is for; 0: nobody's */
	__u32 transport; /* offset of the transport header */
	__u32 payload; /* bytes behind the network header */
	__u8 protocol;
};

static __always_inline int read_network(const struct __sk_buff *skb,
					void *header, __u32 offset, __u32 bytes)
{
	return bpf_skb_load_bytes_relative(skb, offset, header, bytes,
					   BPF_HDR_START_NET);
}

static __always_inline void look4(const struct __sk_buff *skb,
				  struct arrival *arrival)
{
	__u8 header[IPV4_BYTES] SN_ALIGNED;
	__u32 bytes, address;

	if (read_network(skb, header, 0, sizeof(header)))
		return;
	address = bpf_ntohl(*(__u32 *)(header + 16));
	bytes = (__u32)(header[0] & 0x0f) * 4;
	arrival->protocol = header[9];
	arrival->transport = bytes;
	arrival->payload = bpf_ntohs(*(__u16 *)(header + 2)) - bytes;
	if ((address ^ SN_DNS_LOOPBACK4) >> (32 - SN_DNS_LOOPBACK4_BITS) == 0)
		arrival->slot = address & SN_DNS_LOOPBACK4_SLOT_MAX;
}

static __always_inline void look6(const struct __sk_buff *skb,
				  const struct sn_dns *dns,
				  struct arrival *arrival)
{
	__u8 header[IPV6_BYTES] SN_ALIGNED;

	if (read_network(skb, header, 0, sizeof(header)))
		return;
	arrival->protocol = header[6];
	arrival->transport = IPV6_BYTES;
	arrival->payload = bpf_ntohs(*(__u16 *)(header + 4));
	if (sn_dns_is_in_64(dns->loopback6, (const __u32 *)(header + 24)))
		arrival->slot = bpf_ntohl(*(__u32 *)(header + 36));
}

/* What the kernel itself sends for a socket that is closed or resets: no hook
 * sees it, so it has no mark. It carries nothing, and a connection that has
 * none of it would stay for minutes. */
static __always_inline int is_farewell(const struct __sk_buff *skb,
				       const struct arrival *arrival)
{
	const struct bpf_sock *sk = skb->sk;
	__u8 header[TCP_BYTES] SN_ALIGNED;
	__u8 flags;

	if (arrival->protocol != SN_PROTOCOL_TCP || !sk ||
	    sk->state == STATE_LISTEN ||
	    read_network(skb, header, arrival->transport, sizeof(header)))
		return 0;
	flags = header[13] &
		(SN_TCP_FIN | SN_TCP_SYN | SN_TCP_RST | SN_TCP_ACK);
	return (flags == SN_TCP_ACK || flags == SN_TCP_RST ||
		flags == (SN_TCP_RST | SN_TCP_ACK)) &&
	       arrival->payload == (__u32)(header[12] >> 4) * 4;
}

/* On the listeners for cgroups. Fails closed: what no egress program has marked
 * for the slot of its destination is dropped, before anything answers it. */
SEC("socket")
int sn_dns_filter_cgroup(struct __sk_buff *skb)
{
	const struct sn_dns *dns = sn_dns_get();
	struct arrival arrival = {};

	if (!dns || skb->ifindex != SN_DNS_LOOPBACK_IFINDEX)
		return FILTER_DROP;
	if (skb->protocol == bpf_htons(SN_ETHERTYPE_IPV4))
		look4(skb, &arrival);
	else if (skb->protocol == bpf_htons(SN_ETHERTYPE_IPV6))
		look6(skb, dns, &arrival);
	if (!arrival.slot)
		return FILTER_DROP;
	if (skb->mark && skb->mark == sn_dns_mark_of(dns->mark, arrival.slot))
		return FILTER_KEEP;
	if (is_farewell(skb, &arrival))
		return FILTER_KEEP;
	sn_count_reason(0, SN_REASON_DNS_ADDRESS);
	return FILTER_DROP;
}
