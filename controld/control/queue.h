/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events that wait for the stream, packed, in the order in which they came.
 * Bounded in number and bytes: what has no room displaces the oldest of the
 * class that is missed least. Pure. */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/util.h"

/* In the order in which they are displaced. */
enum cp_control_class {
	CP_CONTROL_CLASS_POLICY_EVENT, /* a sample anyway */
	CP_CONTROL_CLASS_HEARTBEAT, /* the next one says it again */
	CP_CONTROL_CLASS_RESULT, /* SyncRequest says what is applied */
	/* SyncRequest says what is attached; so if one was displaced on a
	 * stream that is up, there has to be another one. */
	CP_CONTROL_CLASS_SUBSCRIPTION,
	CP_CONTROL_CLASS_COUNT,
};

struct cp_control_queue;

int cp_control_queue_new(struct cp_control_queue **ret, size_t max_events,
			 size_t max_bytes);
struct cp_control_queue *cp_control_queue_free(struct cp_control_queue *queue);
SN_DEFINE_CLEANUP(struct cp_control_queue, cp_control_queue_free)

/* Packs event. What finds no room is dropped and counted, which is no failure;
 * neither is want of memory. */
void cp_control_queue_put(struct cp_control_queue *queue,
			  enum cp_control_class class,
			  const ProtobufCMessage *event);

/* The oldest event of a class, or (CP_CONTROL_CLASS_COUNT) of all; NULL: there
 * is none. pop removes what get returned last. */
const void *cp_control_queue_get(struct cp_control_queue *queue,
				 enum cp_control_class class, size_t *size);
void cp_control_queue_pop(struct cp_control_queue *queue);

size_t cp_control_queue_count(const struct cp_control_queue *queue,
			      enum cp_control_class class);
uint64_t cp_control_queue_dropped(const struct cp_control_queue *queue,
				  enum cp_control_class class);
