/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/frames_part.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum {
	TYPE_ROUTER_SOLICIT = 133,
	TYPE_ROUTER = 134,
	TYPE_NEIGHBOUR_SOLICIT = 135,
	TYPE_NEIGHBOUR = 136,
	TYPE_REDIRECT = 137,
};

/* IPv6 header from local to remote or back, without extension headers. */
static uint8_t *put_ipv6(struct frames_frame *f, const struct frames_wish *wish,
			 uint8_t next, uint8_t hops)
{
	bool leaves = wish->direction == SN_EGRESS;
	uint8_t *at;

	frames_ethernet(f, wish, 0x86dd);
	at = frames_grow(f, 40);
	at[0] = 0x60;
	at[6] = next;
	at[7] = hops;
	(void)memcpy(at + 8, leaves ? wish->local : wish->remote, 16);
	(void)memcpy(at + 24, leaves ? wish->remote : wish->local, 16);
	return at;
}

static void end_ipv6(struct frames_frame *f)
{
	frames_put16(f->bytes + f->network + 4,
		     (uint32_t)(f->size - f->network - 40));
}

static uint8_t choose_type(enum cp_policy_match_kind kind,
			   struct world_random *random)
{
	if (kind == CP_POLICY_MATCH_KIND_ROUTER_SOLICIT)
		return TYPE_ROUTER_SOLICIT;
	if (kind == CP_POLICY_MATCH_KIND_ROUTER)
		return TYPE_ROUTER;
	if (kind == CP_POLICY_MATCH_KIND_NEIGHBOUR)
		return (uint8_t)(TYPE_NEIGHBOUR_SOLICIT +
				 world_random_below(random, 2));
	return (uint8_t)(TYPE_ROUTER_SOLICIT + world_random_below(random, 5));
}

static size_t message_bytes(uint8_t type)
{
	switch (type) {
	case TYPE_ROUTER_SOLICIT:
		return 8;
	case TYPE_ROUTER:
		return 16;
	case TYPE_REDIRECT:
		return 40;
	default:
		return 24;
	}
}

static void put_option(struct frames_frame *f, uint8_t type)
{
	uint8_t *at = frames_grow(f, 8);

	at[0] = type;
	at[1] = 1;
}

static const uint8_t link_group[16] = { 0xff, 2, [13] = 1, 0xff, 9 };
static const uint8_t link_local[16] = { 0xfe, 0xbf, [15] = 7 };

/* Where a workload may send: to the link, or about the two ends; `about` tells
 * which of the two. A router may sit at any address, but is only asked on the
 * link. */
static void choose_near(struct frames_wish *wish, struct world_random *random,
			uint8_t type, bool *about)
{
	uint32_t pick = world_random_below(random, 3);

	*about = pick == 2 && type != TYPE_ROUTER_SOLICIT;
	if (!*about)
		(void)memcpy(wish->remote, pick ? link_local : link_group, 16);
}

/* A solicitation for its destination, an advertisement of its source. */
static void put_target(struct frames_frame *f, const struct frames_wish *wish,
		       size_t start)
{
	bool asks = f->bytes[start] == TYPE_NEIGHBOUR_SOLICIT;

	if (!asks)
		f->bytes[start + 4] = 0xa0; /* router, override */
	(void)memcpy(f->bytes + start + 8, asks ? wish->remote : wish->local,
		     16);
}

/* To an address that routers forward, and not as it should be. */
static void make_far(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random)
{
	uint32_t wrong = world_random_below(random, 5);
	struct frames_wish with = *wish;
	size_t start;

	with.remote[0] = wrong == 0 ? 0xff : 0x20;
	if (wrong == 0) /* a group of a wider scope */
		with.remote[1] = 0x05;
	(void)memcpy(f->packet.remote, with.remote, 16);
	(void)put_ipv6(f, &with, IPPROTO_ICMPV6, 255);
	start = f->size;
	frames_grow(f, 24)[0] = (uint8_t)(TYPE_NEIGHBOUR_SOLICIT +
					  world_random_below(random, 2));
	put_target(f, &with, start);
	if (wrong == 1)
		f->bytes[start + 8 + world_random_below(random, 16)] ^= 1;
	if (wrong == 2)
		f->bytes[start + 5 + world_random_below(random, 3)] ^= 0x10;
	if (wrong == 3)
		f->bytes[start] = TYPE_ROUTER_SOLICIT;
	for (int i = 0; wrong == 4 && i < 2; i++)
		put_option(f, 14);
	end_ipv6(f);
}

/* A redirect, one that came over a router, a long one, or one that goes too
 * far. Chooses among the last two only where they are refused. */
static bool spoil(struct frames_frame *f, const struct frames_wish *wish,
		  struct world_random *random, bool is_bounded, uint8_t type,
		  uint8_t *hops, bool *too_long)
{
	if (is_bounded && world_random_chance(random, 40)) {
		make_far(f, wish, random);
		return true;
	}
	*too_long = is_bounded && world_random_chance(random, 30);
	if (type != TYPE_REDIRECT && !*too_long)
		*hops = (uint8_t)world_random_below(random, 255);
	if (type == TYPE_REDIRECT && world_random_chance(random, 30)) {
		frames_link_mld(f, wish, random, false);
		return true;
	}
	return false;
}

