/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/dns.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "shared/log.h"
#include "shared/util.h"

enum { NETNS_COOKIE = 71 }; /* SO_NETNS_COOKIE, newer than the libc's */

/* Returns false if there is no such Ethernet interface. */
static bool find_device(const struct dp_dns *dns, const char *name,
			uint32_t *ifindex, uint8_t mac[6])
{
	struct ifreq request = { 0 };

	(void)memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(dns->attach->socket, SIOCGIFINDEX, &request) < 0)
		return false;
	*ifindex = (uint32_t)request.ifr_ifindex;
	if (ioctl(dns->attach->socket, SIOCGIFHWADDR, &request) < 0 ||
	    request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return false;
	(void)memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return true;
}

static void find_devices(const struct dp_dns *dns, struct sn_dns *record)
{
	const struct dp_options *options = dns->options;

	record->has_tc = find_device(dns, options->dns_devices[0],
				     &record->ifindex_host, record->mac_host) &&
			 find_device(dns, options->dns_devices[1],
				     &record->ifindex_steer, record->mac_steer);
	if (record->has_tc)
		return;
	record->ifindex_host = 0;
	record->ifindex_steer = 0;
	(void)memset(record->mac_host, 0, sizeof(record->mac_host));
	(void)memset(record->mac_steer, 0, sizeof(record->mac_steer));
}

/* On the loopback device the mark is seen by the host's packet filter, where
 * these two bits mean "drop" and "masquerade" to Kubernetes. */
static int choose_mark(uint32_t *mark)
{
	while (!*mark) {
		if (getrandom(mark, sizeof(*mark), 0) < 0)
			return -errno;
		*mark &= ~0xc000U;
	}
	return 0;
}

/* Programs may be reading: nothing is steered by half a record. */
static void publish(struct sn_dns *to, const struct sn_dns *record)
{
	if (memcmp(to, record, sizeof(*to)) == 0)
		return;
	__atomic_store_n(&to->has_tc, 0, __ATOMIC_SEQ_CST);
	to->mark = record->mark;
	to->port_tc = record->port_tc;
	to->port_cgroup = record->port_cgroup;
	to->netns_cookie = record->netns_cookie;
	to->ifindex_host = record->ifindex_host;
	to->ifindex_steer = record->ifindex_steer;
	to->range4_bits = record->range4_bits;
	(void)memcpy(to->range4, record->range4, sizeof(to->range4));
	(void)memcpy(to->range6, record->range6, sizeof(to->range6));
	(void)memcpy(to->loopback6, record->loopback6, sizeof(to->loopback6));
	(void)memcpy(to->mac_host, record->mac_host, sizeof(to->mac_host));
	(void)memcpy(to->mac_steer, record->mac_steer, sizeof(to->mac_steer));
	__atomic_store_n(&to->has_tc, record->has_tc, __ATOMIC_SEQ_CST);
}

int dp_dns_init(struct dp_dns *dns, const struct dp_attach *attach,
		const struct dp_options *options, struct sn_diag *diag)
{
	struct sn_dns record = {
		.range4_bits = options->dns_range4_bits,
		.port_tc = options->dns_port_tc,
		.port_cgroup = options->dns_port_cgroup,
	};
	socklen_t bytes = sizeof(record.netns_cookie);
	int r;

	*dns = (struct dp_dns){
		.attach = attach,
		.options = options,
		.record = attach->object->memory[SN_TABLE_DNS],
	};
	record.mark = dns->record->mark;
	(void)memcpy(record.range4, options->dns_range4, sizeof(record.range4));
	(void)memcpy(record.range6, options->dns_range6, sizeof(record.range6));
	(void)memcpy(record.loopback6, options->dns_loopback6,
		     sizeof(record.loopback6));
	if (getsockopt(attach->socket, SOL_SOCKET, NETNS_COOKIE,
		       &record.netns_cookie, &bytes) < 0) {
		r = -errno;
		sn_diag_set(diag, NULL, "cookie of the network namespace: %s",
			    strerror(-r));
		return sn_trace(r);
	}
	r = choose_mark(&record.mark);
	if (r < 0) {
		sn_diag_set(diag, NULL, "random mark: %s", strerror(-r));
		return sn_trace(r);
	}
	find_devices(dns, &record);
	publish(dns->record, &record);
	if (!record.has_tc)
		sn_log(SN_LOG_WARNING,
		       "dns-devices-missing names=%s,%s: interfaces have no "
		       "resolver, their port 53 is dropped where it is steered",
		       options->dns_devices[0], options->dns_devices[1]);
	return 0;
}

struct sn_dns dp_dns_get(const struct dp_dns *dns)
{
	struct sn_dns record = *dns->record;

	record.mark = 0;
	return record;
}
