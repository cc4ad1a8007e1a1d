/* SPDX-License-Identifier: Apache-2.0 */

#include "controld/metrics/page.h"
#include "controld/metrics/series.h"
#include "test/unit/t.h"

static char *read_all(const struct cp_metrics_page *page, size_t part)
{
	uint64_t size = cp_metrics_page_get_size(page), at = 0;
	char *text = calloc(1, size + 1);

	t_not_null(text);
	while (at < size) {
		size_t n = cp_metrics_page_read(page, at, text + at, part);

		t_true(n > 0);
		at += n;
	}
	t_eq(cp_metrics_page_read(page, at, text, 1), 0);
	return text;
}

static void samples_stand_under_their_metric_whatever_their_order(void)
{
	unsigned int n_pages = 0;
	struct cp_metrics_page *page;
	const char *first, *second;
	char *text;

	t_eq(cp_metrics_page_new(&page, &n_pages), 0);
	t_eq(n_pages, 1);
	cp_metrics_page_put(page, CP_METRICS_LINK_UP, "", "", 1);
	cp_metrics_page_put(page, CP_METRICS_PACKETS, "a=\"b\"", "c=\"d\"",
			    UINT64_MAX);
	cp_metrics_page_put_signed(page, CP_METRICS_LINK_CHECKED, "", -1);
	t_eq(cp_metrics_page_finish(page), 0);
	text = read_all(page, 7);
	first = strstr(text, "# TYPE sentinel_packets_total counter\n"
			     "sentinel_packets_total{a=\"b\",c=\"d\"} "
			     "18446744073709551615\n");
	second = strstr(text, "# TYPE sentinel_link_up gauge\n"
			      "sentinel_link_up 1\n");
	t_true(first && second && first < second);
	t_not_null(strstr(text, "\nsentinel_link_checked_seconds -1\n"));
	free(text);
	t_null(cp_metrics_page_unref(cp_metrics_page_ref(page)));
	t_eq(n_pages, 1);
	t_null(cp_metrics_page_unref(page));
	t_eq(n_pages, 0);
}

static void histograms_are_cumulative_with_short_bounds(void)
{
	static const uint64_t bounds[] = { 2500000, SN_NS_PER_S, UINT64_MAX };
	static const uint64_t counts[] = { 2, 0, 3 };
	unsigned int n_pages = 0;
	struct cp_metrics_page *page;
	char *text;

	t_eq(cp_metrics_page_new(&page, &n_pages), 0);
	cp_metrics_page_put_histogram(page, CP_METRICS_DNS_LATENCY, "r=\"x\"",
				      bounds, counts, 3, 1500000001);
	t_eq(cp_metrics_page_finish(page), 0);
	text = read_all(page, 4096);
#define NAME "sentinel_dns_latency_seconds"
	t_not_null(strstr(text, NAME "_bucket{r=\"x\",le=\"0.0025\"} 2\n" NAME
				     "_bucket{r=\"x\",le=\"1\"} 2\n" NAME
				     "_bucket{r=\"x\",le=\"+Inf\"} 5\n" NAME
				     "_sum{r=\"x\"} 1.500000001\n" NAME
				     "_count{r=\"x\"} 5\n"));
	free(text);
	cp_metrics_page_unref(page);
}

static void labels_are_escaped_and_cut_whole(void)
{
	char text[16], name[64];

	t_str_eq(cp_metrics_page_escape("a\"b\\c\nd", text, sizeof(text)),
		 "a\\\"b\\\\c\\nd");
	/* Never half of an escape. */
	t_str_eq(cp_metrics_page_escape("\"\"\"", text, 4), "\\\"");
	t_str_eq(cp_metrics_series_name("k8s.io/pod-x", name, sizeof(name)),
		 "metadata_k8s_io_pod_x");
}

T_MAIN("metrics_page", samples_stand_under_their_metric_whatever_their_order,
       histograms_are_cumulative_with_short_bounds,
       labels_are_escaped_and_cut_whole)
