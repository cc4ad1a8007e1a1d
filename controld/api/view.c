/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/view.h"

#include <stdlib.h>
#include <string.h>

#include "controld/attach/dns.h"
#include "controld/policy/convert.h"
#include "controld/policy/convert_dns.h"
#include "shared/tables.h"
#include "shared/util.h"

static void put_counters(const struct cp_attach_totals *totals,
			 struct cp_api_view *view)
{
	const struct sn_counters *counters = &totals->counters;
	Sentinel__V1__Attachment *message = &view->message;

	for (int i = 0; i < 2; i++) {
		message->packets_allowed += counters->allowed_packets[i];
		message->packets_blocked += counters->blocked_packets[i];
		message->bytes_allowed += counters->allowed_bytes[i];
		message->bytes_blocked += counters->blocked_bytes[i];
	}
	message->calls_refused = totals->reasons.count[SN_REASON_CALL_REFUSED];
	message->blocked_reasons = view->reason_ptrs;
	for (size_t i = 0; i < SN_REASON_COUNT; i++) {
		Sentinel__V1__ReasonCount *reason =
			&view->reasons[message->n_blocked_reasons];
		enum sn_reason_kind kind = sn_reasons_info[i].kind;

		if (totals->reasons.count[i] == 0 ||
		    (kind != SN_REASON_KIND_POLICY &&
		     kind != SN_REASON_KIND_FAILURE))
			continue;
		sentinel__v1__reason_count__init(reason);
		reason->reason = sn_borrow(sn_reasons_info[i].name);
		reason->count = totals->reasons.count[i];
		view->reason_ptrs[message->n_blocked_reasons++] = reason;
	}
}

static int put_metadata(const struct cp_attach_info *info,
			struct cp_api_view *view)
{
	size_t n = info->n_metadata;

	view->pairs = calloc(n + 1, sizeof(*view->pairs));
	view->pair_ptrs = calloc(n + 1, sizeof(*view->pair_ptrs));
	if (!view->pairs || !view->pair_ptrs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		sentinel__v1__attachment__metadata_entry__init(&view->pairs[i]);
		view->pairs[i].key = info->metadata[i].key;
		view->pairs[i].value = info->metadata[i].value;
		view->pair_ptrs[i] = &view->pairs[i];
	}
	view->message.metadata = view->pair_ptrs;
	view->message.n_metadata = n;
	return 0;
}

static Sentinel__V1__AttachmentState state_of(enum cp_attach_state state)
{
	switch (state) {
	case CP_ATTACH_STATE_ENFORCED:
		return SENTINEL__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_ENFORCED;
	case CP_ATTACH_STATE_DETACHED_DP:
		return SENTINEL__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_DETACHED_DP;
	case CP_ATTACH_STATE_WAITING:
		return SENTINEL__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_WAITING;
	case CP_ATTACH_STATE_REPAIRING:
		return SENTINEL__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_REPAIRING;
	}
	return SENTINEL__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_UNSPECIFIED;
}

static Sentinel__V1__Role role_of(enum sn_role role)
{
	switch (role) {
	case SN_ROLE_WORKLOAD:
		return SENTINEL__V1__ROLE__ROLE_WORKLOAD;
	case SN_ROLE_HOST:
		return SENTINEL__V1__ROLE__ROLE_HOST;
	case SN_ROLE_NONE:
		break;
	}
	return SENTINEL__V1__ROLE__ROLE_UNSPECIFIED;
}

static void put_fields(const struct cp_attach_info *info,
		       Sentinel__V1__Attachment *message)
{
	struct cp_policy_settings settings =
		cp_policy_get_settings(info->policy);

	message->id = sn_borrow(info->id);
	message->target = sn_borrow(info->target);
	message->type = info->type == SN_TARGET_TC ?
				SENTINEL__V1__TARGET_TYPE__TARGET_TYPE_TC :
				SENTINEL__V1__TARGET_TYPE__TARGET_TYPE_CGROUP;
	if (info->type == SN_TARGET_TC)
		message->role = role_of(info->role);
	message->mode = cp_policy_convert_to_mode(settings.mode);
	message->audit = settings.audit;
	message->inbound = cp_policy_convert_to_inbound(settings.inbound);
	message->attached_at = info->attached_at_s;
	message->state = state_of(info->state);
	message->generation = info->generation;
	message->rules = (uint32_t)info->n_rules;
	message->dns_mode = cp_policy_convert_dns_to_mode(info->dns_mode);
	message->dns_steering =
		info->is_steered ? SENTINEL__V1__DNS_STEERING__DNS_STEERING_ON :
				   SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF;
	message->domain_rules = (uint32_t)info->n_domains;
	message->learnt_names = (uint32_t)info->n_learnt_names;
	message->learnt_addresses = (uint32_t)info->n_learnt_addresses;
	message->dns_allowed = info->dns_ends[CP_ATTACH_DNS_END_ALLOWED];
	message->dns_blocked = info->dns_ends[CP_ATTACH_DNS_END_BLOCKED];
	message->dns_failed = info->dns_ends[CP_ATTACH_DNS_END_FAILED];
}

int cp_api_view_new(struct cp_api_view **ret, const struct cp_attach_info *info)
{
	sn_cleanup(cp_api_view_freep) struct cp_api_view *view = NULL;
	int r;

	view = calloc(1, sizeof(*view));
	if (!view)
		return -ENOMEM;
	sentinel__v1__attachment__init(&view->message);
	put_fields(info, &view->message);
	memcpy(view->dns_address, info->dns_address, sizeof(view->dns_address));
	view->message.dns_address = view->dns_address;
	put_counters(&info->totals, view);
	for (size_t i = 0; i < info->n_notes; i++)
		view->notes[i] = sn_borrow(info->notes[i]);
	view->message.notes = view->notes;
	view->message.n_notes = info->n_notes;
	r = put_metadata(info, view);
	if (r < 0)
		return sn_trace(r);
	*ret = sn_steal(&view);
	return 0;
}

struct cp_api_view *cp_api_view_free(struct cp_api_view *view)
{
	if (!view)
		return NULL;
	free(view->pairs);
	free(view->pair_ptrs);
	free(view);
	return NULL;
}
