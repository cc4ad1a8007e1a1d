/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/findings/findings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "controld/rpc/utf8.h"
#include "controld/runtime/ancestors.h"
#include "controld/runtime/message.h"
#include "shared/log.h"
#include "shared/util.h"

enum { TICK_MS = 1000 };

struct cp_findings {
	struct cp_findings_options options;
	uint64_t rate; /* of the configuration, which may be freed first */
	uint64_t burst;
	struct cp_runtime_store *store;
	struct cp_findings_sources *sources;
	/* Of the process that something was found of last: what floods is mostly
	 * one, and to ask for them is most of the work. */
	struct cp_runtime_ancestors ancestors;
	uint32_t pid;
	uint64_t start;
	uint64_t parent_start; /* detectors' events may not have it */
	uint64_t run;
	uint64_t n_made;
	struct cp_findings_stats stats; /* what rises of them */
	uv_timer_t wake; /* started: watchers are to be woken */
	uv_timer_t tick; /* started: something over a rate is to be told */
	unsigned int n_handles; /* that are not closed */
	void (*closed)(void *userdata);
	void *closed_userdata;
	LIST_HEAD(, cp_findings_watcher) watchers;
	struct cp_findings_watcher *next_watcher; /* while they are woken */
	LIST_HEAD(, cp_findings_listener) listeners;
	unsigned int n_watchers;
	int64_t lines_second;
	unsigned int n_lines; /* in that second */
};

static int64_t wall_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * (int64_t)SN_NS_PER_S + now.tv_nsec;
}

const char *cp_findings_name_severity(Sentinel__V1__Severity severity)
{
	static const char *const names[CP_FINDINGS_SOURCES_SEVERITIES] = {
		"unspecified", "debug", "info",	    "notice",
		"warning",     "error", "critical",
	};

	return names[severity];
}

/* Readers. */

static void wake_all(uv_timer_t *timer)
{
	struct cp_findings *findings = timer->data;
	struct cp_findings_watcher *watcher = LIST_FIRST(&findings->watchers);

	for (; watcher; watcher = findings->next_watcher) {
		findings->next_watcher = LIST_NEXT(watcher, link);
		watcher->woken(watcher);
	}
}

void cp_findings_watch(struct cp_findings *findings,
		       struct cp_findings_watcher *watcher)
{
	LIST_INSERT_HEAD(&findings->watchers, watcher, link);
	findings->n_watchers++;
}

void cp_findings_unwatch(struct cp_findings *findings,
			 struct cp_findings_watcher *watcher)
{
	if (findings->next_watcher == watcher)
		findings->next_watcher = LIST_NEXT(watcher, link);
	LIST_REMOVE(watcher, link);
	findings->n_watchers--;
}

void cp_findings_listen(struct cp_findings *findings,
			struct cp_findings_listener *listener)
{
	LIST_INSERT_HEAD(&findings->listeners, listener, link);
}

void cp_findings_unlisten(struct cp_findings_listener *listener)
{
	LIST_REMOVE(listener, link);
}

static void tell_listeners(const struct cp_findings *findings,
			   const Sentinel__V1__Finding *finding)
{
	struct cp_findings_listener *listener;

	LIST_FOREACH(listener, &findings->listeners, link)
		listener->found(listener, finding);
}

void cp_findings_count_missed(struct cp_findings *findings, uint64_t n)
{
	findings->stats.n_missed += n;
}

/* The store. */

static int store(struct cp_findings *findings, Sentinel__V1__Finding *finding)
{
	const struct cp_runtime_stored like = {
		.kind = (uint8_t)finding->severity,
		.is_configured = true,
		.n = finding->is_gap ? finding->gap : 1,
	};
	char uuid[CP_RUNTIME_MESSAGE_UUID_BYTES];
	int r;

	cp_runtime_message_uuid(findings->run, ++findings->n_made, uuid);
	finding->uuid = uuid;
	r = cp_runtime_store_put(findings->store, &finding->base, &like);
	if (r == 0 && !finding->is_gap)
		tell_listeners(findings, finding);
	finding->uuid = NULL;
	(void)uv_timer_start(&findings->wake, wake_all, 0, 0);
	return r;
}

static void put_source(Sentinel__V1__Finding *finding,
		       const struct cp_findings_source *source)
{
	if (source->kind == CP_FINDINGS_KIND_RULE)
		finding->rule = sn_borrow(source->name);
	else
		finding->detector = sn_borrow(source->name);
}

