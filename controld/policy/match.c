// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/match.h"

#include <netinet/in.h>
#include <string.h>

#include "shared/tables.h"
#include "shared/util.h"

/* Addresses at which clouds hand out credentials. */
static const struct cp_policy_cidr metadata[] = {
	{ { 169, 254, 169, 254 }, SN_FAMILY_IPV4, 32 },
	{ { 169, 254, 170, 2 }, SN_FAMILY_IPV4, 32 },
	{ { 169, 254, 170, 23 }, SN_FAMILY_IPV4, 32 },
	{ { 100, 100, 100, 200 }, SN_FAMILY_IPV4, 32 },
	{ { 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23 }, SN_FAMILY_IPV6, 128 },
	{ { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 },
	  SN_FAMILY_IPV6,
	  128 },
	{ { 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54 },
	  SN_FAMILY_IPV6,
	  128 },
#define NAT64(a, b, c, d)                                                        \
	{                                                                        \
		{ 0, 0x64, 0xff, 0x9b, [12] = a, [13] = b, [14] = c, [15] = d }, \
			SN_FAMILY_IPV6, 128                                      \
	}
	NAT64(169, 254, 169, 254),
	NAT64(169, 254, 170, 2),
	NAT64(169, 254, 170, 23),
	NAT64(100, 100, 100, 200),
#undef NAT64
	{ { 0xfe, 0x80, [12] = 0xa9, [13] = 0xfe, [14] = 0xa9, [15] = 0xfe },
	  SN_FAMILY_IPV6,
	  128 },
};

/* What rules say of a packet. */
struct finding {
	enum sn_verdict verdict; /* NONE: no rule matches */
	uint8_t length; /* of the deciding prefix */
	uint32_t rule_id;
};

static bool item_matches(const struct sn_rule_item *item,
			 const struct cp_policy_match_packet *packet)
{
	const struct cp_policy_ports ports = {
		.low = item->port_low,
		.high = item->port_high,
		.protocol = (uint8_t)item->protocol,
	};

	return cp_policy_ports_match(&ports, packet->protocol,
				     packet->remote_port);
}

/* An allow holds if it had not lapsed when the flow was admitted, a deny only
 * if it has not lapsed now. */
static bool item_is_live(const struct sn_rule_item *item, uint64_t admitted_ns,
			 uint64_t now_ns)
{
	uint64_t expires_ns = (uint64_t)item->expires << SN_EXPIRES_SHIFT;

	if (item->expires == 0)
		return true;
	if (item->verdict == SN_VERDICT_ALLOW)
		return expires_ns > admitted_ns;
	return expires_ns > now_ns;
}

/* The first matching deny of a prefix, else its first matching allow. */
static struct finding judge_prefix(const struct cp_policy_match_prefix *prefix,
				   const struct cp_policy_match_packet *packet,
				   uint64_t admitted_ns, uint64_t now_ns)
{
	struct finding found = { .verdict = SN_VERDICT_NONE };

	for (uint8_t i = 0; i < prefix->n_items; i++) {
		const struct sn_rule_item *item = &prefix->items[i];

		if (!item_matches(item, packet) ||
		    !item_is_live(item, admitted_ns, now_ns))
			continue;
		if (found.verdict == SN_VERDICT_NONE ||
		    (found.verdict == SN_VERDICT_ALLOW &&
		     item->verdict == SN_VERDICT_DENY))
			found = (struct finding){
				.verdict = (enum sn_verdict)item->verdict,
				.length = prefix->cidr.length,
				.rule_id = item->rule_id,
			};
	}
	return found;
}

/* Every prefix is looked at and the longest that says something wins. */
static struct finding scan(const struct cp_policy_match_source *source,
			   const struct cp_policy_match_packet *packet,
			   uint64_t admitted_ns, uint64_t now_ns)
{
	struct finding best = { .verdict = SN_VERDICT_NONE }, found;
	struct cp_policy_match_prefix prefix;
	size_t cursor = 0;

	while (source->next(source->object, &cursor, &prefix)) {
		if (prefix.cidr.family != packet->family ||
		    !cp_policy_cidr_contains(&prefix.cidr, packet->remote))
			continue;
		found = judge_prefix(&prefix, packet, admitted_ns, now_ns);
		if (found.verdict != SN_VERDICT_NONE &&
		    (best.verdict == SN_VERDICT_NONE ||
		     found.length > best.length))
			best = found;
	}
	return best;
}

