/* SPDX-License-Identifier: Apache-2.0 */

/* bench-flip SOCKET CGROUP ROUNDS: as sentinel-dp's peer, attaches a cgroup and
 * makes one empty generation after the other current. Prints one JSON line: ns
 * from the request's first byte to the answer, for each. Run as the peer's
 * user. */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "shared/ipc.h"
#include "shared/util.h"

enum { ROUNDS_MAX = 100000, PATIENCE_MS = 5000 };

static uint8_t record[SN_IPC_RECORD_BYTES];
static int dp;
static uint32_t seq;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void receive(const char *what)
{
	int fds[SN_IPC_FDS_MAX];
	size_t size, n_fds;
	struct sn_ipc_status status;
	struct pollfd ready = { .fd = dp, .events = POLLIN };
	int r;

	if (poll(&ready, 1, PATIENCE_MS) != 1)
		errx(1, "%s: no answer", what);
	r = sn_ipc_receive(dp, record, &size, fds, &n_fds);
	if (r || !size)
		errx(1, "%s: the link has ended", what);
	(void)memcpy(&status, record + sizeof(struct sn_ipc_header),
		     sizeof(status));
	if (status.status)
		errx(1, "%s: %s", what, strerror(-status.status));
}

static const void *call(uint16_t type, const void *body, size_t bytes,
			const int *fds, size_t n_fds)
{
	struct sn_ipc_header header = {
		.type = type,
		.seq = ++seq,
		.size = (uint32_t)(sizeof(header) + bytes),
	};
	const char *name = sn_ipc_info_get(type)->name;
	uint8_t request[1024];

	(void)memcpy(request, &header, sizeof(header));
	(void)memcpy(request + sizeof(header), body, bytes);
	if (sn_ipc_send(dp, request, header.size, fds, n_fds))
		errx(1, "%s: cannot send", name);
	receive(name);
	return record + sizeof(struct sn_ipc_header) +
	       sizeof(struct sn_ipc_status);
}

static void attach(const char *cgroup, struct sn_ipc_attach_answer *ret)
{
	sn_cleanup(sn_closep) int fd =
		open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sn_ipc_attach request = {
		.id = "bench-flip",
		.type = SN_TARGET_CGROUP,
	};

	if (fd < 0)
		err(1, "%s", cgroup);
	(void)memcpy(ret,
		     call(SN_IPC_ATTACH, &request, sizeof(request), &fd, 1),
		     sizeof(*ret));
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct sn_ipc_hello hello = { SN_IPC_PROTOCOL, SN_ABI_VERSION };
	struct sn_ipc_detach detach = { .id = "bench-flip" };
	struct sn_ipc_attach_answer answer;
	struct sn_ipc_flip flip = { 0 };
	uint32_t n_rounds;

	if (argc != 4 || strlen(argv[1]) >= sizeof(address.sun_path))
		errx(2, "usage: bench-flip SOCKET CGROUP ROUNDS");
	n_rounds = (uint32_t)strtoul(argv[3], NULL, 10);
	if (n_rounds < 1 || n_rounds > ROUNDS_MAX)
		errx(2, "rounds: 1 to %d", ROUNDS_MAX);
	(void)strcpy(address.sun_path, argv[1]);
	dp = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (dp < 0 ||
	    connect(dp, (const struct sockaddr *)&address, sizeof(address)))
		err(1, "%s", argv[1]);
	(void)call(SN_IPC_HELLO, &hello, sizeof(hello), NULL, 0);
	attach(argv[2], &answer);
	flip.slot = answer.slot;
	flip.policy.mode = SN_MODE_ALLOWLIST;
	flip.policy.inbound = SN_INBOUND_REPLIES;
	(void)printf("{\"samples\": [");
	for (uint32_t i = 0; i < n_rounds; i++) {
		uint64_t start = now_ns();

		flip.policy.generation = answer.generation + 1 + i;
		(void)call(SN_IPC_FLIP, &flip, sizeof(flip), NULL, 0);
		(void)printf("%s%llu", i ? ", " : "",
			     (unsigned long long)(now_ns() - start));
	}
	(void)printf("]}\n");
	detach.slot = answer.slot;
	(void)call(SN_IPC_DETACH, &detach, sizeof(detach), NULL, 0);
	return 0;
}
