/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/frames.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "shared/util.h"
#include "test/bpf/frames_part.h"

static const uint8_t host_mac[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t workload_mac[6] = { 2, 0, 0, 0, 0, 2 };

uint8_t *frames_grow(struct frames_frame *f, size_t bytes)
{
	uint8_t *at = f->bytes + f->size;

	assert(f->size + bytes <= sizeof(f->bytes));
	(void)memset(at, 0, bytes);
	f->size += bytes;
	return at;
}

void frames_noise(struct frames_frame *f, struct world_random *random,
		  size_t bytes)
{
	uint8_t *at = frames_grow(f, bytes);

	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)world_random(random);
}

void frames_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

void frames_ethernet(struct frames_frame *f, const struct frames_wish *wish,
		     uint16_t type)
{
	bool leaves = wish->direction == SN_EGRESS;
	uint8_t *at;

	f->network = 0;
	if (!wish->ethernet)
		return;
	at = frames_grow(f, 14);
	(void)memcpy(at, leaves ? host_mac : workload_mac, 6);
	(void)memcpy(at + 6, leaves ? workload_mac : host_mac, 6);
	frames_put16(at + 12, type);
	f->network = 14;
}

/* Options that every router may ignore: no-operation, record route, time
 * stamp, router alert, an unknown one. */
static void put_options(uint8_t *at, size_t bytes, struct world_random *random)
{
	static const uint8_t types[] = { 7, 68, 148, 30 };
	size_t i = 0;

	while (i < bytes) {
		size_t room = bytes - i;
		uint32_t length;

		if (room < 4 || world_random_chance(random, 30)) {
			at[i++] = 1;
			continue;
		}
		if (world_random_chance(random, 20))
			return; /* zero: end of the list, rubbish after it */
		length = 2 + world_random_below(random, (uint32_t)room - 1);
		at[i] = types[world_random_below(random, sizeof(types))];
		at[i + 1] = (uint8_t)length;
		i += length;
	}
}

size_t frames_ipv4(struct frames_frame *f, const struct frames_wish *wish,
		   struct world_random *random, uint8_t protocol)
{
	bool leaves = wish->direction == SN_EGRESS;
	uint32_t words = world_random_chance(random, 25) ?
				 1 + world_random_below(random, 10) :
				 0;
	uint8_t *at = frames_grow(f, 20 + 4 * words);

	at[0] = (uint8_t)(0x45 + words);
	at[1] = (uint8_t)world_random(random);
	frames_put16(at + 4, (uint32_t)world_random(random));
	if (world_random_chance(random, 50))
		at[6] = 0x40; /* do not fragment */
	at[8] = 64;
	at[9] = protocol;
	(void)memcpy(at + 12, leaves ? wish->local : wish->remote, 4);
	(void)memcpy(at + 16, leaves ? wish->remote : wish->local, 4);
	put_options(at + 20, 4 * (size_t)words, random);
	return 20 + 4 * (size_t)words;
}

/* One extension header of `type` in front of `next`. */
static void put_extension(struct frames_frame *f, struct world_random *random,
			  uint8_t type, uint8_t next)
{
	uint32_t units =
		type == IPPROTO_FRAGMENT ? 0 : world_random_below(random, 3);
	uint8_t *at = frames_grow(f, 8 + 8 * (size_t)units);

	at[0] = next;
	if (type == IPPROTO_FRAGMENT) { /* atomic: no fragment */
		(void)memset(at + 4, 0xab, 4);
		return;
	}
	at[1] = (uint8_t)units;
	at[2] = type == IPPROTO_ROUTING ? 4 : 1; /* PadN for the others */
	at[3] = type == IPPROTO_ROUTING ? 0 : (uint8_t)(4 + 8 * units);
}

/* A fragment header only as an atomic one, and not behind another. */
static uint8_t choose_extension(struct world_random *random, uint32_t place,
				bool may_fragment)
{
	static const uint8_t types[] = { IPPROTO_DSTOPTS, IPPROTO_ROUTING,
					 IPPROTO_DSTOPTS, IPPROTO_FRAGMENT };
	uint8_t type = types[world_random_below(random, sizeof(types))];

	if (place == 0 && world_random_chance(random, 30))
		return IPPROTO_HOPOPTS;
	if (type == IPPROTO_FRAGMENT && !may_fragment)
		return IPPROTO_DSTOPTS;
	return type;
}

/* A chain of up to max extension headers in front of `last`, the first named
 * by the byte at offset `named`. With a fragment header at a random place if
 * f->fragment says so. Returns the bytes between that header and `last`. */
