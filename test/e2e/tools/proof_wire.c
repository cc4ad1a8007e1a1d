/* SPDX-License-Identifier: Apache-2.0 */

/* Traffic that can be judged packet by packet, and its judge at the far end.
 *
 *   proof_wire send STREAM CPU PAUSE_US CYCLES STYLES   flows on stdin, a line
 *                                                       "ADDRESS PORT" each
 *   proof_wire receive STREAM INTERFACE FILE
 *   proof_wire flood syn|udp|pair CPU FIRST COUNT   into 10.40.0.0/16
 *   proof_wire reflect INTERFACE
 *
 * send makes cycles: one datagram of each flow, in each of two styles, from one
 * CPU, so that they stay in order. The last flow is the fence: it is allowed by
 * every policy, and when it arrives everything before it has been judged. It
 * ends after CYCLES, or (0) at the end of standard input after the empty line
 * that ends the flows, and prints its cycles and how many sends were refused.
 * receive writes struct record for each datagram of its stream until told "until CYCLE FLOW
 * STYLE" on standard input and that one has come.
 * flood sends one datagram or SYN of COUNT flows, for pair no faster than they
 * are answered, and prints how many were sent and how many answers came. reflect sends a flood's datagrams back to where it came from. */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FLOWS_MAX = 1 << 17,
	STYLE_KEPT = 0, /* one connected socket */
	STYLE_FRESH = 1, /* a socket, and so a flow, of its own each time */
	N_STYLES = 2,
	BATCH = 64,
	FRAME_BYTES = 256,
	BUFFER_BYTES = 1 << 27,
	PATIENCE_MS = 20000,
	FRESH_LOW = 1024,
	FRESH_PORTS = 30000, /* below those that the kernel picks, but for: */
	RESOLVER_PORT =
		20053, /* sentinel-dp's, as preset; nobody may bind it */
	RESOLVER_PORTS = 2, /* or the next one */
	FLOOD_PORT = 0x2000, /* and the 255 after it */
	FLOOD_BATCH = 128,
	FLOOD_WINDOW = 1024,
};

/* Plus the number of the stream. */
#define MAGIC 0x53504f4f46000000ULL

static uint64_t magic = MAGIC;

struct payload {
	uint64_t magic;
	uint32_t flow;
	uint32_t style;
	uint64_t cycle;
	uint64_t cycle_ns; /* when the cycle began */
};

struct record {
	uint32_t flow;
	uint32_t style;
	uint64_t cycle;
	uint64_t cycle_ns;
	uint64_t arrived_ns;
};

struct flow {
	struct sockaddr_in6 address;
	socklen_t bytes;
	int fd; /* of the kept style, -1: not connected */
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void pin(const char *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fail("sched_setaffinity");
}

static bool is_over(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	return poll(&input, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

/* Byte by byte: what follows the empty line stays in the pipe. */
static bool read_line(char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read(STDIN_FILENO, line + n, 1) == 1) {
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
	return n > 0;
}

static void parse_flow(struct flow *flow, const char *line)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)&flow->address;
	char address[64];
	unsigned int port;

	memset(flow, 0, sizeof(*flow));
	flow->fd = -1;
	if (sscanf(line, "%63s %u", address, &port) != 2) {
		fprintf(stderr, "%s: no flow\n", line);
		exit(2);
	}
	if (inet_pton(AF_INET, address, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		flow->bytes = sizeof(*in4);
		return;
	}
	if (inet_pton(AF_INET6, address, &flow->address.sin6_addr) != 1) {
		fprintf(stderr, "%s: no address\n", address);
		exit(2);
	}
	flow->address.sin6_family = AF_INET6;
	flow->address.sin6_port = htons((uint16_t)port);
	flow->bytes = sizeof(flow->address);
}

static size_t read_flows(struct flow *flows)
{
	char line[128];
	size_t n = 0;

	while (n < FLOWS_MAX && read_line(line, sizeof(line)))
		parse_flow(&flows[n++], line);
	return n;
}

static int open_udp(const struct flow *flow)
{
	int fd =
		socket(flow->address.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	return fd;
}

/* Returns whether the datagram was sent; only a policy may refuse it. */
static bool told(ssize_t r, const char *what)
{
	if (r >= 0)
		return true;
	if (errno != EPERM)
		fail(what);
	return false;
}

static bool send_kept(struct flow *flow, const struct payload *payload)
{
	const struct sockaddr *to = (const void *)&flow->address;

	if (flow->fd < 0)
		flow->fd = open_udp(flow);
	/* Refused by its policy until that changes: ask again each time. */
	if (getpeername(flow->fd, (void *)&(struct sockaddr_in6){ 0 },
			&(socklen_t){ sizeof(struct sockaddr_in6) }) < 0 &&
	    !told(connect(flow->fd, to, flow->bytes), "connect"))
		return false;
	return told(send(flow->fd, payload, sizeof(*payload), 0), "send");
}

/* Its own port by the cycle: one that the kernel picks is soon one that it
 * picked before, and so a flow that lives. */
static void bind_fresh(int fd, const struct flow *flow, uint64_t cycle)
{
	struct sockaddr_in6 local = { .sin6_family =
					      flow->address.sin6_family };
	uint64_t port = FRESH_LOW + cycle % FRESH_PORTS;
	int on = 1;

	if (port >= RESOLVER_PORT)
		port += RESOLVER_PORTS;
	local.sin6_port = htons((uint16_t)port);

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const void *)&local, flow->bytes))
		fail("bind");
}

