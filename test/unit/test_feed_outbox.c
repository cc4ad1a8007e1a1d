/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/outbox.h"

#include <string.h>

#include "controld/feed/anomaly.h"
#include "test/unit/t.h"

static struct cp_feed_outbox_item *make(size_t size, uint8_t first)
{
	struct cp_feed_outbox_item *item = cp_feed_outbox_new_item(size);

	t_not_null(item);
	item->bytes[0] = first;
	return item;
}

static uint8_t take(struct cp_feed_outbox *outbox)
{
	struct cp_feed_outbox_item *item = cp_feed_outbox_take(outbox);
	uint8_t first;

	t_not_null(item);
	first = item->bytes[0];
	cp_feed_outbox_free_item(item);
	return first;
}

static void reports_leave_in_the_order_in_which_they_came(void)
{
	struct cp_feed_outbox outbox;
	struct cp_feed_outbox_item *item;

	cp_feed_outbox_init(&outbox);
	t_null(cp_feed_outbox_take(&outbox));
	for (uint8_t i = 1; i <= 3; i++)
		t_eq(cp_feed_outbox_put(&outbox, make(10, i)), 0);
	item = cp_feed_outbox_take(&outbox);
	t_eq(item->bytes[0], 1);
	t_eq(outbox.n, 2);
	t_eq(cp_feed_outbox_put_back(&outbox, item), 0);
	for (uint8_t i = 1; i <= 3; i++)
		t_eq(take(&outbox), i);
	t_eq(outbox.n, 0);
	t_eq(outbox.n_bytes, 0);
}

static void the_oldest_make_room_by_number(void)
{
	struct cp_feed_outbox outbox;
	size_t n = 0;

	cp_feed_outbox_init(&outbox);
	for (size_t i = 0; i < CP_FEED_OUTBOX_MAX + 5; i++)
		n += cp_feed_outbox_put(&outbox, make(1, (uint8_t)i));
	t_eq(n, 5);
	t_eq(outbox.n, CP_FEED_OUTBOX_MAX);
	t_eq(take(&outbox), 5);
	t_eq(cp_feed_outbox_clear(&outbox), CP_FEED_OUTBOX_MAX - 1);
	t_eq(outbox.n_bytes, 0);
}

static void the_oldest_make_room_by_bytes(void)
{
	struct cp_feed_outbox outbox;
	size_t n = 0;

	cp_feed_outbox_init(&outbox);
	for (uint8_t i = 0; i < 40; i++) {
		n += cp_feed_outbox_put(&outbox,
					make(CP_FEED_OUTBOX_ITEM_BYTES, i));
		t_true(outbox.n_bytes <= CP_FEED_OUTBOX_BYTES);
	}
	t_eq(n + outbox.n, 40);
	t_eq(outbox.n, 31);
	t_eq(take(&outbox), 9);
	t_eq(cp_feed_outbox_clear(&outbox), 30);
}

static void one_that_comes_back_to_a_full_outbox_is_the_oldest(void)
{
	struct cp_feed_outbox outbox;
	struct cp_feed_outbox_item *item;

	cp_feed_outbox_init(&outbox);
	for (size_t i = 0; i < CP_FEED_OUTBOX_MAX; i++)
		t_eq(cp_feed_outbox_put(&outbox, make(1, (uint8_t)i)), 0);
	item = cp_feed_outbox_take(&outbox);
	t_eq(cp_feed_outbox_put(&outbox, make(1, 7)), 0);
	t_eq(cp_feed_outbox_put_back(&outbox, item), 1);
	t_eq(take(&outbox), 1);
	(void)cp_feed_outbox_clear(&outbox);
}

static void a_report_has_a_largest_size(void)
{
	struct cp_feed_outbox_item *item =
		cp_feed_outbox_new_item(CP_FEED_OUTBOX_ITEM_BYTES);

	t_not_null(item);
	cp_feed_outbox_free_item(item);
	t_null(cp_feed_outbox_new_item(CP_FEED_OUTBOX_ITEM_BYTES + 1));
}

