/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Steering of interfaces. A query is translated whole and redirected into a
 * veth pair whose other end has the resolver's addresses: its source becomes
 * the slot's own address, which is who asks, and a port of that address that
 * stands for client, client's port and server. The answer goes the same way
 * back. Tenants' addresses never meet, since none of them is on the pair.
 * Fails closed: what has no translation is dropped. */

#include "bpf/lib/verdict.h"

/* The race test builds once without the claim, to see that it would tell. */
#ifdef SN_TEST_NO_CLAIM
enum { SN_DNS_TC_CLAIMS = 0 };
#else
enum { SN_DNS_TC_CLAIMS = 1 };
#endif

enum {
	SN_DNS_RESOLVER = 1, /* its own address in a range */
	SN_DNS_NAT_PORTS = 65536 - SN_DNS_NAT_PORT_MIN,
};

/* The address `base + n` of a range. Returns 0 if the range has none. */
static __always_inline int sn_dns_tc_address(const struct sn_dns *dns,
					     __u8 family, __u32 n,
					     __u8 address[16])
{
	__u32 *a = (__u32 *)address;
	const __u32 *base = (const __u32 *)dns->range6;

	a[0] = a[1] = a[2] = a[3] = 0;
	if (family == SN_FAMILY_IPV4) {
		a[0] = bpf_htonl(bpf_ntohl(*(const __u32 *)dns->range4) + n);
		return sn_dns_is_in_range4(dns, a[0]);
	}
	a[0] = base[0];
	a[1] = base[1];
	a[3] = bpf_htonl(n);
	return 1;
}

/* Whose address is it? 0: no slot's. */
static __always_inline __u32 sn_dns_tc_slot(const struct sn_dns *dns,
					    __u8 family, const __u8 *address)
{
	const __u32 *a = (const __u32 *)address;
	__u32 n;

	if (family == SN_FAMILY_IPV4) {
		if (!sn_dns_is_in_range4(dns, a[0]))
			return 0;
		n = bpf_ntohl(a[0]) - bpf_ntohl(*(const __u32 *)dns->range4);
	} else {
		if (!sn_dns_is_in_64(dns->range6, a) || a[2])
			return 0;
		n = bpf_ntohl(a[3]);
	}
	return n > SN_DNS_SLOT_FIRST ? n - SN_DNS_SLOT_FIRST : 0;
}

/* What a packet's ends become. Addresses as in struct sn_flow_key, ports in
 * network order. */
struct sn_dns_ends {
	__u8 source[16];
	__u8 destination[16];
	__u16 source_port;
	__u16 destination_port;
	__u32 pad;
};

/* Checksums go by differences, which holds for those that the device has yet to
 * complete, for segments of a GSO packet and for UDP's absent one as well. IPv6
 * has no header checksum that would balance the change of its addresses, so
 * there the store corrects skb->csum. */
SN_GLOBAL int sn_dns_tc_rewrite(struct __sk_buff *skb, struct sn_packet *p,
				struct sn_dns_ends *to)
{
	__u32 addresses[8], sum, old_ports, new_ports;
	__u64 flags = 0;
	__s64 diff;
	int leaves;

	if (!p || !to)
		return -1;
	leaves = p->direction == SN_EGRESS;
	sn_copy16((__u8 *)addresses, leaves ? p->key.local : p->key.remote);
	sn_copy16((__u8 *)(addresses + 4),
		  leaves ? p->key.remote : p->key.local);
	diff = bpf_csum_diff(addresses, sizeof(addresses), (void *)to,
			     sizeof(addresses), 0);
	sum = p->transport + 16;
	if (p->key.protocol == SN_PROTOCOL_UDP) {
		sum = p->transport + 6;
		flags = BPF_F_MARK_MANGLED_0;
	}
	if (p->key.family == SN_FAMILY_IPV4) {
		/* Zero behind the address, so the sum is that of four bytes. */
		addresses[0] = *(__u32 *)to->source;
		addresses[1] = *(__u32 *)to->destination;
		if (bpf_l3_csum_replace(skb, p->offset + 10, 0, (__u64)diff,
					0) ||
		    bpf_skb_store_bytes(skb, p->offset + 12, addresses, 8, 0))
			return -1;
	} else if (bpf_skb_store_bytes(skb, p->offset + 8, to, 32,
				       BPF_F_RECOMPUTE_CSUM)) {
		return -1;
	}
	old_ports =
		leaves ? p->key.local_port | (__u32)p->key.remote_port << 16 :
			 p->key.remote_port | (__u32)p->key.local_port << 16;
	new_ports = to->source_port | (__u32)to->destination_port << 16;
	if (bpf_l4_csum_replace(skb, sum, 0, (__u64)diff,
				flags | BPF_F_PSEUDO_HDR) ||
	    bpf_l4_csum_replace(skb, sum, old_ports, new_ports, flags | 4) ||
	    bpf_skb_store_bytes(skb, p->transport, &new_ports, 4, 0))
		return -1;
	return 0;
}

