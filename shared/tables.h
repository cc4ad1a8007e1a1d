/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* shared/tables.def and shared/programs.def as C tables. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"

enum sn_table {
#define SN_TABLE(name, map, key, value, shape, capacity, writer, seal) \
	SN_TABLE_##name,
#define SN_CHECK(table, checker, part, field, a, b)
#include "shared/tables.def"
#undef SN_TABLE
#undef SN_CHECK
	SN_TABLE_COUNT,
};

enum sn_table_shape {
	SN_TABLE_SHAPE_HASH,
	SN_TABLE_SHAPE_LRU,
	SN_TABLE_SHAPE_TRIE,
	SN_TABLE_SHAPE_ARRAY,
	SN_TABLE_SHAPE_STORAGE,
	SN_TABLE_SHAPE_RING,
};

enum sn_table_capacity {
	SN_TABLE_CAPACITY_NONE, /* the kernel's own */
	SN_TABLE_CAPACITY_ONE,
	SN_TABLE_CAPACITY_SLOTS,
	SN_TABLE_CAPACITY_SLOTS2,
	SN_TABLE_CAPACITY_SLOT_CPUS,
	SN_TABLE_CAPACITY_RT_EVENT_CPUS,
	SN_TABLE_CAPACITY_RT_GENERATIONS,
	SN_TABLE_CAPACITY_RULES, /* from here on: one argv option each */
	SN_TABLE_CAPACITY_PREFIXES,
	SN_TABLE_CAPACITY_FLOWS,
	SN_TABLE_CAPACITY_FLOWS_NEW,
	SN_TABLE_CAPACITY_FRAGMENTS,
	SN_TABLE_CAPACITY_DENIED,
	SN_TABLE_CAPACITY_DNS_NAT,
	SN_TABLE_CAPACITY_EVENTS_BYTES,
	SN_TABLE_CAPACITY_RT_MATCH,
	SN_TABLE_CAPACITY_RT_SUMS,
	SN_TABLE_CAPACITY_RT_SUBJECTS,
	SN_TABLE_CAPACITY_RT_RING_BYTES,
	SN_TABLE_CAPACITY_COUNT,
};

enum sn_table_writer {
	SN_TABLE_WRITER_CP,
	SN_TABLE_WRITER_BPF,
	SN_TABLE_WRITER_FROZEN,
	SN_TABLE_WRITER_DP,
};

struct sn_table_info {
	const char *name; /* "rules" */
	const char *map; /* "sn_rules": name of the map and of its pin */
	uint32_t key_bytes;
	uint32_t value_bytes;
	enum sn_table_shape shape;
	enum sn_table_capacity capacity;
	enum sn_table_writer writer;
	bool sealed;
	bool runtime; /* of the runtime object */
};

enum sn_check_kind {
	SN_CHECK_SLOT,
	SN_CHECK_GENERATION,
	SN_CHECK_FAMILY,
	SN_CHECK_PREFIX,
	SN_CHECK_TRIE_PREFIX,
	SN_CHECK_ZERO,
	SN_CHECK_RANGE,
	SN_CHECK_ITEMS,
};

/* a and b: offsets of further fields or bounds, by kind (tables.def). */
struct sn_check {
	enum sn_table table;
	enum sn_check_kind kind;
	bool in_value; /* the field is in the value, else in the key */
	uint32_t offset;
	uint32_t bytes;
	uint32_t a;
	uint32_t b;
};

extern const struct sn_table_info sn_tables_info[SN_TABLE_COUNT];
extern const struct sn_check sn_tables_checks[];
extern const size_t sn_tables_n_checks;

enum sn_program {
#define SN_PROGRAM(name, function, feature, hook, need, capability, kernel) \
	SN_PROGRAM_##name,
#include "shared/programs.def"
#undef SN_PROGRAM
	SN_PROGRAM_COUNT,
};

enum sn_program_hook {
	SN_PROGRAM_HOOK_TC_INGRESS,
	SN_PROGRAM_HOOK_TC_EGRESS,
	SN_PROGRAM_HOOK_CGROUP_INET_EGRESS,
	SN_PROGRAM_HOOK_CGROUP_INET_INGRESS,
	SN_PROGRAM_HOOK_CGROUP_CONNECT4,
	SN_PROGRAM_HOOK_CGROUP_CONNECT6,
	SN_PROGRAM_HOOK_CGROUP_SENDMSG4,
	SN_PROGRAM_HOOK_CGROUP_SENDMSG6,
	SN_PROGRAM_HOOK_CGROUP_RECVMSG4,
	SN_PROGRAM_HOOK_CGROUP_RECVMSG6,
	SN_PROGRAM_HOOK_CGROUP_GETPEERNAME4,
	SN_PROGRAM_HOOK_CGROUP_GETPEERNAME6,
	SN_PROGRAM_HOOK_CGROUP_BIND4,
	SN_PROGRAM_HOOK_CGROUP_BIND6,
	SN_PROGRAM_HOOK_DNS_RETURN, /* of the resolver's interface, once */
	SN_PROGRAM_HOOK_SOCKET_FILTER, /* handed to cp for its listeners */
	SN_PROGRAM_HOOK_ITER_TASK,
	SN_PROGRAM_HOOK_SYSCALL_EXIT, /* these three by shared/runtime.def */
	SN_PROGRAM_HOOK_TRACEPOINT_BTF,
	SN_PROGRAM_HOOK_FUNCTION_RETURN,
	SN_PROGRAM_HOOK_TABLE_FLUSH, /* run at TABLE_SWEEP of sn_rt_sums */
};

enum sn_feature {
	SN_FEATURE_EGRESS_TC,
	SN_FEATURE_EGRESS_CGROUP,
	SN_FEATURE_DNS_TC,
	SN_FEATURE_DNS_CGROUP,
	SN_FEATURE_RUNTIME, /* its programs are the runtime object */
	SN_FEATURE_COUNT,
};

struct sn_program_info {
	const char *name; /* "TC_INGRESS" */
	const char *function; /* in the BPF object; name of the pin */
	enum sn_feature feature;
	enum sn_program_hook hook;
	bool needed;
	const char *capability;
	const char *kernel;
};

extern const struct sn_program_info sn_programs_info[SN_PROGRAM_COUNT];

/* shared/reasons.def. */
struct sn_reason_info {
	const char *name;
	enum sn_reason_kind kind;
	const char *meaning;
};

extern const struct sn_reason_info sn_reasons_info[SN_REASON_COUNT];
