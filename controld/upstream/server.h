/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server, shared by the sets that name it, and the memory of whether it
 * answers: one that did not is asked last for a while, which doubles each time,
 * and then probed beside another one, so that no client waits for it. */

#include "controld/upstream/internal.h"

enum {
	/* Times the first wait for an answer: 5 s and a minute by default. */
	CP_UPSTREAM_SERVER_DOWN_TRIES = 12,
	CP_UPSTREAM_SERVER_DOWN_MAX_TRIES = 150,
	/* How long a server that does not know EDNS is asked without. */
	CP_UPSTREAM_SERVER_NO_EDNS_MS = 600000,
};

int cp_upstream_server_get(struct cp_upstream *upstream,
			   const struct cp_dns_upstream *config,
			   struct cp_upstream_server **ret);
/* The last user frees it; no try may be with it then. */
struct cp_upstream_server *
cp_upstream_server_unref(struct cp_upstream_server *server);

void cp_upstream_server_answered(struct cp_upstream_server *server);
void cp_upstream_server_failed(struct cp_upstream_server *server);
bool cp_upstream_server_is_down(const struct cp_upstream_server *server);
/* Has its time come? If so it counts as down again unless it answers. */
bool cp_upstream_server_take_probe(struct cp_upstream_server *server);