static __always_inline __u64 sn_dns_tc_hash(const struct sn_dns_nat *nat)
{
	const sn_word64 *w = (const sn_word64 *)nat->client;
	__u64 h = nat->client_port;

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		h = (h ^ w[i]) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return h * 0xc4ceb9fe1a85ec53ULL;
}
_Static_assert(__builtin_offsetof(struct sn_dns_nat, server) ==
		       __builtin_offsetof(struct sn_dns_nat, client) + 16,
	       "hashed as one");

/* Is it the same conversation? The seal is read last. */
static __always_inline int sn_dns_tc_is_of(const struct sn_dns_nat *nat,
					   const struct sn_dns_nat *want,
					   __u64 seal)
{
	if (!sn_equal16(nat->client, want->client) ||
	    !sn_equal16(nat->server, want->server) ||
	    nat->client_port != want->client_port)
		return 0;
	sn_read_barrier();
	return SN_READ(nat->seal) == seal;
}

/* The client may have moved to another port of a bridge. */
static __always_inline int sn_dns_tc_is_current(const struct sn_dns_nat *nat,
						const struct sn_dns_nat *want)
{
	const sn_word32 *a = (const sn_word32 *)nat->mac_client;
	const sn_word32 *b = (const sn_word32 *)want->mac_client;

	return want->last_seen - nat->last_seen < SN_TOUCH_NS &&
	       nat->ifindex == want->ifindex &&
	       nat->vlan_tci == want->vlan_tci && a[0] == b[0] &&
	       a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}
_Static_assert(sizeof(struct sn_dns_nat) - __builtin_offsetof(struct sn_dns_nat,
							      mac_client) ==
		       16,
	       "compared as four words");

/* A place in sn_dns_nat for a conversation. */
struct sn_dns_tc_place {
	__u16 port; /* 0: there is none */
	__u8 is_known; /* it is there already */
	__u8 is_current; /* and need not be written */
	__u8 is_free; /* nothing was there */
};

enum {
	SN_DNS_TC_TIME_SHIFT = 20, /* about a millisecond */
	SN_DNS_TC_TIME_UNIT = 1 << 16, /* above the port */
};

#define SN_DNS_TC_QUIET_FREE 0x7fffffffffffffffLL
#define SN_DNS_TC_FREE_WORTH \
	((SN_DNS_TC_QUIET_FREE >> SN_DNS_TC_TIME_SHIFT) * SN_DNS_TC_TIME_UNIT)

/* How long a place was quiet, and its port below that: the greater one is the
 * better one to take. A free place is better than all others. */
static __always_inline __s64 sn_dns_tc_worth(const struct sn_dns_nat *nat,
					     __u64 now, __u16 port)
{
	__s64 quiet = SN_DNS_TC_QUIET_FREE;

	if (nat)
		quiet = (__s64)(now - SN_READ(nat->last_seen));
	return (quiet >> SN_DNS_TC_TIME_SHIFT) * SN_DNS_TC_TIME_UNIT + port;
}

/* Without a branch, of which the verifier would follow both ways. */
static __always_inline __s64 sn_dns_tc_greater(__s64 a, __s64 b)
{
	__s64 more = a - b;

	return a - (more & (more >> 63));
}

/* The place that it has, or else one of SN_DNS_NAT_TRIES that is free, or the
 * one that was quiet for longest, if for long enough. */
