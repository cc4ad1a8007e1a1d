/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/anomaly.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controld/findings/findings.h"
#include "shared/util.h"

/* What is not known has no label. */
static void label(struct cp_feed_anomaly *ret, const char *key,
		  const char *value)
{
	size_t i = ret->message.n_labels;

	if (!value[0])
		return;
	assert(i < CP_FEED_ANOMALY_LABELS);
	sentinel__v1__anomaly_report__labels_entry__init(&ret->labels[i]);
	ret->labels[i].key = sn_borrow(key);
	ret->labels[i].value = sn_borrow(value);
	ret->labels_at[i] = &ret->labels[i];
	ret->message.n_labels++;
}

static void label_event(struct cp_feed_anomaly *ret,
			const Sentinel__V1__EventEnvelope *event)
{
	label(ret, "event_type", event->event_type);
	label(ret, "pod_name", event->pod_name);
	label(ret, "namespace", event->namespace_);
	label(ret, "container_id", event->container_id);
	for (size_t i = 0; i < event->n_data; i++)
		label(ret, event->data[i]->key, event->data[i]->value);
	for (size_t i = 0; i < event->n_attributes; i++)
		label(ret, event->attributes[i]->key,
		      event->attributes[i]->value);
}

/* Rules have none of their own. */
static double score(Sentinel__V1__Severity severity)
{
	const int lowest = SENTINEL__V1__SEVERITY__SEVERITY_DEBUG;
	const int highest = SENTINEL__V1__SEVERITY__SEVERITY_CRITICAL;

	if ((int)severity <= lowest)
		return 0;
	return (double)((int)severity - lowest) / (highest - lowest);
}

void cp_feed_anomaly_fill(struct cp_feed_anomaly *ret,
			  const Sentinel__V1__Finding *finding,
			  const char *hostname)
{
	Sentinel__V1__AnomalyReport *message = &ret->message;

	sentinel__v1__anomaly_report__init(message);
	message->labels = ret->labels_at;
	message->reason = finding->text[0] ? finding->text : finding->rule;
	message->score = score(finding->severity);
	label(ret, "finding", finding->uuid);
	label(ret, "rule", finding->rule);
	label(ret, "severity", cp_findings_name_severity(finding->severity));
	label(ret, "tags",
	      cp_feed_envelope_join(finding->tags, finding->n_tags, ',',
				    ret->tags));
	label(ret, "hostname", hostname);
	(void)snprintf(ret->time, sizeof(ret->time), "%" PRId64,
		       finding->time_ns);
	label(ret, "ts_unix_nano", ret->time);
	(void)snprintf(ret->events, sizeof(ret->events), "%" PRIu64,
		       finding->count);
	label(ret, "events", ret->events);
	if (!finding->event)
		return;
	cp_feed_envelope_fill(&ret->envelope, finding->event, hostname);
	message->event_id = ret->envelope.message.event_id;
	label_event(ret, &ret->envelope.message);
}
