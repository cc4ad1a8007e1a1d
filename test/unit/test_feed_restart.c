/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/feed.h"

#include <dirent.h>
#include <sys/stat.h>

#include "test/unit/t.h"

/* The runtime, as far as a feed needs one: it tells what the test says. */

static struct cp_runtime_observer *observer;

int cp_runtime_observe(struct cp_runtime *runtime,
		       struct cp_runtime_observer *fresh)
{
	(void)runtime;
	observer = fresh;
	return 0;
}

void cp_runtime_unobserve(struct cp_runtime *runtime,
			  struct cp_runtime_observer *gone)
{
	(void)runtime;
	(void)gone;
	observer = NULL;
}

int cp_runtime_observer_changed(struct cp_runtime *runtime)
{
	(void)runtime;
	return 0;
}

uint64_t cp_runtime_get_version(const struct cp_runtime *runtime,
				const struct cp_runtime_observer *of)
{
	(void)runtime;
	return of->version;
}

uint64_t cp_runtime_get_refused_version(const struct cp_runtime *runtime,
					const struct cp_runtime_observer *of)
{
	(void)runtime;
	(void)of;
	return 0;
}

const char *cp_runtime_why_refused(const struct cp_runtime *runtime)
{
	(void)runtime;
	return "";
}

uint64_t cp_runtime_get_position(const struct cp_runtime *runtime)
{
	(void)runtime;
	return 0;
}

void cp_runtime_release(struct cp_runtime *runtime)
{
	(void)runtime;
}

/* A feed whose detector is away, and its folder. */

struct scene {
	uv_loop_t loop;
	char folder[64];
	char path[80];
	enum cp_feed_mode mode;
	struct cp_feed *feed;
	bool is_closed;
	unsigned int n_told;
};

static void start(struct scene *scene)
{
	const struct cp_config_runtime_rule filter = {
		.name = (char *)(uintptr_t) "away",
		.enabled = true,
	};
	const struct cp_feed_options options = {
		.loop = &scene->loop,
		.name = "away",
		.hostname = "host",
		.url = "http://127.0.0.1:1",
		.filter = &filter,
		.max_message_bytes = 4096,
		.queue_bytes = 64 << 10,
		.window = 16,
		.connect_timeout_ms = 60000,
		.answer_timeout_ms = 60000,
		.keepalive_ms = 60000,
		.keepalive_timeout_ms = 60000,
		.backoff_min_ms = 60000,
		.backoff_max_ms = 60000,
		.spool = scene->path,
		.spool_bytes = 1 << 20,
		.mode = scene->mode,
	};

	t_eq(cp_feed_new(&scene->feed, &options), 0);
	t_eq(cp_feed_start(scene->feed, (struct cp_runtime *)scene), 0);
}

static struct scene *open_scene(enum cp_feed_mode mode)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	t_not_null(scene);
	t_eq(uv_loop_init(&scene->loop), 0);
	(void)strcpy(scene->folder, "/tmp/sentinel-test-XXXXXX");
	t_not_null(mkdtemp(scene->folder));
	(void)snprintf(scene->path, sizeof(scene->path), "%s/spool",
		       scene->folder);
	scene->mode = mode;
	start(scene);
	return scene;
}

static void closed(void *userdata)
{
	struct scene *scene = userdata;

	scene->is_closed = true;
}

static void stop(struct scene *scene)
{
	scene->is_closed = false;
	cp_feed_close(scene->feed, closed, scene);
	while (!scene->is_closed)
		(void)uv_run(&scene->loop, UV_RUN_ONCE);
}

static void close_scene(struct scene *scene)
{
	DIR *folder = opendir(scene->path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		(void)unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		(void)closedir(folder);
	(void)rmdir(scene->path);
	t_eq(rmdir(scene->folder), 0);
	t_eq(uv_loop_close(&scene->loop), 0);
	free(scene);
}

static void tell(struct scene *scene, unsigned int n)
{
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeEvent event;
	char uuid[40];

	sentinel__v1__runtime_process__init(&process);
	sentinel__v1__runtime_event__init(&event);
	event.uuid = uuid;
	event.event = (char *)(uintptr_t) "file_open";
	event.process = &process;
	for (unsigned int i = 0; i < n; i++) {
		(void)snprintf(uuid, sizeof(uuid),
			       "00000000-0000-4000-8000-%012u",
			       ++scene->n_told);
		observer->told(observer, &event, i);
	}
	observer->batch_told(observer);
}

static struct cp_feed_status status_of(const struct scene *scene)
{
	struct cp_feed_status status;

	cp_feed_get_status(scene->feed, &status);
	return status;
}

static uint64_t waiting(const struct scene *scene)
{
	struct cp_feed_status status = status_of(scene);

	return status.n_memory + status.n_disk;
}

/* The worker does what it has to. */
static void settle(struct scene *scene)
{
	for (unsigned int i = 0; i < 50; i++) {
		(void)uv_run(&scene->loop, UV_RUN_NOWAIT);
		(void)usleep(2000);
	}
}

static void restart_again(enum cp_feed_mode mode)
{
	struct scene *scene = open_scene(mode);

	tell(scene, 100);
	settle(scene);
	t_eq(waiting(scene), 100);
	for (unsigned int i = 0; i < 3; i++) {
		stop(scene);
		start(scene);
		settle(scene);
		t_eq(status_of(scene).counts.recovered, 100);
		t_eq(waiting(scene), 100);
	}
	stop(scene);
	close_scene(scene);
}

static void what_waits_outlives_two_restarts(void)
{
	restart_again(CP_FEED_MODE_OVERFLOW);
}

static void what_waits_outlives_two_restarts_in_mode_always(void)
{
	restart_again(CP_FEED_MODE_ALWAYS);
}

T_MAIN("feed_restart", what_waits_outlives_two_restarts,
       what_waits_outlives_two_restarts_in_mode_always)
