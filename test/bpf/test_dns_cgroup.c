/* SPDX-License-Identifier: Apache-2.0 */

/* The filter of the listeners for cgroups. A test run enters by the loopback
 * device, from the network header on, with a socket that does not listen. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "test/bpf/world.h"
#include "test/unit/t.h"

enum {
	SECRET = 0x5eed0123,
	SLOT = 300,
	PORT = 20054,
	ETHERNET = 14,
	IPV4 = 20,
	IPV6 = 40,
	TCP = 20,
	ROOM = 128,
	FIN = 1,
	SYN = 2,
	RST = 4,
	PSH = 8,
	ACK = 16,
};

static const uint8_t loopback6[16] = {
	0xfd, 0x53, 0x6e, 0x74, 0x6c, 0x64, 0, 2
};

struct frame {
	uint8_t bytes[ROOM];
	size_t size;
};

static void put16(uint8_t *to, size_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

/* An Ethernet frame with `payload` bytes behind the IPv4 header. */
static struct frame make4(const char *to, uint8_t protocol, size_t payload)
{
	struct frame frame = { .size = ETHERNET + IPV4 + payload };
	uint8_t *ip = frame.bytes + ETHERNET;

	put16(frame.bytes + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, IPV4 + payload);
	ip[8] = 64;
	ip[9] = protocol;
	t_eq(inet_pton(AF_INET, "127.0.0.1", ip + 12), 1);
	t_eq(inet_pton(AF_INET, to, ip + 16), 1);
	return frame;
}

static struct frame make6(const char *to, uint8_t protocol, size_t payload)
{
	struct frame frame = { .size = ETHERNET + IPV6 + payload };
	uint8_t *ip = frame.bytes + ETHERNET;

	put16(frame.bytes + 12, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, payload);
	ip[6] = protocol;
	ip[7] = 64;
	ip[23] = 1;
	t_eq(inet_pton(AF_INET6, to, ip + 24), 1);
	return frame;
}

static struct frame make_tcp(int version, uint8_t flags, size_t data)
{
	struct frame frame =
		version == 4 ?
			make4("127.16.1.44", IPPROTO_TCP, TCP + data) :
			make6("fd53:6e74:6c64:2::12c", IPPROTO_TCP, TCP + data);
	uint8_t *tcp = frame.bytes + frame.size - TCP - data;

	put16(tcp + 2, PORT);
	tcp[12] = TCP / 4 << 4;
	tcp[13] = flags;
	return frame;
}

static struct world *make_world(void)
{
	struct world *world = world_new(NULL);
	struct sn_dns dns = { .port_cgroup = htons(PORT), .mark = SECRET };
	uint32_t zero = 0;

	(void)memcpy(dns.loopback6, loopback6, sizeof(dns.loopback6));
	world_put(world, WORLD_DNS, &zero, &dns);
	return world;
}

static bool keeps(const struct world *world, struct frame frame, uint32_t mark)
{
	struct world_skb skb = { .mark = mark };

	return world_run_skb(world, WORLD_DNS_FILTER_CGROUP, frame.bytes,
			     frame.size, &skb, NULL, NULL) != 0;
}

static void only_the_mark_of_the_destination_is_kept(void)
{
	static const uint32_t wrong[] = {
		0, SLOT, SECRET, SECRET ^ 1, ~(uint32_t)0, 301 ^ SECRET
	};
	struct world *world = make_world();
	const struct frame frames[] = {
		make4("127.16.1.44", IPPROTO_UDP, 20),
		make4("127.31.1.44", IPPROTO_UDP, 8),
		make6("fd53:6e74:6c64:2::12c", IPPROTO_UDP, 20),
		make6("fd53:6e74:6c64:2:f:0:0:12c", IPPROTO_UDP, 20),
		make_tcp(4, SYN, 0),
		make_tcp(6, SYN, 0),
		make_tcp(4, PSH | ACK, 20),
		make_tcp(6, PSH | ACK, 20),
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		t_true(keeps(world, frames[i], SECRET ^ SLOT));
		for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++)
			t_false(keeps(world, frames[i], wrong[j]));
	}
	t_eq(world->reasons[0].count[SN_REASON_DNS_ADDRESS], 8 * 6);
	(void)world_free(world);
}

