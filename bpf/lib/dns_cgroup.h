/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Name resolution of a cgroup's sockets. A call to port 53 is pointed at the
 * slot's loopback address and the listener's port; which server the socket
 * asked is kept in the socket's own storage, one alias for each, so that the
 * kernel's answers to the caller name that server again. The egress program
 * marks the packets of such sockets, and the listener's filter takes no others:
 * an address alone can be written by anybody, the storage only by the calls'
 * hooks, the mark only by who knows the secret.
 *
 * The hooks of one socket hold its lock, so its storage has one writer. */

#include "bpf/lib/dns.h"

enum {
	SN_DNS_LOOPBACK_IFINDEX = 1, /* in every network namespace */
	SN_DNS_LOOPBACK4_SLOT_MAX = 0xffff,
};

/* The alias in an address that is the slot's on the loopback device; -1: it is
 * not one. */
static __always_inline int sn_dns_cgroup_alias(const struct sn_dns *dns,
					       __u32 slot, __u8 family,
					       const __u8 *address)
{
	const __u32 *a = (const __u32 *)address;
	__u32 alias = bpf_ntohl(a[2]) >> 16;
	__u32 host = bpf_ntohl(a[0]);

	if (family == SN_FAMILY_IPV4) {
		alias = (host >> 16) & (SN_DNS_ALIASES - 1);
		return slot <= SN_DNS_LOOPBACK4_SLOT_MAX &&
				       host == (SN_DNS_LOOPBACK4 | alias << 16 |
						slot) ?
			       (int)alias :
			       -1;
	}
	return sn_dns_is_in_64(dns->loopback6, a) && alias < SN_DNS_ALIASES &&
			       a[2] == bpf_htonl(alias << 16) &&
			       a[3] == bpf_htonl(slot) ?
		       (int)alias :
		       -1;
}

/* What the hooks keep of a socket, if it asked the resolver of this slot. */
static __always_inline struct sn_dns_socket *
sn_dns_cgroup_get(struct bpf_sock *sk, __u32 slot)
{
	struct sn_dns_socket *socket;

	if (!sk)
		return NULL;
	socket = bpf_sk_storage_get(&sn_dns_sockets, sk, NULL, 0);
	return socket && socket->slot == slot ? socket : NULL;
}

/* Makes it, or makes it anew if it is another slot's, whose cgroup is this one
 * that was detached since. NULL: no memory. */
