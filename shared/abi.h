/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* What BPF programs and user space share: the keys and values of every map
 * and the records of the ring buffer. Fixed-width fields, written-out padding
 * (always zero), host byte order unless a comment says network order.
 * SN_ABI_VERSION rises with every change of a layout or of a meaning; a
 * sentinel-dp adopts only pins of its own version. */

#ifndef __bpf__
#include <linux/types.h>
#endif

#define SN_ABI_VERSION 5

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "struct sn_rule_item is read as words: little-endian machines only"
#endif

enum sn_family {
	SN_FAMILY_NONE = 0,
	SN_FAMILY_IPV4 = 4,
	SN_FAMILY_IPV6 = 6,
};

enum sn_mode {
	SN_MODE_NONE = 0,
	SN_MODE_DISABLED = 1,
	SN_MODE_ALLOWLIST = 2,
	SN_MODE_DENYLIST = 3,
	SN_MODE_BLOCK_ALL = 4,
};

enum sn_inbound {
	SN_INBOUND_NONE = 0,
	SN_INBOUND_REPLIES = 1,
	SN_INBOUND_ALLOW = 2,
	SN_INBOUND_BLOCK = 3,
};

enum sn_verdict {
	SN_VERDICT_NONE = 0,
	SN_VERDICT_ALLOW = 1,
	SN_VERDICT_DENY = 2,
};

enum sn_role {
	SN_ROLE_NONE = 0,
	SN_ROLE_WORKLOAD = 1,
	SN_ROLE_HOST = 2,
};

enum sn_target_type {
	SN_TARGET_NONE = 0,
	SN_TARGET_TC = 1,
	SN_TARGET_CGROUP = 2,
	SN_TARGET_HOST = 3, /* its processes: shared/abi_runtime.h */
};

/* Seen from the workload. */
enum sn_direction {
	SN_EGRESS = 0,
	SN_INGRESS = 1,
};

enum sn_reason {
#define SN_REASON(name, kind, text, meaning) SN_REASON_##name,
#include "shared/reasons.def"
#undef SN_REASON
	SN_REASON_COUNT,
};

enum sn_reason_kind {
	SN_REASON_KIND_POLICY,
	SN_REASON_KIND_FAILURE,
	SN_REASON_KIND_PASS,
	SN_REASON_KIND_INFO,
};

/* What becomes of the workload's packets to port 53. */
enum sn_dns_steering {
	SN_DNS_STEERING_OFF = 0, /* judged like all others */
	SN_DNS_STEERING_ON = 1, /* they go to the attachment's resolver */
};

enum {
	SN_ITEMS_MAX = 8, /* items of one prefix */
	SN_LENGTHS_MAX = 4, /* hashed prefix lengths besides /32 and /128 */
	SN_REASON_SLOTS = 48, /* room for reasons in struct sn_reasons */
	SN_ID_BYTES = 16,
	SN_ANCESTORS_MAX = 16, /* depth of an attached cgroup */
	SN_COMM_BYTES = 16,
};

_Static_assert((int)SN_REASON_COUNT <= (int)SN_REASON_SLOTS,
	       "reasons outgrew the ABI");

/* Times are nanoseconds of CLOCK_BOOTTIME, except those by which flows age
 * (judged, last_seen, and an entry's used): these are of CLOCK_MONOTONIC, whose
 * coarse reading the programs use (at most a tick late). An item's expiry has 48 bits in
 * units of 2^16 ns (65.5 us), enough for 584 years; 0: never. */
#define SN_EXPIRES_SHIFT 16
#define SN_EXPIRES_MAX	 ((1ULL << 48) - 1)

/* A flow's verdict is good for this long without being judged again. */
#define SN_REJUDGE_NS (64ULL * 1000000000ULL)
/* last_seen and used are written at most this often. */
#define SN_TOUCH_NS (1000000000ULL)
/* Later fragments pass this long on an allowed first one. */
#define SN_FRAGMENT_NS (30ULL * 1000000000ULL)

