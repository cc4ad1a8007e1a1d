/* SPDX-License-Identifier: Apache-2.0 */

/* bpf/lib compiled for user space, with tables in memory. Whatever a frame is:
 * nothing is read beyond it, what was parsed is what a second, simpler reader
 * finds, and a packet passes only if the reference matcher, told what that
 * reader found, passes it too.
 *
 * Input: 3 bytes of situation, 4 for each of up to 3 rules, the frame. */

#include "controld/policy/match.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "shared/tables.h"
#include "shared/util.h"
#include "test/fuzz/ensure.h"

/* What is written for the BPF compiler is not held to our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "bpf/lib/verdict.h"
#pragma GCC diagnostic pop

enum {
	SLOT = 1,
	GENERATION = 5,
	ENTRIES_MAX = 16,
	VALUE_BYTES = 512,
	KEY_BYTES = 48,
	FRAME_BYTES = 2048,
	GSO_BYTES = 100,
};

static const uint64_t now_ns = 1000000ULL * SN_NS_PER_S;

struct table {
	void *map;
	uint32_t key_bytes;
	uint32_t value_bytes;
	bool is_array;
	bool is_trie;
	uint32_t n;
	_Alignas(8) uint8_t keys[ENTRIES_MAX][KEY_BYTES];
	_Alignas(8) uint8_t values[ENTRIES_MAX][VALUE_BYTES];
};

#define TABLE(name, array, trie)                                           \
	{                                                                  \
		.map = &(name), .key_bytes = sizeof(*(name).key),          \
		.value_bytes = sizeof(*(name).value), .is_array = (array), \
		.is_trie = (trie),                                         \
	}

static struct table tables[] = {
	TABLE(sn_rules, false, false),	   TABLE(sn_prefixes, false, true),
	TABLE(sn_flows, false, false),	   TABLE(sn_flows_new, false, false),
	TABLE(sn_fragments, false, false), TABLE(sn_denied, false, false),
	TABLE(sn_counters, true, false),   TABLE(sn_reasons, true, false),
	TABLE(sn_words, true, false),	   TABLE(sn_policies, true, false),
	TABLE(sn_usage, true, false),	   TABLE(sn_dns, true, false),
};

static const uint8_t *frame; /* exactly as long as the skb says */
static uint32_t frame_bytes;
static struct sn_event event;
static bool event_is_out;

static struct table *get_table(const void *map)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(tables); i++) {
		if (tables[i].map == map)
			return &tables[i];
	}
	abort();
}

/* Do the first `bits` bits behind the length field agree? */
static bool covers(const uint8_t *prefix, const uint8_t *key, uint32_t bits)
{
	for (uint32_t i = 0; i < bits; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i % 8));

		if ((prefix[4 + i / 8] ^ key[4 + i / 8]) & bit)
			return false;
	}
	return true;
}

static int find_longest(const struct table *table, const void *key)
{
	uint32_t bits, limit, best_bits = 0;
	int best = -1;

	(void)memcpy(&limit, key, 4);
	for (uint32_t i = 0; i < table->n; i++) {
		(void)memcpy(&bits, table->keys[i], 4);
		if (bits <= limit && (best < 0 || bits > best_bits) &&
		    covers(table->keys[i], key, bits)) {
			best = (int)i;
			best_bits = bits;
		}
	}
	return best;
}

static int find(const struct table *table, const void *key)
{
	uint32_t index;

	if (table->is_array) {
		(void)memcpy(&index, key, 4);
		return index < ENTRIES_MAX ? (int)index : -1;
	}
	if (table->is_trie)
		return find_longest(table, key);
	for (uint32_t i = 0; i < table->n; i++) {
		if (memcmp(table->keys[i], key, table->key_bytes) == 0)
			return (int)i;
	}
	return -1;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	struct table *table = get_table(map);
	int at = find(table, key);

	return at < 0 ? NULL : table->values[at];
}

long bpf_map_update_elem(void *map, const void *key, const void *value,
			 __u64 flags)
{
	struct table *table = get_table(map);
	int at = table->is_trie ? -1 : find(table, key);

	if (at >= 0 && flags == BPF_NOEXIST)
		return -EEXIST;
	if (at < 0) {
		if (flags == BPF_EXIST)
			return -ENOENT;
		if (table->n == ENTRIES_MAX)
			return -E2BIG;
		at = (int)table->n++;
		(void)memcpy(table->keys[at], key, table->key_bytes);
	}
	(void)memcpy(table->values[at], value, table->value_bytes);
	return 0;
}

