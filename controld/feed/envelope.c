/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/envelope.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/util.h"

/* A text that is not there is an empty one, and not told. */
static void put(struct cp_feed_envelope *ret, const char *key,
		const char *value)
{
	size_t n = ret->message.n_data;

	if (!value || !value[0])
		return;
	assert(n < CP_FEED_ENVELOPE_ENTRIES);
	sentinel__v1__event_envelope__data_entry__init(&ret->data[n]);
	ret->data[n].key = sn_borrow(key);
	ret->data[n].value = sn_borrow(value);
	ret->data_at[n] = &ret->data[n];
	ret->message.n_data++;
}

static void note(struct cp_feed_envelope *ret, const char *key,
		 const char *value)
{
	size_t n = ret->message.n_attributes;

	if (!value || !value[0])
		return;
	assert(n < CP_FEED_ENVELOPE_ENTRIES);
	sentinel__v1__event_envelope__attributes_entry__init(
		&ret->attributes[n]);
	ret->attributes[n].key = sn_borrow(key);
	ret->attributes[n].value = sn_borrow(value);
	ret->attributes_at[n] = &ret->attributes[n];
	ret->message.n_attributes++;
}

static void note_flag(struct cp_feed_envelope *ret, const char *key, bool is)
{
	if (is)
		note(ret, key, "true");
}

__attribute__((format(printf, 2, 3))) static const char *
print(struct cp_feed_envelope *ret, const char *format, ...)
{
	char *at = ret->numbers + ret->n_number_bytes;
	size_t room = sizeof(ret->numbers) - ret->n_number_bytes;
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(at, room, format, list);
	va_end(list);
	/* At most 32 numbers of 20 digits and a sign. */
	assert(n >= 0 && (size_t)n < room);
	ret->n_number_bytes += (size_t)n + 1;
	return at;
}

static const char *number(struct cp_feed_envelope *ret, uint64_t value)
{
	return print(ret, "%" PRIu64, value);
}

static void put_some(struct cp_feed_envelope *ret, const char *key,
		     uint64_t value)
{
	if (value != 0)
		put(ret, key, number(ret, value));
}

static void note_some(struct cp_feed_envelope *ret, const char *key,
		      uint64_t value)
{
	if (value != 0)
		note(ret, key, number(ret, value));
}

static void put_process(struct cp_feed_envelope *ret,
			const Sentinel__V1__RuntimeProcess *process)
{
	const Sentinel__V1__RuntimeFile *executable = process->executable;

	ret->message.pod_name = process->pod;
	ret->message.namespace_ = process->namespace_;
	ret->message.container_id = process->container_id;
	put(ret, "comm", process->comm);
	put(ret, "pid", number(ret, process->pid));
	put(ret, "tid", number(ret, process->tid));
	put(ret, "uid", number(ret, process->uid));
	put(ret, "gid", number(ret, process->gid));
	put_some(ret, "ppid", process->parent_pid);
	note_some(ret, "start_ns", process->start_ns);
	note_some(ret, "parent_start_ns", process->parent_start_ns);
	note_some(ret, "cgroup_id", process->cgroup_id);
	note(ret, "cgroup", process->cgroup);
	note(ret, "container_engine", process->container_engine);
	note(ret, "pod_uid", process->pod_uid);
	note(ret, "attachment", process->attachment);
	if (!executable)
		return;
	note(ret, "executable", executable->path);
	note_flag(ret, "executable_deleted", executable->deleted);
	note_flag(ret, "executable_memfd", executable->memfd);
}

static void put_file(struct cp_feed_envelope *ret,
		     const Sentinel__V1__RuntimeFile *file)
{
	put(ret, "filename", file->path);
	note(ret, "host_path", file->host_path);
	note_some(ret, "inode", file->inode);
	if (file->inode)
		note(ret, "device",
		     print(ret, "%u:%u", file->device_major,
			   file->device_minor));
	note_flag(ret, "cut", file->cut);
	note_flag(ret, "as_passed", file->as_passed);
	note_flag(ret, "deleted", file->deleted);
	note_flag(ret, "memfd", file->memfd);
}

