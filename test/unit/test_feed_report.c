/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/report.h"

#include "controld/feed/envelope.h"
#include "test/unit/t.h"

static char *text(const char *of)
{
	return (char *)(uintptr_t)of;
}

/* An event that has one of all that there is. */
struct scene {
	Sentinel__V1__RuntimeFile executable, file, target;
	Sentinel__V1__RuntimeAddress local, remote;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeEvent event;
	char *arguments[2];
};

static void fill_file(Sentinel__V1__RuntimeFile *ret, const char *path)
{
	sentinel__v1__runtime_file__init(ret);
	ret->path = text(path);
}

static void fill_address(Sentinel__V1__RuntimeAddress *ret, const char *address,
			 uint32_t port)
{
	sentinel__v1__runtime_address__init(ret);
	ret->address = text(address);
	ret->port = port;
	ret->protocol = 6;
}

static void fill_process(struct scene *scene)
{
	Sentinel__V1__RuntimeProcess *process = &scene->process;

	fill_file(&scene->executable, "/tmp/sh");
	scene->executable.deleted = true;
	sentinel__v1__runtime_process__init(process);
	process->pid = process->tid = 17;
	process->comm = text("sh");
	process->executable = &scene->executable;
}

static void fill(struct scene *scene, const char *name)
{
	Sentinel__V1__RuntimeEvent *event = &scene->event;

	fill_process(scene);
	fill_file(&scene->file, "/etc/shadow");
	scene->file.inode = 9;
	scene->file.device_major = 259;
	scene->file.device_minor = 2;
	scene->file.as_passed = true;
	fill_file(&scene->target, "/etc/shadow-");
	fill_address(&scene->local, "10.0.0.1", 4444);
	fill_address(&scene->remote, "2001:db8::1", 443);
	scene->arguments[0] = text("sh");
	scene->arguments[1] = text("-c");
	sentinel__v1__runtime_event__init(event);
	event->uuid = text("00000000-0000-4000-8000-000000000001");
	event->event = text(name);
	event->process = &scene->process;
	event->file = &scene->file;
	event->target = &scene->target;
	event->local = &scene->local;
	event->remote = &scene->remote;
	event->result = -13;
	event->mode = 04755;
	event->uid = UINT32_MAX;
	event->gid = 5;
	event->flags = 0xa1;
	event->other_pid = 18;
	event->exit_code = 3;
	event->arguments = scene->arguments;
	event->n_arguments = 2;
	event->summed = event->io_uring = true;
}

static Sentinel__V1__Finding *read_first(const struct cp_findings *findings)
{
	struct cp_runtime_position at = { .number = 1 };
	const struct cp_runtime_stored *stored;
	Sentinel__V1__Finding *finding;
	uint64_t n_lost;

	t_eq(cp_runtime_store_read(cp_findings_get_store(findings), &at,
				   &stored, &n_lost),
	     0);
	finding = sentinel__v1__finding__unpack(NULL, stored->size,
						stored->bytes);
	t_not_null(finding);
	return finding;
}

static void closed(void *userdata)
{
	(void)userdata;
}

/* What a detector finds in it, as it is held. */
static Sentinel__V1__Finding *find(const Sentinel__V1__RuntimeEvent *event)
{
	const struct cp_config_detection config = { .memory_bytes = 1 << 16,
						    .burst = 1 };
	const struct cp_feed_answer answer = { .is_anomaly = true };
	struct cp_findings_options options = { .config = &config };
	struct cp_feed_envelope envelope;
	struct cp_findings *findings;
	Sentinel__V1__Finding *finding;
	uint8_t bytes[4096];
	uv_loop_t loop;
	size_t size;

	t_eq(uv_loop_init(&loop), 0);
	options.loop = &loop;
	t_eq(cp_findings_new(&findings, &options), 0);
	cp_feed_envelope_fill(&envelope, event, "host");
	size = sentinel__v1__event_envelope__get_packed_size(&envelope.message);
	t_true(size <= sizeof(bytes));
	(void)sentinel__v1__event_envelope__pack(&envelope.message, bytes);
	cp_feed_report_put(findings, "model", &answer, bytes, size);
	finding = read_first(findings);
	cp_findings_close(findings, closed, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	t_eq(uv_loop_close(&loop), 0);
	return finding;
}

static void a_finding_has_what_its_event_was_about(void)
{
	const Sentinel__V1__RuntimeEvent *event;
	Sentinel__V1__Finding *finding;
	struct scene scene;

	fill(&scene, "file_rename");
	finding = find(&scene.event);
	event = finding->event;
	t_str_eq(event->file->path, "/etc/shadow");
	t_eq(event->file->device_major, 259);
	t_eq(event->file->device_minor, 2);
	t_true(event->file->as_passed);
	t_false(event->file->cut);
	t_str_eq(event->target->path, "/etc/shadow-");
	t_true(event->process->executable->deleted);
	t_eq(event->result, -13);
	t_eq(event->mode, 04755);
	t_eq(event->flags, 0xa1);
	t_eq(event->other_pid, 18);
	t_eq(event->n_arguments, 1);
	t_str_eq(event->arguments[0], "sh -c");
	t_true(event->summed && event->io_uring);
	t_false(event->compat);
	sentinel__v1__finding__free_unpacked(finding, NULL);
}

static void a_finding_has_the_addresses_of_its_event(void)
{
	const Sentinel__V1__RuntimeEvent *event;
	Sentinel__V1__Finding *finding;
	struct scene scene;

	fill(&scene, "net_connect");
	finding = find(&scene.event);
	event = finding->event;
	t_str_eq(event->local->address, "10.0.0.1");
	t_eq(event->local->port, 4444);
	t_str_eq(event->remote->address, "2001:db8::1");
	t_eq(event->remote->port, 443);
	t_eq(event->remote->protocol, 6);
	sentinel__v1__finding__free_unpacked(finding, NULL);
}

static void a_finding_has_what_only_some_kinds_have(void)
{
	Sentinel__V1__Finding *finding;
	struct scene scene;

	fill(&scene, "file_chown");
	finding = find(&scene.event);
	t_eq(finding->event->uid, UINT32_MAX);
	t_eq(finding->event->gid, 5);
	sentinel__v1__finding__free_unpacked(finding, NULL);
	fill(&scene, "process_exit");
	finding = find(&scene.event);
	t_eq(finding->event->exit_code, 3);
	sentinel__v1__finding__free_unpacked(finding, NULL);
}

static void what_an_event_does_not_have_a_finding_has_not(void)
{
	Sentinel__V1__Finding *finding;
	struct scene scene;

	fill(&scene, "process_exec");
	scene.event.file = scene.event.target = NULL;
	scene.event.local = scene.event.remote = NULL;
	scene.event.n_arguments = 0;
	finding = find(&scene.event);
	t_null(finding->event->file);
	t_null(finding->event->target);
	t_null(finding->event->local);
	t_null(finding->event->remote);
	t_eq(finding->event->n_arguments, 0);
	sentinel__v1__finding__free_unpacked(finding, NULL);
}

T_MAIN("feed_report", a_finding_has_what_its_event_was_about,
       a_finding_has_the_addresses_of_its_event,
       a_finding_has_what_only_some_kinds_have,
       what_an_event_does_not_have_a_finding_has_not)
