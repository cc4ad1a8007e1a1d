/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* From bytes to struct sn_packet: Ethernet, ARP, IPv4 with options, IPv6 with
 * a bounded extension chain, and the first bytes of the transport header.
 * Reads only through sn_packet_load(), so that the same code is compiled for
 * user space by the fuzzer. Fails closed: whatever cannot be read whole ends in
 * p->error. */

#include "bpf/lib/env.h"

enum {
	SN_ETHERNET_BYTES = 14,
	SN_ETHERTYPE_IPV4 = 0x0800,
	SN_ETHERTYPE_ARP = 0x0806,
	SN_ETHERTYPE_VLAN = 0x8100,
	SN_ETHERTYPE_IPV6 = 0x86dd,
	SN_ETHERTYPE_MPLS = 0x8847,
	SN_ETHERTYPE_MPLS_MULTICAST = 0x8848,
	SN_ETHERTYPE_PPPOE_DISCOVERY = 0x8863,
	SN_ETHERTYPE_PPPOE = 0x8864,
	SN_ETHERTYPE_QINQ = 0x88a8,
	SN_ETHERTYPE_QINQ_OLD = 0x9100,
};

enum {
	SN_PACKET_NEAR = 4096, /* offsets that are tried in place */
};

enum {
	SN_PROTOCOL_HOP_BY_HOP = 0,
	SN_PROTOCOL_ICMP = 1,
	SN_PROTOCOL_TCP = 6,
	SN_PROTOCOL_UDP = 17,
	SN_PROTOCOL_DCCP = 33,
	SN_PROTOCOL_ROUTING = 43,
	SN_PROTOCOL_FRAGMENT = 44,
	SN_PROTOCOL_ICMPV6 = 58,
	SN_PROTOCOL_DESTINATION = 60,
	SN_PROTOCOL_SCTP = 132,
	SN_PROTOCOL_UDPLITE = 136,
};

enum {
	SN_EXTENSIONS_MAX = 8, /* IPv6 extension headers */
	SN_OPTION_LSRR = 131, /* RFC 791 3.1 */
	SN_OPTION_SSRR = 137,
	SN_TCP_FIN = 1,
	SN_TCP_SYN = 2,
	SN_TCP_RST = 4,
	SN_TCP_ACK = 16,
	/* A frame of the shortest Ethernet length with its check sequence: more
	 * in an ARP frame is payload. */
	SN_ARP_FRAME_MAX = 64,
	/* IPv6 header, neighbour message of 24 bytes, two options of 8. */
	SN_NEIGHBOUR_MAX = 80,
	SN_MLD_MAX = 512,
};

enum sn_packet_kind {
	SN_PACKET_PLAIN,
	SN_PACKET_ARP,
	SN_PACKET_ICMP_ERROR,
	SN_PACKET_NEIGHBOUR,
	SN_PACKET_MLD,
	SN_PACKET_DHCP,
};

enum sn_packet_fragment {
	SN_PACKET_WHOLE,
	SN_PACKET_FIRST,
	SN_PACKET_LATER,
};

struct sn_packet {
	struct sn_flow_key key;
	__u32 error; /* enum sn_reason; 0: parsed */
	__u32 offset; /* of the network header */
	__u32 length; /* from the network header on */
	__u32 transport; /* offset of the transport header */
	__u32 fragment_id;
	__u16 fragment_offset; /* bytes */
	__u16 header_bytes; /* of a first fragment's payload, up to and with
			     * the transport header */
	__u8 fragment; /* enum sn_packet_fragment */
	__u8 fragment_protocol;
	__u8 direction;
	__u8 kind;
	__u8 has_ports;
	__u8 keeps_flow; /* a flow may be made from it */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 hop_limit;
	__u8 role; /* enum sn_role */
	__u8 hook; /* enum sn_hook */
	__u8 loopback; /* cgroup hooks: on the loopback device */
	__u8 quotes_flow; /* ICMP error about a live flow */
	__u8 reflected; /* comes back as the workload itself sent it */
	__u8 steered; /* the hook knows it as on its way to or from the
		       * slot's resolver */
	__u8 over_rate; /* steered, and one query too many */
};

