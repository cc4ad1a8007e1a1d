/* SPDX-License-Identifier: Apache-2.0 */

/* Steering of interfaces, byte for byte: what a query becomes, what an answer
 * becomes again, and what neither program lets through. Checksums are computed
 * over the whole packet here, not by differences. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "shared/util.h"
#include "test/bpf/policies.h"
#include "test/bpf/world.h"
#define T_LIMIT_S 60
#include "test/unit/t.h"

enum {
	PACKET_BYTES = 256,
	ETHERNET = 14,
	CLIENT_PORT = 40000,
	LISTENER_PORT = 20053,
	PORTS = 65536 - SN_DNS_NAT_PORT_MIN,
	TEXT_BYTES = 21, /* odd, for the checksum's last byte */
};

struct end {
	uint8_t address[16];
	uint16_t port;
};

/* Fields of one packet and how it is written. */
struct wire {
	struct end from;
	struct end to;
	uint8_t mac_from[6];
	uint8_t mac_to[6];
	bool is6;
	bool is_tcp;
	bool is_bare; /* no Ethernet header */
	bool has_options; /* of IPv4, or an IPv6 extension header */
	bool is_unsummed; /* UDP without a checksum */
};

struct bytes {
	uint8_t at[PACKET_BYTES];
	size_t size;
};

