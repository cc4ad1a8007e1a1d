/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Longest match over the rule tables of one generation. The host prefix is
 * probed first, then up to four hashed lengths or the trie. An entry whose items
 * do not match protocol and port falls through to the next shorter one. */

#include "bpf/lib/maps.h"
#include "bpf/lib/packet.h"

enum {
	SN_FOUND_NONE = 0,
	SN_FOUND_ALLOW = SN_VERDICT_ALLOW,
	SN_FOUND_DENY = SN_VERDICT_DENY,
	SN_FOUND_CHANGED = 3, /* the element was recycled under the reader */
	SN_FOUND_NEXT = 256, /* plus a prefix length: look there next */
};

/* The race test builds once without the seal, to see that it would tell. */
#ifdef SN_TEST_NO_SEAL
enum { SN_RULES_SEALED = 0 };
#else
enum { SN_RULES_SEALED = 1 };
#endif

struct sn_query {
	__u64 seen; /* the flows' clock */
	__u64 now_units; /* SN_EXPIRES_SHIFT units */
	__u64 admitted_units; /* an allow item counts if it expires later */
	__u32 rule_id; /* of the deciding item */
	__u16 port; /* host order */
	__u8 has_ports;
	__u8 protocol;
	__u8 metadata; /* only the host prefix may decide */
	__u8 pad[7];
};

/* True if the item speaks about the packet and has not lapsed for it. */
static __always_inline int sn_rules_item_counts(const struct sn_query *q,
						__u64 head, __u32 ports)
{
	__u64 expires = head & SN_EXPIRES_MAX;
	__u8 protocol = (__u8)(head >> 48);
	__u8 verdict = (__u8)(head >> 56);
	__u16 low = (__u16)ports;
	__u16 high = (__u16)(ports >> 16);

	if (protocol && protocol != q->protocol)
		return 0;
	if (low != 0 || high != 0xffff) {
		if (!q->has_ports || q->port < low || q->port > high)
			return 0;
	}
	if (!expires)
		return 1;
	return expires >
	       (verdict == SN_VERDICT_ALLOW ? q->admitted_units : q->now_units);
}

/* Books an item that counts. Returns 1 when nothing can change it any more. */
static __always_inline int sn_rules_take_item(struct sn_query *q, int *found,
					      __u64 head, __u64 tail)
{
	int is_deny = (__u8)(head >> 56) == SN_VERDICT_DENY;

	if (*found == SN_FOUND_NONE || is_deny) {
		*found = is_deny ? SN_FOUND_DENY : SN_FOUND_ALLOW;
		q->rule_id = (__u32)tail;
	}
	return is_deny;
}

/* The second reading of the seal. n was bounded before; it is again, unseen by
 * the compiler, because Linux 6.1 does not know of a copy on the stack what it
 * learnt of the register. */
static __always_inline int sn_rules_is_changed(struct sn_rule_value *value,
					       __u64 tag, __u32 seq, __u32 n)
{
	asm volatile("" : "+r"(n));
	if (n > SN_ITEMS_MAX)
		return 1;
	return SN_RULES_SEALED &&
	       (SN_READ(value->tag) != tag || SN_READ(value->seq) != seq ||
		SN_READ(*sn_rule_end(value, n)) != tag + seq);
}

/* Judges the items of one entry; deny wins. `tag` is that of the key that was
 * looked up. Tag and sequence are read before and after the items: a writer
 * that got in between shows in one of them (shared/abi.h). */
SN_GLOBAL int sn_rules_judge(struct sn_rule_value *value, __u64 tag,
			     struct sn_query *q)
{
	int found = SN_FOUND_NONE;
	__u32 seq, n;

	if (!value || !q)
		return SN_FOUND_CHANGED;
	if (SN_RULES_SEALED && SN_READ(value->tag) != tag)
		return SN_FOUND_CHANGED;
	seq = SN_READ(value->seq);
	n = SN_READ(value->n_items);
	if (n > SN_ITEMS_MAX)
		return SN_FOUND_CHANGED;
	for (__u32 i = 0; i < n; i++) {
		__u64 *item = (__u64 *)&value->items[i];
		__u64 head = SN_READ(item[0]);
		__u64 tail = SN_READ(item[1]);

		if (sn_rules_item_counts(q, head, (__u32)(tail >> 32)) &&
		    sn_rules_take_item(q, &found, head, tail))
			break;
	}
	sn_read_barrier();
	if (sn_rules_is_changed(value, tag, seq, n))
		return SN_FOUND_CHANGED;
	if (found != SN_FOUND_NONE && q->seen - value->used > SN_TOUCH_NS)
		SN_WRITE(value->used, q->seen);
	return found;
}

