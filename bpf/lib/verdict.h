/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* The verdict on one packet or call, for every hook. A flow whose word equals
 * the slot's word passes at once. Else the policy block of the word's
 * generation is copied, the packet judged, and the word read again: only if it
 * is the same does the verdict stand. After three changes the packet is dropped.
 * Every way out without a decision is a drop. */

#include "bpf/lib/dns.h"
#include "bpf/lib/flow.h"
#include "bpf/lib/rules.h"

enum { SN_VERDICT_TRIES = 3 };

/* What the hook has to do. STEER: nothing is booked yet; the hook hands the
 * packet to the resolver or sets a reason of its own, then books it. */
enum sn_outcome {
	SN_OUTCOME_DROP = 0,
	SN_OUTCOME_PASS = 1,
	SN_OUTCOME_STEER = 2,
};

/* The race test builds once without the re-check, to see that it would tell. */
#ifdef SN_TEST_NO_RECHECK
enum { SN_VERDICT_RECHECKS = 0 };
#else
enum { SN_VERDICT_RECHECKS = 1 };
#endif

/* 169.254.169.254; 169.254.170.2 and .23 (containers at AWS);
 * 100.100.100.200 (Alibaba). Network order. */
static __always_inline int sn_verdict_is_metadata4(__u32 address)
{
	return address == bpf_htonl(0xa9fea9fe) ||
	       address == bpf_htonl(0xa9feaa02) ||
	       address == bpf_htonl(0xa9feaa17) ||
	       address == bpf_htonl(0x646464c8);
}

/* Addresses at which cloud providers hand credentials to whoever asks. */
static __always_inline int sn_verdict_is_metadata(const struct sn_flow_key *key)
{
	const __u32 *a = (const __u32 *)key->remote;

	if (key->family == SN_FAMILY_IPV4)
		return sn_verdict_is_metadata4(a[0]);
	if (a[1] != 0 || a[2] != 0)
		return 0;
	/* fd00:ec2::254 and ::23, fd20:ce::254 */
	if (a[0] == bpf_htonl(0xfd000ec2))
		return a[3] == bpf_htonl(0x254) || a[3] == bpf_htonl(0x23);
	if (a[0] == bpf_htonl(0xfd2000ce))
		return a[3] == bpf_htonl(0x254);
	/* fe80::a9fe:a9fe; NAT64, 64:ff9b::a9fe:a9fe (RFC 6052) */
	if (a[0] == bpf_htonl(0xfe800000))
		return a[3] == bpf_htonl(0xa9fea9fe);
	return a[0] == bpf_htonl(0x0064ff9b) && sn_verdict_is_metadata4(a[3]);
}

/* What a workload sends as neighbour discovery to an address that routers
 * forward must be about the two ends and nothing else: a solicitation for its
 * destination, an advertisement of its source, one option at most. */
SN_GLOBAL int sn_verdict_is_near(struct __sk_buff *skb, struct sn_packet *p)
{
	__u8 message[24] SN_ALIGNED;
	__u32 reserved;

	if (!p)
		return 0;
	if (p->key.remote[0] == 0xff)
		return sn_packet_is_link_multicast(p->key.remote);
	if (p->key.remote[0] == 0xfe && (p->key.remote[1] & 0xc0) == 0x80)
		return 1;
	if (p->length > 72 ||
	    sn_packet_load(skb, p->transport, message, sizeof(message)))
		return 0;
	reserved = *(__u32 *)(message + 4);
	if (p->icmp_type == 135)
		return !reserved && sn_equal16(message + 8, p->key.remote);
	return p->icmp_type == 136 && !(reserved & bpf_htonl(0x1fffffff)) &&
	       sn_equal16(message + 8, p->key.local);
}

/* Neighbour discovery and MLD (RFC 4861, RFC 3810): what this side may send.
 * The hop limit proves that no router was crossed. */
