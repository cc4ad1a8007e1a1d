/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/watch.h"

#include <net/if.h>
#include <signal.h>
#include <sys/wait.h>

#include "test/unit/t.h"
#include "test/unit/test_target_scene.h"

static char cookies[16];

static int watch_cgroup(const char *name, uint64_t id, void *cookie)
{
	char path[320];

	cgroup_path(path, sizeof(path), name);
	return cp_target_watch_add_cgroup(scene.watch, path, id, cookie);
}

static int expect_cgroup(const char *name, void *cookie)
{
	char path[320];

	cgroup_path(path, sizeof(path), name);
	return cp_target_watch_expect_cgroup(scene.watch, path, cookie);
}

static void watch_v0(void)
{
	t_eq(cp_target_watch_add_iface(scene.watch, if_nametoindex("v0"), "v0",
				       &cookies[0]),
	     0);
	run_quietly();
	t_eq(scene.n_gone, 0);
}

static void deleted_interface_is_gone(void)
{
	NEED_ROOT();
	scene_init();
	sh("ip link add v0 type veth peer name v1");
	watch_v0();
	t_eq(cp_target_watch_add_iface(scene.watch, if_nametoindex("v0"), "v0",
				       &cookies[0]),
	     -EEXIST);
	sh("ip link del v0");
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	t_true(scene.cookie == &cookies[0]);
	run_quietly();
	t_eq(scene.n_gone, 1);
	/* The cookie is free again. */
	t_eq(cp_target_watch_expect_iface(scene.watch, "v0", &cookies[0]), 0);
	scene_done();
}

static void interface_moved_to_another_namespace_is_gone(void)
{
	int pipes[2];
	pid_t child;
	char byte = 0;

	NEED_ROOT();
	scene_init();
	sh("ip link add v0 type veth peer name v1");
	watch_v0();
	t_eq(pipe2(pipes, O_CLOEXEC), 0);
	child = fork();
	t_true(child >= 0);
	if (child == 0) {
		byte = unshare(CLONE_NEWNET) == 0;
		if (write(pipes[1], &byte, 1) == 1)
			(void)pause();
		_exit(0);
	}
	t_eq(read(pipes[0], &byte, 1), 1);
	t_eq(byte, 1);
	sh("ip link set v0 netns %d", (int)child);
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	t_eq(kill(child, SIGKILL), 0);
	t_eq(waitpid(child, NULL, 0), child);
	scene_done();
}

static void renamed_interface_is_told_by_its_new_name(void)
{
	NEED_ROOT();
	scene_init();
	sh("ip link add v0 type veth peer name v1");
	watch_v0();
	sh("ip link set v0 name w0");
	RUN_UNTIL_MS(scene.n_renamed == 1, TOLD_WITHIN_MS);
	t_str_eq(scene.text, "w0");
	/* Other changes are no renames, and the watch goes on. */
	sh("ip link set w0 mtu 1400 up");
	run_quietly();
	t_eq(scene.n_renamed, 1);
	sh("ip link del w0");
	RUN_UNTIL(scene.n_gone == 1);
	scene_done();
}

static void interface_made_anew_at_once_is_gone_once(void)
{
	NEED_ROOT();
	scene_init();
	sh("ip link add v0 index 77 type veth peer name v1");
	watch_v0();
	sh("ip link del v0 && "
	   "ip link add v0 index 77 type veth peer name v1");
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	run_quietly();
	t_eq(scene.n_gone, 1);
	t_eq(scene.n_renamed, 0);
	scene_done();
}

static void news_from_before_the_watch_does_not_end_it(void)
{
	NEED_ROOT();
	scene_init();
	/* None of this is read by the loop before the watch begins. */
	sh("ip link add v0 index 77 type veth peer name v1 && ip link del v0 "
	   "&& ip link add v0 index 77 type veth peer name v1");
	watch_v0();
	sh("ip link del v0");
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	scene_done();
}

static void watch_of_what_is_not_there_ends_at_once(void)
{
	NEED_ROOT();
	scene_init();
	t_eq(cp_target_watch_add_iface(scene.watch, 4242, "v0", &cookies[1]),
	     0);
	t_eq(scene.n_gone, 0);
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	t_eq(watch_cgroup("none", 4242, &cookies[2]), 0);
	RUN_UNTIL_MS(scene.n_gone == 2, TOLD_WITHIN_MS);
	t_true(scene.cookie == &cookies[2]);
	t_eq(watch_cgroup("none/below", 4242, &cookies[2]), 0);
	RUN_UNTIL_MS(scene.n_gone == 3, TOLD_WITHIN_MS);
	scene_done();
}

static void port_that_leaves_its_bridge_is_not_gone(void)
{
	NEED_ROOT();
	scene_init();
	if (try_sh("ip link add b0 type bridge 2>/dev/null") != 0) {
		scene_done();
		t_skip("this kernel has no bridges");
	}
	sh("ip link add v0 type veth peer name v1");
	sh("ip link set v0 master b0");
	watch_v0();
	sh("ip link set v0 nomaster");
	run_quietly();
	t_eq(scene.n_gone, 0);
	scene_done();
}

