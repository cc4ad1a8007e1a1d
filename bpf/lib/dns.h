/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Name resolution in the judgement: what is steered to the slot's resolver and
 * which addresses belong to that alone. Fails closed: a packet to port 53 that
 * cannot be steered is dropped, and so is every use of a reserved address that
 * a hook did not mark as `steered`. */

#include "bpf/lib/maps.h"
#include "bpf/lib/packet.h"

enum { SN_DNS_RATE_TRIES = 4 };

static __always_inline struct sn_dns *sn_dns_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sn_dns, &zero);
}

static __always_inline int sn_dns_has_protocol(const struct sn_packet *p)
{
	return p->has_ports && (p->key.protocol == SN_PROTOCOL_UDP ||
				p->key.protocol == SN_PROTOCOL_TCP);
}

/* What leaves for port 53 of whatever server. */
static __always_inline int sn_dns_is_query(const struct sn_packet *p)
{
	return p->direction == SN_EGRESS && !p->error &&
	       sn_dns_has_protocol(p) &&
	       p->key.remote_port == bpf_htons(SN_DNS_PORT);
}

/* DNS over TLS or QUIC (RFC 7858, RFC 9250). */
static __always_inline int sn_dns_is_encrypted(const struct sn_packet *p)
{
	return sn_dns_has_protocol(p) &&
	       p->key.remote_port == bpf_htons(SN_DNS_TLS_PORT);
}

static __always_inline int sn_dns_is_in_range4(const struct sn_dns *dns,
					       __u32 address)
{
	__u32 base = *(const __u32 *)dns->range4;

	return dns->has_tc && ((bpf_ntohl(address) ^ bpf_ntohl(base)) >>
			       (32 - (dns->range4_bits & 31))) == 0;
}

static __always_inline int sn_dns_is_in_64(const __u8 *base,
					   const __u32 *address)
{
	const __u32 *b = (const __u32 *)base;

	return address[0] == b[0] && address[1] == b[1];
}

/* One of those that stand for cgroups. */
static __always_inline int sn_dns_is_loopback(const struct sn_dns *dns,
					      __u8 family, const __u8 *address)
{
	const __u32 *a = (const __u32 *)address;

	if (family == SN_FAMILY_IPV4)
		return (bpf_ntohl(a[0]) ^ SN_DNS_LOOPBACK4) >>
			       (32 - SN_DNS_LOOPBACK4_BITS) ==
		       0;
	return family == SN_FAMILY_IPV6 && sn_dns_is_in_64(dns->loopback6, a);
}

/* Before sentinel-dp has filled sn_dns in no address is reserved. */
static __always_inline int sn_dns_is_reserved(const struct sn_dns *dns,
					      __u8 family, const __u8 *address)
{
	const __u32 *a = (const __u32 *)address;

	if (!dns->port_cgroup)
		return 0;
	if (sn_dns_is_loopback(dns, family, address))
		return 1;
	if (family == SN_FAMILY_IPV4)
		return sn_dns_is_in_range4(dns, a[0]);
	return family == SN_FAMILY_IPV6 && dns->has_tc &&
	       sn_dns_is_in_64(dns->range6, a);
}

static __always_inline int sn_dns_has_reserved(const __u8 *address,
					       const struct sn_packet *p)
{
	const struct sn_dns *dns = sn_dns_get();

	return dns && sn_dns_is_reserved(dns, p->key.family, address);
}

/* Has the slot too many queries under way? The listeners' sockets are few, and
 * whoever filled their buffers would keep all others from being heard. A query
 * moves the time of the next one on, an answer moves it back, and it is never
 * further behind than SN_DNS_BURST queries: who waits for answers is not bounded
 * in their number. Who does not, gets what comes with time and nothing for
 * answers, until it has been quiet for half of that. Of processors that ask at
 * the same moment one may be let off. */
SN_GLOBAL int sn_dns_is_over_rate(__u32 slot, __u64 now)
{
	struct sn_usage *usage = bpf_map_lookup_elem(&sn_usage, &slot);
	const struct sn_dns *dns = sn_dns_get();
	__u64 burst, next, was;

	if (!usage || !dns)
		return 1;
	burst = (__u64)dns->query_ns * SN_DNS_BURST;
	if (!burst)
		return 0;
	for (int i = 0; i < SN_DNS_RATE_TRIES; i++) {
		was = SN_READ(usage->dns_next);
		next = now > was + burst ? now - burst : was;
		if (next > now) {
			SN_WRITE(usage->dns_over, 1);
			return 1;
		}
		if (usage->dns_over && now - next >= burst / 2)
			SN_WRITE(usage->dns_over, 0);
		next += dns->query_ns;
		if (__sync_val_compare_and_swap(&usage->dns_next, was, next) ==
		    was)
			return 0;
	}
	return 0;
}

/* A query was answered. */
static __always_inline void sn_dns_give_back(__u32 slot)
{
	struct sn_usage *usage = bpf_map_lookup_elem(&sn_usage, &slot);
	const struct sn_dns *dns = sn_dns_get();

	if (usage && dns && !SN_READ(usage->dns_over))
		__sync_fetch_and_add(&usage->dns_next, -(__u64)dns->query_ns);
}

static __always_inline __u32 sn_dns_judge_query(const struct sn_packet *p)
{
	/* The client of one in fragments goes to TCP; a cgroup's packet that is still for port 53
	 * has gone around the calls that steer. */
	return p->fragment != SN_PACKET_WHOLE || p->hook == SN_HOOK_CGROUP_SKB ?
		       SN_REASON_DNS_STEER :
		       SN_REASON_PASS_DNS;
}

/* SN_REASON_COUNT: the packet is none of name resolution's. PASS_DNS without
 * `steered`: the hook has to steer it. A query may be for a reserved
 * address: the resolver's own one is what sentinel-cp tells users to ask. */
static __always_inline __u32 sn_dns_judge(const struct sn_packet *p,
					  const struct sn_policy *policy)
{
	if (p->error ||
	    (p->kind != SN_PACKET_PLAIN && p->kind != SN_PACKET_ICMP_ERROR &&
	     p->kind != SN_PACKET_DHCP))
		return SN_REASON_COUNT;
	if (p->steered && policy->dns)
		return p->over_rate ? SN_REASON_DNS_RATE : SN_REASON_PASS_DNS;
	if (policy->mode != SN_MODE_DISABLED &&
	    sn_dns_has_reserved(p->key.local, p))
		return SN_REASON_DNS_ADDRESS;
	if (!policy->dns || !sn_dns_is_query(p)) {
		if (policy->mode != SN_MODE_DISABLED &&
		    sn_dns_has_reserved(p->key.remote, p))
			return SN_REASON_DNS_ADDRESS;
		return SN_REASON_COUNT;
	}
	return sn_dns_judge_query(p);
}
