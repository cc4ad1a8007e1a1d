/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/message.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/utf8.h"
#include "shared/runtime.h"

enum {
	/* A path, its bytes as they are, and where the host has it. */
	FILE_ROOM = CP_RPC_UTF8_ROOM(SN_RT_PATH_MAX) + SN_RT_PATH_MAX +
		    CP_RPC_UTF8_ROOM(2 * SN_RT_PATH_MAX),
	SMALL_ROOM = 1024, /* all texts of a known size together */
};

/* The message and what it points to; a cursor goes through text. */
struct cp_runtime_message {
	Sentinel__V1__RuntimeEvent event;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeFile file;
	Sentinel__V1__RuntimeFile target;
	Sentinel__V1__RuntimeFile executable;
	Sentinel__V1__RuntimeAddress local;
	Sentinel__V1__RuntimeAddress remote;
	char *rules[SN_RT_RULES_MAX];
	char uuid[CP_RUNTIME_MESSAGE_UUID_BYTES];
	char host_path[2 * SN_RT_PATH_MAX]; /* before it is text */
	char *at;
	char *end;
	char text[];
};

/* By enum sn_rt_call. */
static const char *const calls[] = {
#define SN_RT_EVENT(id, name, meaning)
#define SN_RT_CALL(id, in, out, dir, path, dir2, path2) #id,
#define SN_RT_LIMIT(id, text)
#define SN_RT_HOOK(event, way, program, kind, hook, call, limit)
#include "shared/runtime.def"
#undef SN_RT_EVENT
#undef SN_RT_CALL
#undef SN_RT_LIMIT
#undef SN_RT_HOOK
};

void cp_runtime_message_uuid(uint64_t run, uint64_t number,
			     char ret[CP_RUNTIME_MESSAGE_UUID_BYTES])
{
	/* 48 bits, the version, 12 bits; the variant, 62 bits. */
	(void)snprintf(ret, CP_RUNTIME_MESSAGE_UUID_BYTES,
		       "%08llx-%04llx-8%03llx-%04llx-%012llx",
		       (unsigned long long)(run >> 32),
		       (unsigned long long)(run >> 16 & 0xffff),
		       (unsigned long long)(run >> 4 & 0xfff),
		       (unsigned long long)((number >> 48 & 0x3fff) | 0x8000),
		       (unsigned long long)(number & 0xffffffffffffULL));
}

static uint64_t mix(uint64_t hash, uint64_t number)
{
	hash = (hash ^ number) * 0xbf58476d1ce4e5b9ULL;
	hash = (hash ^ hash >> 31) * 0x94d049bb133111ebULL;
	return hash ^ hash >> 29;
}

void cp_runtime_message_name(uint64_t boot, uint64_t position,
			     const struct sn_rt_record *head, uint64_t ret[2])
{
	const uint64_t parts[] = {
		boot, position, head->time, head->cpu, head->tgid, head->start,
	};

	ret[0] = 1;
	ret[1] = 2;
	for (size_t i = 0; i < SN_ARRAY_SIZE(parts); i++) {
		ret[0] = mix(ret[0], parts[i]);
		ret[1] = mix(ret[1], parts[i] + i);
	}
}

/* Text of bytes of the kernel, in the message's own room. */
static char *put(struct cp_runtime_message *message, const void *bytes,
		 size_t size, bool *is_changed)
{
	char *ret = message->at;

	/* Room is counted before, so that this cannot be. */
	if (CP_RPC_UTF8_ROOM(size) > (size_t)(message->end - message->at)) {
		*is_changed = true;
		return message->end - 1;
	}
	message->at += cp_rpc_utf8_copy(bytes, size, ret, is_changed) + 1;
	return ret;
}

static char *put_comm(struct cp_runtime_message *message, const void *comm)
{
	bool is_changed;

	return put(message, comm, strnlen(comm, SN_COMM_BYTES), &is_changed);
}

