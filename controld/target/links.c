/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/links.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

enum {
	/* As much as net.core.rmem_max gives. */
	SOCKET_BYTES = 4 * 1024 * 1024,
	/* Then the loop's other work has its turn. */
	DATAGRAMS_PER_EVENT = 64,
	DATAGRAMS_PER_DRAIN = 65536,
};

static void handle(struct cp_target_links *links, const char *data, size_t size)
{
	const struct nlmsghdr *message = (const void *)data;
	struct cp_target_resolve_iface iface;
	int left = (int)size;

	for (; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		bool deleted = message->nlmsg_type == RTM_DELLINK;

		if (!deleted && message->nlmsg_type != RTM_NEWLINK)
			continue;
		if (cp_target_netlink_parse(message, &iface))
			links->changed(links, deleted, &iface);
	}
}

/* One datagram. Returns false when there is none. */
static bool read_one(struct cp_target_links *links)
{
	_Alignas(struct nlmsghdr) char buffer[CP_TARGET_NETLINK_BYTES];
	struct sockaddr_nl sender;
	struct iovec part = { .iov_base = buffer, .iov_len = sizeof(buffer) };
	struct msghdr message = { .msg_name = &sender,
				  .msg_namelen = sizeof(sender),
				  .msg_iov = &part,
				  .msg_iovlen = 1 };
	ssize_t n;

	n = recvmsg(mnl_socket_get_fd(links->socket), &message, MSG_DONTWAIT);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno != ENOBUFS)
		return false;
	if (n < 0 || (message.msg_flags & MSG_TRUNC))
		links->lost(links);
	else if (message.msg_namelen == sizeof(sender) && sender.nl_pid == 0)
		handle(links, buffer, (size_t)n);
	return true;
}

static void polled(uv_poll_t *poll, int status, int events)
{
	struct cp_target_links *links =
		sn_container_of(poll, struct cp_target_links, poll);

	(void)status;
	(void)events;
	for (int i = 0; i < DATAGRAMS_PER_EVENT; i++)
		if (!read_one(links))
			break;
}

void cp_target_links_drain(struct cp_target_links *links)
{
	for (int i = 0; i < DATAGRAMS_PER_DRAIN; i++)
		if (!read_one(links))
			break;
}

static int open_socket(struct mnl_socket **ret)
{
	const int bytes = SOCKET_BYTES;
	struct mnl_socket *socket;
	int r;

	socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!socket)
		return -errno;
	(void)setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUF,
			 &bytes, sizeof(bytes));
	if (mnl_socket_bind(socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		(void)mnl_socket_close(socket);
		return r;
	}
	*ret = socket;
	return 0;
}

int cp_target_links_init(struct cp_target_links *links, uv_loop_t *loop)
{
	struct mnl_socket *socket = NULL;
	int r;

	r = open_socket(&socket);
	if (r < 0)
		return sn_trace(r);
	r = uv_poll_init(loop, &links->poll, mnl_socket_get_fd(socket));
	if (r < 0) {
		(void)mnl_socket_close(socket);
		return sn_trace(r);
	}
	links->socket = socket;
	/* Fails only for handles that are being closed. */
	(void)uv_poll_start(&links->poll, UV_READABLE, polled);
	return 0;
}

static void closed(uv_handle_t *handle)
{
	struct cp_target_links *links =
		sn_container_of((void *)handle, struct cp_target_links, poll);

	links->closed(links);
}

void cp_target_links_close(struct cp_target_links *links)
{
	(void)uv_poll_stop(&links->poll);
	uv_close((uv_handle_t *)&links->poll, closed);
	(void)mnl_socket_close(links->socket);
}