static const struct end client4 = { { 10, 1, 0, 2 }, CLIENT_PORT };
static const struct end server4 = { { 9, 9, 9, 9 }, 53 };
static const struct end client6 = { { 0xfd, 0x10, [15] = 2 }, CLIENT_PORT };
static const struct end server6 = { { 0x26, 0x20, [15] = 0xfe }, 53 };
static const uint8_t mac_client[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t mac_server[6] = { 2, 0, 0, 0, 0, 2 };

static struct world *world;

/* RFC 1071, not inverted yet. */
static uint32_t add_up(uint32_t sum, const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static size_t address_bytes(const struct wire *w)
{
	return w->is6 ? 16 : 4;
}

/* Of the transport part, with the pseudo header. */
static uint16_t sum_of(const struct wire *w, const uint8_t *transport,
		       size_t bytes)
{
	uint8_t tail[4] = { 0, w->is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
			    (uint8_t)(bytes >> 8), (uint8_t)bytes };
	uint32_t sum = add_up(0, w->from.address, address_bytes(w));

	sum = add_up(sum, w->to.address, address_bytes(w));
	sum = add_up(sum, tail, sizeof(tail));
	return (uint16_t)~add_up(sum, transport, bytes);
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static size_t write_transport(const struct wire *w, uint8_t *at)
{
	size_t header = w->is_tcp ? 20 : 8;
	uint16_t sum;

	(void)memset(at, 0, header);
	put16(at, w->from.port);
	put16(at + 2, w->to.port);
	for (size_t i = 0; i < TEXT_BYTES; i++)
		at[header + i] = (uint8_t)(i * 37);
	if (w->is_tcp)
		at[12] = 5 << 4, at[13] = 0x18; /* data offset; ACK, PSH */
	else
		put16(at + 4, (uint16_t)(8 + TEXT_BYTES));
	if (w->is_unsummed)
		return header + TEXT_BYTES;
	sum = sum_of(w, at, header + TEXT_BYTES);
	put16(at + (w->is_tcp ? 16 : 6), sum || w->is_tcp ? sum : 0xffff);
	return header + TEXT_BYTES;
}

static size_t write_ip(const struct wire *w, uint8_t *at)
{
	uint8_t protocol = w->is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	size_t header = w->is6 ? 40 : 20;
	size_t extra = w->has_options ? 8 : 0;
	size_t bytes = write_transport(w, at + header + extra);

	(void)memset(at, 0, header + extra);
	if (w->is6) {
		at[0] = 0x60;
		put16(at + 4, (uint16_t)(extra + bytes));
		at[6] = extra ? IPPROTO_DSTOPTS : protocol;
		at[7] = 64;
		(void)memcpy(at + 8, w->from.address, 16);
		(void)memcpy(at + 24, w->to.address, 16);
		if (extra)
			at[40] = protocol, at[42] = 1, at[43] = 4; /* PadN */
		return header + extra + bytes;
	}
	at[0] = (uint8_t)(0x40 | (header + extra) / 4);
	put16(at + 2, (uint16_t)(header + extra + bytes));
	at[8] = 64;
	at[9] = protocol;
	(void)memcpy(at + 12, w->from.address, 4);
	(void)memcpy(at + 16, w->to.address, 4);
	(void)memset(at + 20, 1, extra); /* no-operation options */
	put16(at + 10, (uint16_t)~add_up(0, at, header + extra));
	return header + extra + bytes;
}

static struct bytes write_wire(const struct wire *w)
{
	struct bytes b = { .size = 0 };

	if (!w->is_bare) {
		(void)memcpy(b.at, w->mac_to, 6);
		(void)memcpy(b.at + 6, w->mac_from, 6);
		put16(b.at + 12, w->is6 ? 0x86dd : 0x0800);
		b.size = ETHERNET;
	}
	b.size += write_ip(w, b.at + b.size);
	return b;
}

static struct wire make_query(bool is6, bool is_tcp)
{
	struct wire w = {
		.from = is6 ? client6 : client4,
		.to = is6 ? server6 : server4,
		.is6 = is6,
		.is_tcp = is_tcp,
	};

	(void)memcpy(w.mac_from, mac_client, 6);
	(void)memcpy(w.mac_to, mac_server, 6);
	return w;
}

/* The n-th address of a range. */
static void set_ranges(struct end *end, const struct sn_dns *dns, bool is6,
		       uint16_t n)
{
	(void)memset(end->address, 0, 16);
	(void)memcpy(end->address, is6 ? dns->range6 : dns->range4,
		     is6 ? 8 : 4);
	put16(end->address + (is6 ? 14 : 2), n);
}

static struct sn_dns put_dns(bool has_tc)
{
	struct sn_dns dns = policies_dns(has_tc);
	uint32_t zero = 0;

	world_put(world, WORLD_DNS, &zero, &dns);
	return dns;
}

/* The slot with a policy that steers and allows nothing. */
static struct sn_dns begin(bool ethernet)
{
	struct sn_policy block = {
		.generation = 1,
		.mode = SN_MODE_ALLOWLIST,
		.inbound = SN_INBOUND_REPLIES,
		.dns = SN_DNS_STEERING_ON,
	};

	world = world_new(NULL);
	world_put_iface(world, WORLD_SLOT, SN_ROLE_WORKLOAD, ethernet);
	world_flip(world, WORLD_SLOT, &block, 0);
	return put_dns(true);
}

static void end(void)
{
	world = world_free(world);
}

static uint32_t run(enum world_program program, const struct wire *w,
		    struct world_skb *skb, struct bytes *out)
{
	struct bytes in = write_wire(w);

	out->size = sizeof(out->at);
	return world_run_skb(world, program, in.at, in.size, skb, out->at,
			     &out->size);
}

static uint64_t count(enum sn_reason reason)
{
	return world->reasons[WORLD_SLOT].count[reason];
}

/* Steers it and answers the translated port. */
static uint16_t steer(const struct wire *w)
{
	struct world_skb skb = { 0 };
	struct sn_dns_nat_key key;
	struct bytes out;
	size_t at = w->is_bare || w->is6 ? ETHERNET + 40U : ETHERNET + 20U;

	t_eq((int)run(WORLD_TC_INGRESS, w, &skb, &out), WORLD_REDIRECT);
	key.port = 0;
	(void)memcpy(&key.port, out.at + at, 2);
	return ntohs(key.port);
}

static void check_bytes(const struct bytes *got, const struct wire *want)
{
	struct bytes b = write_wire(want);

	t_eq(got->size, b.size);
	for (size_t i = 0; i < b.size; i++) {
		if (got->at[i] != b.at[i])
			t_fail("byte %zu is %02x, expected %02x (IPv%d, %s)", i,
			       got->at[i], b.at[i], want->is6 ? 6 : 4,
			       want->is_tcp ? "TCP" : "UDP");
	}
}

/* What becomes of an answer: a datagram goes on as a copy, which has its mark
 * too. */
static int sent(const struct wire *answer)
{
	return answer->is_tcp ? WORLD_REDIRECT : WORLD_DROP;
}

/* There and back, every byte of both. */
static void go_round(const struct sn_dns *dns, const struct wire *query)
{
	struct wire steered = *query, answer = *query, restored = *query;
	struct world_skb skb = { 0 };
	struct sn_dns_nat_key key;
	struct sn_dns_nat nat;
	struct bytes out;

	t_eq((int)run(WORLD_TC_INGRESS, query, &skb, &out), WORLD_REDIRECT);
	t_eq(world_take_nat(world, &key, &nat, 1), 1);
	set_ranges(&steered.from, dns, query->is6, 256 + WORLD_SLOT);
	set_ranges(&steered.to, dns, query->is6, 1);
	steered.from.port = ntohs(key.port);
	steered.to.port = LISTENER_PORT;
	steered.is_bare = false;
	(void)memcpy(steered.mac_from, dns->mac_steer, 6);
	(void)memcpy(steered.mac_to, dns->mac_host, 6);
	check_bytes(&out, &steered);

	world_put(world, WORLD_DNS_NAT, &key, &nat);
	answer.from = steered.to;
	answer.to = steered.from;
	answer.is_bare = answer.has_options = answer.is_unsummed = false;
	t_eq((int)run(WORLD_DNS_RETURN, &answer, &skb, &out), sent(&answer));
	t_eq(skb.mark, WORLD_MARK);
	restored = answer;
	restored.from = query->to;
	restored.to = query->from;
	if (!query->is_bare) { /* else the device takes the header away */
		(void)memcpy(restored.mac_from, mac_server, 6);
		(void)memcpy(restored.mac_to, mac_client, 6);
	}
	check_bytes(&out, &restored);

	restored.is_bare = query->is_bare;
	t_eq((int)run(WORLD_TC_EGRESS, &restored, &skb, &out), WORLD_PASS);
	t_eq(skb.mark, 0);
	t_eq(world_take_nat(world, &key, &nat, 1), 1);
}

static void packets_are_translated_there_and_back(void)
{
	for (int i = 0; i < 32; i++) {
		struct wire w = make_query(i & 1, i & 2);
		struct sn_dns dns;

		w.is_bare = i & 4;
		w.has_options = i & 8;
		w.is_unsummed = i & 16;
		if (w.is_unsummed && (w.is_tcp || w.is6))
			continue;
		dns = begin(!w.is_bare);
		go_round(&dns, &w);
		t_eq(count(SN_REASON_PASS_DNS), 2);
		end();
	}
}

static void a_conversation_keeps_its_port_and_others_get_others(void)
{
	struct wire one = make_query(false, false), other;
	uint16_t port;

	(void)begin(true);
	port = steer(&one);
	t_eq(steer(&one), port);
	other = one;
	other.from.port++;
	t_true(steer(&other) != port);
	other = one;
	other.to.address[3]++;
	t_true(steer(&other) != port);
	other = one;
	other.from.address[3]++;
	t_true(steer(&other) != port);
	t_eq(steer(&one), port);
	end();
}

/* A client that has moved is found where it is now. */
static void an_entry_follows_its_client(void)
{
	struct wire w = make_query(false, false);
	struct sn_dns_nat_key key;
	struct sn_dns_nat nat;
	uint16_t port;

	(void)begin(true);
	port = steer(&w);
	w.mac_from[5] = 0x77;
	t_eq(steer(&w), port);
	t_eq(world_take_nat(world, &key, &nat, 1), 1);
	t_eq(nat.mac_client[5], 0x77);
	end();
}

/* Every port of the slot taken, by entries that were seen so long ago. */
static void fill(bool is_tcp, uint64_t ago_s)
{
	struct sn_dns_nat nat = {
		.ifindex = WORLD_IFINDEX,
		.last_seen = world_now_ns() - ago_s * SN_NS_PER_S,
		.client_port = 1,
	};

	for (uint32_t i = 0; i < PORTS; i++) {
		struct sn_dns_nat_key key = {
			.slot = WORLD_SLOT,
			.port = htons((uint16_t)(SN_DNS_NAT_PORT_MIN + i)),
			.family = SN_FAMILY_IPV4,
			.protocol = is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
		};

		nat.seal = sn_dns_nat_tag(&key);
		world_put(world, WORLD_DNS_NAT, &key, &nat);
	}
}

static void live_places_are_kept_and_idle_ones_taken(void)
{
	static const struct {
		bool is_tcp;
		uint64_t ago_s;
		bool is_free;
	} cases[] = {
		{ false, 1, false }, { false, 3, true },  { false, 16, true },
		{ true, 3, false },  { true, 19, false }, { true, 21, true },
		{ true, 121, true },
	};
	struct wire w;
	struct world_skb skb = { 0 };
	struct bytes out;

	if (world_now_ns() < 200 * SN_NS_PER_S)
		t_skip("the machine has not been up for as long as an entry");
	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		w = make_query(false, cases[i].is_tcp);
		(void)begin(true);
		fill(cases[i].is_tcp, cases[i].ago_s);
		t_eq((int)run(WORLD_TC_INGRESS, &w, &skb, &out),
		     cases[i].is_free ? WORLD_REDIRECT : WORLD_DROP);
		t_eq(count(SN_REASON_DNS_STEER), !cases[i].is_free);
		t_eq(count(SN_REASON_PASS_DNS), cases[i].is_free);
		/* Other families and protocols have places of their own. */
		w = make_query(true, cases[i].is_tcp);
		(void)steer(&w);
		end();
	}
}

static struct sn_dns_nat_key place_of(uint16_t port)
{
	return (struct sn_dns_nat_key){
		.slot = WORLD_SLOT,
		.port = htons(port),
		.family = SN_FAMILY_IPV4,
		.protocol = IPPROTO_UDP,
	};
}

static void put_seen(uint16_t port, uint64_t ago_s)
{
	struct sn_dns_nat_key key = place_of(port);
	struct sn_dns_nat nat = {
		.seal = sn_dns_nat_tag(&key),
		.ifindex = WORLD_IFINDEX,
		.last_seen = world_now_ns() - ago_s * SN_NS_PER_S,
		.client_port = 1,
	};

	world_put(world, WORLD_DNS_NAT, &key, &nat);
}

/* The port that a query gets, with its own entry gone again. */
static uint16_t steer_once(void)
{
	struct wire w = make_query(false, false);
	uint16_t port = steer(&w);

	put_seen(port, 3);
	return port;
}

static void of_live_places_the_quietest_is_taken(void)
{
	struct sn_dns_nat_key key;
	uint16_t first, second;

	(void)begin(true);
	fill(false, 3);
	first = steer_once();
	put_seen(first, 1);
	second = steer_once();
	t_true(first != second);
	put_seen(first, 4);
	t_eq(steer_once(), first);
	put_seen(second, 10);
	t_eq(steer_once(), second);
	put_seen(second, 10);
	key = place_of(first);
	t_true(world_del(world, WORLD_DNS_NAT, &key));
	t_eq(steer_once(), first);
	end();
}

static void a_slot_without_an_address_is_not_steered(void)
{
	struct wire w = make_query(false, false);
	struct world_skb skb = { 0 };
	uint32_t zero = 0;
	struct sn_dns dns;
	struct bytes out;

	dns = begin(true);
	dns.range4_bits = 24; /* ends before the first slot's */
	world_put(world, WORLD_DNS, &zero, &dns);
	t_eq((int)run(WORLD_TC_INGRESS, &w, &skb, &out), WORLD_DROP);
	t_eq(count(SN_REASON_DNS_STEER), 1);
	w = make_query(true, false);
	(void)steer(&w);
	end();
}

/* One answer that is right, and what is wrong with the others. */
struct answer {
	struct wire wire;
	struct world_skb skb;
	struct sn_dns_nat_key key;
	struct sn_dns_nat nat;
	struct sn_iface iface;
	bool is_known; /* as this slot's: the drop is counted there */
};

static struct answer make_answer(const struct sn_dns *dns, bool is6)
{
	struct wire query = make_query(is6, false);
	struct answer a = {
		.wire = query,
		.iface = { .slot = WORLD_SLOT,
			   .ifindex = WORLD_IFINDEX,
			   .role = SN_ROLE_WORKLOAD,
			   .ethernet = 1 },
		.is_known = true,
	};

	(void)steer(&query);
	t_eq(world_take_nat(world, &a.key, &a.nat, 1), 1);
	set_ranges(&a.wire.from, dns, is6, 1);
	set_ranges(&a.wire.to, dns, is6, 256 + WORLD_SLOT);
	a.wire.from.port = LISTENER_PORT;
	a.wire.to.port = ntohs(a.key.port);
	return a;
}

static void check_answer(struct answer *a, int wanted)
{
	uint32_t ifindex = WORLD_IFINDEX;
	uint64_t before = count(SN_REASON_DNS_STEER);
	struct sn_dns_nat_key key;
	struct sn_dns_nat nat;
	struct bytes out;

	world_put(world, WORLD_DNS_NAT, &a->key, &a->nat);
	world_put(world, WORLD_IFACES, &ifindex, &a->iface);
	t_eq((int)run(WORLD_DNS_RETURN, &a->wire, &a->skb, &out),
	     wanted == WORLD_REDIRECT ? sent(&a->wire) : wanted);
	t_eq(count(SN_REASON_DNS_STEER) - before,
	     wanted == WORLD_DROP && a->is_known);
	t_eq(a->skb.mark, wanted == WORLD_REDIRECT ? WORLD_MARK : 0);
	t_eq(world_take_nat(world, &key, &nat, 1), 1);
}

#define WRONG(is6, known, change)                                           \
	do {                                                                \
		struct answer a = make_answer(&dns, is6);                   \
		struct answer *to = &a;                                     \
		check_answer(to, WORLD_REDIRECT);                           \
		a.skb.mark = 0;                                             \
		a.is_known = known;                                         \
		change;                                                     \
		check_answer(to, WORLD_DROP);                               \
		world_put_iface(world, WORLD_SLOT, SN_ROLE_WORKLOAD, true); \
	} while (0)

static void only_the_listeners_answers_to_live_questions_go_back(void)
{
	struct sn_dns dns = begin(true);

	for (int six = 0; six < 2; six++) {
		WRONG(six, false, to->skb.ingress_ifindex = 5);
		WRONG(six, false, to->wire.from.port++);
		WRONG(six, false, to->wire.from.address[six ? 15 : 3]++);
		WRONG(six, false, set_ranges(&to->wire.to, &dns, six, 256));
		WRONG(six, false, to->wire.to = six ? client6 : client4);
		WRONG(six, true, to->wire.to.port ^= 1);
		WRONG(six, true, to->wire.is_tcp = true);
		WRONG(six, true, to->nat.seal ^= 1);
		WRONG(six, true, to->nat.ifindex++);
		WRONG(six, true, to->iface.slot++);
		WRONG(six, true, to->iface.ifindex++);
	}
	end();
}

struct replacing {
	struct answer answer;
	atomic_bool stops;
	uint64_t n;
};

/* As do questions of a client that comes from another port of its bridge each
 * time, while others' take the memory of what was replaced. */
static void *replace(void *argument)
{
	struct replacing *r = argument;
	struct sn_dns_nat_key other = r->answer.key;

	for (; !r->stops; r->n++) {
		world_put(world, WORLD_DNS_NAT, &r->answer.key, &r->answer.nat);
		other.slot = WORLD_SLOT + 1 + (uint32_t)r->n;
		world_put(world, WORLD_DNS_NAT, &other, &r->answer.nat);
		(void)world_del(world, WORLD_DNS_NAT, &other);
	}
	return NULL;
}

static void answers_find_a_place_that_is_being_replaced(void)
{
	static struct replacing r;
	struct sn_dns dns = begin(true);
	struct bytes out;
	pthread_t thread;
	uint64_t until;

	r.answer = make_answer(&dns, false);
	world_put(world, WORLD_DNS_NAT, &r.answer.key, &r.answer.nat);
	t_eq(pthread_create(&thread, NULL, replace, &r), 0);
	until = world_now_ns() + 4 * SN_NS_PER_S;
	while (world_now_ns() < until)
		(void)run(WORLD_DNS_RETURN, &r.answer.wire, &r.answer.skb,
			  &out);
	r.stops = true;
	t_eq(pthread_join(thread, NULL), 0);
	t_eq(count(SN_REASON_DNS_STEER), 0);
	t_true(r.n > 1000);
	end();
}

/* How many of so many queries, each from another port, are steered. */
static uint64_t flood(struct wire w, size_t n)
{
	uint64_t before = count(SN_REASON_PASS_DNS);
	struct world_skb skb = { 0 };
	struct bytes out;

	for (size_t i = 0; i < n; i++) {
		w.from.port = (uint16_t)(1024 + i);
		(void)run(WORLD_TC_INGRESS, &w, &skb, &out);
	}
	return count(SN_REASON_PASS_DNS) - before;
}

static void who_waits_for_answers_may_ask_on_and_on(void)
{
	struct wire query = make_query(false, false), answer = query;
	struct sn_dns dns = begin(true);
	struct world_skb skb = { 0 };
	uint32_t zero = 0;
	struct bytes out;

	dns.query_ns = (uint32_t)SN_NS_PER_S;
	world_put(world, WORLD_DNS, &zero, &dns);
	set_ranges(&answer.to, &dns, false, 256 + WORLD_SLOT);
	set_ranges(&answer.from, &dns, false, 1);
	answer.from.port = LISTENER_PORT;
	for (int i = 0; i < 4 * SN_DNS_BURST; i++) {
		answer.to.port = steer(&query);
		t_eq((int)run(WORLD_DNS_RETURN, &answer, &skb, &out),
		     sent(&answer));
	}
	t_eq(count(SN_REASON_DNS_RATE), 0);
	/* Who was over gets nothing for answers. */
	world->usage[WORLD_SLOT].dns_next = world_now_ns() + SN_NS_PER_S;
	t_eq(flood(query, 1), 0);
	for (int i = 0; i < 9; i++)
		(void)run(WORLD_DNS_RETURN, &answer, &skb, &out);
	t_eq(flood(query, 1), 0);
	/* Until it was quiet for a while. */
	world->usage[WORLD_SLOT].dns_next = 0;
	t_eq(flood(query, 1), 1);
	t_eq(world->usage[WORLD_SLOT].dns_over, 0);
	end();
}

static void an_attachment_asks_as_often_as_it_may_and_no_more(void)
{
	enum { N = 600, QUERY_NS = 10000000 };

	for (int i = 0; i < 4; i++) {
		struct wire w = make_query(i & 1, i & 2);
		struct sn_dns dns = begin(true);
		uint32_t zero = 0;
		uint64_t from, n, most;

		dns.query_ns = QUERY_NS;
		world_put(world, WORLD_DNS, &zero, &dns);
		/* All that is due after so long; not more for longer. */
		from = world_now_ns();
		world->usage[WORLD_SLOT].dns_next =
			from - (SN_DNS_BURST + 5UL) * QUERY_NS;
		n = flood(w, N);
		most = SN_DNS_BURST + (world_now_ns() - from) / QUERY_NS + 2;
		t_true(n >= SN_DNS_BURST && n <= most);
		t_eq(count(SN_REASON_DNS_RATE), N - n);
		/* A connection that is known goes on. */
		w.from.port = 1024;
		n = w.is_tcp ? 5 : 0;
		world->usage[WORLD_SLOT].dns_next =
			world_now_ns() + SN_NS_PER_S;
		t_eq(flood(w, 1) + flood(w, 1) + flood(w, 1) + flood(w, 1) +
			     flood(w, 1),
		     n);
		dns.query_ns = 0;
		world_put(world, WORLD_DNS, &zero, &dns);
		t_eq(flood(w, N), N);
		end();
	}
}

T_MAIN("dns", packets_are_translated_there_and_back,
       a_conversation_keeps_its_port_and_others_get_others,
       an_entry_follows_its_client, live_places_are_kept_and_idle_ones_taken,
       of_live_places_the_quietest_is_taken,
       a_slot_without_an_address_is_not_steered,
       only_the_listeners_answers_to_live_questions_go_back,
       answers_find_a_place_that_is_being_replaced,
       who_waits_for_answers_may_ask_on_and_on,
       an_attachment_asks_as_often_as_it_may_and_no_more)
