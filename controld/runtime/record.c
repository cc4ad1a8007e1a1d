/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/record.h"

#include <errno.h>

/* Cuts size bytes off the front of left. */
static bool take(struct cp_runtime_bytes *left, size_t size,
		 struct cp_runtime_bytes *ret)
{
	if (size > left->size)
		return false;
	*ret = (struct cp_runtime_bytes){ left->at, size };
	left->at += size;
	left->size -= size;
	return true;
}

static bool take_file(struct cp_runtime_bytes *left,
		      const struct sn_rt_file *file,
		      struct cp_runtime_bytes *path,
		      struct cp_runtime_bytes *base)
{
	return file->path_bytes <= SN_RT_PATH_MAX &&
	       file->base_bytes <= SN_RT_PATH_MAX &&
	       file->inside_bytes <= file->path_bytes &&
	       take(left, file->path_bytes, path) &&
	       take(left, file->base_bytes, base);
}

static bool is_known(const struct sn_rt_record *head)
{
	if (head->kind == SN_RT_KIND_PROCESS)
		return head->event == SN_RT_EVENT_NONE;
	return head->kind == SN_RT_KIND_EVENT &&
	       head->event > SN_RT_EVENT_NONE &&
	       head->event < SN_RT_EVENT_COUNT;
}

int cp_runtime_record_read(const void *bytes, size_t size,
			   struct cp_runtime_record *ret)
{
	const struct sn_rt_record *head = bytes;
	struct cp_runtime_bytes left;

	if (size < sizeof(*head) || head->size != size || !is_known(head) ||
	    head->arguments_bytes > SN_RT_ARGUMENTS_MAX)
		return -EBADMSG;
	left = (struct cp_runtime_bytes){ (const char *)(head + 1),
					  size - sizeof(*head) };
	ret->head = head;
	if (!take_file(&left, &head->file, &ret->path, &ret->base) ||
	    !take_file(&left, &head->file2, &ret->path2, &ret->base2) ||
	    !take(&left, head->arguments_bytes, &ret->arguments))
		return -EBADMSG;
	/* What is left is padding to a multiple of 8. */
	return left.size < sizeof(uint64_t) ? 0 : -EBADMSG;
}
