/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/ipc.h"

#include <errno.h>
#include <sys/socket.h>

#include "test/unit/t.h"

static _Alignas(8) uint8_t record[SN_IPC_RECORD_BYTES + 8];

/* A legal request of this type; rows of `row` bytes. */
static size_t make(uint16_t type, size_t fixed, uint32_t n_rows, size_t row)
{
	struct sn_ipc_header *header = (void *)record;
	size_t size = sizeof(*header) + fixed + n_rows * row;

	(void)memset(record, 0, sizeof(record));
	*header = (struct sn_ipc_header){ .type = type,
					  .seq = 1,
					  .size = (uint32_t)size,
					  .n_rows = n_rows };
	return size;
}

static size_t make_answer(uint16_t type, size_t fixed, uint32_t n_rows,
			  size_t row)
{
	size_t size =
		make(type, sizeof(struct sn_ipc_status) + fixed, n_rows, row);

	((struct sn_ipc_header *)(void *)record)->is_answer = 1;
	return size;
}

static int check(size_t size)
{
	const char *why = NULL;
	int r = sn_ipc_check_request(record, size, 0, SN_IPC_STATE_READY, &why);

	t_true((r == 0) == (why == NULL));
	return r;
}

static int check_answer(size_t size)
{
	const char *why = NULL;
	int r = sn_ipc_check_answer(record, size, 0, &why);

	t_true((r == 0) == (why == NULL));
	return r;
}

static void every_type_has_its_row_and_no_other_number_has(void)
{
	size_t n = 0;

	for (uint32_t type = 0; type <= UINT16_MAX; type++) {
		const struct sn_ipc_info *info =
			sn_ipc_info_get((uint16_t)type);

		if (!info)
			continue;
		n++;
		t_true(type >= SN_IPC_HELLO && type < SN_IPC_TYPE_END);
		t_not_null(info->name);
	}
	t_eq(n, SN_IPC_TYPE_END - 1);
	t_str_eq(sn_ipc_info_get(SN_IPC_FLIP)->name, "FLIP");
}

static void legal_request_of_every_type_passes(void)
{
	for (uint16_t type = 1; type < SN_IPC_TYPE_END; type++) {
		const struct sn_ipc_info *info = sn_ipc_info_get(type);
		const char *why = NULL;
		size_t size = make(type, info->request_bytes, 0, 0);

		t_eq(sn_ipc_check_request(record, size, info->fds_in,
					  (enum sn_ipc_state)info->states,
					  &why),
		     0);
	}
}

static void request_of_any_other_length_is_refused(void)
{
	for (uint16_t type = 1; type < SN_IPC_TYPE_END; type++) {
		const struct sn_ipc_info *info = sn_ipc_info_get(type);
		size_t size = make(type, info->request_bytes, 0, 0);
		struct sn_ipc_header *header = (void *)record;
		const char *why = NULL;

		for (size_t cut = 0; cut <= size + 8; cut++) {
			if (cut == size)
				continue;
			header->size = (uint32_t)cut;
			t_eq(sn_ipc_check_request(
				     record, cut, 0,
				     (enum sn_ipc_state)info->states, &why),
			     -EPROTO);
		}
	}
}

static void size_in_the_header_is_the_records(void)
{
	size_t size = make(SN_IPC_STATS, sizeof(struct sn_ipc_empty), 0, 0);

	((struct sn_ipc_header *)(void *)record)->size++;
	t_eq(check(size), -EPROTO);
}

static void record_beyond_the_limit_is_refused(void)
{
	struct sn_ipc_header *header = (void *)record;

	(void)make(SN_IPC_STATS, sizeof(struct sn_ipc_empty), 0, 0);
	header->size = SN_IPC_RECORD_BYTES + 1;
	t_eq(check(SN_IPC_RECORD_BYTES + 1), -EPROTO);
}

static void unknown_types_are_refused(void)
{
	size_t size = make(0, sizeof(struct sn_ipc_empty), 0, 0);

	t_eq(check(size), -EPROTO);
	size = make(SN_IPC_TYPE_END, sizeof(struct sn_ipc_empty), 0, 0);
	t_eq(check(size), -EPROTO);
	size = make(UINT16_MAX, sizeof(struct sn_ipc_empty), 0, 0);
	t_eq(check(size), -EPROTO);
}