static char *put_text(struct cp_runtime_message *message, const char *text)
{
	bool is_changed;

	return put(message, text ? text : "", text ? strlen(text) : 0,
		   &is_changed);
}

/* The path inside of the file system is base and the last bytes of path. */
static void put_host_path(struct cp_runtime_message *message,
			  const struct cp_runtime_mounts *mounts,
			  const struct sn_rt_file *file,
			  struct cp_runtime_bytes path,
			  struct cp_runtime_bytes base,
			  Sentinel__V1__RuntimeFile *ret)
{
	char inside[2 * SN_RT_PATH_MAX];
	size_t size = base.size + file->inside_bytes;
	bool is_changed;

	if (file->flags & (SN_RT_PATH_STRING | SN_RT_PATH_TEXT |
			   SN_RT_PATH_MEMFD | SN_RT_PATH_CUT) ||
	    path.size == 0)
		return;
	(void)memcpy(inside, base.at, base.size);
	(void)memcpy(inside + base.size,
		     path.at + path.size - file->inside_bytes,
		     file->inside_bytes);
	if (cp_runtime_mounts_find(mounts, file->major, file->minor, inside,
				   size, message->host_path,
				   sizeof(message->host_path)) != 0)
		return;
	size = strlen(message->host_path);
	if (size != path.size || memcmp(message->host_path, path.at, size) != 0)
		ret->host_path =
			put(message, message->host_path, size, &is_changed);
}

/* NULL: there is no file. */
static Sentinel__V1__RuntimeFile *
put_file(struct cp_runtime_message *message,
	 const struct cp_runtime_mounts *mounts, const struct sn_rt_file *file,
	 struct cp_runtime_bytes path, struct cp_runtime_bytes base,
	 Sentinel__V1__RuntimeFile *ret)
{
	bool is_changed = false;

	if (path.size == 0 && file->inode == 0)
		return NULL;
	sentinel__v1__runtime_file__init(ret);
	ret->path = put(message, path.at, path.size, &is_changed);
	if (is_changed && path.size <= (size_t)(message->end - message->at)) {
		ret->raw_path.data = memcpy(message->at, path.at, path.size);
		ret->raw_path.len = path.size;
		message->at += path.size;
	}
	put_host_path(message, mounts, file, path, base, ret);
	ret->device_major = file->major;
	ret->device_minor = file->minor;
	ret->inode = file->inode;
	ret->mode = file->mode;
	ret->cut = file->flags & SN_RT_PATH_CUT;
	ret->as_passed = file->flags & SN_RT_PATH_STRING;
	ret->unreachable = file->flags & SN_RT_PATH_UNREACHABLE;
	ret->deleted = file->flags & SN_RT_PATH_DELETED;
	ret->memfd = file->flags & SN_RT_PATH_MEMFD;
	ret->text = file->flags & SN_RT_PATH_TEXT;
	return ret;
}

static Sentinel__V1__RuntimeAddress *
put_address(struct cp_runtime_message *message,
	    const struct sn_rt_address *address,
	    Sentinel__V1__RuntimeAddress *ret)
{
	int family = address->family == SN_FAMILY_IPV4 ? AF_INET : AF_INET6;

	if (!address->family && !address->protocol)
		return NULL;
	sentinel__v1__runtime_address__init(ret);
	if (address->family &&
	    inet_ntop(family, address->address, message->at,
		      (socklen_t)(message->end - message->at))) {
		ret->address = message->at;
		message->at += strlen(message->at) + 1;
	}
	ret->port = ntohs(address->port);
	ret->protocol = address->protocol;
	return ret;
}

