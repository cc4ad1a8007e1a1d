/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Which rules an event may match: for each field a bitmap of rules, by value,
 * and of all these the common bits. What is cheap comes first, so that a path is
 * walked only for a rule that is still possible. */

#include "bpf/lib/runtime/path.h"

#define SN_RT_HAS(s, name) ((s)->settings.fields & (1U << SN_RT_FIELD_##name))

static __always_inline struct sn_rt_match_key
sn_rt_make_key(const struct sn_rt_scratch *s, __u32 field)
{
	struct sn_rt_match_key key = {
		.slot = s->slot,
		.generation = SN_WORD_GENERATION(s->record.word),
		.field = (__u8)field,
	};

	return key;
}

/* Begins a field: the rules that do not name it. */
SN_GLOBAL int sn_rt_field_begin(__u32 field)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_match_key key;
	struct sn_rt_bits *row;

	if (!s)
		return 0;
	key = sn_rt_make_key(s, field);
	key.any = 1;
	row = bpf_map_lookup_elem(&sn_rt_match, &key);
	if (row)
		s->field = *row;
	else
		__builtin_memset(&s->field, 0, sizeof(s->field));
	return 0;
}

/* Adds the rules that name this value of it. */
SN_GLOBAL int sn_rt_field_add(__u32 field, __u64 value, __u64 more)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_match_key key;
	struct sn_rt_bits *row;

	if (!s)
		return 0;
	key = sn_rt_make_key(s, field);
	key.value[0] = value;
	key.value[1] = more;
	row = bpf_map_lookup_elem(&sn_rt_match, &key);
	if (!row)
		return 0;
	for (int i = 0; i < SN_RT_WORDS; i++)
		s->field.words[i] |= row->words[i];
	return 1;
}

/* Ends it. Returns 1 if a rule is left. */
SN_GLOBAL int sn_rt_field_end(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	__u64 left = 0;

	if (!s)
		return 0;
	for (int i = 0; i < SN_RT_WORDS; i++) {
		s->bits.words[i] &= s->field.words[i];
		left |= s->bits.words[i];
	}
	return left != 0;
}

static __always_inline int sn_rt_field(__u32 field, __u64 value, __u64 more)
{
	sn_rt_field_begin(field);
	sn_rt_field_add(field, value, more);
	return sn_rt_field_end();
}

static __always_inline void sn_rt_end_component(struct sn_rt_scratch *s,
						struct sn_rt_hashing *p)
{
	int is_dots = p->component == p->dots && p->dots <= 2;

	if (is_dots && p->dots == 2 && p->depth)
		p->depth--;
	if (is_dots) {
		p->h = s->hashes[p->depth & (SN_RT_DEPTH_MAX - 1)];
		p->n = s->sizes[p->depth & (SN_RT_DEPTH_MAX - 1)];
		return;
	}
	if (p->depth + 1 >= SN_RT_DEPTH_MAX) {
		p->deep = 1;
		return;
	}
	p->depth++;
	s->hashes[p->depth & (SN_RT_DEPTH_MAX - 1)] = p->h;
	s->sizes[p->depth & (SN_RT_DEPTH_MAX - 1)] = p->n;
	if (p->n <= p->looked)
		sn_rt_field_add(p->field, p->h, p->n);
}

static long sn_rt_hash_step(__u32 i, __u32 *place)
{
	struct sn_rt_scratch *s = sn_rt_get(*place);
	struct sn_rt_hashing *p;
	__u32 at;
	__u8 byte;

	if (!s)
		return 1;
	p = &s->hashing;
	at = p->at + i;
	if (i > p->bytes || at >= sizeof(s->strings))
		return 1;
	byte = i == p->bytes ? '/' : s->strings[at];
	if (byte == '/') {
		if (p->component)
			sn_rt_end_component(s, p);
		p->component = 0;
		p->dots = 0;
		if (p->deep)
			return 1;
		return 0;
	}
	if (!p->component) {
		p->h = sn_rt_hash(p->h, '/');
		p->n++;
	}
	p->h = sn_rt_hash(p->h, byte);
	p->n++;
	p->component++;
	p->dots += byte == '.';
	return 0;
}

/* Adds the rules that name a prefix of a path in the strings of `place`. whole:
 * its end may change what its beginning means. Returns 1 if it is too deep for
 * that. */
SN_GLOBAL int sn_rt_add_prefixes(__u32 place, __u32 at, __u32 bytes,
				 __u32 field, __u32 whole)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_scratch *own = sn_rt_get(place);
	struct sn_rt_hashing *p;
	__u32 looked;

	if (!s || !own || !bytes)
		return 0;
	p = &own->hashing;
	__builtin_memset(p, 0, sizeof(*p));
	p->h = SN_RT_HASH_FIRST;
	p->at = at;
	p->bytes = bytes;
	p->field = field;
	own->hashes[0] = SN_RT_HASH_FIRST;
	own->sizes[0] = 0;
	looked = field == SN_RT_FIELD_PATH ? s->settings.path_bytes :
					     s->settings.exe_bytes;
	p->looked = looked;
	sn_rt_field_add(field, SN_RT_HASH_FIRST, 0);
	bpf_loop(whole || looked > bytes ? bytes + 1 : looked + 1,
		 sn_rt_hash_step, &place, 0);
	return whole && p->deep;
}