static void put_addresses(struct cp_feed_envelope *ret,
			  const Sentinel__V1__RuntimeEvent *event)
{
	const Sentinel__V1__RuntimeAddress *local = event->local;
	const Sentinel__V1__RuntimeAddress *remote = event->remote;

	if (local) {
		put(ret, "local", local->address);
		put_some(ret, "local_port", local->port);
	}
	if (remote) {
		put(ret, "remote", remote->address);
		put_some(ret, "remote_port", remote->port);
	}
	if (local || remote)
		put_some(ret, "protocol",
			 remote && remote->protocol ? remote->protocol :
			 local			    ? local->protocol :
						      0);
}

/* What the kind of event has, by its name. */
static void put_kind(struct cp_feed_envelope *ret,
		     const Sentinel__V1__RuntimeEvent *event)
{
	const char *name = event->event;

	if (strcmp(name, "file_chown") == 0) {
		put(ret, "new_uid",
		    print(ret, "%" PRId32, (int32_t)event->uid));
		put(ret, "new_gid",
		    print(ret, "%" PRId32, (int32_t)event->gid));
	}
	if (strcmp(name, "file_chmod") == 0 || event->mode != 0)
		put(ret, "mode", print(ret, "%04o", event->mode));
	if (strcmp(name, "process_exit") == 0)
		put(ret, "exit_code", number(ret, event->exit_code));
	if (strncmp(name, "file_read", 9) == 0 ||
	    strncmp(name, "file_write", 10) == 0) {
		put(ret, "bytes", number(ret, event->bytes));
		put(ret, "count", number(ret, event->count));
	}
	put_some(ret, "other_pid", event->other_pid);
	if (event->flags)
		put(ret, "flags", print(ret, "0x%" PRIx64, event->flags));
}

const char *cp_feed_envelope_join(char *const *texts, size_t n, char between,
				  char ret[CP_FEED_ENVELOPE_LIST_BYTES])
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		size_t size = strlen(texts[i]);

		if (used + size + 2 > CP_FEED_ENVELOPE_LIST_BYTES)
			break;
		if (i > 0)
			ret[used++] = between;
		(void)memcpy(ret + used, texts[i], size);
		used += size;
	}
	ret[used] = '\0';
	return ret;
}

static void put_gap(struct cp_feed_envelope *ret,
		    const Sentinel__V1__RuntimeEvent *event)
{
	static const char *const causes[] = {
		"", "budget", "ring", "memory", "reader", "restart", "file",
	};
	size_t cause = (size_t)event->gap_cause;

	if (strcmp(event->event, "gap") == 0) {
		put(ret, "gap", number(ret, event->gap));
		put(ret, "gap_event", event->gap_event);
		put(ret, "gap_cause",
		    cause < SN_ARRAY_SIZE(causes) ? causes[cause] : "");
	}
	if (event->clock_step_ns != 0)
		put(ret, "clock_step_ns",
		    print(ret, "%" PRId64, event->clock_step_ns));
}

void cp_feed_envelope_fill(struct cp_feed_envelope *ret,
			   const Sentinel__V1__RuntimeEvent *event,
			   const char *hostname)
{
	Sentinel__V1__EventEnvelope *message = &ret->message;

	sentinel__v1__event_envelope__init(message);
	ret->n_number_bytes = 0;
	message->event_id = event->uuid;
	message->hostname = sn_borrow(hostname);
	message->event_type = event->event;
	message->ts_unix_nano = (uint64_t)event->time_ns;
	message->data = ret->data_at;
	message->attributes = ret->attributes_at;
	note_some(ret, "boot_ns", event->boot_ns);
	put_gap(ret, event);
	if (!event->process)
		return;
	if (event->file)
		put_file(ret, event->file);
	if (event->target)
		put(ret, "target", event->target->path);
	put_process(ret, event->process);
	put_kind(ret, event);
	put_addresses(ret, event);
	put(ret, "result", print(ret, "%" PRId64, event->result));
	put(ret, "error", event->error);
	put(ret, "call", event->call);
	put(ret, "arguments",
	    cp_feed_envelope_join(event->arguments, event->n_arguments, ' ',
				  ret->arguments));
	note(ret, "rules",
	     cp_feed_envelope_join(event->rules, event->n_rules, ',',
				   ret->rules));
	note_flag(ret, "summed", event->summed);
	note_flag(ret, "compat", event->compat);
	note_flag(ret, "io_uring", event->io_uring);
	note_flag(ret, "arguments_cut", event->arguments_cut);
}
