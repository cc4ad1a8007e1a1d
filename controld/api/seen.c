/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/seen.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <grpc/status.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/read.h"
#include "controld/events/events.h"
#include "controld/policy/convert.h"
#include "controld/policy/convert_dns.h"
#include "shared/util.h"

enum { MS_PER_S = 1000 };

/* A row and what it points to. */
struct row {
	Sentinel__V1__Seen message;
	char name[CP_DNS_NAME_TEXT_BYTES];
	char address[INET6_ADDRSTRLEN];
	char comm[SN_COMM_BYTES + 1];
};

struct answer {
	Sentinel__V1__GetSeenResponse message;
	Sentinel__V1__Policy settings;
	Sentinel__V1__Seen *pointers[CP_EVENTS_SEEN_MAX];
	struct row rows[CP_EVENTS_SEEN_MAX];
};

static void fill_row(const struct cp_events_seen_row *from, struct row *ret)
{
	Sentinel__V1__Seen *message = &ret->message;
	bool is_flow = from->address.family;

	sentinel__v1__seen__init(message);
	if (from->name.size > 0)
		(void)cp_dns_name_format(&from->name, ret->name);
	if (is_flow)
		(void)inet_ntop(from->address.family == SN_FAMILY_IPV4 ?
					AF_INET :
					AF_INET6,
				from->address.bytes, ret->address,
				sizeof(ret->address));
	for (size_t i = 0; i < SN_COMM_BYTES && from->comm[i]; i++) {
		int c = (unsigned char)from->comm[i];

		ret->comm[i] = (char)(isascii(c) && isprint(c) ? c : '?');
	}
	message->name = ret->name;
	message->address = ret->address;
	message->comm = ret->comm;
	message->protocol = from->protocol;
	message->port = from->port;
	message->reason = sn_borrow(
		is_flow ? sn_reasons_info[from->reason].name : "dns-denied");
	message->audited = from->is_audited;
	message->count = from->count;
	message->first_ms = from->first_ms;
	message->last_ms = from->last_ms;
}

static void fill_rows(const struct cp_events_seen *seen, int64_t since_ms,
		      struct answer *ret)
{
	for (size_t i = 0; seen && i < cp_events_seen_count(seen); i++) {
		const struct cp_events_seen_row *from =
			cp_events_seen_get(seen, i);
		size_t n = ret->message.n_seen;

		if (from->last_ms < since_ms)
			continue;
		fill_row(from, &ret->rows[n]);
		ret->pointers[n] = &ret->rows[n].message;
		ret->message.n_seen++;
	}
	if (seen)
		ret->message.dropped = cp_events_seen_dropped(seen);
}

static int fill_settings(const struct cp_policy *policy, struct answer *ret)
{
	struct cp_policy_settings settings = cp_policy_get_settings(policy);

	sentinel__v1__policy__init(&ret->settings);
	ret->settings.mode = cp_policy_convert_to_mode(settings.mode);
	ret->settings.audit = settings.audit;
	ret->settings.inbound = cp_policy_convert_to_inbound(settings.inbound);
	ret->message.settings = &ret->settings;
	return cp_policy_convert_dns_to_settings(cp_policy_get_dns(policy),
						 &ret->settings.dns);
}

void cp_api_seen_get(struct cp_rpc_call *call, const ProtobufCMessage *message,
		     void *user)
{
	const Sentinel__V1__GetSeenRequest *request = (const void *)message;
	const struct cp_api *api = user;
	const struct cp_attach_item *item;
	struct cp_attach_info info;
	struct answer *answer;
	int64_t now_ms = cp_events_now_ms(api->options.events), since_ms = 0;

	item = cp_api_read_find(user, call, request->id);
	if (!item)
		return;
	if (request->since_seconds &&
	    request->since_seconds < (uint64_t)now_ms / MS_PER_S)
		since_ms = now_ms - (int64_t)request->since_seconds * MS_PER_S;
	answer = calloc(1, sizeof(*answer));
	if (answer)
		sentinel__v1__get_seen_response__init(&answer->message);
	cp_attach_info_get(item, &info);
	if (!answer || fill_settings(info.policy, answer) < 0) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
	} else {
		answer->message.seen = answer->pointers;
		fill_rows(cp_events_get_seen(api->options.events, info.id),
			  since_ms, answer);
		cp_rpc_call_reply(call, &answer->message.base);
		free(answer->settings.dns);
	}
	free(answer);
}