long bpf_map_delete_elem(void *map, const void *key)
{
	struct table *table = get_table(map);
	int at = find(table, key);

	if (at < 0)
		return -ENOENT;
	table->n--;
	(void)memmove(table->keys[at], table->keys[table->n], KEY_BYTES);
	(void)memmove(table->values[at], table->values[table->n], VALUE_BYTES);
	return 0;
}

/* Reads the frame's own memory, so that the sanitizer sees every step over. */
long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 bytes)
{
	(void)skb;
	if (offset > 0x7fffffff || bytes == 0 || offset > frame_bytes ||
	    bytes > frame_bytes - offset) {
		(void)memset(to, 0, bytes);
		return -EFAULT;
	}
	(void)memcpy(to, frame + offset, bytes);
	return 0;
}

__u64 bpf_ktime_get_boot_ns(void)
{
	return now_ns;
}

__u64 bpf_ktime_get_coarse_ns(void)
{
	return now_ns;
}

__u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

__u64 bpf_get_current_pid_tgid(void)
{
	return 0;
}

long bpf_get_current_comm(void *to, __u32 bytes)
{
	(void)memset(to, 0, bytes);
	return 0;
}

void *bpf_ringbuf_reserve(void *ring, __u64 bytes, __u64 flags)
{
	require(ring == &sn_events && bytes == sizeof(event) && flags == 0);
	require(!event_is_out);
	event_is_out = true;
	return &event;
}

void bpf_ringbuf_submit(void *record, __u64 flags)
{
	require(record == &event && flags == 0 && event_is_out);
	event_is_out = false;
}

/* The situation, from the first bytes of the input. */
struct situation {
	bool enters;
	bool is_host;
	bool ethernet;
	bool has_flow;
	bool gso;
	bool steers;
	struct cp_policy_settings settings;
	uint8_t flow_flags;
	uint8_t n_rules;
	uint8_t rules[3][4];
};

static enum sn_direction direction_of(const struct situation *s)
{
	return s->enters != s->is_host ? SN_EGRESS : SN_INGRESS;
}

/* What a plain reader finds in an IP packet that bpf/lib took for whole. */
struct reading {
	enum sn_family family;
	uint8_t protocol;
	const uint8_t *source;
	const uint8_t *destination;
	const uint8_t *transport;
	size_t room; /* bytes from there on */
};

static bool read_ipv4(const uint8_t *ip, size_t bytes, struct reading *ret)
{
	size_t header, total;

	if (bytes < 20)
		return false;
	header = (ip[0] & 15U) * 4U;
	total = (size_t)(ip[2] << 8 | ip[3]);
	if (total == 0)
		total = bytes; /* GSO only */
	if (header < 20 || total < header || total > bytes)
		return false;
	*ret = (struct reading){
		.family = SN_FAMILY_IPV4,
		.protocol = ip[9],
		.source = ip + 12,
		.destination = ip + 16,
		.transport = ip + header,
		.room = total - header,
	};
	return true;
}

static bool read_ipv6(const uint8_t *ip, size_t bytes, struct reading *ret)
{
	size_t at = 40, step;
	bool is_later = false;
	uint8_t next;

	if (bytes < 40)
		return false;
	next = ip[6];
	while (!is_later &&
	       (next == 0 || next == 43 || next == 44 || next == 60)) {
		if (bytes - at < 8)
			return false;
		step = next == 44 ? 8 : (ip[at + 1] + 1U) * 8U;
		if (step > bytes - at)
			return false;
		is_later = next == 44 && (ip[at + 2] || ip[at + 3] & 0xf8);
		next = ip[at];
		at += step;
	}
	*ret = (struct reading){
		.family = SN_FAMILY_IPV6,
		.protocol = next,
		.source = ip + 8,
		.destination = ip + 24,
		.transport = ip + at,
		.room = bytes - at,
	};
	return true;
}

static bool read_again(const struct situation *s, struct reading *ret)
{
	size_t at = s->ethernet ? 14 : 0;

	if (frame_bytes < at + 1)
		return false;
	if (frame[at] >> 4 == 4)
		return read_ipv4(frame + at, frame_bytes - at, ret);
	if (frame[at] >> 4 == 6)
		return read_ipv6(frame + at, frame_bytes - at, ret);
	return false;
}