static bool send_fresh(const struct flow *flow, const struct payload *payload)
{
	int fd = open_udp(flow);
	bool sent;

	bind_fresh(fd, flow, payload->cycle);
	sent = told(sendto(fd, payload, sizeof(*payload), 0,
			   (const void *)&flow->address, flow->bytes),
		    "sendto");
	close(fd);
	return sent;
}

static uint64_t send_cycle(struct flow *flows, size_t n, uint64_t cycle,
			   int styles)
{
	struct payload payload = {
		.magic = magic,
		.cycle = cycle,
		.cycle_ns = now_ns(),
	};
	uint64_t refused = 0;

	for (uint32_t style = 0; style < N_STYLES; style++) {
		if (!(styles & 1 << style))
			continue;
		payload.style = style;
		for (uint32_t i = 0; i < n; i++) {
			payload.flow = i;
			refused += style == STYLE_KEPT ?
					   !send_kept(&flows[i], &payload) :
					   !send_fresh(&flows[i], &payload);
		}
	}
	return refused;
}

static int run_send(char **argv)
{
	static struct flow flows[FLOWS_MAX];
	size_t n = read_flows(flows);
	uint64_t cycles = strtoull(argv[2], NULL, 10);
	long pause_ns = atol(argv[1]) * 1000;
	uint64_t cycle = 0, refused = 0;

	pin(argv[0]);
	while (cycles ? cycle < cycles : !is_over()) {
		refused += send_cycle(flows, n, cycle++, atoi(argv[3]));
		if (pause_ns)
			(void)nanosleep(&(struct timespec){ 0, pause_ns },
					NULL);
	}
	printf("%llu %llu\n", (unsigned long long)cycle,
	       (unsigned long long)refused);
	return 0;
}

static int open_packet(const char *interface)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	int bytes = BUFFER_BYTES, on = 1;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0)
		fail("packet socket");
	address.sll_protocol = htons(ETH_P_ALL);
	address.sll_ifindex = (int)if_nametoindex(interface);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
		       sizeof(on)) ||
	    bind(fd, (const void *)&address, sizeof(address)))
		fail(interface);
	return fd;
}

/* Offset of the UDP header in a frame, 0 if it has none. */
static size_t find_udp(const uint8_t *frame, size_t bytes)
{
	if (bytes < ETH_HLEN + 48)
		return 0;
	if (frame[12] == 0x08 && frame[13] == 0x00)
		return frame[23] == IPPROTO_UDP && frame[14] == 0x45 ? 34 : 0;
	if (frame[12] == 0x86 && frame[13] == 0xdd)
		return frame[20] == IPPROTO_UDP ? 54 : 0;
	return 0;
}

