/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */

/* The least that a program needs to tell an event of one cgroup: a record as
 * large as Sentinel's that is filled in before, and one call that hands it
 * over. */

#include "bpf/lib/env.h"

#include "test/bench/bench.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries,
	       1 << 23); /* the loader sets what it is compared with */
} bench_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_ring_job);
} bench_ring_jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_ring_record);
} bench_ring_scratch SEC(".maps");

SEC("tracepoint")
int bench_ring_tell(void *ctx)
{
	__u32 zero = 0;
	struct bench_ring_record *record =
		bpf_map_lookup_elem(&bench_ring_scratch, &zero);
	struct bench_ring_job *job =
		bpf_map_lookup_elem(&bench_ring_jobs, &zero);
	__u32 bytes;

	if (!record || !job || bpf_get_current_cgroup_id() != job->cgroup)
		return 0;
	bytes = job->record_bytes;
	if (bytes > sizeof(*record))
		return 0;
	record->number++;
	if (bpf_ringbuf_output(&bench_ring, record, bytes, 0))
		__sync_fetch_and_add(&job->n_full, 1);
	return 0;
}
