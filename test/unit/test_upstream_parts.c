// SPDX-License-Identifier: Apache-2.0

/* What the engine is made of, without a loop. */

#include "controld/upstream/frame.h"
#include "controld/upstream/ids.h"
#include "controld/upstream/query.h"
#include "controld/upstream/wheel.h"
#include "shared/util.h"
#include "test/unit/t.h"

static const struct cp_dns_name name = {
	.size = 13,
	.wire = "\7example\3com",
};

static struct cp_upstream_query make_query(void)
{
	return (struct cp_upstream_query){
		.name = &name,
		.case_mask = 0x15, /* letters 0, 2 and 4 */
		.id = 0x1234,
		.type = 28,
		.class = 1,
		.has_edns = true,
		.dnssec_ok = true,
	};
}

static void a_query_has_the_bytes_of_the_standard(void)
{
	static const uint8_t wanted[] = "\x12\x34\1\0\0\1\0\0\0\0\0\1"
					"\7ExAmPle\3com\0\0\x1c\0\1"
					"\0\0\x29\4\xd0\0\0\x80\0\0";
	struct cp_upstream_query query = make_query();
	uint8_t bytes[CP_UPSTREAM_QUERY_BYTES];

	t_eq(cp_upstream_query_write(&query, bytes), sizeof(wanted));
	t_mem_eq(bytes, wanted, sizeof(wanted));

	query.has_edns = false;
	query.checking_disabled = true;
	t_eq(cp_upstream_query_write(&query, bytes),
	     sizeof(wanted) - CP_UPSTREAM_QUERY_OPT);
	t_eq(bytes[3], 0x10);
	t_eq(bytes[11], 0);
}

static void the_longest_query_fits(void)
{
	struct cp_dns_name longest = { .size = 255 };
	struct cp_upstream_query query = make_query();
	uint8_t bytes[CP_UPSTREAM_QUERY_BYTES];

	(void)memset(longest.wire, 'a', sizeof(longest.wire));
	for (size_t i = 0; i < 254; i += 64)
		longest.wire[i] = i < 192 ? 63 : 61;
	longest.wire[254] = 0;
	query.name = &longest;
	t_eq(cp_upstream_query_write(&query, bytes), CP_UPSTREAM_QUERY_BYTES);
}

static void only_the_answer_to_the_query_matches(void)
{
	struct cp_upstream_query query = make_query();
	uint8_t answer[CP_UPSTREAM_QUERY_BYTES];
	size_t size = cp_upstream_query_write(&query, answer);
	size_t question = CP_UPSTREAM_QUERY_HEADER + name.size + 4U;

	t_eq(cp_upstream_query_match(&query, answer, size),
	     CP_UPSTREAM_QUERY_E_OTHER); /* no QR */
	answer[2] |= 0x80;
	t_eq(cp_upstream_query_match(&query, answer, size), 0);
	t_eq(cp_upstream_query_match(&query, answer, question), 0);
	for (size_t i = 0; i < question; i++)
		t_eq(cp_upstream_query_match(&query, answer, i),
		     CP_UPSTREAM_QUERY_E_OTHER);

	/* Any bit of id, opcode, count and question counts, and no other. */
	for (size_t i = 0; i < size * 8; i++) {
		size_t at = i / 8;
		uint8_t bit = (uint8_t)(1U << i % 8);
		bool is_letter = at > 12 && at < 24 && at != 20;
		bool counts = at < 2 || (at == 2 && (bit & 0xf8)) || at == 4 ||
			      at == 5 || (at >= 12 && at < question);
		int wanted = !counts ? 0 :
			     is_letter && bit == 0x20 ?
				       CP_UPSTREAM_QUERY_E_CASE :
				       CP_UPSTREAM_QUERY_E_OTHER;

		answer[at] ^= bit;
		if (cp_upstream_query_match(&query, answer, size) != wanted)
			t_fail("bit %u of byte %zu", bit, at);
		answer[at] ^= bit;
	}
}

