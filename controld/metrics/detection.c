/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/metrics/detection.h"

#include <stdio.h>

enum {
	NAME_BYTES = 2 * CP_FINDINGS_SOURCES_NAME_BYTES, /* escaped */
	LABEL_BYTES = NAME_BYTES + 64,
	NS_PER_S = 1000000000,
};

static void put(struct cp_metrics_page *page, enum cp_metrics_id id,
		const char *labels, uint64_t value)
{
	cp_metrics_page_put(page, id, labels, "", value);
}

static void put_found(struct cp_metrics_page *page, const char *labels,
		      size_t severity, uint64_t n)
{
	char text[32];

	(void)snprintf(
		text, sizeof(text), "severity=\"%s\"",
		cp_findings_name_severity((Sentinel__V1__Severity)severity));
	cp_metrics_page_put(page, CP_METRICS_FINDINGS, labels, text, n);
}

static void put_source(struct cp_metrics_page *page,
		       const struct cp_findings_source *source)
{
	char name[NAME_BYTES], labels[LABEL_BYTES];

	(void)snprintf(
		labels, sizeof(labels), "kind=\"%s\",source=\"%s\"",
		source->kind == CP_FINDINGS_KIND_RULE ? "rule" : "detector",
		cp_metrics_page_escape(source->name, name, sizeof(name)));
	for (size_t i = 0; i < CP_FINDINGS_SOURCES_SEVERITIES; i++) {
		if (source->n_found[i] > 0)
			put_found(page, labels, i, source->n_found[i]);
	}
	put(page, CP_METRICS_FINDINGS_LIMITED, labels, source->n_limited);
}

/* A rule that found nothing is there with 0: the first finding is a rise then. */
static void put_rule(struct cp_metrics_page *page,
		     const struct cp_findings_sources *sources,
		     const struct cp_findings_detection *detection,
		     size_t index)
{
	const struct cp_rules_rule *rule =
		cp_rules_get(cp_findings_detection_get_rules(detection), index);
	struct cp_findings_detection_count count;
	char name[NAME_BYTES], labels[LABEL_BYTES];

	cp_findings_detection_get_count(detection, index, &count);
	(void)snprintf(labels, sizeof(labels), "rule=\"%s\"",
		       cp_metrics_page_escape(rule->name, name, sizeof(name)));
	put(page, CP_METRICS_RULES_HITS, labels, count.n_hits);
	if (cp_findings_sources_find(sources, CP_FINDINGS_KIND_RULE,
				     rule->name))
		return;
	(void)snprintf(labels, sizeof(labels), "kind=\"rule\",source=\"%s\"",
		       name);
	put_found(page, labels, (size_t)rule->severity + 1, 0);
	put(page, CP_METRICS_FINDINGS_LIMITED, labels, 0);
}

static void put_rules(struct cp_metrics_page *page,
		      const struct cp_findings_sources *sources,
		      const struct cp_findings_detection *detection)
{
	struct cp_findings_detection_status status;

	cp_findings_detection_get_status(detection, &status);
	put(page, CP_METRICS_RULES, "state=\"enabled\"", status.n_enabled);
	put(page, CP_METRICS_RULES, "state=\"disabled\"",
	    status.n_rules - status.n_enabled);
	put(page, CP_METRICS_RULES_IN_FORCE, "", status.is_in_force);
	put(page, CP_METRICS_RULES_LOADED, "",
	    (uint64_t)(status.loaded_ns / NS_PER_S));
	put(page, CP_METRICS_RULES_FILES, "result=\"taken\"", status.n_loaded);
	put(page, CP_METRICS_RULES_FILES, "result=\"refused\"",
	    status.n_refused);
	for (size_t i = 0; i < status.n_rules; i++)
		put_rule(page, sources, detection, i);
}

void cp_metrics_detection_put(struct cp_metrics_page *page,
			      struct cp_findings *findings,
			      const struct cp_findings_detection *detection)
{
	const struct cp_findings_sources *sources =
		cp_findings_get_sources(findings);
	const struct cp_findings_source *source = NULL;
	struct cp_findings_stats stats;

	while ((source = cp_findings_sources_next(sources, source)))
		put_source(page, source);
	cp_findings_get_stats(findings, &stats);
	put(page, CP_METRICS_FINDINGS_LOST, "", stats.n_lost);
	put(page, CP_METRICS_FINDINGS_MISSED, "", stats.n_missed);
	put(page, CP_METRICS_FINDINGS_READERS, "", stats.n_watchers);
	put(page, CP_METRICS_FINDINGS_HELD, "", stats.n_held_bytes);
	if (detection)
		put_rules(page, sources, detection);
}