static size_t put_chain(struct frames_frame *f, struct world_random *random,
			size_t named, uint8_t last, uint32_t max)
{
	bool fragments = f->fragment != FRAMES_WHOLE, atomic = false;
	uint32_t n = world_random_chance(random, 60) ?
			     0 :
			     world_random_below(random, max);
	uint32_t place = n + 1; /* of the fragment header */
	size_t behind = 0;

	if (fragments)
		place = f->fragment == FRAMES_LATER ?
				n :
				world_random_below(random, n + 1);
	for (uint32_t i = 0; i < n + fragments; i++) {
		uint8_t type =
			choose_extension(random, i, !fragments && !atomic);

		if (i == place)
			type = IPPROTO_FRAGMENT;
		atomic = atomic || type == IPPROTO_FRAGMENT;
		f->bytes[named] = type;
		named = f->size;
		put_extension(f, random, type, last);
		if (i != place)
			continue;
		frames_put16(f->bytes + named + 2,
			     f->fragment_offset |
				     (f->fragment == FRAMES_FIRST));
		(void)memcpy(f->bytes + named + 4, &f->fragment_id, 4);
		behind = f->size;
	}
	f->bytes[named] = last;
	return fragments ? f->size - behind : 0;
}

static void put_fragment4(struct frames_frame *f)
{
	uint8_t *at = f->bytes + f->network;
	bool more = f->fragment == FRAMES_FIRST || (f->fragment_id & 1);

	(void)memcpy(at + 4, &f->fragment_id, 2);
	frames_put16(at + 6,
		     (uint32_t)(f->fragment_offset / 8) | (more ? 0x2000U : 0));
	f->fragment_id &= 0xffff;
}

/* Network header, its fragment part included. Returns the bytes between a
 * fragment header and the transport. */
static size_t put_network(struct frames_frame *f,
			  const struct frames_wish *wish,
			  struct world_random *random, uint8_t protocol,
			  uint32_t max_extensions)
{
	bool leaves = wish->direction == SN_EGRESS;
	size_t behind;
	uint8_t *at;

	frames_ethernet(f, wish,
			wish->family == SN_FAMILY_IPV4 ? 0x0800 : 0x86dd);
	f->fragment_protocol = protocol;
	if (wish->family == SN_FAMILY_IPV4) {
		(void)frames_ipv4(f, wish, random, protocol);
		if (f->fragment != FRAMES_WHOLE)
			put_fragment4(f);
		return 0;
	}
	at = frames_grow(f, 40);
	at[0] = 0x60;
	at[7] = 64;
	(void)memcpy(at + 8, leaves ? wish->local : wish->remote, 16);
	(void)memcpy(at + 24, leaves ? wish->remote : wish->local, 16);
	behind = put_chain(f, random, f->network + 6, protocol, max_extensions);
	if (behind) /* the first header of the fragmentable part */
		f->fragment_protocol = f->bytes[f->size - behind - 8];
	return behind;
}

/* Lengths, and sometimes what Ethernet pads short frames with. */
void frames_finish(struct frames_frame *f, const struct frames_wish *wish,
		   struct world_random *random)
{
	uint8_t *at = f->bytes + f->network;
	size_t bytes = f->size - f->network;

	if (wish->family == SN_FAMILY_IPV4)
		frames_put16(at + 2, (uint32_t)bytes);
	else
		frames_put16(at + 4, (uint32_t)bytes - 40);
	if (wish->ethernet && world_random_chance(random, 20))
		frames_noise(f, random, world_random_below(random, 30));
}

static void put_tcp(struct frames_frame *f, const struct frames_wish *wish,
		    struct world_random *random)
{
	uint32_t words = world_random_chance(random, 40) ?
				 5 + world_random_below(random, 11) :
				 5;
	uint8_t *at = frames_grow(f, 4 * (size_t)words);

	at[12] = (uint8_t)(words << 4);
	at[13] = wish->tcp_flags;
	f->tcp_flags = wish->tcp_flags;
	f->header_bytes = (uint16_t)(4 * words);
	f->packet.is_tcp_syn = (wish->tcp_flags & 0x12) == 0x02;
}

static void put_icmp(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random)
{
	/* Echo and reply, and others that neither pass by rule nor are
	 * errors. */
	static const uint8_t types4[] = { 8, 8, 0, 4, 5, 13, 17, 40 };
	static const uint8_t types6[] = { 128, 128, 129, 138, 139, 144, 5, 200 };
	bool is4 = wish->family == SN_FAMILY_IPV4;
	uint32_t pick = world_random_below(random, sizeof(types4));
	uint8_t type = is4 ? types4[pick] : types6[pick];
	uint8_t *at = frames_grow(f, 8);

	at[0] = type;
	frames_put16(at + 4, wish->local_port);
	f->header_bytes = 8;
	f->keeps_flow = type == (is4 ? 8 : 128);
	if (f->keeps_flow || type == (is4 ? 0 : 129)) {
		f->key_local_port = htons(wish->local_port);
		f->key_remote_port = htons(wish->local_port);
	} else {
		f->key_remote_port = htons((uint16_t)(0x100 | type));
	}
}