/* The same through an index, from the host prefix down. */
static struct finding look_up(const struct cp_policy_match_source *source,
			      const struct cp_policy_match_packet *packet,
			      uint64_t admitted_ns, uint64_t now_ns)
{
	int bits = packet->family == SN_FAMILY_IPV4 ? 32 : 128;
	struct finding found = { .verdict = SN_VERDICT_NONE };
	struct cp_policy_match_prefix prefix;
	struct cp_policy_cidr cidr;

	for (int length = bits; length >= 0; length--) {
		cidr = cp_policy_cidr_around(packet->family, packet->remote,
					     (uint8_t)length);
		if (!source->get(source->object, &cidr, &prefix))
			continue;
		found = judge_prefix(&prefix, packet, admitted_ns, now_ns);
		if (found.verdict != SN_VERDICT_NONE)
			break;
	}
	return found;
}

static bool is_metadata(const struct cp_policy_match_packet *packet)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(metadata); i++) {
		if (metadata[i].family == packet->family &&
		    cp_policy_cidr_contains(&metadata[i], packet->remote))
			return true;
	}
	return false;
}

static bool is_dns_protocol(const struct cp_policy_match_packet *packet)
{
	return packet->protocol == IPPROTO_UDP ||
	       packet->protocol == IPPROTO_TCP;
}

/* May the workload send this, by metadata addresses, rules and mode? */
static struct cp_policy_match_verdict
judge_rules(const struct cp_policy_match_source *source,
	    const struct cp_policy_match_packet *packet, uint64_t admitted_ns,
	    uint64_t now_ns)
{
	uint8_t host = packet->family == SN_FAMILY_IPV4 ? 32 : 128;
	struct finding found =
		source->get ? look_up(source, packet, admitted_ns, now_ns) :
			      scan(source, packet, admitted_ns, now_ns);
	struct cp_policy_match_verdict verdict = {
		.pass = found.verdict == SN_VERDICT_ALLOW,
		.reason = SN_REASON_ALLOWED,
		.rule_id = found.rule_id,
	};

	if (is_metadata(packet) &&
	    (found.verdict == SN_VERDICT_NONE || found.length != host))
		return (struct cp_policy_match_verdict){
			.reason = SN_REASON_METADATA,
		};
	if (found.verdict == SN_VERDICT_DENY)
		verdict.reason = SN_REASON_DENY_RULE;
	if (found.verdict != SN_VERDICT_NONE)
		return verdict;
	if (source->steers && is_dns_protocol(packet) &&
	    packet->remote_port == SN_DNS_TLS_PORT)
		verdict.reason = SN_REASON_DNS_ENCRYPTED;
	else if (source->settings.mode == SN_MODE_DENYLIST)
		verdict.pass = true;
	else
		verdict.reason = SN_REASON_NO_RULE;
	return verdict;
}

/* May others open flows to the workload? */
static struct cp_policy_match_verdict
judge_inbound(const struct cp_policy_match_source *source, bool is_reflected)
{
	bool pass = source->settings.inbound == SN_INBOUND_ALLOW &&
		    !is_reflected;

	return (struct cp_policy_match_verdict){
		.pass = pass,
		.reason = pass ? SN_REASON_ALLOWED : SN_REASON_INBOUND,
	};
}

static struct cp_policy_match_verdict
judge_new(const struct cp_policy_match_source *source,
	  const struct cp_policy_match_packet *packet, uint64_t now_ns)
{
	struct cp_policy_match_verdict verdict;

	verdict = packet->direction == SN_EGRESS ?
			  judge_rules(source, packet, now_ns, now_ns) :
			  judge_inbound(source, packet->is_reflected);
	verdict.makes_flow = true;
	return verdict;
}

