/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/report.h"

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

static void put_process(const Sentinel__V1__EventEnvelope *event,
			Sentinel__V1__RuntimeFile *executable,
			Sentinel__V1__RuntimeProcess *ret)
{
	sentinel__v1__runtime_process__init(ret);
	ret->pid = (uint32_t)number(event, "pid");
	ret->tid = (uint32_t)number(event, "tid");
	ret->start_ns = number(event, "start_ns");
	ret->uid = (uint32_t)number(event, "uid");
	ret->gid = (uint32_t)number(event, "gid");
	ret->comm = get(event, "comm");
	ret->parent_pid = (uint32_t)number(event, "ppid");
	ret->parent_start_ns = number(event, "parent_start_ns");
	ret->cgroup_id = number(event, "cgroup_id");
	ret->cgroup = get(event, "cgroup");
	ret->container_engine = get(event, "container_engine");
	ret->container_id = event->container_id;
	ret->pod_uid = get(event, "pod_uid");
	ret->attachment = get(event, "attachment");
	ret->pod = event->pod_name;
	ret->namespace_ = event->namespace_;
	sentinel__v1__runtime_file__init(executable);
	executable->path = get(event, "executable");
	if (executable->path[0])
		ret->executable = executable;
}

static void put_event(const Sentinel__V1__EventEnvelope *event,
		      Sentinel__V1__RuntimeFile *file,
		      Sentinel__V1__RuntimeEvent *ret)
{
	sentinel__v1__runtime_event__init(ret);
	ret->uuid = event->event_id;
	ret->time_ns = (int64_t)event->ts_unix_nano;
	ret->boot_ns = number(event, "boot_ns");
	ret->event = event->event_type;
	ret->result = strtoll(get(event, "result"), NULL, 10);
	ret->error = get(event, "error");
	ret->call = get(event, "call");
	ret->count = number(event, "count");
	ret->bytes = number(event, "bytes");
	ret->flags = strtoull(get(event, "flags"), NULL, 16);
	sentinel__v1__runtime_file__init(file);
	file->path = get(event, "filename");
	file->host_path = get(event, "host_path");
	file->inode = number(event, "inode");
	if (file->path[0])
		ret->file = file;
}

static void put(struct cp_findings *findings, const char *detector,
		const struct cp_feed_answer *answer,
		const Sentinel__V1__EventEnvelope *envelope)
{
	Sentinel__V1__RuntimeFile file, executable;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeEvent event;
	const struct cp_findings_report report = {
		.kind = CP_FINDINGS_KIND_DETECTOR,
		.name = detector,
		.severity = SENTINEL__V1__SEVERITY__SEVERITY_WARNING,
		.text = answer->reason,
		.score = answer->score,
		.count = 1,
		.event = &event,
	};

	put_event(envelope, &file, &event);
	if (get(envelope, "pid")[0]) {
		put_process(envelope, &executable, &process);
		event.process = &process;
	}
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
