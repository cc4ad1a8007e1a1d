/* SPDX-License-Identifier: Apache-2.0 */
#define T_LIMIT_S 120

#include "controld/control/control.h"

#include "test/unit/control_fake.h"
#include "test/unit/t.h"
#include "test/unit/test_attach_rig.h"

enum { N_HOSTS = 100 };

static struct cp_control *make(struct rig *rig, const char *url,
			       const char *second, uint64_t pause_ms)
{
	const char *urls[] = { url, second };
	struct cp_control_options options = {
		.loop = &rig->loop,
		.manager = rig->manager,
		.daemon_id = "0123456789abcdef",
		.version = "test",
		.urls = urls,
		.n_urls = second ? 2 : 1,
		.max_message_bytes = 1 << 20,
		.max_rules = 1000,
		.max_events = 1000,
		.keepalive_ms = 60000,
		.keepalive_timeout_ms = 20000,
		.sync_timeout_ms = 20000,
		.query_timeout_ms = 1000,
		.max_queries = 16,
		.heartbeat_ms = 3600000,
		.backoff_min_ms = pause_ms,
		.backoff_max_ms = 60000,
		.subscribe_timeout_ms = 100,
	};
	struct cp_control *control;

	t_eq(cp_control_new(&control, &options), 0);
	return control;
}

static enum cp_control_state state_of(const struct cp_control *control)
{
	struct cp_control_status status;

	cp_control_get_status(control, &status);
	return status.state;
}

static void note_stopped(void *userdata)
{
	bool *is_stopped = userdata;

	*is_stopped = true;
}

static void stop(struct rig *rig, struct cp_control *control)
{
	bool is_stopped = false;

	cp_control_stop(control, note_stopped, &is_stopped);
	TURN_UNTIL(rig, is_stopped);
	cp_control_free(control);
}

static void a_stream_is_synced_cut_and_comes_again(void)
{
	struct rig *rig = rig_new();
	struct plane *plane = plane_new();
	struct cp_control *control = make(rig, plane->url, NULL, 50);
	struct cp_control_status status;

	TURN_UNTIL(rig, state_of(control) == CP_CONTROL_STATE_SYNCED);
	cp_control_get_status(control, &status);
	t_str_eq(status.url, plane->url);
	t_str_eq(status.last_error, "");
	t_true(status.is_insecure && status.last_sync_s > 0);
	plane_cut(plane);
	TURN_UNTIL(rig, state_of(control) != CP_CONTROL_STATE_SYNCED);
	TURN_UNTIL(rig, state_of(control) == CP_CONTROL_STATE_SYNCED);
	t_eq(plane_synced(plane), 2);
	stop(rig, control);
	plane_free(plane);
	rig_free(rig);
}

/* The second endpoint serves while the first does not; what was synced begins
 * with the first again. */
static void endpoints_are_tried_in_order(void)
{
	struct rig *rig = rig_new();
	struct plane *plane = plane_new();
	struct cp_control *control =
		make(rig, "http://127.0.0.1:1", plane->url, 50);
	struct cp_control_status status;

	cp_control_get_status(control, &status);
	t_str_eq(status.url, "http://127.0.0.1:1");
	TURN_UNTIL(rig, state_of(control) == CP_CONTROL_STATE_SYNCED);
	cp_control_get_status(control, &status);
	t_str_eq(status.url, plane->url);
	plane_cut(plane);
	TURN_UNTIL(rig, state_of(control) == CP_CONTROL_STATE_WAITING);
	cp_control_get_status(control, &status);
	t_str_eq(status.url, "http://127.0.0.1:1");
	TURN_UNTIL(rig, state_of(control) == CP_CONTROL_STATE_SYNCED);
	stop(rig, control);
	plane_free(plane);
	rig_free(rig);
}

static void stopping_at_once_leaves_nothing(void)
{
	struct rig *rig = rig_new();
	struct cp_control *control = make(rig, "http://127.0.0.1:1", NULL, 50);

	stop(rig, control);
	control = make(rig, "http://127.0.0.1:1", NULL, 50);
	TURN_UNTIL(rig, state_of(control) == CP_CONTROL_STATE_WAITING);
	stop(rig, control);
	rig_free(rig);
}

/* A hundred hosts lose one server at the same moment. They come back, each
 * after a second or more, and not at the same moment. */
static void a_hundred_streams_come_back_spread_out(void)
{
	struct rig *rig = rig_new();
	struct plane *plane = plane_new();
	struct cp_control *hosts[N_HOSTS];
	unsigned int buckets[40] = { 0 };
	uint64_t cut_ms;

	for (size_t i = 0; i < N_HOSTS; i++)
		hosts[i] = make(rig, plane->url, NULL, 1000);
	TURN_UNTIL(rig, plane_synced(plane) == N_HOSTS);
	for (size_t i = 0; i < N_HOSTS; i++)
		TURN_UNTIL(rig, state_of(hosts[i]) == CP_CONTROL_STATE_SYNCED);
	cut_ms = plane_now_ms();
	plane_cut(plane);
	TURN_UNTIL(rig, plane_synced(plane) == 2 * N_HOSTS);
	for (size_t i = N_HOSTS; i < 2 * (size_t)N_HOSTS; i++) {
		uint64_t after_ms = plane->came_ms[i] - cut_ms;

		t_true(after_ms >= 1000);
		buckets[SN_MIN(after_ms / 100, (uint64_t)39)]++;
	}
	/* Uniform over two seconds: 5 in a tenth, 25 would be a crowd. */
	for (size_t i = 0; i < SN_ARRAY_SIZE(buckets); i++)
		t_true(buckets[i] < 25);
	for (size_t i = 0; i < N_HOSTS; i++)
		stop(rig, hosts[i]);
	plane_free(plane);
	rig_free(rig);
}

T_MAIN("control_stream", a_stream_is_synced_cut_and_comes_again,
       endpoints_are_tried_in_order, stopping_at_once_leaves_nothing,
       a_hundred_streams_come_back_spread_out)
