/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/dns.h"

#include <bpf/bpf.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "dataplane/attach_tc.h"
#include "dataplane/table.h"
#include "shared/log.h"
#include "shared/util.h"

#define FOLDER	    "dns"
#define RETURN_NAME "sn_dns_return"
#define CHECK_NS    (3 * SN_NS_PER_S)

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

/* Is the pinned link on that interface? */
static bool is_on(int link, uint32_t ifindex)
{
	struct bpf_link_info info = { 0 };
	uint32_t bytes = sizeof(info);

	/* The member for TCX begins as that for XDP does. */
	return bpf_obj_get_info_by_fd(link, &info, &bytes) == 0 &&
	       info.xdp.ifindex == ifindex;
}

/* The link of an earlier process goes on with the present program; one whose
 * interface is gone is dead. */
static int link_return(const struct dp_dns *dns, uint32_t ifindex, int program)
{
	const struct dp_pins *pins = dns->attach->pins;
	sn_cleanup(sn_closep) int link = -1;
	int r;

	link = dp_pins_get(pins, FOLDER, RETURN_NAME);
	if (link < 0 && link != -ENOENT)
		return sn_trace(link);
	if (link >= 0 && is_on(link, ifindex))
		return bpf_link_update(link, program, NULL) < 0 ? -errno : 0;
	sn_closep(&link);
	r = dp_pins_remove(pins, FOLDER, RETURN_NAME);
	if (r < 0)
		return r;
	if (!dns->attach->tcx)
		return dp_attach_tc_put_filter(
			ifindex, SN_PROGRAM_HOOK_DNS_RETURN, program);
	link = dp_attach_tc_link(ifindex, SN_PROGRAM_HOOK_DNS_RETURN, program);
	if (link < 0)
		return sn_trace(link);
	return dp_pins_put(pins, FOLDER, RETURN_NAME, link);
}

/* No slot's mark may be 0, which is what packets without one have. */
static int choose_mark(uint32_t *mark)
{
	while (!(*mark & ~SN_DNS_MARK_SLOTS)) {
		if (getrandom(mark, sizeof(*mark), 0) < 0)
			return -errno;
		*mark &= ~SN_DNS_MARK_FOREIGN;
	}
	return 0;
}

static int choose_life(uint16_t *life)
{
	while (!*life) {
		if (getrandom(life, sizeof(*life), 0) < 0)
			return -errno;
	}
	return 0;
}

/* Programs may be reading: nothing is steered by half a record. */
static void publish(struct sn_dns *to, const struct sn_dns *record)
{
	__atomic_store_n(&to->has_tc, 0, __ATOMIC_SEQ_CST);
	to->mark = record->mark;
	to->port_tc = record->port_tc;
	to->port_cgroup = record->port_cgroup;
	to->query_ns = record->query_ns;
	to->life = record->life;
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

/* Without the way back there is no way out either. */
static int attach_return(const struct dp_dns *dns, struct sn_dns *record)
{
	int program = dns->attach->object->programs[SN_PROGRAM_DNS_RETURN];
	int r;

	if (!record->has_tc)
		return -ENODEV;
	r = program < 0 ? -EOPNOTSUPP :
			  link_return(dns, record->ifindex_host, program);
	record->has_tc = r >= 0;
	return r;
}

static void tell(const struct dp_dns *dns, const struct sn_dns *record, int r)
{
	if (r >= 0)
		sn_log(SN_LOG_INFO, "dns-attached name=%s ifindex=%u",
		       dns->options->dns_devices[0], record->ifindex_host);
	else
		sn_log(SN_LOG_WARNING,
		       "dns-detached names=%s,%s error='%s': interfaces have no "
		       "resolver, where their port 53 is steered it is dropped",
		       dns->options->dns_devices[0],
		       dns->options->dns_devices[1],
		       r == -ENODEV ? "the veth pair is missing" :
				      strerror(-r));
}

/* Is the program where it belongs? Root may take it off. */
static bool is_attached(const struct dp_dns *dns, uint32_t ifindex)
{
	sn_cleanup(sn_closep) int link =
		dp_pins_get(dns->attach->pins, FOLDER, RETURN_NAME);

	if (link >= 0)
		return is_on(link, ifindex);
	return !dns->attach->tcx &&
	       dp_attach_tc_has_filter(ifindex, SN_PROGRAM_HOOK_DNS_RETURN);
}

static bool is_same(const struct sn_dns *a, const struct sn_dns *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int dp_dns_init(struct dp_dns *dns, const struct dp_attach *attach,
		const struct dp_options *options, struct sn_diag *diag)
{
	struct sn_dns record = {
		.range4_bits = options->dns_range4_bits,
		.port_tc = options->dns_port_tc,
		.port_cgroup = options->dns_port_cgroup,
		.query_ns = options->dns_rate ? (uint32_t)(SN_NS_PER_S /
							   options->dns_rate) :
						0,
	};
	socklen_t bytes = sizeof(record.netns_cookie);
	int r = 0;

	*dns = (struct dp_dns){
		.attach = attach,
		.options = options,
		.record = attach->object->memory[SN_TABLE_DNS],
	};
	record.mark = dns->record->mark;
	record.life = dns->record->life;
	(void)memcpy(record.range4, options->dns_range4, sizeof(record.range4));
	(void)memcpy(record.range6, options->dns_range6, sizeof(record.range6));
	(void)memcpy(record.loopback6, options->dns_loopback6,
		     sizeof(record.loopback6));
	if (getsockopt(attach->socket, SOL_SOCKET, NETNS_COOKIE,
		       &record.netns_cookie, &bytes) < 0)
		r = -errno;
	if (r >= 0)
		r = choose_mark(&record.mark);
	if (r >= 0)
		r = choose_life(&record.life);
	if (r >= 0)
		r = dp_pins_make(attach->pins, FOLDER);
	if (r < 0) {
		sn_diag_set(diag, NULL, "name resolution: %s", strerror(-r));
		return sn_trace(r);
	}
	find_devices(dns, &record);
	dns->found = record;
	tell(dns, &record, attach_return(dns, &record));
	publish(dns->record, &record);
	dns->next_check = dp_table_get_now() + CHECK_NS;
	return 0;
}

bool dp_dns_check(struct dp_dns *dns)
{
	struct sn_dns record = dns->found;
	bool has_changed;
	int r;

	if (dp_dns_get_timeout_ms(dns) > 0)
		return false;
	dns->next_check = dp_table_get_now() + CHECK_NS;
	find_devices(dns, &record);
	if (is_same(&record, &dns->found) &&
	    (!record.has_tc || is_attached(dns, record.ifindex_host)))
		return false;
	dns->found = record;
	r = attach_return(dns, &record);
	has_changed = !is_same(&record, dns->record);
	if (has_changed || r >= 0)
		tell(dns, &record, r);
	if (has_changed)
		publish(dns->record, &record);
	return has_changed;
}

int dp_dns_get_timeout_ms(const struct dp_dns *dns)
{
	uint64_t now = dp_table_get_now();

	if (now >= dns->next_check)
		return 0;
	return (int)((dns->next_check - now) / 1000000U) + 1;
}

struct sn_dns dp_dns_get(const struct dp_dns *dns)
{
	struct sn_dns record = *dns->record;

	record.mark = 0;
	return record;
}
