/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/link/link.h"

#include <sys/mman.h>

#include "test/unit/t.h"
#include "test/unit/test_link_peer.h"

/* What one request was answered. */
struct asked {
	struct owner *owner;
	struct cp_link *link; /* to be closed in the callback, or NULL */
	unsigned int n;
	int status;
	uint32_t index;
	uint32_t n_rows;
	uint64_t flows;
	int fd;
	bool was_down; /* the owner had been told before */
};

static void took(void *userdata, const struct cp_link_answer *answer)
{
	struct asked *asked = userdata;

	asked->n++;
	asked->status = answer->status;
	asked->index = answer->index;
	asked->n_rows = answer->n_rows;
	if (answer->n_fds > 0)
		asked->fd = dup(answer->fds[0]);
	if (asked->owner)
		asked->was_down = asked->owner->n_down > 0;
	if (asked->link)
		cp_link_close(asked->link, owner_closed, asked->owner);
}

static void took_stats(void *userdata, const struct cp_link_answer *answer)
{
	const struct sn_ipc_stats_answer *stats = answer->body;
	struct asked *asked = userdata;

	took(userdata, answer);
	asked->flows = stats->flows;
}

static int ask_stats(struct cp_link *link, struct asked *asked)
{
	const struct sn_ipc_empty body = { 0 };

	return cp_link_request(link, SN_IPC_STATS, &body, NULL, 0, -1, took,
			       asked);
}

static void link_comes_up_after_hello(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct cp_link *link;
	const struct sn_ipc_hello *hello;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	hello = peer_body(&peer);
	t_eq(hello->protocol, SN_IPC_PROTOCOL);
	t_eq(hello->abi, SN_ABI_VERSION);
	t_eq(owner.n_up, 1);
	t_eq(owner.n_down, 0);
	t_str_eq(cp_link_why(link), "");
	owner_close(&peer, &owner, link);
}

static void other_abi_keeps_the_link_down_and_says_so_once(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct sn_ipc_hello_answer hello = peer_hello();
	struct asked asked = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_link(&peer, &owner, 0, 0);
	hello.abi++;
	for (int i = 0; i < 3; i++) {
		peer_greet(&peer, &hello);
		PEER_RUN_UNTIL(&peer, peer_try_receive(&peer));
		t_eq(peer.size, 0);
		sn_closep(&peer.fd);
	}
	t_eq(owner.n_up, 0);
	t_eq(owner.n_down, 1);
	t_not_null(strstr(owner.why, "ABI"));
	t_str_eq(cp_link_why(link), owner.why);
	t_eq(ask_stats(link, &asked), -ENOTCONN);
	t_eq(asked.n, 0);

	hello = peer_hello();
	peer_greet(&peer, &hello);
	PEER_RUN_UNTIL(&peer, cp_link_is_up(link));
	t_eq(owner.n_up, 1);
	owner_close(&peer, &owner, link);
}

static void missing_socket_is_told_once_and_tried_again(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct sn_ipc_hello_answer hello = peer_hello();
	struct cp_link *link;
	uint64_t end;

	peer_init(&peer);
	sn_closep(&peer.listener);
	(void)unlink(peer.path);
	link = owner_link(&peer, &owner, 0, 0);
	t_eq(owner.n_down, 0);
	PEER_RUN_UNTIL(&peer, owner.n_down == 1);
	t_not_null(strstr(owner.why, peer.path));
	for (end = peer_now_ms() + 60; peer_now_ms() < end;)
		(void)uv_run(&peer.loop, UV_RUN_ONCE);
	t_eq(owner.n_down, 1);

	peer_listen(&peer);
	peer_greet(&peer, &hello);
	PEER_RUN_UNTIL(&peer, cp_link_is_up(link));
	owner_close(&peer, &owner, link);
}

