// SPDX-License-Identifier: Apache-2.0
#include "controld/runtime/message.h"

#include <errno.h>

#include "test/unit/t.h"

enum { STRINGS = 4 * SN_RT_PATH_MAX };

/* One event with what belongs to it; strings are appended to the record. */
struct scene {
	struct {
		struct sn_rt_record head;
		char strings[STRINGS];
	} raw;
	size_t n_strings;
	struct cp_runtime_record record;
	struct cp_runtime_rules *rules;
	struct cp_runtime_mounts *mounts;
	struct cp_runtime_processes *processes;
	struct sn_rt_bits matched;
	struct cp_runtime_event event;
	struct cp_runtime_message *message;
};

static uint16_t append(struct scene *scene, const char *bytes, size_t size)
{
	(void)memcpy(scene->raw.strings + scene->n_strings, bytes, size);
	scene->n_strings += size;
	return (uint16_t)size;
}

static struct scene *new_scene(enum sn_rt_event event, enum sn_rt_call call)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct sn_diag diag;

	t_not_null(scene);
	t_eq(cp_runtime_rules_new(&scene->rules), 0);
	t_eq(cp_runtime_rules_add(scene->rules, "first", &diag), 0);
	t_eq(cp_runtime_rules_add(scene->rules, "second", &diag), 0);
	scene->matched.words[0] = 2;
	t_eq(cp_runtime_mounts_new(&scene->mounts), 0);
	t_eq(cp_runtime_processes_new(&scene->processes, 8), 0);
	scene->raw.head = (struct sn_rt_record){
		.kind = SN_RT_KIND_EVENT,
		.event = (uint8_t)event,
		.time = 5000,
		.start = 4000,
		.tgid = 100,
		.tid = 101,
		.uid = 1000,
		.gid = 1001,
		.cgroup = 77,
		.count = 1,
		.args = { call },
		.comm = "cat",
	};
	return scene;
}

