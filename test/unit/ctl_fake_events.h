/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events, what was seen, and explanations, for ctl_fake.h. */

#include "test/unit/ctl_fake_base.h"

/* One of each kind, then the end. */
static inline void fake_event_send(struct cp_rpc_call *call, void *user)
{
	struct fake *fake = user;
	Sentinel__V1__Event event;

	sentinel__v1__event__init(&event);
	event.time_ms = 90061000;
	event.id = fake_texts[0];
	switch (fake->n_events++) {
	case 0:
		event.kind = SENTINEL__V1__EVENT_KIND__EVENT_KIND_FLOW;
		event.reason = fake_texts[6];
		event.direction = SENTINEL__V1__DIRECTION__DIRECTION_EGRESS;
		event.protocol = 6;
		event.remote_address = fake_texts[9];
		event.remote_port = 443;
		event.name = fake_texts[11];
		event.pid = 4242;
		event.comm = fake_texts[8];
		break;
	case 1:
		event.kind = SENTINEL__V1__EVENT_KIND__EVENT_KIND_NAME;
		event.reason = fake_texts[12];
		event.audited = true;
		event.name = fake_texts[11];
		event.name_type = 1;
		break;
	case 2:
		event.kind = SENTINEL__V1__EVENT_KIND__EVENT_KIND_LOST;
		event.reason = fake_texts[13];
		event.lost = 17;
		break;
	default:
		cp_rpc_call_finish(call);
		return;
	}
	t_eq(cp_rpc_call_send(call, &event.base), 0);
}

static inline void fake_events(struct cp_rpc_call *call,
			       const ProtobufCMessage *message, void *user)
{
	struct fake *fake = user;

	fake_keep(fake, message);
	fake->n_events = 0;
	fake_event_send(call, user);
}

/* Under audit: what a rule can open, what none may, and texts that would be
 * something else in YAML. */
static inline void fake_seen(struct cp_rpc_call *call,
			     const ProtobufCMessage *message, void *user)
{
	static struct {
		char name[24], address[16], comm[24], reason[16];
		uint32_t protocol, port;
	} rows[] = {
		{ "a.example", "198.18.0.1", "curl", "no-rule", 6, 443 },
		{ "a.example", "", "", "dns-denied", 0, 0 },
		{ "asked.example", "", "", "dns-denied", 0, 0 },
		{ "it's\\:\\#.example", "198.18.0.3", "", "no-rule", 17, 53 },
		{ "", "198.18.0.2", "x\n  - {allow: ::/0}", "mode", 1, 0 },
		{ "", "169.254.169.254", "", "metadata", 6, 80 },
		{ "no name: ]", "", "", "dns-denied", 0, 0 },
	};
	Sentinel__V1__Seen seen[SN_ARRAY_SIZE(rows)];
	Sentinel__V1__Seen *all[SN_ARRAY_SIZE(rows)];
	Sentinel__V1__GetSeenResponse response;
	Sentinel__V1__Policy settings;

	fake_keep(user, message);
	sentinel__v1__get_seen_response__init(&response);
	sentinel__v1__policy__init(&settings);
	settings.mode = SENTINEL__V1__MODE__MODE_ALLOWLIST;
	settings.audit = true;
	response.settings = &settings;
	response.seen = all;
	response.n_seen = SN_ARRAY_SIZE(rows);
	response.dropped = 5;
	for (size_t i = 0; i < SN_ARRAY_SIZE(rows); i++) {
		all[i] = &seen[i];
		sentinel__v1__seen__init(&seen[i]);
		seen[i].name = rows[i].name;
		seen[i].address = rows[i].address;
		seen[i].comm = rows[i].comm;
		seen[i].reason = rows[i].reason;
		seen[i].protocol = rows[i].protocol;
		seen[i].port = rows[i].port;
		seen[i].audited = true;
		seen[i].count = i + 1;
		seen[i].first_ms = seen[i].last_ms = 90061000;
	}
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_explain(struct cp_rpc_call *call,
				const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__ExplainRequest *request = (const void *)message;
	Sentinel__V1__ExplainResponse response;
	Sentinel__V1__Learnt learnt, *learnts[] = { &learnt };
	Sentinel__V1__DomainRule domain;
	Sentinel__V1__Rule rule;

	fake_keep(user, message);
	sentinel__v1__explain_response__init(&response);
	sentinel__v1__learnt__init(&learnt);
	sentinel__v1__domain_rule__init(&domain);
	sentinel__v1__rule__init(&rule);
	response.destination = request->destination;
	response.mode = SENTINEL__V1__MODE__MODE_ALLOWLIST;
	response.dns_mode = SENTINEL__V1__DNS_MODE__DNS_MODE_ALLOWLIST;
	response.generation = 3;
	domain.id = 7;
	domain.owner = rule.owner = fake_texts[14];
	domain.verdict = rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	domain.domain = learnt.name = fake_texts[11];
	domain.subdomains = true;
	learnt.address = fake_texts[9];
	learnt.remaining_seconds = 59;
	rule.id = 9;
	rule.cidr = fake_texts[15];
	if (strcmp(request->destination, "asked.example") == 0) {
		static char reason[] = "control-plane";

		response.reason = reason;
		response.dns_mode = SENTINEL__V1__DNS_MODE__DNS_MODE_PROXY;
	} else if (request->port == 80) {
		response.reason = fake_texts[6];
		response.nearest_rule = &rule;
	} else {
		response.reason = fake_texts[16];
		response.passes = true;
		response.domain_rule = &domain;
		response.learnt = learnts;
		response.n_learnt = 1;
		response.remaining_seconds = request->port ? 59 : 0;
	}
	cp_rpc_call_reply(call, &response.base);
}
