/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Questions to one server over TCP or TLS: few connections that are kept and
 * that carry many questions at once (RFC 7766). A connection that stalls,
 * breaks the framing or sends what nobody asked for is given up. A server that
 * is to be spoken to by TLS is never spoken to otherwise. */

#include "controld/upstream/internal.h"

enum {
	CP_UPSTREAM_STREAM_POOL = 4, /* of one server */
	CP_UPSTREAM_STREAM_PIPELINE = 128, /* questions under way on one */
	CP_UPSTREAM_STREAM_MISMATCHES = 16, /* of one, then it is given up */
	CP_UPSTREAM_STREAM_RECONNECTS = 2, /* for one question */
	CP_UPSTREAM_STREAM_BACKLOG =
		65536, /* bytes that the peer does not take */
};

void cp_upstream_stream_put(struct cp_upstream_try *try);
/* Takes it out, wherever it is. is_answered: no other answer is due. */
void cp_upstream_stream_remove(struct cp_upstream_try *try, bool is_answered);
/* Sends what is queued, opens connections. */
void cp_upstream_stream_flush(struct cp_upstream_server *server);
/* Closes what is idle or stalls; all: whatever there is. */
void cp_upstream_stream_keep(struct cp_upstream_server *server, bool all);
