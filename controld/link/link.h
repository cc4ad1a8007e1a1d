/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Client of dp.sock. It connects, says HELLO, keeps up to SN_IPC_PIPELINE
 * requests unanswered and the rest in a bounded queue, and connects again with
 * growing pauses when the link breaks. Every answer is checked against
 * shared/ipc.def; one that is wrong ends the link. Nothing is sent again: after
 * a break the owner compares what dp knows with what it wants. All on the
 * loop's thread; no callback runs inside the call that asked for it. */

#include <stdbool.h>
#include <uv.h>

#include "shared/ipc.h"

struct cp_link;

enum {
	CP_LINK_QUEUE_MAX = 4096, /* requests not yet sent, when not stated */
	CP_LINK_WHY_BYTES = 160,
};

/* 0 everywhere stands for the value in brackets. */
struct cp_link_options {
	uint64_t reconnect_min_ns; /* [50 ms] */
	uint64_t reconnect_max_ns; /* [2 s] */
	uint64_t answer_timeout_ns; /* [30 s] for HELLO and any request */
	size_t queue_max; /* [CP_LINK_QUEUE_MAX] */
};

/* up: HELLO was answered and fits; requests may be made, also in the call.
 * down: a link that was up broke (each of its requests has been answered
 * -ECONNRESET before), or there is no link and the reason is another than the
 * last one told. Both texts are valid during the call. */
struct cp_link_events {
	void (*up)(void *userdata, const struct sn_ipc_hello_answer *hello);
	void (*down)(void *userdata, const char *why);
};

/* status: 0, dp's negative errno, or -ECONNRESET when the link broke first
 * (whether dp carried the request out is not known then). index, applied: as
 * in struct sn_ipc_status. body: the answer's struct of shared/ipc.def; rows:
 * n_rows entries; both NULL unless dp answered. fds: closed after the call,
 * take them with dup(2). */
struct cp_link_answer {
	int status;
	uint32_t index;
	uint32_t applied;
	const void *body;
	const void *rows;
	uint32_t n_rows;
	const int *fds;
	size_t n_fds;
};

typedef void (*cp_link_answer_fn)(void *userdata,
				  const struct cp_link_answer *answer);

/* Starts to connect at once; dp need not be there yet. path: up to 107
 * bytes (-ENAMETOOLONG). After success only cp_link_close() ends it. */
int cp_link_new(struct cp_link **ret, uv_loop_t *loop, const char *path,
		const struct cp_link_options *options,
		const struct cp_link_events *events, void *userdata);

/* Everything is copied; fd (-1: none) is duplicated. body: the request's
 * struct; rows: n_rows entries of the size that ipc.def (and, for tables, the
 * body) says. After 0 fn is called exactly once, in the order of requests.
 * -ENOTCONN: not up; -ENOBUFS: queue full; -EMSGSIZE: over one record;
 * -EINVAL: not a request of ipc.def; -ENOMEM, -EMFILE. */
int cp_link_request(struct cp_link *link, enum sn_ipc_type type,
		    const void *body, const void *rows, uint32_t n_rows, int fd,
		    cp_link_answer_fn fn, void *userdata);

bool cp_link_is_up(const struct cp_link *link);

/* sentinel-dp's process, as this pid namespace numbers it; 0: not known. */
pid_t cp_link_get_peer(const struct cp_link *link);

/* Why there is no link; "" while it is up. */
const char *cp_link_why(const struct cp_link *link);

/* Bytes of one row of such a request, 0 if it has none or body is wrong. */
uint32_t cp_link_row_bytes(enum sn_ipc_type type, const void *body);

/* No event comes any more; requests without an answer get -ECONNRESET from the
 * loop, then closed(closed_userdata) is called (may be NULL) and the link is
 * freed. */
void cp_link_close(struct cp_link *link, void (*closed)(void *userdata),
		   void *closed_userdata);
