/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/event.h"

#include <stdlib.h>
#include <sys/time.h>

typedef void (*event_fn)(int fd, short bits, void *arg);

struct watch;

struct event {
	struct ub_event event; /* first, as libunbound knows it */
	struct cp_upstream_event_base *base;
	event_fn fn;
	void *arg;
	uint64_t timeout_ms;
	struct watch *watch; /* NULL: not active */
	int fd;
	short bits;
	bool has_timeout;
};

struct watch {
	uv_poll_t poll;
	uv_timer_t timer;
	struct cp_upstream *upstream;
	struct event *event; /* NULL: being closed */
	unsigned int n_open;
	bool has_poll;
	bool has_timer;
};

static void timed_out(uv_timer_t *timer);

static struct event *event_of(struct ub_event *event)
{
	return (struct event *)(void *)event;
}

static void watch_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	struct cp_upstream *upstream = watch->upstream;

	if (--watch->n_open == 0)
		free(watch);
	cp_upstream_handle_closed(upstream);
}

static void deactivate(struct event *event)
{
	struct watch *watch = sn_steal(&event->watch);

	if (!watch)
		return;
	watch->event = NULL;
	if (watch->has_poll) {
		(void)uv_poll_stop(&watch->poll);
		uv_close((uv_handle_t *)&watch->poll, watch_closed);
	}
	if (watch->has_timer)
		uv_close((uv_handle_t *)&watch->timer, watch_closed);
}

/* The event may be gone when its function returns. */
static void fire(struct event *event, short bits)
{
	event_fn fn = event->fn;
	void *arg = event->arg;
	int fd = event->fd;

	if (!(event->bits & UB_EV_PERSIST))
		deactivate(event);
	else if (event->has_timeout)
		(void)uv_timer_start(&event->watch->timer, timed_out,
				     event->timeout_ms, 0);
	fn(fd, bits, arg);
}

static void timed_out(uv_timer_t *timer)
{
	struct watch *watch = timer->data;

	if (watch->event)
		fire(watch->event, UB_EV_TIMEOUT);
}

static int wanted_of(const struct event *event)
{
	return (event->bits & UB_EV_READ ? UV_READABLE : 0) |
	       (event->bits & UB_EV_WRITE ? UV_WRITABLE : 0);
}

/* On an error libuv has stopped to watch; the next read or write tells which
 * it is, and another may follow. */
static void polled(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	struct event *event = watch->event;
	short bits = 0;

	if (!event)
		return;
	if (status < 0)
		events = wanted_of(event);
	if (events & UV_READABLE)
		bits |= UB_EV_READ;
	if (events & UV_WRITABLE)
		bits |= UB_EV_WRITE;
	fire(event, bits);
	if (status < 0 && watch->event)
		(void)uv_poll_start(poll, wanted_of(watch->event), polled);
}

static int start_poll(struct event *event, struct watch *watch)
{
	int r;

	r = uv_poll_init(watch->upstream->loop, &watch->poll, event->fd);
	if (r < 0)
		return r;
	watch->poll.data = watch;
	watch->has_poll = true;
	watch->n_open++;
	watch->upstream->n_handles++;
	return uv_poll_start(&watch->poll, wanted_of(event), polled);
}

static int start_timer(struct event *event, struct watch *watch)
{
	int r;

	r = uv_timer_init(watch->upstream->loop, &watch->timer);
	if (r < 0)
		return r;
	watch->timer.data = watch;
	watch->has_timer = true;
	watch->n_open++;
	watch->upstream->n_handles++;
	return uv_timer_start(&watch->timer, timed_out, event->timeout_ms, 0);
}