static void check_parse(const struct situation *s, const struct sn_packet *p)
{
	bool leaves = direction_of(s) == SN_EGRESS;
	struct reading reading;
	size_t bytes;

	if (p->error || p->kind == SN_PACKET_ARP)
		return;
	require(read_again(s, &reading));
	bytes = reading.family == SN_FAMILY_IPV4 ? 4 : 16;
	require(p->key.family == reading.family);
	require(!memcmp(leaves ? p->key.local : p->key.remote, reading.source,
			bytes));
	require(!memcmp(leaves ? p->key.remote : p->key.local,
			reading.destination, bytes));
	if (p->fragment == SN_PACKET_LATER) {
		require(!p->has_ports && p->kind == SN_PACKET_PLAIN);
		return;
	}
	require(p->key.protocol == reading.protocol);
	require(p->transport == (size_t)(reading.transport - frame));
	if (!p->has_ports)
		return;
	require(reading.room >= 8);
	require(!memcmp(leaves ? &p->key.local_port : &p->key.remote_port,
			reading.transport, 2));
	require(!memcmp(leaves ? &p->key.remote_port : &p->key.local_port,
			reading.transport + 2, 2));
}

/* Rules near the packet's own remote address, so that they matter. */
static void add_rules(const struct situation *s, const struct sn_packet *p,
		      struct cp_policy *policy)
{
	static const uint8_t protocols[] = { 0, 6, 17, 132 };

	for (uint8_t i = 0; i < s->n_rules && p->key.family; i++) {
		const uint8_t *from = s->rules[i];
		uint8_t host = p->key.family == SN_FAMILY_IPV4 ? 32 : 128;
		struct cp_policy_rule rule = {
			.owner = CP_POLICY_OWNER_LOCAL,
			.verdict = from[1] & 1 ? SN_VERDICT_DENY :
						 SN_VERDICT_ALLOW,
		};
		uint16_t port =
			(uint16_t)(ntohs(p->key.remote_port) + (from[3] >> 6));

		rule.cidr = cp_policy_cidr_around((enum sn_family)p->key.family,
						  p->key.remote,
						  from[0] % (host + 1));
		if (from[1] & 2)
			rule.expires_ns = from[1] & 4 ? now_ns / 2 : now_ns * 2;
		if ((from[1] & 8) && port) {
			rule.n_ports = 1;
			rule.ports[0] = (struct cp_policy_ports){
				.low = port,
				.high = port,
				.protocol = protocols[from[2] & 3],
			};
		}
		require(cp_policy_add(policy, &rule, NULL, NULL) >= 0);
	}
}

static void put_policy(const struct cp_policy *policy, struct sn_policy *block)
{
	uint32_t slot = SLOT, at = 2 * SLOT + (GENERATION & 1);
	uint64_t word = SN_WORD(GENERATION, 3);
	struct cp_policy_compile_row row;
	struct cp_policy_prefix prefix;
	size_t cursor = 0;

	cp_policy_compile_block(policy, GENERATION, NULL, block);
	while (cp_policy_next_prefix(policy, &cursor, &prefix)) {
		cp_policy_compile_prefix(&prefix, block, SLOT, &row);
		row.value.tag = sn_seal_tag(&row.key);
		*sn_rule_end(&row.value, row.value.n_items) = row.value.tag;
		require(!bpf_map_update_elem(row.table == SN_TABLE_RULES ?
						     (void *)&sn_rules :
						     (void *)&sn_prefixes,
					     &row.key, &row.value, BPF_ANY));
	}
	require(!bpf_map_update_elem(&sn_policies, &at, block, BPF_ANY));
	require(!bpf_map_update_elem(&sn_words, &slot, &word, BPF_ANY));
}

/* One bit of the situation says in which table the flow is, and that it is
 * answered; one that was denied says little else. */
static uint32_t flags_of(const struct situation *s)
{
	if (s->flow_flags & SN_FLOW_DENIED)
		return s->flow_flags & (SN_FLOW_DENIED | SN_FLOW_ANSWERED);
	return s->flow_flags;
}

