/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/link/link.h"

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "shared/util.h"

/* Two lists hold the requests: `queued` what has not been sent, `sent` what
 * waits for its answer. dp answers in order, so an answer belongs to the first
 * of `sent` or the peer is broken. A break closes the socket, answers both
 * lists and starts the timer for the next attempt once libuv has let go of the
 * poll handle. The same timer watches for answers while connected. */

enum {
	RECORDS_PER_EVENT = 32, /* then the loop's other work has its turn */
	RECONNECT_MIN_MS = 50,
	RECONNECT_MAX_MS = 2000,
	ANSWER_TIMEOUT_MS = 30000,
};

#define NS_PER_MS 1000000ULL

enum state {
	STATE_DOWN,
	STATE_HELLO,
	STATE_UP,
	STATE_CLOSING,
};

struct request {
	struct request *next;
	cp_link_answer_fn fn;
	void *userdata;
	void *record; /* NULL once sent */
	uint64_t sent_ms;
	uint32_t size;
	uint32_t seq;
	uint32_t answer_row; /* bytes, 0: the answer has no rows */
	int fd;
	uint16_t type;
};

struct queue {
	struct request *first;
	struct request **last;
	size_t n;
};

struct cp_link {
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_poll_t poll;
	struct sockaddr_un address;
	struct cp_link_events events;
	void *userdata;
	void (*closed)(void *userdata);
	void *closed_userdata;
	struct queue queued;
	struct queue sent;
	uint64_t pause_ms;
	uint64_t pause_min_ms;
	uint64_t pause_max_ms;
	uint64_t timeout_ms;
	size_t queue_max;
	uint32_t next_seq;
	enum state state;
	int fd;
	int send_error;
	int watched; /* events that the poll handle waits for */
	bool has_poll; /* open or closing */
	bool has_timer;
	char why[CP_LINK_WHY_BYTES];
	_Alignas(8) uint8_t buffer[SN_IPC_RECORD_BYTES];
};

static void tick(uv_timer_t *timer);

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){ .last = &queue->first };
}

static void queue_put(struct queue *queue, struct request *request)
{
	request->next = NULL;
	*queue->last = request;
	queue->last = &request->next;
	queue->n++;
}

static struct request *queue_take(struct queue *queue)
{
	struct request *request = queue->first;

	if (!request)
		return NULL;
	queue->first = request->next;
	if (!queue->first)
		queue->last = &queue->first;
	queue->n--;
	return request;
}

static struct request *request_free(struct request *request)
{
	if (!request)
		return NULL;
	if (request->fd >= 0)
		(void)close(request->fd);
	free(request->record);
	free(request);
	return NULL;
}

SN_DEFINE_CLEANUP(struct request, request_free)

static void fail_all(struct queue *queue)
{
	const struct cp_link_answer answer = { .status = -ECONNRESET };
	struct request *request = queue->first;

	queue_init(queue);
	while (request) {
		struct request *next = request->next;

		request->fn(request->userdata, &answer);
		(void)request_free(request);
		request = next;
	}
}

static void finish_close(struct cp_link *link)
{
	if (link->has_poll || link->has_timer)
		return;
	fail_all(&link->sent);
	fail_all(&link->queued);
	if (link->closed)
		link->closed(link->closed_userdata);
	free(link);
}

static void timer_closed(uv_handle_t *handle)
{
	struct cp_link *link =
		sn_container_of((void *)handle, struct cp_link, timer);

	link->has_timer = false;
	finish_close(link);
}

static void poll_closed(uv_handle_t *handle)
{
	struct cp_link *link =
		sn_container_of((void *)handle, struct cp_link, poll);

	link->has_poll = false;
	if (link->state == STATE_CLOSING) {
		finish_close(link);
		return;
	}
	(void)uv_timer_start(&link->timer, tick, link->pause_ms, 0);
	link->pause_ms = SN_MIN(link->pause_ms * 2, link->pause_max_ms);
}

static void drop_socket(struct cp_link *link)
{
	if (link->fd < 0)
		return;
	(void)uv_poll_stop(&link->poll);
	uv_close((uv_handle_t *)&link->poll, poll_closed);
	(void)close(link->fd);
	link->fd = -1;
	link->watched = 0;
}

