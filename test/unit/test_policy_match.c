// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/match.h"

#include "test/unit/test_policy_rig.h"

static struct cp_policy *make(enum sn_mode mode, enum sn_inbound inbound,
			      bool audit)
{
	const struct cp_policy_settings settings = { mode, inbound, audit };
	struct cp_policy *policy = NULL;

	t_eq(cp_policy_new(&policy, 1000), 0);
	cp_policy_put_settings(policy, &settings);
	return policy;
}

static struct cp_policy *allowlist(void)
{
	return make(SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, false);
}

static void add(struct cp_policy *policy, enum sn_verdict verdict,
		const char *cidr, const char *ports, uint64_t expires_ns)
{
	struct cp_policy_rule rule = rule_of(cidr, verdict, ports);

	rule.expires_ns = expires_ns;
	t_eq(cp_policy_add(policy, &rule, NULL, NULL), 0);
}

static void allow(struct cp_policy *policy, const char *cidr, const char *ports)
{
	add(policy, SN_VERDICT_ALLOW, cidr, ports, 0);
}

static void deny(struct cp_policy *policy, const char *cidr, const char *ports)
{
	add(policy, SN_VERDICT_DENY, cidr, ports, 0);
}

static struct cp_policy_match_packet packet(const char *remote,
					    uint8_t protocol, uint16_t port)
{
	struct cp_policy_match_packet made = {
		.direction = SN_EGRESS,
		.role = SN_ROLE_WORKLOAD,
		.protocol = protocol,
		.remote_port = port,
		.local_port = 40000,
	};
	struct cp_policy_cidr cidr;
	struct sn_diag diag;

	t_eq(cp_policy_cidr_parse(remote, &cidr, &diag), 0);
	made.family = (enum sn_family)cidr.family;
	(void)memcpy(made.remote, cidr.address, sizeof(made.remote));
	return made;
}

/* Judges by all three sources, which must agree. */
static struct cp_policy_match_verdict
judge_at(const struct cp_policy *policy, const struct cp_policy_match_packet *p,
	 const struct cp_policy_match_flow *flow, uint64_t now_ns)
{
	struct cp_policy_match_source plain =
		cp_policy_match_source_policy(policy, false);
	struct cp_policy_match_source indexed =
		cp_policy_match_source_policy(policy, true);
	struct cp_policy_compile_row compiled[64];
	struct cp_policy_match_rows rows = { .rows = compiled };
	struct cp_policy_match_source read_back;
	struct cp_policy_match_verdict a, b, c;
	struct cp_policy_prefix prefix;
	size_t cursor = 0;

	cp_policy_compile_block(policy, 1, NULL, &rows.block);
	plain.steers = rows.block.dns == SN_DNS_STEERING_ON;
	indexed.steers = plain.steers;
	while (cp_policy_next_prefix(policy, &cursor, &prefix))
		cp_policy_compile_prefix(&prefix, &rows.block, 1,
					 &compiled[rows.n_rows++]);
	read_back = cp_policy_match_source_rows(&rows);
	a = cp_policy_match_judge(&plain, p, flow, now_ns);
	b = cp_policy_match_judge(&indexed, p, flow, now_ns);
	c = cp_policy_match_judge(&read_back, p, flow, now_ns);
	t_eq(a.pass, b.pass);
	t_eq(a.pass, c.pass);
	t_eq(a.reason, b.reason);
	t_eq(a.reason, c.reason);
	t_eq(a.rule_id, b.rule_id);
	t_eq(a.rule_id, c.rule_id);
	t_eq(a.makes_flow, b.makes_flow);
	return a;
}

static void verdict_is(const struct cp_policy *policy,
		       struct cp_policy_match_packet p, bool pass,
		       enum sn_reason reason, uint32_t rule_id)
{
	struct cp_policy_match_verdict got = judge_at(policy, &p, NULL, 1000);

	t_eq(got.pass, pass);
	t_eq(got.reason, reason);
	t_eq(got.rule_id, rule_id);
}

