/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* Where trampolines load: programs at the return of the functions that do what
 * was asked for (bpf/lib/runtime/done.h). The mount that a name was reached
 * through is known to the security hook before only, and names are gone or
 * others afterwards; so they are noted there. The positions of arguments are
 * those of Linux 6.1 to 6.18. */

#include "bpf/lib/runtime/done.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SN_RT_AT_REMOVEDIR 0x200

/* At a return only 0 may be returned. */
#define SN_RT_RETURN(name)                                \
	name(void *ctx);                                  \
	static __always_inline int name##_see(void *ctx); \
	int name(void *ctx)                               \
	{                                                 \
		(void)name##_see(ctx);                    \
		return 0;                                 \
	}                                                 \
	static __always_inline int name##_see(void *ctx)

static __always_inline int sn_rt_before_removal(void *ctx, __u64 flags)
{
	struct sn_rt_thread *thread = sn_rt_begin_note();
	__s64 result = sn_rt_take_int(ctx);

	if (!thread)
		return 0;
	sn_rt_note_in(&thread->names[0], sn_rt_take(ctx, 0),
		      sn_rt_take(ctx, 1));
	if (!result)
		return 0;
	thread->names[0].dentry = 0;
	return sn_rt_tell_names(SN_RT_EVENT_FILE_UNLINK, result, flags, 0);
}

/* Where a lease has to be broken it is tried again. */
static __always_inline int sn_rt_after_removal(void *ctx, __u64 flags)
{
	__s64 result = sn_rt_take_int(ctx);

	if (result == -SN_RT_EAGAIN || !sn_rt_take_note(sn_rt_take(ctx, 2)))
		return 0;
	return sn_rt_tell_names(SN_RT_EVENT_FILE_UNLINK, result, flags, 0);
}

SEC("fexit/security_path_unlink")
int SN_RT_RETURN(sn_rt_before_unlink)
{
	return sn_rt_before_removal(ctx, 0);
}

SEC("fexit/vfs_unlink")
int SN_RT_RETURN(sn_rt_done_unlink)
{
	return sn_rt_after_removal(ctx, 0);
}

SEC("fexit/security_path_rmdir")
int SN_RT_RETURN(sn_rt_before_rmdir)
{
	return sn_rt_before_removal(ctx, SN_RT_AT_REMOVEDIR);
}

SEC("fexit/vfs_rmdir")
int SN_RT_RETURN(sn_rt_done_rmdir)
{
	return sn_rt_after_removal(ctx, SN_RT_AT_REMOVEDIR);
}

SEC("fexit/security_path_rename")
int SN_RT_RETURN(sn_rt_before_rename)
{
	struct sn_rt_thread *thread = sn_rt_begin_note();
	__s64 result = sn_rt_take_int(ctx);

	if (!thread)
		return 0;
	sn_rt_note_in(&thread->names[0], sn_rt_take(ctx, 0),
		      sn_rt_take(ctx, 1));
	sn_rt_note_in(&thread->names[1], sn_rt_take(ctx, 2),
		      sn_rt_take(ctx, 3));
	if (!result)
		return 0;
	thread->names[0].dentry = 0;
	return sn_rt_tell_names(SN_RT_EVENT_FILE_RENAME, result,
				(__u32)sn_rt_take(ctx, 4), 1);
}

SEC("fexit/vfs_rename")
int SN_RT_RETURN(sn_rt_done_rename)
{
	struct renamedata *data = (struct renamedata *)sn_rt_take(ctx, 0);
	__s64 result = sn_rt_take_int(ctx);

	if (result == -SN_RT_EAGAIN ||
	    !sn_rt_take_note((__u64)BPF_CORE_READ(data, old_dentry)))
		return 0;
	return sn_rt_tell_names(SN_RT_EVENT_FILE_RENAME, result,
				BPF_CORE_READ(data, flags), 1);
}

/* The link's name is the second, for the first file is what it leads to. */
static __always_inline void sn_rt_add_link(struct sn_rt_thread *thread,
					   __u64 address)
{
	struct dentry *dentry = (struct dentry *)address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct sn_rt_record *r = sn_rt_get_record();

	sn_rt_add_noted(&thread->names[1], 1);
	if (r && inode)
		sn_rt_add_inode(&r->file2, inode);
}

