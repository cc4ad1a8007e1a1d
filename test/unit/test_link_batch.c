/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/link/batch.h"

#include "controld/link/scan.h"
#include "test/unit/t.h"
#include "test/unit/test_link_peer.h"

enum {
	ROW_BYTES = sizeof(struct sn_rule_key) + sizeof(struct sn_rule_value),
	ROWS_PER_RECORD = (SN_IPC_RECORD_BYTES - sizeof(struct sn_ipc_header) -
			   sizeof(struct sn_ipc_table)) /
			  ROW_BYTES,
};

struct outcome {
	unsigned int n;
	int status;
	uint32_t index;
	uint32_t applied;
	uint8_t deleted[16];
};

static void completed(void *userdata, const struct cp_link_batch_result *result)
{
	struct outcome *outcome = userdata;

	outcome->n++;
	outcome->status = result->status;
	outcome->index = result->index;
	outcome->applied = result->applied;
	if (result->deleted)
		(void)memcpy(outcome->deleted, result->deleted,
			     SN_MIN(result->n_rows,
				    (uint32_t)sizeof(outcome->deleted)));
}

/* Rows whose key's slot is their number. */
static void *make_rows(uint32_t n, size_t row_bytes)
{
	uint8_t *rows = calloc(n, row_bytes);

	t_not_null(rows);
	for (uint32_t i = 0; i < n; i++)
		(void)memcpy(rows + i * row_bytes, &i, sizeof(i));
	return rows;
}

/* Receives one record and applies what of it is before `refused`. */
static void serve_put(struct peer *peer, uint32_t *next, uint32_t refused)
{
	const struct sn_ipc_table *body = peer_body(peer);
	struct peer_answer answer = { .type = SN_IPC_TABLE_PUT };
	uint32_t first, n;

	peer_receive(peer, SN_IPC_TABLE_PUT);
	n = peer->header.n_rows;
	(void)memcpy(&first, body + 1, sizeof(first));
	t_eq(first, *next);
	*next += n;
	answer.seq = peer->header.seq;
	answer.status.applied = n;
	answer.status.index = n;
	if (refused >= first && refused < first + n) {
		answer.status.status = -ENOSPC;
		answer.status.applied = refused - first;
		answer.status.index = refused - first;
	}
	peer_answer(peer, &answer);
}

static void rows_go_in_order_and_only_the_last_record_narrows(void)
{
	enum { N = 20 * ROWS_PER_RECORD + 7 };
	const struct sn_ipc_table table = { .table = SN_TABLE_RULES,
					    .flags = SN_IPC_TABLE_NARROW,
					    .slot = 3,
					    .generation = 4 };
	struct peer peer;
	struct owner owner = { 0 };
	struct outcome outcome = { 0 };
	const struct sn_ipc_table *body;
	struct cp_link *link;
	uint32_t next = 0;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_batch_send(link, SN_IPC_TABLE_PUT, &table,
				make_rows(N, ROW_BYTES), N, completed,
				&outcome),
	     0);
	body = peer_body(&peer);
	for (int i = 0; i < 21; i++) {
		t_eq(outcome.n, 0);
		serve_put(&peer, &next, UINT32_MAX);
		t_eq(body->slot, 3);
		t_eq(body->generation, 4);
		t_eq(body->flags, i == 20 ? SN_IPC_TABLE_NARROW : 0);
	}
	PEER_RUN_UNTIL(&peer, outcome.n == 1);
	t_eq(next, N);
	t_eq(outcome.status, 0);
	t_eq(outcome.index, N);
	t_eq(outcome.applied, N);
	owner_close(&peer, &owner, link);
}

static void few_records_are_on_their_way_at_a_time(void)
{
	enum { N = 20 * ROWS_PER_RECORD };
	const struct sn_ipc_table table = { .table = SN_TABLE_RULES };
	struct peer peer;
	struct owner owner = { 0 };
	struct outcome outcome = { 0 };
	struct cp_link *link;
	unsigned int n = 0;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_batch_send(link, SN_IPC_TABLE_PUT, &table,
				make_rows(N, ROW_BYTES), N, completed,
				&outcome),
	     0);
	for (int i = 0; i < 50; i++) {
		(void)uv_run(&peer.loop, UV_RUN_ONCE);
		while (peer_try_receive(&peer))
			n++;
	}
	t_eq(n, CP_LINK_BATCH_OUTSTANDING);
	owner_close(&peer, &owner, link);
	t_eq(outcome.n, 1);
	t_eq(outcome.status, -ECONNRESET);
}