static void put_ports(struct frames_frame *f, const struct frames_wish *wish,
		      size_t at)
{
	bool leaves = wish->direction == SN_EGRESS;

	frames_put16(f->bytes + at,
		     leaves ? wish->local_port : wish->remote_port);
	frames_put16(f->bytes + at + 2,
		     leaves ? wish->remote_port : wish->local_port);
	f->packet.local_port = wish->local_port;
	f->packet.remote_port = wish->remote_port;
	f->key_local_port = htons(wish->local_port);
	f->key_remote_port = htons(wish->remote_port);
}

static void put_transport(struct frames_frame *f,
			  const struct frames_wish *wish,
			  struct world_random *random)
{
	size_t at = f->size;
	uint8_t icmp = wish->family == SN_FAMILY_IPV4 ? IPPROTO_ICMP :
							IPPROTO_ICMPV6;

	f->keeps_flow = true;
	f->header_bytes = 8;
	if (wish->protocol == icmp) {
		put_icmp(f, wish, random);
		return;
	}
	switch (wish->protocol) {
	case IPPROTO_TCP:
		put_tcp(f, wish, random);
		break;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		(void)frames_grow(f, 12);
		f->header_bytes = 12;
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		(void)frames_grow(f, 8);
		break;
	default:
		return;
	}
	put_ports(f, wish, at);
}

static void begin_fragment(struct frames_frame *f, struct world_random *random,
			   enum frames_fragment fragment)
{
	f->fragment = fragment;
	f->fragment_id = (uint32_t)world_random(random);
	f->fragment_offset =
		fragment == FRAMES_LATER ?
			(uint16_t)(8 * (1 + world_random_below(random, 30))) :
			0;
}

static void make_plain(struct frames_frame *f, const struct frames_wish *wish,
		       struct world_random *random)
{
	size_t behind;

	if (wish->first_fragment)
		begin_fragment(f, random, FRAMES_FIRST);
	/* Eight extension headers are read, the fragment header one of them. */
	behind = put_network(f, wish, random, wish->protocol,
			     wish->first_fragment ? 8 : 9);
	put_transport(f, wish, random);
	f->payload = f->size;
	f->header_bytes = (uint16_t)(f->header_bytes + behind);
	frames_noise(f, random, world_random_below(random, 40));
	frames_finish(f, wish, random);
	f->may_have_flow = true;
}

static void make_later(struct frames_frame *f, const struct frames_wish *wish,
		       struct world_random *random)
{
	begin_fragment(f, random, FRAMES_LATER);
	(void)put_network(f, wish, random, wish->protocol, 7);
	frames_noise(f, random, 1 + world_random_below(random, 40));
	frames_finish(f, wish, random);
}

/* Of a first fragment the flow is known, of a later one it is not. */
static void put_quoted_fragment(struct frames_frame *f,
				struct world_random *random, uint8_t protocol)
{
	uint8_t *at = frames_grow(f, 8);

	at[0] = protocol;
	frames_put16(at + 2, 1);
	frames_put16(at + 6, 77);
	if (world_random_chance(random, 30)) {
		frames_put16(at + 2, 8 * (1 + world_random_below(random, 99)));
		f->fragment_quoted = FRAMES_LATER;
	}
}

/* The quoted packet is one that went the other way, between the wish's
 * workload and its remote side; an error that comes in may be from anyone. */
