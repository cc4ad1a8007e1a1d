/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/judge.h"

#include <string.h>

size_t cp_runtime_judge_clean(struct cp_runtime_bytes path, char *ret)
{
	size_t n = 0;

	for (size_t at = 0; at < path.size;) {
		const char *part = path.at + at;
		const char *slash = memchr(part, '/', path.size - at);
		size_t size = slash ? (size_t)(slash - part) : path.size - at;

		at += size + 1;
		if (size == 0 || (size == 1 && part[0] == '.'))
			continue;
		if (size == 2 && part[0] == '.' && part[1] == '.') {
			while (n > 0 && ret[--n] != '/')
				;
			continue;
		}
		ret[n++] = '/';
		(void)memmove(ret + n, part, size);
		n += size;
	}
	return n;
}

/* What rules name; at NULL: not known. room: for SN_RT_PATH_MAX bytes and a
 * slash. */
static struct cp_runtime_bytes judged(const struct sn_rt_file *file,
				      struct cp_runtime_bytes path, char *room)
{
	const struct cp_runtime_bytes unknown = { NULL, 0 };
	size_t size;

	if (path.size == 0 || file->flags & SN_RT_PATH_CUT)
		return unknown;
	if (!(file->flags & SN_RT_PATH_STRING))
		return path;
	size = cp_runtime_judge_clean(path, room);
	return (struct cp_runtime_bytes){ room, size };
}

/* A string that could not be read is cut to nothing, and was there. */
static bool has_string(const struct sn_rt_file *file,
		       struct cp_runtime_bytes path)
{
	return path.size > 0 || file->flags & SN_RT_PATH_CUT;
}

static bool has_path(const struct sn_rt_file *file,
		     struct cp_runtime_bytes path)
{
	return !(file->flags & SN_RT_PATH_TEXT) &&
	       (has_string(file, path) || file->inode != 0);
}

static void put_process(const struct cp_runtime_process *process,
			struct cp_runtime_subject *ret)
{
	ret->has_exe = process->exe.inode != 0;
	ret->exe[0] = SN_RT_DEV(process->exe.major, process->exe.minor);
	ret->exe[1] = process->exe.inode;
	if (process->exe_path.size > 0 &&
	    !(process->exe.flags & SN_RT_PATH_CUT))
		ret->exe_path = process->exe_path;
	/* It may have been moved since. */
	if (!process->is_cgroup_cut && process->cgroup == ret->cgroup)
		ret->cgroup_path = process->cgroup_path;
}

bool cp_runtime_judge(const struct cp_runtime_rules *rules,
		      const struct cp_runtime_record *record,
		      const struct cp_runtime_process *process,
		      struct sn_rt_bits *ret)
{
	const struct sn_rt_record *head = record->head;
	char path[SN_RT_PATH_MAX + 1], target[SN_RT_PATH_MAX + 1];
	struct cp_runtime_subject subject = {
		.event = (enum sn_rt_event)head->event,
		.failed = head->result < 0,
		.uid = head->uid,
		.cgroup = head->cgroup,
		.has_file = has_path(&head->file, record->path),
		.file = { SN_RT_DEV(head->file.major, head->file.minor),
			  head->file.inode },
		.path = judged(&head->file, record->path, path),
		.has_target = has_string(&head->file2, record->path2) &&
			      has_path(&head->file2, record->path2),
		.target = judged(&head->file2, record->path2, target),
	};
	size_t n = strnlen((const char *)head->comm, sizeof(head->comm));

	(void)memcpy(subject.comm, head->comm, n);
	if (process)
		put_process(process, &subject);
	return cp_runtime_rules_match(rules, &subject, ret);
}
