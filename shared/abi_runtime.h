/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* What BPF programs and user space share of runtime events; part of
 * shared/abi.h, whose rules hold here too.
 *
 * The host is a target of type SN_TARGET_HOST with one slot. Its rules are rows
 * of sn_rt_match and one row of sn_rt_settings under {slot, generation}, and the
 * FLIP of its policy block, of which only generation and runtime_events are not
 * zero, puts them in force. */

#ifndef __bpf__
#include <linux/types.h>
#endif

enum sn_rt_event {
	SN_RT_EVENT_NONE = 0, /* in the ledger: records of kind PROCESS */
#define SN_RT_EVENT(id, name, meaning) SN_RT_EVENT_##id,
#define SN_RT_CALL(id, in, out, dir, path, dir2, path2)
#define SN_RT_LIMIT(id, text)
#define SN_RT_HOOK(event, way, program, kind, hook, call, limit)
#include "shared/runtime.def"
#undef SN_RT_EVENT
#undef SN_RT_CALL
	SN_RT_EVENT_COUNT,
};

/* The system call that was made; in args[0] of most events. */
enum sn_rt_call {
#define SN_RT_EVENT(id, name, meaning)
#define SN_RT_CALL(id, in, out, dir, path, dir2, path2) SN_RT_CALL_##id,
#include "shared/runtime.def"
#undef SN_RT_EVENT
#undef SN_RT_CALL
#undef SN_RT_LIMIT
#undef SN_RT_HOOK
	SN_RT_CALL_COUNT,
};

/* Of sn_policy.runtime_events, of rules and of hooks. */
#define SN_RT_EVENT_BIT(event) (1ULL << (event))

enum {
	SN_RT_EVENT_SLOTS = 32, /* room for events in sn_rt_ledger */
	SN_RT_RULES_MAX = 1024,
	SN_RT_WORDS = SN_RT_RULES_MAX / 64,
	SN_RT_PATH_MAX = 4096, /* bytes of one string of a path */
	SN_RT_ARGUMENTS_MAX = 1024,
	SN_RT_DEPTH_MAX = 64, /* parts of a rule's path prefix and the root */
	SN_RT_CGROUP_LEVELS = 16, /* that a rule's cgroup may be on; the root's
				   * is 0 */
	SN_RT_LEFT_OUT_MAX = 4,
};
_Static_assert((int)SN_RT_EVENT_COUNT <= (int)SN_RT_EVENT_SLOTS,
	       "events outgrew the ABI");

/* What a rule may be about. A rule matches if all of its fields do; a field
 * that it does not name matches always. */
enum sn_rt_field {
	SN_RT_FIELD_EVENT = 1, /* value[0]: enum sn_rt_event */
	SN_RT_FIELD_RESULT = 2, /* value[0]: 0 success, 1 failure */
	SN_RT_FIELD_UID = 3, /* value[0] */
	SN_RT_FIELD_COMM = 4, /* value: 16 bytes, behind the NUL zero */
	SN_RT_FIELD_CGROUP =
		5, /* value[0]: id of the cgroup, or of one above */
	SN_RT_FIELD_EXE = 6, /* value[0]: SN_RT_DEV(); value[1]: inode */
	SN_RT_FIELD_EXE_PATH = 7, /* as PATH, of the process' executable */
	SN_RT_FIELD_DEVINO = 8, /* as EXE, of the event's first file */
	SN_RT_FIELD_PATH = 9, /* value[0]: sn_rt_hash() of a prefix of the path
			       * that ends at a boundary; value[1]: its bytes */
	SN_RT_FIELD_COUNT = 10,
};

#define SN_RT_DEV(major, minor) (((__u64)(major) << 32) | (__u32)(minor))

/* Hash of the first bytes of a path: h = sn_rt_hash(h, byte) for each, from
 * SN_RT_HASH_FIRST. A prefix has no slash at its end, "/" is the empty one with
 * 0 bytes. Different prefixes of one hash only widen what the kernel sends. */
#define SN_RT_HASH_FIRST 0xcbf29ce484222325ULL

static inline __u64 sn_rt_hash(__u64 h, __u8 byte)
{
	return (h ^ byte) * 0x100000001b3ULL;
}

/* Key of sn_rt_match: a value that rules name, or (any = 1, value zero) the
 * rules that do not name this field. Bits are numbers of rules. A field whose
 * bit in sn_rt_settings.fields is not set has no rows and is not looked at;
 * EVENT always is, and has no row of `any`. */
struct sn_rt_match_key {
	__u32 slot;
	__u32 generation;
	__u8 field; /* enum sn_rt_field */
	__u8 any;
	__u8 pad[6];
	__u64 value[2];
};
_Static_assert(sizeof(struct sn_rt_match_key) == 32, "ABI");

