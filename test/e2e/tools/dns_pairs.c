/* SPDX-License-Identifier: Apache-2.0 */

/* Resolves a name and at once sends to an address of the answer, again and
 * again, from several threads.
 *
 *   dns_pairs SERVER4 SERVER6 NAMES NUMBER THREADS PORT
 *
 * The names are p0.good.test to p(NAMES - 1).good.test. Questions go at random
 * to either server, for A or AAAA, by UDP and now and then by TCP; what is sent
 * is a SYN or one datagram, to a port on which nobody listens, so that the
 * kernel at the far end answers and counts. Prints how many questions were not
 * answered with an address, how many SYNs and datagrams were sent, and how many
 * of these were not refused by the far end or not sent at all; to stderr, what
 * the first of them was. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	THREADS_MAX = 64,
	ADDRESSES_MAX = 16,
	MESSAGE_BYTES = 4096,
	TYPE_A = 1,
	TYPE_AAAA = 28,
	TCP_EACH = 16, /* questions */
	PATIENCE_S = 8,
};

union address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

struct answer {
	union address addresses[ADDRESSES_MAX];
	size_t n;
};

struct thread {
	pthread_t id;
	unsigned int seed;
	unsigned long number;
};

static const char *servers[2];
static unsigned int n_names, far_port;
static atomic_ulong n_unanswered, n_connects, n_datagrams, n_lost;
static atomic_flag is_told = ATOMIC_FLAG_INIT;

static void tell(const char *what, unsigned int name, const char *how)
{
	if (!atomic_flag_test_and_set(&is_told))
		fprintf(stderr, "p%u.good.test: %s: %s\n", name, what, how);
}

static socklen_t make(union address *ret, const char *text, unsigned int port)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &ret->in4.sin_addr) == 1) {
		ret->in4.sin_family = AF_INET;
		ret->in4.sin_port = htons((uint16_t)port);
		return sizeof(ret->in4);
	}
	if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) != 1) {
		fprintf(stderr, "%s: no address\n", text);
		exit(2);
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons((uint16_t)port);
	return sizeof(ret->in6);
}

static socklen_t size_of(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->in4) :
						   sizeof(address->in6);
}

static int open_socket(const union address *address, int type)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(address->any.sa_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		       sizeof(patience)) < 0) {
		perror("socket");
		exit(1);
	}
	return fd;
}

