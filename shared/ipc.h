/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Records on dp.sock (SOCK_SEQPACKET): one request or one answer each, file
 * descriptors beside it by SCM_RIGHTS. Layout: struct sn_ipc_header, then in
 * answers struct sn_ipc_status, then the fixed struct of shared/ipc.def, then
 * rows. Host byte order; padding is zero and checked.
 *
 * Requests may be pipelined; answers come in the order of the requests. A
 * record that is not legal in the present state, or malformed, ends the link:
 * nobody but a broken or malicious peer sends one. A request that is well
 * formed and cannot be carried out is answered with an error. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/abi.h"
#include "shared/tables.h"

enum {
	SN_IPC_PROTOCOL = 4,
	SN_IPC_RECORD_BYTES = 65536, /* one record, header included */
	SN_IPC_FDS_MAX = 8,
	SN_IPC_CURSOR_BYTES = 64,
	SN_IPC_VERSION_BYTES = 32,
	SN_IPC_TABLES_MAX = 64,
	SN_IPC_PROGRAMS_MAX = 128,
	SN_IPC_HOOKS_MAX = 128,
	SN_IPC_PIPELINE = 64, /* requests that cp may have unanswered */
};

enum sn_ipc_state {
	SN_IPC_STATE_NEW = 1, /* connected, HELLO not yet answered */
	SN_IPC_STATE_READY = 2,
};

#define SN_IPC_ROW_TABLE 0xfffffffeU
#define SN_IPC_ROW_KEY	 0xffffffffU

enum sn_ipc_type {
#define SN_IPC(name, number, req, req_row, ans, ans_row, fds_in, fds_out, \
	       states)                                                    \
	SN_IPC_##name = number,
#include "shared/ipc.def"
#undef SN_IPC
	SN_IPC_TYPE_END,
};

struct sn_ipc_header {
	uint16_t type; /* enum sn_ipc_type */
	uint16_t is_answer; /* 0 or 1 */
	uint32_t seq; /* chosen by cp, repeated in the answer */
	uint32_t size; /* of the whole record */
	uint32_t n_rows;
};

/* status: 0 or a negative errno:
 *  -ENOENT     no such slot, id, key, interface
 *  -EEXIST     the target is attached already
 *  -EBUSY      an attached cgroup lies above or below; generation not staged
 *  -ENODEV     there is no such interface; -ENOTDIR: not a cgroup2 directory
 *  -EPERM      argv does not allow this target or role
 *  -EOPNOTSUPP the hook or link type is not supported here
 *  -EPIPE      what opens tracepoints for sentinel-dp is gone
 *  -EINVAL     a row or field is not legal; index says which
 *  -ENOSPC     table full; -EMLINK: no free slot; -ENOMEM
 *  -ESTALE     the generation is neither current nor staged
 *  -EPROTONOSUPPORT  HELLO with another protocol or ABI
 * index: first refused row (or n_rows); applied: rows that were applied. */
struct sn_ipc_status {
	int32_t status;
	uint32_t index;
	uint32_t applied;
	uint32_t pad;
};

struct sn_ipc_empty {
	uint32_t pad[2];
};

struct sn_ipc_hello {
	uint32_t protocol;
	uint32_t abi;
};

/* program_error[enum sn_program]: 0 loaded, else the errno of its load; ECANCELED:
 * options leave it out. dns: where listeners have to be and what addresses are
 * slots'; mark is zero. */
struct sn_ipc_hello_answer {
	uint32_t protocol;
	uint32_t abi;
	uint32_t n_slots;
	uint32_t n_cpus;
	uint8_t allow_host_role;
	uint8_t tcx; /* 1: TCX links, 0: clsact filters */
	uint8_t runtime; /* 1: --runtime; else its programs are not loaded */
	uint8_t tracefs; /* 1: it was read, with the numbers of tracepoints */
	/* Why no SYSCALL hook can be made all the same: an errno of
	 * perf_event_open(2), or 0. EACCES: kernel.perf_event_paranoid is above
	 * 2, and sentinel-dp was started without CAP_SYS_ADMIN. */
	int32_t perf_error;
	char version[SN_IPC_VERSION_BYTES]; /* NUL-terminated */
	struct sn_dns dns;
	uint32_t capacity[SN_IPC_TABLES_MAX]; /* enum sn_table */
	int32_t program_error[SN_IPC_PROGRAMS_MAX];
	/* Bit n: row n of SN_RT_HOOK in shared/runtime.def has no tracepoint on
	 * this kernel. */
	uint64_t hooks_missing[SN_IPC_HOOKS_MAX / 64];
};

struct sn_ipc_list {
	uint32_t first_slot;
	uint32_t pad;
};

struct sn_ipc_list_answer {
	uint32_t next_slot; /* 0: that was the last page */
	uint32_t pad;
};

/* A target's position is how many foreign programs run before ours on its worst
 * hook, or one of these. GONE: the kernel ended all our links, as it does when
 * the target dies. TAKEN: somebody took a program of ours off, and the target
 * may live. */
enum sn_ipc_position {
	SN_IPC_POSITION_UNKNOWN = -1,
	SN_IPC_POSITION_GONE = -2,
	SN_IPC_POSITION_TAKEN = -3,
};

struct sn_ipc_target {
	uint8_t id[SN_ID_BYTES];
	uint64_t object;
	uint64_t attached_at;
	uint32_t slot;
	uint32_t generation; /* current; 0: none yet */
	uint32_t revision;
	uint32_t staged; /* generation, or 0 */
	uint32_t next_generation; /* the one to stage next */
	int32_t position;
	uint8_t type; /* enum sn_target_type */
	uint8_t role;
	uint8_t state; /* enum sn_target_state */
	uint8_t pad[5];
	struct sn_policy policy; /* block of `generation`; zero without one */
};

