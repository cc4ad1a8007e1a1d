/* SPDX-License-Identifier: Apache-2.0 */

/* bench-wire udp|tcp FROM TO FLOWS BYTES MILLISECONDS: traffic from one network
 * namespace to another, sender on CPU 0 and receiver on CPU 1. Flows differ in
 * their destination, one of the addresses on standard input, one a line. UDP is
 * held to a window, so that no packet is lost to a full socket: every packet
 * carries its number and the receiver must see each, in order, at the address
 * that it was meant for. Prints one JSON line: what was carried, the time that
 * passed and the CPU time of both threads without waiting (the kernel's work for
 * a packet is done on their account). A lost or wrong packet ends the run with
 * status 1. */

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/util.h"

enum {
	PORT = 443,
	FLOWS_MAX = 4096,
	BATCH = 32, /* messages of one system call */
	WINDOW = 2048, /* packets that may be under way */
	BUFFER_BYTES = 64 << 20,
	UDP_HEADERS = 42, /* Ethernet, IPv4, UDP */
	WRITE_MAX = 65536,
	PATIENCE_S = 20,
	PATIENCE_SHORT_US = 200000, /* when the question is whether it passes */
};

struct stamp {
	uint64_t number;
	uint32_t flow;
	uint32_t pad;
};

static struct sockaddr_in targets[FLOWS_MAX];
static uint32_t n_flows;
static size_t payload;
static uint64_t limit_ns;
static const char *spaces[2];
static _Atomic uint64_t received, sent_total;
static _Atomic bool is_ready, is_sent, is_broken;
static uint64_t started, ended;
static uint64_t sender_cpu, receiver_cpu;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Moves the thread to its CPU and namespace. */
static void settle(uint32_t which)
{
	sn_cleanup(sn_closep) int fd =
		open(spaces[which], O_RDONLY | O_CLOEXEC);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(which, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "CPU %u", which);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", spaces[which]);
}

static int make_socket(int type)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	struct timeval patience = {
		.tv_sec = limit_ns ? PATIENCE_S : 0,
		.tv_usec = limit_ns ? 0 : PATIENCE_SHORT_US,
	};
	int bytes = BUFFER_BYTES;
	int on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		       sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		err(1, "socket");
	if (type == SOCK_DGRAM &&
	    (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
			sizeof(bytes)) ||
	     setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes))))
		err(1, "buffer of the socket");
	return fd;
}

static int make_listener(int type)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_port = htons(PORT) };
	int fd = make_socket(type);

	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)))
		err(1, "bind");
	return fd;
}

/* One answered packet for each flow, so that every flow has been seen in both
 * directions before the clock starts. */
static void prime(int fd)
{
	for (uint32_t i = 0; i < n_flows; i++) {
		struct stamp stamp = { .number = UINT64_MAX, .flow = i };

		if (sendto(fd, &stamp, sizeof(stamp), 0,
			   (const struct sockaddr *)&targets[i],
			   sizeof(targets[i])) < 0)
			err(1, "send");
		if (recv(fd, &stamp, sizeof(stamp), 0) != sizeof(stamp))
			errx(1,
			     "lost: no answer to the first packet of flow"
			     " %u",
			     i);
	}
}

static void answer_primes(int fd)
{
	int on = 1, off = 0;

	if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)))
		err(1, "IP_PKTINFO");
	atomic_store(&is_ready, true);
	for (uint32_t i = 0; i < n_flows; i++) {
		struct stamp stamp;
		struct sockaddr_in peer;
		uint8_t control[64] __attribute__((aligned(8)));
		struct iovec vector = { &stamp, sizeof(stamp) };
		struct msghdr message = {
			.msg_name = &peer,
			.msg_namelen = sizeof(peer),
			.msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		struct in_pktinfo *info;

		if (recvmsg(fd, &message, 0) != sizeof(stamp))
			errx(1, "lost: flow %u never came", i);
		info = (struct in_pktinfo *)(void *)CMSG_DATA(
			CMSG_FIRSTHDR(&message));
		if (info->ipi_addr.s_addr != targets[i].sin_addr.s_addr ||
		    stamp.flow != i)
			errx(1, "wrong: flow %u came to another address", i);
		info->ipi_ifindex = 0;
		info->ipi_spec_dst = info->ipi_addr;
		if (sendmsg(fd, &message, 0) < 0)
			err(1, "answer");
	}
	if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &off, sizeof(off)))
		err(1, "IP_PKTINFO");
}