/* Tells a reason once. */
static void tell_down(struct cp_link *link, const char *why)
{
	if (strcmp(link->why, why) == 0)
		return;
	(void)snprintf(link->why, sizeof(link->why), "%s", why);
	link->events.down(link->userdata, link->why);
}

__attribute__((format(printf, 2, 3))) static void
break_link(struct cp_link *link, const char *format, ...)
{
	char why[CP_LINK_WHY_BYTES];
	bool was_up = link->state == STATE_UP;
	struct queue sent, queued;
	bool is_news;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, sizeof(why), format, args);
	va_end(args);

	/* Those whose requests fail now may ask for the reason. */
	is_news = was_up || strcmp(link->why, why) != 0;
	(void)memcpy(link->why, why, sizeof(link->why));
	link->state = STATE_DOWN;
	link->send_error = 0;
	(void)uv_timer_stop(&link->timer);
	drop_socket(link);
	sent = link->sent;
	queued = link->queued;
	queue_init(&link->sent);
	queue_init(&link->queued);
	fail_all(&sent);
	fail_all(&queued);
	/* One of them may have closed the link. */
	if (link->state != STATE_CLOSING && is_news)
		link->events.down(link->userdata, link->why);
}

/* 0 or -errno; the caller breaks the link. */
static int watch_socket(struct cp_link *link);

static int send_first(struct cp_link *link)
{
	struct request *request = link->queued.first;
	int r;

	r = sn_ipc_send(link->fd, request->record, request->size, &request->fd,
			request->fd >= 0 ? 1 : 0);
	if (r < 0)
		return r;

	(void)queue_take(&link->queued);
	free(request->record);
	request->record = NULL;
	sn_closep(&request->fd);
	request->sent_ms = uv_now(link->loop);
	if (!link->sent.first)
		(void)uv_timer_start(&link->timer, tick, link->timeout_ms, 0);
	queue_put(&link->sent, request);
	return 0;
}

static int flush(struct cp_link *link)
{
	int r = 0;

	while (link->queued.first && link->sent.n < SN_IPC_PIPELINE && r == 0)
		r = send_first(link);
	if (r < 0 && r != -EAGAIN)
		return r;
	return watch_socket(link);
}

/* Only while it is connected. */
static void check_deadline(struct cp_link *link)
{
	uint64_t now = uv_now(link->loop);
	uint64_t deadline;

	if (!link->sent.first)
		return;
	deadline = link->sent.first->sent_ms + link->timeout_ms;
	if (now >= deadline) {
		break_link(link, "no answer to %s for %llu s",
			   sn_ipc_info_get(link->sent.first->type)->name,
			   (unsigned long long)(link->timeout_ms / 1000));
		return;
	}
	(void)uv_timer_start(&link->timer, tick, deadline - now, 0);
}

/* Rows of an answer are checked against the request, because the answer does
 * not name the table. An error may come without body and rows. */
static bool fits_request(const struct request *request,
			 const struct sn_ipc_header *header, int status)
{
	const struct sn_ipc_info *info = sn_ipc_info_get(header->type);
	size_t head = sizeof(*header) + sizeof(struct sn_ipc_status);

	if (header->seq != request->seq || header->type != request->type)
		return false;
	if (status < 0 && header->n_rows == 0)
		return true;
	return header->size ==
	       head + info->answer_bytes +
		       (uint64_t)header->n_rows * request->answer_row;
}

static void deliver(struct request *request, const uint8_t *record,
		    const int *fds, size_t n_fds)
{
	const struct sn_ipc_info *info = sn_ipc_info_get(request->type);
	const size_t head =
		sizeof(struct sn_ipc_header) + sizeof(struct sn_ipc_status);
	struct sn_ipc_header header;
	struct sn_ipc_status status;
	struct cp_link_answer answer = { .fds = fds, .n_fds = n_fds };

	(void)memcpy(&header, record, sizeof(header));
	(void)memcpy(&status, record + sizeof(header), sizeof(status));
	answer.status = status.status;
	answer.index = status.index;
	answer.applied = status.applied;
	if (header.size >= head + info->answer_bytes)
		answer.body = record + head;
	if (header.n_rows > 0) {
		answer.rows = record + head + info->answer_bytes;
		answer.n_rows = header.n_rows;
	}
	request->fn(request->userdata, &answer);
	(void)request_free(request);
}