void frames_link_neighbour(struct frames_frame *f,
			   const struct frames_wish *wish,
			   struct world_random *random)
{
	/* A workload's message has at most 80 bytes with its IPv6 header, and
	 * 72 off the link. */
	bool is_bounded = wish->direction == SN_EGRESS &&
			  wish->role == SN_ROLE_WORKLOAD;
	size_t limit = is_bounded ? 40 : 200, start;
	uint8_t type = choose_type(wish->kind, random), hops = 255;
	bool too_long = false, about = false;
	struct frames_wish with = *wish;

	if (wish->kind == CP_POLICY_MATCH_KIND_NEIGHBOUR_BAD &&
	    spoil(f, wish, random, is_bounded, type, &hops, &too_long))
		return;
	if (is_bounded)
		choose_near(&with, random, type, &about);
	(void)memcpy(f->packet.remote, with.remote, 16);
	(void)put_ipv6(f, &with, IPPROTO_ICMPV6, hops);
	start = f->size;
	frames_grow(f, message_bytes(type))[0] = type;
	if (about &&
	    (type == TYPE_NEIGHBOUR_SOLICIT || type == TYPE_NEIGHBOUR)) {
		put_target(f, &with, start);
		limit = 32;
	}
	while (f->size - start + 8 <= limit && world_random_chance(random, 60))
		put_option(f, (uint8_t)(1 + world_random_below(random, 5)));
	while (too_long && f->size - start <= 40)
		put_option(f, 14);
	end_ipv6(f);
}

/* RFC 2710 and 3810: hop limit 1, router alert, to a link-scope group. */
void frames_link_mld(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random, bool good)
{
	static const uint8_t types[] = { 130, 131, 132, 143 };
	static const uint8_t alert[8] = { IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0 };
	bool leaves = wish->direction == SN_EGRESS;
	bool far = !good && world_random_chance(random, 50);
	uint8_t hops = 1, *at;

	if (!good && !far)
		hops = (uint8_t)(2 + world_random_below(random, 254));
	at = put_ipv6(f, wish,
		      world_random_chance(random, 70) ? IPPROTO_HOPOPTS :
							IPPROTO_ICMPV6,
		      hops);
	if (!far) {
		(void)memset(at + 24, 0, 16);
		at[24] = 0xff;
		at[25] = world_random_chance(random, 80) ? 0x02 : 0x32;
		at[39] = (uint8_t)world_random(random);
		(void)memcpy(leaves ? f->packet.remote : f->packet.local,
			     at + 24, 16);
	}
	if (at[6] == IPPROTO_HOPOPTS)
		(void)memcpy(frames_grow(f, 8), alert, 8);
	at = frames_grow(f, 24);
	at[0] = types[world_random_below(random, sizeof(types))];
	frames_noise(f, random, world_random_below(random, 100));
	end_ipv6(f);
}

static void put_group(uint8_t *address, bool is4)
{
	static const uint8_t servers[16] = { 0xff, 2, [13] = 1, [15] = 2 };

	(void)memset(address, 0, 16);
	if (is4)
		(void)memset(address, 0xff, 4);
	else
		(void)memcpy(address, servers, 16);
}

/* Which messages pass or fall by kind; the policy judges the others. */
static bool is_by_kind(const struct frames_wish *wish, bool from_client,
		       bool to_group)
{
	bool leaves = wish->direction == SN_EGRESS;

	if (wish->role == SN_ROLE_WORKLOAD && from_client != leaves)
		return true; /* not this side's to send */
	return to_group || (!from_client && !leaves);
}

static void choose_group(struct world_random *random, bool from_client,
			 bool is4, uint8_t *to)
{
	if (from_client || is4) {
		put_group(to, is4);
		return;
	}
	(void)memset(to, 0, 16); /* a client's own address */
	to[0] = 0xfe;
	to[1] = 0x80;
	to[15] = (uint8_t)world_random(random);
}

void frames_link_dhcp(struct frames_frame *f, const struct frames_wish *wish,
		      struct world_random *random)
{
	bool from_client = wish->kind == CP_POLICY_MATCH_KIND_DHCP_CLIENT;
	bool leaves = wish->direction == SN_EGRESS;
	bool is4 = wish->family == SN_FAMILY_IPV4;
	uint16_t client = is4 ? 68 : 546, server = is4 ? 67 : 547;
	struct frames_wish with = *wish;
	bool to_group = world_random_chance(random, 60) ||
			(!from_client && !is4 && with.remote[0] == 0xfe);
	uint8_t *at;

	if (to_group)
		choose_group(random, from_client, is4,
			     leaves ? with.remote : with.local);
	(void)memcpy(f->packet.local, with.local, 16);
	(void)memcpy(f->packet.remote, with.remote, 16);
	with.protocol = f->packet.protocol = IPPROTO_UDP;
	if (is4) {
		frames_ethernet(f, &with, 0x0800);
		(void)frames_ipv4(f, &with, random, IPPROTO_UDP);
	} else {
		(void)put_ipv6(f, &with, IPPROTO_UDP, 64);
	}
	at = frames_grow(f, 8);
	frames_put16(at, from_client ? client : server);
	frames_put16(at + 2, from_client ? server : client);
	f->payload = f->size;
	f->packet.local_port = from_client == leaves ? client : server;
	f->packet.remote_port = from_client == leaves ? server : client;
	f->key_local_port = htons(f->packet.local_port);
	f->key_remote_port = htons(f->packet.remote_port);
	frames_noise(f, random, world_random_below(random, 40));
	frames_finish(f, &with, random);
	if (!is_by_kind(wish, from_client, to_group)) {
		f->packet.kind = CP_POLICY_MATCH_KIND_PLAIN;
		f->may_have_flow = true;
		f->keeps_flow = true;
	}
}