static void first_error_ends_the_batch_and_names_its_row(void)
{
	enum { N = 30 * ROWS_PER_RECORD, REFUSED = 2 * ROWS_PER_RECORD + 5 };
	const struct sn_ipc_table table = { .table = SN_TABLE_RULES };
	struct peer peer;
	struct owner owner = { 0 };
	struct outcome outcome = { 0 };
	struct cp_link *link;
	uint32_t next = 0;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_batch_send(link, SN_IPC_TABLE_PUT, &table,
				make_rows(N, ROW_BYTES), N, completed,
				&outcome),
	     0);
	/* Two good answers let two more records go. */
	for (int i = 0; i < CP_LINK_BATCH_OUTSTANDING + 2; i++)
		serve_put(&peer, &next, REFUSED);
	PEER_RUN_UNTIL(&peer, outcome.n == 1);
	t_eq(outcome.status, -ENOSPC);
	t_eq(outcome.index, REFUSED);
	t_eq(outcome.applied, next - ROWS_PER_RECORD + 5);
	for (int i = 0; i < 20; i++)
		(void)uv_run(&peer.loop, UV_RUN_ONCE);
	t_false(peer_try_receive(&peer));
	owner_close(&peer, &owner, link);
}

static void batch_without_rows_is_one_empty_record(void)
{
	const struct sn_ipc_table table = { .table = SN_TABLE_PREFIXES,
					    .flags = SN_IPC_TABLE_NARROW };
	struct peer peer;
	struct owner owner = { 0 };
	struct outcome outcome = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_batch_send(link, SN_IPC_TABLE_PUT, &table, NULL, 0,
				completed, &outcome),
	     0);
	peer_receive(&peer, SN_IPC_TABLE_PUT);
	t_eq(peer.header.n_rows, 0);
	t_eq(((const struct sn_ipc_table *)peer_body(&peer))->flags,
	     SN_IPC_TABLE_NARROW);
	peer_reply(&peer, 0);
	PEER_RUN_UNTIL(&peer, outcome.n == 1);
	t_eq(outcome.status, 0);
	owner_close(&peer, &owner, link);
}

static void deletions_say_what_became_of_each_row(void)
{
	const struct sn_ipc_table table = { .table = SN_TABLE_RULES,
					    .flags = SN_IPC_TABLE_UNUSED };
	const uint8_t said[] = { SN_IPC_DELETED_GONE, SN_IPC_DELETED_IN_USE,
				 SN_IPC_DELETED_ABSENT };
	struct peer_answer answer = { .type = SN_IPC_TABLE_DEL,
				      .status.applied = 1,
				      .rows = said,
				      .n_rows = 3,
				      .row_bytes = 1 };
	struct peer peer;
	struct owner owner = { 0 };
	struct outcome outcome = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_batch_send(link, SN_IPC_TABLE_DEL, &table,
				make_rows(3, sizeof(struct sn_rule_key)), 3,
				completed, &outcome),
	     0);
	peer_receive(&peer, SN_IPC_TABLE_DEL);
	t_eq(((const struct sn_ipc_table *)peer_body(&peer))->flags,
	     SN_IPC_TABLE_UNUSED);
	answer.seq = peer.header.seq;
	peer_answer(&peer, &answer);
	PEER_RUN_UNTIL(&peer, outcome.n == 1);
	t_eq(outcome.status, 0);
	t_eq(outcome.applied, 1);
	t_mem_eq(outcome.deleted, said, 3);
	owner_close(&peer, &owner, link);
}

static void refused_batch_leaves_the_rows_with_the_caller(void)
{
	const struct sn_ipc_table table = { .table = SN_TABLE_RULES };
	sn_cleanup(sn_freep) void *rows = make_rows(1, ROW_BYTES);
	struct peer peer;
	struct owner owner = { 0 };
	struct outcome outcome = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_link(&peer, &owner, 0, 0);
	t_eq(cp_link_batch_send(link, SN_IPC_TABLE_PUT, &table, rows, 1,
				completed, &outcome),
	     -ENOTCONN);
	t_eq(cp_link_batch_send(link, SN_IPC_STATS, &table, rows, 1, completed,
				&outcome),
	     -EINVAL);
	t_eq(outcome.n, 0);
	owner_close(&peer, &owner, link);
}

struct scanned {
	unsigned int n_done;
	int status;
	uint64_t deleted;
	unsigned int n_rows;
	uint32_t last_slot;
	uint8_t last_value;
};

static void row_seen(void *userdata, const void *key, const void *value)
{
	struct scanned *scanned = userdata;
	struct sn_rule_key copy;

	(void)memcpy(&copy, key, sizeof(copy));
	scanned->last_slot = copy.slot;
	scanned->last_value = *(const uint8_t *)value;
	scanned->n_rows++;
}

static void target_seen(void *userdata, const struct sn_ipc_target *target)
{
	struct scanned *scanned = userdata;

	scanned->last_slot = target->slot;
	scanned->n_rows++;
}

static void scan_done(void *userdata, int status, uint64_t deleted)
{
	struct scanned *scanned = userdata;

	scanned->n_done++;
	scanned->status = status;
	scanned->deleted = deleted;
}