/* Returns 0, or -errno with *why when the peer is not to be spoken to. */
static int check_record(struct cp_link *link, size_t size, size_t n_fds,
			const char **why)
{
	struct sn_ipc_header header;
	struct sn_ipc_status status;
	int r;

	r = sn_ipc_check_answer(link->buffer, size, n_fds, why);
	if (r < 0)
		return r;
	(void)memcpy(&header, link->buffer, sizeof(header));
	(void)memcpy(&status, link->buffer + sizeof(header), sizeof(status));
	if (!link->sent.first || status.status > 0 ||
	    !fits_request(link->sent.first, &header, status.status)) {
		*why = "answer that fits no request";
		return -EPROTO;
	}
	return 0;
}

/* One record. Returns false when there is no more to do now. */
static bool read_one(struct cp_link *link)
{
	int fds[SN_IPC_FDS_MAX];
	const char *why = "record that cannot be received";
	size_t size, n_fds = 0;
	int r;

	r = sn_ipc_receive(link->fd, link->buffer, &size, fds, &n_fds);
	if (r == -EAGAIN)
		return false;
	if (r == 0 && size == 0) {
		break_link(link, "sentinel-dp closed the connection");
	} else if (r == -EPROTO ||
		   (r == 0 &&
		    (r = check_record(link, size, n_fds, &why)) < 0)) {
		break_link(link, "sentinel-dp broke the protocol: %s", why);
	} else if (r < 0) {
		break_link(link, "receiving failed: %s", strerror(-r));
	} else {
		deliver(queue_take(&link->sent), link->buffer, fds, n_fds);
	}
	for (size_t i = 0; i < n_fds; i++)
		(void)close(fds[i]);
	return link->fd >= 0 && link->state != STATE_CLOSING;
}

static void polled(uv_poll_t *poll, int status, int events)
{
	struct cp_link *link = sn_container_of(poll, struct cp_link, poll);
	int r;

	if (status < 0) {
		/* libuv says EBADF for a socket in error (POLLERR). */
		break_link(link, "%s",
			   status == UV_EBADF ?
				   "sentinel-dp closed the connection" :
				   uv_strerror(status));
		return;
	}
	if (events & UV_READABLE) {
		for (int i = 0; i < RECORDS_PER_EVENT; i++)
			if (!read_one(link))
				break;
	}
	if (link->fd < 0 || link->state == STATE_CLOSING)
		return;
	r = flush(link);
	if (r < 0)
		break_link(link, "sending failed: %s", strerror(-r));
}

static int watch_socket(struct cp_link *link)
{
	int wanted = UV_READABLE;
	int r;

	if (link->queued.first && link->sent.n < SN_IPC_PIPELINE)
		wanted |= UV_WRITABLE;
	if (wanted == link->watched)
		return 0;
	r = uv_poll_start(&link->poll, wanted, polled);
	if (r == 0)
		link->watched = wanted;
	return r;
}

/* Puts the record at the end of the queue. */
static int enqueue(struct cp_link *link, enum sn_ipc_type type,
		   const void *body, const void *rows, uint32_t n_rows, int fd,
		   cp_link_answer_fn fn, void *userdata)
{
	const struct sn_ipc_info *info = sn_ipc_info_get((uint16_t)type);
	sn_cleanup(request_freep) struct request *request = NULL;
	uint64_t rows_bytes = (uint64_t)n_rows * cp_link_row_bytes(type, body);
	uint64_t size =
		sizeof(struct sn_ipc_header) + info->request_bytes + rows_bytes;
	struct sn_ipc_header header = { .type = (uint16_t)type,
					.seq = link->next_seq,
					.n_rows = n_rows };
	uint8_t *at;

	if (size > SN_IPC_RECORD_BYTES)
		return -EMSGSIZE;
	header.size = (uint32_t)size;
	request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	*request = (struct request){ .fn = fn,
				     .userdata = userdata,
				     .size = (uint32_t)size,
				     .seq = link->next_seq,
				     .fd = -1,
				     .type = (uint16_t)type };
	request->record = malloc(size);
	if (!request->record)
		return -ENOMEM;
	if (fd >= 0) {
		request->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (request->fd < 0)
			return -errno;
	}
	if (info->answer_row == SN_IPC_ROW_TABLE) {
		uint32_t table = *(const uint32_t *)body;

		request->answer_row = sn_tables_info[table].key_bytes +
				      sn_tables_info[table].value_bytes;
	} else {
		request->answer_row = info->answer_row;
	}
	at = request->record;
	(void)memcpy(at, &header, sizeof(header));
	(void)memcpy(at + sizeof(header), body, info->request_bytes);
	if (rows_bytes)
		(void)memcpy(at + sizeof(header) + info->request_bytes, rows,
			     rows_bytes);
	link->next_seq++;
	queue_put(&link->queued, sn_steal(&request));
	return 0;
}