/* A plain packet of a live flow: would the flow be admitted again? */
static struct cp_policy_match_verdict
judge_flow(const struct cp_policy_match_source *source,
	   const struct cp_policy_match_packet *packet,
	   const struct cp_policy_match_flow *flow, uint64_t now_ns)
{
	bool restarts = packet->direction == SN_EGRESS && packet->is_tcp_syn;
	struct cp_policy_match_verdict verdict;
	uint64_t admitted_ns;

	if (restarts)
		return judge_new(source, packet, now_ns);
	if (flow->word_is_current && !flow->is_audit && !flow->is_denied)
		return (struct cp_policy_match_verdict){
			.pass = true,
			.reason = SN_REASON_ALLOWED,
		};
	admitted_ns = flow->is_denied ? now_ns : flow->admitted_ns;
	verdict = flow->is_inbound && !flow->is_denied ?
			  judge_inbound(source, false) :
			  judge_rules(source, packet, admitted_ns, now_ns);
	verdict.makes_flow = (flow->is_audit || flow->is_denied) &&
			     verdict.pass;
	if (verdict.pass || packet->direction == SN_INGRESS)
		return verdict;
	return judge_new(source, packet, now_ns);
}

static struct cp_policy_match_verdict pass_by(enum sn_reason reason)
{
	return (struct cp_policy_match_verdict){
		.pass = true,
		.reason = reason,
	};
}

static struct cp_policy_match_verdict drop_by(enum sn_reason reason)
{
	return (struct cp_policy_match_verdict){ .reason = reason };
}

static struct cp_policy_match_verdict pass_if(bool pass, enum sn_reason passed,
					      enum sn_reason dropped)
{
	return pass ? pass_by(passed) : drop_by(dropped);
}

/* Kinds that are decided whatever the rules say. A client asks for routers and
 * addresses; a workload is one, a host may be both sides. */
enum passes {
	PASSES_UNDECIDED,
	PASSES_ALWAYS,
	PASSES_NEVER,
	PASSES_FROM_CLIENT,
	PASSES_TO_CLIENT,
	PASSES_DENYLIST, /* what carries no address cannot be denied one */
};

