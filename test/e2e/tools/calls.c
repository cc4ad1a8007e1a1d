/* SPDX-License-Identifier: Apache-2.0 */

/* System calls that Python does not have: one attempt, told on standard output
 * as "sent" or as the name of the error.
 *
 *   calls connect|connect-async|sendmsg|sendmsg-async ADDRESS PORT   io_uring
 *   calls send|send-async ADDRESS PORT   io_uring, on a connected socket
 *   calls sendmmsg ADDRESS PORT
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	ENTRIES = 4,
	/* A connection that is refused is so at once; one whose packet was
	 * dropped stays open until this is over. What is sent is sent. */
	CONNECT_MS = 60,
	SEND_MS = 10000,
};

struct ring {
	int fd;
	uint32_t *sq_tail;
	uint32_t *sq_mask;
	uint32_t *sq_array;
	uint32_t *cq_head;
	uint32_t *cq_tail;
	uint32_t *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static const char mark[] = "snt-mark";

static int tell(long error)
{
	if (error == 0 || error == -EINPROGRESS || error == -EAGAIN)
		puts("sent");
	else
		puts(strerrorname_np((int)-error));
	return 0;
}

static void *map(int fd, size_t bytes, off_t what)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, fd, what);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return at;
}

static void open_ring(struct ring *ring)
{
	struct io_uring_params params = { 0 };
	char *sq, *cq;

	ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
	if (ring->fd < 0) {
		perror("io_uring_setup");
		exit(1);
	}
	sq = map(ring->fd,
		 params.sq_off.array + params.sq_entries * sizeof(uint32_t),
		 IORING_OFF_SQ_RING);
	cq = map(ring->fd,
		 params.cq_off.cqes +
			 params.cq_entries * sizeof(struct io_uring_cqe),
		 IORING_OFF_CQ_RING);
	ring->sqes = map(ring->fd,
			 params.sq_entries * sizeof(struct io_uring_sqe),
			 IORING_OFF_SQES);
	ring->sq_tail = (uint32_t *)(void *)(sq + params.sq_off.tail);
	ring->sq_mask = (uint32_t *)(void *)(sq + params.sq_off.ring_mask);
	ring->sq_array = (uint32_t *)(void *)(sq + params.sq_off.array);
	ring->cq_head = (uint32_t *)(void *)(cq + params.cq_off.head);
	ring->cq_tail = (uint32_t *)(void *)(cq + params.cq_off.tail);
	ring->cq_mask = (uint32_t *)(void *)(cq + params.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(void *)(cq + params.cq_off.cqes);
}

/* Result of one request, or 0 if it does not end in time. */
static long submit(struct ring *ring, const struct io_uring_sqe *request)
{
	int wait_ms = request->opcode == IORING_OP_CONNECT ? CONNECT_MS :
							     SEND_MS;
	struct pollfd wait = { .fd = ring->fd, .events = POLLIN };
	uint32_t tail = *ring->sq_tail;
	uint32_t head = *ring->cq_head;

	ring->sqes[tail & *ring->sq_mask] = *request;
	ring->sq_array[tail & *ring->sq_mask] = tail & *ring->sq_mask;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0) != 1)
		return -errno;
	if (poll(&wait, 1, wait_ms) == 0)
		return 0;
	if (__atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) == head)
		return 0;
	return ring->cqes[head & *ring->cq_mask].res;
}

static socklen_t read_address(struct sockaddr_storage *ret, const char *address,
			      const char *port)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;
	uint16_t number = htons((uint16_t)atoi(port));

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, address, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = number;
		return sizeof(*in4);
	}
	if (inet_pton(AF_INET6, address, &in6->sin6_addr) != 1) {
		fprintf(stderr, "%s: no address\n", address);
		exit(1);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = number;
	return sizeof(*in6);
}

static int open_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		perror("socket");
		exit(1);
	}
	return fd;
}

static int use_ring(const char *what, struct sockaddr_storage *address,
		    socklen_t bytes)
{
	bool connects = strncmp(what, "connect", 7) == 0;
	struct iovec data = { .iov_base = (void *)(uintptr_t)mark,
			      .iov_len = sizeof(mark) - 1 };
	struct msghdr message = { .msg_name = address,
				  .msg_namelen = bytes,
				  .msg_iov = &data,
				  .msg_iovlen = 1 };
	struct io_uring_sqe request = { .user_data = 1 };
	bool is_message = strncmp(what, "sendmsg", 7) == 0;
	struct ring ring;
	long r;

	open_ring(&ring);
	request.fd = open_socket(address->ss_family,
				 connects ? SOCK_STREAM : SOCK_DGRAM);
	if (connects) {
		request.opcode = IORING_OP_CONNECT;
		request.addr = (uintptr_t)address;
		request.off = bytes;
	} else if (is_message) {
		request.opcode = IORING_OP_SENDMSG;
		request.addr = (uintptr_t)&message;
		request.len = 1;
	} else {
		if (connect(request.fd, (const struct sockaddr *)address,
			    bytes) < 0)
			return tell(-errno);
		request.opcode = IORING_OP_SEND;
		request.addr = (uintptr_t)mark;
		request.len = sizeof(mark) - 1;
	}
	if (strstr(what, "-async"))
		request.flags = IOSQE_ASYNC;
	r = submit(&ring, &request);
	return tell(r > 0 ? 0 : r);
}

static int use_sendmmsg(struct sockaddr_storage *address, socklen_t bytes)
{
	struct iovec data = { .iov_base = (void *)(uintptr_t)mark,
			      .iov_len = sizeof(mark) - 1 };
	struct mmsghdr messages[3] = { 0 };
	int fd = open_socket(address->ss_family, SOCK_DGRAM);

	for (int i = 0; i < 3; i++) {
		messages[i].msg_hdr.msg_name = address;
		messages[i].msg_hdr.msg_namelen = bytes;
		messages[i].msg_hdr.msg_iov = &data;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	return tell(sendmmsg(fd, messages, 3, 0) < 0 ? -errno : 0);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage address;
	socklen_t bytes;

	if (argc != 4) {
		fprintf(stderr, "usage: calls WHAT ADDRESS PORT\n");
		return 2;
	}
	bytes = read_address(&address, argv[2], argv[3]);
	if (strcmp(argv[1], "sendmmsg") == 0)
		return use_sendmmsg(&address, bytes);
	return use_ring(argv[1], &address, bytes);
}