static void hello_answered(void *userdata, const struct cp_link_answer *answer)
{
	struct cp_link *link = userdata;
	const struct sn_ipc_hello_answer *hello = answer->body;

	if (answer->status == -ECONNRESET || link->state != STATE_HELLO)
		return;
	if (answer->status < 0 || !hello) {
		break_link(link, "sentinel-dp refused HELLO: %s",
			   strerror(-answer->status));
		return;
	}
	if (hello->protocol != SN_IPC_PROTOCOL ||
	    hello->abi != SN_ABI_VERSION) {
		break_link(link,
			   "sentinel-dp speaks protocol %u, ABI %u; this "
			   "program protocol %d, ABI %d",
			   hello->protocol, hello->abi, SN_IPC_PROTOCOL,
			   SN_ABI_VERSION);
		return;
	}
	if (!memchr(hello->version, 0, sizeof(hello->version))) {
		break_link(link, "sentinel-dp broke the protocol: version");
		return;
	}
	link->state = STATE_UP;
	link->pause_ms = link->pause_min_ms;
	link->why[0] = '\0';
	link->events.up(link->userdata, hello);
}

/* The handle is only there between a success and poll_closed(). */
static int open_socket(struct cp_link *link)
{
	sn_cleanup(sn_closep) int fd = -1;
	int r;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&link->address,
		    sizeof(link->address)) < 0)
		return -errno;
	r = uv_poll_init(link->loop, &link->poll, fd);
	if (r < 0)
		return r;
	link->fd = sn_steal_fd(&fd);
	link->has_poll = true;
	return 0;
}

static void try_connect(struct cp_link *link)
{
	const struct sn_ipc_hello hello = { .protocol = SN_IPC_PROTOCOL,
					    .abi = SN_ABI_VERSION };
	char why[CP_LINK_WHY_BYTES];
	int r;

	r = open_socket(link);
	if (r < 0) {
		(void)uv_timer_start(&link->timer, tick, link->pause_ms, 0);
		link->pause_ms = SN_MIN(link->pause_ms * 2, link->pause_max_ms);
		(void)snprintf(why, sizeof(why), "cannot connect to %s: %s",
			       link->address.sun_path, strerror(-r));
		tell_down(link, why);
		return;
	}
	link->state = STATE_HELLO;
	r = enqueue(link, SN_IPC_HELLO, &hello, NULL, 0, -1, hello_answered,
		    link);
	if (r == 0)
		r = flush(link);
	if (r < 0)
		break_link(link, "HELLO could not be sent: %s", strerror(-r));
}

static void tick(uv_timer_t *timer)
{
	struct cp_link *link = sn_container_of(timer, struct cp_link, timer);

	if (link->fd < 0)
		try_connect(link);
	else if (link->send_error < 0)
		break_link(link, "sending failed: %s",
			   strerror(-link->send_error));
	else
		check_deadline(link);
}

static uint64_t ms_or(uint64_t ns, uint64_t fallback_ms)
{
	return ns ? SN_MAX(ns / NS_PER_MS, 1ULL) : fallback_ms;
}