/* Before Linux 6.2 a map takes its key only from the stack, and what a global
 * function was given does not count as that. */
static __always_inline struct sn_flow_key
sn_packet_copy_key(const struct sn_flow_key *from)
{
	struct sn_flow_key key;
	__u32 *to = (__u32 *)&key;

	for (__u32 i = 0; i < sizeof(key) / 4; i++)
		to[i] = ((const __u32 *)from)[i];
	return key;
}

static __always_inline int sn_packet_load(struct __sk_buff *skb, __u32 offset,
					  void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(skb, offset, to, bytes);
}

/* The same for headers that almost always lie in the linear part, where reading
 * them in place is cheaper than the helper. bytes: even and constant. */
static __always_inline int
sn_packet_load_near(struct __sk_buff *skb, __u32 offset, void *to, __u32 bytes)
{
#ifdef __bpf__
	const __u8 *from = (const __u8 *)(long)skb->data;
	const __u8 *end = (const __u8 *)(long)skb->data_end;

	if (offset < SN_PACKET_NEAR) {
		from += offset;
		if (from + bytes <= end) {
			__u32 *t = (__u32 *)to;
			const __u32 *f = (const __u32 *)from;

#pragma clang loop unroll(full)
			for (__u32 i = 0; i < bytes / 4; i++)
				t[i] = f[i];
			if (bytes & 2)
				*(__u16 *)&t[bytes / 4] =
					*(const __u16 *)&f[bytes / 4];
			return 0;
		}
	}
#endif
	return sn_packet_load(skb, offset, to, bytes);
}

static __always_inline int sn_packet_has_ports(__u8 protocol)
{
	return protocol == SN_PROTOCOL_TCP || protocol == SN_PROTOCOL_UDP ||
	       protocol == SN_PROTOCOL_SCTP || protocol == SN_PROTOCOL_DCCP ||
	       protocol == SN_PROTOCOL_UDPLITE;
}

/* Bytes of a transport header that must be there before it is believed. */
static __always_inline __u32 sn_packet_header_min(__u8 protocol)
{
	switch (protocol) {
	case SN_PROTOCOL_TCP:
		return 20;
	case SN_PROTOCOL_SCTP:
	case SN_PROTOCOL_DCCP:
		return 12;
	case SN_PROTOCOL_UDP:
	case SN_PROTOCOL_UDPLITE:
	case SN_PROTOCOL_ICMP:
	case SN_PROTOCOL_ICMPV6:
		return 8;
	default:
		return 0;
	}
}

static __always_inline void sn_packet_set_addresses(struct sn_packet *p,
						    const __u8 *source,
						    const __u8 *destination,
						    __u32 bytes)
{
	__u8 *local = p->key.local;
	__u8 *remote = p->key.remote;

	if (p->direction == SN_EGRESS) {
		__builtin_memcpy(local, source, bytes);
		__builtin_memcpy(remote, destination, bytes);
	} else {
		__builtin_memcpy(local, destination, bytes);
		__builtin_memcpy(remote, source, bytes);
	}
}

static __always_inline void sn_packet_set_ports(struct sn_packet *p,
						__u16 source, __u16 destination)
{
	if (p->direction == SN_EGRESS) {
		p->key.local_port = source;
		p->key.remote_port = destination;
	} else {
		p->key.local_port = destination;
		p->key.remote_port = source;
	}
}

/* ::ffff:0:0/96: an IPv4 address where only IPv6 ones may stand (RFC 4291
 * 2.5.5.2; draft-itojun-v6ops-v4mapped-harmful). */
static __always_inline int sn_packet_is_mapped(const __u8 *address)
{
	const __u32 *w = (const __u32 *)address;

	return w[0] == 0 && w[1] == 0 && w[2] == bpf_htonl(0xffff);
}

static __always_inline int sn_packet_is_link_multicast(const __u8 *address)
{
	return address[0] == 0xff && (address[1] & 0x0f) == 2;
}

static __always_inline const __u8 *
sn_packet_destination(const struct sn_packet *p)
{
	return p->direction == SN_EGRESS ? p->key.remote : p->key.local;
}