static void put_known(struct cp_runtime_message *message,
		      const struct cp_runtime_event *event,
		      Sentinel__V1__RuntimeProcess *ret)
{
	const struct cp_runtime_process *process = event->process;
	bool is_changed;

	ret->parent_pid = process->parent_tgid;
	ret->parent_start_ns = process->parent_start;
	ret->executable = put_file(message, event->mounts, &process->exe,
				   process->exe_path, process->exe_base,
				   &message->executable);
	ret->cgroup = put(message, process->cgroup_path.at,
			  process->cgroup_path.size, &is_changed);
	ret->container_engine = put_text(message, process->container.engine);
	ret->container_id = put_text(message, process->container.id);
	ret->pod_uid = put_text(message, process->container.pod_uid);
}

static void put_process(struct cp_runtime_message *message,
			const struct cp_runtime_event *event)
{
	const struct sn_rt_record *head = event->record->head;
	Sentinel__V1__RuntimeProcess *ret = &message->process;

	sentinel__v1__runtime_process__init(ret);
	message->event.process = ret;
	ret->pid = head->tgid;
	ret->tid = head->tid;
	ret->start_ns = head->start;
	ret->uid = head->uid;
	ret->gid = head->gid;
	ret->cgroup_id = head->cgroup;
	ret->comm = put_comm(message, head->comm);
	ret->attachment = put_text(message, event->attachment);
	ret->pod = put_text(message, event->pod);
	ret->namespace_ = put_text(message, event->namespace);
	if (event->process)
		put_known(message, event, ret);
}

/* What args say, by event. */
static void put_args(Sentinel__V1__RuntimeEvent *ret,
		     const struct sn_rt_record *head)
{
	const uint32_t first = (uint32_t)head->args[1];
	const uint32_t second = (uint32_t)head->args[2];

	switch ((enum sn_rt_event)head->event) {
	case SN_RT_EVENT_FILE_OPEN:
		ret->mode = second;
		ret->flags = head->args[1];
		break;
	case SN_RT_EVENT_FILE_CHMOD:
		ret->mode = first;
		break;
	case SN_RT_EVENT_FILE_CHOWN:
		ret->uid = first;
		ret->gid = second;
		break;
	case SN_RT_EVENT_PROCESS_FORK:
		ret->other_pid = first;
		ret->other_start_ns = head->args[2];
		break;
	case SN_RT_EVENT_PROCESS_EXIT:
		ret->exit_code = first;
		break;
	case SN_RT_EVENT_PTRACE:
		ret->flags = head->args[1];
		ret->other_pid = second;
		break;
	case SN_RT_EVENT_FILE_WRITE:
	case SN_RT_EVENT_FILE_UNLINK:
	case SN_RT_EVENT_FILE_RENAME:
	case SN_RT_EVENT_MEMFD_CREATE:
	case SN_RT_EVENT_MOUNT:
	case SN_RT_EVENT_BPF_LOAD:
		ret->flags = head->args[1];
		break;
	case SN_RT_EVENT_NONE:
	case SN_RT_EVENT_FILE_READ:
	case SN_RT_EVENT_FILE_LINK:
	case SN_RT_EVENT_PROCESS_EXEC:
	case SN_RT_EVENT_NET_CONNECT:
	case SN_RT_EVENT_NET_ACCEPT:
	case SN_RT_EVENT_NET_BIND:
	case SN_RT_EVENT_MODULE_LOAD:
	case SN_RT_EVENT_COUNT:
		break;
	}
}

static void put_call(struct cp_runtime_message *message, uint64_t call)
{
	if (call == SN_RT_CALL_NONE || call >= SN_RT_CALL_COUNT)
		return;
	message->event.call = put_text(message, calls[call]);
	for (char *c = message->event.call; *c; c++)
		*c = (char)tolower((unsigned char)*c);
}

static void put_rules(struct cp_runtime_message *message,
		      const struct cp_runtime_event *event)
{
	size_t n = event->rules ? cp_runtime_rules_count(event->rules) : 0;

	message->event.rules = message->rules;
	for (size_t i = 0; i < n; i++) {
		const char *name = cp_runtime_rules_get(event->rules, i)->name;

		if (event->matched->words[i / 64] & 1ULL << i % 64)
			message->rules[message->event.n_rules++] =
				put_text(message, name);
	}
}

