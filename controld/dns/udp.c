/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/udp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "controld/dns/identity.h"
#include "controld/dns/message.h"
#include "shared/util.h"

enum {
	BATCH = 32,
	ROUNDS = 4, /* batches before the loop may go on */
	QUERY_BYTES = 4096, /* longer queries are not read */
	CONTROL_BYTES = CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

union control {
	struct cmsghdr header;
	char bytes[CONTROL_BYTES];
};

struct inbox {
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_in6 peers[BATCH];
	union control controls[BATCH];
	uint8_t data[BATCH][QUERY_BYTES];
};

struct outbox {
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_in6 peers[BATCH];
	union control controls[BATCH];
	uint8_t data[BATCH][CP_DNS_MESSAGE_UDP_MAX];
	unsigned int n;
};

struct cp_dns_udp {
	uv_poll_t poll;
	uv_prepare_t flush; /* before the loop waits */
	uv_loop_t *loop;
	int fd;
	enum cp_dns_listen_kind kind;
	struct sn_dns dns;
	cp_dns_udp_query_fn query;
	void *userdata;
	struct inbox in;
	struct outbox out;
	uint32_t n_under_way;
	unsigned int n_handles;
	bool is_closing;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

static void end_if_idle(struct cp_dns_udp *udp)
{
	void (*closed)(void *userdata) = udp->closed;
	void *userdata = udp->closed_userdata;

	if (!udp->is_closing || udp->n_handles || udp->n_under_way)
		return;
	free(udp);
	if (closed)
		closed(userdata);
}

static void flush(struct cp_dns_udp *udp)
{
	struct outbox *out = &udp->out;
	unsigned int at = 0;

	while (at < out->n) {
		int n = sendmmsg(udp->fd, &out->messages[at], out->n - at,
				 MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		/* One that cannot be sent keeps no other back. */
		at += n > 0 ? (unsigned int)n : 1;
	}
	out->n = 0;
}

static void on_prepare(uv_prepare_t *handle)
{
	flush(handle->data);
	(void)uv_prepare_stop(handle);
}

/* The reply leaves from the very address that was asked. */
static size_t put_source(const struct cp_dns_udp *udp,
			 const struct cp_dns_origin *origin,
			 union control *control)
{
	struct in_pktinfo info4 = { .ipi_ifindex = 0 };
	struct in6_pktinfo info6 = { .ipi6_addr = origin->local };
	bool is_ipv6 = cp_dns_listen_is_ipv6(udp->kind);

	if (!cp_dns_listen_is_cgroup(udp->kind))
		return 0;
	(void)memset(control, 0, sizeof(*control));
	if (is_ipv6) {
		control->header.cmsg_level = IPPROTO_IPV6;
		control->header.cmsg_type = IPV6_PKTINFO;
		control->header.cmsg_len = CMSG_LEN(sizeof(info6));
		(void)memcpy(CMSG_DATA(&control->header), &info6,
			     sizeof(info6));
		return CMSG_SPACE(sizeof(info6));
	}
	(void)memcpy(&info4.ipi_spec_dst, &origin->local,
		     sizeof(info4.ipi_spec_dst));
	control->header.cmsg_level = IPPROTO_IP;
	control->header.cmsg_type = IP_PKTINFO;
	control->header.cmsg_len = CMSG_LEN(sizeof(info4));
	(void)memcpy(CMSG_DATA(&control->header), &info4, sizeof(info4));
	return CMSG_SPACE(sizeof(info4));
}

static void queue_reply(struct cp_dns_udp *udp,
			const struct cp_dns_origin *origin,
			const uint8_t *message, size_t size)
{
	struct outbox *out = &udp->out;
	struct msghdr *header;
	unsigned int i;

	if (out->n == BATCH)
		flush(udp);
	i = out->n++;
	(void)memcpy(out->data[i], message, size);
	out->peers[i] = origin->peer;
	out->parts[i] = (struct iovec){ out->data[i], size };
	header = &out->messages[i].msg_hdr;
	*header = (struct msghdr){
		.msg_name = &out->peers[i],
		.msg_namelen = cp_dns_listen_is_ipv6(udp->kind) ?
				       sizeof(struct sockaddr_in6) :
				       sizeof(struct sockaddr_in),
		.msg_iov = &out->parts[i],
		.msg_iovlen = 1,
	};
	header->msg_controllen = put_source(udp, origin, &out->controls[i]);
	header->msg_control = header->msg_controllen ? &out->controls[i] : NULL;
	(void)uv_prepare_start(&udp->flush, on_prepare);
}

static void reply(const struct cp_dns_origin *origin, const uint8_t *message,
		  size_t size)
{
	struct cp_dns_udp *udp = origin->owner;

	udp->n_under_way--;
	if (!udp->is_closing && size > 0 && size <= CP_DNS_MESSAGE_UDP_MAX)
		queue_reply(udp, origin, message, size);
	end_if_idle(udp);
}

static const struct cp_dns_origin_ops ops = {
	.reply = reply,
	.is_datagram = true,
};

/* The address that a datagram was sent to; false: the kernel did not say. */
static bool get_destination(struct msghdr *header, struct in6_addr *ret)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		struct in_pktinfo info4;
		struct in6_pktinfo info6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			(void)memcpy(&info4, CMSG_DATA(c), sizeof(info4));
			(void)memset(ret, 0, sizeof(*ret));
			(void)memcpy(ret, &info4.ipi_addr,
				     sizeof(info4.ipi_addr));
			return true;
		}
		if (c->cmsg_level == IPPROTO_IPV6 &&
		    c->cmsg_type == IPV6_PKTINFO) {
			(void)memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			*ret = info6.ipi6_addr;
			return true;
		}
	}
	return false;
}

