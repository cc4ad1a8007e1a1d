/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <uv.h>

#include "controld/dns/identity.h"
#include "controld/dns/tcp.h"
#include "controld/dns/udp.h"
#include "shared/util.h"
#include "test/unit/t.h"

/* A client on 127.0.0.1 asks a loopback address of the cgroup path; what comes
 * in is either sent back at once or kept until the test lets go of it. */

enum {
	N_SLOTS = 64,
	KEPT_MAX = 4096,
	SLOT = 7,
	ROUNDS_MAX = 20000,
};

static struct {
	uv_loop_t loop;
	uint16_t port;
	bool keeps;
	struct cp_dns_origin kept[KEPT_MAX];
	size_t sizes[KEPT_MAX];
	size_t n_kept;
	size_t n_queries;
	uint32_t slot;
	size_t size;
	uint64_t owner;
	bool is_closed;
	bool has_no_memory;
} rig;

/* The sanitizers' allocator lets nobody take its place. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define IS_SANITIZED
#endif
#endif

#ifndef IS_SANITIZED
void *__libc_calloc(size_t n, size_t size);

void *calloc(size_t n, size_t size)
{
	return rig.has_no_memory ? NULL : __libc_calloc(n, size);
}
#endif

static uint64_t owner_of(void *userdata, uint32_t slot)
{
	t_true(userdata == &rig);
	t_eq(slot, SLOT);
	return rig.owner;
}

static void on_query(void *userdata, const struct cp_dns_origin *origin,
		     const uint8_t *message, size_t size)
{
	t_true(userdata == &rig);
	rig.n_queries++;
	rig.slot = origin->slot;
	rig.size = size;
	if (!rig.keeps) {
		origin->ops->reply(origin, message, size);
		return;
	}
	t_true(rig.n_kept < KEPT_MAX);
	rig.sizes[rig.n_kept] = size;
	rig.kept[rig.n_kept++] = *origin;
}

static void let_go(size_t n)
{
	static const uint8_t answer[] = "answer";

	for (size_t i = 0; i < n; i++)
		rig.kept[i].ops->reply(&rig.kept[i], answer, sizeof(answer));
	rig.n_kept -= n;
	(void)memmove(rig.kept, rig.kept + n, rig.n_kept * sizeof(rig.kept[0]));
}

static void on_closed(void *userdata)
{
	t_true(userdata == &rig);
	rig.is_closed = true;
}

/* The condition is evaluated once a round: it may read from a socket. */
#define RUN_UNTIL(condition)                                   \
	do {                                                   \
		int rounds_ = 0;                               \
		while (!(condition)) {                         \
			t_true(++rounds_ < ROUNDS_MAX);        \
			if (!uv_run(&rig.loop, UV_RUN_NOWAIT)) \
				continue;                      \
			(void)poll(NULL, 0, rounds_ > 10);     \
		}                                              \
	} while (0)

static struct sockaddr_in address_of(uint32_t address)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(rig.port),
				     .sin_addr.s_addr = htonl(address) };
}

static struct sockaddr_in slot_address(uint32_t alias)
{
	return address_of(SN_DNS_LOOPBACK4 + (alias << 16) + SLOT);
}

static int open_listener(int type)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t n = sizeof(any);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int yes = 1;

	t_true(fd >= 0);
	t_eq(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes)), 0);
	t_eq(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	if (type == SOCK_STREAM)
		t_eq(listen(fd, 64), 0);
	t_eq(getsockname(fd, (struct sockaddr *)&any, &n), 0);
	rig.port = ntohs(any.sin_port);
	return fd;
}

static struct cp_dns_udp *start_udp(void)
{
	static const struct sn_dns dns;
	struct cp_dns_udp_options options = {
		.loop = &rig.loop,
		.kind = CP_DNS_LISTEN_CGROUP_UDP4,
		.dns = &dns,
		.query = on_query,
		.userdata = &rig,
	};
	struct cp_dns_udp *udp = NULL;

	t_eq(uv_loop_init(&rig.loop), 0);
	t_eq(cp_dns_udp_new(&udp, &options, open_listener(SOCK_DGRAM)), 0);
	return udp;
}

static struct cp_dns_tcp *start_tcp(size_t connections_max, uint32_t idle_ms)
{
	static const struct sn_dns dns;
	struct cp_dns_tcp_options options = {
		.loop = &rig.loop,
		.connections_max = connections_max,
		.idle_ms = idle_ms,
		.n_slots = N_SLOTS,
		.query = on_query,
		.owner = owner_of,
		.userdata = &rig,
	};
	struct cp_dns_tcp *tcp = NULL;