static __always_inline int sn_rt_tell_link(struct sn_rt_thread *thread,
					   __u64 from, __u64 to, __s64 result)
{
	if (!sn_rt_tell(SN_RT_EVENT_FILE_LINK, result))
		return 0;
	sn_rt_add_dentry(from, thread->names[1].mnt, 0);
	sn_rt_add_link(thread, to);
	sn_rt_finish();
	return 0;
}

static __always_inline int sn_rt_tell_symlink(struct sn_rt_thread *thread,
					      __u64 text, __u64 to,
					      __s64 result)
{
	if (!sn_rt_tell(SN_RT_EVENT_FILE_LINK, result))
		return 0;
	sn_rt_add_string(SN_RT_AT_FDCWD, text, SN_RT_STRING_TEXT);
	sn_rt_add_link(thread, to);
	sn_rt_finish();
	return 0;
}

/* The file is on the mount that the link is on. */
SEC("fexit/security_path_link")
int SN_RT_RETURN(sn_rt_before_link)
{
	struct sn_rt_thread *thread = sn_rt_begin_note();
	__u64 from = sn_rt_take(ctx, 0), to = sn_rt_take(ctx, 2);
	__s64 result = sn_rt_take_int(ctx);

	if (!thread)
		return 0;
	sn_rt_note_in(&thread->names[1], sn_rt_take(ctx, 1), to);
	thread->names[0].dentry = result ? 0 : to;
	return result ? sn_rt_tell_link(thread, from, to, result) : 0;
}

SEC("fexit/vfs_link")
int SN_RT_RETURN(sn_rt_done_link)
{
	__u64 to = sn_rt_take(ctx, 3);
	__s64 result = sn_rt_take_int(ctx);
	struct sn_rt_thread *thread;

	if (result == -SN_RT_EAGAIN)
		return 0;
	thread = sn_rt_take_note(to);
	return thread ?
		       sn_rt_tell_link(thread, sn_rt_take(ctx, 0), to, result) :
		       0;
}

SEC("fexit/security_path_symlink")
int SN_RT_RETURN(sn_rt_before_symlink)
{
	struct sn_rt_thread *thread = sn_rt_begin_note();
	__u64 to = sn_rt_take(ctx, 1);
	__s64 result = sn_rt_take_int(ctx);

	if (!thread)
		return 0;
	sn_rt_note_in(&thread->names[1], sn_rt_take(ctx, 0), to);
	thread->names[0].dentry = result ? 0 : to;
	return result ? sn_rt_tell_symlink(thread, sn_rt_take(ctx, 2), to,
					   result) :
			0;
}

SEC("fexit/vfs_symlink")
int SN_RT_RETURN(sn_rt_done_symlink)
{
	__u64 to = sn_rt_take(ctx, 2);
	struct sn_rt_thread *thread = sn_rt_take_note(to);

	return thread ? sn_rt_tell_symlink(thread, sn_rt_take(ctx, 3), to,
					   sn_rt_take_int(ctx)) :
			0;
}

SEC("fexit/chmod_common")
int SN_RT_RETURN(sn_rt_done_chmod)
{
	return sn_rt_tell_path(SN_RT_EVENT_FILE_CHMOD, sn_rt_take(ctx, 0),
			       sn_rt_take_int(ctx), sn_rt_take(ctx, 1) & 07777,
			       0);
}

SEC("fexit/chown_common")
int SN_RT_RETURN(sn_rt_done_chown)
{
	return sn_rt_tell_path(SN_RT_EVENT_FILE_CHOWN, sn_rt_take(ctx, 0),
			       sn_rt_take_int(ctx), (__u32)sn_rt_take(ctx, 1),
			       (__u32)sn_rt_take(ctx, 2));
}

SEC("fexit/vfs_truncate")
int SN_RT_RETURN(sn_rt_done_truncate)
{
	return sn_rt_tell_path(SN_RT_EVENT_FILE_WRITE, sn_rt_take(ctx, 0),
			       sn_rt_take_int(ctx), 0, 0);
}

