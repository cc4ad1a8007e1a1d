/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Events told by the function that does what was asked for, at its return: its
 * arguments are the files themselves, whoever asked and in which way. What fails
 * before that function, the tracepoint of the call tells. */

#include "bpf/lib/runtime/call.h"

#define SN_RT_NR_URING	    426 /* io_uring_enter, on every architecture */
#define SN_RT_NR_OPENAT2    437 /* the same */
#define SN_RT_ERRORS	    4095
#define SN_RT_FMODE_EXEC    0x20
#define SN_RT_LOOKUP_CACHED 0x200000
#define SN_RT_EAGAIN	    11

/* As numbers, which no type of a kernel's narrows. */
static __always_inline __u64 sn_rt_take(void *ctx, __u32 number)
{
	__u64 value = 0;

	bpf_get_func_arg(ctx, number, &value);
	return value;
}

static __always_inline __s64 sn_rt_take_long(void *ctx)
{
	__u64 value = 0;

	bpf_get_func_ret(ctx, &value);
	return (__s64)value;
}

/* The upper half of the register means nothing then. */
static __always_inline __s64 sn_rt_take_int(void *ctx)
{
	return (__s32)sn_rt_take_long(ctx);
}

/* Calls that open a file by its name, and whose tracepoints tell it. */
static __always_inline int sn_rt_is_opening(void)
{
	__u32 number = sn_rt_get_number();

	if (number == SN_RT_NR_OPENAT2)
		return 1;
#if defined(__TARGET_ARCH_x86)
	if (sn_rt_is_compat())
		return number == 5 || number == 8 || number == 295;
	return number == 2 || number == 85 || number == 257;
#else
	return number == 56;
#endif
}

/* Whether the thread does what a request asked for. Where that had to wait, a
 * thread which has a ring goes on with it when it next leaves the kernel, from
 * whatever call or interrupt. A call that there is not (ENOSYS) seems to go on,
 * but opens nothing; so what else the kernel opens by a name for such a thread
 * (acct, swapon) is taken for a request's. */
static __always_inline int sn_rt_is_uring(__u32 event)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if ((BPF_CORE_READ(task, flags) & SN_RT_PF_IO_WORKER) ||
	    sn_rt_get_number() == SN_RT_NR_URING)
		return 1;
	if (!bpf_core_field_exists(task->io_uring) ||
	    !BPF_CORE_READ(task, io_uring))
		return 0;
	return sn_rt_is_leaving() ||
	       (event == SN_RT_EVENT_FILE_OPEN && !sn_rt_is_opening());
}

/* Whether anybody asks for events. What the kernel does by itself is none. */
static __always_inline int sn_rt_is_asked(void)
{
	return sn_rt_get_slot() && !sn_rt_is_kernel();
}

/* Begins the event of the call that the thread is in, and keeps its tracepoint
 * silent whether a rule wants the event or not. */
static __always_inline int sn_rt_tell(__u32 event, __s64 result)
{
	int is_uring = sn_rt_is_uring(event);
	struct sn_rt_thread *thread;
	struct sn_rt_record *r;

	if (!sn_rt_is_asked())
		return 0;
	if (!is_uring) {
		thread = sn_rt_get_thread(1);
		/* Without memory for that the tracepoint tells it. */
		if (!thread)
			return 0;
		thread->told = sn_rt_get_doing(event);
	}
	if (!sn_rt_begin(event, result,
			 is_uring ? SN_RT_CALL_IO_URING : SN_RT_CALL_NONE))
		return 0;
	r = sn_rt_get_record();
	if (!r)
		return 0;
	if (is_uring)
		r->flags |= SN_RT_IO_URING;
	if (sn_rt_is_compat())
		r->flags |= SN_RT_COMPAT;
	return 1;
}

