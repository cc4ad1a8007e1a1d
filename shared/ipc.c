/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/ipc.h"

#include <string.h>
#include <sys/socket.h>

#include "shared/util.h"

static const struct sn_ipc_info infos[SN_IPC_TYPE_END] = {
#define SN_IPC(id, number, req, req_row, ans, ans_row, in, out, states_) \
	[number] = {                                                     \
		.name = #id,                                             \
		.request_bytes = sizeof(req),                            \
		.request_row = req_row,                                  \
		.answer_bytes = sizeof(ans),                             \
		.answer_row = ans_row,                                   \
		.fds_in = in,                                            \
		.fds_out = out,                                          \
		.states = states_,                                       \
	},
#include "shared/ipc.def"
#undef SN_IPC
};

/* Padding inside the fixed structs of requests; a struct may have none. */
static const struct {
	enum sn_ipc_type type;
	size_t offset;
	size_t bytes;
} paddings[] = {
	{ SN_IPC_LIST, offsetof(struct sn_ipc_list, pad), 4 },
	{ SN_IPC_ATTACH, offsetof(struct sn_ipc_attach, pad), 4 },
	{ SN_IPC_DETACH, offsetof(struct sn_ipc_detach, pad), 4 },
	{ SN_IPC_FLIP, offsetof(struct sn_ipc_flip, pad), 4 },
	{ SN_IPC_FDS, offsetof(struct sn_ipc_empty, pad), 8 },
	{ SN_IPC_STATS, offsetof(struct sn_ipc_empty, pad), 8 },
};

const struct sn_ipc_info *sn_ipc_info_get(uint16_t type)
{
	if (type >= SN_IPC_TYPE_END || !infos[type].name)
		return NULL;
	return &infos[type];
}

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -EPROTO;
}

/* The parts that requests and answers have in common. */
static int check_header(const void *record, size_t size, bool is_answer,
			struct sn_ipc_header *header,
			const struct sn_ipc_info **info, const char **why)
{
	*why = NULL;
	if (size < sizeof(*header))
		return refuse(why, "record shorter than its header");
	if (size > SN_IPC_RECORD_BYTES)
		return refuse(why, "record too long");
	(void)memcpy(header, record, sizeof(*header));
	if (header->size != size)
		return refuse(why, "size in the header is not the record's");
	if (header->is_answer != (is_answer ? 1 : 0))
		return refuse(why, "wrong direction");
	*info = sn_ipc_info_get(header->type);
	if (!*info)
		return refuse(why, "unknown type");
	return 0;
}

static bool padding_is_zero(uint16_t type, const uint8_t *fixed)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(paddings); i++) {
		if (paddings[i].type != type)
			continue;
		for (size_t j = 0; j < paddings[i].bytes; j++) {
			if (fixed[paddings[i].offset + j])
				return false;
		}
	}
	return true;
}

/* Bytes of one row of a request; the table comes first in its struct. */
static int find_row_bytes(const struct sn_ipc_info *info, const void *fixed,
			  size_t *ret)
{
	uint32_t table;

	if (info->request_row != SN_IPC_ROW_TABLE &&
	    info->request_row != SN_IPC_ROW_KEY) {
		*ret = info->request_row;
		return 0;
	}
	(void)memcpy(&table, fixed, sizeof(table));
	if (table >= SN_TABLE_COUNT)
		return -EPROTO;
	*ret = sn_tables_info[table].key_bytes;
	if (info->request_row == SN_IPC_ROW_TABLE)
		*ret += sn_tables_info[table].value_bytes;
	return 0;
}

_Static_assert(offsetof(struct sn_ipc_table, table) == 0, "read as first");
_Static_assert(offsetof(struct sn_ipc_page, table) == 0, "read as first");

int sn_ipc_check_request(const void *record, size_t size, size_t n_fds,
			 enum sn_ipc_state state, const char **why)
{
	const struct sn_ipc_info *info = NULL;
	struct sn_ipc_header header;
	const uint8_t *fixed;
	size_t row_bytes = 0;
	size_t rest;
	int r;