/* Idle timeouts in seconds. TCP: RFC 5382 REQ-5 (2 h 4 min); UDP: RFC 4787
 * REQ-5 (2 min at least); ICMP: RFC 5508 REQ-1 (60 s). */
enum {
	SN_IDLE_TCP_S = 7440,
	SN_IDLE_TCP_NEW_S = 240, /* not answered yet */
	SN_IDLE_TCP_CLOSED_S = 60, /* both sides sent FIN, or a RST was seen */
	SN_IDLE_UDP_S = 180,
	SN_IDLE_UDP_NEW_S = 120,
	SN_IDLE_ICMP_S = 60,
	SN_IDLE_OTHER_S = 600,
	SN_IDLE_MAX_S = SN_IDLE_TCP_S,
};

/* slot[n]: generation in the upper, revision in the lower 32 bits.
 * Generation 0: no policy, everything is dropped. */
#define SN_WORD(generation, revision) \
	(((__u64)(generation) << 32) | (__u32)(revision))
#define SN_WORD_GENERATION(word) ((__u32)((word) >> 32))

/* policy[2 * slot + (generation & 1)]; never changes while `generation` is
 * current. lengths4/6: hashed prefix lengths in use besides the host prefix,
 * longest first. trie4/6: all prefixes of that family but host prefixes are in
 * the trie instead, and n_lengths is 0. */
struct sn_policy {
	__u32 generation;
	__u8 mode; /* enum sn_mode */
	__u8 audit; /* 0 or 1 */
	__u8 inbound; /* enum sn_inbound, never NONE */
	__u8 trie4;
	__u8 trie6;
	__u8 n_lengths4;
	__u8 n_lengths6;
	__u8 dns; /* enum sn_dns_steering; ON only for role WORKLOAD and cgroups,
		   * and never with mode BLOCK_ALL */
	__u8 lengths4[SN_LENGTHS_MAX];
	__u8 lengths6[SN_LENGTHS_MAX];
	__u8 pad[4];
	__u64 runtime_events; /* SN_RT_EVENT_BIT() of what is seen; of a target
			       * of type HOST, and zero of all others */
};
_Static_assert(sizeof(struct sn_policy) == 32, "ABI");

/* Key of sn_rules. Addresses are in network order, IPv4 in the first four
 * bytes with the rest zero; bits beyond prefix_length are zero. */
struct sn_rule_key {
	__u32 slot;
	__u32 generation;
	__u8 address[16];
	__u8 family; /* enum sn_family */
	__u8 prefix_length; /* 0..32 or 0..128 */
	__u8 pad[6];
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct sn_rule_key) == 32, "ABI");

/* Key of sn_prefixes, an LPM trie. prefix_bits = 96 + prefix length. */
struct sn_prefix_key {
	__u32 prefix_bits;
	__u32 slot;
	__u32 generation;
	__u8 family;
	__u8 pad[3];
	__u8 address[16];
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct sn_prefix_key) == 32, "ABI");
#define SN_PREFIX_FIXED_BITS 96

/* protocol 0: any. Ports (host order): 0..65535 matches every packet of the
 * protocol, also where it has no ports; any other range matches only packets
 * with ports (TCP, UDP, UDP-Lite, SCTP, DCCP) whose destination is in it. */
struct sn_rule_item {
	__u64 expires : 48; /* SN_EXPIRES_SHIFT units, 0: never */
	__u64 protocol : 8;
	__u64 verdict : 8; /* enum sn_verdict */
	__u32 rule_id;
	__u16 port_low;
	__u16 port_high;
};
_Static_assert(sizeof(struct sn_rule_item) == 16, "ABI");