/* One page; its cursor is the page's number. */
static void serve_page(struct peer *peer, enum sn_ipc_type type, uint8_t number,
		       uint32_t n_rows, bool is_last)
{
	uint8_t rows[4 * ROW_BYTES] = { 0 };
	const struct sn_ipc_page *page = peer_body(peer);
	struct sn_ipc_page_answer body = { .done = is_last, .deleted = 10 };
	struct peer_answer answer = { .type = (uint16_t)type,
				      .body = &body,
				      .rows = rows,
				      .n_rows = n_rows,
				      .row_bytes = ROW_BYTES };

	for (uint32_t i = 0; i < n_rows; i++) {
		uint32_t slot = number * 10U + i;

		(void)memcpy(rows + i * ROW_BYTES, &slot, sizeof(slot));
		rows[i * ROW_BYTES + sizeof(struct sn_rule_key)] = number;
	}
	peer_receive(peer, type);
	t_eq(page->slot, 6);
	t_eq(page->cursor[0], number);
	body.cursor[0] = (uint8_t)(number + 1);
	answer.seq = peer->header.seq;
	peer_answer(peer, &answer);
}

static void scan_walks_every_page(void)
{
	const struct sn_ipc_page page = { .table = SN_TABLE_RULES, .slot = 6 };
	struct peer peer;
	struct owner owner = { 0 };
	struct scanned scanned = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_scan_table(link, SN_IPC_TABLE_GET, &page, row_seen,
				scan_done, &scanned),
	     0);
	serve_page(&peer, SN_IPC_TABLE_GET, 0, 4, false);
	serve_page(&peer, SN_IPC_TABLE_GET, 1, 0, false);
	serve_page(&peer, SN_IPC_TABLE_GET, 2, 3, true);
	PEER_RUN_UNTIL(&peer, scanned.n_done == 1);
	t_eq(scanned.status, 0);
	t_eq(scanned.n_rows, 7);
	t_eq(scanned.last_slot, 22);
	t_eq(scanned.last_value, 2);
	owner_close(&peer, &owner, link);
}

static void sweep_adds_up_what_was_deleted(void)
{
	const struct sn_ipc_page page = { .table = SN_TABLE_RULES, .slot = 6 };
	struct peer peer;
	struct owner owner = { 0 };
	struct scanned scanned = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_scan_table(link, SN_IPC_TABLE_SWEEP, &page, NULL,
				scan_done, &scanned),
	     0);
	for (uint8_t i = 0; i < 3; i++)
		serve_page(&peer, SN_IPC_TABLE_SWEEP, i, 0, i == 2);
	PEER_RUN_UNTIL(&peer, scanned.n_done == 1);
	t_eq(scanned.deleted, 30);
	owner_close(&peer, &owner, link);
}

static void scan_ends_with_the_first_error(void)
{
	const struct sn_ipc_page page = { .table = SN_TABLE_RULES, .slot = 6 };
	struct peer peer;
	struct owner owner = { 0 };
	struct scanned scanned = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_scan_table(link, SN_IPC_TABLE_GET, &page, row_seen,
				scan_done, &scanned),
	     0);
	serve_page(&peer, SN_IPC_TABLE_GET, 0, 1, false);
	peer_receive(&peer, SN_IPC_TABLE_GET);
	peer_reply(&peer, -EINVAL);
	PEER_RUN_UNTIL(&peer, scanned.n_done == 1);
	t_eq(scanned.status, -EINVAL);
	t_eq(scanned.n_rows, 1);

	t_eq(cp_link_scan_table(link, SN_IPC_TABLE_GET, &page, row_seen,
				scan_done, &scanned),
	     0);
	peer_receive(&peer, SN_IPC_TABLE_GET);
	sn_closep(&peer.fd);
	PEER_RUN_UNTIL(&peer, scanned.n_done == 2);
	t_eq(scanned.status, -ECONNRESET);
	owner_close(&peer, &owner, link);
}

static void list_walks_every_page(void)
{
	struct sn_ipc_target targets[2] = { { .slot = 1 }, { .slot = 2 } };
	struct sn_ipc_list_answer body = { .next_slot = 3 };
	struct peer_answer answer = { .type = SN_IPC_LIST,
				      .body = &body,
				      .rows = targets,
				      .n_rows = 2,
				      .row_bytes = sizeof(targets[0]) };
	struct peer peer;
	struct owner owner = { 0 };
	struct scanned scanned = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_scan_list(link, target_seen, scan_done, &scanned), 0);
	peer_receive(&peer, SN_IPC_LIST);
	answer.seq = peer.header.seq;
	peer_answer(&peer, &answer);
	peer_receive(&peer, SN_IPC_LIST);
	t_eq(((const struct sn_ipc_list *)peer_body(&peer))->first_slot, 3);
	targets[0].slot = 5;
	body.next_slot = 0;
	answer.n_rows = 1;
	answer.seq = peer.header.seq;
	peer_answer(&peer, &answer);
	PEER_RUN_UNTIL(&peer, scanned.n_done == 1);
	t_eq(scanned.status, 0);
	t_eq(scanned.n_rows, 3);
	t_eq(scanned.last_slot, 5);
	owner_close(&peer, &owner, link);
}

T_MAIN("link_batch", rows_go_in_order_and_only_the_last_record_narrows,
       few_records_are_on_their_way_at_a_time,
       first_error_ends_the_batch_and_names_its_row,
       batch_without_rows_is_one_empty_record,
       deletions_say_what_became_of_each_row,
       refused_batch_leaves_the_rows_with_the_caller, scan_walks_every_page,
       sweep_adds_up_what_was_deleted, scan_ends_with_the_first_error,
       list_walks_every_page)
