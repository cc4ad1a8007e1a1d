/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/metrics/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controld/attach/counters.h"
#include "controld/http/call.h"
#include "controld/metrics/process.h"

enum {
	SLOTS_PER_STEP = 64,
	ITEMS_PER_STEP = 8,
	STATUS_OK = 200,
	STATUS_UNAVAILABLE = 503,
	RETRY_MS = 10, /* when all pages are out */
};

struct scraper {
	STAILQ_ENTRY(scraper) entry;
	struct cp_http_call *call;
};
STAILQ_HEAD(scrapers, scraper);

struct cp_metrics {
	struct cp_metrics_options options;
	struct cp_http *http;
	uv_idle_t idle; /* while a page is made */
	uv_timer_t timer; /* until the next one may be begun */
	struct scrapers waiting; /* for the next page */
	struct scrapers served; /* by the one that is made */
	struct cp_metrics_page *page; /* NULL: none is made */
	struct cp_attach_status status;
	struct cp_attach_totals totals;
	uint32_t slot;
	char after[CP_ATTACH_ID_CHARS + 1]; /* the last attachment put */
	bool has_slots;
	size_t n_shown;
	uint64_t began_ns;
	uint64_t took_ns; /* the last page */
	uint64_t again_ms; /* not before */
	unsigned int n_pages;
	unsigned int n_handles;
	bool is_closing;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

/* One scraper's share of a page. */
struct share {
	struct cp_metrics *metrics;
	struct cp_metrics_page *page;
};

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

static void step(uv_idle_t *idle);
static void begin_later(struct cp_metrics *metrics);
static void on_timer(uv_timer_t *timer);

static size_t read_share(void *userdata, uint64_t at, char *to, size_t n)
{
	const struct share *share = userdata;

	return cp_metrics_page_read(share->page, at, to, n);
}

static void release_share(void *userdata)
{
	struct share *share = userdata;

	share->page = cp_metrics_page_unref(share->page);
	free(share);
}

static void refuse(struct cp_http_call *call)
{
	static const char text[] = "no memory for the page\n";

	cp_http_call_reply(call, STATUS_UNAVAILABLE, "text/plain", text,
			   sizeof(text) - 1);
}

static void serve(struct cp_metrics *metrics, struct cp_http_call *call,
		  struct cp_metrics_page *page)
{
	struct share *share = malloc(sizeof(*share));

	if (!share) {
		refuse(call);
		return;
	}
	share->metrics = metrics;
	share->page = cp_metrics_page_ref(page);
	cp_http_call_reply_source(
		call, STATUS_OK, content_type,
		&(struct cp_http_source){
			.size = cp_metrics_page_get_size(page),
			.read = read_share,
			.release = release_share,
			.userdata = share,
		});
}

/* page NULL: there is none for them. */
static void serve_all(struct cp_metrics *metrics, struct scrapers *scrapers,
		      struct cp_metrics_page *page)
{
	struct scraper *scraper;