static __always_inline void sn_dns_tc_look(struct sn_dns_nat_key *key,
					   const struct sn_dns_nat *want,
					   struct sn_dns_tc_place *place)
{
	__u64 hash = sn_dns_tc_hash(want);
	__u32 at = (__u32)hash % SN_DNS_NAT_PORTS;
	__u32 step = (__u32)(hash >> 32) | 1;
	__s64 best = SN_DNS_NAT_IDLE_UDP_NS >> SN_DNS_TC_TIME_SHIFT;

	if (key->protocol == SN_PROTOCOL_TCP)
		best = SN_DNS_NAT_IDLE_TCP_NS >> SN_DNS_TC_TIME_SHIFT;
	best *= SN_DNS_TC_TIME_UNIT; /* with port 0: none */
	for (int i = 0; i < SN_DNS_NAT_TRIES; i++) {
		struct sn_dns_nat *nat;

		key->port = bpf_htons((__u16)(SN_DNS_NAT_PORT_MIN + at));
		at = (at + step % SN_DNS_NAT_PORTS) % SN_DNS_NAT_PORTS;
		nat = bpf_map_lookup_elem(&sn_dns_nat, key);
		if (nat && sn_dns_tc_is_of(nat, want, sn_dns_nat_tag(key))) {
			place->port = key->port;
			place->is_known = 1;
			place->is_current =
				(__u8)sn_dns_tc_is_current(nat, want);
			return;
		}
		best = sn_dns_tc_greater(
			best, sn_dns_tc_worth(nat, want->last_seen, key->port));
	}
	place->port = (__u16)best;
	place->is_free = best >= SN_DNS_TC_FREE_WORTH;
}

static __always_inline void sn_dns_tc_key(const struct sn_packet *p,
					  struct sn_dns_nat_key *key)
{
	key->slot = p->key.slot;
	key->family = p->key.family;
	key->protocol = p->key.protocol;
}

/* The place of a conversation as a number: its port and the bits above. */
enum {
	SN_DNS_TC_KNOWN = 1 << 16,
	SN_DNS_TC_CURRENT = 1 << 17,
	SN_DNS_TC_FREE = 1 << 18,
};

SN_GLOBAL int sn_dns_tc_choose(struct sn_packet *p, struct sn_dns_nat *want)
{
	struct sn_dns_nat_key key = {};
	struct sn_dns_tc_place place = {};

	if (!p || !want)
		return 0;
	sn_dns_tc_key(p, &key);
	sn_dns_tc_look(&key, want, &place);
	return place.port | (place.is_known ? SN_DNS_TC_KNOWN : 0) |
	       (place.is_current ? SN_DNS_TC_CURRENT : 0) |
	       (place.is_free ? SN_DNS_TC_FREE : 0);
}

/* place: of sn_dns_tc_choose(). -EEXIST: it was free, and is no more. */
SN_GLOBAL int sn_dns_tc_put(struct sn_packet *p, struct sn_dns_nat *want,
			    __u32 place)
{
	struct sn_dns_nat_key key = {};
	struct sn_dns_nat value;

	if (!p || !want)
		return -1;
	sn_dns_tc_key(p, &key);
	key.port = (__u16)place;
	want->seal = sn_dns_nat_tag(&key);
	/* On the stack: see sn_packet_copy_key(). */
	__builtin_memcpy(&value, want, sizeof(value));
	return (int)bpf_map_update_elem(
		&sn_dns_nat, &key, &value,
		SN_DNS_TC_CLAIMS && place & SN_DNS_TC_FREE ? BPF_NOEXIST :
							     BPF_ANY);
}

/* The translated port of a conversation. Of two conversations that want one free
 * place at the same moment, which are both of this slot, the second one chooses
 * again; of two that want one that was quiet, the first one's client asks again.
 * A datagram is a query, and so is what begins a conversation by TCP: it takes a
 * place here and among the listener's connections. Returns -enum sn_reason if
 * there is none. In steps, because calls within calls have 512 bytes of stack
 * together, and Linux 6.1 rounds each one's up. */
static __always_inline int sn_dns_tc_port(struct sn_packet *p,
					  struct sn_dns_nat *want)
{
	int place = sn_dns_tc_choose(p, want);
	int r;