	t_eq(uv_loop_init(&rig.loop), 0);
	t_eq(cp_dns_tcp_new(&tcp, &options), 0);
	t_eq(cp_dns_tcp_listen(tcp, CP_DNS_LISTEN_CGROUP_TCP4, &dns,
			       open_listener(SOCK_STREAM)),
	     0);
	return tcp;
}

static void end(void)
{
	RUN_UNTIL(rig.is_closed);
	t_eq(uv_run(&rig.loop, UV_RUN_DEFAULT), 0);
	t_eq(uv_loop_close(&rig.loop), 0);
}

static int connect_to(const struct sockaddr_in *to, int type)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	t_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		t_eq(errno, EINPROGRESS);
	return fd;
}

static void put(int fd, const void *data, size_t size)
{
	t_eq(send(fd, data, size, MSG_NOSIGNAL), size);
}

/* Reads exactly `size` bytes while the loop runs. */
static void read_all(int fd, uint8_t *data, size_t size)
{
	size_t at = 0;

	RUN_UNTIL(({
		ssize_t n = recv(fd, data + at, size - at, 0);

		if (n > 0)
			at += (size_t)n;
		at == size;
	}));
}

static bool has_ended(int fd)
{
	uint8_t byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void identity_is_the_address_and_nothing_else(void)
{
	struct sn_dns dns = { .range4 = { 198, 18, 0, 0 }, .range4_bits = 15 };
	struct in_addr in4;
	struct in6_addr in6;

	t_eq(inet_pton(AF_INET6, "fd53:6e74:6c64:1::", dns.range6), 1);
	t_eq(inet_pton(AF_INET6, "fd53:6e74:6c64:2::", dns.loopback6), 1);
#define SOURCE4(text, slot)                      \
	t_eq(inet_pton(AF_INET, text, &in4), 1); \
	t_eq(cp_dns_identity_of_source4(&dns, &in4), slot)
	SOURCE4("198.18.1.1", 1);
	SOURCE4("198.18.1.0", 0);
	SOURCE4("198.18.0.1", 0);
	SOURCE4("198.19.255.255", 130815);
	SOURCE4("198.20.0.0", 0);
	SOURCE4("198.17.255.255", 0);
#undef SOURCE4
#define SOURCE6(text, slot)                       \
	t_eq(inet_pton(AF_INET6, text, &in6), 1); \
	t_eq(cp_dns_identity_of_source6(&dns, &in6), slot)
	SOURCE6("fd53:6e74:6c64:1::101", 1);
	SOURCE6("fd53:6e74:6c64:1::1:100", 65536);
	SOURCE6("fd53:6e74:6c64:1::1", 0);
	SOURCE6("fd53:6e74:6c64:1:1::101", 0);
	SOURCE6("fd53:6e74:6c64:2::101", 0);
#undef SOURCE6
#define LOOPBACK4(text, slot)                    \
	t_eq(inet_pton(AF_INET, text, &in4), 1); \
	t_eq(cp_dns_identity_of_loopback4(&in4), slot)
	LOOPBACK4("127.16.0.7", 7);
	LOOPBACK4("127.31.1.0", 256);
	LOOPBACK4("127.32.0.7", 0);
	LOOPBACK4("127.15.255.255", 0);
#undef LOOPBACK4
	t_eq(inet_pton(AF_INET6, "fd53:6e74:6c64:2:3::1:9", &in6), 1);
	t_eq(cp_dns_identity_of_loopback6(&dns, &in6), 0x10009);
	t_eq(inet_pton(AF_INET6, "fd53:6e74:6c64:1:3::9", &in6), 1);
	t_eq(cp_dns_identity_of_loopback6(&dns, &in6), 0);
	in4 = cp_dns_identity_resolver4(&dns);
	t_eq(ntohl(in4.s_addr), 0xc6120001);
}

static void a_datagram_is_answered_from_where_it_was_sent_to(void)
{
	struct cp_dns_udp *udp = start_udp();
	struct sockaddr_in to = slot_address(3), from;
	socklen_t n = sizeof(from);
	uint8_t data[64];
	ssize_t got = -1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	t_eq(sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	RUN_UNTIL((got = recvfrom(fd, data, sizeof(data), 0,
				  (struct sockaddr *)&from, &n)) >= 0);
	t_eq(got, 5);
	t_mem_eq(data, "hello", 5);
	t_eq(from.sin_addr.s_addr, to.sin_addr.s_addr);
	t_eq(rig.slot, SLOT);
	cp_dns_udp_close(udp, on_closed, &rig);
	end();
	(void)close(fd);
}

static void datagrams_of_nobody_are_not_asked_about(void)
{
	struct cp_dns_udp *udp = start_udp();
	struct sockaddr_in wrong = address_of(INADDR_LOOPBACK);
	struct sockaddr_in right = slot_address(0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	static uint8_t large[8192];

	t_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&wrong, sizeof(wrong)),
	     1);
	t_eq(sendto(fd, large, sizeof(large), 0, (struct sockaddr *)&right,
		    sizeof(right)),
	     sizeof(large));
	t_eq(sendto(fd, "ok", 2, 0, (struct sockaddr *)&right, sizeof(right)),
	     2);
	RUN_UNTIL(rig.n_queries == 1);
	t_eq(rig.size, 2);
	cp_dns_udp_close(udp, on_closed, &rig);
	end();
	(void)close(fd);
}

static void closing_waits_for_what_is_under_way(void)
{
	struct cp_dns_udp *udp = start_udp();
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_DGRAM);

	rig.keeps = true;
	for (int i = 0; i < 100; i++)
		put(fd, "query", 5);
	RUN_UNTIL(rig.n_kept == 100);
	cp_dns_udp_close(udp, on_closed, &rig);
	for (int i = 0; i < 10; i++)
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	t_false(rig.is_closed);
	let_go(100);
	end();
	(void)close(fd);
}

