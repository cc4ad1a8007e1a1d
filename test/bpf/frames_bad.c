/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/frames_part.h"

#include <netinet/in.h>
#include <string.h>

#include "shared/util.h"

/* A good frame without extension headers, to be damaged. */
static void put_good(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random, uint8_t protocol)
{
	static const uint8_t plain[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
	uint8_t *at;

	frames_ethernet(f, wish,
			wish->family == SN_FAMILY_IPV4 ? 0x0800 : 0x86dd);
	if (wish->family == SN_FAMILY_IPV4) {
		(void)frames_ipv4(f, wish, random, protocol);
		return;
	}
	at = frames_grow(f, 40);
	at[0] = 0x60;
	at[6] = protocol;
	at[7] = 64;
	(void)memcpy(at + 8, plain, 16);
	(void)memcpy(at + 24, plain, 16);
}

static uint8_t *put_tcp(struct frames_frame *f)
{
	uint8_t *at = frames_grow(f, 20);

	at[12] = 0x50;
	at[13] = 0x10;
	return at;
}

/* The IPv4 header has `words` words of options from here on. */
static uint8_t *set_options(struct frames_frame *f, uint32_t words)
{
	f->size = f->network + 20;
	f->bytes[f->network] = (uint8_t)(0x45 + words);
	return frames_grow(f, 4 * (size_t)words);
}

static void make_source_route(struct frames_frame *f,
			      const struct frames_wish *wish,
			      struct world_random *random)
{
	uint32_t skip;
	uint8_t *at;

	if (wish->family == SN_FAMILY_IPV4) {
		put_good(f, wish, random, IPPROTO_TCP);
		at = set_options(f, 3 + world_random_below(random, 8));
		skip = world_random_below(random, 5);
		(void)memset(at, 1, skip);
		at[skip] = world_random_chance(random, 50) ? 131 : 137;
		at[skip + 1] = 7;
		at[skip + 2] = 4;
	} else {
		put_good(f, wish, random, IPPROTO_ROUTING);
		at = frames_grow(f, 24);
		at[0] = IPPROTO_TCP;
		at[1] = 2;
		at[2] = (uint8_t)world_random_below(random, 5);
		at[3] = (uint8_t)(1 + world_random_below(random, 255));
	}
	(void)put_tcp(f);
	frames_finish(f, wish, random);
}

static void make_mapped(struct frames_frame *f, const struct frames_wish *wish,
			struct world_random *random)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct frames_wish with = *wish;
	uint8_t *at;

	with.family = f->packet.family = SN_FAMILY_IPV6;
	put_good(f, &with, random, IPPROTO_TCP);
	at = f->bytes + f->network + (world_random_chance(random, 50) ? 8 : 24);
	(void)memcpy(at, mapped, 12);
	(void)memcpy(at + 12, wish->remote, 4);
	(void)put_tcp(f);
	frames_finish(f, &with, random);
}

/* First fragments that do not hold what they must. */
static void make_short(struct frames_frame *f, const struct frames_wish *wish,
		       struct world_random *random)
{
	static const struct {
		uint8_t protocol;
		uint32_t minimum;
	} least[] = {
		{ IPPROTO_TCP, 20 },	{ IPPROTO_UDP, 8 },
		{ IPPROTO_SCTP, 12 },	{ IPPROTO_DCCP, 12 },
		{ IPPROTO_UDPLITE, 8 },
	};
	uint32_t pick = world_random_below(random, SN_ARRAY_SIZE(least));
	uint32_t bytes = world_random_below(random, least[pick].minimum);
	bool is4 = wish->family == SN_FAMILY_IPV4;
	uint8_t *at;

	put_good(f, wish, random,
		 is4 ? least[pick].protocol : IPPROTO_FRAGMENT);
	if (is4) {
		f->bytes[f->network + 6] = 0x20;
	} else {
		at = frames_grow(f, 8);
		at[0] = least[pick].protocol;
		at[3] = 1;
		if (world_random_chance(random, 30)) { /* cut in the chain */
			at[0] = IPPROTO_DSTOPTS;
			bytes = 8 + bytes;
		}
	}
	at = frames_grow(f, bytes);
	if (!is4 && f->bytes[f->network + 40] == IPPROTO_DSTOPTS) {
		at[0] = IPPROTO_TCP;
		at[1] = 9;
	} else if (least[pick].protocol == IPPROTO_TCP &&
		   world_random_chance(random, 50)) {
		/* Whole but for its options. */
		at = frames_grow(f, 20 + 4 * world_random_below(random, 5) -
					    bytes) -
		     bytes;
		at[12] = 0xb0;
	}
	frames_finish(f, wish, random);
	f->size = SN_MIN(f->size, FRAMES_BYTES);
}

static void make_ethertype(struct frames_frame *f,
			   const struct frames_wish *wish,
			   struct world_random *random)
{
	static const uint16_t others[] = { 0x88cc, 0x0842, 0x888e, 0x8035,
					   0x0026, 0x05dc, 0x88e5, 0xffff };
	static const uint16_t layers[] = { 0x8100, 0x88a8, 0x9100, 0x8847,
					   0x8848, 0x8863, 0x8864 };
	uint32_t pick = world_random_below(random, 100);

	if (wish->kind == CP_POLICY_MATCH_KIND_ETHERTYPE)
		frames_ethernet(f, wish, others[pick % SN_ARRAY_SIZE(others)]);
	else
		frames_ethernet(f, wish, layers[pick % SN_ARRAY_SIZE(layers)]);
	frames_noise(f, random, 1 + world_random_below(random, 100));
}