/* What a finding becomes. */

static const char *get(const struct cp_feed_anomaly *report, const char *key)
{
	const char *found = NULL;

	for (size_t i = 0; i < report->message.n_labels; i++) {
		if (strcmp(report->labels[i].key, key) != 0)
			continue;
		t_null(found);
		found = report->labels[i].value;
	}
	return found;
}

static void a_finding_is_told_with_its_event(void)
{
	static char *tags[] = { (char *)(uintptr_t) "files",
				(char *)(uintptr_t) "keys" };
	Sentinel__V1__Finding finding;
	Sentinel__V1__RuntimeEvent event;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeFile file;
	struct cp_feed_anomaly report;

	sentinel__v1__finding__init(&finding);
	sentinel__v1__runtime_event__init(&event);
	sentinel__v1__runtime_process__init(&process);
	sentinel__v1__runtime_file__init(&file);
	file.path = (char *)(uintptr_t) "/etc/shadow";
	process.pid = 7;
	process.comm = (char *)(uintptr_t) "cat";
	process.pod = (char *)(uintptr_t) "web-1";
	event.uuid = (char *)(uintptr_t) "the-event";
	event.event = (char *)(uintptr_t) "file_open";
	event.file = &file;
	event.process = &process;
	finding.uuid = (char *)(uintptr_t) "the-finding";
	finding.rule = (char *)(uintptr_t) "secret";
	finding.text = (char *)(uintptr_t) "cat opened /etc/shadow";
	finding.severity = SENTINEL__V1__SEVERITY__SEVERITY_WARNING;
	finding.time_ns = 12345;
	finding.tags = tags;
	finding.n_tags = 2;
	finding.count = 3;
	finding.event = &event;
	cp_feed_anomaly_fill(&report, &finding, "host-1");
	t_str_eq(report.message.event_id, "the-event");
	t_str_eq(report.message.reason, "cat opened /etc/shadow");
	t_true(report.message.score > 0.59 && report.message.score < 0.61);
	t_str_eq(get(&report, "finding"), "the-finding");
	t_str_eq(get(&report, "rule"), "secret");
	t_str_eq(get(&report, "severity"), "warning");
	t_str_eq(get(&report, "tags"), "files,keys");
	t_str_eq(get(&report, "hostname"), "host-1");
	t_str_eq(get(&report, "ts_unix_nano"), "12345");
	t_str_eq(get(&report, "events"), "3");
	t_str_eq(get(&report, "event_type"), "file_open");
	t_str_eq(get(&report, "filename"), "/etc/shadow");
	t_str_eq(get(&report, "comm"), "cat");
	t_str_eq(get(&report, "pid"), "7");
	t_str_eq(get(&report, "pod_name"), "web-1");
	t_null(get(&report, "container_id"));
}

static void a_finding_without_an_event_is_told_by_its_rule(void)
{
	Sentinel__V1__Finding finding;
	struct cp_feed_anomaly report;

	sentinel__v1__finding__init(&finding);
	finding.rule = (char *)(uintptr_t) "secret";
	finding.severity = SENTINEL__V1__SEVERITY__SEVERITY_CRITICAL;
	cp_feed_anomaly_fill(&report, &finding, "");
	t_str_eq(report.message.event_id, "");
	t_str_eq(report.message.reason, "secret");
	t_true(report.message.score >= 1 && report.message.score <= 1);
	t_null(get(&report, "hostname"));
	t_null(get(&report, "event_type"));
	finding.severity = SENTINEL__V1__SEVERITY__SEVERITY_DEBUG;
	cp_feed_anomaly_fill(&report, &finding, "");
	t_true(report.message.score >= 0 && report.message.score <= 0);
}

T_MAIN("feed_outbox", reports_leave_in_the_order_in_which_they_came,
       the_oldest_make_room_by_number, the_oldest_make_room_by_bytes,
       one_that_comes_back_to_a_full_outbox_is_the_oldest,
       a_report_has_a_largest_size, a_finding_is_told_with_its_event,
       a_finding_without_an_event_is_told_by_its_rule)
