/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A gRPC completion queue for a libuv loop. One thread waits on the queue and
 * does nothing but hand what has completed to the loop, where the operations'
 * callbacks run. The hand-over list links the operations themselves, so it
 * needs no memory and is as bounded as the operations that were started. */

#include <grpc/grpc.h>
#include <stdbool.h>
#include <uv.h>

/* Embedded in what owns the operation; its address is the gRPC tag. One that
 * is pending must stay where it is. */
struct cp_rpc_queue_op {
	struct cp_rpc_queue_op *next;
	/* Runs on the loop. ok: gRPC's "success" of the batch. */
	void (*done)(struct cp_rpc_queue_op *op, bool ok);
	bool ok;
	bool is_pending;
};

struct cp_rpc_queue {
	grpc_completion_queue *cq;
	uv_thread_t thread;
	uv_mutex_t mutex;
	uv_async_t wake;
	struct cp_rpc_queue_op *first;
	struct cp_rpc_queue_op **last;
	bool has_wake;
	bool is_drained;
	void (*on_stopped)(struct cp_rpc_queue *queue);
};

/* After success only cp_rpc_queue_stop() ends it; after failure there is
 * nothing to undo. cp_rpc_core_init() must have been called. */
int cp_rpc_queue_init(struct cp_rpc_queue *queue, uv_loop_t *loop);

/* Marks op as pending; to be called before it is given to gRPC. (The lock in
 * it orders the loop's last look at op before the thread's next write, in a
 * way that a race detector which cannot look into gRPC sees.) */
void cp_rpc_queue_begin(struct cp_rpc_queue *queue, struct cp_rpc_queue_op *op);

/* To be called once no operation is pending and none will be started. Calls
 * on_stopped from the loop when thread, queue and handle are gone. */
void cp_rpc_queue_stop(struct cp_rpc_queue *queue,
		       void (*on_stopped)(struct cp_rpc_queue *queue));
