/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An engine on a loop, and servers by hand on loopback: the test receives and
 * answers between turns of the loop, in one thread. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <uv.h>

#include "controld/dns/wire.h"
#include "controld/upstream/upstream.h"
#include "shared/util.h"
#include "test/unit/t.h"

enum {
	RIG_LIMIT_MS = 20000,
	RIG_HEADER = 12,
	RIG_QR = 0x80,
	RIG_TC = 0x02,
	RIG_TYPE_A = 1,
};

struct rig {
	uv_loop_t loop;
	uv_timer_t pulse; /* so that a turn of the loop ends */
	struct cp_upstream *upstream;
	bool is_closed;
};

/* One server: its UDP socket and its listener have the same port. */
struct server {
	struct cp_dns_upstream config;
	int udp;
	int listener;
	int stream;
	struct sockaddr_in from;
	uint8_t in[65536];
	size_t size;
};

/* What became of a question. */
struct result {
	struct cp_upstream_request *request;
	int n_calls;
	int status;
	bool is_secure;
	size_t size;
	uint8_t message[65535];
	void (*then)(struct result *result);
	struct result *other;
	struct cp_upstream_set *set;
};

static inline void rig_pulse(uv_timer_t *timer)
{
	(void)timer;
}

static inline uint64_t rig_now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Turns the loop until the condition holds; fails the test after a while. */
#define RIG_RUN_UNTIL(rig, condition)                                  \
	do {                                                           \
		uint64_t end_ = rig_now_ms() + RIG_LIMIT_MS;           \
		while (!(condition)) {                                 \
			if (rig_now_ms() > end_)                       \
				t_fail("'%s' never came", #condition); \
			(void)uv_run(&(rig)->loop, UV_RUN_ONCE);       \
		}                                                      \
	} while (0)

static inline void rig_run_for(struct rig *rig, uint64_t ms)
{
	uint64_t end = rig_now_ms() + ms;

	while (rig_now_ms() < end)
		(void)uv_run(&rig->loop, UV_RUN_ONCE);
}

static inline void rig_init(struct rig *rig,
			    const struct cp_upstream_options *like)
{
	struct cp_upstream_options options = *like;
	struct sn_diag diag = { .text = "" };

	(void)memset(rig, 0, sizeof(*rig));
	t_eq(uv_loop_init(&rig->loop), 0);
	t_eq(uv_timer_init(&rig->loop, &rig->pulse), 0);
	t_eq(uv_timer_start(&rig->pulse, rig_pulse, 2, 2), 0);
	options.loop = &rig->loop;
	if (cp_upstream_new(&rig->upstream, &options, &diag))
		t_fail("no engine: %s", diag.text);
}

static inline void rig_closed(void *userdata)
{
	struct rig *rig = userdata;

	rig->is_closed = true;
}

/* The loop must be without a handle when the engine is gone. */
static inline void rig_done(struct rig *rig)
{
	if (!rig->is_closed)
		cp_upstream_close(rig->upstream, rig_closed, rig);
	RIG_RUN_UNTIL(rig, rig->is_closed);
	uv_close((uv_handle_t *)&rig->pulse, NULL);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	t_eq(uv_loop_close(&rig->loop), 0);
}

static inline struct cp_upstream_stats rig_stats(const struct rig *rig)
{
	struct cp_upstream_stats stats;

	cp_upstream_get_stats(rig->upstream, &stats);
	return stats;
}

static inline int server_bind(int type, uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	t_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static inline uint16_t server_port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	t_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin_port);
}

static inline void server_init(struct server *server)
{
	uint16_t port = 0;

	(void)memset(server, 0, sizeof(*server));
	server->listener = -1;
	server->stream = -1;
	/* The other protocol's port may be somebody else's. */
	for (int i = 0; i < 100 && server->listener < 0; i++) {
		server->udp = server_bind(SOCK_DGRAM, 0);
		port = server_port_of(server->udp);
		server->listener = server_bind(SOCK_STREAM, port);
		if (server->listener < 0)
			sn_closep(&server->udp);
	}
	t_true(server->listener >= 0);
	t_eq(listen(server->listener, 64), 0);
	server->config.family = SN_FAMILY_IPV4;
	server->config.port = port;
	server->config.address[0] = 127;
	server->config.address[3] = 1;
}