/* Malformed IPv4. */
static void make_malformed4(struct frames_frame *f,
			    const struct frames_wish *wish,
			    struct world_random *random)
{
	uint8_t *at, *ip;
	size_t size;

	put_good(f, wish, random, IPPROTO_TCP);
	ip = f->bytes + f->network;
	switch (world_random_below(random, 7)) {
	case 0: /* header shorter than the least */
		ip[0] = (uint8_t)(0x40 + world_random_below(random, 5));
		break;
	case 1: /* another version, or IPv6 under IPv4's type */
		ip[0] = (uint8_t)(ip[0] + (wish->ethernet ? 0x20 : 0x10));
		(void)frames_grow(f, 60);
		frames_finish(f, wish, random);
		return;
	case 2: /* an option that ends nowhere */
		at = set_options(f, 1 + world_random_below(random, 10));
		at[0] = 7;
		at[1] = (uint8_t)(world_random_chance(random, 50) ?
					  world_random_below(random, 2) :
					  41 + world_random_below(random, 200));
		break;
	case 3: /* an option without its length */
		at = set_options(f, 1);
		(void)memset(at, 1, 3);
		at[3] = 7;
		break;
	case 4: /* TCP header under 20 bytes */
		put_tcp(f)[12] = (uint8_t)(world_random_below(random, 5) << 4);
		break;
	case 5: /* TCP cut short */
		f->size += world_random_below(random, 20);
		frames_finish(f, wish, random);
		return;
	default: /* says to be longer than it is, or shorter than its header */
		size = f->size;
		(void)put_tcp(f);
		frames_finish(f, wish, random);
		frames_put16(ip + 2,
			     world_random_chance(random, 50) ?
				     (uint32_t)(f->size - f->network) + 1 +
					     world_random_below(random, 1000) :
				     world_random_below(
					     random,
					     (uint32_t)(size - f->network)));
		return;
	}
	if (f->size < f->network + 80)
		(void)frames_grow(f, f->network + 80 - f->size);
	frames_finish(f, wish, random);
}

/* Malformed IPv6. */
static void make_malformed6(struct frames_frame *f,
			    const struct frames_wish *wish,
			    struct world_random *random)
{
	uint8_t *at, *ip;

	put_good(f, wish, random, IPPROTO_TCP);
	ip = f->bytes + f->network;
	switch (world_random_below(random, 6)) {
	case 0: /* hop-by-hop options in the second place */
		ip[6] = IPPROTO_DSTOPTS;
		frames_grow(f, 8)[0] = IPPROTO_HOPOPTS;
		frames_grow(f, 8)[0] = IPPROTO_TCP;
		(void)put_tcp(f);
		break;
	case 1: /* too many headers */
		ip[6] = IPPROTO_DSTOPTS;
		for (int i = 0; i < 9; i++)
			frames_grow(f, 8)[0] = i == 8 ? IPPROTO_TCP :
							IPPROTO_DSTOPTS;
		(void)put_tcp(f);
		break;
	case 2: /* a fragment of a fragment */
		ip[6] = IPPROTO_FRAGMENT;
		at = frames_grow(f, 8);
		at[0] = IPPROTO_FRAGMENT;
		at[3] = 1;
		at = frames_grow(f, 8);
		at[0] = IPPROTO_TCP;
		at[3] = 9;
		(void)put_tcp(f);
		break;
	case 3: /* a header that is longer than the packet */
		ip[6] = IPPROTO_DSTOPTS;
		at = frames_grow(f, 8);
		at[0] = IPPROTO_TCP;
		at[1] = (uint8_t)(4 + world_random_below(random, 250));
		(void)put_tcp(f);
		break;
	case 4: /* TCP cut short */
		f->size += world_random_below(random, 20);
		break;
	default: /* says to be longer than it is */
		(void)put_tcp(f);
		frames_finish(f, wish, random);
		frames_put16(ip + 4, (uint32_t)(f->size - f->network - 40) + 1 +
					     world_random_below(random, 1000));
		return;
	}
	frames_finish(f, wish, random);
}

static void make_malformed(struct frames_frame *f,
			   const struct frames_wish *wish,
			   struct world_random *random)
{
	uint32_t pick = world_random_below(random, 10);
	size_t bytes;

	if (pick == 0 && wish->ethernet) { /* short ARP */
		frames_ethernet(f, wish, 0x0806);
		frames_noise(f, random, 1 + world_random_below(random, 27));
		return;
	}
	/* Ends inside the network header. A test run refuses such a frame if
	 * its Ethernet header names IP. */
	if (pick == 1 && !wish->ethernet) {
		put_good(f, wish, random, IPPROTO_UDP);
		bytes = wish->family == SN_FAMILY_IPV4 ? 20 : 40;
		f->bytes[12] = 0xc0; /* nor by chance */
		f->size = 15 + world_random_below(random, (uint32_t)bytes - 15);
		return;
	}
	if (wish->family == SN_FAMILY_IPV4)
		make_malformed4(f, wish, random);
	else
		make_malformed6(f, wish, random);
}

void frames_bad_make(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random)
{
	switch (wish->kind) {
	case CP_POLICY_MATCH_KIND_SOURCE_ROUTE:
		make_source_route(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_MAPPED:
		make_mapped(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_FRAGMENT_SHORT:
		make_short(f, wish, random);
		return;
	case CP_POLICY_MATCH_KIND_ETHERTYPE:
	case CP_POLICY_MATCH_KIND_ENCAPSULATED:
		make_ethertype(f, wish, random);
		return;
	default:
		make_malformed(f, wish, random);
	}
}