	if (!(__u16)place)
		return -SN_REASON_DNS_STEER;
	if ((p->key.protocol == SN_PROTOCOL_UDP ||
	     !(place & SN_DNS_TC_KNOWN)) &&
	    sn_dns_is_over_rate(p->key.slot, want->last_seen))
		return -SN_REASON_DNS_RATE;
	if (place & SN_DNS_TC_CURRENT)
		return (__u16)place;
	r = sn_dns_tc_put(p, want, (__u32)place);
	if (r == -SN_EEXIST) {
		place = sn_dns_tc_choose(p, want);
		if (!(__u16)place)
			return -SN_REASON_DNS_STEER;
		r = sn_dns_tc_put(p, want, (__u32)place);
	}
	return r ? -SN_REASON_HELPER : (__u16)place;
}

/* The frame's outer half: no VLAN tag, an Ethernet header in any case. */
static __always_inline int sn_dns_tc_dress(struct __sk_buff *skb,
					   const struct sn_dns *dns,
					   const struct sn_packet *p,
					   int ethernet)
{
	__u8 header[SN_ETHERNET_BYTES] SN_ALIGNED;

	if (skb->vlan_present && bpf_skb_vlan_pop(skb))
		return -1;
	if (!ethernet && bpf_skb_change_head(skb, SN_ETHERNET_BYTES, 0))
		return -1;
	__builtin_memcpy(header, dns->mac_host, 6);
	__builtin_memcpy(header + 6, dns->mac_steer, 6);
	*(__u16 *)(header + 12) = p->key.family == SN_FAMILY_IPV4 ?
					  bpf_htons(SN_ETHERTYPE_IPV4) :
					  bpf_htons(SN_ETHERTYPE_IPV6);
	return (int)bpf_skb_store_bytes(skb, 0, header, sizeof(header), 0);
}

/* Who asks whom, by what way. */
static __always_inline int sn_dns_tc_describe(struct __sk_buff *skb,
					      const struct sn_packet *p,
					      int ethernet, __u64 now,
					      struct sn_dns_nat *nat)
{
	sn_copy16(nat->client, p->key.local);
	sn_copy16(nat->server, p->key.remote);
	nat->client_port = p->key.local_port;
	nat->ifindex = skb->ifindex;
	nat->last_seen = now;
	nat->ethernet = (__u8)ethernet;
	if (skb->vlan_present) {
		nat->has_vlan = 1;
		nat->vlan_tci = (__u16)skb->vlan_tci;
		nat->vlan_protocol = (__u16)skb->vlan_proto;
	}
	if (!ethernet)
		return 0;
	if (sn_packet_load(skb, 0, nat->mac_server, 6) ||
	    sn_packet_load(skb, 6, nat->mac_client, 6))
		return -1;
	return 0;
}

/* Makes a query one of the slot's address to the resolver's. Returns the
 * interface to redirect it to, or -enum sn_reason. */
SN_GLOBAL int sn_dns_tc_steer(struct __sk_buff *skb, struct sn_packet *p,
			      int ethernet, __u64 now)
{
	struct sn_dns *dns = sn_dns_get();
	struct sn_dns_nat nat = {};
	struct sn_dns_ends to = {};
	int port;

	if (!p || !dns || !dns->has_tc)
		return -SN_REASON_DNS_STEER;
	if (!sn_dns_tc_address(dns, p->key.family,
			       SN_DNS_SLOT_FIRST + p->key.slot, to.source) ||
	    !sn_dns_tc_address(dns, p->key.family, SN_DNS_RESOLVER,
			       to.destination))
		return -SN_REASON_DNS_STEER;
	if (sn_dns_tc_describe(skb, p, ethernet, now, &nat))
		return -SN_REASON_HELPER;
	to.destination_port = dns->port_tc;
	port = sn_dns_tc_port(p, &nat);
	if (port <= 0)
		return port;
	to.source_port = (__u16)port;
	if (sn_dns_tc_rewrite(skb, p, &to) ||
	    sn_dns_tc_dress(skb, dns, p, ethernet))
		return -SN_REASON_HELPER;
	return (int)dns->ifindex_steer;
}

/* Of which slot's question is it an answer? p seen from the slot's address. 0:
 * of none. */