static void the_longest_matching_prefix_decides(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = allowlist();

	allow(policy, "10.0.0.0/8", NULL);
	deny(policy, "10.1.0.0/16", NULL);
	allow(policy, "10.1.2.0/24", "443/tcp");
	deny(policy, "10.1.2.3", NULL);
	verdict_is(policy, packet("10.2.0.1", 17, 1), true, SN_REASON_ALLOWED,
		   1);
	verdict_is(policy, packet("10.1.9.1", 17, 1), false,
		   SN_REASON_DENY_RULE, 2);
	verdict_is(policy, packet("10.1.2.4", 6, 443), true, SN_REASON_ALLOWED,
		   3);
	/* Ports do not match: falls through to the next shorter prefix. */
	verdict_is(policy, packet("10.1.2.4", 6, 80), false,
		   SN_REASON_DENY_RULE, 2);
	verdict_is(policy, packet("10.1.2.3", 6, 443), false,
		   SN_REASON_DENY_RULE, 4);
	verdict_is(policy, packet("192.0.2.1", 6, 443), false,
		   SN_REASON_NO_RULE, 0);
}

static void deny_wins_a_tie_in_a_prefix_and_the_first_of_a_kind_decides(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = allowlist();

	allow(policy, "10.0.0.0/8", NULL);
	allow(policy, "10.0.0.0/8", "80-90/tcp");
	deny(policy, "10.0.0.0/8", "85/tcp");
	deny(policy, "10.0.0.0/8", "tcp");
	verdict_is(policy, packet("10.0.0.1", 6, 85), false,
		   SN_REASON_DENY_RULE, 3);
	verdict_is(policy, packet("10.0.0.1", 6, 80), false,
		   SN_REASON_DENY_RULE, 4);
	verdict_is(policy, packet("10.0.0.1", 17, 80), true, SN_REASON_ALLOWED,
		   1);
}

static void denylist_passes_what_no_rule_decides(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_DENYLIST, SN_INBOUND_REPLIES, false);

	deny(policy, "10.0.0.0/8", "25/tcp");
	allow(policy, "10.0.0.1", NULL);
	verdict_is(policy, packet("10.0.0.2", 6, 25), false,
		   SN_REASON_DENY_RULE, 1);
	verdict_is(policy, packet("10.0.0.2", 6, 26), true, SN_REASON_ALLOWED,
		   0);
	verdict_is(policy, packet("10.0.0.1", 6, 25), true, SN_REASON_ALLOWED,
		   2);
}

static void families_do_not_meet(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = allowlist();

	allow(policy, "0.0.0.0/0", NULL);
	verdict_is(policy, packet("203.0.113.1", 1, 0), true, SN_REASON_ALLOWED,
		   1);
	verdict_is(policy, packet("2001:db8::1", 6, 443), false,
		   SN_REASON_NO_RULE, 0);
	allow(policy, "::/0", NULL);
	verdict_is(policy, packet("2001:db8::1", 6, 443), true,
		   SN_REASON_ALLOWED, 2);
}

static void tunnels_do_not_pass_port_rules(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = allowlist();

	allow(policy, "10.0.0.1", "1-65535");
	verdict_is(policy, packet("10.0.0.1", 47, 0), false, SN_REASON_NO_RULE,
		   0);
	allow(policy, "10.0.0.1", "gre");
	verdict_is(policy, packet("10.0.0.1", 47, 0), true, SN_REASON_ALLOWED,
		   2);
}

