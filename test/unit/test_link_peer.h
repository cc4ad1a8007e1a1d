/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A sentinel-dp by hand: the test accepts, receives and answers between turns
 * of the loop, in one thread. */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include "controld/link/link.h"
#include "shared/util.h"
#include "test/unit/t.h"

enum { PEER_LIMIT_MS = 10000 };

struct peer {
	uv_loop_t loop;
	uv_timer_t pulse; /* so that a turn of the loop ends */
	char folder[64];
	char path[96];
	int listener;
	int fd;
	size_t size; /* of what was received last */
	int fds[SN_IPC_FDS_MAX];
	size_t n_fds;
	struct sn_ipc_header header;
	_Alignas(8) uint8_t in[SN_IPC_RECORD_BYTES];
	_Alignas(8) uint8_t out[SN_IPC_RECORD_BYTES];
};

static inline void peer_pulse(uv_timer_t *timer)
{
	(void)timer;
}

static inline uint64_t peer_now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Turns the loop until the condition holds; fails the test after a while. */
#define PEER_RUN_UNTIL(peer, condition)                                \
	do {                                                           \
		uint64_t end_ = peer_now_ms() + PEER_LIMIT_MS;         \
		while (!(condition)) {                                 \
			if (peer_now_ms() > end_)                      \
				t_fail("'%s' never came", #condition); \
			(void)uv_run(&(peer)->loop, UV_RUN_ONCE);      \
		}                                                      \
	} while (0)

static inline void peer_listen(struct peer *peer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)strcpy(address.sun_path, peer->path);
	peer->listener = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	t_true(peer->listener >= 0);
	t_eq(bind(peer->listener, (struct sockaddr *)&address, sizeof(address)),
	     0);
	t_eq(listen(peer->listener, 8), 0);
}

static inline void peer_init(struct peer *peer)
{
	(void)memset(peer, 0, sizeof(*peer));
	peer->fd = -1;
	peer->listener = -1;
	(void)strcpy(peer->folder, "/tmp/sentinel-test-XXXXXX");
	t_not_null(mkdtemp(peer->folder));
	(void)snprintf(peer->path, sizeof(peer->path), "%s/dp.sock",
		       peer->folder);
	t_eq(uv_loop_init(&peer->loop), 0);
	t_eq(uv_timer_init(&peer->loop, &peer->pulse), 0);
	t_eq(uv_timer_start(&peer->pulse, peer_pulse, 2, 2), 0);
	peer_listen(peer);
}

static inline void peer_done(struct peer *peer)
{
	sn_closep(&peer->fd);
	sn_closep(&peer->listener);
	(void)unlink(peer->path);
	(void)rmdir(peer->folder);
	uv_close((uv_handle_t *)&peer->pulse, NULL);
	(void)uv_run(&peer->loop, UV_RUN_DEFAULT);
	t_eq(uv_loop_close(&peer->loop), 0);
}

static inline bool peer_try_accept(struct peer *peer)
{
	peer->fd = accept4(peer->listener, NULL, NULL,
			   SOCK_NONBLOCK | SOCK_CLOEXEC);
	return peer->fd >= 0;
}

static inline bool peer_try_receive(struct peer *peer)
{
	int r = sn_ipc_receive(peer->fd, peer->in, &peer->size, peer->fds,
			       &peer->n_fds);

	if (r == -EAGAIN)
		return false;
	t_eq(r, 0);
	if (peer->size >= sizeof(peer->header))
		(void)memcpy(&peer->header, peer->in, sizeof(peer->header));
	return true;
}

/* The next record, which must be a legal request. */
static inline void peer_receive(struct peer *peer, enum sn_ipc_type type)
{
	const char *why;

	PEER_RUN_UNTIL(peer, peer_try_receive(peer));
	t_eq(sn_ipc_check_request(peer->in, peer->size, peer->n_fds,
				  type == SN_IPC_HELLO ? SN_IPC_STATE_NEW :
							 SN_IPC_STATE_READY,
				  &why),
	     0);
	t_eq(peer->header.type, type);
}

static inline const void *peer_body(const struct peer *peer)
{
	return peer->in + sizeof(struct sn_ipc_header);
}

/* An answer that tests may bend before it is sent. */
struct peer_answer {
	uint16_t type;
	uint32_t seq;
	struct sn_ipc_status status;
	const void *body; /* NULL: zero */
	const void *rows;
	uint32_t n_rows;
	uint32_t row_bytes;
	const int *fds;
	size_t n_fds;
};

