/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The listeners' sockets: made once, filtered by the kernel from the moment
 * they can receive, and kept in the service manager's descriptor store over a
 * restart, so that queries wait in them. */

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/diag.h"

/* In this order, which is also that of their names in the store. */
enum cp_dns_listen_kind {
	CP_DNS_LISTEN_TC_UDP4,
	CP_DNS_LISTEN_TC_UDP6,
	CP_DNS_LISTEN_TC_TCP4,
	CP_DNS_LISTEN_TC_TCP6,
	CP_DNS_LISTEN_CGROUP_UDP4,
	CP_DNS_LISTEN_CGROUP_UDP6,
	CP_DNS_LISTEN_CGROUP_TCP4,
	CP_DNS_LISTEN_CGROUP_TCP6,
	CP_DNS_LISTEN_COUNT,
};

static inline bool cp_dns_listen_is_cgroup(enum cp_dns_listen_kind kind)
{
	return kind >= CP_DNS_LISTEN_CGROUP_UDP4;
}

static inline bool cp_dns_listen_is_tcp(enum cp_dns_listen_kind kind)
{
	return kind % 4 >= 2;
}

static inline bool cp_dns_listen_is_ipv6(enum cp_dns_listen_kind kind)
{
	return kind % 2 != 0;
}

/* "tc-udp4". */
const char *cp_dns_listen_name(enum cp_dns_listen_kind kind);

/* Binds, attaches the filter (a program's fd) and locks it before anything can
 * arrive; TCP listens. Returns the fd or -errno with *diag. */
int cp_dns_listen_open(enum cp_dns_listen_kind kind, const struct sn_dns *dns,
		       int filter, struct sn_diag *diag);

/* Sockets that an earlier process left in the store and that were made for
 * these addresses, ports and interfaces; -1 where there is none. Those made for
 * others are closed and taken out of the store. To be called once. */
void cp_dns_listen_restore(const struct sn_dns *dns,
			   int fds[CP_DNS_LISTEN_COUNT]);

/* Puts a socket into the store; without a service manager nothing happens. */
void cp_dns_listen_store(enum cp_dns_listen_kind kind, const struct sn_dns *dns,
			 int fd);
void cp_dns_listen_unstore(enum cp_dns_listen_kind kind,
			   const struct sn_dns *dns);