	while ((scraper = STAILQ_FIRST(scrapers))) {
		STAILQ_REMOVE_HEAD(scrapers, entry);
		if (page)
			serve(metrics, scraper->call, page);
		else
			refuse(scraper->call);
		free(scraper);
	}
}

static void begin(struct cp_metrics *metrics)
{
	if (metrics->n_pages >= CP_METRICS_PAGES_MAX) {
		(void)cp_http_cut_slowest(metrics->http);
		(void)uv_timer_start(&metrics->timer, on_timer, RETRY_MS, 0);
		return;
	}
	if (cp_metrics_page_new(&metrics->page, &metrics->n_pages) < 0) {
		serve_all(metrics, &metrics->waiting, NULL);
		return;
	}
	STAILQ_CONCAT(&metrics->served, &metrics->waiting);
	metrics->began_ns = uv_hrtime();
	cp_attach_info_get_base(metrics->options.manager, &metrics->status);
	metrics->totals = (struct cp_attach_totals){ 0 };
	metrics->slot = 0;
	metrics->has_slots = false;
	metrics->after[0] = '\0';
	metrics->n_shown = 0;
	(void)uv_idle_start(&metrics->idle, step);
}

static void finish(struct cp_metrics *metrics)
{
	struct cp_metrics_page *page = metrics->page;
	const struct cp_attach_status *status = &metrics->status;
	struct cp_http_stats http;

	(void)uv_idle_stop(&metrics->idle);
	metrics->page = NULL;
	if (metrics->has_slots)
		cp_metrics_series_put_totals(page, &metrics->totals);
	cp_metrics_page_put(page, CP_METRICS_ATTACHMENTS_HIDDEN, "", "",
			    status->n_attachments - metrics->n_shown);
	cp_metrics_host_put(page, &metrics->options.host, status,
			    cp_attach_now(metrics->options.manager));
	cp_http_get_stats(metrics->http, &http);
	cp_metrics_host_put_http(page, "metrics", &http);
	if (metrics->options.put_others)
		metrics->options.put_others(metrics->options.userdata, page);
	cp_metrics_process_put(page);
	cp_metrics_page_put_ns(page, CP_METRICS_RENDER, "", metrics->took_ns);
	metrics->took_ns = uv_hrtime() - metrics->began_ns;
	metrics->again_ms =
		uv_now(metrics->options.loop) + metrics->took_ns / 1000000;
	serve_all(metrics, &metrics->served,
		  cp_metrics_page_finish(page) == 0 ? page : NULL);
	cp_metrics_page_unref(page);
	begin_later(metrics);
}

/* False: there is no further attachment. */
static bool put_item(struct cp_metrics *metrics)
{
	const struct cp_attach_item *item;
	struct cp_attach_info info;

	item = cp_attach_get_next(metrics->options.manager,
				  metrics->after[0] ? metrics->after : NULL);
	if (!item)
		return false;
	cp_attach_info_count(item, &metrics->status);
	cp_attach_info_get(item, &info);
	(void)memcpy(metrics->after, info.id, sizeof(metrics->after));
	if (metrics->n_shown < metrics->options.attachments_max) {
		metrics->n_shown++;
		cp_metrics_series_put(metrics->page, &info,
				      &metrics->options.labels);
	}
	return true;
}

static bool put_some(struct cp_metrics *metrics)
{
	if (cp_attach_counters_add(metrics->options.manager, metrics->slot,
				   SLOTS_PER_STEP, &metrics->totals)) {
		metrics->has_slots = true;
		metrics->slot += SLOTS_PER_STEP;
		return true;
	}
	for (int i = 0; i < ITEMS_PER_STEP; i++)
		if (!put_item(metrics))
			return false;
	return true;
}

static void step(uv_idle_t *idle)
{
	struct cp_metrics *metrics = idle->data;
	uint64_t until_ns = uv_hrtime() + CP_METRICS_SLICE_US * 1000ULL;

	do {
		if (!put_some(metrics)) {
			finish(metrics);
			return;
		}
	} while (uv_hrtime() < until_ns);
}

static void on_timer(uv_timer_t *timer)
{
	begin_later(timer->data);
}

/* Begins a page for those who wait, now or when it may be. */
static void begin_later(struct cp_metrics *metrics)
{
	uint64_t now_ms = uv_now(metrics->options.loop);

	if (metrics->page || metrics->is_closing ||
	    STAILQ_EMPTY(&metrics->waiting))
		return;
	if (now_ms < metrics->again_ms) {
		(void)uv_timer_start(&metrics->timer, on_timer,
				     metrics->again_ms - now_ms, 0);
		return;
	}
	begin(metrics);
}

static void scrape(void *userdata, struct cp_http_call *call)
{
	struct cp_metrics *metrics = userdata;
	struct scraper *scraper = malloc(sizeof(*scraper));

	if (!scraper) {
		refuse(call);
		return;
	}
	scraper->call = call;
	STAILQ_INSERT_TAIL(&metrics->waiting, scraper, entry);
	begin_later(metrics);
}

static void closed_one(struct cp_metrics *metrics)
{
	if (--metrics->n_handles > 0)
		return;
	if (metrics->closed)
		metrics->closed(metrics->closed_userdata);
	free(metrics);
}

static void handle_closed(uv_handle_t *handle)
{
	closed_one(handle->data);
}

static void http_closed(void *userdata)
{
	closed_one(userdata);
}

int cp_metrics_new(struct cp_metrics **ret,
		   const struct cp_metrics_options *options)
{
	static const struct cp_http_route routes[] = {
		{ "GET", "/metrics", 0, scrape },
	};
	struct cp_metrics *metrics = calloc(1, sizeof(*metrics));
	struct cp_http_options http = {
		.loop = options->loop,
		.name = "metrics",
		.address = options->address,
		.routes = routes,
		.n_routes = SN_ARRAY_SIZE(routes),
		.userdata = metrics,
		.connections_max = options->connections_max,
	};
	int r;

	if (!metrics)
		return -ENOMEM;
	metrics->options = *options;
	STAILQ_INIT(&metrics->waiting);
	STAILQ_INIT(&metrics->served);
	r = cp_http_new(&metrics->http, &http);
	if (r < 0) {
		free(metrics);
		return r;
	}
	(void)uv_idle_init(options->loop, &metrics->idle);
	(void)uv_timer_init(options->loop, &metrics->timer);
	metrics->idle.data = metrics;
	metrics->timer.data = metrics;
	metrics->n_handles = 3;
	*ret = metrics;
	return 0;
}

void cp_metrics_close(struct cp_metrics *metrics,
		      void (*closed)(void *userdata), void *userdata)
{
	metrics->is_closing = true;
	metrics->closed = closed;
	metrics->closed_userdata = userdata;
	serve_all(metrics, &metrics->served, NULL);
	serve_all(metrics, &metrics->waiting, NULL);
	metrics->page = cp_metrics_page_unref(metrics->page);
	uv_close((uv_handle_t *)&metrics->idle, handle_closed);
	uv_close((uv_handle_t *)&metrics->timer, handle_closed);
	cp_http_close(metrics->http, http_closed, metrics);
}