static void metadata_addresses_need_a_host_rule(void)
{
	static const char *const addresses[] = {
		"169.254.169.254",    "169.254.170.2",
		"169.254.170.23",     "100.100.100.200",
		"fd00:ec2::254",      "fd00:ec2::23",
		"fd20:ce::254",	      "fe80::a9fe:a9fe",
		"64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:aa02",
		"64:ff9b::a9fe:aa17", "64:ff9b::6464:64c8",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(addresses); i++) {
		sn_cleanup(cp_policy_freep) struct cp_policy *policy =
			make(SN_MODE_DENYLIST, SN_INBOUND_REPLIES, false);

		verdict_is(policy, packet(addresses[i], 6, 80), false,
			   SN_REASON_METADATA, 0);
		allow(policy, "0.0.0.0/0", NULL);
		allow(policy, "::/0", NULL);
		deny(policy, "169.254.0.0/16", NULL);
		verdict_is(policy, packet(addresses[i], 6, 80), false,
			   SN_REASON_METADATA, 0);
		allow(policy, addresses[i], "80/tcp");
		verdict_is(policy, packet(addresses[i], 6, 80), true,
			   SN_REASON_ALLOWED, 4);
		verdict_is(policy, packet(addresses[i], 6, 81), false,
			   SN_REASON_METADATA, 0);
		deny(policy, addresses[i], "tcp");
		verdict_is(policy, packet(addresses[i], 6, 80), false,
			   SN_REASON_DENY_RULE, 5);
	}
}

static void modes_decide_before_rules(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *off =
		make(SN_MODE_DISABLED, SN_INBOUND_BLOCK, false);
	sn_cleanup(cp_policy_freep) struct cp_policy *shut =
		make(SN_MODE_BLOCK_ALL, SN_INBOUND_ALLOW, false);
	struct cp_policy_match_packet bad = packet("10.0.0.1", 6, 80);
	struct cp_policy_match_packet in = packet("10.0.0.1", 6, 80);
	struct cp_policy_match_packet arp = {
		.kind = CP_POLICY_MATCH_KIND_ARP,
	};

	in.direction = SN_INGRESS;
	bad.kind = CP_POLICY_MATCH_KIND_MALFORMED;
	deny(off, "0.0.0.0/0", NULL);
	verdict_is(off, packet("169.254.169.254", 6, 80), true,
		   SN_REASON_ALLOWED, 0);
	verdict_is(off, bad, true, SN_REASON_ALLOWED, 0);
	verdict_is(off, in, true, SN_REASON_ALLOWED, 0);

	allow(shut, "0.0.0.0/0", NULL);
	verdict_is(shut, packet("10.0.0.1", 6, 80), false, SN_REASON_MODE, 0);
	verdict_is(shut, in, false, SN_REASON_MODE, 0);
	verdict_is(shut, bad, false, SN_REASON_PARSE, 0);
	verdict_is(shut, arp, true, SN_REASON_PASS_ARP, 0);
}

static void no_policy_drops_everything(void)
{
	const struct cp_policy_match_rows rows = { .n_rows = 0 };
	struct cp_policy_match_source source =
		cp_policy_match_source_rows(&rows);
	struct cp_policy_match_packet arp = {
		.kind = CP_POLICY_MATCH_KIND_ARP,
	};
	struct cp_policy_match_verdict got;

	got = cp_policy_match_judge(&source, &arp, NULL, 0);
	t_false(got.pass);
	t_eq(got.reason, SN_REASON_NO_POLICY);
}

static void kind_is(enum cp_policy_match_kind kind, enum sn_direction direction,
		    enum sn_role role, bool pass, enum sn_reason reason)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_BLOCK, false);
	struct cp_policy_match_packet p = packet("fe80::1", 58, 0);

	p.kind = kind;
	p.direction = direction;
	p.role = role;
	verdict_is(policy, p, pass, reason, 0);
}