struct sn_rt_bits {
	__u64 words[SN_RT_WORDS];
};
_Static_assert(sizeof(struct sn_rt_bits) == 128, "ABI");

struct sn_rt_settings_key {
	__u32 slot;
	__u32 generation;
};
_Static_assert(sizeof(struct sn_rt_settings_key) == 8, "ABI");

/* A process whose events are left out: sentinel-cp names itself and
 * sentinel-dp. start_ticks: as in /proc/PID/stat, so that nobody who gets the
 * number later is left out. tgid: of the host's namespace; 0: none. */
struct sn_rt_left_out {
	__u32 tgid;
	__u32 pad;
	__u64 start_ticks;
};

enum sn_rt_setting {
	SN_RT_SETTING_ARGUMENTS = 1, /* exec events carry the arguments */
};

/* Value of sn_rt_settings, one row a generation. */
struct sn_rt_settings {
	__u32 epoch; /* not 0; when it changes, processes are introduced again */
	__u32 fields; /* 1 << enum sn_rt_field that rules name */
	__u32 n_words; /* of struct sn_rt_bits that are used, 1..SN_RT_WORDS */
	__u32 flags; /* enum sn_rt_setting */
	__u32 path_bytes; /* longest prefix of SN_RT_FIELD_PATH */
	__u32 exe_bytes; /* the same of SN_RT_FIELD_EXE_PATH */
	__u64 budget_ns; /* between records of one subject (uid and cgroup) in
			  * the long run; 0: no bound */
	__u64 burst_ns; /* how far ahead of that it may be: records * budget_ns */
	struct sn_rt_left_out left_out[SN_RT_LEFT_OUT_MAX];
	__u64 pad;
};
_Static_assert(sizeof(struct sn_rt_settings) == 112, "ABI");

enum sn_rt_kind {
	SN_RT_KIND_EVENT = 1,
	/* Comes before the first event of a process after a start of sentinel-cp,
	 * after its exec, and before that of a process that was never seen.
	 * file: the executable; file2.path_bytes: path of the cgroup from the root
	 * on (cut in front, with SN_RT_PATH_CUT); args: parent's tgid, parent's
	 * start, inode of the mount namespace, inode of the pid namespace. */
	SN_RT_KIND_PROCESS = 2,
};

enum sn_rt_flag {
	SN_RT_FIRST = 1, /* first access; what follows is summed */
	SN_RT_SUMMED = 2, /* accesses since the last record of the same process,
			   * event, device and inode; it carries no strings */
	SN_RT_UNSURE = 4, /* may match no rule: sentinel-cp has to judge */
	SN_RT_COMPAT = 8, /* by a 32-bit system call */
	SN_RT_IO_URING = 16,
	SN_RT_ARGUMENTS_CUT = 32,
};

enum sn_rt_path_flag {
	SN_RT_PATH_CUT = 1, /* only the last bytes (a string: the first) */
	/* What was passed: the directory it is relative to, a slash, and the
	 * string as it is. inode and device are not known. */
	SN_RT_PATH_STRING = 2,
	SN_RT_PATH_UNREACHABLE = 4, /* not below the process' root */
	SN_RT_PATH_DELETED = 8, /* the name is gone */
	SN_RT_PATH_MEMFD = 16, /* "memfd:NAME" */
	SN_RT_PATH_TEXT = 32, /* no path: target of a symbolic link, source of a
			       * mount, name of a program or module */
};

/* A file of an event. The path is as the process sees it, from its root on. Its
 * last inside_bytes bytes are in the file's own file system, and base (with the
 * same name in the record's strings) is where that begins there: base and these
 * bytes are its path from the root of its file system, from which the host's
 * path follows by the mounts of that device. All zero: no file. */
struct sn_rt_file {
	__u64 inode;
	__u32 major; /* of the superblock, the kernel's own numbers */
	__u32 minor;
	__u32 mode; /* type and permissions */
	__u32 flags; /* enum sn_rt_path_flag */
	__u16 path_bytes;
	__u16 inside_bytes;
	__u16 base_bytes;
	__u16 pad;
};
_Static_assert(sizeof(struct sn_rt_file) == 32, "ABI");

struct sn_rt_address {
	__u8 address[16]; /* IPv4 in the first four bytes */
	__u16 port; /* network order */
	__u8 family; /* enum sn_family; 0: none */
	__u8 protocol; /* IPPROTO_*; 0: not known */
};
_Static_assert(sizeof(struct sn_rt_address) == 20, "ABI");

