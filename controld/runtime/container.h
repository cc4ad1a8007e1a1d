/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which container a cgroup is, by its path alone: container managers write the
 * id into the cgroup's name. A process can make cgroups below its own and name
 * them as it likes, so what is found nearest to the root is believed; below a
 * cgroup that is delegated to a user it is that user's word. Pure. */

#include <stddef.h>

enum {
	CP_RUNTIME_CONTAINER_ID_BYTES = 65, /* 64 hexadecimal digits and NUL */
	CP_RUNTIME_CONTAINER_POD_BYTES = 37, /* a UUID and NUL */
	CP_RUNTIME_CONTAINER_ENGINE_BYTES = 16,
};

/* Texts are NUL-terminated; "": not known. */
struct cp_runtime_container {
	/* "docker", "containerd", "cri-o", "podman", "lxc"; "": the name says
	 * only that it is one. */
	char engine[CP_RUNTIME_CONTAINER_ENGINE_BYTES];
	char id[CP_RUNTIME_CONTAINER_ID_BYTES];
	/* The pod's UID as the Kubernetes API writes it; of a static pod the
	 * hash of its manifest. */
	char pod_uid[CP_RUNTIME_CONTAINER_POD_BYTES];
};

/* path: as in /proc/PID/cgroup, size bytes without NUL. *ret is all "" if it is
 * no container's. */
void cp_runtime_container_read(const char *path, size_t size,
			       struct cp_runtime_container *ret);
