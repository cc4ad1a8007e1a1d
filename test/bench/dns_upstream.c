/* SPDX-License-Identifier: Apache-2.0 */

/* bench-dns-upstream QUESTIONS WINDOW: the engine of controld/upstream against
 * an upstream that does next to nothing, in a process of its own on CPU 1.
 * WINDOW questions are always under way, each for another name. Prints one JSON
 * line with questions per CPU second of the engine's process (the client is
 * part of it), wall-clock rate and what went wrong; any failed question ends
 * the run with status 1. */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "controld/dns/wire.h"
#include "controld/upstream/upstream.h"
#include "shared/util.h"

enum {
	BATCH = 64,
	MESSAGE_BYTES = 512,
	HEADER = 12,
	BUFFER_BYTES = 8 << 20,
	WINDOW_MAX = 8192,
	NAMES = 50000,
	NAME_BYTES = 20, /* on the wire */
};

static struct cp_upstream_set *set;
static uint64_t n_left, n_answered, n_failed, next_name;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void pin(unsigned int which)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(which, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		warn("CPU %u", which);
}

/* The query with QR and one address behind its question. */
static size_t answer(uint8_t *message, size_t size)
{
	static const uint8_t record[] = { 0xc0, HEADER, 0, 1, 0,   1, 0, 0,
					  1,	0,	0, 4, 192, 0, 2, 1 };
	size_t at = HEADER;

	while (at < size && message[at])
		at += 1U + message[at];
	at += 5;
	if (at > size || at + sizeof(record) > MESSAGE_BYTES)
		return 0;
	message[2] |= 0x80;
	(void)memset(message + 6, 0, 6);
	message[7] = 1;
	(void)memcpy(message + at, record, sizeof(record));
	return at + sizeof(record);
}

static void serve(int fd)
{
	static uint8_t bytes[BATCH][MESSAGE_BYTES];
	static struct sockaddr_in from[BATCH];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];

	for (;;) {
		int n;

		for (int i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){ bytes[i], MESSAGE_BYTES };
			messages[i].msg_hdr = (struct msghdr){
				.msg_name = &from[i],
				.msg_namelen = sizeof(from[i]),
				.msg_iov = &parts[i],
				.msg_iovlen = 1,
			};
		}
		n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0)
			err(1, "recvmmsg");
		for (int i = 0; i < n; i++)
			parts[i].iov_len =
				answer(bytes[i], messages[i].msg_len);
		if (sendmmsg(fd, messages, (unsigned int)n, 0) != n)
			err(1, "sendmmsg");
	}
}

static int make_server(struct cp_dns_upstream *config)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int bytes = BUFFER_BYTES;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		err(1, "socket");
	/* Without privilege the window must fit the usual buffer. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	config->family = SN_FAMILY_IPV4;
	config->port = ntohs(address.sin_port);
	config->address[0] = 127;
	config->address[3] = 1;
	return fd;
}

static void ask(void);

static void told(void *userdata, const struct cp_upstream_answer *got)
{
	(void)userdata;
	if (got->status == 0)
		n_answered++;
	else
		n_failed++;
	if (n_left > 0)
		ask();
}

static void ask(void)
{
	struct cp_dns_name name = {
		.size = NAME_BYTES,
		.wire = "\7n000000\5bench\4test",
	};
	struct cp_upstream_question question = {
		.name = &name,
		.type = 1,
		.class = 1,
	};
	struct cp_upstream_request *request;
	uint64_t number = next_name++ % NAMES;
	int r;

	for (int i = 7; i > 1; i--, number /= 10)
		name.wire[i] = (uint8_t)('0' + number % 10);
	n_left--;
	r = cp_upstream_ask(set, &question, told, NULL, &request);
	if (r < 0)
		errx(1, "ask: %s", strerror(-r));
}

static void run(uint64_t n, uint64_t window)
{
	uint64_t wall = clock_ns(CLOCK_MONOTONIC);
	uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	double wall_s, cpu_s;

	n_left = n;
	for (uint64_t i = 0; i < window && n_left > 0; i++)
		ask();
	while (n_answered + n_failed < n)
		(void)uv_run(uv_default_loop(), UV_RUN_ONCE);
	wall_s = (double)(clock_ns(CLOCK_MONOTONIC) - wall) / SN_NS_PER_S;
	cpu_s = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) /
		SN_NS_PER_S;
	(void)printf("{\"questions\": %" PRIu64 ", \"window\": %" PRIu64
		     ", \"per_cpu_s\": %.0f, \"per_s\": %.0f",
		     n, window, (double)n / cpu_s, (double)n / wall_s);
}

static uint64_t parse(const char *text, uint64_t most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || value == 0 || value > most)
		errx(2, "'%s' is not a number from 1 to %" PRIu64, text, most);
	return value;
}

int main(int argc, char **argv)
{
	struct cp_upstream_options options = { .loop = uv_default_loop() };
	struct cp_dns_upstream config = { .port = 0 };
	struct cp_upstream_stats stats;
	struct cp_upstream *upstream;
	struct sn_diag diag;
	pid_t child;
	int fd;

	if (argc != 3)
		errx(2, "usage: bench-dns-upstream QUESTIONS WINDOW");
	fd = make_server(&config);
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(1);
		serve(fd);
	}
	(void)close(fd);
	pin(0);
	if (cp_upstream_new(&upstream, &options, &diag) < 0 ||
	    cp_upstream_set_get(upstream, &config, 1, false, &set) < 0)
		errx(1, "no engine");
	run(parse(argv[1], UINT32_MAX), parse(argv[2], WINDOW_MAX));
	cp_upstream_get_stats(upstream, &stats);
	(void)printf(", \"failed\": %" PRIu64 ", \"retransmitted\": %" PRIu64
		     ", \"mismatched\": %" PRIu64 "}\n",
		     n_failed, stats.n_retransmitted, stats.n_mismatched);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	(void)cp_upstream_set_unref(set);
	cp_upstream_close(upstream, NULL, NULL);
	(void)uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	return n_failed ? 1 : 0;
}
