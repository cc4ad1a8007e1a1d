/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/queue.h"

#include "controld/rpc/backoff.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/control.pb-c.h"
#include "test/unit/t.h"

/* An event of about n bytes that can be told by its number. */
static void put(struct cp_control_queue *queue, enum cp_control_class class,
		unsigned int number, size_t n)
{
	Sentinel__V1__DaemonEvent event;
	Sentinel__V1__CommandResult result;
	char text[4096] = "";

	sentinel__v1__daemon_event__init(&event);
	sentinel__v1__command_result__init(&result);
	memset(text, 'x', SN_MIN(n, sizeof(text) - 1));
	result.applied_revision = number;
	result.error = text;
	event.event_case = SENTINEL__V1__DAEMON_EVENT__EVENT_COMMAND_RESULT;
	event.command_result = &result;
	cp_control_queue_put(queue, class, &event.base);
}

/* Takes the first event; its number, or 0 if there is none. */
static unsigned int take(struct cp_control_queue *queue,
			 enum cp_control_class class)
{
	Sentinel__V1__DaemonEvent *event;
	unsigned int number;
	const void *data;
	size_t size;

	data = cp_control_queue_get(queue, class, &size);
	if (!data)
		return 0;
	event = sentinel__v1__daemon_event__unpack(NULL, size, data);
	t_not_null(event);
	number = (unsigned int)event->command_result->applied_revision;
	sentinel__v1__daemon_event__free_unpacked(event, NULL);
	cp_control_queue_pop(queue);
	return number;
}

static void events_come_out_in_order(void)
{
	sn_cleanup(cp_control_queue_freep) struct cp_control_queue *queue =
		NULL;

	t_eq(cp_control_queue_new(&queue, 8, 4096), 0);
	put(queue, CP_CONTROL_CLASS_SUBSCRIPTION, 1, 0);
	put(queue, CP_CONTROL_CLASS_RESULT, 2, 0);
	put(queue, CP_CONTROL_CLASS_POLICY_EVENT, 3, 0);
	put(queue, CP_CONTROL_CLASS_RESULT, 4, 0);
	t_eq(cp_control_queue_count(queue, CP_CONTROL_CLASS_RESULT), 2);
	t_eq(take(queue, CP_CONTROL_CLASS_RESULT), 2);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 1);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 3);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 4);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 0);
}

static void the_class_missed_least_goes_first_and_its_oldest_before(void)
{
	sn_cleanup(cp_control_queue_freep) struct cp_control_queue *queue =
		NULL;

	t_eq(cp_control_queue_new(&queue, 4, 4096), 0);
	put(queue, CP_CONTROL_CLASS_RESULT, 1, 0);
	put(queue, CP_CONTROL_CLASS_POLICY_EVENT, 2, 0);
	put(queue, CP_CONTROL_CLASS_HEARTBEAT, 3, 0);
	put(queue, CP_CONTROL_CLASS_POLICY_EVENT, 4, 0);
	put(queue, CP_CONTROL_CLASS_SUBSCRIPTION, 5, 0); /* 2 goes */
	put(queue, CP_CONTROL_CLASS_RESULT, 6, 0); /* 4 goes */
	put(queue, CP_CONTROL_CLASS_RESULT, 7, 0); /* 3 goes */
	put(queue, CP_CONTROL_CLASS_POLICY_EVENT, 8, 0); /* no room */
	put(queue, CP_CONTROL_CLASS_RESULT, 9, 0); /* 1 goes */
	t_eq(cp_control_queue_dropped(queue, CP_CONTROL_CLASS_POLICY_EVENT), 3);
	t_eq(cp_control_queue_dropped(queue, CP_CONTROL_CLASS_HEARTBEAT), 1);
	t_eq(cp_control_queue_dropped(queue, CP_CONTROL_CLASS_RESULT), 1);
	t_eq(cp_control_queue_dropped(queue, CP_CONTROL_CLASS_COUNT), 5);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 5);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 6);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 7);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 9);
}

