/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */

/* Timed loops over the verdict library, for BPF_PROG_TEST_RUN. Each program
 * does one thing for many prepared keys between two readings of the clock;
 * bench_empty does nothing with them, and its time is taken off the others'. */

#include "bpf/lib/verdict.h"

#include "test/bench/bench.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, BENCH_ADDRESSES);
	__type(key, __u32);
	__type(value, struct bench_address);
} bench_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BENCH_FLOWS);
	__type(key, __u32);
	__type(value, struct sn_flow_key);
} bench_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_job);
} bench_jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct bench_lpm4_key);
	__type(value, struct bench_lpm_value);
} bench_lpm4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct bench_lpm6_key);
	__type(value, struct bench_lpm_value);
} bench_lpm6 SEC(".maps");

/* What a loop's steps share. */
struct run {
	struct __sk_buff *skb;
	struct bench_job *job;
	__u64 found[BENCH_VERDICTS];
};

typedef long (*step_fn)(__u32 i, struct run *run);

static __always_inline int run_loop(struct __sk_buff *skb, step_fn step)
{
	__u32 zero = 0;
	struct bench_job *job = bpf_map_lookup_elem(&bench_jobs, &zero);
	struct run run = { .skb = skb, .job = job };
	__u64 start;

	if (!job)
		return 1;
	start = bpf_ktime_get_ns();
	bpf_loop(job->n, step, &run, 0);
	job->elapsed_ns = bpf_ktime_get_ns() - start;
	job->verdicts[0] = run.found[0];
	job->verdicts[1] = run.found[1];
	job->verdicts[2] = run.found[2];
	job->verdicts[3] = run.found[3];
	return 0;
}

static __always_inline struct bench_address *next_address(const struct run *run,
							  __u32 i)
{
	__u32 index = (run->job->first + i) & run->job->mask;

	return bpf_map_lookup_elem(&bench_addresses, &index);
}

static __always_inline void book(struct run *run, __u32 verdict)
{
	if (verdict == 0)
		run->found[0]++;
	else if (verdict == 1)
		run->found[1]++;
	else if (verdict == 2)
		run->found[2]++;
	else
		run->found[3]++;
}

static long step_empty(__u32 i, struct run *run)
{
	struct bench_address *a = next_address(run, i);

	if (!a)
		return 1;
	book(run, a->bytes[0] & 1);
	return 0;
}

static long step_find(__u32 i, struct run *run)
{
	struct bench_job *job = run->job;
	struct bench_address *a = next_address(run, i);
	struct sn_query q = {
		.seen = job->now,
		.now_units = job->now >> SN_EXPIRES_SHIFT,
		.admitted_units = job->now >> SN_EXPIRES_SHIFT,
		.port = 443,
		.has_ports = 1,
		.protocol = SN_PROTOCOL_TCP,
	};
	struct sn_rule_key host = {
		.slot = BENCH_SLOT,
		.generation = BENCH_GENERATION,
		.family = (__u8)job->family,
		.prefix_length = job->family == SN_FAMILY_IPV4 ? 32 : 128,
	};

	if (!a)
		return 1;
	sn_copy16(host.address, a->bytes);
	book(run, (__u32)sn_rules_find(&host, &job->policy, &q));
	return 0;
}

static long step_lpm4(__u32 i, struct run *run)
{
	struct bench_address *a = next_address(run, i);
	struct bench_lpm4_key key = { .prefix_bits = 32 };
	struct bench_lpm_value *value;

	if (!a)
		return 1;
	*(__u32 *)key.address = *(__u32 *)a->bytes;
	value = bpf_map_lookup_elem(&bench_lpm4, &key);
	book(run, value ? value->verdict : SN_FOUND_NONE);
	return 0;
}

static long step_lpm6(__u32 i, struct run *run)
{
	struct bench_address *a = next_address(run, i);
	struct bench_lpm6_key key = { .prefix_bits = 128 };
	struct bench_lpm_value *value;

	if (!a)
		return 1;
	sn_copy16(key.address, a->bytes);
	value = bpf_map_lookup_elem(&bench_lpm6, &key);
	book(run, value ? value->verdict : SN_FOUND_NONE);
	return 0;
}