static void what_is_for_no_slot_is_dropped_with_any_mark(void)
{
	struct world *world = make_world();
	const struct frame frames[] = {
		make4("127.15.1.44", IPPROTO_UDP, 8),
		make4("127.32.1.44", IPPROTO_UDP, 8),
		make4("10.0.1.44", IPPROTO_UDP, 8),
		make4("127.16.0.0", IPPROTO_UDP, 8),
		make6("::1", IPPROTO_UDP, 8),
		make6("::ffff:127.16.1.44", IPPROTO_UDP, 8),
		make6("fd53:6e74:6c64:1::12c", IPPROTO_UDP, 8),
		make6("fd53:6e74:6c64:2::", IPPROTO_UDP, 8),
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		t_false(keeps(world, frames[i], SECRET ^ SLOT));
		t_false(keeps(world, frames[i], SECRET));
		t_false(keeps(world, frames[i], 0));
	}
	(void)world_free(world);
}

static void a_mark_of_0_is_none(void)
{
	struct world *world = make_world();
	struct sn_dns dns = { .port_cgroup = htons(PORT), .mark = SLOT };
	uint32_t zero = 0;

	world_put(world, WORLD_DNS, &zero, &dns);
	t_false(keeps(world, make4("127.16.1.44", IPPROTO_UDP, 8), 0));
	(void)world_free(world);
}

/* Bits 14 and 15 are the host's packet filter's. */
static void the_mark_of_a_high_slot_has_no_bit_of_others(void)
{
	static const struct {
		const char *to;
		uint32_t mark;
	} cases[] = {
		{ "127.16.63.255", SECRET ^ 0x3fff },
		{ "127.16.64.44", SECRET ^ 0x1002c },
		{ "127.16.129.44", SECRET ^ 0x2012c },
		{ "127.16.255.255", SECRET ^ 0x33fff },
	};
	struct world *world = make_world();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame frame = make4(cases[i].to, IPPROTO_UDP, 8);

		t_eq(cases[i].mark & 0xc000, 0);
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++)
			t_eq(keeps(world, frame, cases[j].mark), i == j);
	}
	t_true(keeps(world, make6("fd53:6e74:6c64:2::3:ffff", IPPROTO_UDP, 8),
		     SECRET ^ 0xf3fff));
	(void)world_free(world);
}

/* What ends a connection may come without a mark, and carries nothing. */
static void unmarked_segments_pass_if_they_only_acknowledge_or_reset(void)
{
	struct world *world = make_world();

	for (int version = 4; version <= 6; version += 2) {
		for (unsigned int flags = 0; flags < 64; flags++) {
			uint8_t kept = flags & (FIN | SYN | RST | ACK);
			bool farewell = kept == ACK || kept == RST ||
					kept == (RST | ACK);

			t_eq(keeps(world, make_tcp(version, (uint8_t)flags, 0),
				   0),
			     farewell);
			t_false(keeps(world,
				      make_tcp(version, (uint8_t)flags, 1), 0));
		}
	}
	(void)world_free(world);
}

static void cut_transport_headers_are_dropped(void)
{
	struct world *world = make_world();

	for (int version = 4; version <= 6; version += 2) {
		size_t network = version == 4 ? IPV4 : IPV6;
		struct frame whole = make_tcp(version, ACK, 0);

		t_true(keeps(world, whole, 0));
		/* Test runs refuse what has no whole network header. */
		while (--whole.size >= ETHERNET + network) {
			t_false(keeps(world, whole, 0));
			t_true(keeps(world, whole, SECRET ^ SLOT));
		}
	}
	(void)world_free(world);
}

T_MAIN("dns_cgroup", only_the_mark_of_the_destination_is_kept,
       what_is_for_no_slot_is_dropped_with_any_mark, a_mark_of_0_is_none,
       the_mark_of_a_high_slot_has_no_bit_of_others,
       unmarked_segments_pass_if_they_only_acknowledge_or_reset,
       cut_transport_headers_are_dropped)