static __always_inline __u32 sn_verdict_neighbour(const struct sn_packet *p)
{
	__u8 type = p->icmp_type;

	if (p->kind == SN_PACKET_MLD) {
		if (p->hop_limit != 1 || p->length > SN_MLD_MAX ||
		    !sn_packet_is_link_multicast(sn_packet_destination(p)))
			return SN_REASON_NEIGHBOUR;
		return SN_REASON_PASS_MLD;
	}
	if (p->hop_limit != 255 || type == 137 ||
	    p->fragment != SN_PACKET_WHOLE)
		return SN_REASON_NEIGHBOUR;
	if (p->direction == SN_EGRESS && p->role != SN_ROLE_HOST &&
	    p->length > SN_NEIGHBOUR_MAX)
		return SN_REASON_NEIGHBOUR;
	if (p->role != SN_ROLE_HOST &&
	    type == (p->direction == SN_EGRESS ? 134 : 133))
		return SN_REASON_NEIGHBOUR;
	return SN_REASON_PASS_NEIGHBOUR;
}

/* Where DHCP messages go without a policy: from a client to the group of
 * servers, from a host that is one to who has no other address yet. */
static __always_inline int sn_verdict_is_dhcp_group(const __u32 *to, int is4,
						    int from_client)
{
	if (is4)
		return to[0] == 0xffffffff;
	if (!from_client)
		return (to[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
	return to[0] == bpf_htonl(0xff020000) && to[1] == 0 && to[2] == 0 &&
	       to[3] == bpf_htonl(0x00010002);
}

/* DHCP (RFC 2131, RFC 8415). 0: not passed by rule, the policy decides. */
static __always_inline __u32 sn_verdict_dhcp(const struct sn_packet *p)
{
	int is4 = p->key.family == SN_FAMILY_IPV4;
	__u16 server = bpf_htons(is4 ? 67 : 547);
	int leaves = p->direction == SN_EGRESS;
	int from_client = leaves ? p->key.remote_port == server :
				   p->key.local_port == server;
	const __u32 *to = (const __u32 *)sn_packet_destination(p);

	if (from_client != leaves && p->role != SN_ROLE_HOST)
		return SN_REASON_DHCP;
	if (!from_client && !leaves)
		return SN_REASON_PASS_DHCP; /* also to a unicast address */
	return sn_verdict_is_dhcp_group(to, is4, from_client) ?
		       SN_REASON_PASS_DHCP :
		       0;
}

/* What an allow item that has lapsed still means for a packet: it counts for
 * flows that were admitted before. A sendmsg() call is asked before its flow
 * is known, so every lapsed item counts and the packet is judged after it. */
static __always_inline __u64 sn_verdict_admitted(
	const struct sn_packet *p, const struct sn_verdict_result *v)
{
	if (p->hook == SN_HOOK_SENDMSG)
		return 0;
	return v->admit ? v->now : v->flow.admitted;
}

/* Rules and the mode's default. Returns enum sn_reason or SN_REASON_COUNT for
 * "changed while reading". */
static __noinline __u32 sn_verdict_rules(struct sn_packet *p,
					 struct sn_policy *policy,
					 struct sn_verdict_result *v)
{
	struct sn_query q = {
		.seen = v->seen,
		.now_units = v->now >> SN_EXPIRES_SHIFT,
		.admitted_units = sn_verdict_admitted(p, v) >> SN_EXPIRES_SHIFT,
		.port = bpf_ntohs(p->key.remote_port),
		.has_ports = p->has_ports,
		.protocol = p->key.protocol,
	};
	struct sn_rule_key host = {
		.slot = p->key.slot,
		.generation = policy->generation,
		.family = p->key.family,
		.prefix_length = p->key.family == SN_FAMILY_IPV4 ? 32 : 128,
	};
	int found;

	sn_copy16(host.address, p->key.remote);
	q.metadata = (__u8)sn_verdict_is_metadata(&p->key);
	found = sn_rules_find(&host, policy, &q);
	v->rule_id = q.rule_id;
	if (found == SN_FOUND_CHANGED)
		return SN_REASON_COUNT;
	if (found == SN_FOUND_ALLOW)
		return SN_REASON_ALLOWED;
	if (found == SN_FOUND_DENY)
		return SN_REASON_DENY_RULE;
	v->rule_id = 0;
	if (q.metadata)
		return SN_REASON_METADATA;
	if (policy->dns && sn_dns_is_encrypted(p))
		return SN_REASON_DNS_ENCRYPTED;
	return policy->mode == SN_MODE_DENYLIST ? SN_REASON_ALLOWED :
						  SN_REASON_NO_RULE;
}

/* Addresses and protocol of a quoted packet at `at`. Returns the offset of its
 * transport header, 0 if there is none to be found. */
static __always_inline __u32 sn_verdict_quoted(struct __sk_buff *skb,
					       struct sn_packet *quoted,
					       __u32 at)
{
	__u8 header[40] SN_ALIGNED;

	if (quoted->key.family == SN_FAMILY_IPV6) {
		if (sn_packet_load(skb, at, header, 40) || header[0] >> 4 != 6)
			return 0;
		quoted->key.protocol = header[6];
		sn_packet_set_addresses(quoted, header + 8, header + 24, 16);
		if (quoted->key.protocol != SN_PROTOCOL_FRAGMENT)
			return at + 40;
		if (sn_packet_load(skb, at + 40, header, 8) ||
		    (*(__u16 *)(header + 2) & bpf_htons(0xfff8)))
			return 0;
		quoted->key.protocol = header[0];
		return at + 48;
	}
	if (sn_packet_load(skb, at, header, 20) || header[0] >> 4 != 4 ||
	    (header[0] & 0x0f) < 5)
		return 0;
	if (*(__u16 *)(header + 6) & bpf_htons(0x1fff))
		return 0;
	quoted->key.protocol = header[9];
	sn_packet_set_addresses(quoted, header + 12, header + 16, 4);
	return at + (__u32)(header[0] & 0x0f) * 4;
}

/* The flow that an ICMP error speaks of: what it quotes, turned round. An error
 * that the workload sends must go to the one who sent the quoted packet, and
 * that flow must stand under `word`; 0: any. */
SN_GLOBAL int sn_verdict_quotes_flow(struct __sk_buff *skb, struct sn_packet *p,
				     __u64 word, __u64 now)
{
	struct sn_packet quoted = {};
	__u8 header[8] SN_ALIGNED;
	__u32 at;

	if (!p)
		return 0;
	quoted.key.slot = p->key.slot;
	quoted.key.family = p->key.family;
	quoted.direction = p->direction == SN_EGRESS ? SN_INGRESS : SN_EGRESS;
	at = sn_verdict_quoted(skb, &quoted, p->transport + 8);
	if (!at)
		return 0;
	if (!sn_packet_is_opaque(&quoted)) {
		if (sn_packet_load(skb, at, header, sizeof(header)))
			return 0;
		sn_packet_identify(&quoted, header);
	}
	if (!sn_equal16(p->key.local, quoted.key.local))
		return 0;
	if (p->direction == SN_EGRESS &&
	    !sn_equal16(p->key.remote, quoted.key.remote))
		return 0;
	return sn_flow_exists(&quoted.key, word, now);
}

/* Packets that are not for the rules: malformed ones and those passed or
 * dropped by kind. Returns SN_REASON_COUNT if the rules decide. */
static __always_inline __u32 sn_verdict_by_kind(const struct sn_packet *p,
						const struct sn_policy *policy)
{
	__u32 r;

	if (p->error == SN_REASON_ETHERTYPE && policy->mode == SN_MODE_DENYLIST)
		return SN_REASON_ALLOWED;
	if (p->error)
		return p->error;
	if (p->kind == SN_PACKET_ARP)
		return SN_REASON_PASS_ARP;
	if (p->kind == SN_PACKET_NEIGHBOUR || p->kind == SN_PACKET_MLD)
		return sn_verdict_neighbour(p);
	if (p->kind == SN_PACKET_DHCP) {
		r = sn_verdict_dhcp(p);
		if (r)
			return r;
	}
	if (policy->mode == SN_MODE_BLOCK_ALL)
		return SN_REASON_MODE;
	if (p->direction == SN_INGRESS && policy->inbound == SN_INBOUND_BLOCK)
		return SN_REASON_INBOUND;
	return SN_REASON_COUNT;
}

/* Packets that no flow carries: what their kind needs besides. */
static __always_inline __u32
sn_verdict_without_flow(struct sn_packet *p, const struct sn_verdict_result *v)
{
	if (p->fragment == SN_PACKET_LATER)
		return sn_flow_fragment_passes(p, v->word, v->now) ?
			       SN_REASON_PASS_FRAGMENT :
			       SN_REASON_FRAGMENT;
	if (p->kind == SN_PACKET_ICMP_ERROR)
		return p->quotes_flow ? SN_REASON_PASS_ICMP_ERROR :
					SN_REASON_ICMP_ERROR;
	return SN_REASON_COUNT;
}

/* Who opened the flow, or would open it with this packet, and may the remote
 * side do so? SN_REASON_COUNT: the rules decide. */
static __always_inline __u32 sn_verdict_opener(const struct sn_packet *p,
					       const struct sn_policy *policy,
					       struct sn_verdict_result *v)
{
	int inbound = v->flow.alive ? v->flow.flags & SN_FLOW_INBOUND :
				      p->direction == SN_INGRESS;

	v->no_flow = !v->flow.alive && !p->keeps_flow;
	v->admit = !v->flow.alive;
	/* A server's answer is asked for before its flow can be known. */
	if (p->hook == SN_HOOK_SENDMSG)
		inbound = policy->inbound == SN_INBOUND_ALLOW;
	if (!inbound)
		return SN_REASON_COUNT;
	if (policy->inbound == SN_INBOUND_ALLOW && !p->reflected)
		return SN_REASON_ALLOWED;
	if (p->direction == SN_INGRESS)
		return SN_REASON_INBOUND;
	/* The workload goes on by its own right or not at all. */
	v->admit = 1;
	return SN_REASON_COUNT;
}

/* One judgement under one copied block. Returns enum sn_reason or
 * SN_REASON_COUNT for "changed while reading". */
SN_GLOBAL int sn_verdict_judge(struct sn_packet *p, struct sn_policy *policy,
			       struct sn_verdict_result *v)
{
	__u32 r;

	if (!p || !policy || !v)
		return SN_REASON_HELPER;
	v->audit = policy->audit;
	v->send_only = policy->inbound == SN_INBOUND_BLOCK;
	v->reopens = policy->inbound == SN_INBOUND_ALLOW;
	v->no_flow = 1;
	v->rule_id = 0;
	r = sn_dns_judge(p, policy);
	if (r != SN_REASON_COUNT)
		return (int)r;
	if (policy->mode == SN_MODE_DISABLED)
		return SN_REASON_ALLOWED;
	r = sn_verdict_by_kind(p, policy);
	if (r == SN_REASON_COUNT)
		r = sn_verdict_without_flow(p, v);
	if (r == SN_REASON_COUNT)
		r = sn_verdict_opener(p, policy, v);
	if (r == SN_REASON_COUNT)
		r = sn_verdict_rules(p, policy, v);
	return (int)r;
}

static __always_inline void sn_verdict_copy(struct sn_policy *to,
					    const struct sn_policy *from)
{
	__u64 *t = (__u64 *)to;
	const __u64 *f = (const __u64 *)from;

	t[0] = SN_READ(f[0]);
	t[1] = SN_READ(f[1]);
	t[2] = SN_READ(f[2]);
	t[3] = SN_READ(f[3]);
}

/* Judges until the word is the same before and after. */
static __always_inline void sn_verdict_settle(struct sn_packet *p, __u64 *word,
					      struct sn_verdict_result *v)
{
	struct sn_policy policy SN_ALIGNED;

	for (int i = 0; i < SN_VERDICT_TRIES; i++) {
		__u32 generation, index;
		struct sn_policy *block;

		v->word = SN_READ(*word);
		generation = SN_WORD_GENERATION(v->word);
		v->reason = SN_REASON_NO_POLICY;
		if (!generation)
			return;
		index = 2 * p->key.slot + (generation & 1);
		block = bpf_map_lookup_elem(&sn_policies, &index);
		if (!block)
			return;
		sn_read_barrier();
		sn_verdict_copy(&policy, block);
		if (policy.generation != generation)
			continue;
		v->reason = (__u32)sn_verdict_judge(p, &policy, v);
		if (v->reason == SN_REASON_COUNT)
			continue;
		sn_read_barrier();
		if (!SN_VERDICT_RECHECKS || SN_READ(*word) == v->word)
			return;
	}
	v->reason = SN_REASON_RACE;
	v->audit = 0;
	v->no_flow = 1;
}

static __always_inline int sn_verdict_is_pass(__u32 reason)
{
	switch (reason) {
	case SN_REASON_ALLOWED:
	case SN_REASON_PASS_ARP:
	case SN_REASON_PASS_NEIGHBOUR:
	case SN_REASON_PASS_MLD:
	case SN_REASON_PASS_DHCP:
	case SN_REASON_PASS_ICMP_ERROR:
	case SN_REASON_PASS_FRAGMENT:
	case SN_REASON_PASS_LOCAL:
	case SN_REASON_PASS_DNS:
		return 1;
	default:
		return 0;
	}
}

/* Audit never passes what could not be decided. */
static __always_inline int sn_verdict_is_failure(__u32 reason)
{
	return reason == SN_REASON_NO_SLOT || reason == SN_REASON_NO_POLICY ||
	       reason == SN_REASON_RACE || reason == SN_REASON_PARSE ||
	       reason == SN_REASON_HELPER || reason == SN_REASON_DNS_STEER ||
	       reason == SN_REASON_DNS_NETNS ||
	       reason == SN_REASON_DNS_ADDRESS || reason == SN_REASON_DNS_RATE;
}

/* A loopback packet from one socket of a cgroup to another is seen by both
 * sockets' hooks; the flow is the opener's, seen from the other end it is
 * turned round. */
static __always_inline int sn_verdict_has_mirror(const struct sn_packet *p,
						 __u64 word, __u64 now)
{
	struct sn_flow_key key = {};

	key.slot = p->key.slot;
	key.protocol = p->key.protocol;
	key.family = p->key.family;
	sn_copy16(key.local, p->key.remote);
	sn_copy16(key.remote, p->key.local);
	key.local_port = p->key.remote_port;
	key.remote_port = p->key.local_port;
	return sn_flow_exists(&key, word, now);
}

static __always_inline int sn_verdict_is_local(const struct sn_packet *p,
					       __u64 word, __u64 now)
{
	return p->loopback && p->has_ports && !p->error &&
	       sn_verdict_has_mirror(p, word, now);
}

/* Books a verdict: counters, reason, event. */
static __always_inline int sn_verdict_finish(struct __sk_buff *skb,
					     struct sn_packet *p,
					     struct sn_verdict_result *v)
{
	int passes = sn_verdict_is_pass(v->reason);
	__u32 n = sn_count_segments(skb, p);

	sn_count_packet(p->key.slot, p->direction, n, p->length, !passes);
	if (v->reason != SN_REASON_ALLOWED)
		sn_count_reasons(p->key.slot, v->reason, n);
	if (passes)
		return SN_OUTCOME_PASS;
	if (sn_verdict_is_failure(v->reason))
		v->audit = 0;
	sn_count_event(p, v);
	return v->audit ? SN_OUTCOME_PASS : SN_OUTCOME_DROP;
}

/* A flow that was judged again and failed. */
static __always_inline void sn_verdict_revoke(struct sn_packet *p,
					      struct sn_verdict_result *v)
{
	if (!v->flow.alive || v->audit)
		return;
	if (v->reopens && !(v->flow.flags & SN_FLOW_INBOUND))
		sn_flow_mark_denied(p, v);
	else
		sn_flow_forget(p, v);
}

/* The flow side of a verdict that the rules made. */
SN_GLOBAL int sn_verdict_book(struct sn_packet *p, struct sn_verdict_result *v)
{
	int allowed;

	if (!p || !v || v->no_flow)
		return 0;
	allowed = v->reason == SN_REASON_ALLOWED;
	if (allowed || (v->audit && p->direction == SN_EGRESS))
		sn_flow_store(p, v, !allowed);
	else
		sn_verdict_revoke(p, v);
	if ((allowed || v->audit) && p->fragment == SN_PACKET_FIRST)
		sn_flow_fragment_put(p, v->word, v->now);
	return 0;
}

/* Packets that can belong to a flow. */
static __always_inline int sn_verdict_has_flow(const struct sn_packet *p)
{
	return !p->error && p->fragment != SN_PACKET_LATER &&
	       (p->kind == SN_PACKET_PLAIN || p->kind == SN_PACKET_DHCP);
}

/* Steering asks no flow: the remote side may have opened one from port 53. */
static __always_inline int sn_verdict_is_for_dns(const struct sn_packet *p,
						 __u64 word)
{
	__u32 index = 2 * p->key.slot + (SN_WORD_GENERATION(word) & 1);
	struct sn_policy *block;

	if (!p->steered && !sn_dns_is_query(p))
		return 0;
	block = bpf_map_lookup_elem(&sn_policies, &index);
	return block && block->dns;
}

/* True if the packet passes on what is stored, without a judgement. */
static __always_inline int sn_verdict_is_known(struct sn_packet *p,
					       struct sn_verdict_result *v)
{
	if (!v->word || !sn_verdict_has_flow(p) ||
	    sn_verdict_is_for_dns(p, v->word))
		return 0;
	if (sn_flow_check(p, v)) {
		v->reason = SN_REASON_ALLOWED;
		if (p->fragment == SN_PACKET_FIRST)
			sn_flow_fragment_put(p, v->word,
					     bpf_ktime_get_boot_ns());
		return 1;
	}
	if (v->flow.alive)
		return 0;
	if (p->loopback && !sn_flow_is_opening(p) &&
	    sn_verdict_is_local(p, v->word, v->seen)) {
		v->reason = SN_REASON_PASS_LOCAL;
		return 1;
	}
	/* A packet with a forged source that the workload sent to itself must
	 * not open the way to that source. */
	if (p->hook == SN_HOOK_TC && p->direction == SN_INGRESS)
		p->reflected = (__u8)sn_verdict_has_mirror(p, 0, v->seen);
	return 0;
}

/* What a judgement needs from the packet's bytes beyond the parsed headers. */
static __always_inline void sn_verdict_look_inside(struct __sk_buff *skb,
						   struct sn_packet *p,
						   struct sn_verdict_result *v)
{
	int leaves = p->direction == SN_EGRESS;

	if (p->error)
		return;
	if (p->kind == SN_PACKET_ICMP_ERROR)
		p->quotes_flow = (__u8)sn_verdict_quotes_flow(
			skb, p, leaves ? v->word : 0, v->seen);
	else if (p->kind == SN_PACKET_NEIGHBOUR && leaves &&
		 p->role != SN_ROLE_HOST && !sn_verdict_is_near(skb, p))
		p->error = SN_REASON_NEIGHBOUR;
}

/* Verdict on a parsed packet of slot p->key.slot; *v is zero before. */
static __always_inline int sn_verdict_packet(struct __sk_buff *skb,
					     struct sn_packet *p,
					     struct sn_verdict_result *v)
{
	__u32 slot = p->key.slot;
	__u64 *word = bpf_map_lookup_elem(&sn_words, &slot);

	v->seen = bpf_ktime_get_coarse_ns();
	if (!slot || !word) {
		v->now = bpf_ktime_get_boot_ns();
		p->key.slot = 0;
		v->reason = SN_REASON_NO_SLOT;
		return sn_verdict_finish(skb, p, v);
	}
	v->word = SN_READ(*word);
	if (sn_verdict_is_known(p, v))
		return sn_verdict_finish(skb, p, v);
	v->now = bpf_ktime_get_boot_ns();
	/* Not admitted any more: nothing that lapsed since counts for it. */
	if (v->flow.flags & SN_FLOW_DENIED)
		v->flow.admitted = v->now;
	sn_verdict_look_inside(skb, p, v);
	sn_verdict_settle(p, word, v);
	if (v->reason == SN_REASON_PASS_DNS && !p->steered)
		return SN_OUTCOME_STEER;
	sn_verdict_book(p, v);
	return sn_verdict_finish(skb, p, v);
}

/* Books a call that is refused for v->reason. */
static __always_inline int sn_verdict_refuse_call(struct sn_packet *p,
						  struct sn_verdict_result *v)
{
	if (sn_verdict_is_failure(v->reason))
		v->audit = 0;
	sn_count_call(p, v);
	if (v->audit)
		return SN_OUTCOME_PASS;
	sn_count_reason(p->key.slot, v->reason);
	sn_count_reason(p->key.slot, SN_REASON_CALL_REFUSED);
	return SN_OUTCOME_DROP;
}

/* Verdict on a connect() or sendmsg() call, before any packet; *v is zero
 * before. Packets of a call that goes on are judged again. */
static __always_inline int sn_verdict_call(struct sn_packet *p,
					   struct sn_verdict_result *v)
{
	__u32 slot = p->key.slot;
	__u64 *word = bpf_map_lookup_elem(&sn_words, &slot);

	v->now = bpf_ktime_get_boot_ns();
	v->seen = bpf_ktime_get_coarse_ns();
	if (!slot || !word) {
		p->key.slot = 0;
		v->reason = SN_REASON_NO_SLOT;
	} else {
		sn_verdict_settle(p, word, v);
	}
	if (v->reason == SN_REASON_PASS_DNS)
		return SN_OUTCOME_STEER;
	if (sn_verdict_is_pass(v->reason))
		return SN_OUTCOME_PASS;
	return sn_verdict_refuse_call(p, v);
}