static void direction_is_checked(void)
{
	size_t size = make(SN_IPC_STATS, sizeof(struct sn_ipc_empty), 0, 0);

	t_eq(check_answer(size), -EPROTO);
	((struct sn_ipc_header *)(void *)record)->is_answer = 1;
	t_eq(check(size), -EPROTO);
	((struct sn_ipc_header *)(void *)record)->is_answer = 2;
	t_eq(check(size), -EPROTO);
}

static void only_hello_is_legal_before_it_and_only_then(void)
{
	for (uint16_t type = 1; type < SN_IPC_TYPE_END; type++) {
		size_t size =
			make(type, sn_ipc_info_get(type)->request_bytes, 0, 0);
		const char *why = NULL;

		t_eq(sn_ipc_check_request(record, size, 0, SN_IPC_STATE_NEW,
					  &why),
		     type == SN_IPC_HELLO ? 0 : -EPROTO);
		t_eq(sn_ipc_check_request(record, size, 0, SN_IPC_STATE_READY,
					  &why),
		     type == SN_IPC_HELLO ? -EPROTO : 0);
	}
}

static void fds_are_bounded_by_the_type(void)
{
	const char *why = NULL;
	size_t size = make(SN_IPC_ATTACH, sizeof(struct sn_ipc_attach), 0, 0);

	t_eq(sn_ipc_check_request(record, size, 1, SN_IPC_STATE_READY, &why),
	     0);
	t_eq(sn_ipc_check_request(record, size, 2, SN_IPC_STATE_READY, &why),
	     -EPROTO);
	size = make(SN_IPC_DETACH, sizeof(struct sn_ipc_detach), 0, 0);
	t_eq(sn_ipc_check_request(record, size, 1, SN_IPC_STATE_READY, &why),
	     -EPROTO);
}

