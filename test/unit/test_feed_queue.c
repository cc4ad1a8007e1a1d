/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/queue.h"

#include <math.h>
#include <stdio.h>

#include "controld/feed/answer.h"
#include "controld/feed/envelope.h"
#include "test/unit/t.h"

static struct cp_feed_item *make(uint64_t sequence)
{
	struct cp_feed_item *item = cp_feed_queue_new_item(100);
	char id[CP_FEED_QUEUE_ID_BYTES];

	t_not_null(item);
	(void)snprintf(id, sizeof(id), "%036llu", (unsigned long long)sequence);
	item->bytes[0] = 1 << 3 | 2;
	item->bytes[1] = sizeof(id) - 1;
	(void)memcpy(item->bytes + 2, id, sizeof(id) - 1);
	t_true(cp_feed_queue_name_item(item));
	item->sequence = sequence;
	return item;
}

static struct cp_feed_item *find(const struct cp_feed_queue *queue,
				 uint64_t sequence)
{
	char id[CP_FEED_QUEUE_ID_BYTES];

	(void)snprintf(id, sizeof(id), "%036llu", (unsigned long long)sequence);
	return cp_feed_queue_find(queue, id, sizeof(id) - 1);
}

static struct cp_feed_queue *make_queue(uint64_t n)
{
	struct cp_feed_queue *queue = malloc(sizeof(*queue));

	t_not_null(queue);
	cp_feed_queue_init(queue);
	for (uint64_t i = 1; i <= n; i++)
		cp_feed_queue_put(queue, make(i));
	return queue;
}

static void free_queue(struct cp_feed_queue *queue)
{
	cp_feed_queue_done(queue);
	t_eq(queue->n, 0);
	t_eq(queue->n_bytes, 0);
	t_eq(queue->n_window, 0);
	free(queue);
}

static void only_what_was_sent_can_be_answered(void)
{
	struct cp_feed_queue *queue = make_queue(3);

	t_null(cp_feed_queue_oldest(queue));
	t_null(find(queue, 1));
	cp_feed_queue_sent(queue, 5);
	cp_feed_queue_sent(queue, 6);
	t_eq(find(queue, 2)->sent_ms, 6);
	t_null(find(queue, 3));
	t_null(cp_feed_queue_find(queue, "x", 1));
	cp_feed_queue_remove(queue, find(queue, 1));
	t_null(find(queue, 1));
	t_eq(cp_feed_queue_oldest(queue)->sequence, 2);
	t_eq(queue->next->sequence, 3);
	t_eq(queue->n, 2);
	free_queue(queue);
}

static void what_was_not_answered_is_sent_again_in_order(void)
{
	struct cp_feed_queue *queue = make_queue(4);

	for (unsigned int i = 0; i < 3; i++)
		cp_feed_queue_sent(queue, i);
	cp_feed_queue_remove(queue, find(queue, 2));
	cp_feed_queue_rewind(queue);
	t_eq(queue->n_window, 0);
	t_null(find(queue, 1));
	t_eq(queue->next->sequence, 1);
	cp_feed_queue_sent(queue, 9);
	t_eq(queue->next->sequence, 3);
	t_eq(find(queue, 1)->sent_ms, 9);
	t_eq(find(queue, 1)->n_vain, 0);
	free_queue(queue);
}

static void what_was_sent_in_vain_is_counted_and_nothing_else(void)
{
	struct cp_feed_queue *queue = make_queue(3);

	cp_feed_queue_sent(queue, 1);
	cp_feed_queue_left(queue);
	cp_feed_queue_rewind(queue);
	cp_feed_queue_left(queue);
	for (unsigned int i = 0; i < 3; i++)
		cp_feed_queue_sent(queue, i);
	cp_feed_queue_left(queue);
	t_eq(find(queue, 1)->n_vain, 2);
	t_eq(find(queue, 2)->n_vain, 1);
	t_eq(find(queue, 3)->n_vain, 1);
	free_queue(queue);
}

static void what_was_never_sent_can_leave(void)
{
	struct cp_feed_queue *queue = make_queue(3);

	cp_feed_queue_sent(queue, 1);
	cp_feed_queue_remove(queue, queue->next);
	t_eq(queue->next->sequence, 3);
	cp_feed_queue_sent(queue, 1);
	t_null(queue->next);
	t_eq(queue->n_window, 2);
	cp_feed_queue_put(queue, make(7));
	t_eq(queue->next->sequence, 7);
	free_queue(queue);
}

