/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* dp.sock: one listening socket, one peer at a time, one answer at a time. An
 * answer that does not fit into the socket waits, and nothing is read until it
 * is gone: that is all the queue there is. */

#include <sys/types.h>

#include "dataplane/handlers.h"

struct dp_server {
	int listener;
	int signals;
	int peer; /* -1: none */
	int lock;
	uid_t peer_uid;
	struct dp_handlers *handlers;
	bool has_answer; /* that waits */
	struct dp_handlers_answer answer;
	_Alignas(8) uint8_t request[SN_IPC_RECORD_BYTES];
};

/* Locks run_dir/dp.lock and binds run_dir/dp.sock, group of the peer's user
 * and mode 0660; not listening yet. Makes run_dir if it is missing: the peer's
 * group may put its own sockets there. Blocks SIGTERM and SIGINT. Returns 0, or
 * -errno and *diag. */
int dp_server_open(struct dp_server *server, const char *run_dir,
		   const char *peer_user, struct sn_diag *diag);
/* Listens. 0 or -errno. */
int dp_server_start(struct dp_server *server, struct dp_handlers *handlers);
/* Serves until SIGTERM or SIGINT: 0. -errno: poll(2) failed. */
int dp_server_run(struct dp_server *server);
void dp_server_done(struct dp_server *server);