static uint64_t stamp_of(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
	     c = CMSG_NXTHDR(message, c)) {
		struct timespec t;

		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SO_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
	}
	return now_ns();
}

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec data[BATCH];
	uint8_t frames[BATCH][FRAME_BYTES];
	char control[BATCH][64];
};

static int read_batch(int fd, struct batch *batch)
{
	for (size_t i = 0; i < BATCH; i++) {
		batch->data[i] =
			(struct iovec){ batch->frames[i], FRAME_BYTES };
		batch->messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &batch->data[i],
			.msg_iovlen = 1,
			.msg_control = batch->control[i],
			.msg_controllen = sizeof(batch->control[i]),
		};
	}
	return recvmmsg(fd, batch->messages, BATCH, MSG_DONTWAIT, NULL);
}

struct wanted {
	unsigned long long cycle;
	unsigned int flow;
	unsigned int style;
	bool is_set;
	bool has_come;
};

static void keep(FILE *file, struct batch *batch, int i, struct wanted *wanted)
{
	struct msghdr *message = &batch->messages[i].msg_hdr;
	size_t bytes = batch->messages[i].msg_len;
	size_t at = find_udp(batch->frames[i], bytes);
	struct payload payload;
	struct record record;

	if (!at || at + 8 + sizeof(payload) > bytes)
		return;
	memcpy(&payload, batch->frames[i] + at + 8, sizeof(payload));
	if (payload.magic != magic)
		return;
	record = (struct record){
		.flow = payload.flow,
		.style = payload.style,
		.cycle = payload.cycle,
		.cycle_ns = payload.cycle_ns,
		.arrived_ns = stamp_of(message),
	};
	if (fwrite(&record, sizeof(record), 1, file) != 1)
		fail("fwrite");
	if (wanted->is_set && payload.cycle == wanted->cycle &&
	    payload.flow == wanted->flow && payload.style == wanted->style)
		wanted->has_come = true;
}

static void ask(struct wanted *wanted)
{
	char line[128];

	if (!read_line(line, sizeof(line)) ||
	    sscanf(line, "until %llu %u %u", &wanted->cycle, &wanted->flow,
		   &wanted->style) != 3)
		exit(2);
	wanted->is_set = true;
}

/* The wanted one may have been written before anybody asked for it. */
static void look_back(FILE *file, struct wanted *wanted)
{
	struct record record;

	rewind(file);
	while (fread(&record, sizeof(record), 1, file) == 1) {
		if (record.cycle == wanted->cycle &&
		    record.flow == wanted->flow &&
		    record.style == wanted->style)
			wanted->has_come = true;
	}
	(void)fseek(file, 0, SEEK_END);
}

static int run_receive(char **argv)
{
	static struct batch batch;
	struct wanted wanted = { 0 };
	struct tpacket_stats stats = { 0 };
	socklen_t bytes = sizeof(stats);
	int fd = open_packet(argv[0]);
	FILE *file = fopen(argv[1], "w+");

	if (!file)
		fail(argv[1]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd wait[2] = {
			{ .fd = fd, .events = POLLIN },
			{ .fd = wanted.is_set ? -1 : STDIN_FILENO,
			  .events = POLLIN },
		};
		int n = read_batch(fd, &batch);

		for (int i = 0; i < n; i++)
			keep(file, &batch, i, &wanted);
		if (n > 0)
			continue;
		if (wanted.has_come)
			break;
		if (poll(wait, 2, PATIENCE_MS) == 0 && wanted.is_set)
			break;
		if (wait[1].revents) {
			ask(&wanted);
			look_back(file, &wanted);
		}
	}
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes))
		fail("PACKET_STATISTICS");
	if (fclose(file))
		fail("fclose");
	printf("%d %u\n", wanted.has_come, stats.tp_drops);
	return 0;
}

static uint16_t sum_of(const void *data, size_t bytes, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static bool send_syn(int fd, uint32_t number, const struct sockaddr_in *to)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} packet = {
		.ip = { .version = 4,
			.ihl = 5,
			.ttl = 64,
			.protocol = IPPROTO_TCP,
			.daddr = to->sin_addr.s_addr },
		.tcp = { .source = htons((uint16_t)(1024 + number % 50000)),
			 .dest = to->sin_port,
			 .doff = 5,
			 .syn = 1,
			 .window = 0xffff },
	};

	/* The far end judges nothing here, so the checksum may lack the
	 * pseudo-header; the kernel fills in the rest of the IP header. */
	packet.tcp.check = sum_of(&packet.tcp, sizeof(packet.tcp), 0);
	return sendto(fd, &packet, sizeof(packet), 0, (const void *)to,
		      sizeof(*to)) >= 0;
}

