/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A loop, a network namespace and a cgroup of the test's own, and a watch on
 * what happens in them. */

#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "controld/target/watch.h"
#include "test/unit/t.h"

enum {
	LIMIT_MS = 10000,
	TOLD_WITHIN_MS = 1000,
	QUIET_MS = 150,
};

struct scene {
	uv_loop_t loop;
	uv_timer_t pulse;
	struct cp_target_watch *watch;
	char root[256]; /* a cgroup of the test's own, or empty */
	unsigned int n_gone;
	unsigned int n_renamed;
	unsigned int n_appeared;
	unsigned int n_closed;
	void *cookie; /* of the last event */
	char text[128]; /* reason or name */
	bool add_again; /* in gone: the same cookie once more */
};

static struct scene scene;
static inline void pulse(uv_timer_t *timer)
{
	(void)timer;
}

static inline uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

#define RUN_UNTIL_MS(condition, ms)                                    \
	do {                                                           \
		uint64_t end_ = now_ms() + (ms);                       \
		while (!(condition)) {                                 \
			if (now_ms() > end_)                           \
				t_fail("'%s' never came", #condition); \
			(void)uv_run(&scene.loop, UV_RUN_ONCE);        \
		}                                                      \
	} while (0)
#define RUN_UNTIL(condition) RUN_UNTIL_MS(condition, LIMIT_MS)

/* Turns the loop for as long as an event that must not come would take. */
static inline void run_quietly(void)
{
	uint64_t end = now_ms() + QUIET_MS;

	while (now_ms() < end)
		(void)uv_run(&scene.loop, UV_RUN_ONCE);
}

static inline void gone(void *userdata, void *cookie, const char *reason)
{
	(void)userdata;
	scene.n_gone++;
	scene.cookie = cookie;
	(void)snprintf(scene.text, sizeof(scene.text), "%s", reason);
	if (scene.add_again) {
		scene.add_again = false;
		t_eq(cp_target_watch_expect_iface(scene.watch, "v0", cookie),
		     0);
	}
}

static inline void renamed(void *userdata, void *cookie, const char *name)
{
	(void)userdata;
	scene.n_renamed++;
	scene.cookie = cookie;
	(void)snprintf(scene.text, sizeof(scene.text), "%s", name);
}

static inline void appeared(void *userdata, void *cookie)
{
	(void)userdata;
	scene.n_appeared++;
	scene.cookie = cookie;
}

static inline void closed(void *userdata)
{
	(void)userdata;
	scene.n_closed++;
}

__attribute__((format(printf, 1, 2))) static inline int
try_sh(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

#define sh(...) t_eq(try_sh(__VA_ARGS__), 0)

static inline int remove_one(const char *path, const struct stat *status,
			     int type, struct FTW *ftw)
{
	(void)status;
	(void)ftw;
	if (type == FTW_DP)
		(void)rmdir(path);
	return 0;
}

static inline void remove_root(void)
{
	(void)nftw(scene.root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A failed assertion or a time-out ends the test's process at once; a child in
 * a session of its own sees its pipe close and tidies up. */
static inline void leave_janitor(void)
{
	int pipes[2];
	pid_t child;
	char byte;

	t_eq(pipe2(pipes, O_CLOEXEC), 0);
	child = fork();
	t_true(child >= 0);
	if (child > 0) {
		(void)close(pipes[0]);
		return;
	}
	(void)close(pipes[1]);
	(void)setsid();
	(void)!read(pipes[0], &byte, 1);
	remove_root();
	_exit(0);
}

/* Where cgroup2 is mounted, or false. */
static inline bool find_cgroup2(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[1024], where[512];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *type = strstr(line, " - cgroup2 ");

		if (type && sscanf(line, "%*s %*s %*s %*s %511s", where) == 1) {
			(void)snprintf(path, size, "%.200s", where);
			found = true;
		}
	}
	if (file)
		(void)fclose(file);
	return found;
}

/* Everything in a network namespace and a cgroup of the test's own. */
static inline void scene_init(void)
{
	const struct cp_target_watch_events events = { gone, renamed,
						       appeared };
	char where[224];

	(void)memset(&scene, 0, sizeof(scene));
	t_eq(unshare(CLONE_NEWNET), 0);
	t_true(find_cgroup2(where, sizeof(where)));
	(void)snprintf(scene.root, sizeof(scene.root),
		       "%s/sentinel-test-%d-%llx", where, (int)getpid(),
		       (unsigned long long)uv_hrtime());
	t_eq(mkdir(scene.root, 0755), 0);
	leave_janitor();
	t_eq(uv_loop_init(&scene.loop), 0);
	t_eq(uv_timer_init(&scene.loop, &scene.pulse), 0);
	t_eq(uv_timer_start(&scene.pulse, pulse, 2, 2), 0);
	t_eq(cp_target_watch_new(&scene.watch, &scene.loop, &events, &scene),
	     0);
}

static inline void scene_done(void)
{
	unsigned int n = scene.n_gone + scene.n_renamed + scene.n_appeared;

	cp_target_watch_close(scene.watch, closed, NULL);
	RUN_UNTIL(scene.n_closed == 1);
	t_eq(scene.n_gone + scene.n_renamed + scene.n_appeared, n);
	uv_close((uv_handle_t *)&scene.pulse, NULL);
	(void)uv_run(&scene.loop, UV_RUN_DEFAULT);
	t_eq(uv_loop_close(&scene.loop), 0);
	remove_root();
}

#define NEED_ROOT()                                                   \
	do {                                                          \
		if (geteuid() != 0)                                   \
			t_skip("needs root for namespaces, cgroups"); \
	} while (0)

static inline void cgroup_path(char *out, size_t size, const char *name)
{
	(void)snprintf(out, size, "%s/%s", scene.root, name);
}

static inline uint64_t make_cgroup(const char *name)
{
	struct stat status;
	char path[320];

	cgroup_path(path, sizeof(path), name);
	t_eq(mkdir(path, 0755), 0);
	t_eq(stat(path, &status), 0);
	return status.st_ino;
}

static inline void remove_cgroup(const char *name)
{
	char path[320];

	cgroup_path(path, sizeof(path), name);
	t_eq(rmdir(path), 0);
}