static __always_inline int sn_packet_is_echo(int is6, __u8 type, int request)
{
	if (is6)
		return type == (request ? 128 : 129);
	return type == (request ? 8 : 0);
}

static __always_inline __u8 sn_packet_icmp_kind(int is6, __u8 type)
{
	switch (type) {
	case 3:
		return SN_PACKET_ICMP_ERROR;
	case 11:
	case 12:
		return is6 ? SN_PACKET_PLAIN : SN_PACKET_ICMP_ERROR;
	case 1:
	case 2:
	case 4:
		return is6 ? SN_PACKET_ICMP_ERROR : SN_PACKET_PLAIN;
	case 130 ... 132:
	case 143:
		return is6 ? SN_PACKET_MLD : SN_PACKET_PLAIN;
	case 133 ... 137:
		return is6 ? SN_PACKET_NEIGHBOUR : SN_PACKET_PLAIN;
	default:
		return SN_PACKET_PLAIN;
	}
}

/* The identifier stands for both ports of an echo, so that a reply finds its
 * request's flow; other messages get a key that no echo can have. */
static __always_inline void sn_packet_icmp(struct sn_packet *p,
					   const __u8 *header)
{
	__u8 type = header[0];
	int is6 = p->key.family == SN_FAMILY_IPV6;
	__u16 id = *(const __u16 *)(header + 4);

	p->icmp_type = type;
	p->keeps_flow = (__u8)sn_packet_is_echo(is6, type, 1);
	if (p->keeps_flow || sn_packet_is_echo(is6, type, 0)) {
		p->key.local_port = id;
		p->key.remote_port = id;
		return;
	}
	p->key.local_port = 0;
	p->key.remote_port = bpf_htons(0x100 | type);
	p->kind = sn_packet_icmp_kind(is6, type);
}

static __always_inline void sn_packet_mark_dhcp(struct sn_packet *p,
						__u16 source, __u16 destination)
{
	__u16 client = p->key.family == SN_FAMILY_IPV4 ? 68 : 546;
	__u16 server = p->key.family == SN_FAMILY_IPV4 ? 67 : 547;

	if ((source == bpf_htons(client) && destination == bpf_htons(server)) ||
	    (source == bpf_htons(server) && destination == bpf_htons(client)))
		p->kind = SN_PACKET_DHCP;
}

/* Ports, or what stands for them. */
static __always_inline void sn_packet_identify(struct sn_packet *p,
					       const __u8 *header)
{
	__u16 source = *(const __u16 *)header;
	__u16 destination = *(const __u16 *)(header + 2);

	if (!sn_packet_has_ports(p->key.protocol)) {
		sn_packet_icmp(p, header);
		return;
	}
	p->has_ports = 1;
	sn_packet_set_ports(p, source, destination);
	if (p->key.protocol == SN_PROTOCOL_UDP)
		sn_packet_mark_dhcp(p, source, destination);
}

/* True if only the addresses and the protocol's number are looked at. */
static __always_inline int sn_packet_is_opaque(const struct sn_packet *p)
{
	if (p->key.protocol == SN_PROTOCOL_ICMPV6)
		return p->key.family == SN_FAMILY_IPV4;
	if (p->key.protocol == SN_PROTOCOL_ICMP)
		return p->key.family == SN_FAMILY_IPV6;
	return sn_packet_header_min(p->key.protocol) == 0;
}

static __always_inline __u32 sn_packet_cut(const struct sn_packet *p)
{
	return p->fragment == SN_PACKET_FIRST ? SN_REASON_FRAGMENT_SHORT :
						SN_REASON_PARSE;
}