static void a_bare_error_is_told_apart(void)
{
	uint8_t answer[CP_UPSTREAM_QUERY_HEADER] = { 0x12, 0x34, 0x81, 1 };
	struct cp_upstream_query query = make_query();

	t_eq(cp_upstream_query_match(&query, answer, sizeof(answer)),
	     CP_UPSTREAM_QUERY_E_BARE);
	answer[3] = CP_UPSTREAM_QUERY_SERVFAIL;
	t_eq(cp_upstream_query_match(&query, answer, sizeof(answer)),
	     CP_UPSTREAM_QUERY_E_OTHER);
	answer[3] = CP_UPSTREAM_QUERY_NOTIMP;
	answer[1] ^= 1;
	t_eq(cp_upstream_query_match(&query, answer, sizeof(answer)),
	     CP_UPSTREAM_QUERY_E_OTHER);
}

static void cleaning_takes_id_and_case_out(void)
{
	struct cp_upstream_query query = make_query();
	uint8_t answer[CP_UPSTREAM_QUERY_BYTES];

	(void)cp_upstream_query_write(&query, answer);
	cp_upstream_query_clean(&query, answer);
	t_eq(cp_upstream_query_id(answer), 0);
	t_mem_eq(answer + CP_UPSTREAM_QUERY_HEADER, name.wire, name.size);
}

/* Three messages, in pieces of `step` bytes. */
static void frames_come_in_pieces_of(size_t step)
{
	static uint8_t bytes[2 + 65535 + 2 + 12 + 2 + 5000];
	static const size_t sizes[] = { 65535, 12, 5000 };
	struct cp_upstream_frame frame = { .bytes = NULL };
	size_t n_messages = 0, at = 0;

	for (int i = 0; i < 3; i++) {
		bytes[at] = (uint8_t)(sizes[i] >> 8);
		bytes[at + 1] = (uint8_t)sizes[i];
		(void)memset(bytes + at + 2, 'a' + i, sizes[i]);
		at += 2 + sizes[i];
	}
	for (size_t i = 0; i < sizeof(bytes); i += step) {
		size_t left = SN_MIN(step, sizeof(bytes) - i);
		const uint8_t *data = bytes + i;
		uint8_t *message;
		size_t size;
		int r;

		while ((r = cp_upstream_frame_take(&frame, &data, &left,
						   &message, &size)) == 0) {
			t_eq(size, sizes[n_messages]);
			t_eq(message[0], 'a' + (int)n_messages);
			t_eq(message[size - 1], 'a' + (int)n_messages);
			n_messages++;
		}
		t_eq(r, CP_UPSTREAM_FRAME_E_MORE);
		t_eq(left, 0);
	}
	t_eq(n_messages, 3);
	t_true(frame.room <= 5000);
	cp_upstream_frame_done(&frame);
}

static void frames_come_in_any_pieces(void)
{
	frames_come_in_pieces_of(1);
	frames_come_in_pieces_of(2);
	frames_come_in_pieces_of(13);
	frames_come_in_pieces_of(1400);
	frames_come_in_pieces_of(100000);
}

static void a_frame_below_a_header_is_broken(void)
{
	for (uint8_t length = 0; length < 12; length++) {
		struct cp_upstream_frame frame = { .bytes = NULL };
		const uint8_t bytes[] = { 0, length, 1 };
		const uint8_t *data = bytes;
		size_t left = sizeof(bytes), size;
		uint8_t *message;

		t_eq(cp_upstream_frame_take(&frame, &data, &left, &message,
					    &size),
		     CP_UPSTREAM_FRAME_E_BROKEN);
		cp_upstream_frame_done(&frame);
	}
}

static void ids_are_distinct_and_random(void)
{
	enum { N = CP_UPSTREAM_IDS_MAX };
	static struct cp_upstream_id ids[N];
	static uint8_t high[256], low[256];
	struct cp_upstream_ids all = { .n = 0 };
	struct cp_upstream_random random = { .left = 0 };
	unsigned int n_high = 0, n_low = 0;

	for (int i = 0; i < N; i++) {
		cp_upstream_ids_put(&all, &random, &ids[i]);
		n_high += high[ids[i].value >> 8]++ == 0;
		n_low += low[ids[i].value & 0xff]++ == 0;
	}
	/* Of 256 values each is missing with a chance of 2 in 100: below 200
	 * is out of the question. */
	t_true(n_high > 200 && n_low > 200);
	for (int i = 0; i < N; i++)
		t_true(cp_upstream_ids_get(&all, ids[i].value) == &ids[i]);
	for (int i = 0; i < N; i++)
		cp_upstream_ids_remove(&all, &ids[i], 0);
	t_eq(all.n, 0);
	t_null(cp_upstream_ids_first(&all));
	t_false(cp_upstream_ids_take_late(&all, ids[0].value));
}