static void link_messages_pass_from_the_side_that_may_send_them(void)
{
#define IS(kind, direction, role, pass, reason)                              \
	kind_is(CP_POLICY_MATCH_KIND_##kind, SN_##direction, SN_ROLE_##role, \
		pass, SN_REASON_##reason)
	IS(ARP, INGRESS, WORKLOAD, true, PASS_ARP);
	IS(ARP_FORGED, EGRESS, WORKLOAD, false, ARP);
	IS(NEIGHBOUR, EGRESS, WORKLOAD, true, PASS_NEIGHBOUR);
	IS(NEIGHBOUR, INGRESS, WORKLOAD, true, PASS_NEIGHBOUR);
	IS(ROUTER_SOLICIT, EGRESS, WORKLOAD, true, PASS_NEIGHBOUR);
	IS(ROUTER_SOLICIT, INGRESS, WORKLOAD, false, NEIGHBOUR);
	IS(ROUTER, EGRESS, WORKLOAD, false, NEIGHBOUR);
	IS(ROUTER, INGRESS, WORKLOAD, true, PASS_NEIGHBOUR);
	IS(ROUTER, EGRESS, HOST, true, PASS_NEIGHBOUR);
	IS(ROUTER, INGRESS, HOST, true, PASS_NEIGHBOUR);
	IS(ROUTER_SOLICIT, INGRESS, HOST, true, PASS_NEIGHBOUR);
	IS(NEIGHBOUR_BAD, INGRESS, WORKLOAD, false, NEIGHBOUR);
	IS(MLD, EGRESS, WORKLOAD, true, PASS_MLD);
	IS(DHCP_CLIENT, EGRESS, WORKLOAD, true, PASS_DHCP);
	IS(DHCP_CLIENT, INGRESS, WORKLOAD, false, DHCP);
	IS(DHCP_SERVER, EGRESS, WORKLOAD, false, DHCP);
	IS(DHCP_SERVER, INGRESS, WORKLOAD, true, PASS_DHCP);
	IS(DHCP_SERVER, EGRESS, HOST, true, PASS_DHCP);
	IS(DHCP_CLIENT, EGRESS, HOST, true, PASS_DHCP);
	IS(ETHERTYPE, EGRESS, WORKLOAD, false, ETHERTYPE);
	IS(ENCAPSULATED, EGRESS, WORKLOAD, false, ENCAPSULATED);
	IS(SOURCE_ROUTE, EGRESS, WORKLOAD, false, SOURCE_ROUTE);
	IS(MAPPED, EGRESS, WORKLOAD, false, ADDRESS);
	IS(FRAGMENT_SHORT, EGRESS, WORKLOAD, false, FRAGMENT_SHORT);
	IS(MALFORMED, EGRESS, WORKLOAD, false, PARSE);
#undef IS
}

static void a_denylist_passes_frames_that_carry_no_address(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_DENYLIST, SN_INBOUND_REPLIES, false);
	struct cp_policy_match_packet p = { .direction = SN_EGRESS };

	p.kind = CP_POLICY_MATCH_KIND_ETHERTYPE;
	verdict_is(policy, p, true, SN_REASON_ALLOWED, 0);
	p.kind = CP_POLICY_MATCH_KIND_ENCAPSULATED;
	verdict_is(policy, p, false, SN_REASON_ENCAPSULATED, 0);
}

static void later_fragments_and_icmp_errors_rest_on_what_they_belong_to(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = allowlist();
	sn_cleanup(cp_policy_freep) struct cp_policy *blocked =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_BLOCK, false);
	struct cp_policy_match_packet p = packet("10.0.0.1", 17, 0);

	allow(policy, "10.0.0.1", NULL);
	p.kind = CP_POLICY_MATCH_KIND_FRAGMENT_LATER;
	verdict_is(policy, p, false, SN_REASON_FRAGMENT, 0);
	p.has_fragment_entry = true;
	verdict_is(policy, p, true, SN_REASON_PASS_FRAGMENT, 0);
	p.kind = CP_POLICY_MATCH_KIND_ICMP_ERROR;
	p.direction = SN_INGRESS;
	verdict_is(policy, p, false, SN_REASON_ICMP_ERROR, 0);
	p.quotes_live_flow = true;
	verdict_is(policy, p, true, SN_REASON_PASS_ICMP_ERROR, 0);
	verdict_is(blocked, p, false, SN_REASON_INBOUND, 0);
}