/* end: first offset behind the network packet. */
SN_GLOBAL int sn_packet_transport(struct __sk_buff *skb, struct sn_packet *p,
				  __u32 end)
{
	__u8 header[16] SN_ALIGNED = {};
	__u32 minimum, room;
	int is_tcp;

	if (!p)
		return SN_REASON_HELPER;
	minimum = sn_packet_header_min(p->key.protocol);
	is_tcp = p->key.protocol == SN_PROTOCOL_TCP;
	room = end - p->transport;
	p->keeps_flow = 1;
	p->header_bytes = 8;
	if (sn_packet_is_opaque(p))
		return 0;
	if (p->transport > end || room < minimum)
		return (int)sn_packet_cut(p);
	if (is_tcp ? sn_packet_load_near(skb, p->transport, header, 14) :
		     sn_packet_load_near(skb, p->transport, header, 8))
		return SN_REASON_PARSE;
	if (is_tcp) {
		minimum = (__u32)(header[12] >> 4) * 4;
		if (minimum < 20)
			return SN_REASON_PARSE;
		if (minimum > room)
			return (int)sn_packet_cut(p);
		p->tcp_flags = header[13];
	}
	p->header_bytes = (__u16)minimum;
	sn_packet_identify(p, header);
	return 0;
}

/* One IPv4 option at `offset`, of which `room` bytes are left. Refuses loose and
 * strict source routes: the packet would end elsewhere than its destination
 * address says. Returns the option's length, 0 for the end of the list, or
 * -enum sn_reason. */
SN_GLOBAL int sn_packet_option(struct __sk_buff *skb, __u32 offset, __u32 room)
{
	__u8 option[2] SN_ALIGNED;

	if (sn_packet_load(skb, offset, option, 1))
		return -SN_REASON_PARSE;
	if (option[0] == 0)
		return 0;
	if (option[0] == 1)
		return 1;
	if (option[0] == SN_OPTION_LSRR || option[0] == SN_OPTION_SSRR)
		return -SN_REASON_SOURCE_ROUTE;
	if (room < 2 || sn_packet_load(skb, offset, option, 2))
		return -SN_REASON_PARSE;
	if (option[1] < 2 || option[1] > room)
		return -SN_REASON_PARSE;
	return option[1];
}

SN_GLOBAL int sn_packet_options(struct __sk_buff *skb, __u32 offset,
				__u32 bytes)
{
	__u32 at = 0;

	for (int i = 0; i < 40; i++) {
		int r;

		if (at >= bytes)
			return 0;
		r = sn_packet_option(skb, offset + at, bytes - at);
		if (r <= 0)
			return -r;
		at += (__u32)r;
	}
	return 0;
}

/* The length that the network header states, checked against what is there.
 * 0 stands for "too long for the field" in GSO packets (BIG TCP). */
static __always_inline int sn_packet_bound(struct __sk_buff *skb, __u32 offset,
					   __u32 stated, __u32 *end)
{
	__u32 there = skb->len;

	if (offset > there)
		return SN_REASON_PARSE;
	there -= offset;
	if (stated == 0 && skb->gso_size)
		stated = there;
	if (stated > there)
		return SN_REASON_PARSE;
	*end = offset + stated;
	return 0;
}

SN_GLOBAL int sn_packet_ipv4(struct __sk_buff *skb, struct sn_packet *p)
{
	__u8 header[20] SN_ALIGNED;
	__u32 offset, bytes, end;
	__u16 fragment;
	int r;

	if (!p)
		return SN_REASON_HELPER;
	offset = p->offset;
	if (sn_packet_load_near(skb, offset, header, sizeof(header)))
		return SN_REASON_PARSE;
	bytes = (__u32)(header[0] & 0x0f) * 4;
	if (header[0] >> 4 != 4 || bytes < 20)
		return SN_REASON_PARSE;
	r = sn_packet_bound(skb, offset, bpf_ntohs(*(__u16 *)(header + 2)),
			    &end);
	if (r)
		return r;
	if (end < offset + bytes)
		return SN_REASON_PARSE;

	p->key.family = SN_FAMILY_IPV4;
	p->key.protocol = header[9];
	p->hop_limit = header[8];
	sn_packet_set_addresses(p, header + 12, header + 16, 4);
	if (bytes > 20) {
		r = sn_packet_options(skb, offset + 20, bytes - 20);
		if (r)
			return r;
	}
	p->transport = offset + bytes;
	fragment = bpf_ntohs(*(__u16 *)(header + 6));
	if (fragment & 0x3fff) {
		p->fragment_id = *(__u16 *)(header + 4);
		p->fragment_offset = (__u16)((fragment & 0x1fff) * 8);
		p->fragment_protocol = p->key.protocol;
		p->fragment = p->fragment_offset ? SN_PACKET_LATER :
						   SN_PACKET_FIRST;
		if (p->fragment == SN_PACKET_LATER)
			return 0;
	}
	return sn_packet_transport(skb, p, end);
}