int cp_link_new(struct cp_link **ret, uv_loop_t *loop, const char *path,
		const struct cp_link_options *options,
		const struct cp_link_events *events, void *userdata)
{
	static const struct cp_link_options defaults;
	struct cp_link *link;
	int r;

	if (strlen(path) >= sizeof(link->address.sun_path))
		return -ENAMETOOLONG;
	if (!options)
		options = &defaults;
	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;

	link->loop = loop;
	link->address.sun_family = AF_UNIX;
	(void)strcpy(link->address.sun_path, path);
	link->events = *events;
	link->userdata = userdata;
	queue_init(&link->queued);
	queue_init(&link->sent);
	link->pause_min_ms = ms_or(options->reconnect_min_ns, RECONNECT_MIN_MS);
	link->pause_max_ms =
		SN_MAX(ms_or(options->reconnect_max_ns, RECONNECT_MAX_MS),
		       link->pause_min_ms);
	link->pause_ms = link->pause_min_ms;
	link->timeout_ms = ms_or(options->answer_timeout_ns, ANSWER_TIMEOUT_MS);
	link->queue_max = options->queue_max ? options->queue_max :
					       CP_LINK_QUEUE_MAX;
	link->next_seq = 1;
	link->fd = -1;
	(void)strcpy(link->why, "not connected yet");
	r = uv_timer_init(loop, &link->timer);
	if (r < 0) {
		free(link);
		return sn_trace(r);
	}
	link->has_timer = true;
	(void)uv_timer_start(&link->timer, tick, 0, 0);
	*ret = link;
	return 0;
}

/* dp would end the link over what this refuses. */
static bool is_request(enum sn_ipc_type type, const void *body,
		       const void *rows, uint32_t n_rows, int fd)
{
	const struct sn_ipc_info *info = sn_ipc_info_get((uint16_t)type);

	if (!info || type == SN_IPC_HELLO || (fd >= 0 && info->fds_in == 0))
		return false;
	if (info->request_row == 0)
		return n_rows == 0;
	return cp_link_row_bytes(type, body) > 0 && (rows || n_rows == 0);
}

int cp_link_request(struct cp_link *link, enum sn_ipc_type type,
		    const void *body, const void *rows, uint32_t n_rows, int fd,
		    cp_link_answer_fn fn, void *userdata)
{
	int r;

	if (!is_request(type, body, rows, n_rows, fd))
		return -EINVAL;
	if (link->state != STATE_UP)
		return -ENOTCONN;
	if (link->queued.n >= link->queue_max)
		return -ENOBUFS;
	r = enqueue(link, type, body, rows, n_rows, fd, fn, userdata);
	if (r < 0)
		return r;
	/* The break has to come from the loop, not from inside this call. */
	r = link->send_error < 0 ? link->send_error : flush(link);
	if (r < 0) {
		link->send_error = r;
		(void)uv_timer_start(&link->timer, tick, 0, 0);
	}
	return 0;
}

bool cp_link_is_up(const struct cp_link *link)
{
	return link->state == STATE_UP;
}

pid_t cp_link_get_peer(const struct cp_link *link)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (link->fd < 0 ||
	    getsockopt(link->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return 0;
	return peer.pid;
}

const char *cp_link_why(const struct cp_link *link)
{
	return link->why;
}

uint32_t cp_link_row_bytes(enum sn_ipc_type type, const void *body)
{
	const struct sn_ipc_info *info = sn_ipc_info_get((uint16_t)type);
	uint32_t table;

	if (!info || info->request_row == 0)
		return 0;
	if (info->request_row != SN_IPC_ROW_TABLE &&
	    info->request_row != SN_IPC_ROW_KEY)
		return info->request_row;
	/* struct sn_ipc_table and struct sn_ipc_page begin with it. */
	(void)memcpy(&table, body, sizeof(table));
	if (table >= SN_TABLE_COUNT)
		return 0;
	if (info->request_row == SN_IPC_ROW_KEY)
		return sn_tables_info[table].key_bytes;
	return sn_tables_info[table].key_bytes +
	       sn_tables_info[table].value_bytes;
}

void cp_link_close(struct cp_link *link, void (*closed)(void *userdata),
		   void *closed_userdata)
{
	assert(link->state != STATE_CLOSING);
	link->state = STATE_CLOSING;
	link->closed = closed;
	link->closed_userdata = closed_userdata;
	drop_socket(link);
	uv_close((uv_handle_t *)&link->timer, timer_closed);
}