static void padding_is_zero(void)
{
	static const struct {
		uint16_t type;
		size_t fixed;
		size_t offset;
	} rows[] = {
		{ SN_IPC_LIST, sizeof(struct sn_ipc_list), 7 },
		{ SN_IPC_ATTACH, sizeof(struct sn_ipc_attach), 28 },
		{ SN_IPC_ATTACH, sizeof(struct sn_ipc_attach), 31 },
		{ SN_IPC_DETACH, sizeof(struct sn_ipc_detach), 20 },
		{ SN_IPC_FLIP, sizeof(struct sn_ipc_flip), 4 },
		{ SN_IPC_FDS, sizeof(struct sn_ipc_empty), 0 },
		{ SN_IPC_STATS, sizeof(struct sn_ipc_empty), 7 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = make(rows[i].type, rows[i].fixed, 0, 0);

		t_eq(check(size), 0);
		record[sizeof(struct sn_ipc_header) + rows[i].offset] = 1;
		t_eq(check(size), -EPROTO);
	}
}

static void rows_have_the_tables_size_and_fill_the_record(void)
{
	const size_t fixed = sizeof(struct sn_ipc_table);
	const size_t row =
		sizeof(struct sn_rule_key) + sizeof(struct sn_rule_value);
	size_t size = make(SN_IPC_TABLE_PUT, fixed, 340, row);
	struct sn_ipc_header *header = (void *)record;

	t_eq(check(size), 0);
	header->n_rows = 339;
	t_eq(check(size), -EPROTO);
	header->n_rows = UINT32_MAX;
	t_eq(check(size), -EPROTO);
	header->n_rows = 0;
	t_eq(check(size), -EPROTO);
	size = make(SN_IPC_TABLE_DEL, fixed, 3, sizeof(struct sn_rule_key));
	t_eq(check(size), 0);
	size = make(SN_IPC_TABLE_DEL, fixed, 1, row);
	t_eq(check(size), -EPROTO);
	size = make(SN_IPC_TABLE_GET, sizeof(struct sn_ipc_page), 2,
		    sizeof(struct sn_rule_key));
	t_eq(check(size), 0);
}

static void row_count_that_overflows_is_refused(void)
{
	size_t size = make(SN_IPC_TABLE_PUT, sizeof(struct sn_ipc_table), 0, 0);

	/* 2^26 rows of 192 bytes are 0 in 32 bits. */
	((struct sn_ipc_header *)(void *)record)->n_rows = 1U << 26;
	t_eq(check(size), -EPROTO);
}

static void unknown_table_is_refused(void)
{
	size_t size = make(SN_IPC_TABLE_PUT, sizeof(struct sn_ipc_table), 0, 0);
	struct sn_ipc_table *table =
		(void *)(record + sizeof(struct sn_ipc_header));

	table->table = SN_TABLE_COUNT;
	t_eq(check(size), -EPROTO);
	table->table = UINT32_MAX;
	t_eq(check(size), -EPROTO);
}

static void rows_in_a_type_without_them_are_refused(void)
{
	size_t size = make(SN_IPC_STATS, sizeof(struct sn_ipc_empty), 0, 0);

	((struct sn_ipc_header *)(void *)record)->n_rows = 1;
	t_eq(check(size), -EPROTO);
	size = make_answer(SN_IPC_STATS, sizeof(struct sn_ipc_stats_answer), 0,
			   0);
	t_eq(check_answer(size), 0);
	((struct sn_ipc_header *)(void *)record)->n_rows = 1;
	t_eq(check_answer(size), -EPROTO);
}

static void answers_carry_an_errno_and_their_rows(void)
{
	const size_t fixed = sizeof(struct sn_ipc_page_answer);
	const size_t row = sizeof(struct sn_flow_key) + sizeof(struct sn_flow);
	struct sn_ipc_status *status =
		(void *)(record + sizeof(struct sn_ipc_header));
	size_t size = make_answer(SN_IPC_TABLE_GET, fixed, 5, row);

	t_eq(check_answer(size), 0);
	status->status = -EINVAL;
	t_eq(check_answer(size), 0);
	status->status = 1;
	t_eq(check_answer(size), -EPROTO);
	status->status = -4096;
	t_eq(check_answer(size), -EPROTO);
	size = make_answer(SN_IPC_TABLE_GET, fixed, 5, row + 1);
	t_eq(check_answer(size), -EPROTO);
	size = make_answer(SN_IPC_TABLE_GET, fixed, 0, 0);
	t_eq(check_answer(size), 0);
	((struct sn_ipc_header *)(void *)record)->size++;
	t_eq(check_answer(size + 1), -EPROTO);
	size = make_answer(SN_IPC_TABLE_DEL, sizeof(struct sn_ipc_empty), 9, 1);
	t_eq(check_answer(size), 0);
	status->pad = 1;
	t_eq(check_answer(size), -EPROTO);
	size = make_answer(SN_IPC_LIST, sizeof(struct sn_ipc_list_answer), 2,
			   sizeof(struct sn_ipc_target));
	t_eq(check_answer(size), 0);
}

static void answer_fds_are_bounded_by_the_type(void)
{
	const char *why = NULL;
	size_t size =
		make_answer(SN_IPC_FDS, sizeof(struct sn_ipc_fds_answer), 0, 0);

	t_eq(sn_ipc_check_answer(record, size, 3, &why), 0);
	t_eq(sn_ipc_check_answer(record, size, SN_IPC_FDS_MAX + 1, &why),
	     -EPROTO);
	size = make_answer(SN_IPC_STATS, sizeof(struct sn_ipc_stats_answer), 0,
			   0);
	t_eq(sn_ipc_check_answer(record, size, 1, &why), -EPROTO);
}

static void record_and_fds_cross_a_socket(void)
{
	static _Alignas(8) uint8_t got[SN_IPC_RECORD_BYTES];
	size_t size = make(SN_IPC_STATS, sizeof(struct sn_ipc_empty), 0, 0);
	int fds[SN_IPC_FDS_MAX] = { -1, -1, -1, -1 };
	const int sent[2] = { STDIN_FILENO, STDERR_FILENO };
	size_t n_fds = 9, got_size = 9;
	int ends[2];

	t_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	t_eq(sn_ipc_receive(ends[1], got, &got_size, fds, &n_fds), -EAGAIN);
	t_eq(sn_ipc_send(ends[0], record, size, sent, 2), 0);
	t_eq(sn_ipc_receive(ends[1], got, &got_size, fds, &n_fds), 0);
	t_eq(got_size, size);
	t_mem_eq(got, record, size);
	t_eq(n_fds, 2);
	t_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	(void)close(fds[0]);
	(void)close(fds[1]);
	(void)close(ends[0]);
	t_eq(sn_ipc_receive(ends[1], got, &got_size, fds, &n_fds), 0);
	t_eq(got_size, 0);
	t_eq(sn_ipc_send(ends[1], record, size, NULL, 0), -EPIPE);
	(void)close(ends[1]);
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void too_much_is_refused_and_leaks_nothing(void)
{
	static _Alignas(8) uint8_t got[SN_IPC_RECORD_BYTES];
	struct iovec part = { .iov_base = record, .iov_len = sizeof(record) };
	enum { N_FDS = 2 * SN_IPC_FDS_MAX };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(N_FDS * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[SN_IPC_FDS_MAX];
	size_t n_fds = 0, size = 0;
	int ends[2];
	int n_before;

	t_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	t_true(sendmsg(ends[0], &message, 0) > 0);
	t_eq(sn_ipc_receive(ends[1], got, &size, fds, &n_fds), -EPROTO);

	part.iov_len = 16;
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(N_FDS * sizeof(int));
	n_before = count_fds();
	t_true(sendmsg(ends[0], &message, 0) > 0);
	t_eq(sn_ipc_receive(ends[1], got, &size, fds, &n_fds), -EPROTO);
	t_eq(count_fds(), n_before);
	t_eq(sn_ipc_send(ends[0], record, 16, fds, SN_IPC_FDS_MAX + 1),
	     -EINVAL);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void full_socket_is_told_apart(void)
{
	size_t size = make(SN_IPC_STATS, sizeof(struct sn_ipc_empty), 0, 0);
	int ends[2];
	int r = 0;

	t_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	for (int i = 0; i < 100000 && r == 0; i++)
		r = sn_ipc_send(ends[0], record, size, NULL, 0);
	t_eq(r, -EAGAIN);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void tables_say_what_their_definition_says(void)
{
	t_str_eq(sn_tables_info[SN_TABLE_FLOWS_NEW].name, "flows_new");
	t_str_eq(sn_tables_info[SN_TABLE_FLOWS_NEW].map, "sn_flows_new");
	t_eq(sn_tables_info[SN_TABLE_RULES].value_bytes, 160);
	t_true(sn_tables_info[SN_TABLE_PREFIXES].sealed);
	t_false(sn_tables_info[SN_TABLE_FLOWS].sealed);
	t_eq(sn_tables_checks[3].kind, SN_CHECK_PREFIX);
	t_eq(sn_tables_checks[3].offset, offsetof(struct sn_rule_key, address));
	t_eq(sn_tables_checks[3].a,
	     offsetof(struct sn_rule_key, prefix_length));
	t_str_eq(sn_programs_info[SN_PROGRAM_CONNECT6].function, "sn_connect6");
	t_str_eq(sn_reasons_info[SN_REASON_NO_RULE].name, "no-rule");
}

T_MAIN("ipc", every_type_has_its_row_and_no_other_number_has,
       legal_request_of_every_type_passes,
       request_of_any_other_length_is_refused,
       size_in_the_header_is_the_records, record_beyond_the_limit_is_refused,
       unknown_types_are_refused, direction_is_checked,
       only_hello_is_legal_before_it_and_only_then, fds_are_bounded_by_the_type,
       padding_is_zero, rows_have_the_tables_size_and_fill_the_record,
       row_count_that_overflows_is_refused, unknown_table_is_refused,
       rows_in_a_type_without_them_are_refused,
       answers_carry_an_errno_and_their_rows,
       answer_fds_are_bounded_by_the_type, record_and_fds_cross_a_socket,
       too_much_is_refused_and_leaks_nothing, full_socket_is_told_apart,
       tables_say_what_their_definition_says)
