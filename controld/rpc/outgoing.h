/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The client's inside, for channel.c and outcall.c; nobody else includes
 * this. All of it belongs to the loop's thread, but for what load() in
 * channel.c touches while is_loading is set. */

#include <grpc/grpc.h>
#include <sys/queue.h>

#include "controld/rpc/channel.h"
#include "controld/rpc/queue.h"

/* A call, embedded in what outcall.c makes. */
struct cp_rpc_outgoing {
	LIST_ENTRY(cp_rpc_outgoing) link;
	grpc_call *call;
};

struct cp_rpc_channel {
	uv_loop_t *loop;
	struct cp_rpc_queue queue;
	grpc_channel *channel; /* NULL: not open */
	struct cp_rpc_channel_options options;
	struct cp_rpc_secrets secrets;
	LIST_HEAD(, cp_rpc_outgoing) calls;

	uv_work_t work;
	struct cp_rpc_secrets loaded;
	struct sn_diag load_diag;
	int load_r;
	cp_rpc_channel_opened opened;
	void *opened_userdata;
	bool is_loading;

	bool is_closing;
	bool is_stopped;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

/* One is gone; a channel that is closing goes with the last. */
void cp_rpc_channel_call_ended(struct cp_rpc_channel *channel);