static void late_ids_are_known_as_often_as_awaited(void)
{
	enum { N = 2 * CP_UPSTREAM_IDS_LATE };
	static struct cp_upstream_id ids[N];
	struct cp_upstream_ids all = { .n = 0 };
	struct cp_upstream_random random = { .left = 0 };
	unsigned int n_late = 0;

	for (int i = 0; i < N; i++)
		cp_upstream_ids_put(&all, &random, &ids[i]);
	for (int i = 0; i < N; i++)
		cp_upstream_ids_remove(&all, &ids[i], 1);
	t_true(cp_upstream_ids_take_late(&all, ids[N - 1].value));
	t_false(cp_upstream_ids_take_late(&all, ids[N - 1].value));
	t_false(cp_upstream_ids_take_late(&all, ids[0].value));
	for (int i = 0; i < N; i++)
		n_late += cp_upstream_ids_take_late(&all, ids[i].value);
	t_eq(n_late, CP_UPSTREAM_IDS_LATE - 1);

	cp_upstream_ids_put(&all, &random, &ids[0]);
	cp_upstream_ids_remove(&all, &ids[0], 3);
	for (int i = 0; i < 3; i++)
		t_true(cp_upstream_ids_take_late(&all, ids[0].value));
	t_false(cp_upstream_ids_take_late(&all, ids[0].value));
}

static void deadlines_come_in_time_and_never_early(void)
{
	enum { N = 3000 };
	static struct cp_upstream_deadline deadlines[N];
	static uint64_t at_ms[N];
	struct cp_upstream_wheel wheel = { .n = 0 };
	struct cp_upstream_deadline *one;
	uint64_t start = 1000003;
	int n_taken = 0;

	for (int i = 0; i < N; i++) {
		at_ms[i] = start + (uint64_t)(i * 7919 % 30000);
		cp_upstream_wheel_put(&wheel, &deadlines[i], at_ms[i], start);
	}
	for (int i = 0; i < N; i += 3)
		cp_upstream_wheel_remove(&wheel, &deadlines[i]);
	for (uint64_t now = start; now < start + 31000; now += 5) {
		while ((one = cp_upstream_wheel_take(&wheel, now))) {
			size_t i = (size_t)(one - deadlines);

			t_true(i % 3 != 0);
			t_true(at_ms[i] <= now);
			t_true(now - at_ms[i] < 5 + CP_UPSTREAM_WHEEL_TICK_MS);
			n_taken++;
		}
	}
	t_eq(n_taken, N - N / 3);
	t_eq(wheel.n, 0);
}

static void deadlines_survive_a_stop_and_changes(void)
{
	struct cp_upstream_deadline a = { .tick = 0 }, b = a, c = a;
	struct cp_upstream_wheel wheel = { .n = 0 };

	cp_upstream_wheel_put(&wheel, &a, 1000, 900);
	cp_upstream_wheel_put(&wheel, &b, 2000, 900);
	cp_upstream_wheel_put(&wheel, &c, 900000, 900);
	cp_upstream_wheel_put(&wheel, &b, 1500000, 900); /* set anew */
	t_true(cp_upstream_wheel_take(&wheel, 1000000) != &b);
	/* The one that is due already may be lifted as well. */
	cp_upstream_wheel_remove(&wheel, &a);
	cp_upstream_wheel_remove(&wheel, &c);
	t_null(cp_upstream_wheel_take(&wheel, 1000000));
	t_true(cp_upstream_wheel_take(&wheel, 1500008) == &b);
	t_eq(wheel.n, 0);
	cp_upstream_wheel_put(&wheel, &a, 5, 1600000); /* passed already */
	t_true(cp_upstream_wheel_take(&wheel, 1600000) == &a);
}

T_MAIN("upstream_parts", a_query_has_the_bytes_of_the_standard,
       the_longest_query_fits, only_the_answer_to_the_query_matches,
       a_bare_error_is_told_apart, cleaning_takes_id_and_case_out,
       frames_come_in_any_pieces, a_frame_below_a_header_is_broken,
       ids_are_distinct_and_random, late_ids_are_known_as_often_as_awaited,
       deadlines_come_in_time_and_never_early,
       deadlines_survive_a_stop_and_changes)
