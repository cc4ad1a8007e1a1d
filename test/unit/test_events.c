/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that events are kept in. */
#include <arpa/inet.h>

#include "controld/events/names.h"
#include "controld/events/ring.h"
#include "controld/events/seen.h"
#include "controld/events/site.h"
#include "test/unit/t.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct cp_events_record flow(const char *id, int64_t time_ms,
				    bool is_audited)
{
	struct cp_events_record record = {
		.time_ms = time_ms,
		.kind = CP_EVENTS_KIND_FLOW,
		.is_audited = is_audited,
	};

	(void)snprintf(record.id, sizeof(record.id), "%s", id);
	record.flow.family = SN_FAMILY_IPV4;
	record.flow.direction = SN_EGRESS;
	record.flow.protocol = 6;
	record.flow.remote_port = htons(443);
	record.flow.reason = SN_REASON_NO_RULE;
	record.flow.remote[0] = 192;
	record.flow.remote[3] = 1;
	return record;
}

static struct cp_dns_name name_of(const char *text)
{
	struct cp_dns_name name;

	t_eq(cp_dns_name_parse(text, &name, NULL), 0);
	return name;
}

static struct cp_events_record ask(const char *id, const char *name)
{
	struct cp_events_record record = flow(id, 1, true);

	record.kind = CP_EVENTS_KIND_NAME;
	record.name = name_of(name);
	return record;
}

/* How many records the filter lets through from *seq on; lost ones apart. */
static unsigned int count(const struct cp_events_ring *ring,
			  const struct cp_events_filter *filter, uint64_t *seq,
			  uint64_t *n_lost)
{
	const struct cp_events_record *record;
	unsigned int n = 0;
	uint64_t lost;
	int r;

	*n_lost = 0;
	while ((r = cp_events_ring_read(ring, filter, seq, &record, &lost)) !=
	       CP_EVENTS_RING_E_END) {
		if (r == CP_EVENTS_RING_E_LOST)
			*n_lost += lost;
		else
			n++;
	}
	return n;
}

static void records_come_in_order_and_under_their_numbers(void)
{
	sn_cleanup(cp_events_ring_freep) struct cp_events_ring *ring = NULL;
	const struct cp_events_record *got;
	uint64_t seq = 1, n_lost;

	t_eq(cp_events_ring_new(&ring, 8), 0);
	t_eq(cp_events_ring_read(ring, NULL, &seq, &got, &n_lost),
	     CP_EVENTS_RING_E_END);
	for (int64_t i = 1; i <= 5; i++) {
		struct cp_events_record one = flow(ID_A, i, false);

		cp_events_ring_put(ring, &one);
		t_eq(cp_events_ring_read(ring, NULL, &seq, &got, &n_lost), 0);
		t_eq(got->seq, i);
		t_eq(got->time_ms, i);
		t_eq(seq, i + 1);
	}
	t_eq(cp_events_ring_read(ring, NULL, &seq, &got, &n_lost),
	     CP_EVENTS_RING_E_END);
}

static void a_reader_that_is_too_slow_is_told_exactly_what_it_missed(void)
{
	sn_cleanup(cp_events_ring_freep) struct cp_events_ring *ring = NULL;
	uint64_t seq = 1, n_lost;

	t_eq(cp_events_ring_new(&ring, 8), 0);
	for (int64_t i = 1; i <= 8; i++) {
		struct cp_events_record one = flow(ID_A, i, false);

		cp_events_ring_put(ring, &one);
	}
	seq = 3; /* has read two */
	t_eq(count(ring, NULL, &seq, &n_lost), 6);
	t_eq(n_lost, 0);
	for (int64_t i = 9; i <= 28; i++) {
		struct cp_events_record one = flow(ID_A, i, false);

		cp_events_ring_put(ring, &one);
	}
	t_eq(cp_events_ring_oldest(ring), 21);
	t_eq(count(ring, NULL, &seq, &n_lost), 8);
	t_eq(n_lost, 12); /* 9 to 20 */
	t_eq(seq, cp_events_ring_next(ring));
}

