/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Files and their paths. The walk goes from the file's name up to the root of
 * the process, through the mounts between; bpf_d_path() is not for tracepoints.
 * A rename during the walk can mix the names of before and after. */

#include "bpf/lib/runtime/maps.h"

/* Returns 1 if it does not fit. A rename can change the name between the reading
 * of its size and of its bytes: never beyond its end, where kernel memory is. */
static __always_inline int sn_rt_prepend_name(struct sn_rt_buffer *b,
					      const void *name, __u32 len,
					      int slash)
{
	struct sn_rt_walk *w = &b->walk;
	__u8 *to;
	__u32 at;

	len &= SN_RT_NAME_MAX - 1;
	if (w->at < len + 1 || w->at > SN_RT_PATH_MAX) {
		w->flags |= SN_RT_PATH_CUT;
		return 1;
	}
	to = w->into_base ? b->base : b->path;
	at = (w->at - len) & (SN_RT_PATH_MAX - 1);
	if (bpf_probe_read_kernel_str(to + at, len + 1, name) !=
	    (long)len + 1) {
		w->flags |= SN_RT_PATH_CUT;
		return 1;
	}
	/* Its NUL is where the slash before the next name was. */
	to[w->at & (SN_RT_PATH_MAX - 1)] = '/';
	if (slash) {
		at--;
		to[at & (SN_RT_PATH_MAX - 1)] = '/';
	}
	w->at = at;
	return 0;
}

static __always_inline int sn_rt_prepend(struct sn_rt_buffer *b,
					 struct dentry *dentry, int slash)
{
	return sn_rt_prepend_name(b, BPF_CORE_READ(dentry, d_name.name),
				  BPF_CORE_READ(dentry, d_name.len), slash);
}

static __always_inline void sn_rt_leave(struct sn_rt_walk *w)
{
	if (w->left)
		return;
	w->left = w->dentry;
	w->inside_at = w->at;
}

static long sn_rt_step(__u32 i, void *unused)
{
	struct sn_rt_buffer *b = sn_rt_get_buffer();
	struct dentry *dentry, *parent;
	struct mount *mount, *above;
	struct vfsmount *mnt;
	struct sn_rt_walk *w;

	if (!b)
		return 1;
	w = &b->walk;
	dentry = w->dentry;
	mnt = w->mnt;
	if (dentry == w->root && mnt == w->root_mnt) {
		sn_rt_leave(w);
		return 1;
	}
	if (dentry == BPF_CORE_READ(mnt, mnt_root)) {
		sn_rt_leave(w);
		mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount || !above) {
			w->flags |= SN_RT_PATH_UNREACHABLE;
			return 1;
		}
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		w->mnt = (void *)above +
			 bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry || !parent) {
		/* Of a file system that has no tree, or a tree that was cut off. */
		w->flags |= SN_RT_PATH_UNREACHABLE;
		(void)sn_rt_prepend(b, dentry, 0);
		return 1;
	}
	if (sn_rt_prepend(b, dentry, 1))
		return 1;
	w->dentry = parent;
	return 0;
}

/* Up to the root of the file system, whatever is mounted. */
static long sn_rt_base_step(__u32 i, void *unused)
{
	struct sn_rt_buffer *b = sn_rt_get_buffer();
	struct dentry *dentry, *parent;

	if (!b)
		return 1;
	dentry = b->walk.dentry;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry || !parent || sn_rt_prepend(b, dentry, 1))
		return 1;
	b->walk.dentry = parent;
	return 0;
}

/* Appends to the strings. Returns what was appended. */
static __always_inline __u32 sn_rt_append(struct sn_rt_scratch *s,
					  const void *from, __u32 bytes)
{
	__u32 at = s->used;

	if (bytes > SN_RT_PATH_MAX)
		bytes = SN_RT_PATH_MAX;
	barrier_var(bytes);
	if (bytes > SN_RT_PATH_MAX || at > SN_RT_STRINGS)
		return 0;
	barrier_var(at);
	if (at > SN_RT_STRINGS)
		return 0;
	bpf_probe_read_kernel(s->strings + at, bytes, from);
	s->used = at + bytes;
	return bytes;
}