/* One of the event's two paths. Returns 1 if it can only be judged by
 * sentinel-cp. */
static __always_inline int sn_rt_add_path_rules(struct sn_rt_file *file,
						__u32 at)
{
	__u32 string = file->flags & SN_RT_PATH_STRING;
	int strange;

	if (file->flags & SN_RT_PATH_TEXT)
		return 0;
	strange = sn_rt_add_prefixes(SN_RT_PLACE_EVENT, at, file->path_bytes,
				     SN_RT_FIELD_PATH, string);
	return strange || (file->flags & SN_RT_PATH_CUT);
}

/* The fields that are about files. Returns 1 if a rule is left. */
SN_GLOBAL int sn_rt_match_files(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_file *file, *file2;
	int strange;

	if (!s)
		return 0;
	file = &s->record.file;
	file2 = &s->record.file2;
	if (SN_RT_HAS(s, DEVINO) &&
	    !sn_rt_field(SN_RT_FIELD_DEVINO,
			 SN_RT_DEV(file->major, file->minor), file->inode))
		return 0;
	if (!SN_RT_HAS(s, PATH))
		return 1;
	sn_rt_field_begin(SN_RT_FIELD_PATH);
	strange = sn_rt_add_path_rules(file, 0);
	strange |= sn_rt_add_path_rules(file2, (__u32)file->path_bytes +
						       file->base_bytes);
	if (strange) {
		s->unsure = 1;
		return 1;
	}
	return sn_rt_field_end();
}

static __always_inline int sn_rt_match_cgroup(struct sn_rt_scratch *s)
{
	sn_rt_field_begin(SN_RT_FIELD_CGROUP);
	for (int level = 0; level < SN_RT_CGROUP_LEVELS; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			break;
		sn_rt_field_add(SN_RT_FIELD_CGROUP, id, 0);
	}
	return sn_rt_field_end();
}

static __always_inline struct file *sn_rt_get_exe(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, mm, exe_file);
}

/* The executable: of the process' memory, or as it was when that was there. */
static __always_inline int sn_rt_match_exe(struct sn_rt_scratch *s)
{
	struct sn_rt_scratch *p = sn_rt_get(SN_RT_PLACE_PROCESS);
	struct file *exe = sn_rt_get_exe();
	struct inode *inode = BPF_CORE_READ(exe, f_inode);

	if (!p || !exe) {
		s->unsure = 1;
		return 1;
	}
	if (SN_RT_HAS(s, EXE) &&
	    !sn_rt_field(SN_RT_FIELD_EXE, sn_rt_inode_dev(inode),
			 BPF_CORE_READ(inode, i_ino)))
		return 0;
	if (!SN_RT_HAS(s, EXE_PATH))
		return 1;
	__builtin_memset(&p->record.file, 0, sizeof(p->record.file));
	p->used = 0;
	sn_rt_add_path((__u64)BPF_CORE_READ(exe, f_path.dentry),
		       (__u64)BPF_CORE_READ(exe, f_path.mnt),
		       SN_RT_PLACE_PROCESS, 0, 0);
	if (p->record.file.flags & SN_RT_PATH_CUT) {
		s->unsure = 1;
		return 1;
	}
	sn_rt_field_begin(SN_RT_FIELD_EXE_PATH);
	sn_rt_add_prefixes(SN_RT_PLACE_PROCESS, 0, p->record.file.path_bytes,
			   SN_RT_FIELD_EXE_PATH, 0);
	return sn_rt_field_end();
}

/* Event, result, and the fields that are about the process. Returns 1 if a rule
 * is left. */
SN_GLOBAL int sn_rt_match_subject(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_match_key key;
	struct sn_rt_bits *row;
	__u64 comm[2];

	if (!s)
		return 0;
	s->unsure = 0;
	key = sn_rt_make_key(s, SN_RT_FIELD_EVENT);
	key.value[0] = s->record.event;
	row = bpf_map_lookup_elem(&sn_rt_match, &key);
	if (!row)
		return 0;
	s->bits = *row;
	if (SN_RT_HAS(s, RESULT) &&
	    !sn_rt_field(SN_RT_FIELD_RESULT, s->record.result < 0, 0))
		return 0;
	if (SN_RT_HAS(s, UID) &&
	    !sn_rt_field(SN_RT_FIELD_UID, s->record.uid, 0))
		return 0;
	__builtin_memcpy(comm, s->record.comm, sizeof(comm));
	if (SN_RT_HAS(s, COMM) &&
	    !sn_rt_field(SN_RT_FIELD_COMM, comm[0], comm[1]))
		return 0;
	if (SN_RT_HAS(s, CGROUP) && !sn_rt_match_cgroup(s))
		return 0;
	if (SN_RT_HAS(s, EXE) || SN_RT_HAS(s, EXE_PATH))
		return sn_rt_match_exe(s);
	return 1;
}