/* ifindex for SN_TARGET_TC; SN_TARGET_CGROUP carries one fd, O_PATH or more, of
 * the cgroup's directory. SN_TARGET_HOST, one at most and only with --runtime,
 * has neither, no role and no mode. initial_mode: SN_MODE_NONE stays closed until FLIP;
 * else generation 1 with that mode and no rules is in force before the first
 * packet is judged. */
struct sn_ipc_attach {
	uint8_t id[SN_ID_BYTES];
	uint32_t ifindex;
	uint32_t flow_quota;
	uint8_t type;
	uint8_t role; /* of SN_TARGET_TC, else SN_ROLE_NONE */
	uint8_t initial_mode; /* enum sn_mode */
	uint8_t initial_audit;
	uint8_t pad[4];
};

struct sn_ipc_attach_answer {
	uint64_t object; /* ifindex or cgroup id */
	uint64_t attached_at; /* boot time ns */
	uint32_t slot;
	uint32_t generation; /* next one to stage minus one */
	int32_t position;
	uint32_t pad;
};

struct sn_ipc_detach {
	uint8_t id[SN_ID_BYTES];
	uint32_t slot;
	uint32_t pad;
};

enum sn_ipc_table_flag {
	/* After the batch dp bumps the slot's revision, so that every flow of
	 * the slot is judged again. */
	SN_IPC_TABLE_NARROW = 1,
	/* TABLE_DEL: only entries whose items have all lapsed and on which no
	 * flow can rest any more. */
	SN_IPC_TABLE_UNUSED = 2,
};

/* All rows are of one slot and one generation: the current, or the staged one
 * (next_generation; the first batch stages it). TABLE_DEL also takes retired
 * generations. Rows: key then value, or keys. TABLE_DEL answers one byte a
 * row: enum sn_ipc_deleted. */
struct sn_ipc_table {
	uint32_t table; /* enum sn_table, writer CP */
	uint32_t flags;
	uint32_t slot;
	uint32_t generation;
};

enum sn_ipc_deleted {
	SN_IPC_DELETED_GONE = 0,
	SN_IPC_DELETED_ABSENT = 1,
	SN_IPC_DELETED_IN_USE = 2,
};

enum sn_ipc_page_flag {
	/* TABLE_GET: the rows of the request name the keys that are wanted. */
	SN_IPC_PAGE_KEYS = 1,
	/* TABLE_SWEEP: idle flows and ended fragments only. */
	SN_IPC_PAGE_IDLE = 2,
};

/* One bounded step (at most 4,096 entries looked at) through a table.
 * slot 0: every slot; generation 0: every one. TABLE_SWEEP of a CP table needs
 * a slot and never deletes its current generation. Of sn_rt_sums it sends what
 * is summed (the slot's, in one step) and retires what is idle. cursor: all zero
 * at the start, then as answered. */
struct sn_ipc_page {
	uint32_t table; /* writer CP or BPF */
	uint32_t flags;
	uint32_t slot;
	uint32_t generation;
	uint8_t cursor[SN_IPC_CURSOR_BYTES];
};

struct sn_ipc_page_answer {
	uint32_t done;
	uint32_t deleted;
	uint8_t cursor[SN_IPC_CURSOR_BYTES];
};

struct sn_ipc_flip {
	uint32_t slot;
	uint32_t pad;
	struct sn_policy policy; /* its generation: next_generation */
};

/* fds in this order: counters, reasons, events; then, as far as they loaded,
 * the socket filters for the listeners of the TC path and of the cgroup path
 * (program_error of HELLO tells which); last, if runtime_bytes is not 0, the ring
 * of runtime events and their ledger. */
struct sn_ipc_fds_answer {
	uint32_t n_fds;
	uint32_t n_slots;
	uint32_t n_cpus;
	uint32_t events_bytes;
	uint32_t runtime_bytes;
	uint32_t pad;
};

struct sn_ipc_stats_answer {
	uint64_t flows; /* entries of sn_flows */
	uint64_t slots_attached;
	uint64_t slots_dirty;
	uint64_t records_refused; /* since dp started */
	uint64_t peers_refused;
};

/* What shared/ipc.def says of a type, sizes without header and status. */
struct sn_ipc_info {
	const char *name;
	uint32_t request_bytes;
	uint32_t request_row;
	uint32_t answer_bytes;
	uint32_t answer_row;
	uint32_t fds_in;
	uint32_t fds_out;
	uint32_t states;
};

/* NULL for a number that is no type. */
const struct sn_ipc_info *sn_ipc_info_get(uint16_t type);

/* Checks a received record against shared/ipc.def: type, direction, size, rows
 * (by the table it names), number of fds, state, zero padding of the header.
 * Returns 0 or -EPROTO; *why is a static text then. Never reads beyond size. */
int sn_ipc_check_request(const void *record, size_t size, size_t n_fds,
			 enum sn_ipc_state state, const char **why);
int sn_ipc_check_answer(const void *record, size_t size, size_t n_fds,
			const char **why);

/* One record; never blocks, never raises SIGPIPE. -EAGAIN: would block. Takes
 * no ownership of fds. */
int sn_ipc_send(int fd, const void *record, size_t size, const int *fds,
		size_t n_fds);

/* One record into buffer (SN_IPC_RECORD_BYTES). Received fds are close-on-exec
 * and the caller's; at most SN_IPC_FDS_MAX, more are closed and make -EPROTO,
 * as does a record that does not fit. *size 0: the peer closed. */
int sn_ipc_receive(int fd, void *buffer, size_t *size, int fds[SN_IPC_FDS_MAX],
		   size_t *n_fds);