struct sn_chain {
	__u32 at; /* offset of the header that `next` names */
	__u32 end;
	__u32 payload; /* behind the fragment header */
	__u8 next;
	__u8 done;
	__u8 pad[2];
};

static __always_inline int sn_packet_is_extension(__u8 next)
{
	return next == SN_PROTOCOL_HOP_BY_HOP || next == SN_PROTOCOL_ROUTING ||
	       next == SN_PROTOCOL_FRAGMENT || next == SN_PROTOCOL_DESTINATION;
}

/* RFC 8200 4.5; a packet that is its own only fragment is whole (RFC 6946). */
static __always_inline int sn_packet_fragment_header(struct sn_packet *p,
						     struct sn_chain *chain,
						     const __u8 *header)
{
	__u16 fragment = bpf_ntohs(*(const __u16 *)(header + 2));

	if (p->fragment != SN_PACKET_WHOLE)
		return SN_REASON_PARSE;
	chain->next = header[0];
	chain->at += 8;
	if (!(fragment & 0xfff9))
		return 0;
	chain->payload = chain->at;
	p->fragment_id = *(const __u32 *)(header + 4);
	p->fragment_offset = fragment & 0xfff8;
	p->fragment_protocol = header[0];
	p->fragment = p->fragment_offset ? SN_PACKET_LATER : SN_PACKET_FIRST;
	chain->done = p->fragment == SN_PACKET_LATER;
	return 0;
}

/* One extension header (RFC 8200 4). A first fragment must hold its whole chain
 * (RFC 7112). */
SN_GLOBAL int sn_packet_extension(struct __sk_buff *skb, struct sn_packet *p,
				  struct sn_chain *chain, int first)
{
	__u8 header[8] SN_ALIGNED;
	__u32 bytes;

	if (!p || !chain)
		return SN_REASON_HELPER;
	if (!sn_packet_is_extension(chain->next)) {
		chain->done = 1;
		return 0;
	}
	if (chain->next == SN_PROTOCOL_HOP_BY_HOP && !first)
		return SN_REASON_PARSE;
	if (chain->at + 8 > chain->end)
		return (int)sn_packet_cut(p);
	if (sn_packet_load(skb, chain->at, header, sizeof(header)))
		return SN_REASON_PARSE;
	if (chain->next == SN_PROTOCOL_FRAGMENT)
		return sn_packet_fragment_header(p, chain, header);
	if (chain->next == SN_PROTOCOL_ROUTING && header[3] != 0)
		return SN_REASON_SOURCE_ROUTE;
	bytes = ((__u32)header[1] + 1) * 8;
	if (chain->at + bytes > chain->end)
		return (int)sn_packet_cut(p);
	chain->next = header[0];
	chain->at += bytes;
	return 0;
}