/* Value of sn_rules and sn_prefixes. Elements are recycled at once, so a
 * reader may find another key's value under its pointer: it reads tag and seq,
 * copies what it needs, and reads tag, seq and end again. `tag` is
 * sn_seal_tag() of the key, `end` is tag + seq and stands behind the last item
 * (sn_rule_end()), so that one item is read without another cache line;
 * sentinel-dp writes all three and `used`, cp sends them as zero. Items beyond
 * n_items are zero but for that. */
struct sn_rule_value {
	__u64 tag;
	__u64 used; /* the flows' clock, at the last judgement that it decided */
	__u32 seq;
	__u8 n_items; /* 1..SN_ITEMS_MAX */
	__u8 prefix_length; /* as in the key */
	__u8 pad[2];
	struct sn_rule_item items[SN_ITEMS_MAX];
	__u64 end; /* of SN_ITEMS_MAX items */
};
_Static_assert(sizeof(struct sn_rule_value) == 160, "ABI");

/* For reading a struct by words. */
typedef __u32 __attribute__((may_alias)) sn_word32;
typedef __u64 __attribute__((may_alias)) sn_word64;

/* n_items: at most SN_ITEMS_MAX, whose end is the field of that name. */
static inline sn_word64 *sn_rule_end(struct sn_rule_value *value, __u32 n_items)
{
	return (sn_word64 *)(value->items + n_items);
}

/* 64-bit mix of a 32-byte key of a sealed table. Not a MAC: it tells recycled
 * elements apart. Each round is a bijection of h for a fixed word. */
static inline __u64 sn_seal_tag(const void *key)
{
	const sn_word64 *w = (const sn_word64 *)key;
	__u64 h = 0x9e3779b97f4a7c15ULL;

#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		h = (h ^ w[i]) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return h * 0xc4ceb9fe1a85ec53ULL;
}

/* Key of sn_flows and sn_flows_new, seen from the workload. Ports in network
 * order; ICMP echo: the identifier in both; other protocols: 0. */
struct sn_flow_key {
	__u32 slot;
	__u8 protocol;
	__u8 family;
	__u8 pad[2];
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
};
_Static_assert(sizeof(struct sn_flow_key) == 44, "ABI");

enum sn_flow_flag {
	SN_FLOW_INBOUND = 1, /* opened by the remote side */
	SN_FLOW_AUDIT = 2, /* passed by audit only; remembers replies */
	SN_FLOW_FIN_LOCAL = 4,
	SN_FLOW_FIN_REMOTE = 8,
	SN_FLOW_RST = 16,
	SN_FLOW_SEND_ONLY = 32, /* inbound was BLOCK when it was judged */
	SN_FLOW_ANSWERED =
		64, /* seen in both directions, wherever it is kept */
	SN_FLOW_DENIED = 128, /* no longer allowed; its peer cannot reopen it */
};