/* The file of a name that is there. */
static __always_inline void sn_rt_add_dentry(__u64 address, __u64 mnt,
					     __u32 second)
{
	struct dentry *dentry = (struct dentry *)address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct sn_rt_record *r = sn_rt_get_record();
	struct sn_rt_file *file;

	if (!r)
		return;
	file = second ? &r->file2 : &r->file;
	if (inode)
		sn_rt_add_inode(file, inode);
	if (BPF_CORE_READ(dentry, d_parent) != dentry &&
	    !BPF_CORE_READ(dentry, d_hash.pprev))
		file->flags |= SN_RT_PATH_DELETED;
	sn_rt_add_path(address, mnt, SN_RT_PLACE_EVENT, second, 0);
}

static __always_inline void sn_rt_add_place(__u64 address)
{
	struct path *path = (struct path *)address;

	sn_rt_add_dentry((__u64)BPF_CORE_READ(path, dentry),
			 (__u64)BPF_CORE_READ(path, mnt), 0);
}

/* The event of a function that works on one path. */
SN_GLOBAL int sn_rt_tell_path(__u32 event, __u64 path, __s64 result, __u64 one,
			      __u64 two)
{
	if (!sn_rt_tell(event, result))
		return 0;
	sn_rt_set_args(one, two);
	sn_rt_add_place(path);
	sn_rt_finish();
	return 0;
}

static __always_inline void sn_rt_note(struct sn_rt_name *name, __u64 address,
				       __u64 dir, __u64 mnt)
{
	struct dentry *dentry = (struct dentry *)address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	__u32 bytes = BPF_CORE_READ(dentry, d_name.len);

	name->dentry = address;
	name->dir = dir;
	name->mnt = mnt;
	name->inode = inode ? BPF_CORE_READ(inode, i_ino) : 0;
	name->dev = inode ? sn_rt_inode_dev(inode) : 0;
	name->mode = inode ? BPF_CORE_READ(inode, i_mode) : 0;
	name->bytes = bytes < SN_RT_NAME_MAX ? bytes : SN_RT_NAME_MAX - 1;
	bpf_probe_read_kernel_str(name->name, SN_RT_NAME_MAX,
				  BPF_CORE_READ(dentry, d_name.name));
}

/* A name in the directory `address`. */
static __always_inline void sn_rt_note_in(struct sn_rt_name *name,
					  __u64 address, __u64 dentry)
{
	struct path *path = (struct path *)address;

	sn_rt_note(name, dentry, (__u64)BPF_CORE_READ(path, dentry),
		   (__u64)BPF_CORE_READ(path, mnt));
}

/* Where names are noted: NULL if nobody asks for them. */
static __always_inline struct sn_rt_thread *sn_rt_begin_note(void)
{
	return sn_rt_is_asked() ? sn_rt_get_thread(1) : NULL;
}

/* The names that were noted, if this is the first one's. They are forgotten. */
static __always_inline struct sn_rt_thread *sn_rt_take_note(__u64 dentry)
{
	struct sn_rt_thread *thread = sn_rt_get_thread(0);

	if (!thread || !dentry || thread->names[0].dentry != dentry)
		return NULL;
	thread->names[0].dentry = 0;
	return thread;
}

static __always_inline void sn_rt_add_noted(const struct sn_rt_name *name,
					    __u32 second)
{
	struct sn_rt_record *r = sn_rt_get_record();
	struct sn_rt_file *file;

	if (!r)
		return;
	file = second ? &r->file2 : &r->file;
	file->inode = name->inode;
	file->major = (__u32)(name->dev >> 32);
	file->minor = (__u32)name->dev;
	file->mode = name->mode;
	sn_rt_add_path(name->dir, name->mnt, SN_RT_PLACE_EVENT, second, 1);
}

/* The event of one name that was noted, or of two. */
SN_GLOBAL int sn_rt_tell_names(__u32 event, __s64 result, __u64 flags,
			       __u32 two)
{
	struct sn_rt_thread *thread;

	if (!sn_rt_tell(event, result))
		return 0;
	sn_rt_set_args(flags, 0);
	thread = sn_rt_get_thread(0);
	if (thread) {
		sn_rt_add_noted(&thread->names[0], 0);
		if (two)
			sn_rt_add_noted(&thread->names[1], 1);
	}
	sn_rt_finish();
	return 0;
}
