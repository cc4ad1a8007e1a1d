/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "controld/dns/identity.h"
#include "shared/util.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

enum {
	BACKLOG = 1024,
	RECEIVE_BYTES = 4 << 20, /* as far as net.core.rmem_max lets us */
	STORE_FIRST = 3, /* SD_LISTEN_FDS_START of sd_listen_fds(3) */
	STORE_MAX = 64,
	NAME_BYTES = 64,
	TEXT_BYTES = 160,
};

static const char *const names[] = {
	[CP_DNS_LISTEN_TC_UDP4] = "tc-udp4",
	[CP_DNS_LISTEN_TC_UDP6] = "tc-udp6",
	[CP_DNS_LISTEN_TC_TCP4] = "tc-tcp4",
	[CP_DNS_LISTEN_TC_TCP6] = "tc-tcp6",
	[CP_DNS_LISTEN_CGROUP_UDP4] = "cgroup-udp4",
	[CP_DNS_LISTEN_CGROUP_UDP6] = "cgroup-udp6",
	[CP_DNS_LISTEN_CGROUP_TCP4] = "cgroup-tcp4",
	[CP_DNS_LISTEN_CGROUP_TCP6] = "cgroup-tcp6",
};
_Static_assert(SN_ARRAY_SIZE(names) == CP_DNS_LISTEN_COUNT, "names");

const char *cp_dns_listen_name(enum cp_dns_listen_kind kind)
{
	return names[kind];
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ?
		       -errno :
		       0;
}

/* Where a cgroup's socket listens it must be able to answer from any loopback
 * address. The filter hears nothing that comes from elsewhere; being bound to
 * the device says it once more, but only in IPv4: in IPv6 such a socket finds no
 * way to clients whose source is an address of another device. */
static int prepare(enum cp_dns_listen_kind kind, int fd)
{
	bool is_ipv6 = cp_dns_listen_is_ipv6(kind);
	int r = 0;

	if (is_ipv6)
		r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0 && cp_dns_listen_is_tcp(kind))
		r = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	else
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);
	if (r < 0 || !cp_dns_listen_is_cgroup(kind))
		return r;
	if (!is_ipv6 &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")) < 0)
		return -errno;
	if (cp_dns_listen_is_tcp(kind))
		return 0;
	if (!is_ipv6)
		return set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	r = set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return r < 0 ? r : set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
}

static int bind_to(enum cp_dns_listen_kind kind, const struct sn_dns *dns,
		   int fd)
{
	bool is_cgroup = cp_dns_listen_is_cgroup(kind);
	in_port_t port = is_cgroup ? dns->port_cgroup : dns->port_tc;
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = port };
	int r;

	if (!is_cgroup) {
		in4.sin_addr = cp_dns_identity_resolver4(dns);
		in6.sin6_addr = cp_dns_identity_resolver6(dns);
	}
	if (cp_dns_listen_is_ipv6(kind))
		r = bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
	else
		r = bind(fd, (const struct sockaddr *)&in4, sizeof(in4));
	return r < 0 ? -errno : 0;
}

