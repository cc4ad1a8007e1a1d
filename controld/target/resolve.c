/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/resolve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "controld/target/name.h"
#include "controld/target/netlink.h"

/* The worker writes the results; the loop reads them when it is done. Which
 * of the two callbacks is set says what is asked for. */
struct cp_target_resolve {
	uv_work_t work;
	cp_target_resolve_iface_fn iface_fn;
	cp_target_resolve_cgroup_fn cgroup_fn;
	void *userdata;
	bool is_cancelled;
	int status;
	struct cp_target_resolve_iface iface;
	struct cp_target_resolve_cgroup cgroup;
	char name[];
};

static void resolve_iface(struct cp_target_resolve *resolve)
{
	struct mnl_socket *socket = NULL;
	int r;

	r = cp_target_netlink_open(&socket);
	if (r == 0) {
		r = cp_target_netlink_get(socket, 0, resolve->name,
					  &resolve->iface);
		(void)mnl_socket_close(socket);
	}
	resolve->status = r;
}

static int open_cgroup(const char *path,
		       struct cp_target_resolve_cgroup *cgroup)
{
	sn_cleanup(sn_closep) int fd = -1;
	struct statfs fs;
	struct stat status;

	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -ENOTDIR;
	cgroup->id = status.st_ino;
	cgroup->fd = sn_steal_fd(&fd);
	return 0;
}

static void work(uv_work_t *request)
{
	struct cp_target_resolve *resolve =
		sn_container_of(request, struct cp_target_resolve, work);

	if (resolve->iface_fn)
		resolve_iface(resolve);
	else
		resolve->status = open_cgroup(resolve->name, &resolve->cgroup);
}

static void worked(uv_work_t *request, int status)
{
	struct cp_target_resolve *resolve =
		sn_container_of(request, struct cp_target_resolve, work);

	if (status == 0)
		status = resolve->status;
	if (resolve->is_cancelled)
		;
	else if (resolve->iface_fn)
		resolve->iface_fn(resolve->userdata, status,
				  status == 0 ? &resolve->iface : NULL);
	else
		resolve->cgroup_fn(resolve->userdata, status,
				   status == 0 ? &resolve->cgroup : NULL);
	sn_closep(&resolve->cgroup.fd);
	free(resolve);
}

static int start(struct cp_target_resolve **ret, uv_loop_t *loop,
		 const char *name, const struct cp_target_resolve *template)
{
	struct cp_target_resolve *resolve;
	size_t bytes = strlen(name) + 1;
	int r;

	resolve = malloc(sizeof(*resolve) + bytes);
	if (!resolve)
		return -ENOMEM;
	*resolve = *template;
	resolve->cgroup.fd = -1;
	(void)memcpy(resolve->name, name, bytes);
	r = uv_queue_work(loop, &resolve->work, work, worked);
	if (r < 0) {
		free(resolve);
		return sn_trace(r);
	}
	if (ret)
		*ret = resolve;
	return 0;
}

int cp_target_resolve_iface(struct cp_target_resolve **ret, uv_loop_t *loop,
			    const char *name, cp_target_resolve_iface_fn fn,
			    void *userdata)
{
	const struct cp_target_resolve template = { .iface_fn = fn,
						    .userdata = userdata };

	if (!cp_target_name_is_iface(name))
		return -EINVAL;
	return start(ret, loop, name, &template);
}

int cp_target_resolve_cgroup(struct cp_target_resolve **ret, uv_loop_t *loop,
			     const char *path, cp_target_resolve_cgroup_fn fn,
			     void *userdata)
{
	const struct cp_target_resolve template = { .cgroup_fn = fn,
						    .userdata = userdata };

	if (!cp_target_name_is_cgroup(path))
		return -EINVAL;
	return start(ret, loop, path, &template);
}

void cp_target_resolve_cancel(struct cp_target_resolve *resolve)
{
	resolve->is_cancelled = true;
	/* If it has not begun, it ends now; else when its thread is done. */
	(void)uv_cancel((uv_req_t *)&resolve->work);
}