/* Without O_CLOEXEC, which the kernel takes out before, and without the flag
 * that it adds itself. */
static __always_inline void sn_rt_set_open(__u64 address, __u32 flags)
{
	struct open_flags *op = (struct open_flags *)address;

	sn_rt_set_args(
		flags & ~0100000U,
		op && flags & 020000100 ? BPF_CORE_READ(op, mode) & 07777 : 0);
}

static __always_inline __u64 sn_rt_make_denied(__s64 result, __u32 flags)
{
	return (__u64)flags << 32 | (__u64)(__u16)-result << 16 |
	       (__u16)sn_rt_get_number();
}

/* A file that is there and may not be opened. */
SEC("fexit/may_open")
int SN_RT_RETURN(sn_rt_denied_open)
{
	__u32 flags = (__u32)sn_rt_take(ctx, 3);
	__s64 result = sn_rt_take_int(ctx);
	struct sn_rt_thread *thread;

	if (result >= 0 || (flags & SN_RT_FMODE_EXEC))
		return 0;
	thread = sn_rt_begin_note();
	if (!thread)
		return 0;
	thread->denied = sn_rt_make_denied(result, flags);
	if (!sn_rt_tell(SN_RT_EVENT_FILE_OPEN, result))
		return 0;
	sn_rt_set_open(0, flags);
	sn_rt_add_place(sn_rt_take(ctx, 1));
	sn_rt_finish();
	return 0;
}

static __always_inline void sn_rt_tell_failed(void *ctx, __s64 result,
					      __u32 flags)
{
	struct filename *name = (struct filename *)sn_rt_take(ctx, 1);

	if (!sn_rt_tell(SN_RT_EVENT_FILE_OPEN, result))
		return;
	sn_rt_set_open(sn_rt_take(ctx, 2), flags);
	sn_rt_add_string((__s32)sn_rt_take(ctx, 0),
			 (__u64)BPF_CORE_READ(name, name), 0);
	sn_rt_finish();
}

/* The descriptor is not known here: where the tracepoint knows it, it tells what
 * was opened. A ring that may not wait tries again where it may. */
SEC("fexit/do_filp_open")
int SN_RT_RETURN(sn_rt_done_open)
{
	struct open_flags *op = (struct open_flags *)sn_rt_take(ctx, 2);
	__u32 flags = (__u32)BPF_CORE_READ(op, open_flag);
	__s64 file = sn_rt_take_long(ctx);
	int has_failed = file < 0 && file >= -SN_RT_ERRORS;
	int is_uring = sn_rt_is_uring(SN_RT_EVENT_FILE_OPEN);
	struct sn_rt_thread *thread;

	if ((flags & SN_RT_FMODE_EXEC) ||
	    (!has_failed && !is_uring && !sn_rt_is_compat()))
		return 0;
	if (file == -SN_RT_EAGAIN && is_uring &&
	    (BPF_CORE_READ(op, lookup_flags) & SN_RT_LOOKUP_CACHED))
		return 0;
	if (has_failed) {
		thread = sn_rt_get_thread(0);
		if (thread && thread->denied == sn_rt_make_denied(file, flags))
			thread->denied = 0;
		else
			sn_rt_tell_failed(ctx, file, flags);
		return 0;
	}
	if (!sn_rt_tell(SN_RT_EVENT_FILE_OPEN, 0))
		return 0;
	sn_rt_set_open((__u64)op, flags);
	sn_rt_add_file((__u64)file, SN_RT_PLACE_EVENT, 0);
	sn_rt_finish();
	return 0;
}

SEC("fexit/path_mount")
int SN_RT_RETURN(sn_rt_done_mount)
{
	if (!sn_rt_tell(SN_RT_EVENT_MOUNT, sn_rt_take_int(ctx)))
		return 0;
	sn_rt_set_args(sn_rt_take(ctx, 3), 0);
	sn_rt_add_place(sn_rt_take(ctx, 1));
	sn_rt_add_string(SN_RT_AT_FDCWD, sn_rt_take(ctx, 0),
			 SN_RT_STRING_TEXT | SN_RT_STRING_SECOND);
	sn_rt_finish();
	return 0;
}