static void inbound_decides_what_others_may_send(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *replies = allowlist();
	sn_cleanup(cp_policy_freep) struct cp_policy *open =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, false);
	sn_cleanup(cp_policy_freep) struct cp_policy *shut =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_BLOCK, false);
	const struct cp_policy_match_flow flow = { .word_is_current = true };
	struct cp_policy_match_packet p = packet("10.0.0.1", 6, 22);
	struct cp_policy_match_verdict got;

	p.direction = SN_INGRESS;
	allow(replies, "10.0.0.1", NULL);
	verdict_is(replies, p, false, SN_REASON_INBOUND, 0);
	verdict_is(open, p, true, SN_REASON_ALLOWED, 0);
	verdict_is(shut, p, false, SN_REASON_INBOUND, 0);
	t_true(judge_at(open, &p, NULL, 0).makes_flow);
	got = judge_at(replies, &p, &flow, 0);
	t_true(got.pass);
	t_false(got.makes_flow);
	t_false(judge_at(shut, &p, &flow, 0).pass);
}

static void ttl_ends_new_flows_only(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = allowlist();
	const uint64_t unit = 1ULL << SN_EXPIRES_SHIFT;
	struct cp_policy_match_flow flow = { .admitted_ns = 9 * unit };
	struct cp_policy_match_packet p = packet("10.0.0.1", 6, 443);

	add(policy, SN_VERDICT_ALLOW, "10.0.0.1", NULL, 10 * unit);
	t_true(judge_at(policy, &p, NULL, 10 * unit - 1).pass);
	t_false(judge_at(policy, &p, NULL, 10 * unit).pass);
	t_true(judge_at(policy, &p, &flow, 20 * unit).pass);
	flow.admitted_ns = 10 * unit;
	t_false(judge_at(policy, &p, &flow, 20 * unit).pass);
	/* A SYN opens a connection anew, on whatever ports. */
	flow.admitted_ns = 9 * unit;
	flow.word_is_current = true;
	t_true(judge_at(policy, &p, &flow, 20 * unit).pass);
	p.is_tcp_syn = true;
	t_false(judge_at(policy, &p, &flow, 20 * unit).pass);
	t_true(judge_at(policy, &p, &flow, 9 * unit).pass);
}

static void a_lapsed_deny_binds_nobody(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_DENYLIST, SN_INBOUND_REPLIES, false);
	const uint64_t unit = 1ULL << SN_EXPIRES_SHIFT;
	const struct cp_policy_match_flow flow = { .admitted_ns = 1 };
	struct cp_policy_match_packet p = packet("10.0.0.1", 6, 443);

	add(policy, SN_VERDICT_DENY, "10.0.0.1", NULL, 10 * unit);
	t_false(judge_at(policy, &p, &flow, 9 * unit).pass);
	t_true(judge_at(policy, &p, &flow, 10 * unit).pass);
	t_true(judge_at(policy, &p, NULL, 10 * unit).pass);
}

static void a_denied_flow_is_judged_by_the_rules_of_now(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, false);
	const uint64_t unit = 1ULL << SN_EXPIRES_SHIFT;
	const struct cp_policy_match_flow flow = {
		.word_is_current = true,
		.is_denied = true,
		.admitted_ns = 1,
	};
	struct cp_policy_match_packet p = packet("10.0.0.1", 6, 443);

	for (int i = 0; i < 2; i++) {
		t_eq(judge_at(policy, &p, &flow, 5).reason, SN_REASON_NO_RULE);
		p.direction = SN_INGRESS;
	}
	add(policy, SN_VERDICT_ALLOW, "10.0.0.1", NULL, 10 * unit);
	t_true(judge_at(policy, &p, &flow, 9 * unit).pass);
	t_true(judge_at(policy, &p, &flow, 9 * unit).makes_flow);
	/* What lapsed since it was denied is of no use to it. */
	t_eq(judge_at(policy, &p, &flow, 10 * unit).reason, SN_REASON_NO_RULE);
}