	r = check_header(record, size, false, &header, &info, why);
	if (r < 0)
		return r;
	if (!(info->states & (uint32_t)state))
		return refuse(why, "not legal in this state");
	if (n_fds > info->fds_in)
		return refuse(why, "too many file descriptors");
	if (size < sizeof(header) + info->request_bytes)
		return refuse(why, "record shorter than its type");
	fixed = (const uint8_t *)record + sizeof(header);
	if (!padding_is_zero(header.type, fixed))
		return refuse(why, "padding is not zero");
	if (find_row_bytes(info, fixed, &row_bytes) < 0)
		return refuse(why, "unknown table");
	rest = size - sizeof(header) - info->request_bytes;
	if (row_bytes == 0 && header.n_rows)
		return refuse(why, "rows in a type that has none");
	if ((uint64_t)header.n_rows * row_bytes != rest)
		return refuse(why, "rows do not fill the record");
	return 0;
}

/* The answer does not repeat the table's name: any table's row will do, and
 * the receiver, who knows what it asked for, compares. */
static bool is_table_row(size_t bytes)
{
	for (size_t i = 0; i < SN_TABLE_COUNT; i++) {
		if (bytes ==
		    sn_tables_info[i].key_bytes + sn_tables_info[i].value_bytes)
			return true;
	}
	return false;
}

static int check_status(const uint8_t *at, const char **why)
{
	struct sn_ipc_status status;

	(void)memcpy(&status, at, sizeof(status));
	if (status.status > 0 || status.status < -4095)
		return refuse(why, "status is no errno");
	if (status.pad)
		return refuse(why, "padding is not zero");
	return 0;
}

int sn_ipc_check_answer(const void *record, size_t size, size_t n_fds,
			const char **why)
{
	const struct sn_ipc_info *info = NULL;
	struct sn_ipc_header header;
	size_t fixed_bytes, rest;
	int r;

	r = check_header(record, size, true, &header, &info, why);
	if (r < 0)
		return r;
	if (n_fds > info->fds_out)
		return refuse(why, "too many file descriptors");
	fixed_bytes = sizeof(header) + sizeof(struct sn_ipc_status) +
		      info->answer_bytes;
	if (size < fixed_bytes)
		return refuse(why, "record shorter than its type");
	r = check_status((const uint8_t *)record + sizeof(header), why);
	if (r < 0)
		return r;
	rest = size - fixed_bytes;
	if (info->answer_row == SN_IPC_ROW_TABLE) {
		if (!header.n_rows)
			return rest ? refuse(why, "bytes after the record") : 0;
		if (rest % header.n_rows || !is_table_row(rest / header.n_rows))
			return refuse(why, "rows do not fill the record");
		return 0;
	}
	if (info->answer_row == 0 && header.n_rows)
		return refuse(why, "rows in a type that has none");
	if ((uint64_t)header.n_rows * info->answer_row != rest)
		return refuse(why, "rows do not fill the record");
	return 0;
}

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(SN_IPC_FDS_MAX * sizeof(int))];
};

int sn_ipc_send(int fd, const void *record, size_t size, const int *fds,
		size_t n_fds)
{
	/* sendmsg(2) reads only, but struct iovec is shared with readers. */
	struct iovec part = { .iov_base = (void *)(uintptr_t)record,
			      .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	if (n_fds > SN_IPC_FDS_MAX)
		return -EINVAL;
	if (n_fds) {
		(void)memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		(void)memcpy(CMSG_DATA(&control.header), fds,
			     n_fds * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	do {
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	return 0;
}

static void close_all(int *fds, size_t n_fds)
{
	for (size_t i = 0; i < n_fds; i++)
		sn_closep(&fds[i]);
}

/* The kernel has cut what does not fit, so fds has room for all. */
static size_t take_fds(struct msghdr *message, int *fds)
{
	struct cmsghdr *part;
	size_t n_fds = 0;

	for (part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		size_t n;

		if (part->cmsg_level != SOL_SOCKET ||
		    part->cmsg_type != SCM_RIGHTS)
			continue;
		n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			(void)memcpy(&fd, CMSG_DATA(part) + i * sizeof(int),
				     sizeof(fd));
			if (n_fds < SN_IPC_FDS_MAX)
				fds[n_fds++] = fd;
			else
				(void)close(fd);
		}
	}
	return n_fds;
}

int sn_ipc_receive(int fd, void *buffer, size_t *size, int fds[SN_IPC_FDS_MAX],
		   size_t *n_fds)
{
	struct iovec part = { .iov_base = buffer,
			      .iov_len = SN_IPC_RECORD_BYTES };
	union control control;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	size_t n_taken;
	ssize_t n;

	do {
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	n_taken = take_fds(&message, fds);
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		close_all(fds, n_taken);
		return -EPROTO;
	}
	*size = (size_t)n;
	*n_fds = n_taken;
	return 0;
}