/* From here on its port is closed, for UDP or for TCP, and still ours: a port
 * that were given back could be the next one that the kernel chooses, for a
 * socket of the engine or of a test beside this one, which then hears the
 * queries. A connected socket takes nothing from others. */
static inline void server_close_udp(struct server *server)
{
	struct sockaddr_in nobody = {
		.sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	t_eq(connect(server->udp, (struct sockaddr *)&nobody, sizeof(nobody)),
	     0);
}

static inline void server_close_tcp(struct server *server)
{
	t_eq(shutdown(server->listener, SHUT_RDWR), 0);
}

static inline void server_done(struct server *server)
{
	sn_closep(&server->udp);
	sn_closep(&server->listener);
	sn_closep(&server->stream);
}

static inline struct cp_upstream_set *
rig_set_of(struct rig *rig, struct server *servers, size_t n, bool dnssec)
{
	struct cp_dns_upstream configs[CP_DNS_UPSTREAMS_MAX];
	struct cp_upstream_set *set = NULL;

	for (size_t i = 0; i < n; i++)
		configs[i] = servers[i].config;
	t_eq(cp_upstream_set_get(rig->upstream, configs, n, dnssec, &set), 0);
	return set;
}

static inline struct cp_upstream_set *rig_set(struct rig *rig,
					      struct server *servers, size_t n)
{
	return rig_set_of(rig, servers, n, false);
}

/* An engine with a set of n servers. */
static inline struct cp_upstream_set *
rig_begin(struct rig *rig, const struct cp_upstream_options *options,
	  struct server *servers, size_t n)
{
	rig_init(rig, options);
	for (size_t i = 0; i < n; i++)
		server_init(&servers[i]);
	return rig_set(rig, servers, n);
}

static inline void rig_end(struct rig *rig, struct cp_upstream_set *set,
			   struct server *servers, size_t n)
{
	(void)cp_upstream_set_unref(set);
	rig_done(rig);
	for (size_t i = 0; i < n; i++)
		server_done(&servers[i]);
}

static inline void rig_told(void *userdata,
			    const struct cp_upstream_answer *answer)
{
	struct result *result = userdata;

	result->n_calls++;
	result->request = NULL;
	result->status = answer->status;
	result->is_secure = answer->is_secure;
	t_eq(answer->message != NULL, answer->status == 0);
	result->size = answer->size;
	if (answer->message)
		(void)memcpy(result->message, answer->message, answer->size);
	if (result->then)
		result->then(result);
}

static inline struct cp_dns_name rig_name(const char *text)
{
	struct cp_dns_name name;

	t_eq(cp_dns_name_parse(text, &name, NULL), 0);
	return name;
}

static inline int rig_try_ask(struct cp_upstream_set *set, const char *text,
			      struct result *result)
{
	struct cp_dns_name name = rig_name(text);
	struct cp_upstream_question question = {
		.name = &name,
		.type = RIG_TYPE_A,
		.class = 1,
	};
	int n_calls = result->n_calls;
	int r;

	r = cp_upstream_ask(set, &question, rig_told, result, &result->request);
	/* Never within the call. */
	t_eq(result->n_calls, n_calls);
	return r;
}

static inline void rig_ask(struct cp_upstream_set *set, const char *text,
			   struct result *result)
{
	t_eq(rig_try_ask(set, text, result), 0);
}

static inline bool server_try_receive(struct server *server)
{
	socklen_t size = sizeof(server->from);
	ssize_t n = recvfrom(server->udp, server->in, sizeof(server->in), 0,
			     (struct sockaddr *)&server->from, &size);

	server->size = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Waits for a query by UDP. */
static inline void server_receive(struct rig *rig, struct server *server)
{
	RIG_RUN_UNTIL(rig, server_try_receive(server));
}

/* The query of `in` as an answer with one address; ret has room for it. */
static inline size_t server_make(const struct server *server,
				 unsigned int rcode, uint8_t *ret)
{
	static const uint8_t record[] = { 0xc0, RIG_HEADER, 0, 1, 0, 1, 0, 0,
					  1,	0,	    0, 4, 1, 2, 3, 4 };
	size_t at = RIG_HEADER;

	while (server->in[at])
		at += 1U + server->in[at];
	at += 5;
	(void)memcpy(ret, server->in, at);
	ret[2] |= RIG_QR;
	ret[3] = (uint8_t)(0x80 | rcode);
	(void)memset(ret + 6, 0, 6);
	if (rcode)
		return at;
	ret[7] = 1;
	(void)memcpy(ret + at, record, sizeof(record));
	return at + sizeof(record);
}

static inline void server_send(const struct server *server, const void *message,
			       size_t size)
{
	t_eq(sendto(server->udp, message, size, 0,
		    (const struct sockaddr *)&server->from,
		    sizeof(server->from)),
	     size);
}

static inline void server_answer(const struct server *server,
				 unsigned int rcode)
{
	uint8_t message[512];

	server_send(server, message, server_make(server, rcode, message));
}

static inline bool server_try_accept(struct server *server)
{
	int on = 1;

	sn_closep(&server->stream);
	server->stream = accept4(server->listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (server->stream >= 0)
		t_eq(setsockopt(server->stream, IPPROTO_TCP, TCP_NODELAY, &on,
				sizeof(on)),
		     0);
	return server->stream >= 0;
}

/* One framed message from the stream into `in`, byte for byte. */
static inline bool server_try_read(struct server *server)
{
	uint8_t length[2];
	size_t wanted;

	if (recv(server->stream, length, 2, MSG_PEEK) != 2)
		return false;
	wanted = cp_dns_wire_get16(length);
	if (recv(server->stream, server->in, wanted + 2, MSG_PEEK) !=
	    (ssize_t)wanted + 2)
		return false;
	t_eq(recv(server->stream, length, 2, 0), 2);
	t_eq(recv(server->stream, server->in, wanted, 0), wanted);
	server->size = wanted;
	return true;
}

static inline void server_accept_and_read(struct rig *rig,
					  struct server *server)
{
	RIG_RUN_UNTIL(rig, server_try_accept(server));
	RIG_RUN_UNTIL(rig, server_try_read(server));
}

static inline void server_write(const struct server *server, const void *bytes,
				size_t size)
{
	t_eq(send(server->stream, bytes, size, MSG_NOSIGNAL), size);
}

/* Framed; returns the size. */
static inline size_t server_frame(const struct server *server,
				  unsigned int rcode, uint8_t *ret)
{
	size_t size = server_make(server, rcode, ret + 2);

	cp_dns_wire_put16(ret, (unsigned int)size);
	return size + 2;
}

static inline void server_reply(const struct server *server)
{
	uint8_t bytes[512];

	server_write(server, bytes, server_frame(server, 0, bytes));
}

/* Does the peer's end of the stream close? */
static inline bool server_sees_end(struct server *server)
{
	uint8_t byte;
	ssize_t n = recv(server->stream, &byte, 1, MSG_PEEK);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* What the engine hands out for server_make(): id and case are taken out. */
static inline void result_is_answer(const struct result *result,
				    const char *text)
{
	struct cp_dns_name name = rig_name(text);

	t_eq(result->n_calls, 1);
	t_eq(result->status, 0);
	t_true(result->size > (size_t)RIG_HEADER + name.size);
	t_eq(cp_dns_wire_get16(result->message), 0);
	t_mem_eq(result->message + RIG_HEADER, name.wire, name.size);
}