static void expected_interface_appears(void)
{
	NEED_ROOT();
	scene_init();
	t_eq(cp_target_watch_expect_iface(scene.watch, "v0", &cookies[0]), 0);
	run_quietly();
	t_eq(scene.n_appeared, 0);
	sh("ip link add v0 type veth peer name v1");
	RUN_UNTIL_MS(scene.n_appeared == 1, TOLD_WITHIN_MS);
	t_true(scene.cookie == &cookies[0]);

	/* By a rename, and one that is there already. */
	t_eq(cp_target_watch_expect_iface(scene.watch, "w0", &cookies[1]), 0);
	run_quietly();
	sh("ip link set v0 name w0");
	RUN_UNTIL_MS(scene.n_appeared == 2, TOLD_WITHIN_MS);
	t_eq(cp_target_watch_expect_iface(scene.watch, "v1", &cookies[2]), 0);
	RUN_UNTIL_MS(scene.n_appeared == 3, TOLD_WITHIN_MS);
	t_eq(scene.n_gone, 0);
	scene_done();
}

static void callback_may_expect_what_has_gone(void)
{
	NEED_ROOT();
	scene_init();
	sh("ip link add v0 type veth peer name v1");
	watch_v0();
	scene.add_again = true;
	sh("ip link del v0");
	RUN_UNTIL(scene.n_gone == 1);
	run_quietly();
	t_eq(scene.n_appeared, 0);
	sh("ip link add v0 type veth peer name v1");
	RUN_UNTIL_MS(scene.n_appeared == 1, TOLD_WITHIN_MS);
	scene_done();
}

static void removed_watch_is_silent(void)
{
	uint64_t id;

	NEED_ROOT();
	scene_init();
	sh("ip link add v0 type veth peer name v1");
	watch_v0();
	id = make_cgroup("a");
	t_eq(watch_cgroup("a", id, &cookies[1]), 0);
	run_quietly();
	sh("ip link del v0");
	remove_cgroup("a");
	cp_target_watch_remove(scene.watch, &cookies[0]);
	cp_target_watch_remove(scene.watch, &cookies[1]);
	cp_target_watch_remove(scene.watch, &cookies[2]);
	/* While the worker looks at it. */
	t_eq(watch_cgroup("a", id, &cookies[1]), 0);
	cp_target_watch_remove(scene.watch, &cookies[1]);
	run_quietly();
	t_eq(scene.n_gone, 0);
	scene_done();
}

static void lost_news_are_made_up_for(void)
{
	NEED_ROOT();
	scene_init();
	sh("ip link add v0 type veth peer name v1");
	sh("ip link add w0 type veth peer name w1");
	sh("ip link add x0 type veth peer name x1");
	watch_v0();
	t_eq(cp_target_watch_add_iface(scene.watch, if_nametoindex("w0"), "w0",
				       &cookies[1]),
	     0);
	t_eq(cp_target_watch_expect_iface(scene.watch, "y0", &cookies[2]), 0);
	run_quietly();
	/* Far more than the socket holds, then what is watched. */
	sh("i=0; while [ $i -lt 4000 ]; do "
	   "echo link set x0 mtu $((1000 + i %% 2)); i=$((i + 1)); done | "
	   "ip -batch - && ip link del v0 && ip link set w0 name w9 && "
	   "ip link set x0 name y0");
	RUN_UNTIL(scene.n_gone == 1 && scene.n_renamed == 1 &&
		  scene.n_appeared == 1);
	run_quietly();
	t_eq(scene.n_gone, 1);
	t_eq(scene.n_renamed, 1);
	scene_done();
}

static void removed_cgroup_is_gone_and_its_siblings_stay(void)
{
	NEED_ROOT();
	scene_init();
	for (int i = 0; i < 10; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "c%d", i);
		t_eq(watch_cgroup(name, make_cgroup(name), &cookies[i]), 0);
	}
	run_quietly();
	t_eq(scene.n_gone, 0);
	remove_cgroup("c3");
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	t_true(scene.cookie == &cookies[3]);
	t_str_eq(scene.text, "cgroup removed");
	(void)make_cgroup("c3x");
	remove_cgroup("c3x");
	run_quietly();
	t_eq(scene.n_gone, 1);
	scene_done();
}

static void cgroup_made_anew_at_once_is_gone_once(void)
{
	uint64_t id, again;

	NEED_ROOT();
	scene_init();
	id = make_cgroup("a");
	t_eq(watch_cgroup("a", id, &cookies[0]), 0);
	run_quietly();
	remove_cgroup("a");
	again = make_cgroup("a");
	t_true(again != id);
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	t_str_eq(scene.text, "cgroup removed and made anew");
	/* A watch on the new one is not ended by what happened before. */
	remove_cgroup("a");
	again = make_cgroup("a");
	t_eq(watch_cgroup("a", again, &cookies[0]), 0);
	run_quietly();
	t_eq(scene.n_gone, 1);
	scene_done();
}