/* Of the kind of sn_seal_tag(), for the key of a flow. */
static inline __u64 sn_flow_tag(const struct sn_flow_key *key)
{
	const sn_word32 *w = (const sn_word32 *)key;
	__u64 h = 0x9e3779b97f4a7c15ULL;

#pragma GCC unroll 5
	for (int i = 0; i < 10; i += 2) {
		h = (h ^ (w[i] | (__u64)w[i + 1] << 32)) *
		    0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	h = (h ^ w[10]) * 0xff51afd7ed558ccdULL;
	return h ^ h >> 32;
}

/* sealed_word: the slot word under which it was judged last, exclusive-or
 * sn_flow_tag() of the key. Elements are recycled at once; a reader that reads
 * it last knows that what it read before belongs to its key. */
struct sn_flow {
	__u64 sealed_word;
	__u64 admitted;
	__u64 judged;
	__u64 last_seen;
	__u32 rule_id; /* 0: the mode's default */
	__u32 flags; /* enum sn_flow_flag */
};
_Static_assert(sizeof(struct sn_flow) == 40, "ABI");

/* Seconds after which a flow that saw no packet counts as absent.
 * answered: it is in sn_flows. */
static inline __u64 sn_flow_idle_s(__u8 protocol, int answered, __u32 flags)
{
	answered = answered || (flags & SN_FLOW_ANSWERED);
	switch (protocol) {
	case 6: /* TCP */
		if ((flags & SN_FLOW_RST) || ((flags & SN_FLOW_FIN_LOCAL) &&
					      (flags & SN_FLOW_FIN_REMOTE)))
			return SN_IDLE_TCP_CLOSED_S;
		return answered ? SN_IDLE_TCP_S : SN_IDLE_TCP_NEW_S;
	case 17: /* UDP */
	case 136: /* UDP-Lite */
		return answered ? SN_IDLE_UDP_S : SN_IDLE_UDP_NEW_S;
	case 1: /* ICMP */
	case 58: /* ICMPv6 */
		return SN_IDLE_ICMP_S;
	default:
		return SN_IDLE_OTHER_S;
	}
}

/* Key of sn_fragments. id in network order, 32 bits for IPv6. protocol: of the
 * IPv4 header, or the fragment header's next header. */
struct sn_fragment_key {
	__u32 slot;
	__u32 id;
	__u8 family;
	__u8 protocol;
	__u8 direction; /* enum sn_direction */
	__u8 pad;
	__u8 source[16];
	__u8 destination[16];
};
_Static_assert(sizeof(struct sn_fragment_key) == 44, "ABI");

struct sn_fragment {
	__u64 expires;
	__u64 word; /* under which the first one was allowed */
	__u32 header_bytes; /* later fragments must begin at or after it */
	__u32 pad;
};
_Static_assert(sizeof(struct sn_fragment) == 24, "ABI");

/* Value of sn_ifaces by ifindex; the ifindex again, because an element can be
 * recycled under its reader. */
struct sn_iface {
	__u32 slot;
	__u32 ifindex;
	__u8 role; /* enum sn_role */
	__u8 ethernet; /* 1: frames begin with an Ethernet header, 0: with IP */
	__u8 pad[2];
};
_Static_assert(sizeof(struct sn_iface) == 12, "ABI");

/* sn_counters[slot * n_cpus + cpu], n_cpus = possible CPUs. Index of the
 * arrays: enum sn_direction. Bytes from the network header on. Blocked also
 * counts what audit let pass. */
struct sn_counters {
	__u64 allowed_packets[2];
	__u64 allowed_bytes[2];
	__u64 blocked_packets[2];
	__u64 blocked_bytes[2];
};
_Static_assert(sizeof(struct sn_counters) == 64, "ABI");

/* sn_reasons[slot]; slot 0 holds what belongs to no slot. */
struct sn_reasons {
	__u64 count[SN_REASON_SLOTS];
};

/* sn_usage[slot]: written by BPF and sentinel-dp with atomic operations. */
struct sn_usage {
	__u32 flows; /* entries of this slot in sn_flows */
	__u32 flow_quota; /* 0: no flow may enter sn_flows */
	__u32 event_second; /* boot second of the current rate window */
	__u32 events; /* events in it */
	__u64 dns_next; /* boot time at which its next query is due; it may be
			 * SN_DNS_BURST of them early */
	__u32 dns_over; /* 1: it was too early, and not quiet since */
	__u32 pad;
};
_Static_assert(sizeof(struct sn_usage) == 32, "ABI");

enum {
	SN_EVENTS_PER_SECOND = 64, /* of one slot */
};
/* A denied flow is reported again after this long. */
#define SN_EVENT_REPEAT_NS (60ULL * 1000000000ULL)

/* Name resolution. A slot's resolver is reached in one of two ways:
 *  TC:     port-53 packets are translated and redirected into a veth pair whose
 *          one end carries the resolver's addresses. The slot's own address in
 *          range4 or range6 becomes the source: it is the identity.
 *  cgroup: calls are redirected to the slot's loopback address, which is the
 *          identity together with the mark that only the egress program sets.
 * Of range4 (at most 2^17 addresses) and range6 (a /64) the address base + 1 is
 * the resolver's own, base + SN_DNS_SLOT_FIRST + slot is the slot's. Loopback
 * addresses are 127.16.0.0/12 with the alias in bits 16..19 and the slot in the
 * low 16 bits, and in loopback6 (a /64) the alias in bytes 8..9 and the slot in
 * bytes 12..15, network order. A slot that has no address in a range has no
 * resolver there: its port 53 is dropped. */
enum {
	SN_DNS_PORT = 53,
	SN_DNS_TLS_PORT = 853,
	SN_DNS_SLOT_FIRST = 256,
	SN_DNS_LOOPBACK4 = 0x7f100000, /* host order */
	SN_DNS_LOOPBACK4_BITS = 12,
	SN_DNS_ALIASES = 16, /* servers that one socket can ask by turns */
	SN_DNS_NAT_TRIES = 8, /* places looked at for a translated port */
	SN_DNS_NAT_PORT_MIN = 1024,
	/* Unanswered queries of a slot. A socket's buffer has room for twice
	 * that where net.core.rmem_max is as the kernel sets it. */
	SN_DNS_BURST = 256,
};
/* A translation that saw no packet for this long may be replaced, the quietest
 * first. UDP: of all of a slot's, SN_DNS_BURST at most wait for an answer, while
 * last_seen is exact to SN_TOUCH_NS. TCP: if not told otherwise, the resolver
 * closes what is idle for half of that. */
#define SN_DNS_NAT_IDLE_TCP_NS (20ULL * 1000000000ULL)
#define SN_DNS_NAT_IDLE_UDP_NS (2ULL * 1000000000ULL)

/* The mark of a slot's packets on the loopback device. The host's packet filter
 * sees it too, where two bits mean "drop" and "masquerade" to Kubernetes: no
 * mark has them. */
#define SN_DNS_MARK_FOREIGN 0xc000U
#define SN_DNS_MARK_SLOTS   0xfffffU /* bits that a slot can change */

static inline __u32 sn_dns_mark_of(__u32 secret, __u32 slot)
{
	return secret ^ ((slot & 0x3fff) | slot >> 14 << 16);
}

/* Value of sn_dns[0], written by sentinel-dp at its start and when the veth pair
 * or its program comes or goes. */
struct sn_dns {
	__u8 range4[4]; /* base, network order */
	__u8 range4_bits; /* prefix length, 15..23 */
	__u8 has_tc; /* 1: the veth pair is there, with the way back on it */
	__u8 mac_host[6]; /* of sentinel0, which has the resolver's addresses */
	__u8 mac_steer[6]; /* of sentinel1, into which packets are redirected */
	__u16 port_tc; /* of the listeners, network order */
	__u16 port_cgroup;
	__u16 life; /* random, not 0; another one when the tables are new, to
		     * which programs of before do not belong */
	__u8 range6[16];
	__u8 loopback6[16];
	__u32 ifindex_host;
	__u32 ifindex_steer;
	__u32 mark; /* random: of packets on their way back (TC), and the
		     * secret of sn_dns_mark_of() */
	__u32 query_ns; /* between queries of a slot that sends too many at
			 * once; 0: no bound */
	__u64 netns_cookie; /* of the namespace that the listeners live in */
};
_Static_assert(sizeof(struct sn_dns) == 80, "ABI");

/* Key of sn_dns_nat: what the resolver's answer is addressed to (TC path). */
struct sn_dns_nat_key {
	__u32 slot;
	__u16 port; /* network order */
	__u8 family;
	__u8 protocol;
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct sn_dns_nat_key) == 8, "ABI");