static void answers_reach_their_requests(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked[3] = { { 0 }, { 0 }, { .fd = -1 } };
	struct sn_ipc_stats_answer stats = { .flows = 77 };
	struct sn_ipc_empty none = { 0 };
	struct sn_ipc_detach detach = { .slot = 9 };
	struct peer_answer answer;
	struct cp_link *link;
	uint32_t seqs[3];
	int fds[3];

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_request(link, SN_IPC_STATS, &none, NULL, 0, -1, took_stats,
			     &asked[0]),
	     0);
	t_eq(cp_link_request(link, SN_IPC_DETACH, &detach, NULL, 0, -1, took,
			     &asked[1]),
	     0);
	t_eq(cp_link_request(link, SN_IPC_FDS, &none, NULL, 0, -1, took,
			     &asked[2]),
	     0);
	peer_receive(&peer, SN_IPC_STATS);
	seqs[0] = peer.header.seq;
	peer_receive(&peer, SN_IPC_DETACH);
	seqs[1] = peer.header.seq;
	t_eq(((const struct sn_ipc_detach *)peer_body(&peer))->slot, 9);
	peer_receive(&peer, SN_IPC_FDS);
	seqs[2] = peer.header.seq;

	answer = (struct peer_answer){ .type = SN_IPC_STATS,
				       .seq = seqs[0],
				       .body = &stats };
	peer_answer(&peer, &answer);
	answer = (struct peer_answer){ .type = SN_IPC_DETACH,
				       .seq = seqs[1],
				       .status = { .status = -ENOENT,
						   .index = 5 } };
	peer_answer(&peer, &answer);
	for (int i = 0; i < 3; i++)
		fds[i] = memfd_create("x", MFD_CLOEXEC);
	answer = (struct peer_answer){ .type = SN_IPC_FDS,
				       .seq = seqs[2],
				       .fds = fds,
				       .n_fds = 3 };
	peer_answer(&peer, &answer);
	PEER_RUN_UNTIL(&peer, asked[2].n == 1);

	t_eq(asked[0].n, 1);
	t_eq(asked[0].status, 0);
	t_eq(asked[0].flows, 77);
	t_eq(asked[1].n, 1);
	t_eq(asked[1].status, -ENOENT);
	t_eq(asked[1].index, 5);
	t_true(asked[2].fd >= 0);
	(void)close(asked[2].fd);
	for (int i = 0; i < 3; i++)
		(void)close(fds[i]);
	owner_close(&peer, &owner, link);
}

static void fd_of_a_request_is_passed_and_stays_the_callers(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked = { 0 };
	struct sn_ipc_attach attach = { .type = SN_TARGET_CGROUP };
	struct stat mine, theirs;
	struct cp_link *link;
	int fd;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	fd = memfd_create("x", MFD_CLOEXEC);
	t_eq(cp_link_request(link, SN_IPC_ATTACH, &attach, NULL, 0, fd, took,
			     &asked),
	     0);
	peer_receive(&peer, SN_IPC_ATTACH);
	t_eq(peer.n_fds, 1);
	t_eq(fstat(fd, &mine), 0);
	t_eq(fstat(peer.fds[0], &theirs), 0);
	t_eq(mine.st_ino, theirs.st_ino);
	(void)close(peer.fds[0]);
	(void)close(fd);
	peer_reply(&peer, 0);
	PEER_RUN_UNTIL(&peer, asked.n == 1);
	owner_close(&peer, &owner, link);
}

/* The peer's side of one request that is answered right. */
static void serve_one(struct peer *peer)
{
	peer_receive(peer, SN_IPC_STATS);
	peer_reply(peer, 0);
}

static void no_more_than_the_pipeline_is_unanswered(void)
{
	enum { N = 3 * SN_IPC_PIPELINE };
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked = { 0 };
	struct cp_link *link;
	unsigned int n = 0;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	for (int i = 0; i < N; i++)
		t_eq(ask_stats(link, &asked), 0);
	for (int i = 0; i < 20; i++)
		(void)uv_run(&peer.loop, UV_RUN_ONCE);
	while (peer_try_receive(&peer))
		n++;
	t_eq(n, SN_IPC_PIPELINE);

	/* Its sequence number is the last one received. */
	peer.header.seq -= SN_IPC_PIPELINE - 1;
	for (unsigned int i = 0; i < SN_IPC_PIPELINE; i++) {
		peer_reply(&peer, 0);
		peer.header.seq++;
	}
	for (unsigned int i = 0; i < N - SN_IPC_PIPELINE; i++)
		serve_one(&peer);
	PEER_RUN_UNTIL(&peer, asked.n == N);
	owner_close(&peer, &owner, link);
}

static void queue_is_bounded_when_the_peer_does_not_read(void)
{
	static uint8_t rows[300 * sizeof(struct sn_rule_key)];
	const struct sn_ipc_table table = { .table = SN_TABLE_RULES };
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked = { 0 };
	struct sn_ipc_hello_answer hello = peer_hello();
	struct cp_link *link;
	unsigned int n = 0;
	int r;

	peer_init(&peer);
	link = owner_link(&peer, &owner, 100, 0);
	peer_greet(&peer, &hello);
	PEER_RUN_UNTIL(&peer, cp_link_is_up(link));
	do {
		r = cp_link_request(link, SN_IPC_TABLE_DEL, &table, rows, 300,
				    -1, took, &asked);
		n++;
		t_true(n <= 100 + SN_IPC_PIPELINE + 1);
	} while (r == 0);
	t_eq(r, -ENOBUFS);
	t_true(n > 100);
	for (unsigned int i = 0; i < n - 1; i++) {
		peer_receive(&peer, SN_IPC_TABLE_DEL);
		peer_reply(&peer, -ESTALE);
	}
	PEER_RUN_UNTIL(&peer, asked.n == n - 1);
	t_eq(asked.status, -ESTALE);
	t_eq(owner.n_down, 0);
	owner_close(&peer, &owner, link);
}