static void cgroup_is_gone_with_its_parent(void)
{
	NEED_ROOT();
	scene_init();
	(void)make_cgroup("p");
	t_eq(watch_cgroup("p/a", make_cgroup("p/a"), &cookies[0]), 0);
	run_quietly();
	remove_cgroup("p/a");
	remove_cgroup("p");
	RUN_UNTIL_MS(scene.n_gone == 1, TOLD_WITHIN_MS);
	run_quietly();
	t_eq(scene.n_gone, 1);
	scene_done();
}

static void expected_cgroup_appears_below_missing_parents(void)
{
	NEED_ROOT();
	scene_init();
	t_eq(expect_cgroup("p/q/a", &cookies[0]), 0);
	run_quietly();
	t_eq(scene.n_appeared, 0);
	(void)make_cgroup("p");
	run_quietly();
	remove_cgroup("p");
	run_quietly();
	/* All at once, and each by itself. */
	(void)make_cgroup("p");
	(void)make_cgroup("p/q");
	(void)make_cgroup("p/q/a");
	RUN_UNTIL_MS(scene.n_appeared == 1, TOLD_WITHIN_MS);
	t_eq(expect_cgroup("p/q/r/s", &cookies[1]), 0);
	run_quietly();
	(void)make_cgroup("p/q/r");
	run_quietly();
	t_eq(scene.n_appeared, 1);
	(void)make_cgroup("p/q/r/s");
	RUN_UNTIL_MS(scene.n_appeared == 2, TOLD_WITHIN_MS);
	t_eq(expect_cgroup("p/q/a", &cookies[2]), 0);
	RUN_UNTIL_MS(scene.n_appeared == 3, TOLD_WITHIN_MS);
	t_eq(scene.n_gone, 0);
	scene_done();
}

static void directory_that_is_no_cgroup_does_not_appear(void)
{
	char folder[] = "/tmp/sentinel-test-XXXXXX";

	NEED_ROOT();
	scene_init();
	t_not_null(mkdtemp(folder));
	t_eq(cp_target_watch_expect_cgroup(scene.watch, folder, &cookies[0]),
	     0);
	run_quietly();
	t_eq(scene.n_appeared, 0);
	t_eq(rmdir(folder), 0);
	scene_done();
}

static void inotify_overflow_is_made_up_for(void)
{
	char folder[] = "/tmp/sentinel-test-XXXXXX";
	char below[64], names[2][64];

	NEED_ROOT();
	scene_init();
	t_eq(watch_cgroup("a", make_cgroup("a"), &cookies[0]), 0);
	t_eq(expect_cgroup("b", &cookies[1]), 0);
	/* A directory whose events fill the queue. */
	t_not_null(mkdtemp(folder));
	(void)snprintf(below, sizeof(below), "%s/no/cgroup", folder);
	t_eq(cp_target_watch_expect_cgroup(scene.watch, below, &cookies[2]), 0);
	run_quietly();
	(void)snprintf(names[0], sizeof(names[0]), "%s/x", folder);
	(void)snprintf(names[1], sizeof(names[1]), "%s/y", folder);
	(void)close(open(names[0], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (int i = 0; i < 40000; i++)
		t_eq(rename(names[i & 1], names[~i & 1]), 0);
	remove_cgroup("a");
	(void)make_cgroup("b");
	RUN_UNTIL(scene.n_gone == 1 && scene.n_appeared == 1);
	(void)unlink(names[0]);
	(void)unlink(names[1]);
	t_eq(rmdir(folder), 0);
	scene_done();
}

static void close_with_watches_and_work_under_way(void)
{
	NEED_ROOT();
	scene_init();
	for (int i = 0; i < 5; i++)
		t_eq(cp_target_watch_add_iface(scene.watch, 4242U + (uint32_t)i,
					       "v0", &cookies[i]),
		     0);
	scene_done();
	t_eq(scene.n_gone, 0);
}

T_MAIN("target_watch", deleted_interface_is_gone,
       interface_moved_to_another_namespace_is_gone,
       renamed_interface_is_told_by_its_new_name,
       interface_made_anew_at_once_is_gone_once,
       news_from_before_the_watch_does_not_end_it,
       watch_of_what_is_not_there_ends_at_once,
       port_that_leaves_its_bridge_is_not_gone, expected_interface_appears,
       callback_may_expect_what_has_gone, removed_watch_is_silent,
       lost_news_are_made_up_for, removed_cgroup_is_gone_and_its_siblings_stay,
       cgroup_made_anew_at_once_is_gone_once, cgroup_is_gone_with_its_parent,
       expected_cgroup_appears_below_missing_parents,
       directory_that_is_no_cgroup_does_not_appear,
       inotify_overflow_is_made_up_for, close_with_watches_and_work_under_way)