/* One whose path has changed has a successor in the same breath. */
static void a_port_is_free_as_soon_as_its_listener_is_closed(void)
{
	struct cp_dns_udp *udp = start_udp();
	struct sockaddr_in to = slot_address(0);
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_port = to.sin_port };
	int fd = connect_to(&to, SOCK_DGRAM);
	int next = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	rig.keeps = true;
	put(fd, "query", 5);
	RUN_UNTIL(rig.n_kept == 1);
	cp_dns_udp_close(udp, on_closed, &rig);
	t_eq(bind(next, (struct sockaddr *)&any, sizeof(any)), 0);
	let_go(1);
	end();
	(void)close(fd);
	(void)close(next);
}

static void queries_in_one_segment_are_all_answered(void)
{
	enum { N = 50 };
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_STREAM);
	uint8_t sent[N * 5], got[N * 5];

	for (int i = 0; i < N; i++)
		(void)memcpy(sent + 5 * i,
			     (const uint8_t[]){ 0, 3, 'a', 'b', (uint8_t)i },
			     5);
	RUN_UNTIL(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) ==
		  1);
	put(fd, sent, sizeof(sent));
	read_all(fd, got, sizeof(got));
	t_mem_eq(got, sent, sizeof(sent));
	t_eq(rig.n_queries, N);
	t_eq(rig.slot, SLOT);
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void a_slot_s_next_owner_does_not_inherit_connections(void)
{
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_STREAM);
	uint8_t got[5];

	rig.owner = 1;
	RUN_UNTIL(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) ==
		  1);
	put(fd, "\0\3one", 5);
	read_all(fd, got, sizeof(got));
	rig.owner = 2;
	put(fd, "\0\3two", 5);
	RUN_UNTIL(has_ended(fd));
	t_eq(rig.n_queries, 1);
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void one_byte_a_segment_is_patience_not_trouble(void)
{
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_STREAM), yes = 1;
	static const char query[] = "\0\5hello";
	uint8_t got[sizeof(query) - 1];

	t_eq(setsockopt(fd, IPPROTO_TCP, 1, &yes, sizeof(yes)), 0);
	RUN_UNTIL(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) ==
		  1);
	for (size_t i = 0; i < sizeof(got); i++) {
		t_eq(rig.n_queries, 0);
		put(fd, query + i, 1);
		for (int j = 0; j < 3; j++)
			(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	}
	read_all(fd, got, sizeof(got));
	t_mem_eq(got, query, sizeof(got));
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void the_largest_message_fits(void)
{
	static uint8_t sent[2 + 65535], got[2 + 65535];
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_STREAM);
	size_t at = 0, n_got = 0;

	for (size_t i = 2; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 31);
	sent[0] = 0xff;
	sent[1] = 0xff;
	RUN_UNTIL(({
		ssize_t n =
			send(fd, sent + at, sizeof(sent) - at, MSG_NOSIGNAL);

		at += n > 0 ? (size_t)n : 0;
		n = recv(fd, got + n_got, sizeof(got) - n_got, 0);
		n_got += n > 0 ? (size_t)n : 0;
		n_got == sizeof(got);
	}));
	t_mem_eq(got, sent, sizeof(sent));
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void a_half_closed_client_gets_its_answers_first(void)
{
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_STREAM);
	uint8_t got[2 * 9];

	rig.keeps = true;
	RUN_UNTIL(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) ==
		  1);
	put(fd, "\0\1a\0\1b\0\7cut", 11);
	t_eq(shutdown(fd, SHUT_WR), 0);
	RUN_UNTIL(rig.n_kept == 2);
	for (int i = 0; i < 10; i++)
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	let_go(2);
	read_all(fd, got, sizeof(got));
	RUN_UNTIL(has_ended(fd));
	t_eq(rig.n_queries, 2);
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void a_client_that_asks_too_much_at_once_is_held_back(void)
{
	enum { N = 1000 };
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_STREAM);
	uint8_t got[9];
	int n_got = 0;

	rig.keeps = true;
	RUN_UNTIL(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) ==
		  1);
	for (int i = 0; i < N; i++)
		put(fd, "\0\1q", 3);
	RUN_UNTIL(rig.n_kept == CP_DNS_TCP_QUERIES_MAX);
	for (int i = 0; i < 20; i++)
		(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	t_eq(rig.n_kept, CP_DNS_TCP_QUERIES_MAX);
	while (n_got < N) {
		RUN_UNTIL(rig.n_kept > 0);
		let_go(1);
		read_all(fd, got, sizeof(got));
		n_got++;
	}
	t_eq(rig.n_queries, N);
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

/* A turn is of what was left over, and one more of what is read. */
static void a_client_that_sends_without_end_has_its_turns_only(void)
{
	enum { N = 3000, BYTES = 5, TURNS = 2 };
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	int fd = connect_to(&to, SOCK_STREAM);
	static uint8_t sent[N * BYTES], got[N * BYTES];
	size_t n_before = 0;

	for (int i = 0; i < N; i++)
		(void)memcpy(sent + BYTES * i,
			     (const uint8_t[]){ 0, 3, 'q', (uint8_t)(i >> 8),
						(uint8_t)i },
			     BYTES);
	RUN_UNTIL(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) ==
		  1);
	put(fd, sent, sizeof(sent));
	RUN_UNTIL(({
		size_t n = rig.n_queries - n_before;

		n_before = rig.n_queries;
		t_true(n <= (size_t)TURNS * CP_DNS_TCP_TURN_MAX);
		rig.n_queries == N;
	}));
	read_all(fd, got, sizeof(got));
	t_mem_eq(got, sent, sizeof(sent));
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void the_longest_idle_connection_makes_room(void)
{
	enum { N = CP_DNS_TCP_SLOT_MAX + 1 };
	struct cp_dns_tcp *tcp = start_tcp(1000, 0);
	struct sockaddr_in to = slot_address(0);
	struct cp_dns_tcp_stats stats;
	uint8_t got[3];
	int fds[N];

	for (int i = 0; i < N - 1; i++) {
		fds[i] = connect_to(&to, SOCK_STREAM);
		RUN_UNTIL((cp_dns_tcp_get_stats(tcp, &stats),
			   stats.n_accepted == (uint64_t)i + 1));
	}
	/* The first one has just been active, so that the second goes. */
	put(fds[0], "\0\1q", 3);
	read_all(fds[0], got, 3);
	RUN_UNTIL(({
		static uint64_t now;
		uint64_t before = now;

		now = uv_now(&rig.loop);
		before &&now > before;
	}));
	fds[N - 1] = connect_to(&to, SOCK_STREAM);
	RUN_UNTIL(has_ended(fds[1]));
	put(fds[0], "\0\1q", 3);
	read_all(fds[0], got, 3);
	cp_dns_tcp_get_stats(tcp, &stats);
	t_eq(stats.n_evicted, 1);
	t_eq(stats.n_connections, N - 1);
	for (int i = 0; i < N; i++)
		(void)close(fds[i]);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void the_bound_over_all_holds_too(void)
{
	struct cp_dns_tcp *tcp = start_tcp(2, 0);
	struct sockaddr_in to = slot_address(0);
	struct cp_dns_tcp_stats stats;
	int fds[8];

	for (int i = 0; i < 8; i++)
		fds[i] = connect_to(&to, SOCK_STREAM);
	RUN_UNTIL((cp_dns_tcp_get_stats(tcp, &stats), stats.n_accepted == 8));
	t_eq(stats.n_connections, 2);
	t_eq(stats.n_evicted, 6);
	for (int i = 0; i < 8; i++)
		(void)close(fds[i]);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void an_idle_connection_ends(void)
{
	struct cp_dns_tcp *tcp = start_tcp(16, 1);
	struct sockaddr_in to = slot_address(0);
	struct cp_dns_tcp_stats stats;
	int fd = connect_to(&to, SOCK_STREAM);

	RUN_UNTIL(has_ended(fd));
	cp_dns_tcp_get_stats(tcp, &stats);
	t_eq(stats.n_expired, 1);
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void a_connection_that_asks_nobody_is_refused(void)
{
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = address_of(INADDR_LOOPBACK);
	struct cp_dns_tcp_stats stats;
	int fd = connect_to(&to, SOCK_STREAM);

	RUN_UNTIL(has_ended(fd));
	cp_dns_tcp_get_stats(tcp, &stats);
	t_eq(stats.n_refused, 1);
	t_eq(stats.n_connections, 0);
	(void)close(fd);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

static void a_connection_waits_for_memory_and_keeps_nobody_out(void)
{
#ifdef IS_SANITIZED
	t_skip("the sanitizers' allocator cannot be made to fail");
#else
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	struct cp_dns_tcp_stats stats;
	int fds[3];

	for (size_t i = 0; i < SN_ARRAY_SIZE(fds); i++) {
		rig.has_no_memory = i < 2;
		fds[i] = connect_to(&to, SOCK_STREAM);
		for (int k = 0; k < 20; k++)
			(void)uv_run(&rig.loop, UV_RUN_NOWAIT);
	}
	/* libuv heard of the first one only, and of no other behind it. */
	cp_dns_tcp_get_stats(tcp, &stats);
	t_eq(stats.n_accepted, 0);
	RUN_UNTIL((cp_dns_tcp_get_stats(tcp, &stats), stats.n_accepted == 3));
	for (size_t i = 0; i < SN_ARRAY_SIZE(fds); i++) {
		uint8_t got[5];

		put(fds[i], "\0\3one", 5);
		read_all(fds[i], got, sizeof(got));
		(void)close(fds[i]);
	}
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
#endif
}

static void a_connection_may_go_while_its_queries_are_under_way(void)
{
	struct cp_dns_tcp *tcp = start_tcp(16, 0);
	struct sockaddr_in to = slot_address(0);
	struct linger hard = { .l_onoff = 1 };
	struct cp_dns_tcp_stats stats;
	int fd = connect_to(&to, SOCK_STREAM);

	rig.keeps = true;
	RUN_UNTIL(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) ==
		  1);
	put(fd, "\0\1a\0\1b", 6);
	RUN_UNTIL(rig.n_kept == 2);
	t_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	(void)close(fd);
	RUN_UNTIL(
		(cp_dns_tcp_get_stats(tcp, &stats), stats.n_connections == 0));
	let_go(2);
	cp_dns_tcp_close(tcp, on_closed, &rig);
	end();
}

T_MAIN("dns_transport", identity_is_the_address_and_nothing_else,
       a_datagram_is_answered_from_where_it_was_sent_to,
       datagrams_of_nobody_are_not_asked_about,
       closing_waits_for_what_is_under_way,
       a_port_is_free_as_soon_as_its_listener_is_closed,
       queries_in_one_segment_are_all_answered,
       a_slot_s_next_owner_does_not_inherit_connections,
       one_byte_a_segment_is_patience_not_trouble, the_largest_message_fits,
       a_half_closed_client_gets_its_answers_first,
       a_client_that_asks_too_much_at_once_is_held_back,
       a_client_that_sends_without_end_has_its_turns_only,
       the_longest_idle_connection_makes_room, the_bound_over_all_holds_too,
       an_idle_connection_ends, a_connection_that_asks_nobody_is_refused,
       a_connection_waits_for_memory_and_keeps_nobody_out,
       a_connection_may_go_while_its_queries_are_under_way)
