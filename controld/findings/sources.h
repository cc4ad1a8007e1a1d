/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whose findings there are: rules and detectors by name, each with a rate, so
 * that none crowds the others out, and with what became of its findings. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sentinel/v1/finding.pb-c.h"
#include "shared/util.h"

enum {
	CP_FINDINGS_SOURCES_MAX = 2048,
	CP_FINDINGS_SOURCES_NAME_BYTES = 64,
	CP_FINDINGS_SOURCES_SEVERITIES =
		SENTINEL__V1__SEVERITY__SEVERITY_CRITICAL + 1,
};

enum cp_findings_kind {
	CP_FINDINGS_KIND_RULE,
	CP_FINDINGS_KIND_DETECTOR,
};

struct cp_findings_source {
	LIST_ENTRY(cp_findings_source) in_bucket;
	TAILQ_ENTRY(cp_findings_source) by_age;
	enum cp_findings_kind kind;
	char name[CP_FINDINGS_SOURCES_NAME_BYTES];
	uint64_t n_found[CP_FINDINGS_SOURCES_SEVERITIES];
	uint64_t n_limited;
	uint64_t n_untold; /* of n_limited */
	uint64_t due_ns; /* when all that was let through is paid for */
};

struct cp_findings_sources;

int cp_findings_sources_new(struct cp_findings_sources **ret);
struct cp_findings_sources *
cp_findings_sources_free(struct cp_findings_sources *sources);
SN_DEFINE_CLEANUP(struct cp_findings_sources, cp_findings_sources_free)

/* The one of this name, else a new one. NULL: no memory, or there are MAX. */
struct cp_findings_source *
cp_findings_sources_need(struct cp_findings_sources *sources,
			 enum cp_findings_kind kind, const char *name);
/* NULL: it has found nothing yet. */
const struct cp_findings_source *
cp_findings_sources_find(const struct cp_findings_sources *sources,
			 enum cp_findings_kind kind, const char *name);
/* The oldest first; NULL: the last was that. */
struct cp_findings_source *
cp_findings_sources_next(const struct cp_findings_sources *sources,
			 const struct cp_findings_source *after);
/* What was not told of it is forgotten. */
void cp_findings_sources_drop(struct cp_findings_sources *sources,
			      struct cp_findings_source *source);

/* May it find one more at this time (of any clock that does not go back)? rate:
 * each second, 0: no bound; burst: at once after a pause. If not, it is
 * counted. */
bool cp_findings_sources_admit(struct cp_findings_source *source, uint64_t rate,
			       uint64_t burst, uint64_t now_ns);
