/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/opener.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/privilege.h"
#include "shared/util.h"

#define PARANOID "/proc/sys/kernel/perf_event_paranoid"

enum {
	SOCKET_FD = 3,
	CAPABLE_MAX = '2', /* the highest at which CAP_PERFMON is enough */
};

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* One number, with a descriptor if fd is not -1. */
static int send_number(int socket, int32_t number, int fd)
{
	struct iovec part = { .iov_base = &number, .iov_len = sizeof(number) };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *header;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(fd));
		(void)memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The same; *fd is -1 if none came. -EPIPE: the other side is gone. */
static int receive_number(int socket, int32_t *number, int *fd)
{
	struct iovec part = { .iov_base = number, .iov_len = sizeof(*number) };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	const struct cmsghdr *header;
	ssize_t n;

	*fd = -1;
	do {
		n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(*fd)))
		(void)memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	return n == sizeof(*number) ? 0 : -EPIPE;
}

__attribute__((noreturn)) static void serve(const struct dp_tracefs *tracefs,
					    int socket)
{
	int32_t hook;
	int fd;

	if (dup2(socket, SOCKET_FD) < 0 ||
	    close_range(SOCKET_FD + 1, ~0U, 0) < 0 ||
	    dp_privilege_confine_opener() < 0)
		_exit(1);
	while (receive_number(SOCKET_FD, &hook, &fd) == 0) {
		sn_closep(&fd);
		fd = hook < 0 || hook >= SN_RUNTIME_HOOK_COUNT ?
			     -EINVAL :
			     dp_tracefs_open_event(tracefs->ids[hook]);
		if (send_number(SOCKET_FD, fd < 0 ? fd : 0, fd) < 0)
			break;
		sn_closep(&fd);
	}
	_exit(0);
}

static bool is_asked_for(void)
{
	sn_cleanup(sn_closep) int fd = open(PARANOID, O_RDONLY | O_CLOEXEC);
	char text[4] = { 0 };

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 &&
	       text[0] > CAPABLE_MAX;
}

void dp_opener_start(struct dp_tracefs *tracefs)
{
	int pair[2];
	pid_t pid;

	tracefs->opener = -1;
	if (!tracefs->has || !is_asked_for() ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	/* Nobody waits for it. */
	(void)signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0)
		serve(tracefs, pair[1]);
	(void)close(pair[1]);
	if (pid < 0)
		(void)close(pair[0]);
	else
		tracefs->opener = pair[0];
}

int dp_opener_open(const struct dp_tracefs *tracefs, uint32_t hook)
{
	int32_t answer;
	int fd, r;

	if (tracefs->opener < 0)
		return dp_tracefs_open_event(tracefs->ids[hook]);
	r = send_number(tracefs->opener, (int32_t)hook, -1);
	if (r >= 0)
		r = receive_number(tracefs->opener, &answer, &fd);
	if (r < 0)
		return sn_trace(-EPIPE);
	if (answer < 0)
		return answer;
	return fd >= 0 ? fd : -EPROTO;
}

void dp_opener_probe(struct dp_tracefs *tracefs)
{
	int fd = -1;

	for (uint32_t i = 0; i < SN_RUNTIME_HOOK_COUNT && fd < 0; i++) {
		if (!tracefs->ids[i])
			continue;
		fd = dp_opener_open(tracefs, i);
		if (fd < 0) {
			tracefs->error = -fd;
			(void)memset(tracefs->ids, 0, sizeof(tracefs->ids));
		}
	}
	sn_closep(&fd);
}