/* 0: the datagram is of no attachment. */
static uint32_t identify(const struct cp_dns_udp *udp, struct msghdr *header,
			 struct cp_dns_origin *origin)
{
	bool is_ipv6 = cp_dns_listen_is_ipv6(udp->kind);
	struct sockaddr_in peer4;
	struct in_addr local4;

	if (!cp_dns_listen_is_cgroup(udp->kind)) {
		if (is_ipv6)
			return cp_dns_identity_of_source6(
				&udp->dns, &origin->peer.sin6_addr);
		(void)memcpy(&peer4, &origin->peer, sizeof(peer4));
		return cp_dns_identity_of_source4(&udp->dns, &peer4.sin_addr);
	}
	if (!get_destination(header, &origin->local))
		return 0;
	if (is_ipv6)
		return cp_dns_identity_of_loopback6(&udp->dns, &origin->local);
	(void)memcpy(&local4, &origin->local, sizeof(local4));
	return cp_dns_identity_of_loopback4(&local4);
}

static void take_one(struct cp_dns_udp *udp, unsigned int i)
{
	struct mmsghdr *message = &udp->in.messages[i];
	struct cp_dns_origin origin = {
		.ops = &ops,
		.owner = udp,
		.peer = udp->in.peers[i],
	};

	if (message->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return;
	origin.slot = identify(udp, &message->msg_hdr, &origin);
	if (!origin.slot)
		return;
	udp->n_under_way++;
	udp->query(udp->userdata, &origin, udp->in.data[i], message->msg_len);
}

static int receive(struct cp_dns_udp *udp)
{
	struct inbox *in = &udp->in;

	for (unsigned int i = 0; i < BATCH; i++) {
		in->parts[i] = (struct iovec){ in->data[i], QUERY_BYTES };
		in->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &in->peers[i],
			.msg_namelen = sizeof(in->peers[i]),
			.msg_iov = &in->parts[i],
			.msg_iovlen = 1,
			.msg_control = &in->controls[i],
			.msg_controllen = sizeof(in->controls[i]),
		};
	}
	return recvmmsg(udp->fd, in->messages, BATCH, MSG_DONTWAIT, NULL);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct cp_dns_udp *udp = handle->data;

	(void)status;
	(void)events;
	/* Closing may come from within a query. */
	udp->n_under_way++;
	for (int round = 0; round < ROUNDS && !udp->is_closing; round++) {
		int n = receive(udp);

		for (int i = 0; i < n && !udp->is_closing; i++)
			take_one(udp, (unsigned int)i);
		if (n < BATCH)
			break;
	}
	if (!udp->is_closing)
		flush(udp);
	udp->n_under_way--;
	end_if_idle(udp);
}

int cp_dns_udp_new(struct cp_dns_udp **ret,
		   const struct cp_dns_udp_options *options, int fd)
{
	struct cp_dns_udp *udp = calloc(1, sizeof(*udp));
	int r;

	if (!udp) {
		(void)close(fd);
		return -ENOMEM;
	}
	udp->loop = options->loop;
	udp->fd = fd;
	udp->kind = options->kind;
	udp->dns = *options->dns;
	udp->query = options->query;
	udp->userdata = options->userdata;
	r = uv_poll_init(options->loop, &udp->poll, fd);
	if (r < 0) {
		(void)close(fd);
		free(udp);
		return r;
	}
	(void)uv_prepare_init(options->loop, &udp->flush);
	udp->n_handles = 2;
	udp->poll.data = udp;
	udp->flush.data = udp;
	r = uv_poll_start(&udp->poll, UV_READABLE, on_readable);
	if (r < 0) {
		cp_dns_udp_close(udp, NULL, NULL);
		return r;
	}
	*ret = udp;
	return 0;
}

static void handle_closed(uv_handle_t *handle)
{
	struct cp_dns_udp *udp = handle->data;

	udp->n_handles--;
	end_if_idle(udp);
}

void cp_dns_udp_close(struct cp_dns_udp *udp, void (*closed)(void *userdata),
		      void *userdata)
{
	udp->is_closing = true;
	udp->closed = closed;
	udp->closed_userdata = userdata;
	uv_close((uv_handle_t *)&udp->poll, handle_closed);
	/* Its successor wants the port, and does not wait for our queries. */
	sn_closep(&udp->fd);
	uv_close((uv_handle_t *)&udp->flush, handle_closed);
}
