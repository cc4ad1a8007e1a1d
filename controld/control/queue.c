/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

struct event {
	TAILQ_ENTRY(event) all;
	TAILQ_ENTRY(event) same; /* of one class */
	enum cp_control_class class;
	size_t size;
	uint8_t data[];
};

TAILQ_HEAD(events, event);

struct cp_control_queue {
	size_t max_events;
	size_t max_bytes;
	size_t n_events;
	size_t n_bytes;
	struct events all;
	struct events classes[CP_CONTROL_CLASS_COUNT];
	size_t n_of[CP_CONTROL_CLASS_COUNT];
	uint64_t n_dropped[CP_CONTROL_CLASS_COUNT];
	struct event *got;
};

int cp_control_queue_new(struct cp_control_queue **ret, size_t max_events,
			 size_t max_bytes)
{
	struct cp_control_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return sn_trace(-ENOMEM);
	queue->max_events = max_events;
	queue->max_bytes = max_bytes;
	TAILQ_INIT(&queue->all);
	for (size_t i = 0; i < CP_CONTROL_CLASS_COUNT; i++)
		TAILQ_INIT(&queue->classes[i]);
	*ret = queue;
	return 0;
}

static void remove_event(struct cp_control_queue *queue, struct event *event)
{
	TAILQ_REMOVE(&queue->all, event, all);
	TAILQ_REMOVE(&queue->classes[event->class], event, same);
	queue->n_of[event->class]--;
	queue->n_events--;
	queue->n_bytes -= event->size;
	if (queue->got == event)
		queue->got = NULL;
	free(event);
}

struct cp_control_queue *cp_control_queue_free(struct cp_control_queue *queue)
{
	struct event *event;

	if (!queue)
		return NULL;
	while ((event = TAILQ_FIRST(&queue->all)))
		remove_event(queue, event);
	free(queue);
	return NULL;
}

static bool has_room(const struct cp_control_queue *queue, size_t size)
{
	return queue->n_events < queue->max_events &&
	       size <= queue->max_bytes - queue->n_bytes;
}

/* Makes room for an event of a class at the cost of those that are missed
 * less, or as little and are older. */
static bool make_room(struct cp_control_queue *queue,
		      enum cp_control_class class, size_t size)
{
	if (size > queue->max_bytes)
		return false;
	for (unsigned int i = 0; i <= class; i++) {
		struct event *event;

		while (!has_room(queue, size) &&
		       (event = TAILQ_FIRST(&queue->classes[i]))) {
			queue->n_dropped[i]++;
			remove_event(queue, event);
		}
	}
	return has_room(queue, size);
}

void cp_control_queue_put(struct cp_control_queue *queue,
			  enum cp_control_class class,
			  const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	struct event *event;

	event = malloc(sizeof(*event) + size);
	if (!event || !make_room(queue, class, size)) {
		queue->n_dropped[class]++;
		free(event);
		return;
	}
	event->class = class;
	event->size = protobuf_c_message_pack(message, event->data);
	TAILQ_INSERT_TAIL(&queue->all, event, all);
	TAILQ_INSERT_TAIL(&queue->classes[class], event, same);
	queue->n_of[class]++;
	queue->n_events++;
	queue->n_bytes += event->size;
}

const void *cp_control_queue_get(struct cp_control_queue *queue,
				 enum cp_control_class class, size_t *size)
{
	struct event *event = class == CP_CONTROL_CLASS_COUNT ?
				      TAILQ_FIRST(&queue->all) :
				      TAILQ_FIRST(&queue->classes[class]);

	queue->got = event;
	if (!event)
		return NULL;
	*size = event->size;
	return event->data;
}

void cp_control_queue_pop(struct cp_control_queue *queue)
{
	assert(queue->got);
	remove_event(queue, queue->got);
}

size_t cp_control_queue_count(const struct cp_control_queue *queue,
			      enum cp_control_class class)
{
	return class == CP_CONTROL_CLASS_COUNT ? queue->n_events :
						 queue->n_of[class];
}

uint64_t cp_control_queue_dropped(const struct cp_control_queue *queue,
				  enum cp_control_class class)
{
	uint64_t n = 0;

	if (class != CP_CONTROL_CLASS_COUNT)
		return queue->n_dropped[class];
	for (size_t i = 0; i < CP_CONTROL_CLASS_COUNT; i++)
		n += queue->n_dropped[i];
	return n;
}
