/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The helpers that bpf/lib calls, over small tables in memory (fuzz_packet.c). */

#include <linux/bpf.h>
#include <linux/types.h>

#undef __always_inline

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, type)  __typeof__(type) *name
#define __weak		    __attribute__((weak))
#define __always_inline	    inline __attribute__((always_inline))

void *bpf_map_lookup_elem(void *map, const void *key);
long bpf_map_update_elem(void *map, const void *key, const void *value,
			 __u64 flags);
long bpf_map_delete_elem(void *map, const void *key);
long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 bytes);
__u64 bpf_ktime_get_boot_ns(void);
__u64 bpf_ktime_get_coarse_ns(void);
__u32 bpf_get_smp_processor_id(void);
__u64 bpf_get_current_pid_tgid(void);
long bpf_get_current_comm(void *to, __u32 bytes);
void *bpf_ringbuf_reserve(void *ring, __u64 bytes, __u64 flags);
void bpf_ringbuf_submit(void *record, __u64 flags);