static void what_the_workload_sent_to_itself_opens_nothing(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, false);
	const struct cp_policy_match_flow flow = { .is_inbound = true };
	struct cp_policy_match_packet p = packet("10.0.0.1", 17, 443);

	p.direction = SN_INGRESS;
	verdict_is(policy, p, true, SN_REASON_ALLOWED, 0);
	p.is_reflected = true;
	verdict_is(policy, p, false, SN_REASON_INBOUND, 0);
	/* A flow that is there was opened before. */
	t_true(judge_at(policy, &p, &flow, 5).pass);
}

static void a_revocation_stops_flows_in_both_directions(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, false);
	const struct cp_policy_match_flow flow = { .admitted_ns = 1 };
	struct cp_policy_match_packet p = packet("10.0.0.1", 6, 443);
	struct cp_policy_match_verdict got;

	got = judge_at(policy, &p, &flow, 5);
	t_false(got.pass);
	t_eq(got.reason, SN_REASON_NO_RULE);
	p.direction = SN_INGRESS;
	got = judge_at(policy, &p, &flow, 5);
	t_false(got.pass);
	t_eq(got.reason, SN_REASON_NO_RULE);
}

static void an_inbound_flow_lives_as_long_as_inbound_is_allowed(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *open =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_ALLOW, false);
	sn_cleanup(cp_policy_freep) struct cp_policy *closed = allowlist();
	struct cp_policy_match_flow flow = { .is_inbound = true };
	struct cp_policy_match_packet p = packet("10.0.0.1", 6, 443);

	t_true(judge_at(open, &p, &flow, 5).pass);
	t_eq(judge_at(closed, &p, &flow, 5).reason, SN_REASON_NO_RULE);
	p.direction = SN_INGRESS;
	t_true(judge_at(open, &p, &flow, 5).pass);
	t_eq(judge_at(closed, &p, &flow, 5).reason, SN_REASON_INBOUND);
	/* What a rule allows goes out all the same. */
	allow(closed, "10.0.0.1", NULL);
	p.direction = SN_EGRESS;
	t_true(judge_at(closed, &p, &flow, 5).pass);
}

static void audit_passes_policy_drops_and_no_failures(void)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy =
		make(SN_MODE_ALLOWLIST, SN_INBOUND_REPLIES, true);
	const struct cp_policy_match_flow flow = {
		.word_is_current = true,
		.is_audit = true,
	};
	struct cp_policy_match_packet p = packet("10.0.0.1", 6, 443);
	struct cp_policy_match_verdict got = judge_at(policy, &p, NULL, 5);

	t_true(got.pass);
	t_eq(got.reason, SN_REASON_NO_RULE);
	t_true(got.makes_flow);
	t_true(got.makes_audit_flow);
	p.direction = SN_INGRESS;
	got = judge_at(policy, &p, &flow, 5);
	t_true(got.pass);
	t_eq(got.reason, SN_REASON_NO_RULE);
	t_false(got.makes_flow);
	p.kind = CP_POLICY_MATCH_KIND_MALFORMED;
	verdict_is(policy, p, false, SN_REASON_PARSE, 0);
	/* An audit flow carries nothing once a rule is in force. */
	p = packet("10.0.0.1", 6, 443);
	allow(policy, "10.0.0.1", NULL);
	got = judge_at(policy, &p, &flow, 5);
	t_eq(got.reason, SN_REASON_ALLOWED);
	t_true(got.makes_flow);
	t_false(got.makes_audit_flow);
}