static void break_answers_every_request_once_then_tells_then_reconnects(void)
{
	enum { N = SN_IPC_PIPELINE + 10 };
	struct peer peer;
	struct owner owner = { 0 };
	struct sn_ipc_hello_answer hello = peer_hello();
	struct asked asked[N];
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	for (int i = 0; i < N; i++) {
		asked[i] = (struct asked){ .owner = &owner };
		t_eq(ask_stats(link, &asked[i]), 0);
	}
	serve_one(&peer);
	sn_closep(&peer.fd);
	PEER_RUN_UNTIL(&peer, owner.n_down == 1);
	t_false(cp_link_is_up(link));
	for (int i = 0; i < N; i++) {
		t_eq(asked[i].n, 1);
		t_false(asked[i].was_down);
		t_true(asked[i].status == -ECONNRESET ||
		       (i == 0 && asked[i].status == 0));
	}
	t_eq(ask_stats(link, &asked[0]), -ENOTCONN);

	peer_greet(&peer, &hello);
	PEER_RUN_UNTIL(&peer, owner.n_up == 2);
	t_eq(ask_stats(link, &asked[0]), 0);
	serve_one(&peer);
	PEER_RUN_UNTIL(&peer, asked[0].n == 2);
	t_eq(asked[0].status, 0);
	owner_close(&peer, &owner, link);
}

static void silent_peer_is_given_up(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked = { 0 };
	struct sn_ipc_hello_answer hello = peer_hello();
	struct cp_link *link;

	peer_init(&peer);
	link = owner_link(&peer, &owner, 0, 500000000);
	peer_greet(&peer, &hello);
	PEER_RUN_UNTIL(&peer, cp_link_is_up(link));
	t_eq(ask_stats(link, &asked), 0);
	peer_receive(&peer, SN_IPC_STATS);
	PEER_RUN_UNTIL(&peer, owner.n_down == 1);
	t_eq(asked.n, 1);
	t_eq(asked.status, -ECONNRESET);
	t_not_null(strstr(owner.why, "STATS"));
	owner_close(&peer, &owner, link);
}

/* Sends what no sound dp sends in answer to a TABLE_GET of rules. */
static void break_by(const struct peer_answer *bent, uint32_t seq_offset,
		     bool without_request)
{
	const struct sn_ipc_page page = { .table = SN_TABLE_RULES };
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked = { 0 };
	struct cp_link *link;
	struct peer_answer answer = *bent;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	if (!without_request) {
		t_eq(cp_link_request(link, SN_IPC_TABLE_GET, &page, NULL, 0, -1,
				     took, &asked),
		     0);
		peer_receive(&peer, SN_IPC_TABLE_GET);
	}
	answer.seq = peer.header.seq + seq_offset;
	peer_answer(&peer, &answer);
	PEER_RUN_UNTIL(&peer, owner.n_down == 1);
	t_not_null(strstr(owner.why, "protocol"));
	t_eq(asked.n, without_request ? 0 : 1);
	if (!without_request)
		t_eq(asked.status, -ECONNRESET);
	owner_close(&peer, &owner, link);
}

static void wrong_answers_end_the_link(void)
{
	static const uint8_t rows[4096];
	const struct peer_answer sound = { .type = SN_IPC_TABLE_GET };
	struct peer_answer bent;

	break_by(&sound, 1, false); /* not its turn */
	break_by(&sound, 0, true); /* nobody asked */
	bent = sound;
	bent.type = SN_IPC_TABLE_DEL;
	break_by(&bent, 0, false);
	/* Rows of another table. */
	bent = sound;
	bent.rows = rows;
	bent.n_rows = 2;
	bent.row_bytes = sizeof(struct sn_flow_key) + sizeof(struct sn_flow);
	break_by(&bent, 0, false);
	bent = sound;
	bent.status.status = 3;
	break_by(&bent, 0, false);
}

static void garbage_ends_the_link(void)
{
	static const uint8_t garbage[] = "neither header nor status";
	struct peer peer;
	struct owner owner = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(sn_ipc_send(peer.fd, garbage, sizeof(garbage), NULL, 0), 0);
	PEER_RUN_UNTIL(&peer, owner.n_down == 1);
	owner_close(&peer, &owner, link);
}

