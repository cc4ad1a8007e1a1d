/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/metrics/series.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "controld/attach/dns.h"
#include "shared/tables.h"

enum {
	ID_BYTES = CP_ATTACH_ID_CHARS + 8,
	VALUE_BYTES = 2 * 255 + 4,
	INFO_BYTES = 256 +
		     CP_METRICS_SERIES_LABELS_MAX *
			     (CP_METRICS_SERIES_LABEL_BYTES + 16 + VALUE_BYTES),
};

static const char *const modes[] = {
	[SN_MODE_NONE] = "none",	   [SN_MODE_DISABLED] = "disabled",
	[SN_MODE_ALLOWLIST] = "allowlist", [SN_MODE_DENYLIST] = "denylist",
	[SN_MODE_BLOCK_ALL] = "block-all",
};

static const char *const dns_modes[] = {
	[CP_DNS_MODE_NONE] = "none",
	[CP_DNS_MODE_DISABLED] = "disabled",
	[CP_DNS_MODE_ALLOWLIST] = "allowlist",
	[CP_DNS_MODE_DENYLIST] = "denylist",
	[CP_DNS_MODE_PROXY] = "proxy",
};

static const char *const states[] = {
	[CP_ATTACH_STATE_ENFORCED] = "state=\"enforced\"",
	[CP_ATTACH_STATE_DETACHED_DP] = "state=\"detached-dp\"",
	[CP_ATTACH_STATE_WAITING] = "state=\"waiting\"",
	[CP_ATTACH_STATE_REPAIRING] = "state=\"repairing\"",
};

static const char *const ends[] = {
	[CP_ATTACH_DNS_END_ALLOWED] = "result=\"allowed\"",
	[CP_ATTACH_DNS_END_BLOCKED] = "result=\"blocked\"",
	[CP_ATTACH_DNS_END_FAILED] = "result=\"failed\"",
};

static const char *const kinds[] = {
	[SN_REASON_KIND_POLICY] = "policy",
	[SN_REASON_KIND_FAILURE] = "failure",
	[SN_REASON_KIND_PASS] = "pass",
	[SN_REASON_KIND_INFO] = "info",
};

char *cp_metrics_series_name(const char *key, char *to, size_t size)
{
	int n = snprintf(to, size, "metadata_%s", key);

	assert(n > 0);
	for (char *at = to; *at; at++)
		if (!((*at >= 'a' && *at <= 'z') ||
		      (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9')))
			*at = '_';
	return to;
}

static const char *find_metadata(const struct cp_attach_info *info,
				 const char *key)
{
	for (size_t i = 0; i < info->n_metadata; i++)
		if (strcmp(info->metadata[i].key, key) == 0)
			return info->metadata[i].value;
	return NULL;
}

static void put_info(struct cp_metrics_page *page,
		     const struct cp_attach_info *info, const char *id,
		     const struct cp_metrics_series_labels *labels)
{
	struct cp_policy_settings settings =
		cp_policy_get_settings(info->policy);
	char text[INFO_BYTES], value[VALUE_BYTES];
	char name[CP_METRICS_SERIES_LABEL_BYTES + 16];
	int n;

	n = snprintf(text, sizeof(text),
		     "type=\"%s\",mode=\"%s\",audit=\"%d\",dns_mode=\"%s\"",
		     info->type == SN_TARGET_TC ? "tc" : "cgroup",
		     modes[settings.mode], settings.audit,
		     dns_modes[info->dns_mode]);
	for (size_t i = 0; i < labels->n; i++) {
		const char *found = find_metadata(info, labels->keys[i]);

		/* An empty label is as good as none, but the page is then the
		 * same for every attachment. */
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",%s=\"%s\"",
			      cp_metrics_series_name(labels->keys[i], name,
						     sizeof(name)),
			      cp_metrics_page_escape(found ? found : "", value,
						     sizeof(value)));
		assert(n > 0 && (size_t)n < sizeof(text));
	}
	cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_INFO, id, text, 1);
}

static void put_counters(struct cp_metrics_page *page,
			 const struct sn_counters *counters, const char *id,
			 enum cp_metrics_id packets, enum cp_metrics_id bytes)
{
	static const char *const allowed[] = {
		[SN_EGRESS] = "direction=\"egress\",verdict=\"allowed\"",
		[SN_INGRESS] = "direction=\"ingress\",verdict=\"allowed\"",
	};
	static const char *const blocked[] = {
		[SN_EGRESS] = "direction=\"egress\",verdict=\"blocked\"",
		[SN_INGRESS] = "direction=\"ingress\",verdict=\"blocked\"",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(allowed); i++) {
		cp_metrics_page_put(page, packets, id, allowed[i],
				    counters->allowed_packets[i]);
		cp_metrics_page_put(page, packets, id, blocked[i],
				    counters->blocked_packets[i]);
		cp_metrics_page_put(page, bytes, id, allowed[i],
				    counters->allowed_bytes[i]);
		cp_metrics_page_put(page, bytes, id, blocked[i],
				    counters->blocked_bytes[i]);
	}
}

static void put_reasons(struct cp_metrics_page *page,
			const struct sn_reasons *reasons, const char *id)
{
	char text[64];

	for (size_t i = 0; i < SN_REASON_COUNT; i++) {
		if (reasons->count[i] == 0)
			continue;
		(void)snprintf(text, sizeof(text), "reason=\"%s\"",
			       sn_reasons_info[i].name);
		cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_REASONS, id,
				    text, reasons->count[i]);
	}
}

void cp_metrics_series_put(struct cp_metrics_page *page,
			   const struct cp_attach_info *info,
			   const struct cp_metrics_series_labels *labels)
{
	char id[ID_BYTES];

	(void)snprintf(id, sizeof(id), "id=\"%s\"", info->id);
	put_info(page, info, id, labels);
	cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_STATE, id,
			    states[info->state], 1);
	cp_metrics_page_put_signed(page, CP_METRICS_ATTACHMENT_POSITION, id,
				   info->position);
	/* A counter that is not known is absent: as 0 it would seem to have
	 * been reset, and its whole to have come at once later. */
	if (info->is_counted) {
		put_counters(page, &info->totals.counters, id,
			     CP_METRICS_ATTACHMENT_PACKETS,
			     CP_METRICS_ATTACHMENT_BYTES);
		put_reasons(page, &info->totals.reasons, id);
	}
	for (size_t i = 0; i < SN_ARRAY_SIZE(ends); i++)
		cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_DNS, id,
				    ends[i], info->dns_ends[i]);
	cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_RULES, id,
			    "type=\"cidr\"", info->n_rules);
	cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_RULES, id,
			    "type=\"domain\"", info->n_domains);
	cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_NAMES, id, "",
			    info->n_learnt_names);
	cp_metrics_page_put(page, CP_METRICS_ATTACHMENT_ADDRESSES, id, "",
			    info->n_learnt_addresses);
}

void cp_metrics_series_put_totals(struct cp_metrics_page *page,
				  const struct cp_attach_totals *totals)
{
	char text[96];

	put_counters(page, &totals->counters, "", CP_METRICS_PACKETS,
		     CP_METRICS_BYTES);
	for (size_t i = 0; i < SN_REASON_COUNT; i++) {
		(void)snprintf(text, sizeof(text), "reason=\"%s\",kind=\"%s\"",
			       sn_reasons_info[i].name,
			       kinds[sn_reasons_info[i].kind]);
		cp_metrics_page_put(page, CP_METRICS_REASONS, text, "",
				    totals->reasons.count[i]);
	}
}