static const struct sn_dns dns = {
	.range4 = { 198, 18 },
	.range4_bits = 15,
	.has_tc = 1,
	.port_cgroup = 1,
	.range6 = { 0xfd, 0x53, [7] = 1 },
	.loopback6 = { 0xfd, 0x53, [7] = 2 },
};

/* 198.18.0.0/15, 127.16.0.0/12 and the two /64. */
static bool is_reserved(enum sn_family family, const uint8_t *address)
{
	if (family == SN_FAMILY_IPV4)
		return (address[0] == 198 && address[1] / 2 == 9) ||
		       (address[0] == 127 && address[1] / 16 == 1);
	return memcmp(address, dns.range6, 8) == 0 ||
	       memcmp(address, dns.loopback6, 8) == 0;
}

static void put_steering(const struct situation *s, struct cp_policy *policy)
{
	struct cp_dns_settings settings = *cp_policy_get_dns(policy);
	uint32_t zero = 0;

	settings.no_steering = !s->steers;
	cp_policy_put_dns(policy, &settings);
	require(!bpf_map_update_elem(&sn_dns, &zero, &dns, BPF_ANY));
}

static void put_flow(const struct situation *s, const struct sn_packet *p)
{
	struct sn_usage usage = { .flow_quota = s->flow_flags & 1 };
	struct sn_flow_key key = p->key;
	struct sn_flow flow = {
		.sealed_word = SN_WORD(GENERATION, 2),
		.admitted = now_ns / 4,
		.judged = now_ns - 1,
		.last_seen = now_ns - 1,
		.flags = flags_of(s),
	};
	uint32_t slot = SLOT;

	key.slot = SLOT;
	flow.sealed_word ^= sn_flow_tag(&key);
	require(!bpf_map_update_elem(&sn_usage, &slot, &usage, BPF_ANY));
	if (s->has_flow)
		require(!bpf_map_update_elem(s->flow_flags & SN_FLOW_ANSWERED ?
						     (void *)&sn_flows :
						     (void *)&sn_flows_new,
					     &key, &flow, BPF_ANY));
}

/* The verdict on what the second reader sees. */
static void check_verdict(const struct situation *s, const struct sn_packet *p,
			  const struct cp_policy *policy, bool passed)
{
	struct cp_policy_match_source source =
		cp_policy_match_source_policy(policy, false);
	struct cp_policy_match_packet packet = {
		.kind = CP_POLICY_MATCH_KIND_PLAIN,
		.direction = direction_of(s),
		.role = s->is_host ? SN_ROLE_HOST : SN_ROLE_WORKLOAD,
	};
	struct cp_policy_match_flow flow = {
		.is_inbound = flags_of(s) & SN_FLOW_INBOUND,
		.is_audit = flags_of(s) & SN_FLOW_AUDIT,
		.is_denied = flags_of(s) & SN_FLOW_DENIED,
		.admitted_ns = now_ns / 4,
	};
	bool leaves = packet.direction == SN_EGRESS;
	struct reading reading;
	size_t bytes;

	if (p->error || p->kind != SN_PACKET_PLAIN ||
	    p->fragment == SN_PACKET_LATER)
		return;
	require(read_again(s, &reading));
	bytes = reading.family == SN_FAMILY_IPV4 ? 4 : 16;
	packet.family = reading.family;
	packet.protocol = reading.protocol;
	(void)memcpy(packet.remote,
		     leaves ? reading.destination : reading.source, bytes);
	if (cp_policy_ports_has_ports(reading.protocol))
		packet.remote_port =
			leaves ? (uint16_t)(reading.transport[2] << 8 |
					    reading.transport[3]) :
				 (uint16_t)(reading.transport[0] << 8 |
					    reading.transport[1]);
	packet.is_first_fragment = p->fragment == SN_PACKET_FIRST;
	packet.is_local_reserved = is_reserved(
		reading.family, leaves ? reading.source : reading.destination);
	packet.is_remote_reserved = is_reserved(
		reading.family, leaves ? reading.destination : reading.source);
	source.steers = s->steers && s->settings.mode != SN_MODE_BLOCK_ALL;
	if (reading.protocol == IPPROTO_TCP)
		packet.is_tcp_syn = (reading.transport[13] & 0x12) == 2;
	require(passed == cp_policy_match_judge(&source, &packet,
						s->has_flow ? &flow : NULL,
						now_ns)
				  .pass);
}

