/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/feed.h"

#include <signal.h>
#include <sys/resource.h>

#include "controld/feed/internal.h"
#include "test/unit/test_feed_place.h"

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

enum { QUEUE_BYTES = 64 << 10, SPOOL_BYTES = 1 << 20 };

struct scene {
	uv_loop_t loop;
	struct place place;
	enum cp_feed_mode mode;
	size_t queue_bytes;
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
		.queue_bytes = scene->queue_bytes,
		.window = 16,
		.connect_timeout_ms = 60000,
		.answer_timeout_ms = 60000,
		.keepalive_ms = 60000,
		.keepalive_timeout_ms = 60000,
		.backoff_min_ms = 60000,
		.backoff_max_ms = 60000,
		.spool = scene->place.path,
		.spool_bytes = SPOOL_BYTES,
		.mode = scene->mode,
	};

	t_eq(cp_feed_new(&scene->feed, &options), 0);
	t_eq(cp_feed_start(scene->feed, (struct cp_runtime *)scene), 0);
}

static struct scene *open_scene(enum cp_feed_mode mode, size_t queue_bytes)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	t_not_null(scene);
	t_eq(uv_loop_init(&scene->loop), 0);
	scene->place = make_place();
	scene->mode = mode;
	scene->queue_bytes = queue_bytes;
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
	remove_place(&scene->place);
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

/* The worker does what it has to, also what follows from that. */
static void settle(struct scene *scene)
{
	while (scene->feed->is_working)
		(void)uv_run(&scene->loop, UV_RUN_ONCE);
}

static void restart_again(enum cp_feed_mode mode)
{
	struct scene *scene = open_scene(mode, QUEUE_BYTES);

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

/* A disk without room, as far as files that are written are concerned. */
static void set_room(rlim_t bytes)
{
	struct rlimit limit;

	t_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	(void)signal(SIGXFSZ, SIG_IGN);
	t_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

struct order {
	uint64_t first;
	uint64_t last;
	uint64_t n;
};

static int follow(void *userdata, const struct cp_feed_record *record)
{
	struct order *order = userdata;

	t_true(record->sequence > order->last);
	order->last = record->sequence;
	if (order->n++ == 0)
		order->first = record->sequence;
	return 0;
}

/* How many events are on disk, in their order; between them so many are not. */
static uint64_t count_stored(const struct scene *scene, uint64_t n_gone)
{
	sn_cleanup(cp_feed_spool_freep) struct cp_feed_spool *spool = NULL;
	const struct cp_feed_spool_options options = {
		.path = scene->place.path,
		.max_bytes = SPOOL_BYTES,
	};
	struct sn_diag diag = { .text = "" };
	struct order order = { 0 };

	t_eq(cp_feed_spool_new(&spool, &options, &diag), 0);
	t_eq(cp_feed_spool_read(spool, SIZE_MAX, follow, &order), 0);
	t_eq(order.last - order.first + 1, order.n + n_gone);
	return order.n;
}

static void what_a_full_disk_left_in_memory_is_written_at_the_end(void)
{
	struct scene *scene = open_scene(CP_FEED_MODE_ALWAYS, QUEUE_BYTES);

	tell(scene, 10);
	settle(scene);
	for (unsigned int i = 0; i < 3; i++) {
		set_room(1);
		tell(scene, 10);
		settle(scene);
		set_room(RLIM_INFINITY);
		tell(scene, 10);
		settle(scene);
	}
	t_eq(status_of(scene).counts.unstored, 30);
	t_eq(waiting(scene), 70);
	/* On their way to the disk. */
	tell(scene, 10);
	tell(scene, 10);
	stop(scene);
	t_eq(count_stored(scene, 0), 90);
	close_scene(scene);
}

/* Until the spool has dropped its oldest file, and then has so many bytes. */
static void overfill(struct scene *scene, uint64_t n_bytes)
{
	struct cp_feed_status status;

	for (unsigned int i = 0; i < 1000; i++) {
		status = status_of(scene);
		if (status.counts.dropped[CP_FEED_DROP_SPOOL] > 0 &&
		    status.n_disk_bytes >= n_bytes)
			return;
		tell(scene, 50);
		settle(scene);
	}
	t_fail("nothing was dropped");
}

static void what_the_spool_dropped_and_memory_has_is_written_at_the_end(void)
{
	struct scene *scene = open_scene(CP_FEED_MODE_OVERFLOW, QUEUE_BYTES);
	uint64_t n, n_gone;

	tell(scene, 1000);
	settle(scene);
	stop(scene);
	start(scene);
	settle(scene);
	overfill(scene, 0);
	settle(scene);
	n = waiting(scene);
	n_gone = status_of(scene).counts.dropped[CP_FEED_DROP_SPOOL];
	t_true(status_of(scene).n_memory > 0);
	stop(scene);
	t_eq(count_stored(scene, n_gone), n);
	close_scene(scene);
}

/* What memory has is the oldest, and is what has no room. */
static void the_end_drops_nothing_of_a_full_spool(void)
{
	struct scene *scene =
		open_scene(CP_FEED_MODE_OVERFLOW, 12 * QUEUE_BYTES);
	struct cp_feed_status status;

	overfill(scene, SPOOL_BYTES / 8 * 6);
	settle(scene);
	status = status_of(scene);
	stop(scene);
	t_true(count_stored(scene, status.counts.dropped[CP_FEED_DROP_SPOOL]) >
	       status.n_disk);
	close_scene(scene);
}

T_MAIN("feed_restart", what_waits_outlives_two_restarts,
       what_waits_outlives_two_restarts_in_mode_always,
       what_a_full_disk_left_in_memory_is_written_at_the_end,
       what_the_spool_dropped_and_memory_has_is_written_at_the_end,
       the_end_drops_nothing_of_a_full_spool)