static void *receive_udp(void *unused)
{
	static uint8_t buffers[BATCH][WRITE_MAX];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec vectors[BATCH];
	uint64_t n = 0, cpu;
	int fd;

	settle(1);
	fd = make_listener(SOCK_DGRAM);
	answer_primes(fd);
	cpu = cpu_ns();
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){ buffers[i], sizeof(buffers[i]) };
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (;;) {
		int got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);

		if (got < 0) {
			atomic_store(&is_broken, true);
			errx(1,
			     "lost: %" PRIu64 " packets came, %" PRIu64
			     " were sent",
			     n, atomic_load(&sent_total));
		}
		for (int i = 0; i < got; i++) {
			struct stamp stamp;

			(void)memcpy(&stamp, buffers[i], sizeof(stamp));
			if (stamp.number == UINT64_MAX &&
			    atomic_load(&is_sent) &&
			    n == atomic_load(&sent_total)) {
				ended = now_ns();
				receiver_cpu = cpu_ns() - cpu;
				atomic_store(&received, n);
				(void)close(fd);
				return unused;
			}
			if (messages[i].msg_len != payload ||
			    stamp.number != n || stamp.flow != n % n_flows)
				errx(1,
				     "lost or wrong: number %" PRIu64
				     " in the place of %" PRIu64,
				     stamp.number, n);
			n++;
		}
		atomic_store_explicit(&received, n, memory_order_release);
	}
}

static void send_batch(int fd, struct mmsghdr *messages)
{
	for (int done = 0; done < BATCH;) {
		int r = sendmmsg(fd, messages + done,
				 (unsigned int)(BATCH - done), 0);

		if (r < 0)
			err(1, "sendmmsg");
		done += r;
	}
}

/* Returns the CPU time that waiting took. */
static uint64_t wait_for_room(uint64_t n)
{
	uint64_t start = now_ns(), cpu;

	if (n - atomic_load_explicit(&received, memory_order_acquire) <= WINDOW)
		return 0;
	cpu = cpu_ns();
	while (n - atomic_load_explicit(&received, memory_order_acquire) >
		       WINDOW &&
	       !atomic_load(&is_broken) &&
	       now_ns() - start < PATIENCE_S * SN_NS_PER_S)
		(void)sched_yield();
	return cpu_ns() - cpu;
}

static void *send_udp(void *unused)
{
	static uint8_t buffers[BATCH][WRITE_MAX];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec vectors[BATCH];
	uint64_t n = 0, waited = 0, cpu;
	int fd;

	settle(0);
	fd = make_socket(SOCK_DGRAM);
	while (!atomic_load(&is_ready))
		(void)sched_yield();
	prime(fd);
	started = now_ns();
	cpu = cpu_ns();
	while (now_ns() - started < limit_ns) {
		for (int i = 0; i < BATCH; i++) {
			struct stamp stamp = {
				.number = n + (uint64_t)i,
				.flow = (uint32_t)((n + (uint64_t)i) % n_flows),
			};

			(void)memcpy(buffers[i], &stamp, sizeof(stamp));
			vectors[i] = (struct iovec){ buffers[i], payload };
			messages[i].msg_hdr.msg_iov = &vectors[i];
			messages[i].msg_hdr.msg_iovlen = 1;
			messages[i].msg_hdr.msg_name = &targets[stamp.flow];
			messages[i].msg_hdr.msg_namelen = sizeof(targets[0]);
		}
		send_batch(fd, messages);
		n += BATCH;
		waited += wait_for_room(n);
	}
	sender_cpu = cpu_ns() - cpu - waited;
	atomic_store(&sent_total, n);
	atomic_store(&is_sent, true);
	/* The last packet has no number and ends the receiver. */
	(void)memcpy(buffers[0], &(struct stamp){ .number = UINT64_MAX },
		     sizeof(struct stamp));
	if (sendto(fd, buffers[0], payload, 0,
		   (const struct sockaddr *)&targets[0],
		   sizeof(targets[0])) < 0)
		err(1, "send");
	(void)close(fd);
	return unused;
}

/* Reads what has come; returns 1 at the end of the connection. */
static int drain(int fd, uint64_t *n)
{
	static uint8_t buffer[4 * WRITE_MAX];
	ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got < 0)
		err(1, "receive");
	*n += (uint64_t)got;
	return got == 0;
}