/* Path and base of dentry on mnt into the strings of `place`, and their sizes
 * and flags into its record's file. second: file2. noted: of the name in this
 * directory that the thread has noted, for the same file. */
SN_GLOBAL int sn_rt_add_path(__u64 dentry, __u64 mnt, __u32 place, __u32 second,
			     __u32 noted)
{
	struct sn_rt_thread *thread = noted ? sn_rt_get_thread(0) : NULL;
	struct sn_rt_name *name;

	struct task_struct *task = (void *)bpf_get_current_task();
	struct sn_rt_buffer *b = sn_rt_get_buffer();
	struct sn_rt_scratch *s = sn_rt_get(place);
	struct sn_rt_file *file;
	struct sn_rt_walk *w;
	__u32 inside = 0;

	if (!s || !b)
		return 0;
	w = &b->walk;
	__builtin_memset(w, 0, sizeof(*w));
	w->dentry = (struct dentry *)dentry;
	w->mnt = (struct vfsmount *)mnt;
	w->at = SN_RT_PATH_MAX;
	w->root = BPF_CORE_READ(task, fs, root.dentry);
	w->root_mnt = BPF_CORE_READ(task, fs, root.mnt);
	if (thread) {
		name = second ? &thread->names[1] : &thread->names[0];
		(void)sn_rt_prepend_name(b, name->name, name->bytes, 1);
	}
	if (bpf_loop(SN_RT_COMPONENTS, sn_rt_step, NULL, 0) == SN_RT_COMPONENTS)
		w->flags |= SN_RT_PATH_CUT;
	if (w->at == SN_RT_PATH_MAX) {
		w->at--;
		b->path[SN_RT_PATH_MAX - 1] = '/';
	} else if (w->left) {
		inside = SN_RT_PATH_MAX - w->inside_at;
	}
	file = second ? &s->record.file2 : &s->record.file;
	file->inside_bytes = (__u16)inside;
	file->path_bytes =
		(__u16)sn_rt_append(s, b->path + (w->at & (SN_RT_PATH_MAX - 1)),
				    SN_RT_PATH_MAX - w->at);
	if (w->left) {
		w->dentry = w->left;
		w->at = SN_RT_PATH_MAX;
		w->into_base = 1;
		bpf_loop(SN_RT_COMPONENTS, sn_rt_base_step, NULL, 0);
		file->base_bytes = (__u16)sn_rt_append(
			s, b->base + (w->at & (SN_RT_PATH_MAX - 1)),
			SN_RT_PATH_MAX - w->at);
	}
	file->flags |= w->flags;
	return 0;
}

#define SN_RT_TYPE    0170000
#define SN_RT_SOCKET  0140000
#define SN_RT_REGULAR 0100000
#define SN_RT_BLOCK   0060000
#define SN_RT_CHARS   0020000

static __always_inline __u64 sn_rt_inode_dev(struct inode *inode)
{
	__u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);

	return SN_RT_DEV(dev >> 20, dev & 0xfffff);
}

/* Device, inode and mode. */
static __always_inline void sn_rt_add_inode(struct sn_rt_file *file,
					    struct inode *inode)
{
	__u64 dev = sn_rt_inode_dev(inode);

	file->inode = BPF_CORE_READ(inode, i_ino);
	file->major = (__u32)(dev >> 32);
	file->minor = (__u32)dev;
	file->mode = BPF_CORE_READ(inode, i_mode);
}

/* All that is known of an open file. */
SN_GLOBAL int sn_rt_add_file(__u64 address, __u32 place, __u32 second)
{
	struct file *open = (struct file *)address;
	struct dentry *dentry = BPF_CORE_READ(open, f_path.dentry);
	struct vfsmount *mnt = BPF_CORE_READ(open, f_path.mnt);
	struct inode *inode = BPF_CORE_READ(open, f_inode);
	struct sn_rt_scratch *s = sn_rt_get(place);
	struct sn_rt_file *file;
	__u8 name[8] = { 0 };

	if (!s || !dentry || !inode)
		return 0;
	file = second ? &s->record.file2 : &s->record.file;
	sn_rt_add_inode(file, inode);
	if (BPF_CORE_READ(dentry, d_parent) == dentry &&
	    (file->mode & SN_RT_TYPE) == SN_RT_REGULAR) {
		bpf_probe_read_kernel(name, 6,
				      BPF_CORE_READ(dentry, d_name.name));
		if (name[0] == 'm' && name[1] == 'e' && name[2] == 'm' &&
		    name[3] == 'f' && name[4] == 'd' && name[5] == ':')
			file->flags |= SN_RT_PATH_MEMFD;
	} else if (!BPF_CORE_READ(dentry, d_hash.pprev)) {
		file->flags |= SN_RT_PATH_DELETED;
	}
	return sn_rt_add_path((__u64)dentry, (__u64)mnt, place, second, 0);
}

