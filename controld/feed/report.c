/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/message.h"
#include "sentinel/v1/detector.pb-c.h"

/* Of a key that is not there: "". */
static char *get(const Sentinel__V1__EventEnvelope *event, const char *key)
{
	for (size_t i = 0; i < event->n_data; i++) {
		if (strcmp(event->data[i]->key, key) == 0)
			return event->data[i]->value;
	}
	for (size_t i = 0; i < event->n_attributes; i++) {
		if (strcmp(event->attributes[i]->key, key) == 0)
			return event->attributes[i]->value;
	}
	return (char *)(uintptr_t) "";
}

static uint64_t number(const Sentinel__V1__EventEnvelope *event,
		       const char *key)
{
	return strtoull(get(event, key), NULL, 10);
}

static bool flag(const Sentinel__V1__EventEnvelope *event, const char *key)
{
	return strcmp(get(event, key), "true") == 0;
}

/* An event and what it points to, besides the envelope. */
struct told {
	Sentinel__V1__RuntimeEvent event;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeFile executable;
	Sentinel__V1__RuntimeFile file;
	Sentinel__V1__RuntimeFile target;
	Sentinel__V1__RuntimeAddress local;
	Sentinel__V1__RuntimeAddress remote;
	char *arguments; /* all of them */
};

static void put_process(struct told *ret,
			const Sentinel__V1__EventEnvelope *event)
{
	Sentinel__V1__RuntimeFile *executable = &ret->executable;
	Sentinel__V1__RuntimeProcess *process = &ret->process;

	sentinel__v1__runtime_process__init(process);
	process->pid = (uint32_t)number(event, "pid");
	process->tid = (uint32_t)number(event, "tid");
	process->start_ns = number(event, "start_ns");
	process->uid = (uint32_t)number(event, "uid");
	process->gid = (uint32_t)number(event, "gid");
	process->comm = get(event, "comm");
	process->parent_pid = (uint32_t)number(event, "ppid");
	process->parent_start_ns = number(event, "parent_start_ns");
	process->cgroup_id = number(event, "cgroup_id");
	process->cgroup = get(event, "cgroup");
	process->container_engine = get(event, "container_engine");
	process->container_id = event->container_id;
	process->pod_uid = get(event, "pod_uid");
	process->attachment = get(event, "attachment");
	process->pod = event->pod_name;
	process->namespace_ = event->namespace_;
	sentinel__v1__runtime_file__init(executable);
	executable->path = get(event, "executable");
	executable->deleted = flag(event, "executable_deleted");
	executable->memfd = flag(event, "executable_memfd");
	if (executable->path[0])
		process->executable = executable;
	ret->event.process = process;
}

static void put_files(struct told *ret,
		      const Sentinel__V1__EventEnvelope *event)
{
	const char *device = get(event, "device");
	Sentinel__V1__RuntimeFile *file = &ret->file;

	sentinel__v1__runtime_file__init(file);
	file->path = get(event, "filename");
	file->host_path = get(event, "host_path");
	file->inode = number(event, "inode");
	(void)sscanf(device, "%" SCNu32 ":%" SCNu32, &file->device_major,
		     &file->device_minor);
	file->cut = flag(event, "cut");
	file->as_passed = flag(event, "as_passed");
	file->deleted = flag(event, "deleted");
	file->memfd = flag(event, "memfd");
	if (file->path[0] || file->inode)
		ret->event.file = file;
	sentinel__v1__runtime_file__init(&ret->target);
	ret->target.path = get(event, "target");
	if (ret->target.path[0])
		ret->event.target = &ret->target;
}

static Sentinel__V1__RuntimeAddress *
put_address(Sentinel__V1__RuntimeAddress *ret,
	    const Sentinel__V1__EventEnvelope *event, const char *key,
	    const char *port_key)
{
	sentinel__v1__runtime_address__init(ret);
	ret->address = get(event, key);
	ret->port = (uint32_t)number(event, port_key);
	ret->protocol = (uint32_t)number(event, "protocol");
	return ret->address[0] ? ret : NULL;
}

static void put_event(struct told *ret,
		      const Sentinel__V1__EventEnvelope *event)
{
	Sentinel__V1__RuntimeEvent *message = &ret->event;

	sentinel__v1__runtime_event__init(message);
	message->uuid = event->event_id;
	message->time_ns = (int64_t)event->ts_unix_nano;
	message->boot_ns = number(event, "boot_ns");
	message->event = event->event_type;
	message->result = strtoll(get(event, "result"), NULL, 10);
	message->error = get(event, "error");
	message->call = get(event, "call");
	message->count = number(event, "count");
	message->bytes = number(event, "bytes");
	message->summed = flag(event, "summed");
	message->flags = strtoull(get(event, "flags"), NULL, 16);
	message->mode = (uint32_t)strtoul(get(event, "mode"), NULL, 8);
	message->uid = (uint32_t)strtol(get(event, "new_uid"), NULL, 10);
	message->gid = (uint32_t)strtol(get(event, "new_gid"), NULL, 10);
	message->other_pid = (uint32_t)number(event, "other_pid");
	message->exit_code = (uint32_t)number(event, "exit_code");
	message->local = put_address(&ret->local, event, "local", "local_port");
	message->remote =
		put_address(&ret->remote, event, "remote", "remote_port");
	message->compat = flag(event, "compat");
	message->io_uring = flag(event, "io_uring");
	/* Where one ends is not told. */
	ret->arguments = get(event, "arguments");
	message->arguments = &ret->arguments;
	message->n_arguments = ret->arguments[0] != '\0';
	message->arguments_cut = flag(event, "arguments_cut");
	put_files(ret, event);
	if (get(event, "pid")[0])
		put_process(ret, event);
}

static void put(struct cp_findings *findings, const char *detector,
		const struct cp_feed_answer *answer,
		const Sentinel__V1__EventEnvelope *envelope)
{
	struct told told;
	const struct cp_findings_report report = {
		.kind = CP_FINDINGS_KIND_DETECTOR,
		.name = detector,
		.severity = SENTINEL__V1__SEVERITY__SEVERITY_WARNING,
		.text = answer->reason,
		.score = answer->score,
		.count = 1,
		.event = &told.event,
	};

	put_event(&told, envelope);
	cp_findings_put(findings, &report);
}

void cp_feed_report_put(struct cp_findings *findings, const char *detector,
			const struct cp_feed_answer *answer, const void *event,
			size_t event_bytes)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	struct sn_diag diag = { .text = "" };

	if (cp_rpc_message_unpack(&sentinel__v1__event_envelope__descriptor,
				  event, event_bytes, &message, &diag) == 0)
		put(findings, detector, answer, (const void *)message);
}