static void tell_limited(uv_timer_t *timer);

static void tell_later(struct cp_findings *findings)
{
	if (!uv_is_active((const uv_handle_t *)&findings->tick))
		(void)uv_timer_start(&findings->tick, tell_limited, TICK_MS, 0);
}

/* What was left out since the last time, where it is missing. */
static int tell_gap(struct cp_findings *findings,
		    struct cp_findings_source *source)
{
	Sentinel__V1__Finding finding;
	int r;

	if (source->n_untold == 0)
		return 0;
	sentinel__v1__finding__init(&finding);
	put_source(&finding, source);
	finding.time_ns = wall_now();
	finding.is_gap = true;
	finding.gap = source->n_untold;
	r = store(findings, &finding);
	if (r == 0)
		source->n_untold = 0;
	return r;
}

static void tell_limited(uv_timer_t *timer)
{
	struct cp_findings *findings = timer->data;
	struct cp_findings_source *source = NULL;

	while ((source = cp_findings_sources_next(findings->sources, source))) {
		if (tell_gap(findings, source) < 0)
			tell_later(findings);
	}
}

void cp_findings_drop(struct cp_findings *findings,
		      struct cp_findings_source *source)
{
	if (tell_gap(findings, source) < 0)
		findings->stats.n_lost += source->n_untold;
	cp_findings_sources_drop(findings->sources, source);
}

/* The log. */

static bool may_log(struct cp_findings *findings)
{
	int64_t second = (int64_t)(uv_hrtime() / SN_NS_PER_S);

	if (findings->lines_second != second) {
		findings->lines_second = second;
		findings->n_lines = 0;
	}
	if (findings->n_lines++ < CP_FINDINGS_LINES_PER_S)
		return true;
	findings->stats.n_unlogged++;
	return false;
}

static void log_finding(struct cp_findings *findings,
			const Sentinel__V1__Finding *finding)
{
	const char *name = cp_findings_name_severity(finding->severity);
	const char *whose = *finding->rule ? "rule" : "detector";
	const char *who = *finding->rule ? finding->rule : finding->detector;
	uint32_t pid = finding->event && finding->event->process ?
			       finding->event->process->pid :
			       0;

	if (!may_log(findings))
		return;
	if (findings->options.logs_names)
		sn_log(SN_LOG_INFO,
		       "finding severity=%s %s='%s' pid=%u text='%s'", name,
		       whose, who, pid, finding->text);
	else
		sn_log(SN_LOG_INFO, "finding severity=%s %s='%s' pid=%u", name,
		       whose, who, pid);
}

/* What is found. */

static int64_t time_of(const struct cp_findings_report *report)
{
	if (report->time_ns)
		return report->time_ns;
	return report->event ? report->event->time_ns : wall_now();
}

static void put_ancestors(struct cp_findings *findings,
			  const Sentinel__V1__RuntimeProcess *process,
			  Sentinel__V1__RuntimeProcess **ret,
			  Sentinel__V1__Finding *finding)
{
	struct cp_runtime_ancestors *ancestors = &findings->ancestors;
	const Sentinel__V1__RuntimeProcess *one;

	if (findings->pid != process->pid ||
	    findings->start != process->start_ns ||
	    findings->parent_start != process->parent_start_ns) {
		cp_runtime_ancestors_done(ancestors);
		cp_runtime_ancestors_init(ancestors, findings->options.runtime,
					  process);
		findings->pid = process->pid;
		findings->start = process->start_ns;
		findings->parent_start = process->parent_start_ns;
	}
	for (size_t i = 0; (one = cp_runtime_ancestors_get(ancestors, i));
	     i++) {
		(void)memcpy(&ret[i], &one, sizeof(one));
		finding->n_ancestors = i + 1;
	}
	finding->ancestors = ret;
}

