/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/dns.h"

#include "test/unit/test_attach_learn.h"

static void what_is_said_of_names_outlives_the_daemon(void)
{
	struct rig *rig = rig_new();
	struct cp_policy *with = policy("10.0.0.0/8", NULL, NULL);
	struct cp_dns_settings dns;
	struct cp_dns_rule rule = domain(SN_VERDICT_ALLOW, "a.example");
	struct cp_attach_info info;
	sn_cleanup(cp_policy_freep) struct cp_policy *before = NULL;
	struct cp_policy_diff diff;
	struct outcome outcome;

	memset(&dns, 0, sizeof(dns));
	dns.mode = CP_DNS_MODE_DENYLIST;
	dns.denied = CP_DNS_DENIED_NXDOMAIN;
	dns.hints = CP_DNS_HINTS_LEARN;
	dns.allow_private = true;
	dns.dnssec = true;
	dns.n_upstreams = 2;
	dns.upstreams[0].family = SN_FAMILY_IPV4;
	dns.upstreams[0].port = 53;
	memcpy(dns.upstreams[0].address, "\300\0\2\1", 4);
	dns.upstreams[1].family = SN_FAMILY_IPV6;
	dns.upstreams[1].port = 853;
	dns.upstreams[1].is_tls = 1;
	memcpy(dns.upstreams[1].address, "\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1",
	       16);
	(void)snprintf(dns.upstreams[1].name, sizeof(dns.upstreams[1].name),
		       "dns.example");
	cp_policy_put_dns(with, &dns);
	rule.subdomains = true;
	rule.ttl_floor_s = 300;
	rule.n_ports = 1;
	rule.ports[0] = (struct cp_policy_ports){ .low = 443,
						  .high = 443,
						  .protocol = 6 };
	t_eq(cp_policy_add_domain(with, &rule, NULL, NULL), 0);
	with_domain(with, SN_VERDICT_DENY, "b.a.example");

	outcome = attach_as(rig, SN_ROLE_WORKLOAD, with);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	info = get_info(rig, outcome.result.id);
	t_eq(cp_policy_copy(info.policy, &before), 0);
	restart(rig);
	info = get_info(rig, outcome.result.id);
	t_mem_eq(cp_policy_get_dns(info.policy), &dns, sizeof(dns));
	diff = cp_policy_compare(before, info.policy, now_ns);
	t_eq(diff.unchanged, 3);
	t_eq(diff.added + diff.removed, 0);
	t_eq(cp_dns_rules_find(cp_policy_get_domains(info.policy), &rule)->id,
	     2);
	t_eq(cp_policy_get_next_id(info.policy), 4);
	agrees(rig, outcome.result.id);
	rig_free(rig);
}

/* Each change is appended, and found again. */
static void domain_rules_that_change_outlive_the_daemon(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome =
		attach_as(rig, SN_ROLE_WORKLOAD, policy(NULL, NULL, NULL));
	sn_cleanup(cp_policy_freep) struct cp_policy *before = NULL;
	struct cp_attach_info info;
	struct cp_policy_diff diff;
	char id[CP_ATTACH_ID_CHARS + 1];

	memcpy(id, outcome.result.id, sizeof(id));
	t_eq(allow_domain(rig, id, "a.example", 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(allow_domain(rig, id, "a.example", 443).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(deny_domain(rig, id, "b.example").result.code, CP_ATTACH_CODE_OK);
	t_eq(allow_domain(rig, id, "c.example", 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(drop_domain(rig, id, "c.example").result.code, CP_ATTACH_CODE_OK);
	t_eq(cp_policy_copy(get_info(rig, id).policy, &before), 0);
	restart(rig);
	info = get_info(rig, id);
	diff = cp_policy_compare(before, info.policy, now_ns);
	t_eq(diff.unchanged, 3);
	t_eq(diff.added + diff.removed, 0);
	t_eq(cp_policy_get_next_id(info.policy), 5);
	for (uint32_t i = 1; i < 4; i++)
		t_not_null(cp_dns_rules_get(cp_policy_get_domains(info.policy),
					    i));
	rig_free(rig);
}

static void port_53_is_steered_unless_policy_or_role_say_no(void)
{
	struct rig *rig = rig_new();
	struct cp_policy *off = policy(NULL, NULL, NULL);
	const struct cp_dns_settings no = { .no_steering = true };
	struct outcome outcome;
	unsigned int n_flips;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach_as(rig, SN_ROLE_WORKLOAD, policy(NULL, NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	t_eq(slot_of(rig)->policy.dns, SN_DNS_STEERING_ON);
	cp_policy_put_dns(off, &no);
	t_eq(apply(rig, id, off, false).result.code, CP_ATTACH_CODE_OK);
	t_eq(slot_of(rig)->policy.dns, SN_DNS_STEERING_OFF);
	t_eq(detach(rig, id).result.code, CP_ATTACH_CODE_OK);

	(void)attach_as(rig, SN_ROLE_HOST, policy(NULL, NULL, NULL));
	t_eq(slot_of(rig)->policy.dns, SN_DNS_STEERING_OFF);
	/* And it is no difference that would have to be mended. */
	n_flips = rig->fake->n_flips;
	restart(rig);
	settle(rig);
	t_eq(rig->fake->n_flips, n_flips);
	rig_free(rig);
}

/* A kernel that does not steer as the policy says is set right. */
static void steering_that_differs_is_staged_again(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome =
		attach_as(rig, SN_ROLE_WORKLOAD, policy(NULL, NULL, NULL));

	slot_of(rig)->policy.dns = SN_DNS_STEERING_OFF;
	restart(rig);
	settle(rig);
	t_eq(slot_of(rig)->policy.dns, SN_DNS_STEERING_ON);
	agrees(rig, outcome.result.id);
	rig_free(rig);
}

/* The state file is lost: what the kernel does stays. */
static void recovered_attachments_steer_as_before(void)
{
	for (int is_off = 0; is_off < 2; is_off++) {
		struct rig *rig = rig_new();
		struct cp_policy *with = policy("10.0.0.0/8", NULL, NULL);
		struct cp_dns_settings dns = { .no_steering = is_off };
		struct outcome outcome;

		cp_policy_put_dns(with, &dns);
		outcome = attach_as(rig, SN_ROLE_WORKLOAD, with);
		close_daemon(rig);
		t_eq(unlink(rig->path), 0);
		open_daemon(rig);
		TURN_UNTIL(rig, is_ready(rig));
		agrees(rig, outcome.result.id);
		t_eq(cp_policy_get_dns(get_info(rig, outcome.result.id).policy)
			     ->no_steering,
		     is_off);
		t_eq(slot_of(rig)->policy.dns,
		     is_off ? SN_DNS_STEERING_OFF : SN_DNS_STEERING_ON);
		rig_free(rig);
	}
}

T_MAIN("attach_dns", what_is_said_of_names_outlives_the_daemon,
       domain_rules_that_change_outlive_the_daemon,
       port_53_is_steered_unless_policy_or_role_say_no,
       steering_that_differs_is_staged_again,
       recovered_attachments_steer_as_before)
