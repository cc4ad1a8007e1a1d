/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The reference matcher: what the verdict on a packet is, written to be
 * obviously right instead of fast. The kernel's programs are compared with
 * it, and Explain-like calls use it. Pure.
 *
 * Order of the decisions (the first that applies gives the reason):
 *  0. whole packets that could be a flow's, DHCP messages and ICMP errors: what
 *     is on its way to or from the attachment's resolver: PASS_DNS. Else, in
 *     all modes but `disabled`, an own address that is reserved for resolvers:
 *     DNS_ADDRESS. Under a policy that steers, what leaves for port 53 (UDP,
 *     TCP) of whatever address: PASS_DNS, or DNS_STEER where it cannot be
 *     steered. All else for or from a reserved address: DNS_ADDRESS.
 *  1. mode `disabled`: pass. No policy: NO_POLICY.
 *  2. what the packet is: PARSE; always-passed messages and their wrong-side
 *     counterparts; ETHERTYPE, ENCAPSULATED, SOURCE_ROUTE, ADDRESS,
 *     FRAGMENT_SHORT.
 *  3. mode `block-all`: MODE. Ingress under inbound `block`: INBOUND.
 *  4. later fragments by their fragment entry, ICMP errors by the flow that
 *     they quote.
 *  5. a live flow: passes if its word is current, else if it would be admitted
 *     as of its own `admitted`. An egress TCP SYN never rests on a flow. A flow
 *     made by audit is always judged. An ingress packet of a flow that fails
 *     is blocked for that reason; an egress one is judged like a new flow.
 *     A flow of the workload that was denied, and that its peer could open
 *     anew, is judged by the rules of now in both directions.
 *  6. a new flow: egress by metadata addresses and rules, ingress by
 *     `inbound`; what the workload sent to itself opens nothing. Port 853 that
 *     no rule opens is closed in every mode where port 53 is steered.
 * Then audit turns a POLICY drop into a pass that keeps its reason. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/policy/compile.h"
#include "controld/policy/policy.h"
#include "shared/abi.h"

enum cp_policy_match_kind {
	CP_POLICY_MATCH_KIND_PLAIN, /* whole, or an allowed first fragment */
	CP_POLICY_MATCH_KIND_FRAGMENT_SHORT,
	CP_POLICY_MATCH_KIND_FRAGMENT_LATER,
	CP_POLICY_MATCH_KIND_ICMP_ERROR,
	CP_POLICY_MATCH_KIND_ARP,
	CP_POLICY_MATCH_KIND_ARP_FORGED, /* sender is not the frame's source */
	/* 135, 136 with hop limit 255. What a workload sends goes to a neighbour
	 * or a link's group, or speaks of its two ends and of nothing else. */
	CP_POLICY_MATCH_KIND_NEIGHBOUR,
	CP_POLICY_MATCH_KIND_ROUTER_SOLICIT, /* 133, as above */
	CP_POLICY_MATCH_KIND_ROUTER, /* 134 with hop limit 255 */
	CP_POLICY_MATCH_KIND_NEIGHBOUR_BAD, /* neither of these, or 137 */
	CP_POLICY_MATCH_KIND_MLD,
	CP_POLICY_MATCH_KIND_DHCP_CLIENT, /* sent by a client */
	CP_POLICY_MATCH_KIND_DHCP_SERVER,
	CP_POLICY_MATCH_KIND_ETHERTYPE,
	CP_POLICY_MATCH_KIND_ENCAPSULATED,
	CP_POLICY_MATCH_KIND_SOURCE_ROUTE,
	CP_POLICY_MATCH_KIND_MAPPED, /* a v4-mapped address on the wire */
	CP_POLICY_MATCH_KIND_MALFORMED,
	CP_POLICY_MATCH_KIND_COUNT,
};

/* Addresses and ports as the workload sees them: local is its own side. Ports
 * in host order, 0 where there are none. */
struct cp_policy_match_packet {
	enum cp_policy_match_kind kind;
	enum sn_direction direction;
	enum sn_role role; /* HOST: client, router and DHCP server at once */
	enum sn_family family;
	uint8_t protocol;
	bool is_tcp_syn; /* SYN without ACK */
	bool has_fragment_entry; /* FRAGMENT_LATER: of the current word */
	/* ICMP_ERROR; from the workload: one that stands under the current
	 * word. A denied flow is none. */
	bool quotes_live_flow;
	/* Ingress: a live flow has its addresses and ports the other way
	 * round. */
	bool is_reflected;
	bool is_first_fragment; /* PLAIN */
	/* Addresses of the resolver's ranges. */
	bool is_local_reserved;
	bool is_remote_reserved;
	/* Put on its way to or from the attachment's resolver by the kernel. */
	bool is_steered;
	bool is_late; /* seen behind the calls that steer (cgroups) */
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t local[16];
	uint8_t remote[16];
};

/* The live flow of a packet; one that is idle too long is none. */
struct cp_policy_match_flow {
	bool word_is_current; /* and judged within SN_REJUDGE_NS */
	bool is_inbound; /* SN_FLOW_INBOUND */
	bool is_audit; /* SN_FLOW_AUDIT */
	bool is_denied; /* SN_FLOW_DENIED */
	uint64_t admitted_ns;
};

struct cp_policy_match_verdict {
	bool pass;
	enum sn_reason reason;
	uint32_t rule_id; /* of the deciding rule; 0: none */
	bool makes_flow; /* passed and no flow carries it yet */
	bool makes_audit_flow; /* that flow has SN_FLOW_AUDIT */
};

struct cp_policy_match_prefix {
	struct cp_policy_cidr cidr;
	uint8_t n_items;
	struct sn_rule_item items[SN_ITEMS_MAX];
};

/* What is matched against. next: every prefix, *cursor begins as 0. get: one
 * prefix; may be NULL, then every prefix is looked at for each verdict. */
struct cp_policy_match_source {
	const void *object;
	struct cp_policy_settings settings; /* mode NONE: no policy */
	bool steers; /* port 53 goes to the attachment's resolver */
	bool (*next)(const void *object, size_t *cursor,
		     struct cp_policy_match_prefix *ret);
	bool (*get)(const void *object, const struct cp_policy_cidr *cidr,
		    struct cp_policy_match_prefix *ret);
};

/* Rows read back from the kernel, of one slot and generation. */
struct cp_policy_match_rows {
	struct sn_policy block;
	const struct cp_policy_compile_row *rows;
	size_t n_rows;
};

/* The objects must outlive the source. indexed: use the model's own index.
 * Whether a policy steers depends on its target: the caller sets `steers`. */
struct cp_policy_match_source
cp_policy_match_source_policy(const struct cp_policy *policy, bool indexed);
struct cp_policy_match_source
cp_policy_match_source_rows(const struct cp_policy_match_rows *rows);

/* flow may be NULL: there is none. */
struct cp_policy_match_verdict
cp_policy_match_judge(const struct cp_policy_match_source *source,
		      const struct cp_policy_match_packet *packet,
		      const struct cp_policy_match_flow *flow, uint64_t now_ns);