/* Random nested prefixes and packets; judge_at() compares the three. */
static void sources_agree_on_random_policies(void)
{
	unsigned int seed = 42;

	for (unsigned int round = 0; round < 300; round++) {
		sn_cleanup(cp_policy_freep) struct cp_policy *policy =
			make(round % 2 ? SN_MODE_ALLOWLIST : SN_MODE_DENYLIST,
			     SN_INBOUND_REPLIES, false);
		const uint8_t base[16] = { 10, 255, 170, 85 };
		struct cp_policy_match_packet p = packet("10.255.170.85", 6, 5);

		for (unsigned int i = 0; i < 12; i++) {
			struct cp_policy_rule rule = { .owner = 1 };

			seed = seed * 1103515245 + 12345;
			rule.cidr = cp_policy_cidr_around(
				SN_FAMILY_IPV4, base,
				(uint8_t)((seed >> 16) % 33));
			rule.verdict = (seed >> 22) % 2 ? SN_VERDICT_ALLOW :
							  SN_VERDICT_DENY;
			rule.n_ports = (seed >> 23) % 2;
			rule.ports[0].low = (seed >> 24) % 8 + 1;
			rule.ports[0].high = (uint16_t)(rule.ports[0].low + 2);
			t_true(cp_policy_add(policy, &rule, NULL, NULL) >= 0);
		}
		for (unsigned int i = 0; i < 30; i++) {
			seed = seed * 1103515245 + 12345;
			p.remote_port = (uint16_t)((seed >> 16) % 10);
			(void)memcpy(p.remote, base, sizeof(p.remote));
			p.remote[(seed >> 20) % 4] ^=
				(uint8_t)(1U << ((seed >> 24) % 8));
			(void)judge_at(policy, &p, NULL, 1);
		}
	}
}

static void reserved_addresses_are_for_queries_only(void)
{
	struct cp_policy_match_packet p = packet("198.18.0.1", 17, 53);
	sn_cleanup(cp_policy_freep) struct cp_policy *disabled =
		make(SN_MODE_DISABLED, SN_INBOUND_REPLIES, false);
	sn_cleanup(cp_policy_freep) struct cp_policy *denylist =
		make(SN_MODE_DENYLIST, SN_INBOUND_ALLOW, true);
	struct cp_dns_settings no_steering = { .no_steering = true };

	p.is_remote_reserved = true;
	verdict_is(denylist, p, true, SN_REASON_PASS_DNS, 0);
	p.is_late = true;
	verdict_is(denylist, p, false, SN_REASON_DNS_STEER, 0);
	p.is_late = false;
	p.is_local_reserved = true;
	verdict_is(denylist, p, false, SN_REASON_DNS_ADDRESS, 0);
	p.is_local_reserved = false;
	p.remote_port = 80;
	verdict_is(denylist, p, false, SN_REASON_DNS_ADDRESS, 0);
	verdict_is(disabled, p, true, SN_REASON_ALLOWED, 0);
	p.remote_port = 53;
	p.direction = SN_INGRESS;
	verdict_is(denylist, p, false, SN_REASON_DNS_ADDRESS, 0);
	p.direction = SN_EGRESS;
	cp_policy_put_dns(denylist, &no_steering);
	verdict_is(denylist, p, false, SN_REASON_DNS_ADDRESS, 0);
}

T_MAIN("policy_match", reserved_addresses_are_for_queries_only,
       the_longest_matching_prefix_decides,
       deny_wins_a_tie_in_a_prefix_and_the_first_of_a_kind_decides,
       denylist_passes_what_no_rule_decides, families_do_not_meet,
       tunnels_do_not_pass_port_rules, metadata_addresses_need_a_host_rule,
       modes_decide_before_rules, no_policy_drops_everything,
       link_messages_pass_from_the_side_that_may_send_them,
       a_denylist_passes_frames_that_carry_no_address,
       later_fragments_and_icmp_errors_rest_on_what_they_belong_to,
       inbound_decides_what_others_may_send, ttl_ends_new_flows_only,
       a_lapsed_deny_binds_nobody, a_revocation_stops_flows_in_both_directions,
       a_denied_flow_is_judged_by_the_rules_of_now,
       what_the_workload_sent_to_itself_opens_nothing,
       an_inbound_flow_lives_as_long_as_inbound_is_allowed,
       audit_passes_policy_drops_and_no_failures,
       sources_agree_on_random_policies)