static inline int peer_try_answer(struct peer *peer,
				  const struct peer_answer *answer)
{
	const struct sn_ipc_info *info = sn_ipc_info_get(answer->type);
	size_t rows = (size_t)answer->n_rows * answer->row_bytes;
	struct sn_ipc_header header = { .type = answer->type,
					.is_answer = 1,
					.seq = answer->seq,
					.n_rows = answer->n_rows };
	uint8_t *at = peer->out;

	header.size = (uint32_t)(sizeof(header) + sizeof(answer->status) +
				 info->answer_bytes + rows);
	t_true(header.size <= sizeof(peer->out));
	(void)memset(at, 0, header.size);
	(void)memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	(void)memcpy(at, &answer->status, sizeof(answer->status));
	at += sizeof(answer->status);
	if (answer->body)
		(void)memcpy(at, answer->body, info->answer_bytes);
	at += info->answer_bytes;
	if (rows)
		(void)memcpy(at, answer->rows, rows);
	return sn_ipc_send(peer->fd, peer->out, header.size, answer->fds,
			   answer->n_fds);
}

static inline void peer_answer(struct peer *peer,
			       const struct peer_answer *answer)
{
	PEER_RUN_UNTIL(peer, peer_try_answer(peer, answer) == 0);
}

/* Answers the request that was received last. */
static inline void peer_reply(struct peer *peer, int status)
{
	const struct peer_answer answer = { .type = peer->header.type,
					    .seq = peer->header.seq,
					    .status.status = status };

	peer_answer(peer, &answer);
}

static inline struct sn_ipc_hello_answer peer_hello(void)
{
	struct sn_ipc_hello_answer hello = { .protocol = SN_IPC_PROTOCOL,
					     .abi = SN_ABI_VERSION,
					     .n_slots = 8,
					     .n_cpus = 2 };

	(void)strcpy(hello.version, "1.2.3");
	return hello;
}

static inline void peer_greet(struct peer *peer,
			      const struct sn_ipc_hello_answer *hello)
{
	struct peer_answer answer = { .type = SN_IPC_HELLO, .body = hello };

	PEER_RUN_UNTIL(peer, peer_try_accept(peer));
	peer_receive(peer, SN_IPC_HELLO);
	answer.seq = peer->header.seq;
	peer_answer(peer, &answer);
}

/* What the link's owner is told. */
struct owner {
	unsigned int n_up;
	unsigned int n_down;
	unsigned int n_closed;
	char why[CP_LINK_WHY_BYTES];
};

static inline void owner_up(void *userdata,
			    const struct sn_ipc_hello_answer *hello)
{
	struct owner *owner = userdata;

	t_str_eq(hello->version, "1.2.3");
	owner->n_up++;
}

static inline void owner_down(void *userdata, const char *why)
{
	struct owner *owner = userdata;

	(void)snprintf(owner->why, sizeof(owner->why), "%s", why);
	owner->n_down++;
}

static inline void owner_closed(void *userdata)
{
	struct owner *owner = userdata;

	owner->n_closed++;
}

static inline struct cp_link *owner_link(struct peer *peer, struct owner *owner,
					 size_t queue_max, uint64_t timeout_ns)
{
	const struct cp_link_options options = {
		.reconnect_min_ns = 1000000,
		.reconnect_max_ns = 20000000,
		.answer_timeout_ns = timeout_ns,
		.queue_max = queue_max,
	};
	const struct cp_link_events events = { owner_up, owner_down };
	struct cp_link *link = NULL;

	t_eq(cp_link_new(&link, &peer->loop, peer->path, &options, &events,
			 owner),
	     0);
	return link;
}

/* A link that is up. */
static inline struct cp_link *owner_connect(struct peer *peer,
					    struct owner *owner)
{
	struct sn_ipc_hello_answer hello = peer_hello();
	struct cp_link *link = owner_link(peer, owner, 0, 0);

	peer_greet(peer, &hello);
	PEER_RUN_UNTIL(peer, cp_link_is_up(link));
	return link;
}

static inline void owner_close(struct peer *peer, struct owner *owner,
			       struct cp_link *link)
{
	cp_link_close(link, owner_closed, owner);
	t_eq(owner->n_closed, 0);
	PEER_RUN_UNTIL(peer, owner->n_closed == 1);
	peer_done(peer);
}