static void bytes_without_an_id_are_no_event(void)
{
	struct cp_feed_item *item = make(1);

	item->bytes[5] = '\0';
	t_false(cp_feed_queue_name_item(item));
	item->bytes[5] = '0';
	item->bytes[1] = 35;
	t_false(cp_feed_queue_name_item(item));
	cp_feed_queue_unref(item);
}

/* Envelopes and answers. */

static const char *get(const Sentinel__V1__EventEnvelope *message,
		       const char *key)
{
	for (size_t i = 0; i < message->n_data; i++) {
		if (strcmp(message->data[i]->key, key) == 0)
			return message->data[i]->value;
	}
	for (size_t i = 0; i < message->n_attributes; i++) {
		if (strcmp(message->attributes[i]->key, key) == 0)
			return message->attributes[i]->value;
	}
	return NULL;
}

static char *words(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void an_event_is_told_with_the_published_keys(void)
{
	Sentinel__V1__RuntimeFile file;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeEvent event;
	static struct cp_feed_envelope envelope;
	char *rules[] = { words("one"), words("two") };

	sentinel__v1__runtime_file__init(&file);
	sentinel__v1__runtime_process__init(&process);
	sentinel__v1__runtime_event__init(&event);
	event.uuid = words("00000000-0000-8000-8000-000000000001");
	event.event = words("file_write");
	event.time_ns = 1700000000123456789;
	event.bytes = 4096;
	event.count = 2;
	event.result = 4096;
	event.rules = rules;
	event.n_rules = 2;
	event.process = &process;
	event.file = &file;
	file.path = words("/etc/hosts");
	file.inode = 12;
	file.device_major = 8;
	file.device_minor = 1;
	process.comm = words("nginx");
	process.pid = 10;
	process.tid = 11;
	process.uid = 0;
	process.pod = words("web-0");
	process.namespace_ = words("prod");
	process.container_id = words("abc");
	cp_feed_envelope_fill(&envelope, &event, "host-1");
	t_str_eq(envelope.message.event_id, event.uuid);
	t_str_eq(envelope.message.hostname, "host-1");
	t_str_eq(envelope.message.pod_name, "web-0");
	t_str_eq(envelope.message.namespace_, "prod");
	t_str_eq(envelope.message.container_id, "abc");
	t_str_eq(envelope.message.event_type, "file_write");
	t_true(envelope.message.ts_unix_nano == 1700000000123456789U);
	t_str_eq(get(&envelope.message, "filename"), "/etc/hosts");
	t_str_eq(get(&envelope.message, "bytes"), "4096");
	t_str_eq(get(&envelope.message, "comm"), "nginx");
	t_str_eq(get(&envelope.message, "pid"), "10");
	t_str_eq(get(&envelope.message, "tid"), "11");
	t_str_eq(get(&envelope.message, "uid"), "0");
	t_str_eq(get(&envelope.message, "device"), "8:1");
	t_str_eq(get(&envelope.message, "rules"), "one,two");
	t_null(get(&envelope.message, "error"));
	t_null(get(&envelope.message, "deleted"));
}

static void a_gap_says_what_is_missing(void)
{
	Sentinel__V1__RuntimeEvent event;
	static struct cp_feed_envelope envelope;

	sentinel__v1__runtime_event__init(&event);
	event.event = words("gap");
	event.gap = 7;
	event.gap_event = words("file_open");
	event.gap_cause = SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_RING;
	cp_feed_envelope_fill(&envelope, &event, "host-1");
	t_str_eq(get(&envelope.message, "gap"), "7");
	t_str_eq(get(&envelope.message, "gap_event"), "file_open");
	t_str_eq(get(&envelope.message, "gap_cause"), "ring");
}

/* Every number at its greatest, every flag set. */

static void fill_file(Sentinel__V1__RuntimeFile *file)
{
	sentinel__v1__runtime_file__init(file);
	file->path = file->host_path = words("text");
	file->device_major = file->device_minor = UINT32_MAX;
	file->inode = UINT64_MAX;
	file->cut = file->as_passed = file->deleted = file->memfd = 1;
}

static void fill_process(Sentinel__V1__RuntimeProcess *process)
{
	sentinel__v1__runtime_process__init(process);
	process->pid = process->tid = process->parent_pid = UINT32_MAX;
	process->uid = process->gid = UINT32_MAX;
	process->start_ns = process->parent_start_ns = UINT64_MAX;
	process->cgroup_id = UINT64_MAX;
	process->comm = process->cgroup = words("text");
	process->container_engine = process->container_id = words("text");
	process->pod_uid = process->attachment = words("text");
	process->pod = process->namespace_ = words("text");
}

static void fill_event(Sentinel__V1__RuntimeEvent *event, char **text)
{
	sentinel__v1__runtime_event__init(event);
	event->uuid = event->error = event->call = event->gap_event = *text;
	event->boot_ns = event->count = event->bytes = UINT64_MAX;
	event->flags = UINT64_MAX;
	event->mode = event->other_pid = event->exit_code = UINT32_MAX;
	event->result = event->clock_step_ns = INT64_MIN;
	event->rules = event->arguments = text;
	event->n_rules = event->n_arguments = 1;
	event->summed = event->compat = event->io_uring = 1;
	event->arguments_cut = 1;
}

static void the_largest_event_has_room(void)
{
	static const char *const names[] = { "file_chown", "file_chmod",
					     "process_exit", "file_write" };
	static struct cp_feed_envelope envelope;
	Sentinel__V1__RuntimeFile file;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeAddress address;
	Sentinel__V1__RuntimeEvent event;
	char *text = words("text");

	fill_file(&file);
	fill_process(&process);
	process.executable = &file;
	sentinel__v1__runtime_address__init(&address);
	address.address = text;
	address.port = address.protocol = UINT32_MAX;
	for (size_t i = 0; i < SN_ARRAY_SIZE(names); i++) {
		fill_event(&event, &text);
		event.event = words(names[i]);
		event.process = &process;
		event.file = event.target = &file;
		event.local = event.remote = &address;
		cp_feed_envelope_fill(&envelope, &event, text);
		t_str_eq(get(&envelope.message, "arguments_cut"), "true");
		t_str_eq(get(&envelope.message, "result"),
			 "-9223372036854775808");
	}
}

static bool read_answer(Sentinel__V1__DetectionResponse *answer,
			struct cp_feed_answer *ret)
{
	static uint8_t data[8192];
	size_t size = sentinel__v1__detection_response__pack(answer, data);

	return cp_feed_answer_read(data, size, ret);
}

static void answers_are_taken_with_care(void)
{
	Sentinel__V1__DetectionResponse answer;
	static char reason[2 * CP_FEED_ANSWER_REASON_BYTES];
	struct cp_feed_answer ret;
	double scores[] = { -0.5, 1.5, (double)NAN, 1e300 };

	sentinel__v1__detection_response__init(&answer);
	answer.event_id = words("00000000-0000-8000-8000-000000000001");
	answer.anomaly = 1;
	answer.score = 0.5;
	t_true(read_answer(&answer, &ret));
	t_str_eq(ret.id, answer.event_id);
	t_true(ret.is_anomaly && !ret.is_score_wrong && !ret.is_reason_cut);
	for (size_t i = 0; i < SN_ARRAY_SIZE(scores); i++) {
		answer.score = scores[i];
		t_true(read_answer(&answer, &ret));
		t_true(ret.is_score_wrong);
		t_true(ret.score < 0.1);
	}
	/* Cut before a character, not in it. */
	(void)memset(reason, 'a', CP_FEED_ANSWER_REASON_BYTES - 2);
	(void)strcat(reason, "\xc3\xa4\xc3\xa4");
	answer.reason = reason;
	t_true(read_answer(&answer, &ret));
	t_true(ret.is_reason_cut);
	t_eq(strlen(ret.reason), CP_FEED_ANSWER_REASON_BYTES - 2);
	answer.event_id = words("short");
	t_true(read_answer(&answer, &ret));
	t_str_eq(ret.id, "");
	t_false(cp_feed_answer_read("\xff\xff\xff", 3, &ret));
}

T_MAIN("feed_queue", only_what_was_sent_can_be_answered,
       what_was_not_answered_is_sent_again_in_order,
       what_was_sent_in_vain_is_counted_and_nothing_else,
       what_was_never_sent_can_leave, bytes_without_an_id_are_no_event,
       an_event_is_told_with_the_published_keys, a_gap_says_what_is_missing,
       the_largest_event_has_room, answers_are_taken_with_care)
