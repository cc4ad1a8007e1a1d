/* SPDX-License-Identifier: Apache-2.0 */

/* What is ours between a socket and a route: the judgement of a request's head
 * and body, and the answers. The input is what a peer sends; a real server on a
 * loopback port reads it. Whatever it is, the server goes on: a good request
 * behind it is answered, and nobody's memory grows. */

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "controld/http/call.h"
#include "shared/log.h"
#include "shared/util.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 256, INPUT_MAX = 32768, TURNS_MAX = 64 };
#define PATIENCE_NS (10 * SN_NS_PER_S)

static uv_loop_t loop;
static struct cp_http *http;
static struct sockaddr_in where;
static size_t n_served;

static void answer(void *userdata, struct cp_http_call *call)
{
	size_t size;
	const char *body = cp_http_call_get_body(call, &size);

	(void)userdata;
	require(size <= BODY_MAX && (body || size == 0));
	n_served++;
	cp_http_call_reply(call, 200, "text/plain", body, size);
}

static const struct cp_http_route routes[] = {
	{ "GET", "/metrics", 0, answer },
	{ "POST", "/put", BODY_MAX, answer },
};

static void start(void)
{
	struct cp_http_options options = {
		.loop = &loop,
		.name = "fuzz",
		.routes = routes,
		.n_routes = SN_ARRAY_SIZE(routes),
		.connections_max = 4,
	};
	struct cp_http_stats stats;

	sn_log_set_level(SN_LOG_ERROR);
	require(uv_loop_init(&loop) == 0);
	where.sin_family = AF_INET;
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* Fuzzers run beside each other. */
	for (unsigned int i = 0; i < 1000; i++) {
		where.sin_port = htons(
			(uint16_t)(20000 + (unsigned int)getpid() % 20000 + i));
		memcpy(&options.address.storage, &where, sizeof(where));
		options.address.size = sizeof(where);
		require(cp_http_new(&http, &options) == 0);
		cp_http_get_stats(http, &stats);
		if (stats.is_listening)
			return;
		cp_http_close(http, NULL, NULL);
		(void)uv_run(&loop, UV_RUN_DEFAULT);
	}
	abort();
}

/* Sends all of it and reads for some turns, or (patient) to the end, which may
 * wait until those who lie still are cut; what the first line says. The library
 * answers nobody who has closed his side, so this does not. */
static unsigned int exchange(const void *data, size_t size, bool patient)
{
	const struct linger none = { .l_onoff = 1 };
	uint64_t until_ns = uv_hrtime() + PATIENCE_NS;
	char head[16] = { 0 }, more[4096];
	size_t n_head = 0, sent = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool is_open = true;

	require(fd >= 0);
	(void)connect(fd, (const struct sockaddr *)&where, sizeof(where));
	for (int i = 0; is_open; i++) {
		ssize_t n;

		if (patient ? uv_hrtime() > until_ns : i > TURNS_MAX)
			break;
		if (sent < size) {
			n = send(fd, (const char *)data + sent, size - sent,
				 MSG_NOSIGNAL);
			if (n > 0)
				sent += (size_t)n;
		}
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		while ((n = recv(fd, more, sizeof(more), 0)) > 0) {
			size_t part =
				SN_MIN((size_t)n, sizeof(head) - 1 - n_head);

			memcpy(head + n_head, more, part);
			n_head += part;
		}
		is_open = n < 0 && errno == EAGAIN;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	(void)close(fd);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	return n_head >= 12 ? (unsigned int)atoi(head + 9) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char good[] = "GET /metrics HTTP/1.1\r\nHost: a\r\n"
				   "Connection: close\r\n\r\n";
	unsigned int status;
	size_t before;

	if (!http)
		start();
	if (size == 0 || size > INPUT_MAX)
		return 0;
	status = exchange(data, size, false);
	require(status == 0 || (status >= 100 && status < 500) ||
		status == 501 || status == 505);
	before = n_served;
	require(exchange(good, sizeof(good) - 1, true) == 200);
	require(n_served > before);
	return 0;
}