static void clear(void)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(tables); i++) {
		tables[i].n = 0;
		if (tables[i].is_array)
			(void)memset(tables[i].values, 0,
				     sizeof(tables[i].values));
	}
	event_is_out = false;
}

static struct sn_packet parse(const struct situation *s, struct __sk_buff *skb)
{
	struct sn_packet p = {
		.hook = SN_HOOK_TC,
		.direction = (uint8_t)direction_of(s),
		.role = s->is_host ? SN_ROLE_HOST : SN_ROLE_WORKLOAD,
		.key.slot = SLOT,
	};

	if (s->ethernet)
		sn_packet_ethernet(skb, &p);
	else
		sn_packet_network(skb, &p, 0);
	return p;
}

/* The segments of a GSO packet are as many as its payload fills. */
static bool is_counted(const struct situation *s, const struct sn_packet *p,
		       uint64_t n)
{
	return n == 1 || (s->gso && !p->error && n > 1 &&
			  n <= (p->length + GSO_BYTES - 1) / GSO_BYTES);
}

/* What must hold for every packet, whatever its kind. */
static void check_always(const struct situation *s, const struct sn_packet *p,
			 bool passed)
{
	const struct sn_counters *c =
		(const void *)get_table(&sn_counters)->values[SLOT];
	uint64_t n = 0;

	for (int i = 0; i < 2; i++)
		n += c->allowed_packets[i] + c->blocked_packets[i];
	require(is_counted(s, p, n));
	require(!event_is_out);
	if (s->settings.mode == SN_MODE_DISABLED) {
		require(passed || (s->steers && sn_dns_is_query(p)));
		return;
	}
	if (p->error == SN_REASON_PARSE || p->error == SN_REASON_HELPER)
		require(!passed);
	if (p->error && !s->settings.audit)
		require(!passed || (p->error == SN_REASON_ETHERTYPE &&
				    s->settings.mode == SN_MODE_DENYLIST));
	require(!p->error || p->error < SN_REASON_COUNT);
}

static void try_frame(const struct situation *s)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	struct __sk_buff skb = {
		.len = frame_bytes,
		.gso_size = s->gso ? GSO_BYTES : 0,
	};
	struct sn_verdict_result v = { 0 };
	struct sn_packet p;
	struct sn_policy block;
	int outcome;

	clear();
	p = parse(s, &skb);
	check_parse(s, &p);
	require(cp_policy_new(&policy, 8) == 0);
	cp_policy_put_settings(policy, &s->settings);
	add_rules(s, &p, policy);
	put_steering(s, policy);
	put_policy(policy, &block);
	put_flow(s, &p);
	outcome = sn_verdict_packet(&skb, &p, &v);
	if (outcome == SN_OUTCOME_STEER) {
		require(block.dns && sn_dns_is_query(&p));
		outcome = sn_verdict_finish(&skb, &p, &v);
	}
	check_always(s, &p, outcome == SN_OUTCOME_PASS);
	check_verdict(s, &p, policy, outcome == SN_OUTCOME_PASS);
}

static size_t read_situation(const uint8_t *data, size_t size,
			     struct situation *ret)
{
	size_t used = 3;

	*ret = (struct situation){
		.enters = data[0] & 1,
		.is_host = data[0] & 2,
		.ethernet = data[0] & 4,
		.gso = data[0] & 8,
		.steers = data[1] & 64,
		.has_flow = data[0] & 16,
		.settings = {
			.mode = (enum sn_mode)(1 + (data[1] & 3)),
			.inbound = (enum sn_inbound)(1 + (data[1] >> 2) % 3),
			.audit = data[1] & 128,
		},
		.flow_flags = data[2],
	};
	for (uint8_t n = (data[0] >> 5) & 3; n > 0 && used + 4 <= size; n--) {
		(void)memcpy(ret->rules[ret->n_rules++], data + used, 4);
		used += 4;
	}
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct situation situation;
	uint8_t *copy;
	size_t used;

	if (size < 4 || size > FRAME_BYTES)
		return 0;
	used = read_situation(data, size, &situation);
	frame_bytes = (uint32_t)(size - used);
	copy = malloc(frame_bytes ? frame_bytes : 1);
	if (!copy)
		return 0;
	(void)memcpy(copy, data + used, frame_bytes);
	frame = copy;
	try_frame(&situation);
	free(copy);
	return 0;
}