/* Of the kind of sn_seal_tag(). */
static inline __u64 sn_dns_nat_tag(const struct sn_dns_nat_key *key)
{
	const sn_word64 *w = (const sn_word64 *)key;
	__u64 h = (*w ^ 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;

	return (h ^ h >> 32) * 0xc4ceb9fe1a85ec53ULL;
}

/* Who asked whom. Addresses as in struct sn_flow_key. seal: sn_dns_nat_tag() of
 * the key; elements are recycled at once, so a reader copies the rest first and
 * then looks at it. */
struct sn_dns_nat {
	__u64 seal;
	__u8 client[16];
	__u8 server[16];
	__u16 client_port; /* network order */
	__u16 vlan_tci; /* with has_vlan */
	__u32 ifindex;
	__u64 last_seen;
	__u8 mac_client[6];
	__u8 mac_server[6];
	__u8 ethernet; /* 0: the interface has no Ethernet header */
	__u8 has_vlan;
	__u16 vlan_protocol; /* network order */
};
_Static_assert(sizeof(struct sn_dns_nat) == 72, "ABI");

/* A server that a socket asked. */
struct sn_dns_server {
	__u8 address[16]; /* as in struct sn_flow_key; mapped ones are IPv4 */
	__u8 family; /* 0: none yet */
	__u8 pad[3];
};
_Static_assert(sizeof(struct sn_dns_server) == 20, "ABI");

/* Value of sn_dns_sockets, in the storage of a cgroup's socket: whom it asked
 * under which alias. */
struct sn_dns_socket {
	__u32 slot;
	__u32 next; /* alias of the next server that is new */
	struct sn_dns_server servers[SN_DNS_ALIASES];
};
_Static_assert(sizeof(struct sn_dns_socket) == 328, "ABI");

/* What sentinel-dp remembers of a slot for its own restart (sn_targets). */
enum sn_target_state {
	SN_TARGET_FREE = 0,
	SN_TARGET_ATTACHING = 1,
	SN_TARGET_ATTACHED = 2,
	SN_TARGET_DIRTY = 3, /* detached, entries not yet swept */
};

struct sn_target {
	__u8 id[SN_ID_BYTES]; /* chosen by cp */
	__u64 object; /* ifindex or cgroup id */
	__u64 attached_at;
	__u32 next_generation; /* never falls in a slot's life */
	__u8 state; /* enum sn_target_state */
	__u8 type; /* enum sn_target_type */
	__u8 role; /* enum sn_role, TC only */
	__u8 n_ancestors; /* cgroups only */
	__u64 ancestors[SN_ANCESTORS_MAX]; /* cgroup ids, parent first */
};
_Static_assert(sizeof(struct sn_target) == 168, "ABI");

enum sn_hook {
	SN_HOOK_TC = 0,
	SN_HOOK_CGROUP_SKB = 1,
	SN_HOOK_CONNECT = 2,
	SN_HOOK_SENDMSG = 3,
	SN_HOOK_BIND = 4,
};

/* Record of sn_events: first packet or call of a denied flow. */
struct sn_event {
	__u64 time;
	__u64 word;
	__u32 slot;
	__u32 rule_id; /* 0: none */
	__u8 reason; /* enum sn_reason */
	__u8 direction; /* enum sn_direction */
	__u8 family; /* 0: not an IP packet */
	__u8 protocol;
	__u8 hook; /* enum sn_hook */
	__u8 audit; /* 1: it passed all the same */
	__u16 local_port; /* network order */
	__u16 remote_port;
	__u8 pad[2];
	__u32 tgid; /* process, SN_HOOK_CONNECT, SENDMSG and BIND only; else 0 */
	__u8 local[16];
	__u8 remote[16];
	__u8 comm[SN_COMM_BYTES];
};
_Static_assert(sizeof(struct sn_event) == 88, "ABI");

/* Value of sn_meta[0]; a pinned set of maps with another one is not ours. */
struct sn_meta {
	__u32 abi_version;
	__u32 n_cpus;
	__u32 n_slots; /* slots 1..n_slots - 1 can be given out */
	__u32 pad;
	__u8 object_hash[32]; /* of the BPF object that the programs come from */
};
_Static_assert(sizeof(struct sn_meta) == 48, "ABI");

#include "shared/abi_runtime.h"
