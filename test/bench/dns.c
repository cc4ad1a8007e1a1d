/* SPDX-License-Identifier: Apache-2.0 */

/* A client of name servers that keeps a window of questions open:
 *   bench-dns SERVER PORT WINDOW COUNT FIRST N_NAMES
 * asks COUNT questions for A of "bI.good.test", I going round from FIRST through
 * N_NAMES names, and prints one JSON line. Each answer must fit its question
 * and have one address, the one that stands for its number; a wrong one ends
 * the run with status 1. A question that is not answered within a second is
 * asked again and counted. */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/util.h"

enum {
	SOCKETS = 8,
	WINDOW_MAX = 4096,
	MESSAGE_BYTES = 512,
	HEADER_BYTES = 12,
	PATIENCE_NS = 1000000000,
	IDLE_MS = 100,
};

struct question {
	uint32_t number; /* of the name */
	uint64_t sent_ns;
	bool is_open;
};

static struct {
	int fds[SOCKETS];
	struct question questions[WINDOW_MAX]; /* by DNS id */
	uint32_t window, count, first, n_names;
	uint32_t n_asked, n_answered, n_open;
	uint32_t n_again;
	uint32_t *latencies_ns;
} run;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "%s\n", what);
	exit(1);
}

/* "bI.good.test A". */
static size_t write_question(uint8_t *at, uint16_t id, uint32_t number)
{
	char label[16];
	int n = snprintf(label, sizeof(label), "b%u", number);
	static const uint8_t rest[] = "\4good\4test\0\0\1\0\1";

	(void)memset(at, 0, HEADER_BYTES);
	at[0] = (uint8_t)(id >> 8);
	at[1] = (uint8_t)id;
	at[2] = 1; /* RD */
	at[5] = 1;
	at[HEADER_BYTES] = (uint8_t)n;
	(void)memcpy(at + HEADER_BYTES + 1, label, (size_t)n);
	(void)memcpy(at + HEADER_BYTES + 1 + n, rest, sizeof(rest) - 1);
	return HEADER_BYTES + 1 + (size_t)n + sizeof(rest) - 1;
}

static void put(uint16_t id)
{
	struct question *question = &run.questions[id];
	uint8_t message[MESSAGE_BYTES];
	size_t size = write_question(message, id, question->number);

	question->sent_ns = now_ns();
	if (send(run.fds[id % SOCKETS], message, size, 0) < 0 &&
	    errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
		die(strerror(errno));
}

static void open_more(void)
{
	for (uint16_t id = 0; id < run.window && run.n_open < run.window &&
			      run.n_asked < run.count;
	     id++) {
		struct question *question = &run.questions[id];

		if (question->is_open)
			continue;
		question->number = run.first + run.n_asked % run.n_names;
		question->is_open = true;
		run.n_asked++;
		run.n_open++;
		put(id);
	}
}

/* The address of a number is 20.0.0.0 plus it. */
static bool is_right(const uint8_t *message, size_t size, uint16_t id)
{
	uint32_t address = htonl(0x14000000U + run.questions[id].number);
	uint8_t question[MESSAGE_BYTES];
	size_t n = write_question(question, id, run.questions[id].number);

	return size >= n + 16 && !(message[3] & 0x0f) &&
	       memcmp(message + HEADER_BYTES, question + HEADER_BYTES,
		      n - HEADER_BYTES) == 0 &&
	       message[7] == 1 && memcmp(message + n + 12, &address, 4) == 0;
}

static void take(const uint8_t *message, size_t size)
{
	uint16_t id = (uint16_t)(message[0] << 8 | message[1]);
	struct question *question;

	if (size < HEADER_BYTES || id >= run.window)
		die("wrong: no answer to us");
	question = &run.questions[id];
	if (!question->is_open)
		return; /* of one that was asked twice */
	if (!is_right(message, size, id)) {
		(void)fprintf(stderr, "wrong: b%u has rcode %d\n",
			      question->number, message[3] & 0x0f);
		exit(1);
	}
	run.latencies_ns[run.n_answered++] =
		(uint32_t)(now_ns() - question->sent_ns);
	question->is_open = false;
	run.n_open--;
	if (run.n_asked < run.count) {
		question->number = run.first + run.n_asked++ % run.n_names;
		question->is_open = true;
		run.n_open++;
		put(id);
	}
}

static void receive(int fd)
{
	uint8_t message[4096];

	for (;;) {
		ssize_t n = recv(fd, message, sizeof(message), MSG_DONTWAIT);

		if (n < 0)
			return;
		take(message, (size_t)n);
	}
}

static void ask_again(void)
{
	uint64_t now = now_ns();

	for (uint16_t id = 0; id < run.window; id++) {
		if (!run.questions[id].is_open ||
		    now - run.questions[id].sent_ns < PATIENCE_NS)
			continue;
		run.n_again++;
		put(id);
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x, y;

	(void)memcpy(&x, a, sizeof(x));
	(void)memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static void open_sockets(const char *server, const char *port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
	};

	if (inet_pton(AF_INET, server, &to.sin_addr) != 1)
		die("SERVER is no address");
	for (int i = 0; i < SOCKETS; i++) {
		run.fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (run.fds[i] < 0 ||
		    connect(run.fds[i], (struct sockaddr *)&to, sizeof(to)) < 0)
			die(strerror(errno));
	}
}

static void work(void)
{
	struct pollfd polls[SOCKETS];
	uint64_t looked_ns = now_ns();

	open_more();
	while (run.n_answered < run.count) {
		for (int i = 0; i < SOCKETS; i++)
			polls[i] = (struct pollfd){ .fd = run.fds[i],
						    .events = POLLIN };
		(void)poll(polls, SOCKETS, IDLE_MS);
		for (int i = 0; i < SOCKETS; i++) {
			if (polls[i].revents)
				receive(run.fds[i]);
		}
		if (now_ns() - looked_ns > PATIENCE_NS / 10) {
			looked_ns = now_ns();
			ask_again();
		}
		if (run.n_again > run.count)
			die("lost: most questions are not answered");
	}
}

int main(int argc, char **argv)
{
	uint64_t begun_ns;
	double took_s;

	if (argc != 7)
		die("usage: bench-dns SERVER PORT WINDOW COUNT FIRST N_NAMES");
	run.window = (uint32_t)strtoul(argv[3], NULL, 10);
	run.count = (uint32_t)strtoul(argv[4], NULL, 10);
	run.first = (uint32_t)strtoul(argv[5], NULL, 10);
	run.n_names = (uint32_t)strtoul(argv[6], NULL, 10);
	run.latencies_ns = calloc(run.count, sizeof(*run.latencies_ns));
	if (!run.window || run.window > WINDOW_MAX || !run.n_names ||
	    !run.latencies_ns)
		die("WINDOW, COUNT or N_NAMES is out of range");
	open_sockets(argv[1], argv[2]);
	begun_ns = now_ns();
	work();
	took_s = (double)(now_ns() - begun_ns) / 1e9;
	qsort(run.latencies_ns, run.count, sizeof(*run.latencies_ns), compare);
	(void)printf("{\"answers\": %u, \"seconds\": %.6f, \"again\": %u, "
		     "\"p50_us\": %.2f, \"p99_us\": %.2f}\n",
		     run.count, took_s, run.n_again,
		     run.latencies_ns[run.count / 2] / 1e3,
		     run.latencies_ns[(uint64_t)run.count * 99 / 100] / 1e3);
	return 0;
}
