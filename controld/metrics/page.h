/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A page in the text format 0.0.4 of Prometheus as it is being made: samples
 * may come in any order, each goes to its metric. Shared by all who are sent
 * it. Want of memory breaks the page, which is seen at the end. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/util.h"

enum cp_metrics_id {
#define CP_METRIC(NAME, name, type, labels, help) CP_METRICS_##NAME,
#include "controld/metrics/metrics.def"
#undef CP_METRIC
	CP_METRICS_COUNT,
};

enum cp_metrics_type {
	CP_METRICS_TYPE_COUNTER,
	CP_METRICS_TYPE_GAUGE,
	CP_METRICS_TYPE_HISTOGRAM,
};

struct cp_metrics_info {
	const char *name;
	enum cp_metrics_type type;
	const char *labels;
	const char *help;
};
extern const struct cp_metrics_info cp_metrics_page_info[CP_METRICS_COUNT];

struct cp_metrics_page;

/* n_pages: counts the pages that there are; outlives them. */
int cp_metrics_page_new(struct cp_metrics_page **ret, unsigned int *n_pages);
struct cp_metrics_page *cp_metrics_page_ref(struct cp_metrics_page *page);
struct cp_metrics_page *cp_metrics_page_unref(struct cp_metrics_page *page);
SN_DEFINE_CLEANUP(struct cp_metrics_page, cp_metrics_page_unref)

/* One sample. labels and more: `name="value"` separated by commas, either may be
 * empty; values are escaped (cp_metrics_page_escape()). */
void cp_metrics_page_put(struct cp_metrics_page *page, enum cp_metrics_id id,
			 const char *labels, const char *more, uint64_t value);
void cp_metrics_page_put_signed(struct cp_metrics_page *page,
				enum cp_metrics_id id, const char *labels,
				int64_t value);
/* In seconds. */
void cp_metrics_page_put_ns(struct cp_metrics_page *page, enum cp_metrics_id id,
			    const char *labels, uint64_t ns);
/* bounds: in ns, the last of n is above all; counts: not cumulative. */
void cp_metrics_page_put_histogram(struct cp_metrics_page *page,
				   enum cp_metrics_id id, const char *labels,
				   const uint64_t *bounds,
				   const uint64_t *counts, size_t n,
				   uint64_t sum_ns);

/* A label's value; what does not fit is left out. Returns to. */
char *cp_metrics_page_escape(const char *text, char *to, size_t size);

/* No samples come any more. 0 or -ENOMEM. */
int cp_metrics_page_finish(struct cp_metrics_page *page);
uint64_t cp_metrics_page_get_size(const struct cp_metrics_page *page);
/* Up to n bytes from at on; 0 at the end. Quick when at rises. */
size_t cp_metrics_page_read(const struct cp_metrics_page *page, uint64_t at,
			    char *to, size_t n);