static void bytes_are_bounded_too(void)
{
	sn_cleanup(cp_control_queue_freep) struct cp_control_queue *queue =
		NULL;

	t_eq(cp_control_queue_new(&queue, 1000, 1000), 0);
	put(queue, CP_CONTROL_CLASS_RESULT, 1, 400);
	put(queue, CP_CONTROL_CLASS_RESULT, 2, 400);
	put(queue, CP_CONTROL_CLASS_RESULT, 3, 400); /* 1 goes */
	put(queue, CP_CONTROL_CLASS_RESULT, 4, 2000); /* never fits */
	put(queue, CP_CONTROL_CLASS_HEARTBEAT, 5, 400); /* may not displace */
	t_eq(cp_control_queue_count(queue, CP_CONTROL_CLASS_COUNT), 2);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 2);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 3);
	t_eq(cp_control_queue_dropped(queue, CP_CONTROL_CLASS_COUNT), 3);
}

static void an_event_that_was_got_may_be_displaced(void)
{
	sn_cleanup(cp_control_queue_freep) struct cp_control_queue *queue =
		NULL;
	size_t size;

	t_eq(cp_control_queue_new(&queue, 1, 4096), 0);
	put(queue, CP_CONTROL_CLASS_RESULT, 1, 0);
	t_not_null(cp_control_queue_get(queue, CP_CONTROL_CLASS_COUNT, &size));
	put(queue, CP_CONTROL_CLASS_RESULT, 2, 0);
	t_eq(take(queue, CP_CONTROL_CLASS_COUNT), 2);
	t_eq(cp_control_queue_count(queue, CP_CONTROL_CLASS_COUNT), 0);
}

/* A generator that is good enough to spread, and repeats. */
static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 16;
}

static void pauses_grow_within_their_bounds(void)
{
	struct cp_rpc_backoff backoff = { .min_ms = 1000, .max_ms = 60000 };
	uint64_t state = 1, sum_first = 0, sum_late = 0;

	for (unsigned int run = 0; run < 1000; run++) {
		uint64_t pause_ms;

		backoff.last_ms = 0;
		pause_ms = cp_rpc_backoff_next(&backoff, next_random(&state));
		t_true(pause_ms >= 1000 && pause_ms <= 3000);
		sum_first += pause_ms;
		for (unsigned int i = 0; i < 20; i++) {
			pause_ms = cp_rpc_backoff_next(&backoff,
						       next_random(&state));
			t_true(pause_ms >= 1000 && pause_ms <= 60000);
		}
		sum_late += pause_ms;
	}
	t_true(sum_first / 1000 > 1800 && sum_first / 1000 < 2200);
	t_true(sum_late > 8 * sum_first);
}

/* A hundred hosts that lose one server at the same moment. */
static void first_pauses_are_spread(void)
{
	unsigned int buckets[20] = { 0 };
	uint64_t state = 7;

	for (unsigned int i = 0; i < 100; i++) {
		struct cp_rpc_backoff backoff = { .min_ms = 1000,
						  .max_ms = 60000 };
		uint64_t pause_ms =
			cp_rpc_backoff_next(&backoff, next_random(&state));

		buckets[SN_MIN((pause_ms - 1000) / 100, (uint64_t)19)]++;
	}
	for (size_t i = 0; i < SN_ARRAY_SIZE(buckets); i++)
		t_true(buckets[i] <= 20);
}

static void a_connection_that_fails_soon_does_not_shorten_the_pause(void)
{
	struct cp_rpc_backoff backoff = { .min_ms = 1000,
					  .max_ms = 60000,
					  .last_ms = 20000 };

	cp_rpc_backoff_held(&backoff, 19999);
	t_eq(backoff.last_ms, 20000);
	cp_rpc_backoff_held(&backoff, 20001);
	t_eq(backoff.last_ms, 0);
}

T_MAIN("control_queue", events_come_out_in_order,
       the_class_missed_least_goes_first_and_its_oldest_before,
       bytes_are_bounded_too, an_event_that_was_got_may_be_displaced,
       pauses_grow_within_their_bounds, first_pauses_are_spread,
       a_connection_that_fails_soon_does_not_shorten_the_pause)
