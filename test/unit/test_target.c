/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/resolve.h"

#include "controld/target/name.h"
#include "test/unit/t.h"
#include "test/unit/test_target_scene.h"

static void names_are_what_the_kernel_takes(void)
{
	t_true(cp_target_name_is_iface("eth0"));
	t_true(cp_target_name_is_iface("123456789012345"));
	t_false(cp_target_name_is_iface("1234567890123456"));
	t_false(cp_target_name_is_iface(""));
	t_false(cp_target_name_is_iface(".."));
	t_false(cp_target_name_is_iface("a/b"));
	t_false(cp_target_name_is_iface("a b"));
	t_true(cp_target_name_is_cgroup("/a"));
	t_true(cp_target_name_is_cgroup("/a/b.slice/c..d"));
	t_false(cp_target_name_is_cgroup("/"));
	t_false(cp_target_name_is_cgroup("a/b"));
	t_false(cp_target_name_is_cgroup("/a/"));
	t_false(cp_target_name_is_cgroup("/a//b"));
	t_false(cp_target_name_is_cgroup("/a/../b"));
	t_false(cp_target_name_is_cgroup("/a/."));
	t_eq(cp_target_name_parent("/a/b", 4), 2);
	t_eq(cp_target_name_parent("/a", 2), 1);
	t_eq(cp_target_name_parent("/", 1), 1);
}

struct found {
	unsigned int n;
	int status;
	struct cp_target_resolve_iface iface;
	struct cp_target_resolve_cgroup cgroup;
};

static void found_iface(void *userdata, int status,
			const struct cp_target_resolve_iface *iface)
{
	struct found *found = userdata;

	found->n++;
	found->status = status;
	if (iface)
		found->iface = *iface;
}

static void found_cgroup(void *userdata, int status,
			 struct cp_target_resolve_cgroup *cgroup)
{
	struct found *found = userdata;

	found->n++;
	found->status = status;
	if (!cgroup)
		return;
	found->cgroup = *cgroup;
	cgroup->fd = -1;
}

static struct found resolve_iface(const char *name)
{
	struct found found = { 0 };

	t_eq(cp_target_resolve_iface(NULL, &scene.loop, name, found_iface,
				     &found),
	     0);
	t_eq(found.n, 0);
	RUN_UNTIL(found.n == 1);
	return found;
}

static struct found resolve_cgroup(const char *path)
{
	struct found found = { .cgroup.fd = -1 };

	t_eq(cp_target_resolve_cgroup(NULL, &scene.loop, path, found_cgroup,
				      &found),
	     0);
	RUN_UNTIL(found.n == 1);
	return found;
}

static void interface_is_resolved_with_its_default_role(void)
{
	struct found found;

	NEED_ROOT();
	scene_init();
	sh("ip link add v0 index 77 type veth peer name v1");
	found = resolve_iface("v0");
	t_eq(found.status, 0);
	t_eq(found.iface.ifindex, 77);
	t_str_eq(found.iface.name, "v0");
	t_str_eq(found.iface.kind, "veth");
	t_eq(found.iface.role, SN_ROLE_WORKLOAD);

	found = resolve_iface("lo");
	t_eq(found.status, 0);
	t_eq(found.iface.ifindex, 1);
	t_str_eq(found.iface.kind, "");
	t_eq(found.iface.role, SN_ROLE_HOST);

	sh("ip tuntap add dev t0 mode tap");
	t_eq(resolve_iface("t0").iface.role, SN_ROLE_WORKLOAD);
	t_eq(resolve_iface("no-such").status, -ENODEV);
	t_eq(cp_target_resolve_iface(NULL, &scene.loop, "a/b", found_iface,
				     &found),
	     -EINVAL);
	scene_done();
}

static void cgroup_is_resolved_to_directory_and_id(void)
{
	struct found found;
	struct stat status;
	char path[320];
	uint64_t id;

	NEED_ROOT();
	scene_init();
	id = make_cgroup("a");
	cgroup_path(path, sizeof(path), "a");
	found = resolve_cgroup(path);
	t_eq(found.status, 0);
	t_eq(found.cgroup.id, id);
	t_eq(fstat(found.cgroup.fd, &status), 0);
	t_eq(status.st_ino, id);
	t_true(fcntl(found.cgroup.fd, F_GETFL) & O_PATH);
	(void)close(found.cgroup.fd);

	cgroup_path(path, sizeof(path), "none");
	t_eq(resolve_cgroup(path).status, -ENOENT);
	cgroup_path(path, sizeof(path), "cgroup.procs");
	t_eq(resolve_cgroup(path).status, -ENOTDIR);
	t_eq(resolve_cgroup("/tmp").status, -ENOTDIR);
	t_eq(cp_target_resolve_cgroup(NULL, &scene.loop, "tmp", found_cgroup,
				      &found),
	     -EINVAL);
	scene_done();
}

static void cancelled_resolve_calls_nobody(void)
{
	struct cp_target_resolve *resolve = NULL;
	struct found found = { 0 };

	NEED_ROOT();
	scene_init();
	for (int i = 0; i < 20; i++) {
		t_eq(cp_target_resolve_iface(&resolve, &scene.loop, "lo",
					     found_iface, &found),
		     0);
		cp_target_resolve_cancel(resolve);
	}
	run_quietly();
	t_eq(found.n, 0);
	scene_done();
}

T_MAIN("target", names_are_what_the_kernel_takes,
       interface_is_resolved_with_its_default_role,
       cgroup_is_resolved_to_directory_and_id, cancelled_resolve_calls_nobody)