static uint64_t drain(int fd)
{
	uint64_t n = 0;
	char data[64];

	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		n++;
	return n;
}

/* So that no queue on the way overflows: a window of unanswered ones. */
static uint64_t wait_for_answers(int fd, uint64_t missing)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t n = drain(fd);

	while (missing > n + FLOOD_WINDOW && poll(&wait, 1, 20) == 1)
		n += drain(fd);
	return n;
}

static int run_flood(char **argv)
{
	bool is_syn = strcmp(argv[0], "syn") == 0;
	bool is_pair = strcmp(argv[0], "pair") == 0;
	uint32_t first = (uint32_t)atol(argv[2]);
	uint32_t count = (uint32_t)atol(argv[3]);
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint64_t sent = 0, refused = 0, answers = 0;
	static const char data[32];
	int bytes = BUFFER_BYTES;
	int fd = is_syn ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) :
			  socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		fail("socket");
	pin(argv[1]);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	for (uint32_t i = first; i < first + count; i++) {
		to.sin_addr.s_addr = htonl(0x0a280000 | (i & 0xffff));
		to.sin_port = htons((uint16_t)(FLOOD_PORT + (i >> 16)));
		if (is_syn ? send_syn(fd, i, &to) :
			     sendto(fd, data, sizeof(data), 0,
				    (const void *)&to, sizeof(to)) >= 0)
			sent++;
		else if (errno == EPERM)
			refused++;
		else
			fail("flood");
		if (i % FLOOD_BATCH == 0 && !is_syn)
			answers += wait_for_answers(
				fd, is_pair ? sent - answers : 0);
	}
	if (!is_syn) { /* What is still on its way. */
		struct pollfd wait = { .fd = fd, .events = POLLIN };

		while (poll(&wait, 1, 200) == 1)
			answers += drain(fd);
	}
	printf("%llu %llu %llu\n", (unsigned long long)sent,
	       (unsigned long long)refused, (unsigned long long)answers);
	return 0;
}

static void swap(uint8_t *a, uint8_t *b, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

/* The checksum of UDP, left to hardware that is not there, becomes none. */
static int run_reflect(char **argv)
{
	static struct batch batch;
	int fd = open_packet(argv[0]);
	struct pollfd wait[2] = { { .fd = fd, .events = POLLIN },
				  { .fd = STDIN_FILENO, .events = POLLIN } };

	puts("ready");
	fflush(stdout);
	while (poll(wait, 2, -1) > 0 && !wait[1].revents) {
		int n = read_batch(fd, &batch);

		for (int i = 0; i < n; i++) {
			uint8_t *frame = batch.frames[i];
			size_t bytes = batch.messages[i].msg_len;

			if (find_udp(frame, bytes) != 34 ||
			    frame[36] != FLOOD_PORT >> 8)
				continue;
			swap(frame, frame + 6, 6);
			swap(frame + 26, frame + 30, 4);
			swap(frame + 34, frame + 36, 2);
			memset(frame + 40, 0, 2);
			if (send(fd, frame, bytes, 0) < 0 && errno != ENOBUFS)
				fail("reflect");
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2)
		magic += strtoull(argv[2], NULL, 10);
	if (argc == 7 && strcmp(argv[1], "send") == 0)
		return run_send(argv + 3);
	if (argc == 5 && strcmp(argv[1], "receive") == 0)
		return run_receive(argv + 3);
	if (argc == 6 && strcmp(argv[1], "flood") == 0)
		return run_flood(argv + 2);
	if (argc == 3 && strcmp(argv[1], "reflect") == 0)
		return run_reflect(argv + 2);
	fprintf(stderr, "usage: proof_wire send|receive|flood|reflect ...\n");
	return 2;
}