/* Before it is bound nothing can arrive, so the filter comes first. */
static int open_socket(enum cp_dns_listen_kind kind, const struct sn_dns *dns,
		       int filter, int *ret)
{
	sn_cleanup(sn_closep) int fd = -1;
	bool is_tcp = cp_dns_listen_is_tcp(kind);
	int type = (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC |
		   SOCK_NONBLOCK;
	int r;

	fd = socket(cp_dns_listen_is_ipv6(kind) ? AF_INET6 : AF_INET, type, 0);
	if (fd < 0)
		return -errno;
	r = set(fd, SOL_SOCKET, SO_ATTACH_BPF, filter);
	if (r == 0)
		r = set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	if (r == 0)
		r = prepare(kind, fd);
	if (r == 0)
		r = bind_to(kind, dns, fd);
	if (r == 0 && is_tcp && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret = sn_steal_fd(&fd);
	return 0;
}

int cp_dns_listen_open(enum cp_dns_listen_kind kind, const struct sn_dns *dns,
		       int filter, struct sn_diag *diag)
{
	int fd = -1;
	int r = open_socket(kind, dns, filter, &fd);

	if (r == 0)
		return fd;
	sn_diag_set(diag, NULL, "listener %s, port %u: %s", names[kind],
		    ntohs(cp_dns_listen_is_cgroup(kind) ? dns->port_cgroup :
							  dns->port_tc),
		    strerror(-r));
	return r;
}

/* A name in the store says what the socket was made for: an interface that was
 * made anew has another index, and the filter looks at that; and the filter of
 * tables that are gone knows no mark of today, so it would hear nobody. */
static void write_name(enum cp_dns_listen_kind kind, const struct sn_dns *dns,
		       char name[NAME_BYTES])
{
	const uint8_t *ranges[] = { dns->range4, dns->range6, dns->loopback6 };
	const size_t sizes[] = { sizeof(dns->range4), sizeof(dns->range6),
				 sizeof(dns->loopback6) };
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < SN_ARRAY_SIZE(ranges); i++) {
		for (size_t j = 0; j < sizes[i]; j++)
			h = (h ^ ranges[i][j]) * 0x100000001b3ULL;
	}
	h = (h ^ dns->range4_bits) * 0x100000001b3ULL;
	h = (h ^ dns->life) * 0x100000001b3ULL;
	h = (h ^ dns->ifindex_host) * 0x100000001b3ULL;
	h = (h ^ dns->netns_cookie) * 0x100000001b3ULL;
	(void)snprintf(name, NAME_BYTES, "%s-%u-%016llx", names[kind],
		       ntohs(cp_dns_listen_is_cgroup(kind) ? dns->port_cgroup :
							     dns->port_tc),
		       (unsigned long long)h);
}

/* One message of sd_notify(3), which is a datagram. */
static void notify(const char *text, int fd)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char content[TEXT_BYTES];
	struct iovec part = { .iov_base = content };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr message = { .msg_name = &to,
				  .msg_iov = &part,
				  .msg_iovlen = 1 };
	sn_cleanup(sn_closep) int channel = -1;
	size_t n = path ? strlen(path) : 0;

	if (n == 0 || n >= sizeof(to.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	(void)memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	message.msg_namelen =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	part.iov_len = (size_t)snprintf(content, sizeof(content), "%s", text);
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		(void)memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (channel >= 0)
		(void)sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void cp_dns_listen_store(enum cp_dns_listen_kind kind, const struct sn_dns *dns,
			 int fd)
{
	char name[NAME_BYTES], text[TEXT_BYTES];

	write_name(kind, dns, name);
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	notify(text, fd);
}

static void unstore(const char *name)
{
	char text[TEXT_BYTES];

	(void)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%.*s",
		       NAME_BYTES, name);
	notify(text, -1);
}

void cp_dns_listen_unstore(enum cp_dns_listen_kind kind,
			   const struct sn_dns *dns)
{
	char name[NAME_BYTES];

	write_name(kind, dns, name);
	unstore(name);
}

/* How many descriptors the service manager passed to this very process. */
static int count_passed(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *n = getenv("LISTEN_FDS");
	long count;

	if (!pid || !n || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	count = strtol(n, NULL, 10);
	return count < 0 || count > STORE_MAX ? 0 : (int)count;
}

static bool take(const char *name, const struct sn_dns *dns, int fd,
		 int fds[CP_DNS_LISTEN_COUNT])
{
	char wanted[NAME_BYTES];

	for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++) {
		write_name((enum cp_dns_listen_kind)i, dns, wanted);
		if (fds[i] < 0 && strcmp(name, wanted) == 0) {
			fds[i] = fd;
			return true;
		}
	}
	return false;
}

void cp_dns_listen_restore(const struct sn_dns *dns,
			   int fds[CP_DNS_LISTEN_COUNT])
{
	const char *passed = getenv("LISTEN_FDNAMES");
	int n = count_passed();
	char *names_copy, *rest, *name;

	for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++)
		fds[i] = -1;
	names_copy = passed ? strdup(passed) : NULL;
	rest = names_copy;
	for (int fd = STORE_FIRST; fd < STORE_FIRST + n; fd++) {
		name = rest ? strsep(&rest, ":") : NULL;
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (name && take(name, dns, fd, fds))
			continue;
		(void)close(fd);
		if (name)
			unstore(name);
	}
	free(names_copy);
}