static __always_inline struct file *sn_rt_find_file(__s64 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files;
	struct file *file = NULL;

	if (!table || fd < 0 || fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

enum sn_rt_string {
	SN_RT_STRING_USER = 1, /* from the process' memory, else the kernel's */
	SN_RT_STRING_TEXT = 2, /* no path: as it is */
	SN_RT_STRING_SECOND = 4, /* of file2 */
};

/* The string's bytes behind what is there. */
static __always_inline void sn_rt_append_string(struct sn_rt_scratch *s,
						struct sn_rt_file *file,
						__u64 from, __u32 kind)
{
	__u32 at = s->used;
	long n;

	barrier_var(at);
	if (at > SN_RT_STRINGS)
		return;
	if (kind & SN_RT_STRING_USER)
		n = bpf_probe_read_user_str(s->strings + at, SN_RT_PATH_MAX,
					    (const void *)from);
	else
		n = bpf_probe_read_kernel_str(s->strings + at, SN_RT_PATH_MAX,
					      (const void *)from);
	if ((n <= 0 && from) || n == SN_RT_PATH_MAX)
		file->flags |= SN_RT_PATH_CUT;
	if (n <= 0)
		return;
	s->used = at + (__u32)n - 1;
	file->path_bytes = (__u16)(file->path_bytes + n - 1);
}

static __always_inline long sn_rt_read_byte(char *byte, __u64 from, __u32 kind)
{
	if (kind & SN_RT_STRING_USER)
		return bpf_probe_read_user(byte, 1, (const void *)from);
	return bpf_probe_read_kernel(byte, 1, (const void *)from);
}

#define SN_RT_AT_FDCWD (-100)

/* A path that was passed: that of the directory which it is relative to, a
 * slash, and the string. */
SN_GLOBAL int sn_rt_add_string(__s64 directory, __u64 from, __u32 kind)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	__u32 second = kind & SN_RT_STRING_SECOND;
	struct sn_rt_file *file;
	struct file *open;
	char first = 0;
	long gone;

	if (!s)
		return 0;
	file = second ? &s->record.file2 : &s->record.file;
	gone = sn_rt_read_byte(&first, from, kind);
	file->flags |= kind & SN_RT_STRING_TEXT ? SN_RT_PATH_TEXT :
						  SN_RT_PATH_STRING;
	/* Its memory was taken back during the call. */
	if (gone && from) {
		file->flags |= SN_RT_PATH_CUT;
		return 0;
	}
	if (!(kind & SN_RT_STRING_TEXT) && first != '/') {
		open = (__s32)directory == SN_RT_AT_FDCWD ?
			       NULL :
			       sn_rt_find_file((__s32)directory);
		if (open)
			sn_rt_add_path((__u64)BPF_CORE_READ(open,
							    f_path.dentry),
				       (__u64)BPF_CORE_READ(open, f_path.mnt),
				       SN_RT_PLACE_EVENT, second, 0);
		else if ((__s32)directory == SN_RT_AT_FDCWD)
			sn_rt_add_path((__u64)BPF_CORE_READ(task, fs,
							    pwd.dentry),
				       (__u64)BPF_CORE_READ(task, fs, pwd.mnt),
				       SN_RT_PLACE_EVENT, second, 0);
		/* The base would stand between the path and the string. */
		if (file->base_bytes <= s->used)
			s->used -= file->base_bytes;
		file->base_bytes = 0;
		file->inside_bytes = 0;
		if (first && file->path_bytes > 1 && s->used < SN_RT_STRINGS) {
			s->strings[s->used++] = '/';
			file->path_bytes++;
		}
	}
	sn_rt_append_string(s, file, from, kind);
	return 0;
}