static int activate(struct event *event, const struct timeval *timeout)
{
	struct watch *watch;
	int r = 0;

	deactivate(event);
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -1;
	watch->upstream = event->base->upstream;
	watch->event = event;
	event->watch = watch;
	event->has_timeout = timeout != NULL;
	if (timeout)
		event->timeout_ms = (uint64_t)timeout->tv_sec * 1000 +
				    (uint64_t)(timeout->tv_usec + 999) / 1000;
	if (event->fd >= 0 && wanted_of(event))
		r = start_poll(event, watch);
	if (r == 0 && timeout)
		r = start_timer(event, watch);
	if (watch->n_open == 0) { /* nothing that would free it */
		event->watch = NULL;
		free(watch);
	} else if (r < 0) {
		deactivate(event);
	}
	return r < 0 ? -1 : 0;
}

static void add_bits(struct ub_event *event, short bits)
{
	event_of(event)->bits |= bits;
}

static void del_bits(struct ub_event *event, short bits)
{
	event_of(event)->bits &= (short)~bits;
}

static void set_fd(struct ub_event *event, int fd)
{
	event_of(event)->fd = fd;
}

static void free_event(struct ub_event *event)
{
	deactivate(event_of(event));
	free(event);
}

static int add(struct ub_event *event, struct timeval *timeout)
{
	return activate(event_of(event), timeout);
}

static int del(struct ub_event *event)
{
	deactivate(event_of(event));
	return 0;
}

static int add_timer(struct ub_event *event, struct ub_event_base *base,
		     event_fn fn, void *arg, struct timeval *timeout)
{
	struct event *own = event_of(event);

	(void)base;
	own->fn = fn;
	own->arg = arg;
	return activate(own, timeout);
}

static int refuse_signal(struct ub_event *event, struct timeval *timeout)
{
	(void)event;
	(void)timeout;
	return -1;
}

static void ignore_event(struct ub_event *event)
{
	(void)event;
}

static void ignore_bits(struct ub_event *event, int bits)
{
	(void)event;
	(void)bits;
}

static struct ub_event_vmt event_calls = {
	.add_bits = add_bits,
	.del_bits = del_bits,
	.set_fd = set_fd,
	.free = free_event,
	.add = add,
	.del = del,
	.add_timer = add_timer,
	.del_timer = del,
	.add_signal = refuse_signal,
	.del_signal = del,
	.winsock_unregister_wsaevent = ignore_event,
	.winsock_tcp_wouldblock = ignore_bits,
};

static struct ub_event *new_event(struct ub_event_base *base, int fd,
				  short bits, event_fn fn, void *arg)
{
	struct event *event = calloc(1, sizeof(*event));

	if (!event)
		return NULL;
	event->event.magic = UB_EVENT_MAGIC;
	event->event.vmt = &event_calls;
	event->base = (struct cp_upstream_event_base *)(void *)base;
	event->fn = fn;
	event->arg = arg;
	event->fd = fd;
	event->bits = bits;
	return &event->event;
}

static struct ub_event *new_signal(struct ub_event_base *base, int fd,
				   event_fn fn, void *arg)
{
	return new_event(base, fd, UB_EV_SIGNAL, fn, arg);
}

static struct ub_event *no_event(struct ub_event_base *base, void *wsaevent,
				 event_fn fn, void *arg)
{
	(void)base;
	(void)wsaevent;
	(void)fn;
	(void)arg;
	return NULL;
}

static void ignore_base(struct ub_event_base *base)
{
	(void)base;
}

static int refuse_dispatch(struct ub_event_base *base)
{
	(void)base;
	return -1;
}

static int refuse_exit(struct ub_event_base *base, struct timeval *timeout)
{
	(void)base;
	(void)timeout;
	return -1;
}

static struct ub_event_base_vmt base_calls = {
	.free = ignore_base,
	.dispatch = refuse_dispatch,
	.loopexit = refuse_exit,
	.new_event = new_event,
	.new_signal = new_signal,
	.winsock_register_wsaevent = no_event,
};

void cp_upstream_event_init(struct cp_upstream_event_base *base,
			    struct cp_upstream *upstream)
{
	base->base.magic = UB_EVENT_MAGIC;
	base->base.vmt = &base_calls;
	base->upstream = upstream;
}
