// SPDX-License-Identifier: Apache-2.0
#include "controld/runtime/container.h"

#include "test/unit/t.h"

#define ID	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER	"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD	"3c4e8f6a-1b2d-4c5e-8f90-123456789abc"
#define POD_SYS "3c4e8f6a_1b2d_4c5e_8f90_123456789abc"

static void reads_as(const char *path, const char *engine, const char *id,
		     const char *pod_uid)
{
	struct cp_runtime_container container;

	cp_runtime_container_read(path, strlen(path), &container);
	t_str_eq(container.engine, engine);
	t_str_eq(container.id, id);
	t_str_eq(container.pod_uid, pod_uid);
}

static void scopes_of_systemd_name_engine_and_id(void)
{
	reads_as("/system.slice/docker-" ID ".scope", "docker", ID, "");
	reads_as("/machine.slice/libpod-" ID ".scope", "podman", ID, "");
	reads_as("/machine.slice/libpod-" ID ".scope/container", "podman", ID,
		 "");
	reads_as("/system.slice/nerdctl-" ID ".scope", "containerd", ID, "");
	reads_as("/user.slice/user-1000.slice/user@1000.service/user.slice/"
		 "libpod-" ID ".scope",
		 "podman", ID, "");
}

static void folders_without_systemd_are_ids(void)
{
	reads_as("/docker/" ID, "docker", ID, "");
	reads_as("/docker/" ID "/init.scope", "docker", ID, "");
	reads_as("/libpod_parent/libpod-" ID, "podman", ID, "");
	reads_as("/lxc.payload.web1/system.slice/cron.service", "lxc", "web1",
		 "");
}

static void pods_are_told_with_and_without_systemd(void)
{
	reads_as("/kubepods.slice/kubepods-burstable.slice/"
		 "kubepods-burstable-pod" POD_SYS ".slice/cri-containerd-" ID
		 ".scope",
		 "containerd", ID, POD);
	reads_as("/kubepods.slice/kubepods-pod" POD_SYS ".slice/crio-" ID
		 ".scope",
		 "cri-o", ID, POD);
	reads_as("/kubepods/besteffort/pod" POD "/" ID, "", ID, POD);
	reads_as("/kubelet.slice/kubelet-kubepods.slice/"
		 "kubelet-kubepods-pod" POD_SYS ".slice/cri-containerd-" ID
		 ".scope",
		 "containerd", ID, POD);
	/* The manifest of a static pod. */
	reads_as("/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" ID,
		 "", ID, "0123456789abcdef0123456789abcdef");
	reads_as("/kubepods/burstable/pod" POD, "", "", POD);
}

static void what_is_no_container_stays_empty(void)
{
	reads_as("", "", "", "");
	reads_as("/", "", "", "");
	reads_as("/system.slice/ssh.service", "", "", "");
	reads_as("/user.slice/user-1000.slice/session-3.scope", "", "", "");
	/* An id where no engine puts one. */
	reads_as("/" ID, "", "", "");
	reads_as("/builds/" ID, "", "", "");
	/* Upper case, too short, too long, no hexadecimal digits. */
	reads_as("/docker/0123456789ABCDEF0123456789ABCDEF"
		 "0123456789ABCDEF0123456789ABCDEF",
		 "", "", "");
	reads_as("/docker/0123456789abcdef", "", "", "");
	reads_as("/docker/" ID "0", "", "", "");
	reads_as("/system.slice/docker-" ID "x.scope", "", "", "");
	reads_as("/kubepods/podx/" ID, "", "", "");
	reads_as("/lxc.payload./a", "", "", "");
}

static void helpers_beside_a_container_are_not_it(void)
{
	reads_as("/system.slice/crio-conmon-" ID ".scope", "", "", "");
	reads_as("/machine.slice/libpod-conmon-" ID ".scope", "", "", "");
}

/* A container may run another one, and a process may name cgroups below its own
 * like somebody else's: the outermost name is the engine's of this host. */
static void names_made_inside_a_container_are_not_believed(void)
{
	reads_as("/system.slice/docker-" ID ".scope/docker/" OTHER, "docker",
		 ID, "");
	reads_as("/docker/" ID "/kubepods/pod" POD "/" OTHER, "docker", ID, "");
}

static void size_bounds_what_is_read(void)
{
	const char *path = "/docker/" ID "/more";
	struct cp_runtime_container container;

	cp_runtime_container_read(path, strlen("/docker/" ID), &container);
	t_str_eq(container.id, ID);
	cp_runtime_container_read(path, strlen("/docker/" ID) - 1, &container);
	t_str_eq(container.id, "");
}

T_MAIN("runtime_container", scopes_of_systemd_name_engine_and_id,
       folders_without_systemd_are_ids, pods_are_told_with_and_without_systemd,
       what_is_no_container_stays_empty, helpers_beside_a_container_are_not_it,
       names_made_inside_a_container_are_not_believed, size_bounds_what_is_read)