static void each_part_of_a_filter_counts(void)
{
	sn_cleanup(cp_events_ring_freep) struct cp_events_ring *ring = NULL;
	struct cp_events_filter filter = { .blocked_only = false };
	struct cp_events_record all[] = {
		flow(ID_A, 100, false),
		flow(ID_A, 200, true),
		flow(ID_B, 300, false),
		ask(ID_B, "a.test"),
	};
	uint64_t seq, n_lost;

	t_eq(cp_events_ring_new(&ring, 8), 0);
	all[3].time_ms = 400;
	for (size_t i = 0; i < SN_ARRAY_SIZE(all); i++)
		cp_events_ring_put(ring, &all[i]);
	t_eq(count(ring, &filter, (seq = 1, &seq), &n_lost), 4);
	filter.blocked_only = true;
	t_eq(count(ring, &filter, (seq = 1, &seq), &n_lost), 2);
	filter.blocked_only = false;
	filter.since_ms = 300;
	t_eq(count(ring, &filter, (seq = 1, &seq), &n_lost), 2);
	filter.since_ms = 0;
	filter.kinds = 1U << CP_EVENTS_KIND_NAME;
	t_eq(count(ring, &filter, (seq = 1, &seq), &n_lost), 1);
	filter.kinds = 0;
	(void)memcpy(filter.id, ID_A, sizeof(ID_A));
	t_eq(count(ring, &filter, (seq = 1, &seq), &n_lost), 2);
	filter.since_ms = 150;
	t_eq(count(ring, &filter, (seq = 1, &seq), &n_lost), 1);
}

static void a_loss_passes_every_filter_but_the_id(void)
{
	sn_cleanup(cp_events_ring_freep) struct cp_events_ring *ring = NULL;
	struct cp_events_filter filter = {
		.blocked_only = true,
		.kinds = 1U << CP_EVENTS_KIND_FLOW,
		.id = ID_A,
	};
	struct cp_events_record one = {
		.kind = CP_EVENTS_KIND_LOST,
		.n_lost = 3,
		.is_audited = true,
		.id = ID_A,
	};
	uint64_t seq = 1, n_lost;

	t_eq(cp_events_ring_new(&ring, 8), 0);
	cp_events_ring_put(ring, &one);
	(void)memcpy(one.id, ID_B, sizeof(ID_B));
	cp_events_ring_put(ring, &one);
	t_eq(count(ring, &filter, &seq, &n_lost), 1);
}

static struct cp_dns_address address_of(unsigned int i)
{
	struct cp_dns_address address = { .family = SN_FAMILY_IPV4 };
	uint32_t number = htonl(i);

	(void)memcpy(address.bytes, &number, sizeof(number));
	return address;
}

static void the_name_that_was_answered_last_is_the_one(void)
{
	sn_cleanup(cp_events_names_freep) struct cp_events_names *names = NULL;
	struct cp_dns_name a = name_of("a.test"), b = name_of("b.test");
	struct cp_dns_address one = address_of(1), two = address_of(2);
	const struct cp_dns_name *got;

	t_eq(cp_events_names_new(&names), 0);
	t_null(cp_events_names_get(names, &one));
	t_eq(cp_events_names_put(names, &one, &a), 0);
	t_eq(cp_events_names_put(names, &one, &b), 0);
	got = cp_events_names_get(names, &one);
	t_true(got && cp_dns_name_is_equal(got, &b));
	t_null(cp_events_names_get(names, &two));
	one.family = SN_FAMILY_IPV6;
	t_null(cp_events_names_get(names, &one));
}

static void names_are_bounded_and_the_oldest_goes_first(void)
{
	sn_cleanup(cp_events_names_freep) struct cp_events_names *names = NULL;
	struct cp_dns_name name = name_of("a.test");
	struct cp_dns_address address = address_of(0);

	t_eq(cp_events_names_new(&names), 0);
	for (unsigned int i = 0; i < 3 * CP_EVENTS_NAMES_MAX; i++) {
		address = address_of(i);
		t_eq(cp_events_names_put(names, &address, &name), 0);
		address = address_of(0);
		/* Answered all the time, so it stays. */
		t_eq(cp_events_names_put(names, &address, &name), 0);
	}
	for (unsigned int i = 1; i < 3 * CP_EVENTS_NAMES_MAX; i++) {
		address = address_of(i);
		t_eq(cp_events_names_get(names, &address) != NULL,
		     i > 2 * CP_EVENTS_NAMES_MAX);
	}
	address = address_of(0);
	t_not_null(cp_events_names_get(names, &address));
}

static void equal_destinations_are_one_row_with_a_count(void)
{
	sn_cleanup(cp_events_seen_freep) struct cp_events_seen *seen = NULL;
	struct cp_events_record one = flow(ID_A, 10, true);
	const struct cp_events_seen_row *row;

	t_eq(cp_events_seen_new(&seen), 0);
	t_eq(cp_events_seen_put(seen, &one), 0);
	one.time_ms = 30;
	one.is_audited = false;
	t_eq(cp_events_seen_put(seen, &one), 0);
	t_eq(cp_events_seen_count(seen), 1);
	row = cp_events_seen_get(seen, 0);
	t_eq(row->count, 2);
	t_eq(row->first_ms, 10);
	t_eq(row->last_ms, 30);
	t_eq(row->port, 443);
	t_false(row->is_audited);

	one.flow.remote_port = htons(80);
	t_eq(cp_events_seen_put(seen, &one), 0);
	one.flow.remote[3] = 2;
	t_eq(cp_events_seen_put(seen, &one), 0);
	t_eq(cp_events_seen_count(seen), 3);
	/* A call tells the process, its packets do not. */
	one.flow.comm[0] = 'x';
	t_eq(cp_events_seen_put(seen, &one), 0);
	one.flow.comm[0] = '\0';
	t_eq(cp_events_seen_put(seen, &one), 0);
	t_eq(cp_events_seen_count(seen), 3);
	t_str_eq(cp_events_seen_get(seen, 2)->comm, "x");
	one.flow.comm[0] = 'y';
	t_eq(cp_events_seen_put(seen, &one), 0);
	t_eq(cp_events_seen_count(seen), 4);
}

