/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Questions to one server over a pool of connected sockets. Each has a source
 * port that the kernel draws at random and that it keeps for few questions and
 * a short time; a batch goes out through one of them at random. A port that
 * packets with wrong ids come to is given up, and the questions that were
 * under way there move to a stream. */

#include "controld/upstream/internal.h"

enum {
	CP_UPSTREAM_UDP_POOL = 8, /* of one server */
	CP_UPSTREAM_UDP_USES = 128, /* questions of a port */
	CP_UPSTREAM_UDP_LIFE_MS = 2000, /* of a port, then no new questions */
	CP_UPSTREAM_UDP_MISMATCHES = 16, /* of a port, then it is given up */
};

int cp_upstream_udp_new(struct cp_upstream_batch **ret);
struct cp_upstream_batch *cp_upstream_udp_free(struct cp_upstream_batch *batch);

/* Puts the try into the server's queue; one that was sent is sent again with
 * the same id through the same socket. */
void cp_upstream_udp_put(struct cp_upstream_try *try);
/* Takes it out, wherever it is. is_answered: no other answer is due. */
void cp_upstream_udp_remove(struct cp_upstream_try *try, bool is_answered);
/* Sends what is queued. */
void cp_upstream_udp_flush(struct cp_upstream_server *server);
/* Closes what is old and unused; all: whatever there is. */
void cp_upstream_udp_keep(struct cp_upstream_server *server, bool all);