static void record_over_the_limit_ends_the_link(void)
{
	static const uint8_t huge[SN_IPC_RECORD_BYTES + 8];
	struct peer peer;
	struct owner owner = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(send(peer.fd, huge, sizeof(huge), 0), sizeof(huge));
	PEER_RUN_UNTIL(&peer, owner.n_down == 1);
	owner_close(&peer, &owner, link);
}

static void what_is_no_request_is_refused_before_it_is_sent(void)
{
	static const uint8_t rows[SN_IPC_RECORD_BYTES];
	const struct sn_ipc_table table = { .table = SN_TABLE_RULES };
	const struct sn_ipc_table no_table = { .table = SN_TABLE_COUNT };
	const struct sn_ipc_hello hello = { 0 };
	const struct sn_ipc_empty none = { 0 };
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	t_eq(cp_link_request(link, SN_IPC_HELLO, &hello, NULL, 0, -1, took,
			     &asked),
	     -EINVAL);
	t_eq(cp_link_request(link, SN_IPC_TYPE_END, &none, NULL, 0, -1, took,
			     &asked),
	     -EINVAL);
	t_eq(cp_link_request(link, SN_IPC_STATS, &none, rows, 1, -1, took,
			     &asked),
	     -EINVAL);
	t_eq(cp_link_request(link, SN_IPC_TABLE_PUT, &no_table, rows, 1, -1,
			     took, &asked),
	     -EINVAL);
	t_eq(cp_link_request(link, SN_IPC_STATS, &none, NULL, 0, 0, took,
			     &asked),
	     -EINVAL);
	t_eq(cp_link_request(link, SN_IPC_TABLE_DEL, &table, rows, 2048, -1,
			     took, &asked),
	     -EMSGSIZE);
	t_eq(asked.n, 0);
	owner_close(&peer, &owner, link);
}

static void close_answers_what_is_open(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct asked asked = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	for (int i = 0; i < SN_IPC_PIPELINE + 5; i++)
		t_eq(ask_stats(link, &asked), 0);
	owner_close(&peer, &owner, link);
	t_eq(asked.n, SN_IPC_PIPELINE + 5);
	t_eq(asked.status, -ECONNRESET);
	t_eq(owner.n_down, 0);
}

static void link_may_be_closed_in_an_answer(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct asked first = { .owner = &owner }, second = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	first.link = link;
	t_eq(ask_stats(link, &first), 0);
	t_eq(ask_stats(link, &second), 0);
	serve_one(&peer);
	serve_one(&peer);
	PEER_RUN_UNTIL(&peer, owner.n_closed == 1);
	t_eq(first.status, 0);
	t_eq(second.n, 1);
	t_eq(second.status, -ECONNRESET);
	peer_done(&peer);
}

static void link_may_be_closed_while_it_breaks(void)
{
	struct peer peer;
	struct owner owner = { 0 };
	struct asked first = { .owner = &owner }, second = { 0 };
	struct cp_link *link;

	peer_init(&peer);
	link = owner_connect(&peer, &owner);
	first.link = link;
	t_eq(ask_stats(link, &first), 0);
	t_eq(ask_stats(link, &second), 0);
	sn_closep(&peer.fd);
	PEER_RUN_UNTIL(&peer, owner.n_closed == 1);
	t_eq(first.n, 1);
	t_eq(second.n, 1);
	t_eq(owner.n_down, 0);
	peer_done(&peer);
}

static void path_that_no_socket_can_have_is_refused(void)
{
	const struct cp_link_events events = { owner_up, owner_down };
	struct cp_link *link = NULL;
	char path[200];

	(void)memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	t_eq(cp_link_new(&link, uv_default_loop(), path, NULL, &events, NULL),
	     -ENAMETOOLONG);
	t_null(link);
}

T_MAIN("link", link_comes_up_after_hello,
       other_abi_keeps_the_link_down_and_says_so_once,
       missing_socket_is_told_once_and_tried_again,
       answers_reach_their_requests,
       fd_of_a_request_is_passed_and_stays_the_callers,
       no_more_than_the_pipeline_is_unanswered,
       queue_is_bounded_when_the_peer_does_not_read,
       break_answers_every_request_once_then_tells_then_reconnects,
       silent_peer_is_given_up, wrong_answers_end_the_link,
       garbage_ends_the_link, record_over_the_limit_ends_the_link,
       what_is_no_request_is_refused_before_it_is_sent,
       close_answers_what_is_open, link_may_be_closed_in_an_answer,
       link_may_be_closed_while_it_breaks,
       path_that_no_socket_can_have_is_refused)
