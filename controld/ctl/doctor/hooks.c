// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/doctor/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "controld/rpc/message.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	PROGRAMS_MAX = 64, /* on one hook */
	PAGE = 1000,
	/* Numbers of <linux/bpf.h> 6.6. */
	TCX_INGRESS = 46,
	TCX_EGRESS = 47,
};

static const struct {
	const char *name;
	uint32_t type;
	bool is_cgroup;
} hooks[] = {
	{ "tcx/ingress", TCX_INGRESS, false },
	{ "tcx/egress", TCX_EGRESS, false },
	{ "cgroup_skb/ingress", BPF_CGROUP_INET_INGRESS, true },
	{ "cgroup_skb/egress", BPF_CGROUP_INET_EGRESS, true },
	{ "connect4", BPF_CGROUP_INET4_CONNECT, true },
	{ "connect6", BPF_CGROUP_INET6_CONNECT, true },
	{ "sendmsg4", BPF_CGROUP_UDP4_SENDMSG, true },
	{ "sendmsg6", BPF_CGROUP_UDP6_SENDMSG, true },
};

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static bool get_name(uint32_t id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { .type = 0 };
	union bpf_attr attr;
	long fd;

	(void)memset(&attr, 0, sizeof(attr));
	attr.prog_id = id;
	fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	if (fd < 0)
		return false;
	(void)memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0)
		info.name[0] = '\0';
	(void)close((int)fd);
	(void)snprintf(name, BPF_OBJ_NAME_LEN, "%s", info.name);
	return true;
}

/* Those of others, of those that run for the target. */
static unsigned int look_at_hook(struct cp_ctl_doctor_findings *findings,
				 const char *target, uint32_t object,
				 size_t hook)
{
	uint32_t ids[PROGRAMS_MAX] = { 0 };
	char name[BPF_OBJ_NAME_LEN];
	union bpf_attr attr;
	unsigned int n = 0;

	(void)memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = object;
	attr.query.attach_type = hooks[hook].type;
	attr.query.query_flags = hooks[hook].is_cgroup ? BPF_F_QUERY_EFFECTIVE :
							 0;
	attr.query.prog_ids = (uintptr_t)ids;
	attr.query.prog_cnt = PROGRAMS_MAX;
	if (bpf(BPF_PROG_QUERY, &attr) < 0)
		return 0;
	for (uint32_t i = 0; i < attr.query.prog_cnt && i < PROGRAMS_MAX; i++) {
		if (!get_name(ids[i], name) || strncmp(name, "sn_", 3) == 0)
			continue;
		n++;
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_WARN, "hooks",
			"see that it drops nothing and changes no packet that "
			"the policy is about ('bpftool prog show')",
			"program '%s' (%u) runs beside ours on %s of %s", name,
			ids[i], hooks[hook].name, target);
	}
	return n;
}

static unsigned int look_at(struct cp_ctl_doctor_findings *findings,
			    const Sentinel__V1__Attachment *one)
{
	bool is_cgroup = one->type ==
			 SENTINEL__V1__TARGET_TYPE__TARGET_TYPE_CGROUP;
	unsigned int n = 0, index;
	int fd = -1;

	if (is_cgroup) {
		fd = open(one->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return 0;
	}
	index = is_cgroup ? (unsigned int)fd : if_nametoindex(one->target);
	for (size_t i = 0; index && i < SN_ARRAY_SIZE(hooks); i++) {
		if (hooks[i].is_cgroup == is_cgroup)
			n += look_at_hook(findings, one->target, index, i);
	}
	if (fd >= 0)
		(void)close(fd);
	return n;
}

/* Of the first page; a host with more has these programs there as well. */
void cp_ctl_doctor_hooks_look(struct cp_ctl_doctor_findings *findings)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	struct cp_ctl_session *session = findings->session;
	const Sentinel__V1__ListResponse *list;
	Sentinel__V1__ListRequest request;
	unsigned int n = 0;

	/* That it does not answer has been said. */
	if (!session->client)
		return;
	if (geteuid() != 0) {
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_WARN, "hooks", "run as root",
			"other programs on our hooks cannot be looked for");
		return;
	}
	sentinel__v1__list_request__init(&request);
	request.page_size = PAGE;
	if (cp_ctl_session_call(session, "List", &request.base,
				&sentinel__v1__list_response__descriptor,
				&answer))
		return;
	list = (const Sentinel__V1__ListResponse *)answer;
	for (size_t i = 0; i < list->n_attachments; i++)
		n += look_at(findings, list->attachments[i]);
	if (n == 0)
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_OK, "hooks", NULL,
			"no program of others on the hooks of %zu attachments",
			list->n_attachments);
}