static void *receive_tcp(void *unused)
{
	struct epoll_event events[64];
	uint32_t n_ended = 0;
	uint64_t n = 0, cpu;
	int listener, poll;

	settle(1);
	listener = make_listener(SOCK_STREAM);
	poll = epoll_create1(EPOLL_CLOEXEC);
	if (poll < 0 || listen(listener, FLOWS_MAX))
		err(1, "listen");
	atomic_store(&is_ready, true);
	for (uint32_t i = 0; i < n_flows; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

		if (fd < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event))
			err(1, "lost: connection %u", i);
	}
	cpu = cpu_ns();
	while (n_ended < n_flows) {
		int got = epoll_wait(poll, events, 64, PATIENCE_S * 1000);

		if (got <= 0)
			errx(1, "lost: the connections stand still");
		for (int i = 0; i < got; i++) {
			if (!drain(events[i].data.fd, &n))
				continue;
			(void)close(events[i].data.fd);
			n_ended++;
		}
	}
	ended = now_ns();
	receiver_cpu = cpu_ns() - cpu;
	atomic_store(&received, n);
	(void)close(listener);
	(void)close(poll);
	return unused;
}

static void *send_tcp(void *unused)
{
	static uint8_t buffer[WRITE_MAX];
	static int fds[FLOWS_MAX];
	uint64_t n = 0, cpu;
	int on = 1;

	settle(0);
	while (!atomic_load(&is_ready))
		(void)sched_yield();
	for (uint32_t i = 0; i < n_flows; i++) {
		fds[i] = make_socket(SOCK_STREAM);
		if (setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on,
			       sizeof(on)) ||
		    connect(fds[i], (const struct sockaddr *)&targets[i],
			    sizeof(targets[i])))
			err(1, "connect");
	}
	started = now_ns();
	cpu = cpu_ns();
	for (uint32_t i = 0; now_ns() - started < limit_ns;
	     i = (i + 1) % n_flows) {
		ssize_t r = send(fds[i], buffer, payload, MSG_NOSIGNAL);

		if (r < 0)
			err(1, "send");
		n += (uint64_t)r;
	}
	for (uint32_t i = 0; i < n_flows; i++)
		(void)shutdown(fds[i], SHUT_WR);
	atomic_store(&sent_total, n);
	for (uint32_t i = 0; i < n_flows; i++) {
		/* The receiver's end, so that no reset cuts anything off. */
		if (recv(fds[i], buffer, 1, 0) != 0)
			err(1, "lost: the end of connection %u", i);
		(void)close(fds[i]);
	}
	sender_cpu = cpu_ns() - cpu;
	return unused;
}

static void read_targets(void)
{
	char line[64];

	for (uint32_t i = 0; i < n_flows; i++) {
		if (!fgets(line, sizeof(line), stdin))
			errx(2, "%u addresses are expected", n_flows);
		line[strcspn(line, "\n")] = '\0';
		targets[i].sin_family = AF_INET;
		targets[i].sin_port = htons(PORT);
		if (inet_pton(AF_INET, line, &targets[i].sin_addr) != 1)
			errx(2, "'%s' is no address", line);
	}
}

int main(int argc, char **argv)
{
	bool is_udp = argc > 1 && strcmp(argv[1], "udp") == 0;
	pthread_t threads[2];
	uint64_t bytes;

	if (argc != 7)
		errx(2, "usage: bench-wire udp|tcp FROM TO FLOWS BYTES MS");
	spaces[0] = argv[2];
	spaces[1] = argv[3];
	n_flows = (uint32_t)strtoul(argv[4], NULL, 10);
	payload = strtoul(argv[5], NULL, 10) - (is_udp ? UDP_HEADERS : 0);
	limit_ns = strtoul(argv[6], NULL, 10) * 1000000U;
	if (n_flows < 1 || n_flows > FLOWS_MAX || payload > WRITE_MAX ||
	    payload < sizeof(struct stamp))
		errx(2, "a number is out of range");
	read_targets();
	if (pthread_create(&threads[0], NULL,
			   is_udp ? receive_udp : receive_tcp, NULL) ||
	    pthread_create(&threads[1], NULL, is_udp ? send_udp : send_tcp,
			   NULL))
		errx(1, "threads");
	(void)pthread_join(threads[1], NULL);
	(void)pthread_join(threads[0], NULL);
	bytes = is_udp ? atomic_load(&received) * payload :
			 atomic_load(&received);
	if (atomic_load(&received) != atomic_load(&sent_total))
		errx(1, "lost: %" PRIu64 " of %" PRIu64, atomic_load(&received),
		     atomic_load(&sent_total));
	(void)printf("{\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64
		     ", \"ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 "}\n",
		     is_udp ? atomic_load(&received) : 0, bytes,
		     ended - started, sender_cpu + receiver_cpu);
	return 0;
}