static const struct {
	enum passes passes;
	enum sn_reason passed;
	enum sn_reason dropped;
} kinds[CP_POLICY_MATCH_KIND_COUNT] = {
#define KIND(name, when, passed, dropped)                                    \
	[CP_POLICY_MATCH_KIND_##name] = { PASSES_##when, SN_REASON_##passed, \
					  SN_REASON_##dropped }
	KIND(ARP, ALWAYS, PASS_ARP, ARP),
	KIND(ARP_FORGED, NEVER, PASS_ARP, ARP),
	KIND(NEIGHBOUR, ALWAYS, PASS_NEIGHBOUR, NEIGHBOUR),
	KIND(ROUTER_SOLICIT, FROM_CLIENT, PASS_NEIGHBOUR, NEIGHBOUR),
	KIND(ROUTER, TO_CLIENT, PASS_NEIGHBOUR, NEIGHBOUR),
	KIND(NEIGHBOUR_BAD, NEVER, PASS_NEIGHBOUR, NEIGHBOUR),
	KIND(MLD, ALWAYS, PASS_MLD, NEIGHBOUR),
	KIND(DHCP_CLIENT, FROM_CLIENT, PASS_DHCP, DHCP),
	KIND(DHCP_SERVER, TO_CLIENT, PASS_DHCP, DHCP),
	KIND(ETHERTYPE, DENYLIST, ALLOWED, ETHERTYPE),
	KIND(ENCAPSULATED, NEVER, ALLOWED, ENCAPSULATED),
	KIND(SOURCE_ROUTE, NEVER, ALLOWED, SOURCE_ROUTE),
	KIND(MAPPED, NEVER, ALLOWED, ADDRESS),
	KIND(FRAGMENT_SHORT, NEVER, ALLOWED, FRAGMENT_SHORT),
	KIND(MALFORMED, NEVER, ALLOWED, PARSE),
#undef KIND
};

/* False: the kind decides nothing. */
static bool judge_kind(const struct cp_policy_match_packet *packet,
		       enum sn_mode mode, struct cp_policy_match_verdict *ret)
{
	bool is_host = packet->role == SN_ROLE_HOST;
	bool is_egress = packet->direction == SN_EGRESS;
	bool pass = false;

	switch (kinds[packet->kind].passes) {
	case PASSES_UNDECIDED:
		return false;
	case PASSES_ALWAYS:
		pass = true;
		break;
	case PASSES_NEVER:
		break;
	case PASSES_FROM_CLIENT:
		pass = is_egress || is_host;
		break;
	case PASSES_TO_CLIENT:
		pass = !is_egress || is_host;
		break;
	case PASSES_DENYLIST:
		pass = mode == SN_MODE_DENYLIST;
		break;
	}
	*ret = pass_if(pass, kinds[packet->kind].passed,
		       kinds[packet->kind].dropped);
	return true;
}

static bool is_query(const struct cp_policy_match_source *source,
		     const struct cp_policy_match_packet *packet)
{
	return source->steers && packet->direction == SN_EGRESS &&
	       packet->kind == CP_POLICY_MATCH_KIND_PLAIN &&
	       is_dns_protocol(packet) && packet->remote_port == SN_DNS_PORT;
}

/* Name resolution; false: the packet is none of its business. */
static bool judge_dns(const struct cp_policy_match_source *source,
		      const struct cp_policy_match_packet *packet,
		      struct cp_policy_match_verdict *ret)
{
	bool is_asked = kinds[packet->kind].passes == PASSES_UNDECIDED ||
			packet->kind == CP_POLICY_MATCH_KIND_DHCP_CLIENT ||
			packet->kind == CP_POLICY_MATCH_KIND_DHCP_SERVER;
	bool is_reserved =
		packet->is_local_reserved ||
		(packet->is_remote_reserved && !is_query(source, packet));

	if (source->settings.mode == SN_MODE_NONE || !is_asked)
		return false;
	if (packet->is_steered && source->steers) {
		*ret = pass_by(SN_REASON_PASS_DNS);
		return true;
	}
	if (is_reserved && source->settings.mode != SN_MODE_DISABLED) {
		*ret = drop_by(SN_REASON_DNS_ADDRESS);
		return true;
	}
	if (!is_query(source, packet))
		return false;
	*ret = pass_if(!packet->is_first_fragment && !packet->is_late,
		       SN_REASON_PASS_DNS, SN_REASON_DNS_STEER);
	return true;
}

static struct cp_policy_match_verdict
judge_all(const struct cp_policy_match_source *source,
	  const struct cp_policy_match_packet *packet,
	  const struct cp_policy_match_flow *flow, uint64_t now_ns)
{
	const struct cp_policy_settings *settings = &source->settings;
	struct cp_policy_match_verdict verdict;

	if (judge_dns(source, packet, &verdict))
		return verdict;
	if (settings->mode == SN_MODE_DISABLED)
		return pass_by(SN_REASON_ALLOWED);
	if (settings->mode == SN_MODE_NONE)
		return drop_by(SN_REASON_NO_POLICY);
	if (judge_kind(packet, settings->mode, &verdict))
		return verdict;
	if (settings->mode == SN_MODE_BLOCK_ALL)
		return drop_by(SN_REASON_MODE);
	if (packet->direction == SN_INGRESS &&
	    settings->inbound == SN_INBOUND_BLOCK)
		return drop_by(SN_REASON_INBOUND);
	if (packet->kind == CP_POLICY_MATCH_KIND_FRAGMENT_LATER)
		return pass_if(packet->has_fragment_entry,
			       SN_REASON_PASS_FRAGMENT, SN_REASON_FRAGMENT);
	if (packet->kind == CP_POLICY_MATCH_KIND_ICMP_ERROR)
		return pass_if(packet->quotes_live_flow,
			       SN_REASON_PASS_ICMP_ERROR, SN_REASON_ICMP_ERROR);
	if (flow)
		return judge_flow(source, packet, flow, now_ns);
	return judge_new(source, packet, now_ns);
}

struct cp_policy_match_verdict
cp_policy_match_judge(const struct cp_policy_match_source *source,
		      const struct cp_policy_match_packet *packet,
		      const struct cp_policy_match_flow *flow, uint64_t now_ns)
{
	struct cp_policy_match_verdict verdict =
		judge_all(source, packet, flow, now_ns);
	bool audited = !verdict.pass && source->settings.audit &&
		       sn_reasons_info[verdict.reason].kind ==
			       SN_REASON_KIND_POLICY;

	/* Only so that the replies to what the workload sent are known. */
	verdict.makes_audit_flow = audited && verdict.makes_flow &&
				   packet->direction == SN_EGRESS &&
				   !(flow && flow->is_audit);
	verdict.pass = verdict.pass || audited;
	if (!verdict.pass || (audited && !verdict.makes_audit_flow))
		verdict.makes_flow = false;
	return verdict;
}

/* Sources. */

static void copy_prefix(const struct cp_policy_prefix *prefix,
			struct cp_policy_match_prefix *ret)
{
	ret->cidr = prefix->cidr;
	ret->n_items = 0;
	for (uint8_t i = 0; i < prefix->n_rules; i++)
		ret->n_items = (uint8_t)(ret->n_items +
					 cp_policy_compile_items(
						 prefix->rules[i],
						 &ret->items[ret->n_items]));
}

static bool next_of_policy(const void *object, size_t *cursor,
			   struct cp_policy_match_prefix *ret)
{
	struct cp_policy_prefix prefix;

	if (!cp_policy_next_prefix(object, cursor, &prefix))
		return false;
	copy_prefix(&prefix, ret);
	return true;
}

static bool get_of_policy(const void *object, const struct cp_policy_cidr *cidr,
			  struct cp_policy_match_prefix *ret)
{
	struct cp_policy_prefix prefix;

	if (!cp_policy_get_prefix(object, cidr, &prefix))
		return false;
	copy_prefix(&prefix, ret);
	return true;
}

struct cp_policy_match_source
cp_policy_match_source_policy(const struct cp_policy *policy, bool indexed)
{
	return (struct cp_policy_match_source){
		.object = policy,
		.settings = cp_policy_get_settings(policy),
		.next = next_of_policy,
		.get = indexed ? get_of_policy : NULL,
	};
}

/* Would the kernel find a row of this table and length under the block? */
static bool is_reachable(const struct sn_policy *block,
			 const struct cp_policy_compile_row *row,
			 const struct cp_policy_cidr *cidr)
{
	bool trie = cidr->family == SN_FAMILY_IPV4 ? block->trie4 :
						     block->trie6;

	if (row->table == SN_TABLE_PREFIXES)
		return trie && !cp_policy_cidr_is_host(cidr);
	if (cp_policy_cidr_is_host(cidr))
		return true;
	return !trie && cp_policy_compile_fits(block, cidr);
}

static bool next_of_rows(const void *object, size_t *cursor,
			 struct cp_policy_match_prefix *ret)
{
	const struct cp_policy_match_rows *rows = object;

	while (*cursor < rows->n_rows) {
		const struct cp_policy_compile_row *row =
			&rows->rows[(*cursor)++];

		if (cp_policy_compile_get_cidr(row, &ret->cidr) != 0 ||
		    !is_reachable(&rows->block, row, &ret->cidr))
			continue;
		ret->n_items =
			SN_MIN(row->value.n_items, (uint8_t)SN_ITEMS_MAX);
		(void)memcpy(ret->items, row->value.items, sizeof(ret->items));
		return true;
	}
	return false;
}

struct cp_policy_match_source
cp_policy_match_source_rows(const struct cp_policy_match_rows *rows)
{
	return (struct cp_policy_match_source){
		.object = rows,
		.settings = {
			.mode = (enum sn_mode)rows->block.mode,
			.inbound = (enum sn_inbound)rows->block.inbound,
			.audit = rows->block.audit,
		},
		.steers = rows->block.dns == SN_DNS_STEERING_ON,
		.next = next_of_rows,
	};
}
