/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/queue.h"

#include "shared/util.h"

/* op: NULL when no more will come. */
static void hand_over(struct cp_rpc_queue *queue, struct cp_rpc_queue_op *op,
		      bool ok)
{
	uv_mutex_lock(&queue->mutex);
	if (op) {
		op->ok = ok;
		op->next = NULL;
		*queue->last = op;
		queue->last = &op->next;
	} else {
		queue->is_drained = true;
	}
	if (queue->has_wake)
		(void)uv_async_send(&queue->wake);
	uv_mutex_unlock(&queue->mutex);
}

static void drain(void *data)
{
	struct cp_rpc_queue *queue = data;
	grpc_event event;

	for (;;) {
		event = grpc_completion_queue_next(
			queue->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (event.type == GRPC_QUEUE_SHUTDOWN)
			break;
		if (event.type == GRPC_OP_COMPLETE)
			hand_over(queue, event.tag, event.success != 0);
	}
	hand_over(queue, NULL, false);
}

void cp_rpc_queue_begin(struct cp_rpc_queue *queue, struct cp_rpc_queue_op *op)
{
	uv_mutex_lock(&queue->mutex);
	op->is_pending = true;
	uv_mutex_unlock(&queue->mutex);
}

static void closed(uv_handle_t *handle)
{
	struct cp_rpc_queue *queue =
		sn_container_of(handle, struct cp_rpc_queue, wake);

	uv_mutex_destroy(&queue->mutex);
	queue->on_stopped(queue);
}

static void woken(uv_async_t *wake)
{
	struct cp_rpc_queue *queue =
		sn_container_of(wake, struct cp_rpc_queue, wake);
	struct cp_rpc_queue_op *op;
	bool is_drained;

	uv_mutex_lock(&queue->mutex);
	op = queue->first;
	queue->first = NULL;
	queue->last = &queue->first;
	is_drained = queue->is_drained;
	uv_mutex_unlock(&queue->mutex);

	while (op) {
		/* done() may free what embeds the operation. */
		struct cp_rpc_queue_op *next = op->next;

		op->is_pending = false;
		op->done(op, op->ok);
		op = next;
	}
	if (!is_drained)
		return;
	(void)uv_thread_join(&queue->thread);
	grpc_completion_queue_destroy(queue->cq);
	uv_close((uv_handle_t *)&queue->wake, closed);
}

/* The thread comes first, because a libuv handle could not be closed at once
 * if the thread failed. It does not touch the handle before there is one. */
int cp_rpc_queue_init(struct cp_rpc_queue *queue, uv_loop_t *loop)
{
	int r;

	*queue = (struct cp_rpc_queue){ .last = &queue->first };
	r = uv_mutex_init(&queue->mutex);
	if (r < 0)
		return sn_trace(r);
	queue->cq = grpc_completion_queue_create_for_next(NULL);
	r = uv_thread_create(&queue->thread, drain, queue);
	if (r < 0) {
		grpc_completion_queue_shutdown(queue->cq);
		grpc_completion_queue_destroy(queue->cq);
		uv_mutex_destroy(&queue->mutex);
		return sn_trace(r);
	}
	uv_mutex_lock(&queue->mutex);
	r = uv_async_init(loop, &queue->wake, woken);
	queue->has_wake = r == 0;
	uv_mutex_unlock(&queue->mutex);
	if (r < 0) {
		grpc_completion_queue_shutdown(queue->cq);
		(void)uv_thread_join(&queue->thread);
		grpc_completion_queue_destroy(queue->cq);
		uv_mutex_destroy(&queue->mutex);
		return sn_trace(r);
	}
	return 0;
}

void cp_rpc_queue_stop(struct cp_rpc_queue *queue,
		       void (*on_stopped)(struct cp_rpc_queue *queue))
{
	queue->on_stopped = on_stopped;
	grpc_completion_queue_shutdown(queue->cq);
}
