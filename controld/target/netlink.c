/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/netlink.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
	RECEIVE_TIMEOUT_S = 5,
	MESSAGES_MAX = 16, /* read for one answer */
};

int cp_target_netlink_open(struct mnl_socket **ret)
{
	const struct timeval timeout = { .tv_sec = RECEIVE_TIMEOUT_S };
	struct mnl_socket *socket;
	int r;

	socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO,
		       &timeout, sizeof(timeout)) < 0) {
		r = -errno;
		(void)mnl_socket_close(socket);
		return r;
	}
	*ret = socket;
	return 0;
}

static void copy_text(char *out, size_t size, const struct nlattr *attribute)
{
	size_t n = strnlen(mnl_attr_get_payload(attribute),
			   mnl_attr_get_payload_len(attribute));

	n = SN_MIN(n, size - 1);
	(void)memcpy(out, mnl_attr_get_payload(attribute), n);
	out[n] = '\0';
}

static int take_info(const struct nlattr *attribute, void *userdata)
{
	struct cp_target_resolve_iface *iface = userdata;

	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
		copy_text(iface->kind, sizeof(iface->kind), attribute);
	return MNL_CB_OK;
}

static int take_attribute(const struct nlattr *attribute, void *userdata)
{
	struct cp_target_resolve_iface *iface = userdata;

	if (mnl_attr_get_type(attribute) == IFLA_IFNAME)
		copy_text(iface->name, sizeof(iface->name), attribute);
	else if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
		return mnl_attr_parse_nested(attribute, take_info, iface);
	return MNL_CB_OK;
}

bool cp_target_netlink_parse(const struct nlmsghdr *message,
			     struct cp_target_resolve_iface *iface)
{
	const struct ifinfomsg *head;

	if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*head)))
		return false;
	head = mnl_nlmsg_get_payload(message);
	if (head->ifi_family != AF_UNSPEC || head->ifi_index <= 0)
		return false;
	*iface = (struct cp_target_resolve_iface){
		.ifindex = (uint32_t)head->ifi_index
	};
	if (mnl_attr_parse(message, sizeof(*head), take_attribute, iface) < 0)
		return false;
	iface->role = strcmp(iface->kind, "veth") == 0 ||
				      strcmp(iface->kind, "tun") == 0 ?
			      SN_ROLE_WORKLOAD :
			      SN_ROLE_HOST;
	return iface->name[0] != '\0';
}

/* Reads to the message that answers seq. */
static int receive(struct mnl_socket *socket, uint32_t seq,
		   struct cp_target_resolve_iface *iface)
{
	_Alignas(struct nlmsghdr) char buffer[CP_TARGET_NETLINK_BYTES];
	const struct nlmsghdr *message;
	const struct nlmsgerr *error;
	ssize_t n;
	int left;

	for (int i = 0; i < MESSAGES_MAX; i++) {
		n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		left = (int)n;
		message = (const struct nlmsghdr *)(const void *)buffer;
		if (!mnl_nlmsg_ok(message, left) || message->nlmsg_seq != seq)
			continue;
		if (message->nlmsg_type == NLMSG_ERROR) {
			if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*error)))
				return -EBADMSG;
			error = mnl_nlmsg_get_payload(message);
			return error->error < 0 ? error->error : -EBADMSG;
		}
		if (message->nlmsg_type == RTM_NEWLINK &&
		    cp_target_netlink_parse(message, iface))
			return 0;
	}
	return -EBADMSG;
}

int cp_target_netlink_get(struct mnl_socket *socket, uint32_t ifindex,
			  const char *name,
			  struct cp_target_resolve_iface *iface)
{
	static _Thread_local uint32_t last_seq;
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *head;

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = ++last_seq;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->ifi_family = AF_UNSPEC;
	head->ifi_index = (int)ifindex;
	if (ifindex == 0)
		mnl_attr_put_strz(message, IFLA_IFNAME, name);
	/* Without the counters of each queue and VF. */
	mnl_attr_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	return receive(socket, message->nlmsg_seq, iface);
}