/* Gone at once, so that no port waits. */
static void drop(int fd, int type)
{
	struct linger now = { .l_onoff = 1 };

	if (type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static size_t write_query(uint8_t *at, unsigned int name, uint16_t id,
			  uint8_t type)
{
	static const uint8_t tail[] = "\4good\4test\0\0\0\0\1";
	uint8_t *begin = at;
	char label[16];
	int n = snprintf(label, sizeof(label), "p%u", name);

	memcpy(at, "\0\0\1\0\0\1\0\0\0\0\0", 12);
	at[0] = (uint8_t)(id >> 8);
	at[1] = (uint8_t)id;
	at += 12;
	*at++ = (uint8_t)n;
	memcpy(at, label, (size_t)n);
	at += n;
	memcpy(at, tail, sizeof(tail) - 1);
	at[12] = type;
	return (size_t)(at + sizeof(tail) - 1 - begin);
}

static const uint8_t *skip_name(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at && *at < 0xc0)
		at += 1 + *at;
	return at < end && *at ? at + 2 : at + 1;
}

static uint16_t read_16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void read_answer(struct answer *ret, const uint8_t *data, size_t size,
			uint8_t type)
{
	const uint8_t *end = data + size, *at = data + 12;
	size_t bytes = type == TYPE_A ? 4 : 16;

	ret->n = 0;
	if (size < 12 || (data[3] & 15) != 0)
		return;
	at = skip_name(at, end) + 4;
	for (unsigned int left = read_16(data + 6); left; left--) {
		at = skip_name(at, end);
		if (end - at < 10 || end - at < 10 + read_16(at + 8))
			return;
		if (read_16(at) == type && read_16(at + 8) == bytes &&
		    ret->n < ADDRESSES_MAX) {
			union address *new = &ret->addresses[ret->n++];

			memset(new, 0, sizeof(*new));
			new->any.sa_family = type == TYPE_A ? AF_INET :
							      AF_INET6;
			new->in4.sin_port = htons((uint16_t)far_port);
			memcpy(type == TYPE_A ? (void *)&new->in4.sin_addr :
						(void *)&new->in6.sin6_addr,
			       at + 10, bytes);
		}
		at += 10 + read_16(at + 8);
	}
}

/* Sends and receives one message; the length before it is TCP's. */
static size_t exchange(int fd, int type, uint8_t *data, size_t size)
{
	size_t head = type == SOCK_STREAM ? 2 : 0, wanted = 1, got = 0;

	data[0] = (uint8_t)(size >> 8);
	data[1] = (uint8_t)size;
	if (send(fd, data + 2 - head, size + head, 0) < 0)
		return 0;
	while (got < wanted) {
		ssize_t r = recv(fd, data + 2 - head + got,
				 MESSAGE_BYTES - 2 - got, 0);

		if (r <= 0)
			return 0;
		got += (size_t)r;
		if (head)
			wanted = got < 2 ? 2 : 2U + read_16(data);
	}
	return got - head;
}

static void ask(struct answer *ret, unsigned int name, const char *server,
		int type, uint8_t kind)
{
	uint8_t data[MESSAGE_BYTES], id[2] = { 0 };
	union address address;
	socklen_t bytes = make(&address, server, 53);
	int fd = open_socket(&address, type);
	size_t size = write_query(data + 2, name, (uint16_t)random(), kind);

	memcpy(id, data + 2, sizeof(id));
	ret->n = 0;
	if (connect(fd, &address.any, bytes) < 0) {
		tell("no way to the resolver", name, strerror(errno));
	} else {
		size = exchange(fd, type, data, size);
		if (size && memcmp(id, data + 2, sizeof(id)) == 0)
			read_answer(ret, data + 2, size, kind);
		if (ret->n == 0)
			tell("no address", name,
			     size < 4 ? strerror(errno) : "see its rcode");
	}
	drop(fd, type);
}

/* A SYN is refused by the far end; a datagram is counted there. */
static void touch(const union address *address, unsigned int name, bool by_tcp)
{
	int type = by_tcp ? SOCK_STREAM : SOCK_DGRAM;
	int fd = open_socket(address, type);
	int r = by_tcp ? connect(fd, &address->any, size_of(address)) :
			 (int)sendto(fd, "first", 5, 0, &address->any,
				     size_of(address));

	if (by_tcp ? r == 0 || errno != ECONNREFUSED : r < 0) {
		tell(by_tcp ? "connect" : "sendto", name, strerror(errno));
		n_lost++;
	}
	if (by_tcp)
		n_connects++;
	else
		n_datagrams++;
	drop(fd, type);
}

static void *work(void *arg)
{
	struct thread *thread = arg;
	struct answer answer;

	for (unsigned long i = 0; i < thread->number; i++) {
		unsigned int name = (unsigned int)rand_r(&thread->seed);
		unsigned int dice = (unsigned int)rand_r(&thread->seed) >> 4;

		name %= n_names;
		ask(&answer, name, servers[dice & 1],
		    dice / 8 % TCP_EACH ? SOCK_DGRAM : SOCK_STREAM,
		    dice & 2 ? TYPE_A : TYPE_AAAA);
		if (answer.n == 0)
			n_unanswered++;
		else
			touch(&answer.addresses[dice / 256 % answer.n], name,
			      dice & 4);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct thread threads[THREADS_MAX];
	unsigned long number;
	size_t n;

	if (argc != 7 || (n = strtoul(argv[5], NULL, 10)) > THREADS_MAX ||
	    n == 0) {
		fprintf(stderr, "usage: dns_pairs SERVER4 SERVER6 NAMES NUMBER "
				"THREADS PORT\n");
		return 2;
	}
	servers[0] = argv[1];
	servers[1] = argv[2];
	n_names = (unsigned int)strtoul(argv[3], NULL, 10);
	number = strtoul(argv[4], NULL, 10);
	far_port = (unsigned int)strtoul(argv[6], NULL, 10);
	for (size_t i = 0; i < n; i++) {
		threads[i].seed = (unsigned int)i + 1;
		threads[i].number = number / n;
		if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
			return 1;
	}
	for (size_t i = 0; i < n; i++)
		(void)pthread_join(threads[i].id, NULL);
	printf("%lu %lu %lu %lu\n", n_unanswered, n_connects, n_datagrams,
	       n_lost);
	return 0;
}