SN_GLOBAL int sn_packet_ipv6(struct __sk_buff *skb, struct sn_packet *p)
{
	struct sn_chain chain = {};
	__u8 header[40] SN_ALIGNED;
	__u32 offset;
	__u16 stated;
	int r;

	if (!p)
		return SN_REASON_HELPER;
	offset = p->offset;
	if (sn_packet_load_near(skb, offset, header, sizeof(header)))
		return SN_REASON_PARSE;
	if (header[0] >> 4 != 6)
		return SN_REASON_PARSE;
	stated = bpf_ntohs(*(__u16 *)(header + 4));
	if (stated == 0 && skb->gso_size)
		r = sn_packet_bound(skb, offset, 0, &chain.end);
	else
		r = sn_packet_bound(skb, offset, 40U + stated, &chain.end);
	if (r)
		return r;

	p->key.family = SN_FAMILY_IPV6;
	p->hop_limit = header[7];
	sn_packet_set_addresses(p, header + 8, header + 24, 16);
	if (sn_packet_is_mapped(p->key.local) ||
	    sn_packet_is_mapped(p->key.remote))
		return SN_REASON_ADDRESS;

	chain.next = header[6];
	chain.at = offset + 40;
	for (int i = 0; i <= SN_EXTENSIONS_MAX; i++) {
		r = sn_packet_extension(skb, p, &chain, i == 0);
		if (r)
			return r;
		if (chain.done)
			break;
	}
	if (!chain.done)
		return SN_REASON_PARSE;
	p->key.protocol = chain.next;
	p->transport = chain.at;
	if (p->fragment == SN_PACKET_LATER)
		return 0;
	r = sn_packet_transport(skb, p, chain.end);
	if (p->fragment == SN_PACKET_FIRST)
		p->header_bytes += (__u16)(chain.at - chain.payload);
	return r;
}

/* Network layer at `offset`, by its version. */
static __always_inline void sn_packet_network(struct __sk_buff *skb,
					      struct sn_packet *p, __u32 offset)
{
	__u8 version = 0;

	p->offset = offset;
	p->length = skb->len - offset;
	if (sn_packet_load(skb, offset, &version, 1))
		p->error = SN_REASON_PARSE;
	else if (version >> 4 == 4)
		p->error = (__u32)sn_packet_ipv4(skb, p);
	else if (version >> 4 == 6)
		p->error = (__u32)sn_packet_ipv6(skb, p);
	else
		p->error = SN_REASON_PARSE;
}

/* RFC 826 over Ethernet; a workload speaks only for the address that its frame
 * comes from, and carries nothing behind the message. */
static __always_inline int
sn_packet_arp(struct __sk_buff *skb, struct sn_packet *p, const __u8 *ethernet)
{
	__u8 arp[28] SN_ALIGNED;

	p->kind = SN_PACKET_ARP;
	if (sn_packet_load(skb, SN_ETHERNET_BYTES, arp, sizeof(arp)))
		return SN_REASON_PARSE;
	if (p->direction == SN_INGRESS)
		return 0;
	if (skb->len > SN_ARP_FRAME_MAX)
		return SN_REASON_ARP;
	for (int i = 0; i < 6; i++)
		if (arp[8 + i] != ethernet[6 + i])
			return SN_REASON_ARP;
	return 0;
}

/* A frame that begins with an Ethernet header. One VLAN tag was moved into
 * the skb by the kernel before; what is still in the frame is an inner one. */
static __always_inline void sn_packet_ethernet(struct __sk_buff *skb,
					       struct sn_packet *p)
{
	__u8 header[SN_ETHERNET_BYTES] SN_ALIGNED;
	__u16 type;

	p->offset = SN_ETHERNET_BYTES;
	p->length =
		skb->len > SN_ETHERNET_BYTES ? skb->len - SN_ETHERNET_BYTES : 0;
	if (sn_packet_load_near(skb, 0, header, sizeof(header))) {
		p->error = SN_REASON_PARSE;
		return;
	}
	type = bpf_ntohs(*(__u16 *)(header + 12));
	switch (type) {
	case SN_ETHERTYPE_IPV4:
		p->error = (__u32)sn_packet_ipv4(skb, p);
		break;
	case SN_ETHERTYPE_IPV6:
		p->error = (__u32)sn_packet_ipv6(skb, p);
		break;
	case SN_ETHERTYPE_ARP:
		p->error = (__u32)sn_packet_arp(skb, p, header);
		break;
	case SN_ETHERTYPE_VLAN:
	case SN_ETHERTYPE_QINQ:
	case SN_ETHERTYPE_QINQ_OLD:
	case SN_ETHERTYPE_MPLS:
	case SN_ETHERTYPE_MPLS_MULTICAST:
	case SN_ETHERTYPE_PPPOE_DISCOVERY:
	case SN_ETHERTYPE_PPPOE:
		p->error = SN_REASON_ENCAPSULATED;
		break;
	default:
		p->error = SN_REASON_ETHERTYPE;
	}
}