static __always_inline __u32 sn_dns_tc_answered(const struct sn_packet *p)
{
	const struct sn_dns *dns = sn_dns_get();
	__u8 resolver[16] SN_ALIGNED;

	if (!dns || !dns->has_tc || p->error || !sn_dns_has_protocol(p) ||
	    p->fragment != SN_PACKET_WHOLE ||
	    p->key.remote_port != dns->port_tc ||
	    !sn_dns_tc_address(dns, p->key.family, SN_DNS_RESOLVER, resolver) ||
	    !sn_equal16(resolver, p->key.remote))
		return 0;
	return sn_dns_tc_slot(dns, p->key.family, p->key.local);
}

/* A copy of what stands at the key. The seal is read last. */
static __always_inline struct sn_dns_nat *
sn_dns_tc_read(const struct sn_dns_nat_key *key, struct sn_dns_nat *ret)
{
	struct sn_dns_nat *nat = bpf_map_lookup_elem(&sn_dns_nat, key);

	if (!nat)
		return 0;
	__builtin_memcpy(ret, nat, sizeof(*ret));
	sn_read_barrier();
	return SN_READ(nat->seal) == sn_dns_nat_tag(key) ? nat : 0;
}

/* A copy of the conversation that an answer belongs to, if its interface is
 * still the slot's. */
static __always_inline int sn_dns_tc_find(const struct sn_packet *p, __u64 now,
					  struct sn_dns_nat *ret)
{
	struct sn_dns_nat_key key = {};
	struct sn_dns_nat *nat;
	struct sn_iface *iface;

	key.slot = p->key.slot;
	key.port = p->key.local_port;
	key.family = p->key.family;
	key.protocol = p->key.protocol;
	nat = sn_dns_tc_read(&key, ret);
	/* A question that comes meanwhile may replace what its conversation
	 * had, and a look-up misses that, or finds another's in its place. */
	if (!nat)
		nat = sn_dns_tc_read(&key, ret);
	if (!nat)
		return -1;
	iface = bpf_map_lookup_elem(&sn_ifaces, &ret->ifindex);
	if (!iface || iface->slot != p->key.slot ||
	    iface->ifindex != ret->ifindex)
		return -1;
	if (now - ret->last_seen > SN_TOUCH_NS)
		SN_WRITE(nat->last_seen, now);
	return 0;
}

/* Makes an answer one of the asked server to the client that asked it. Returns
 * the interface to redirect it to, or -enum sn_reason. */
SN_GLOBAL int sn_dns_tc_restore(struct __sk_buff *skb, struct sn_packet *p,
				__u64 now)
{
	struct sn_dns *dns = sn_dns_get();
	struct sn_dns_nat nat SN_ALIGNED;
	struct sn_dns_ends to = {};

	if (!p || !dns)
		return -SN_REASON_HELPER;
	if (sn_dns_tc_find(p, now, &nat))
		return -SN_REASON_DNS_STEER;
	sn_copy16(to.source, nat.server);
	sn_copy16(to.destination, nat.client);
	to.source_port = bpf_htons(SN_DNS_PORT);
	to.destination_port = nat.client_port;
	if (sn_dns_tc_rewrite(skb, p, &to))
		return -SN_REASON_HELPER;
	if (nat.ethernet &&
	    (bpf_skb_store_bytes(skb, 0, nat.mac_client, 6, 0) ||
	     bpf_skb_store_bytes(skb, 6, nat.mac_server, 6, 0)))
		return -SN_REASON_HELPER;
	if (nat.has_vlan &&
	    bpf_skb_vlan_push(skb, nat.vlan_protocol, nat.vlan_tci))
		return -SN_REASON_HELPER;
	skb->mark = dns->mark;
	if (p->key.protocol == SN_PROTOCOL_UDP)
		sn_dns_give_back(p->key.slot);
	return (int)nat.ifindex;
}

/* Did sn_dns_return send it? */
static __always_inline int sn_dns_tc_is_answer(struct __sk_buff *skb,
					       const struct sn_packet *p)
{
	const struct sn_dns *dns = sn_dns_get();

	return dns && dns->mark && skb->mark == dns->mark && !p->error &&
	       p->direction == SN_INGRESS && p->fragment == SN_PACKET_WHOLE &&
	       sn_dns_has_protocol(p) &&
	       p->key.remote_port == bpf_htons(SN_DNS_PORT);
}