/* Record of sn_rt_events, then the strings without terminators in this order:
 * file's path, file's base, file2's path, file2's base, arguments (each ended
 * by a NUL as the process has them). Bytes, not text. `size` is the whole, a
 * multiple of 8.
 *
 * args by event (args[0] is the enum sn_rt_call, of what a tracepoint or io_uring
 * tells):
 *  FILE_OPEN     flags, mode (by a function: without O_CLOEXEC and O_LARGEFILE)
 *  FILE_CHMOD    mode
 *  FILE_WRITE    of MMAP: protection, flags
 *  FILE_UNLINK   flags                FILE_CHOWN    uid, gid (32 bits)
 *  FILE_RENAME   flags (file2: what had the new name before, if that is known)
 *  PROCESS_EXIT  -, exit code as wait(2)
 *  PROCESS_FORK  -, child's tgid, child's start
 *  PROCESS_EXEC  -; file is the executable, file2 the name that was executed
 *                (the script's, where file is its interpreter)
 *  MEMFD_CREATE  flags                PTRACE        request, number
 *  MOUNT         flags                BPF_LOAD      type, instructions
 *  MODULE_LOAD   file2 is the name (TEXT), file the file if there was one
 * result: what the call returned: a descriptor, bytes, 0, or -errno; of a function,
 * which knows no descriptor, 0 or -errno. */
struct sn_rt_record {
	__u32 size;
	__u8 kind; /* enum sn_rt_kind */
	__u8 event; /* enum sn_rt_event */
	__u16 arguments_bytes;
	__u32 flags; /* enum sn_rt_flag */
	__u32 cpu;
	__u64 time; /* CLOCK_BOOTTIME */
	__u64 word; /* of the slot, under which it was judged */
	__u64 start; /* of the process, CLOCK_BOOTTIME; with tgid its identity */
	__u32 tgid;
	__u32 tid;
	__u32 uid;
	__u32 gid;
	__u64 cgroup;
	__s64 result;
	__u64 count; /* accesses, 1 if not summed */
	__u64 bytes;
	__u64 args[4];
	__u8 comm[16];
	struct sn_rt_file file;
	struct sn_rt_file file2;
	struct sn_rt_address local;
	struct sn_rt_address remote;
};
_Static_assert(sizeof(struct sn_rt_record) == 240, "ABI");

/* Key of sn_rt_sums. subject: hash of under what and of whom it was judged, so
 * that an access which is judged otherwise has an entry of its own. */
struct sn_rt_sum_key {
	__u32 slot;
	__u32 tgid;
	__u64 start;
	__u64 dev; /* SN_RT_DEV() */
	__u64 inode;
	__u32 event;
	__u32 subject;
};
_Static_assert(sizeof(struct sn_rt_sum_key) == 40, "ABI");

/* state: DEAD, a tag of the key, and in the lower 32 bits the accesses that were
 * not sent yet. Elements are recycled at once: an access belongs to the entry only
 * if it can exchange the state for one more while the tag is its key's, and adds
 * its bytes then. Only sn_rt_flush takes away; it deletes what had no access for
 * SN_RT_IDLE_NS, and marks it DEAD by an exchange before. */
#define SN_RT_SUM_DEAD (1ULL << 63)
#define SN_RT_SUM_TAGS (0x7fffffffULL << 32)
#define SN_RT_IDLE_NS  (100ULL * 1000000ULL)

/* tid to comm: of the first access. */
struct sn_rt_sum {
	__u64 state;
	__u64 bytes;
	__u64 sent; /* when something of it was */
	__u64 word;
	__u32 tid;
	__u32 uid;
	__u32 gid;
	__u16 call;
	__u16 flags; /* SN_RT_COMPAT, SN_RT_IO_URING, or none */
	__u64 cgroup;
	__u8 comm[16];
};
_Static_assert(sizeof(struct sn_rt_sum) == 72, "ABI");

/* Key of sn_rt_budgets; the value is the time at which its next record is due. */
struct sn_rt_subject {
	__u32 slot;
	__u32 uid;
	__u64 cgroup;
};
_Static_assert(sizeof(struct sn_rt_subject) == 16, "ABI");

/* sn_rt_ledger[event * n_cpus + cpu]. Of records: generated is the sum of the
 * four behind it. summed counts accesses that wait in, or came out of, a sum. */
struct sn_rt_count {
	__u64 generated;
	__u64 sent;
	__u64 over_budget;
	__u64 ring_full;
	__u64 failed; /* no memory to make it in */
	__u64 summed;
	__u64 pad[2];
};
_Static_assert(sizeof(struct sn_rt_count) == 64, "ABI");

/* Value of sn_rt_host[0], written by sentinel-dp. */
struct sn_rt_host {
	__u32 slot; /* of the host; 0: it is not attached */
	__u32 instance; /* programs with another one do nothing */
	__u8 object_hash[32]; /* of the object that they come from */
};
_Static_assert(sizeof(struct sn_rt_host) == 40, "ABI");
