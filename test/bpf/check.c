/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/check.h"

#include <arpa/inet.h>
#include <string.h>

/* Compares an entry with what is known of it; times lie within the run. */
static const char *check_entry(const struct model_outcome *want,
			       const struct sn_flow *flow,
			       const struct check_found *got)
{
	struct sn_flow expected = want->flow.value;

	if (want->is_stored) {
		expected.judged = expected.last_seen = flow->judged;
		if (flow->judged < got->tick_ns || flow->judged > got->end_ns)
			return "the flow's time of judgement";
		if (!expected.admitted && flow->admitted >= got->begin_ns &&
		    flow->admitted <= got->end_ns)
			expected.admitted = flow->admitted;
	} else if (want->is_touched) {
		if (got->begin_ns - expected.last_seen > 2 * SN_TOUCH_NS &&
		    flow->last_seen < got->tick_ns)
			return "the flow's last_seen";
		expected.last_seen = flow->last_seen;
	}
	return memcmp(flow, &expected, sizeof(expected)) ? "the flow" : NULL;
}

static const char *check_flow(const struct model_case *c,
			      const struct model_outcome *want,
			      const struct check_found *got)
{
	bool answered = want->flow.answered;
	const struct world_found *at = answered ? &got->flows : &got->flows_new;
	const struct world_found *other = answered ? &got->flows_new :
						     &got->flows;
	struct sn_flow_key key = frames_flow_key(&c->frame, WORLD_SLOT);

	if (got->n_usage != got->flows.n)
		return "the slot's count of answered flows";
	if (other->n != 0)
		return "a flow in the wrong table";
	if (at->n != want->flow.exists)
		return want->flow.exists ? "no flow" : "a flow";
	if (!want->flow.exists)
		return NULL;
	if (memcmp(&at->keys[0], &key, sizeof(key)) != 0)
		return "the flow's key";
	return check_entry(want, &at->values[0].flow, got);
}

static const char *check_fragment(const struct model_case *c,
				  const struct model_outcome *want,
				  const struct check_found *got)
{
	const struct sn_fragment *entry = &got->fragments.values[0].fragment;
	struct sn_fragment_key key = frames_fragment_key(&c->frame, WORLD_SLOT);

	if (c->frame.fragment == FRAMES_LATER)
		return NULL;
	if (got->fragments.n != want->puts_fragment)
		return "a fragment entry or none";
	if (!want->puts_fragment)
		return NULL;
	if (memcmp(&got->fragments.keys[0], &key, sizeof(key)) != 0)
		return "the fragment's key";
	if (entry->word != c->word)
		return "the fragment's word";
	if (entry->header_bytes != c->frame.header_bytes)
		return "the fragment's header_bytes";
	if (entry->expires < got->begin_ns + SN_FRAGMENT_NS ||
	    entry->expires > got->end_ns + SN_FRAGMENT_NS)
		return "the fragment's expiry";
	return NULL;
}

static bool tells_flow(const struct sn_event *event,
		       const struct frames_frame *frame)
{
	const struct cp_policy_match_packet *packet = &frame->packet;

	return event->family == packet->family &&
	       event->protocol == packet->protocol &&
	       event->local_port == frame->key_local_port &&
	       event->remote_port == frame->key_remote_port &&
	       memcmp(event->local, packet->local, 16) == 0 &&
	       memcmp(event->remote, packet->remote, 16) == 0;
}

static const char *check_event(const struct model_case *c,
			       const struct model_outcome *want,
			       const struct check_found *got)
{
	const struct sn_event *event = &got->event;

	if (got->n_events != want->has_event)
		return "an event or none";
	if (!want->has_event)
		return NULL;
	if (event->reason != want->verdict.reason ||
	    event->audit != want->verdict.pass)
		return "the event's verdict";
	if (event->rule_id != want->verdict.rule_id)
		return "the event's rule";
	if (event->direction != c->frame.packet.direction ||
	    event->slot != WORLD_SLOT || event->word != c->word ||
	    event->hook != SN_HOOK_TC || event->tgid != 0)
		return "the event";
	if (c->frame.may_have_flow && !tells_flow(event, &c->frame))
		return "the event's flow";
	return NULL;
}

/* The matcher's own word on flows, where there was none before. */
static const char *check_matcher(const struct model_case *c,
				 const struct model_outcome *want)
{
	bool audited = want->flow.value.flags & SN_FLOW_AUDIT;

	if (c->flow.exists || !c->frame.keeps_flow)
		return NULL;
	if (want->verdict.makes_flow != want->flow.exists)
		return "the matcher's makes_flow";
	if (want->flow.exists && want->verdict.makes_audit_flow != audited)
		return "the matcher's makes_audit_flow";
	return NULL;
}

static bool tells_client(const struct sn_dns_nat *nat,
			 const struct cp_policy_match_packet *packet)
{
	return memcmp(nat->client, packet->local, 16) == 0 &&
	       memcmp(nat->server, packet->remote, 16) == 0 &&
	       nat->client_port == htons(packet->local_port) &&
	       nat->ifindex == WORLD_IFINDEX && !nat->has_vlan;
}

/* The translation that answers will find. */
static const char *check_dns(const struct model_case *c,
			     const struct model_outcome *want,
			     const struct check_found *got)
{
	const struct cp_policy_match_packet *p = &c->frame.packet;
	const struct sn_dns_nat *nat = &got->nat;

	if (got->mark != (c->is_marked && !want->is_answer ? WORLD_MARK : 0))
		return "the mark";
	if (got->n_nat != want->is_steered)
		return "a translation or none";
	if (!want->is_steered)
		return NULL;
	if (got->nat_key.slot != WORLD_SLOT ||
	    got->nat_key.family != p->family ||
	    got->nat_key.protocol != p->protocol ||
	    ntohs(got->nat_key.port) < SN_DNS_NAT_PORT_MIN)
		return "the translation's key";
	if (nat->seal != sn_dns_nat_tag(&got->nat_key) ||
	    nat->last_seen < got->begin_ns || nat->last_seen > got->end_ns)
		return "the translation's seal or time";
	return tells_client(nat, p) ? NULL : "the translation";
}

static uint32_t expected_answer(const struct model_outcome *want)
{
	if (want->is_steered)
		return WORLD_REDIRECT;
	return (uint32_t)(want->verdict.pass ? WORLD_PASS : WORLD_DROP);
}

const char *check_case(const struct model_case *c,
		       const struct model_outcome *want,
		       const struct check_found *got)
{
	const char *wrong;

	if (got->answer != expected_answer(want))
		return "the verdict";
	if (memcmp(got->reasons, want->reasons, sizeof(got->reasons)) != 0)
		return "the reasons";
	if (memcmp(&got->counters, &want->counters, sizeof(got->counters)) != 0)
		return "the counters";
	wrong = check_dns(c, want, got);
	if (!wrong)
		wrong = check_event(c, want, got);
	if (!wrong)
		wrong = check_matcher(c, want);
	if (!wrong && c->frame.packet.kind != CP_POLICY_MATCH_KIND_ICMP_ERROR)
		wrong = check_flow(c, want, got);
	if (!wrong)
		wrong = check_fragment(c, want, got);
	return wrong;
}