/* A call that a signal interrupts returns a number that only the kernel knows
 * (ERESTARTSYS, 512), before it is made again or ends with EINTR. */
static char *put_error(struct cp_runtime_message *message, int64_t result)
{
	const char *name = result >= -INT_MAX ? strerrorname_np((int)-result) :
						NULL;
	char number[24];

	(void)snprintf(number, sizeof(number), "%lld",
		       (long long)-(uint64_t)result);
	return put_text(message, name ? name : number);
}

static void put_event(struct cp_runtime_message *message,
		      const struct cp_runtime_event *event)
{
	const struct cp_runtime_record *record = event->record;
	const struct sn_rt_record *head = record->head;
	Sentinel__V1__RuntimeEvent *ret = &message->event;

	cp_runtime_message_uuid(event->name[0], event->name[1], message->uuid);
	ret->uuid = message->uuid;
	ret->time_ns = event->wall_ns;
	ret->boot_ns = head->time;
	ret->event = put_text(message, sn_runtime_events[head->event].name);
	ret->file = put_file(message, event->mounts, &head->file, record->path,
			     record->base, &message->file);
	ret->target = put_file(message, event->mounts, &head->file2,
			       record->path2, record->base2, &message->target);
	ret->result = head->result;
	if (head->result < 0)
		ret->error = put_error(message, head->result);
	ret->count = head->count;
	ret->bytes = head->bytes;
	ret->summed = head->flags & SN_RT_SUMMED;
	ret->compat = head->flags & SN_RT_COMPAT;
	ret->io_uring = head->flags & SN_RT_IO_URING;
	ret->arguments = (char **)(uintptr_t)event->arguments;
	ret->n_arguments = event->n_arguments;
	ret->arguments_cut = head->flags & SN_RT_ARGUMENTS_CUT;
	put_call(message, head->args[0]);
	put_args(ret, head);
	ret->local = put_address(message, &head->local, &message->local);
	ret->remote = put_address(message, &head->remote, &message->remote);
}

static size_t room_of(const struct cp_runtime_event *event)
{
	size_t n = SMALL_ROOM + 2 * (size_t)FILE_ROOM;

	if (event->process)
		n += FILE_ROOM +
		     CP_RPC_UTF8_ROOM(event->process->cgroup_path.size);
	n += event->attachment ? CP_RPC_UTF8_ROOM(strlen(event->attachment)) :
				 0;
	n += event->pod ? CP_RPC_UTF8_ROOM(strlen(event->pod)) : 0;
	n += event->namespace ? CP_RPC_UTF8_ROOM(strlen(event->namespace)) : 0;
	for (size_t i = 0; i < SN_RT_WORDS; i++)
		n += (size_t)__builtin_popcountll(event->matched->words[i]) *
		     CP_RPC_UTF8_ROOM(CP_RUNTIME_RULES_NAME_BYTES);
	return n;
}

int cp_runtime_message_new(struct cp_runtime_message **ret,
			   const struct cp_runtime_event *event)
{
	size_t room = room_of(event);
	struct cp_runtime_message *message = malloc(sizeof(*message) + room);

	if (!message)
		return -ENOMEM;
	sentinel__v1__runtime_event__init(&message->event);
	message->at = message->text;
	message->end = message->text + room;
	message->end[-1] = '\0';
	put_event(message, event);
	put_process(message, event);
	put_rules(message, event);
	*ret = message;
	return 0;
}

struct cp_runtime_message *
cp_runtime_message_free(struct cp_runtime_message *message)
{
	free(message);
	return NULL;
}

const Sentinel__V1__RuntimeEvent *
cp_runtime_message_get(const struct cp_runtime_message *message)
{
	return &message->event;
}