/* Clears the bits of a network-order address beyond `length`; IPv4 stands in
 * the first four bytes, so the same cut serves both families. */
static __always_inline void sn_rules_mask(__u8 *address, __u32 length)
{
	__u64 *w = (__u64 *)address;
	__u64 high = ~0ULL, low = 0;

	if (length < 64)
		high = length ? ~0ULL << (64 - length) : 0;
	else if (length < 128)
		low = length > 64 ? ~0ULL << (128 - length) : 0;
	else
		low = ~0ULL;
	w[0] &= bpf_cpu_to_be64(high);
	w[1] &= bpf_cpu_to_be64(low);
}

/* The entry of host's prefix of this length. The key is put together on the
 * stack: see sn_packet_copy_key(). */
SN_GLOBAL int sn_rules_probe(struct sn_rule_key *host, __u32 length,
			     struct sn_query *q)
{
	struct sn_rule_value *value;
	struct sn_rule_key key;

	if (!host || !q)
		return SN_FOUND_CHANGED;
	__builtin_memcpy(&key, host, sizeof(key));
	if (length != key.prefix_length) {
		key.prefix_length = (__u8)length;
		sn_rules_mask(key.address, length);
	}
	value = bpf_map_lookup_elem(&sn_rules, &key);
	/* A look-up can miss an element that is being replaced: the new one is
	 * put before what the walk has passed. */
	if (!value)
		value = bpf_map_lookup_elem(&sn_rules, &key);
	if (!value)
		return SN_FOUND_NONE;
	return sn_rules_judge(value, sn_seal_tag(&key), q);
}

/* One step in the trie: the longest prefix of at most `bits` that covers the
 * address. The stored length is believed only as far as the tag confirms it.
 * Returns enum SN_FOUND_* or, to go on with the next shorter one,
 * SN_FOUND_NEXT + its bits. */
SN_GLOBAL int sn_rules_trie_step(struct sn_rule_key *host, __u32 bits,
				 struct sn_query *q)
{
	struct sn_prefix_key key = {};
	struct sn_rule_value *value;
	__u32 length;
	int r;

	if (!host || !q)
		return SN_FOUND_CHANGED;
	key.prefix_bits = bits;
	key.slot = host->slot;
	key.generation = host->generation;
	key.family = host->family;
	sn_copy16(key.address, host->address);
	value = bpf_map_lookup_elem(&sn_prefixes, &key);
	if (!value)
		return SN_FOUND_NONE;
	length = SN_READ(value->prefix_length);
	if (SN_PREFIX_FIXED_BITS + length > bits)
		return SN_FOUND_CHANGED;
	key.prefix_bits = SN_PREFIX_FIXED_BITS + length;
	sn_rules_mask(key.address, length);
	r = sn_rules_judge(value, sn_seal_tag(&key), q);
	if (r != SN_FOUND_NONE || length == 0)
		return r;
	return SN_FOUND_NEXT + (int)length - 1;
}

/* From the longest to the shortest prefix of the trie: at most one step for
 * each length of the family. */
SN_GLOBAL int sn_rules_trie(struct sn_rule_key *host, struct sn_query *q)
{
	__u32 bits;

	if (!host || !q)
		return SN_FOUND_CHANGED;
	bits = SN_PREFIX_FIXED_BITS +
	       (host->family == SN_FAMILY_IPV4 ? 32 : 128);
	for (int i = 0; i < 129; i++) {
		int r = sn_rules_trie_step(host, bits, q);

		if (r < SN_FOUND_NEXT)
			return r;
		bits = SN_PREFIX_FIXED_BITS + (__u32)(r - SN_FOUND_NEXT);
	}
	return SN_FOUND_CHANGED;
}

/* host: key of the destination's host prefix in the generation of `policy`. */
SN_GLOBAL int sn_rules_find(struct sn_rule_key *host, struct sn_policy *policy,
			    struct sn_query *q)
{
	int is4, r;
	__u32 n;

	if (!host || !policy || !q)
		return SN_FOUND_CHANGED;
	is4 = host->family == SN_FAMILY_IPV4;
	n = is4 ? policy->n_lengths4 : policy->n_lengths6;
	r = sn_rules_probe(host, host->prefix_length, q);
	if (r != SN_FOUND_NONE || q->metadata)
		return r;
	if (is4 ? policy->trie4 : policy->trie6)
		return sn_rules_trie(host, q);
	for (__u32 i = 0; i < SN_LENGTHS_MAX; i++) {
		__u32 length;

		if (i >= n)
			break;
		length = is4 ? policy->lengths4[i] : policy->lengths6[i];
		r = sn_rules_probe(host, length, q);
		if (r != SN_FOUND_NONE)
			return r;
	}
	return SN_FOUND_NONE;
}