static void put_quote(struct frames_frame *f, const struct frames_wish *wish,
		      struct world_random *random, uint8_t protocol)
{
	bool leaves = wish->direction == SN_EGRESS;
	size_t bytes = wish->family == SN_FAMILY_IPV4 ? 4 : 16;
	size_t at = f->size;
	struct frames_wish back = *wish;
	uint8_t icmp = bytes == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	back.direction = leaves ? SN_INGRESS : SN_EGRESS;
	f->quoted.family = (uint8_t)wish->family;
	f->quoted.protocol = protocol;
	(void)memcpy(f->quoted.local, wish->local, bytes);
	(void)memcpy(f->quoted.remote, wish->remote, bytes);
	if (bytes == 4) {
		(void)frames_ipv4(f, &back, random, protocol);
	} else {
		(void)frames_grow(f, 40);
		f->bytes[at] = 0x60;
		f->bytes[at + 6] = f->fragment_quoted ? IPPROTO_FRAGMENT :
							protocol;
		(void)memcpy(f->bytes + at + 8,
			     leaves ? wish->remote : wish->local, 16);
		(void)memcpy(f->bytes + at + 24,
			     leaves ? wish->local : wish->remote, 16);
	}
	if (f->fragment_quoted)
		put_quoted_fragment(f, random, protocol);
	at = f->size;
	(void)frames_grow(f, 8);
	if (protocol == icmp) {
		f->bytes[at] = bytes == 4 ? 8 : 128;
		frames_put16(f->bytes + at + 4, wish->local_port);
		f->quoted.local_port = htons(wish->local_port);
		f->quoted.remote_port = htons(wish->local_port);
	} else if (cp_policy_ports_has_ports(protocol)) {
		put_ports(f, &back, at);
		f->quoted.local_port = f->key_local_port;
		f->quoted.remote_port = f->key_remote_port;
	}
}

/* Who an error is between: mostly the quoted packet's ends, an error that
 * comes in may be from a router on the way. False: about someone else's packet,
 * or to someone else. */
static bool choose_ends(struct world_random *random, uint32_t last,
			struct frames_wish *outer)
{
	uint8_t *astray = NULL;

	if (outer->direction == SN_INGRESS && world_random_chance(random, 70))
		outer->remote[last] ^= 0x40;
	if (outer->direction == SN_EGRESS && world_random_chance(random, 10))
		astray = outer->remote;
	else if (world_random_chance(random, 10))
		astray = outer->local;
	if (astray)
		astray[last] ^= 0x20;
	return !astray;
}

/* Network header and the first 64 bits behind it (RFC 792); without ports to
 * find a flow by, the fixed header alone. */