/* The frame is parsed as the TC program does it, then stands for the flow. */
static long step_established(__u32 i, struct run *run)
{
	__u32 index = (run->job->first + i) & run->job->mask;
	struct sn_flow_key *key = bpf_map_lookup_elem(&bench_flows, &index);
	struct sn_verdict_result v = {};
	struct sn_packet p = {};

	if (!key)
		return 1;
	p.hook = SN_HOOK_TC;
	p.direction = SN_EGRESS;
	p.role = SN_ROLE_WORKLOAD;
	p.key.slot = BENCH_SLOT;
	sn_packet_ethernet(run->skb, &p);
	sn_copy16(p.key.remote, key->remote);
	p.key.remote_port = key->remote_port;
	book(run, (__u32)sn_verdict_packet(run->skb, &p, &v));
	return 0;
}

/* The same for a flow that nobody has seen: rules, and an entry made. */
static long step_new(__u32 i, struct run *run)
{
	struct bench_address *a = next_address(run, i);
	struct sn_verdict_result v = {};
	struct sn_packet p = {};

	if (!a)
		return 1;
	p.hook = SN_HOOK_TC;
	p.direction = SN_EGRESS;
	p.role = SN_ROLE_WORKLOAD;
	p.key.slot = BENCH_SLOT;
	sn_packet_ethernet(run->skb, &p);
	sn_copy16(p.key.remote, a->bytes);
	p.key.remote_port = (__u16)run->job->port;
	book(run, (__u32)sn_verdict_packet(run->skb, &p, &v));
	return 0;
}

/* A new flow with the plain trie in the place of the rule tables and nothing
 * else changed. */
static long step_new_trie(__u32 i, struct run *run)
{
	struct bench_address *a = next_address(run, i);
	struct bench_lpm6_key key6 = { .prefix_bits = 128 };
	struct bench_lpm4_key key4 = { .prefix_bits = 32 };
	struct sn_verdict_result v = {};
	struct bench_lpm_value *value;
	struct sn_packet p = {};

	if (!a)
		return 1;
	p.hook = SN_HOOK_TC;
	p.direction = SN_EGRESS;
	p.role = SN_ROLE_WORKLOAD;
	p.key.slot = BENCH_SLOT;
	sn_packet_ethernet(run->skb, &p);
	sn_copy16(p.key.remote, a->bytes);
	p.key.remote_port = (__u16)run->job->port;
	v.now = bpf_ktime_get_boot_ns();
	v.seen = bpf_ktime_get_coarse_ns();
	v.word = SN_WORD(BENCH_GENERATION, 0);
	sn_flow_check(&p, &v);
	if (run->job->family == SN_FAMILY_IPV4) {
		*(__u32 *)key4.address = *(__u32 *)a->bytes;
		value = bpf_map_lookup_elem(&bench_lpm4, &key4);
	} else {
		sn_copy16(key6.address, a->bytes);
		value = bpf_map_lookup_elem(&bench_lpm6, &key6);
	}
	v.reason = value && value->verdict == SN_FOUND_ALLOW ?
			   SN_REASON_ALLOWED :
			   SN_REASON_NO_RULE;
	sn_verdict_book(&p, &v);
	book(run, (__u32)sn_verdict_finish(run->skb, &p, &v));
	return 0;
}

SEC("tc")
int bench_empty(struct __sk_buff *skb)
{
	return run_loop(skb, step_empty);
}

SEC("tc")
int bench_find(struct __sk_buff *skb)
{
	return run_loop(skb, step_find);
}

SEC("tc")
int bench_trie4(struct __sk_buff *skb)
{
	return run_loop(skb, step_lpm4);
}

SEC("tc")
int bench_trie6(struct __sk_buff *skb)
{
	return run_loop(skb, step_lpm6);
}

SEC("tc")
int bench_established(struct __sk_buff *skb)
{
	return run_loop(skb, step_established);
}

SEC("tc")
int bench_new(struct __sk_buff *skb)
{
	return run_loop(skb, step_new);
}

SEC("tc")
int bench_new_trie(struct __sk_buff *skb)
{
	return run_loop(skb, step_new_trie);
}

/* connect() hooks to compare with: nothing, and a plain trie. */
SEC("cgroup/connect4")
int bench_connect_empty(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("cgroup/connect4")
int bench_connect_trie(struct bpf_sock_addr *ctx)
{
	struct bench_lpm4_key key = { .prefix_bits = 32 };
	struct bench_lpm_value *value;

	*(__u32 *)key.address = ctx->user_ip4;
	value = bpf_map_lookup_elem(&bench_lpm4, &key);
	return value && value->verdict == SN_FOUND_ALLOW;
}