static __always_inline struct sn_dns_socket *
sn_dns_cgroup_make(struct bpf_sock *sk, __u32 slot)
{
	struct sn_dns_socket *socket = bpf_sk_storage_get(
		&sn_dns_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (socket && socket->slot != slot) {
		__builtin_memset(socket, 0, sizeof(*socket));
		socket->slot = slot;
	}
	return socket;
}

/* The alias of a server that this socket asks. The oldest one gives way: an
 * answer that comes after that names the wrong server, to a socket which waits
 * for more than SN_DNS_ALIASES of them. */
static __always_inline __u32 sn_dns_cgroup_take(struct sn_dns_socket *socket,
						const struct sn_packet *p)
{
	struct sn_dns_server *server;
	__u32 alias;

	for (alias = 0; alias < SN_DNS_ALIASES; alias++) {
		server = &socket->servers[alias];
		if (server->family == p->key.family &&
		    sn_equal16(server->address, p->key.remote))
			return alias;
	}
	alias = socket->next & (SN_DNS_ALIASES - 1);
	socket->next = alias + 1;
	server = &socket->servers[alias];
	server->family = p->key.family;
	sn_copy16(server->address, p->key.remote);
	return alias;
}

/* is6: the call speaks IPv6, in which IPv4 addresses are mapped. */
static __always_inline void sn_dns_cgroup_write(struct bpf_sock_addr *ctx,
						int is6, __u8 family,
						const __u32 *address)
{
	if (!is6) {
		ctx->user_ip4 = address[0];
	} else if (family == SN_FAMILY_IPV4) {
		ctx->user_ip6[0] = 0;
		ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = bpf_htonl(0xffff);
		ctx->user_ip6[3] = address[0];
	} else {
		ctx->user_ip6[0] = address[0];
		ctx->user_ip6[1] = address[1];
		ctx->user_ip6[2] = address[2];
		ctx->user_ip6[3] = address[3];
	}
}

/* The other way. Returns the family. */
static __always_inline __u8 sn_dns_cgroup_read(const struct bpf_sock_addr *ctx,
					       int is6, __u32 *address)
{
	if (!is6) {
		address[0] = ctx->user_ip4;
		return SN_FAMILY_IPV4;
	}
	address[0] = ctx->user_ip6[0];
	address[1] = ctx->user_ip6[1];
	address[2] = ctx->user_ip6[2];
	address[3] = ctx->user_ip6[3];
	if (!sn_packet_is_mapped((const __u8 *)address))
		return SN_FAMILY_IPV6;
	address[0] = address[3];
	address[2] = 0;
	address[3] = 0;
	return SN_FAMILY_IPV4;
}

/* Points a call to port 53 at the slot's listener. Returns PASS_DNS or the
 * reason of the refusal, with the call unchanged.
 *
 * A socket bound to a device cannot reach the loopback device; one of another
 * network namespace would reach that one's. */
static __always_inline __u32 sn_dns_cgroup_steer(struct bpf_sock_addr *ctx,
						 const struct sn_packet *p,
						 int is6)
{
	const struct sn_dns *dns = sn_dns_get();
	struct bpf_sock *sk = ctx->sk;
	__u32 slot = p->key.slot;
	struct sn_dns_socket *socket;
	__u32 a[4] = {};
	__u32 alias;

	if (!dns || !dns->port_cgroup || !sk)
		return SN_REASON_DNS_STEER;
	if (bpf_get_netns_cookie(ctx) != dns->netns_cookie)
		return SN_REASON_DNS_NETNS;
	if (sk->bound_dev_if && sk->bound_dev_if != SN_DNS_LOOPBACK_IFINDEX)
		return SN_REASON_DNS_STEER;
	if (p->key.family == SN_FAMILY_IPV4 && slot > SN_DNS_LOOPBACK4_SLOT_MAX)
		return SN_REASON_DNS_STEER;
	socket = sn_dns_cgroup_make(sk, slot);
	if (!socket)
		return SN_REASON_DNS_STEER;
	alias = sn_dns_cgroup_take(socket, p);
	if (p->key.family == SN_FAMILY_IPV4) {
		a[0] = bpf_htonl(SN_DNS_LOOPBACK4 | alias << 16 | slot);
	} else {
		a[0] = ((const __u32 *)dns->loopback6)[0];
		a[1] = ((const __u32 *)dns->loopback6)[1];
		a[2] = bpf_htonl(alias << 16);
		a[3] = bpf_htonl(slot);
	}
	sn_dns_cgroup_write(ctx, is6, p->key.family, a);
	ctx->user_port = dns->port_cgroup;
	return SN_REASON_PASS_DNS;
}

/* Names the server that was asked where the kernel names the listener. */
static __always_inline void sn_dns_cgroup_restore(struct bpf_sock_addr *ctx,
						  __u32 slot, int is6)
{
	const struct sn_dns *dns = sn_dns_get();
	struct sn_dns_socket *socket;
	struct sn_dns_server *server;
	__u32 a[4] = {};
	__u8 family;
	int alias;

	if (!dns || !slot || (__u16)ctx->user_port != dns->port_cgroup)
		return;
	family = sn_dns_cgroup_read(ctx, is6, a);
	alias = sn_dns_cgroup_alias(dns, slot, family, (const __u8 *)a);
	socket = sn_dns_cgroup_get(ctx->sk, slot);
	if (alias < 0 || !socket)
		return;
	server = &socket->servers[alias & (SN_DNS_ALIASES - 1)];
	if (server->family != family)
		return;
	sn_dns_cgroup_write(ctx, is6, family, (const __u32 *)server->address);
	ctx->user_port = bpf_htons(SN_DNS_PORT);
}

/* A packet between a socket that was steered and the slot's listener. Towards
 * that the kernel may choose any of the host's addresses, also the resolver's
 * own one for interfaces; none of them is an identity here. */
static __always_inline int sn_dns_cgroup_is_steered(struct __sk_buff *skb,
						    const struct sn_packet *p)
{
	const struct sn_dns *dns;

	if (!p->loopback || p->error || p->fragment != SN_PACKET_WHOLE ||
	    !sn_dns_has_protocol(p))
		return 0;
	dns = sn_dns_get();
	if (!dns || !dns->port_cgroup ||
	    p->key.remote_port != dns->port_cgroup ||
	    sn_dns_cgroup_alias(dns, p->key.slot, p->key.family,
				p->key.remote) < 0 ||
	    sn_dns_is_loopback(dns, p->key.family, p->key.local))
		return 0;
	return sn_dns_cgroup_get(skb->sk, p->key.slot) != NULL;
}

/* After the verdict on a packet that leaves: only what is steered carries the
 * mark, whatever SO_MARK says. */
static __always_inline void sn_dns_cgroup_set_mark(struct __sk_buff *skb,
						   const struct sn_packet *p,
						   int steered)
{
	const struct sn_dns *dns;

	if (!p->loopback)
		return;
	dns = sn_dns_get();
	if (!dns)
		return;
	if (steered)
		skb->mark = sn_dns_mark_of(dns->mark, p->key.slot);
	else if (sn_dns_is_reserved(dns, p->key.family, p->key.remote))
		skb->mark = 0;
}
