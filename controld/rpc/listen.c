/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/listen.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "shared/util.h"

enum {
	SOCKET_MODE = 0660,
	SOCKET_MODE_OWN = 0600, /* without a group */
};

static int fail(struct sn_diag *diag, const char *what, const char *path)
{
	int r = -errno;

	sn_diag_set(diag, NULL, "cannot %s %s: %s", what, path, strerror(-r));
	return sn_trace(r);
}

static int lock(struct cp_rpc_listen *listener, const char *path,
		struct sn_diag *diag)
{
	char name[sizeof(listener->address.sun_path) + sizeof(".lock")];

	(void)snprintf(name, sizeof(name), "%s.lock", path);
	listener->lock_fd =
		open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (listener->lock_fd < 0)
		return fail(diag, "open", name);
	if (!flock(listener->lock_fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno != EWOULDBLOCK)
		return fail(diag, "lock", name);
	sn_diag_set(diag, NULL, "another server holds %s", path);
	return CP_RPC_LISTEN_E_BUSY;
}

static int remove_stale(const char *path, struct sn_diag *diag)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(diag, "look at", path);
	if (!S_ISSOCK(st.st_mode)) {
		sn_diag_set(diag, NULL, "%s is there and is not a socket",
			    path);
		return CP_RPC_LISTEN_E_PATH;
	}
	if (unlink(path) < 0)
		return fail(diag, "remove the stale", path);
	return 0;
}

static int open_socket(struct cp_rpc_listen *listener, gid_t gid,
		       struct sn_diag *diag)
{
	const char *path = listener->address.sun_path;

	listener->fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return fail(diag, "make a socket for", path);
	/* The file inherits the socket's mode; connect() needs write. */
	if (fchmod(listener->fd, 0) < 0)
		return fail(diag, "restrict", path);
	if (bind(listener->fd, (const struct sockaddr *)&listener->address,
		 sizeof(listener->address)) < 0)
		return fail(diag, "bind", path);
	if (gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) < 0)
		return fail(diag, "change the group of", path);
	if (chmod(path, gid == (gid_t)-1 ? SOCKET_MODE_OWN : SOCKET_MODE) < 0)
		return fail(diag, "change the mode of", path);
	if (listen(listener->fd, CP_RPC_LISTEN_BACKLOG) < 0)
		return fail(diag, "listen on", path);
	return 0;
}

static int open_all(struct cp_rpc_listen *listener, const char *path, gid_t gid,
		    struct sn_diag *diag)
{
	size_t n = strlen(path);
	int r;

	if (!n || n >= sizeof(listener->address.sun_path)) {
		sn_diag_set(diag, NULL,
			    "the socket path must have 1 to %zu bytes",
			    sizeof(listener->address.sun_path) - 1);
		return CP_RPC_LISTEN_E_PATH;
	}
	r = lock(listener, path, diag);
	if (r)
		return r;
	r = remove_stale(path, diag);
	if (r)
		return r;
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (listener->spare_fd < 0)
		return fail(diag, "open", "/dev/null");
	/* From here on the file at the path is ours to remove. */
	listener->address.sun_family = AF_UNIX;
	(void)memcpy(listener->address.sun_path, path, n + 1);
	return open_socket(listener, gid, diag);
}

int cp_rpc_listen_init(struct cp_rpc_listen *listener, const char *path,
		       gid_t gid, struct sn_diag *diag)
{
	int r;

	*listener = CP_RPC_LISTEN_NONE;
	r = open_all(listener, path, gid, diag);
	if (r)
		cp_rpc_listen_done(listener);
	return r;
}

/* accept4() reserves a descriptor before it looks whether anybody waits. */
static int drop_one(struct cp_rpc_listen *listener)
{
	bool dropped;
	int fd;

	sn_closep(&listener->spare_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	dropped = fd >= 0;
	sn_closep(&fd);
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return dropped ? CP_RPC_LISTEN_E_DROPPED : CP_RPC_LISTEN_E_AGAIN;
}

int cp_rpc_listen_accept(struct cp_rpc_listen *listener, int *ret,
			 struct ucred *peer)
{
	sn_cleanup(sn_closep) int fd = -1;
	socklen_t size = sizeof(*peer);

	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return drop_one(listener);
	if (fd < 0 &&
	    (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
		return CP_RPC_LISTEN_E_AGAIN;
	if (fd < 0)
		return sn_trace(-errno);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &size) < 0)
		return sn_trace(-errno);
	*ret = sn_steal_fd(&fd);
	return 0;
}

/* Supplementary groups as they were when the peer connected. */
static bool is_in_group(int fd, gid_t gid)
{
	socklen_t size = NGROUPS_MAX * sizeof(gid_t);
	sn_cleanup(sn_freep) gid_t *groups = malloc(size);

	if (!groups ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++) {
		if (groups[i] == gid)
			return true;
	}
	return false;
}

bool cp_rpc_listen_admits(int fd, const struct ucred *peer, uid_t uid,
			  gid_t gid)
{
	if (peer->uid == 0 || peer->uid == uid)
		return true;
	return gid != (gid_t)-1 && (peer->gid == gid || is_in_group(fd, gid));
}

void cp_rpc_listen_done(struct cp_rpc_listen *listener)
{
	sn_closep(&listener->fd);
	sn_closep(&listener->spare_fd);
	if (listener->address.sun_family == AF_UNIX)
		(void)unlink(listener->address.sun_path);
	sn_closep(&listener->lock_fd);
	*listener = CP_RPC_LISTEN_NONE;
}
