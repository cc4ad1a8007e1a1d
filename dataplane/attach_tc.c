/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/attach_tc.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shared/util.h"

/* Newer than the packaged linux/bpf.h and linux/if_arp.h. */
enum {
	ATTACH_TCX_INGRESS = 46,
	ATTACH_TCX_EGRESS = 47,
	HARDWARE_RAWIP = 519,
	ATTACH_BEFORE = 1 << 3, /* BPF_F_BEFORE with no program named: first */
};

enum {
	LOOPBACK_IFINDEX = 1,
	PROGRAMS_MAX = 64, /* of one hook */
	FILTER_PRIORITY = 1,
	FILTER_HANDLE = 0x534e, /* tells our filter from others */
};

static int get_name(const struct dp_attach *attach, uint32_t ifindex,
		    struct ifreq *request)
{
	(void)memset(request, 0, sizeof(*request));
	request->ifr_ifindex = (int)ifindex;
	if (ifindex == 0 || ifindex > INT32_MAX)
		return -ENODEV;
	return ioctl(attach->socket, SIOCGIFNAME, request) < 0 ? -errno : 0;
}

bool dp_attach_tc_exists(const struct dp_attach *attach, uint32_t ifindex)
{
	struct ifreq request;

	return get_name(attach, ifindex, &request) == 0;
}

enum driver {
	DRIVER_OTHER,
	DRIVER_VETH,
	DRIVER_TUN,
	DRIVER_TAP,
};

static enum driver get_driver(const struct dp_attach *attach,
			      struct ifreq request)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	request.ifr_data = (char *)&info;
	if (ioctl(attach->socket, SIOCETHTOOL, &request) < 0)
		return DRIVER_OTHER;
	info.driver[sizeof(info.driver) - 1] = '\0';
	info.bus_info[sizeof(info.bus_info) - 1] = '\0';
	if (strcmp(info.driver, "veth") == 0)
		return DRIVER_VETH;
	if (strcmp(info.driver, "tun") != 0)
		return DRIVER_OTHER;
	return strcmp(info.bus_info, "tap") == 0 ? DRIVER_TAP : DRIVER_TUN;
}

/* Whether frames begin with an Ethernet header. The owner of a tun's file can
 * set its hardware type to anything (TUNSETLINK), so there the driver says. */
static int get_framing(enum driver driver, unsigned short hardware)
{
	if (driver == DRIVER_TUN)
		return 0;
	if (driver == DRIVER_TAP)
		return 1;
	switch (hardware) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return 1;
	case ARPHRD_NONE:
	case HARDWARE_RAWIP:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int dp_attach_tc_check(const struct dp_attach *attach, uint32_t ifindex,
		       uint8_t role, struct sn_iface *iface)
{
	struct ifreq request;
	enum driver driver;
	int r;

	if (role != SN_ROLE_WORKLOAD && role != SN_ROLE_HOST)
		return -EINVAL;
	r = get_name(attach, ifindex, &request);
	if (r < 0)
		return r;
	/* Without the option only what a workload is behind, and what the host
	 * itself does not live from. */
	driver = get_driver(attach, request);
	if (!attach->allow_host_role &&
	    (role == SN_ROLE_HOST || driver == DRIVER_OTHER))
		return -EPERM;
	if (ioctl(attach->socket, SIOCGIFHWADDR, &request) < 0)
		return -errno;
	r = get_framing(driver, request.ifr_hwaddr.sa_family);
	if (r < 0)
		return r;
	iface->ethernet = (uint8_t)r;
	iface->role = role;
	return 0;
}

bool dp_attach_tc_has_tcx(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);

	return bpf_prog_query_opts(LOOPBACK_IFINDEX,
				   (enum bpf_attach_type)ATTACH_TCX_INGRESS,
				   &opts) == 0;
}

int32_t dp_attach_tc_get_position(uint32_t ifindex, enum sn_program_hook hook,
				  uint32_t program_id)
{
	uint32_t ids[PROGRAMS_MAX] = { 0 };
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids,
		    .prog_cnt = PROGRAMS_MAX);
	int type = hook == SN_PROGRAM_HOOK_TC_INGRESS ? ATTACH_TCX_INGRESS :
							ATTACH_TCX_EGRESS;

	if (bpf_prog_query_opts((int)ifindex, (enum bpf_attach_type)type,
				&opts) < 0)
		return SN_IPC_POSITION_UNKNOWN;
	for (uint32_t i = 0; i < SN_MIN(opts.prog_cnt, PROGRAMS_MAX); i++) {
		if (ids[i] == program_id)
			return (int32_t)i;
	}
	return SN_IPC_POSITION_UNKNOWN;
}

int dp_attach_tc_link(uint32_t ifindex, enum sn_program_hook hook, int program)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = ATTACH_BEFORE);
	int type = hook == SN_PROGRAM_HOOK_TC_INGRESS ? ATTACH_TCX_INGRESS :
							ATTACH_TCX_EGRESS;
	int link = bpf_link_create(program, (int)ifindex,
				   (enum bpf_attach_type)type, &opts);

	return link < 0 ? -errno : link;
}

static enum bpf_tc_attach_point get_point(enum sn_program_hook hook)
{
	return hook == SN_PROGRAM_HOOK_TC_INGRESS ? BPF_TC_INGRESS :
						    BPF_TC_EGRESS;
}

int dp_attach_tc_put_filter(uint32_t ifindex, enum sn_program_hook hook,
			    int program)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex,
		    .attach_point = get_point(hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
		    .priority = FILTER_PRIORITY, .prog_fd = program,
		    .flags = BPF_TC_F_REPLACE);
	int r;

	r = bpf_tc_hook_create(&place);
	if (r < 0 && r != -EEXIST)
		return sn_trace(r);
	r = bpf_tc_attach(&place, &opts);
	return r < 0 ? sn_trace(r) : 0;
}

int dp_attach_tc_remove_filter(uint32_t ifindex, enum sn_program_hook hook)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex,
		    .attach_point = get_point(hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
		    .priority = FILTER_PRIORITY);
	int r;

	if (!dp_attach_tc_has_filter(ifindex, hook))
		return 0;
	r = bpf_tc_detach(&place, &opts);
	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

bool dp_attach_tc_has_filter(uint32_t ifindex, enum sn_program_hook hook)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex,
		    .attach_point = get_point(hook));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE,
		    .priority = FILTER_PRIORITY);

	return bpf_tc_query(&place, &opts) == 0;
}