static void addresses_of_one_name_are_one_destination(void)
{
	sn_cleanup(cp_events_seen_freep) struct cp_events_seen *seen = NULL;
	struct cp_events_record one = flow(ID_A, 10, true);
	struct cp_events_record asked = ask(ID_A, "a.test");

	t_eq(cp_events_seen_new(&seen), 0);
	one.name = name_of("a.test");
	t_eq(cp_events_seen_put(seen, &one), 0);
	one.flow.remote[3] = 9;
	t_eq(cp_events_seen_put(seen, &one), 0);
	t_eq(cp_events_seen_count(seen), 1);
	t_eq(cp_events_seen_get(seen, 0)->address.bytes[3], 9);
	/* Asking for it is another thing than going there. */
	t_eq(cp_events_seen_put(seen, &asked), 0);
	t_eq(cp_events_seen_count(seen), 2);
}

static void what_came_in_and_what_has_no_address_is_no_destination(void)
{
	sn_cleanup(cp_events_seen_freep) struct cp_events_seen *seen = NULL;
	struct cp_events_record one = flow(ID_A, 10, true);
	struct cp_events_record asked = ask(ID_A, "a.test");

	t_eq(cp_events_seen_new(&seen), 0);
	one.flow.direction = SN_INGRESS;
	t_eq(cp_events_seen_put(seen, &one), 0);
	one.flow.direction = SN_EGRESS;
	one.flow.family = 0;
	t_eq(cp_events_seen_put(seen, &one), 0);
	asked.name.size = 0; /* redacted */
	t_eq(cp_events_seen_put(seen, &asked), 0);
	t_eq(cp_events_seen_count(seen), 0);
	t_eq(cp_events_seen_dropped(seen), 0);
}

static void destinations_are_bounded_and_the_rest_is_counted(void)
{
	sn_cleanup(cp_events_seen_freep) struct cp_events_seen *seen = NULL;
	struct cp_events_record one = flow(ID_A, 10, true);

	t_eq(cp_events_seen_new(&seen), 0);
	for (unsigned int i = 0; i < CP_EVENTS_SEEN_MAX + 100; i++) {
		one.flow.remote_port = htons((uint16_t)i);
		t_eq(cp_events_seen_put(seen, &one), 0);
	}
	t_eq(cp_events_seen_count(seen), CP_EVENTS_SEEN_MAX);
	t_eq(cp_events_seen_dropped(seen), 100);
	/* What is there goes on counting. */
	one.flow.remote_port = htons(5);
	t_eq(cp_events_seen_put(seen, &one), 0);
	t_eq(cp_events_seen_get(seen, 5)->count, 2);
}

static void a_site_has_a_rate_of_its_own(void)
{
	static struct cp_events_sites sites;
	struct cp_events_site *a = cp_events_site_need(&sites, ID_A);
	struct cp_events_site *b = cp_events_site_need(&sites, ID_B);

	t_true(a && b && a != b);
	t_true(cp_events_site_need(&sites, ID_A) == a);
	for (unsigned int i = 0; i < 10; i++)
		t_eq(cp_events_site_admit(a, 3, 5000 + i), i < 3);
	t_eq(a->n_limited, 7);
	t_true(cp_events_site_admit(b, 3, 5000));
	t_true(cp_events_site_admit(a, 3, 6000));
	cp_events_site_drop(&sites, ID_A);
	t_null(cp_events_site_get(&sites, ID_A));
	t_true(cp_events_site_get(&sites, ID_B) == b);
	cp_events_site_done(&sites);
	t_null(cp_events_site_get(&sites, ID_B));
}

T_MAIN("events", records_come_in_order_and_under_their_numbers,
       a_reader_that_is_too_slow_is_told_exactly_what_it_missed,
       each_part_of_a_filter_counts, a_loss_passes_every_filter_but_the_id,
       the_name_that_was_answered_last_is_the_one,
       names_are_bounded_and_the_oldest_goes_first,
       equal_destinations_are_one_row_with_a_count,
       addresses_of_one_name_are_one_destination,
       what_came_in_and_what_has_no_address_is_no_destination,
       destinations_are_bounded_and_the_rest_is_counted,
       a_site_has_a_rate_of_its_own)