static void load_mounts(struct scene *scene, const char *text)
{
	char path[] = "/tmp/sentinel-mounts-XXXXXX";
	int fd = mkstemp(path);

	t_true(fd >= 0);
	t_eq(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
	t_eq(cp_runtime_mounts_load(scene->mounts, path), 0);
	(void)unlink(path);
}

static void read_record(struct scene *scene)
{
	struct sn_rt_record *head = &scene->raw.head;

	head->size =
		(uint32_t)((sizeof(*head) + scene->n_strings + 7) & ~(size_t)7);
	t_eq(cp_runtime_record_read(&scene->raw, head->size, &scene->record),
	     0);
}

static const Sentinel__V1__RuntimeEvent *make(struct scene *scene)
{
	read_record(scene);
	scene->event.record = &scene->record;
	scene->event.mounts = scene->mounts;
	scene->event.rules = scene->rules;
	scene->event.matched = &scene->matched;
	scene->event.process = cp_runtime_processes_get(
		scene->processes, scene->raw.head.tgid, scene->raw.head.start);
	t_eq(cp_runtime_message_new(&scene->message, &scene->event), 0);
	return cp_runtime_message_get(scene->message);
}

static void end_scene(struct scene *scene)
{
	(void)cp_runtime_message_free(scene->message);
	(void)cp_runtime_processes_free(scene->processes);
	(void)cp_runtime_mounts_free(scene->mounts);
	(void)cp_runtime_rules_free(scene->rules);
	free(scene);
}

static void put_file(struct scene *scene, const char *path, size_t size)
{
	scene->raw.head.file = (struct sn_rt_file){
		.inode = 9,
		.major = 8,
		.minor = 1,
		.mode = 0100644,
		.path_bytes = append(scene, path, size),
		.inside_bytes = (uint16_t)size,
	};
}

static void event_says_what_when_and_who(void)
{
	struct scene *scene =
		new_scene(SN_RT_EVENT_FILE_OPEN, SN_RT_CALL_OPENAT2);
	const Sentinel__V1__RuntimeEvent *event;

	put_file(scene, "/etc/passwd", 11);
	scene->raw.head.args[1] = 0x241;
	scene->raw.head.args[2] = 0640;
	scene->raw.head.result = 3;
	scene->event.wall_ns = 1800000000000000000LL;
	scene->event.name[0] = 0x0123456789abcdefULL;
	scene->event.name[1] = 5;
	event = make(scene);
	t_str_eq(event->event, "file_open");
	t_str_eq(event->call, "openat2");
	t_eq(event->time_ns, 1800000000000000000LL);
	t_eq(event->boot_ns, 5000);
	t_eq(event->flags, 0x241);
	t_eq(event->mode, 0640);
	t_eq(event->result, 3);
	t_str_eq(event->error, "");
	t_eq(event->count, 1);
	t_eq(event->n_rules, 1);
	t_str_eq(event->rules[0], "second");
	t_str_eq(event->file->path, "/etc/passwd");
	t_eq(event->file->raw_path.len, 0);
	t_str_eq(event->file->host_path, "");
	t_eq(event->file->inode, 9);
	t_eq(event->file->device_major, 8);
	t_eq(event->file->device_minor, 1);
	t_eq(event->file->mode, 0100644);
	t_null(event->target);
	t_null(event->local);
	t_eq(event->process->pid, 100);
	t_eq(event->process->tid, 101);
	t_eq(event->process->start_ns, 4000);
	t_eq(event->process->uid, 1000);
	t_eq(event->process->gid, 1001);
	t_eq(event->process->cgroup_id, 77);
	t_str_eq(event->process->comm, "cat");
	t_null(event->process->executable);
	end_scene(scene);
}

static void uuid_is_of_version_8_and_differs_by_run_and_number(void)
{
	char uuid[CP_RUNTIME_MESSAGE_UUID_BYTES];

	cp_runtime_message_uuid(0x0123456789abcdefULL, 5, uuid);
	t_str_eq(uuid, "01234567-89ab-8cde-8000-000000000005");
	cp_runtime_message_uuid(0, UINT64_MAX, uuid);
	t_str_eq(uuid, "00000000-0000-8000-bfff-ffffffffffff");
}

static void failure_names_its_error(void)
{
	struct scene *scene = new_scene(SN_RT_EVENT_FILE_OPEN, SN_RT_CALL_OPEN);

	scene->raw.head.result = -EACCES;
	t_str_eq(make(scene)->error, "EACCES");
	end_scene(scene);
	scene = new_scene(SN_RT_EVENT_NET_CONNECT, SN_RT_CALL_CONNECT);
	scene->raw.head.result = -512;
	t_str_eq(make(scene)->error, "512");
	end_scene(scene);
}

static void path_that_is_not_utf8_is_there_twice(void)
{
	static const char path[] = "/tmp/a\n\xff"
				   "b";
	struct scene *scene =
		new_scene(SN_RT_EVENT_FILE_UNLINK, SN_RT_CALL_UNLINK);
	const Sentinel__V1__RuntimeFile *file;

	put_file(scene, path, sizeof(path) - 1);
	scene->raw.head.file.flags = SN_RT_PATH_STRING | SN_RT_PATH_CUT;
	file = make(scene)->file;
	t_str_eq(file->path, "/tmp/a\n\xef\xbf\xbd"
			     "b");
	t_eq(file->raw_path.len, sizeof(path) - 1);
	t_mem_eq(file->raw_path.data, path, sizeof(path) - 1);
	t_true(file->as_passed);
	t_true(file->cut);
	t_false(file->deleted);
	end_scene(scene);
}

/* A container sees /data/f, which is f of what this host has at /srv/vol. */
static void host_path_is_told_where_it_differs(void)
{
	struct scene *scene =
		new_scene(SN_RT_EVENT_FILE_RENAME, SN_RT_CALL_RENAME);
	const Sentinel__V1__RuntimeEvent *event;

	load_mounts(scene, "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
			   "22 21 8:2 / /srv rw - ext4 /dev/sda2 rw\n");
	scene->raw.head.file = (struct sn_rt_file){
		.inode = 1,
		.major = 8,
		.minor = 2,
		.path_bytes = append(scene, "/data/f", 7),
		.inside_bytes = 2,
		.base_bytes = append(scene, "/vol", 4),
	};
	scene->raw.head.file2 = (struct sn_rt_file){
		.inode = 2,
		.major = 8,
		.minor = 1,
		.path_bytes = append(scene, "/etc/x", 6),
		.inside_bytes = 6,
	};
	event = make(scene);
	t_str_eq(event->file->path, "/data/f");
	t_str_eq(event->file->host_path, "/srv/vol/f");
	t_str_eq(event->target->path, "/etc/x");
	t_str_eq(event->target->host_path, "");
	end_scene(scene);
}

static void known_process_brings_what_it_runs_in(void)
{
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	static const char cgroup[] = "/docker/" ID;
	struct scene *scene =
		new_scene(SN_RT_EVENT_PROCESS_EXIT, SN_RT_CALL_NONE);
	const Sentinel__V1__RuntimeEvent *event;
	struct sn_rt_record saved = scene->raw.head;

	scene->raw.head.kind = SN_RT_KIND_PROCESS;
	scene->raw.head.event = SN_RT_EVENT_NONE;
	scene->raw.head.args[0] = 50;
	scene->raw.head.args[1] = 3000;
	put_file(scene, "/usr/bin/cat", 12);
	scene->raw.head.file2.path_bytes =
		append(scene, cgroup, sizeof(cgroup) - 1);
	read_record(scene);
	t_eq(cp_runtime_processes_put(scene->processes, &scene->record), 0);

	scene->raw.head = saved;
	scene->n_strings = 0;
	scene->raw.head.args[1] = 0x0b00;
	scene->event.attachment = "aa";
	scene->event.pod = "web-1";
	scene->event.namespace = "shop";
	event = make(scene);
	t_str_eq(event->event, "process_exit");
	t_str_eq(event->call, "");
	t_eq(event->exit_code, 0x0b00);
	t_null(event->file);
	t_eq(event->process->parent_pid, 50);
	t_eq(event->process->parent_start_ns, 3000);
	t_str_eq(event->process->executable->path, "/usr/bin/cat");
	t_str_eq(event->process->cgroup, cgroup);
	t_str_eq(event->process->container_engine, "docker");
	t_str_eq(event->process->container_id, ID);
	t_str_eq(event->process->attachment, "aa");
	t_str_eq(event->process->pod, "web-1");
	t_str_eq(event->process->namespace_, "shop");
	end_scene(scene);
}

static void addresses_are_numeric(void)
{
	struct scene *scene =
		new_scene(SN_RT_EVENT_NET_CONNECT, SN_RT_CALL_CONNECT);
	const Sentinel__V1__RuntimeEvent *event;

	scene->raw.head.local = (struct sn_rt_address){
		.address = { 192, 0, 2, 7 },
		.port = 0x901f, /* 8080 in network order */
		.family = SN_FAMILY_IPV4,
		.protocol = 6,
	};
	scene->raw.head.remote = (struct sn_rt_address){
		.address = { 0x20, 1, 0xd, 0xb8, [15] = 1 },
		.port = 0x3500,
		.family = SN_FAMILY_IPV6,
		.protocol = 17,
	};
	event = make(scene);
	t_str_eq(event->local->address, "192.0.2.7");
	t_eq(event->local->port, 8080);
	t_eq(event->local->protocol, 6);
	t_str_eq(event->remote->address, "2001:db8::1");
	t_eq(event->remote->port, 53);
	end_scene(scene);
}

/* Every byte of the longest paths becomes three, and nothing is cut. */
static void longest_paths_fit(void)
{
	struct scene *scene =
		new_scene(SN_RT_EVENT_FILE_LINK, SN_RT_CALL_LINKAT);
	const Sentinel__V1__RuntimeEvent *event;
	char path[SN_RT_PATH_MAX];

	(void)memset(path, 0xff, sizeof(path));
	path[0] = '/';
	load_mounts(scene, "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
			   "22 21 8:2 / /b rw - ext4 /dev/sda2 rw\n");
	for (int i = 0; i < 2; i++) {
		struct sn_rt_file *file = i ? &scene->raw.head.file2 :
					      &scene->raw.head.file;

		file->inode = 1;
		file->major = 8;
		file->minor = 2;
		file->path_bytes = append(scene, path, sizeof(path));
		file->inside_bytes = sizeof(path);
		file->base_bytes = append(scene, "/x", 2);
	}
	event = make(scene);
	t_eq(strlen(event->file->path), 1 + 3 * (sizeof(path) - 1));
	t_eq(event->file->raw_path.len, sizeof(path));
	t_eq(strlen(event->target->host_path),
	     strlen("/b/x/") + 3 * (sizeof(path) - 1));
	t_eq(event->target->raw_path.len, sizeof(path));
	end_scene(scene);
}

static void a_record_that_is_read_again_has_the_same_name(void)
{
	struct sn_rt_record head = { .time = 5, .tgid = 7, .start = 9 };
	uint64_t name[2], other[2];

	cp_runtime_message_name(1, 64, &head, name);
	cp_runtime_message_name(1, 64, &head, other);
	t_true(name[0] == other[0] && name[1] == other[1]);
	cp_runtime_message_name(1, 128, &head, other);
	t_true(name[0] != other[0] && name[1] != other[1]);
	cp_runtime_message_name(2, 64, &head, other);
	t_true(name[0] != other[0] && name[1] != other[1]);
	head.time++;
	cp_runtime_message_name(1, 64, &head, other);
	t_true(name[0] != other[0] && name[1] != other[1]);
}

T_MAIN("runtime_message", event_says_what_when_and_who,
       uuid_is_of_version_8_and_differs_by_run_and_number,
       failure_names_its_error, path_that_is_not_utf8_is_there_twice,
       host_path_is_told_where_it_differs, known_process_brings_what_it_runs_in,
       addresses_are_numeric, longest_paths_fit,
       a_record_that_is_read_again_has_the_same_name)