/* Where the mount is; not if it is over the root of another. */
static __always_inline void sn_rt_note_mount(struct sn_rt_thread *thread,
					     __u64 mnt)
{
	struct mount *mount =
		(void *)mnt - bpf_core_field_offset(struct mount, mnt);
	struct mount *above = BPF_CORE_READ(mount, mnt_parent);
	struct dentry *point = BPF_CORE_READ(mount, mnt_mountpoint);

	if (!point || above == mount ||
	    point == BPF_CORE_READ(above, mnt.mnt_root))
		return;
	sn_rt_note(&thread->names[0], (__u64)point,
		   (__u64)BPF_CORE_READ(point, d_parent),
		   (__u64)above + bpf_core_field_offset(struct mount, mnt));
	thread->names[0].dentry = mnt;
}

SEC("fexit/security_sb_umount")
int SN_RT_RETURN(sn_rt_before_umount)
{
	struct sn_rt_thread *thread = sn_rt_begin_note();
	__s64 result = sn_rt_take_int(ctx);

	if (!thread)
		return 0;
	thread->names[0].dentry = 0;
	sn_rt_note_mount(thread, sn_rt_take(ctx, 0));
	if (!result || !thread->names[0].dentry)
		return 0;
	thread->names[0].dentry = 0;
	return sn_rt_tell_names(SN_RT_EVENT_MOUNT, result,
				(__u32)sn_rt_take(ctx, 1), 0);
}

SEC("fexit/path_umount")
int SN_RT_RETURN(sn_rt_done_umount)
{
	struct path *path = (struct path *)sn_rt_take(ctx, 0);

	if (!sn_rt_take_note((__u64)BPF_CORE_READ(path, mnt)))
		return 0;
	return sn_rt_tell_names(SN_RT_EVENT_MOUNT, sn_rt_take_int(ctx),
				(__u32)sn_rt_take(ctx, 1), 0);
}

/* The kernel's own copy of what was passed. */
SEC("fexit/bpf_prog_load")
int SN_RT_RETURN(sn_rt_done_bpf)
{
	struct sn_rt_bpf_load load = { 0 };

	if (!sn_rt_tell(SN_RT_EVENT_BPF_LOAD, sn_rt_take_int(ctx)))
		return 0;
	bpf_probe_read_kernel(&load, sizeof(load),
			      (const void *)sn_rt_take(ctx, 0));
	sn_rt_add_load(&load);
	sn_rt_finish();
	return 0;
}

/* A program that is there and may be executed, but cannot be. */
SEC("fexit/bprm_execve")
int SN_RT_RETURN(sn_rt_done_exec)
{
	struct linux_binprm *bprm = (struct linux_binprm *)sn_rt_take(ctx, 0);
	struct file *file = BPF_CORE_READ(bprm, file);
	__s64 result = sn_rt_take_int(ctx);

	if (result >= 0 || !file ||
	    !sn_rt_tell(SN_RT_EVENT_PROCESS_EXEC, result))
		return 0;
	sn_rt_add_file((__u64)file, SN_RT_PLACE_EVENT, 0);
	sn_rt_add_string(SN_RT_AT_FDCWD, (__u64)BPF_CORE_READ(bprm, filename),
			 SN_RT_STRING_SECOND);
	sn_rt_finish();
	return 0;
}

/* The thread that is traced, and not what the caller's namespace calls it. */
static __always_inline int sn_rt_tell_trace(void *ctx, __s64 result)
{
	struct task_struct *child = (struct task_struct *)sn_rt_take(ctx, 0);

	if (!sn_rt_tell(SN_RT_EVENT_PTRACE, result))
		return 0;
	sn_rt_set_args(sn_rt_take(ctx, 1), (__u32)BPF_CORE_READ(child, pid));
	sn_rt_finish();
	return 0;
}

SEC("fexit/ptrace_attach")
int SN_RT_RETURN(sn_rt_done_attach)
{
	return sn_rt_tell_trace(ctx, sn_rt_take_int(ctx));
}

SEC("fexit/arch_ptrace")
int SN_RT_RETURN(sn_rt_done_ptrace)
{
	return sn_rt_tell_trace(ctx, sn_rt_take_long(ctx));
}
