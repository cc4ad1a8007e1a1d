/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A listening Unix socket at a path that outlives crashes. Who may serve a
 * path is settled by a lock on "<path>.lock", which the kernel drops when the
 * holder dies: with it, a socket found at the path is stale and is replaced;
 * without it, another server lives and this one does not start. (Connecting
 * to see whether somebody answers would race with a server that starts.) The
 * lock file stays behind, since removing it would race as well. */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "shared/diag.h"

enum { CP_RPC_LISTEN_BACKLOG = 128 };

struct cp_rpc_listen {
	int fd;
	int lock_fd;
	/* Kept open to be given up when the process is out of descriptors:
	 * accepting and closing is the only way to get rid of a client that
	 * would otherwise wake the loop for ever. */
	int spare_fd;
	struct sockaddr_un address;
};

#define CP_RPC_LISTEN_NONE                               \
	(struct cp_rpc_listen)                           \
	{                                                \
		.fd = -1, .lock_fd = -1, .spare_fd = -1, \
	}

/* Answers of cp_rpc_listen_init() besides 0 and -errno; *diag is filled for
 * every failure. */
enum {
	CP_RPC_LISTEN_E_BUSY = 1, /* another server holds the path */
	CP_RPC_LISTEN_E_PATH, /* too long, or something else is there */
};

/* Answers of cp_rpc_listen_accept() besides 0 and -errno. */
enum {
	CP_RPC_LISTEN_E_AGAIN = 1, /* nobody is waiting */
	CP_RPC_LISTEN_E_DROPPED, /* out of descriptors, one client dropped */
};

/* Binds path with group gid and mode 0660, or 0600 if gid is (gid_t)-1, and
 * listens, non-blocking. No client gets in before mode and group are set. */
int cp_rpc_listen_init(struct cp_rpc_listen *listener, const char *path,
		       gid_t gid, struct sn_diag *diag);
/* *ret: a non-blocking, close-on-exec descriptor; *peer: who made it. */
int cp_rpc_listen_accept(struct cp_rpc_listen *listener, int *ret,
			 struct ucred *peer);
/* Whether the peer is root, of user `uid`, or a member of group `gid` (unless
 * that is (gid_t)-1). It holds what the file's mode says also when somebody
 * has changed the mode. */
bool cp_rpc_listen_admits(int fd, const struct ucred *peer, uid_t uid,
			  gid_t gid);
/* Removes the socket, keeps the lock file; takes a half-made one. */
void cp_rpc_listen_done(struct cp_rpc_listen *listener);