static size_t quote_bytes(const struct frames_frame *f,
			  const struct frames_wish *wish, size_t whole)
{
	bool is4 = wish->family == SN_FAMILY_IPV4;

	if (cp_policy_ports_has_ports(wish->protocol) ||
	    wish->protocol == (is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return whole;
	if (is4)
		return 20;
	return f->fragment_quoted == FRAMES_WHOLE ? 40 : 48;
}

static void make_icmp_error(struct frames_frame *f,
			    const struct frames_wish *wish,
			    struct world_random *random)
{
	static const uint8_t types4[] = { 3, 11, 12 };
	bool is4 = wish->family == SN_FAMILY_IPV4, is_cut, is_between;
	struct frames_wish outer = *wish;
	size_t start, needed;
	uint8_t *at;

	is_between = choose_ends(random, is4 ? 3 : 15, &outer);
	if (wish->first_fragment)
		begin_fragment(f, random, FRAMES_FIRST);
	(void)put_network(f, &outer, random,
			  is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 3);
	at = frames_grow(f, 8);
	at[0] = is4 ? types4[world_random_below(random, 3)] :
		      (uint8_t)(1 + world_random_below(random, 4));
	start = f->size;
	if (!is4 && world_random_chance(random, 30))
		f->fragment_quoted = FRAMES_FIRST;
	put_quote(f, wish, random, wish->protocol);
	needed = quote_bytes(f, wish, f->size - start);
	is_cut = world_random_chance(random, 10);
	if (is_cut)
		f->size -= 1 + world_random_below(random, 20);
	f->is_about = is_between && f->size - start >= needed;
	f->quotes = f->is_about && f->fragment_quoted != FRAMES_LATER;
	at = f->bytes + f->network + (is4 ? 2 : 4);
	frames_finish(f, &outer, random);
	if (is_cut) /* padding must not complete it */
		f->size = f->network + (is4 ? 0U : 40U) +
			  (size_t)(at[0] << 8 | at[1]);
	(void)memcpy(f->packet.local, outer.local, 16);
	(void)memcpy(f->packet.remote, outer.remote, 16);
}

static void make_arp(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random)
{
	bool forged = wish->kind == CP_POLICY_MATCH_KIND_ARP_FORGED;
	uint8_t *at;

	frames_ethernet(f, wish, 0x0806);
	at = frames_grow(f, 28);
	frames_put16(at, 1);
	frames_put16(at + 2, 0x0800);
	at[4] = 6;
	at[5] = 4;
	at[7] = (uint8_t)(1 + world_random_below(random, 2));
	(void)memcpy(at + 8, f->bytes + 6, 6);
	(void)memcpy(at + 14, wish->local, 4);
	(void)memcpy(at + 24, wish->remote, 4);
	if (!forged)
		frames_noise(f, random, world_random_below(random, 23));
	else if (world_random_chance(random, 50)) /* carries more */
		frames_noise(f, random, 23 + world_random_below(random, 300));
	else
		at[8 + world_random_below(random, 6)] ^=
			(uint8_t)(1U << world_random_below(random, 8));
}

static void make_by_kind(struct frames_frame *f, const struct frames_wish *wish,
			 struct world_random *random)
{
	switch (wish->kind) {
	case CP_POLICY_MATCH_KIND_PLAIN:
		make_plain(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_FRAGMENT_LATER:
		make_later(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_ICMP_ERROR:
		make_icmp_error(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_ARP:
	case CP_POLICY_MATCH_KIND_ARP_FORGED:
		make_arp(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_NEIGHBOUR:
	case CP_POLICY_MATCH_KIND_ROUTER_SOLICIT:
	case CP_POLICY_MATCH_KIND_ROUTER:
	case CP_POLICY_MATCH_KIND_NEIGHBOUR_BAD:
		frames_link_neighbour(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_MLD:
		frames_link_mld(f, wish, random, true);
		return;
	case CP_POLICY_MATCH_KIND_DHCP_CLIENT:
	case CP_POLICY_MATCH_KIND_DHCP_SERVER:
		frames_link_dhcp(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_FRAGMENT_SHORT:
	case CP_POLICY_MATCH_KIND_ETHERTYPE:
	case CP_POLICY_MATCH_KIND_ENCAPSULATED:
	case CP_POLICY_MATCH_KIND_SOURCE_ROUTE:
	case CP_POLICY_MATCH_KIND_MAPPED:
	case CP_POLICY_MATCH_KIND_MALFORMED:
		frames_bad_make(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_COUNT:
		break;
	}
	assert(false);
}

void frames_make(struct world_random *random, const struct frames_wish *wish,
		 struct frames_frame *ret)
{
	(void)memset(ret, 0, sizeof(*ret));
	ret->packet = (struct cp_policy_match_packet){
		.kind = wish->kind,
		.direction = wish->direction,
		.role = wish->role,
		.family = wish->family,
		.protocol = wish->protocol,
	};
	(void)memcpy(ret->packet.local, wish->local, 16);
	(void)memcpy(ret->packet.remote, wish->remote, 16);
	make_by_kind(ret, wish, random);
	while (ret->size < 15) /* a test run takes no shorter frame */
		(void)frames_grow(ret, 1);
}

void frames_make_udp4(const uint8_t remote[4], uint16_t local_port,
		      uint16_t remote_port, struct frames_frame *ret)
{
	struct world_random random = { .state = 1 };
	struct frames_wish wish = {
		.kind = CP_POLICY_MATCH_KIND_PLAIN,
		.role = SN_ROLE_WORKLOAD,
		.family = SN_FAMILY_IPV4,
		.ethernet = true,
		.local = { 192, 168, 7, 2 },
		.protocol = IPPROTO_UDP,
		.local_port = local_port,
		.remote_port = remote_port,
	};

	(void)memcpy(wish.remote, remote, 4);
	frames_make(&random, &wish, ret);
}

struct sn_flow_key frames_flow_key(const struct frames_frame *frame,
				   uint32_t slot)
{
	struct sn_flow_key key = {
		.slot = slot,
		.protocol = frame->packet.protocol,
		.family = (uint8_t)frame->packet.family,
		.local_port = frame->key_local_port,
		.remote_port = frame->key_remote_port,
	};

	(void)memcpy(key.local, frame->packet.local, 16);
	(void)memcpy(key.remote, frame->packet.remote, 16);
	return key;
}

struct sn_fragment_key frames_fragment_key(const struct frames_frame *frame,
					   uint32_t slot)
{
	bool leaves = frame->packet.direction == SN_EGRESS;
	struct sn_fragment_key key = {
		.slot = slot,
		.id = frame->fragment_id,
		.family = (uint8_t)frame->packet.family,
		.protocol = frame->fragment_protocol,
		.direction = (uint8_t)frame->packet.direction,
	};

	(void)memcpy(key.source,
		     leaves ? frame->packet.local : frame->packet.remote, 16);
	(void)memcpy(key.destination,
		     leaves ? frame->packet.remote : frame->packet.local, 16);
	return key;
}

void frames_print(const struct frames_frame *frame)
{
	(void)printf("frame of %zu bytes, network header at %zu:", frame->size,
		     frame->network);
	for (size_t i = 0; i < frame->size; i++)
		(void)printf("%s%02x", i % 32 ? "" : "\n  ", frame->bytes[i]);
	(void)printf("\n");
}