static int make(struct cp_findings *findings,
		const struct cp_findings_report *report,
		const struct cp_findings_source *source)
{
	char text[CP_RPC_UTF8_ROOM(CP_FINDINGS_TEXT_MAX)];
	Sentinel__V1__RuntimeProcess *tree[CP_RUNTIME_ANCESTORS_MAX];
	const Sentinel__V1__RuntimeEvent *event = report->event;
	Sentinel__V1__Finding finding;
	bool is_changed;
	int r;

	sentinel__v1__finding__init(&finding);
	put_source(&finding, source);
	finding.time_ns = time_of(report);
	finding.severity = report->severity;
	(void)cp_rpc_utf8_copy(report->text,
			       strnlen(report->text, CP_FINDINGS_TEXT_MAX),
			       text, &is_changed);
	finding.text = text;
	(void)memcpy(&finding.tags, &report->tags, sizeof(finding.tags));
	finding.n_tags = report->n_tags;
	finding.score = report->score;
	finding.count = report->count;
	(void)memcpy(&finding.event, &event, sizeof(event));
	if (findings->options.runtime && event && event->process)
		put_ancestors(findings, event->process, tree, &finding);
	r = store(findings, &finding);
	if (r == 0)
		log_finding(findings, &finding);
	return r;
}

void cp_findings_put(struct cp_findings *findings,
		     const struct cp_findings_report *report)
{
	struct cp_findings_source *source = cp_findings_sources_need(
		findings->sources, report->kind, report->name);

	if (!source) {
		findings->stats.n_lost++;
		return;
	}
	if (!cp_findings_sources_admit(source, findings->rate, findings->burst,
				       uv_hrtime())) {
		findings->stats.n_limited++;
		tell_later(findings);
		return;
	}
	if (make(findings, report, source) < 0) {
		findings->stats.n_lost++;
		return;
	}
	source->n_found[report->severity]++;
	findings->stats.n_found++;
}

/* Life. */

static void free_findings(struct cp_findings *findings)
{
	cp_runtime_ancestors_done(&findings->ancestors);
	cp_runtime_store_free(findings->store);
	cp_findings_sources_free(findings->sources);
	free(findings);
}

int cp_findings_new(struct cp_findings **ret,
		    const struct cp_findings_options *options)
{
	struct cp_findings *findings = calloc(1, sizeof(*findings));
	int r;

	if (!findings)
		return -ENOMEM;
	findings->options = *options;
	cp_findings_reload(findings, options->config, options->logs_names);
	r = cp_runtime_store_new(&findings->store,
				 (size_t)options->config->memory_bytes);
	if (r == 0)
		r = cp_findings_sources_new(&findings->sources);
	if (r == 0 && getrandom(&findings->run, sizeof(findings->run), 0) !=
			      (ssize_t)sizeof(findings->run))
		r = -EIO;
	if (r < 0) {
		free_findings(findings);
		return r;
	}
	(void)uv_timer_init(options->loop, &findings->wake);
	(void)uv_timer_init(options->loop, &findings->tick);
	findings->wake.data = findings;
	findings->tick.data = findings;
	findings->n_handles = 2;
	*ret = findings;
	return 0;
}

static void handle_closed(uv_handle_t *handle)
{
	struct cp_findings *findings = handle->data;
	void (*closed)(void *userdata) = findings->closed;
	void *userdata = findings->closed_userdata;

	if (--findings->n_handles > 0)
		return;
	free_findings(findings);
	closed(userdata);
}

void cp_findings_close(struct cp_findings *findings,
		       void (*closed)(void *userdata), void *userdata)
{
	findings->closed = closed;
	findings->closed_userdata = userdata;
	uv_close((uv_handle_t *)&findings->wake, handle_closed);
	uv_close((uv_handle_t *)&findings->tick, handle_closed);
}

void cp_findings_reload(struct cp_findings *findings,
			const struct cp_config_detection *config,
			bool logs_names)
{
	findings->rate = config->rate;
	findings->burst = config->burst;
	findings->options.logs_names = logs_names;
}

const struct cp_runtime_store *
cp_findings_get_store(const struct cp_findings *findings)
{
	return findings->store;
}

uint64_t cp_findings_get_run(const struct cp_findings *findings)
{
	return findings->run;
}

struct cp_findings_sources *
cp_findings_get_sources(const struct cp_findings *findings)
{
	return findings->sources;
}

void cp_findings_get_stats(const struct cp_findings *findings,
			   struct cp_findings_stats *ret)
{
	const struct cp_runtime_store *store_of = findings->store;

	*ret = findings->stats;
	ret->n_watchers = findings->n_watchers;
	ret->n_held = cp_runtime_store_next(store_of).number -
		      cp_runtime_store_oldest(store_of).number;
	ret->n_held_bytes = cp_runtime_store_bytes(store_of);
}
