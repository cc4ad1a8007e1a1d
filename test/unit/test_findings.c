/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/findings/findings.h"

#include "controld/findings/sources.h"
#include "test/unit/t.h"

/* Findings without a kernel, and a reader. */
struct rig {
	uv_loop_t loop;
	struct cp_config_detection config;
	struct cp_findings *findings;
	struct cp_findings_watcher watcher;
	unsigned int n_woken;
};

static void woken(struct cp_findings_watcher *watcher)
{
	struct rig *rig = sn_container_of(watcher, struct rig, watcher);

	rig->n_woken++;
}

static void begin(struct rig *rig, uint64_t rate, uint64_t burst)
{
	struct cp_findings_options options = { .loop = &rig->loop };

	*rig = (struct rig){
		.config = { .memory_bytes = 1 << 16,
			    .rate = rate,
			    .burst = burst },
		.watcher.woken = woken,
	};
	options.config = &rig->config;
	t_eq(uv_loop_init(&rig->loop), 0);
	t_eq(cp_findings_new(&rig->findings, &options), 0);
	cp_findings_watch(rig->findings, &rig->watcher);
}

static void closed(void *userdata)
{
	*(bool *)userdata = true;
}

static void end(struct rig *rig)
{
	bool is_closed = false;

	cp_findings_unwatch(rig->findings, &rig->watcher);
	cp_findings_close(rig->findings, closed, &is_closed);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	t_true(is_closed);
	t_eq(uv_loop_close(&rig->loop), 0);
}

static void put(struct rig *rig, enum cp_findings_kind kind, const char *name)
{
	char tag[] = "container";
	char *tags[] = { tag };
	const struct cp_findings_report report = {
		.kind = kind,
		.name = name,
		.severity = SENTINEL__V1__SEVERITY__SEVERITY_ERROR,
		.text = "cat read /etc/shadow",
		.tags = tags,
		.n_tags = 1,
		.score = 0.5,
		.count = 1,
		.time_ns = 17,
	};

	cp_findings_put(rig->findings, &report);
}

static Sentinel__V1__Finding *read_next(struct rig *rig,
					struct cp_runtime_position *at)
{
	const struct cp_runtime_stored *stored;
	Sentinel__V1__Finding *finding;
	uint64_t n_lost;

	if (cp_runtime_store_read(cp_findings_get_store(rig->findings), at,
				  &stored, &n_lost) != 0)
		return NULL;
	finding = sentinel__v1__finding__unpack(NULL, stored->size,
						stored->bytes);
	t_not_null(finding);
	t_eq(stored->kind, finding->severity);
	return finding;
}

static void finding_is_held_as_it_was_put(void)
{
	Sentinel__V1__Finding *finding;
	struct cp_runtime_position at = { .number = 1 };
	struct rig rig;

	begin(&rig, 0, 1);
	put(&rig, CP_FINDINGS_KIND_RULE, "shadow");
	put(&rig, CP_FINDINGS_KIND_DETECTOR, "model");
	finding = read_next(&rig, &at);
	t_str_eq(finding->rule, "shadow");
	t_str_eq(finding->detector, "");
	t_str_eq(finding->text, "cat read /etc/shadow");
	t_eq(finding->severity, SENTINEL__V1__SEVERITY__SEVERITY_ERROR);
	t_eq(finding->time_ns, 17);
	t_eq(finding->n_tags, 1);
	t_str_eq(finding->tags[0], "container");
	t_eq(strlen(finding->uuid), 36);
	t_null(finding->event);
	sentinel__v1__finding__free_unpacked(finding, NULL);
	finding = read_next(&rig, &at);
	t_str_eq(finding->rule, "");
	t_str_eq(finding->detector, "model");
	sentinel__v1__finding__free_unpacked(finding, NULL);
	t_null(read_next(&rig, &at));
	end(&rig);
}

static void readers_are_woken_once_for_many_findings(void)
{
	struct rig rig;

	begin(&rig, 0, 1);
	for (int i = 0; i < 10; i++)
		put(&rig, CP_FINDINGS_KIND_RULE, "shadow");
	t_eq(rig.n_woken, 0);
	(void)uv_run(&rig.loop, UV_RUN_ONCE);
	t_eq(rig.n_woken, 1);
	end(&rig);
}

static void only_a_gap_is_next(struct rig *rig, struct cp_runtime_position *at,
			       uint64_t gap)
{
	Sentinel__V1__Finding *finding = read_next(rig, at);

	t_not_null(finding);
	t_true(finding->is_gap);
	t_eq(finding->gap, gap);
	t_str_eq(finding->rule, "loud");
	sentinel__v1__finding__free_unpacked(finding, NULL);
	t_null(read_next(rig, at));
}

static void what_is_over_a_rate_is_counted_and_told(void)
{
	struct cp_findings_stats stats;
	struct cp_runtime_position at = { .number = 0 };
	struct rig rig;

	begin(&rig, 1, 4);
	for (int i = 0; i < 10; i++)
		put(&rig, CP_FINDINGS_KIND_RULE, "loud");
	put(&rig, CP_FINDINGS_KIND_RULE, "quiet");
	cp_findings_get_stats(rig.findings, &stats);
	/* One more for each second that this took. */
	t_true(stats.n_found >= 5);
	t_eq(stats.n_found + stats.n_limited, 11);
	t_eq(stats.n_held, stats.n_found);
	at = cp_runtime_store_next(cp_findings_get_store(rig.findings));
	/* Ends when nothing is left to be told. */
	(void)uv_run(&rig.loop, UV_RUN_DEFAULT);
	only_a_gap_is_next(&rig, &at, stats.n_limited);
	end(&rig);
}

/* A rule that a reload removes before the second is over. */
static void what_a_dropped_source_left_out_is_told_first(void)
{
	struct cp_runtime_position at;
	struct cp_findings_sources *sources;
	struct cp_findings_stats stats;
	struct rig rig;

	begin(&rig, 1, 1);
	sources = cp_findings_get_sources(rig.findings);
	for (int i = 0; i < 10; i++)
		put(&rig, CP_FINDINGS_KIND_RULE, "loud");
	cp_findings_get_stats(rig.findings, &stats);
	t_true(stats.n_limited > 0);
	at = cp_runtime_store_next(cp_findings_get_store(rig.findings));
	cp_findings_drop(rig.findings,
			 cp_findings_sources_need(
				 sources, CP_FINDINGS_KIND_RULE, "loud"));
	t_null(cp_findings_sources_find(sources, CP_FINDINGS_KIND_RULE,
					"loud"));
	only_a_gap_is_next(&rig, &at, stats.n_limited);
	end(&rig);
}

static void text_that_is_no_utf_8_or_too_long_is_held_as_text(void)
{
	char text[3 * CP_FINDINGS_TEXT_MAX];
	struct cp_findings_report report = {
		.kind = CP_FINDINGS_KIND_DETECTOR,
		.name = "model",
		.text = text,
	};
	Sentinel__V1__Finding *finding;
	struct cp_runtime_position at = { .number = 1 };
	struct rig rig;

	(void)memset(text, 0xff, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	begin(&rig, 0, 1);
	cp_findings_put(rig.findings, &report);
	finding = read_next(&rig, &at);
	t_eq(strlen(finding->text), 3 * CP_FINDINGS_TEXT_MAX);
	t_mem_eq(finding->text, "\xef\xbf\xbd", 3);
	t_true(finding->time_ns > 0);
	sentinel__v1__finding__free_unpacked(finding, NULL);
	end(&rig);
}

/* Sources. */

static void rate_lets_a_burst_pass_and_then_one_at_a_time(void)
{
	struct cp_findings_source source = { .n_limited = 0 };
	uint64_t now = 5 * SN_NS_PER_S;

	for (int i = 0; i < 3; i++)
		t_true(cp_findings_sources_admit(&source, 2, 3, now));
	t_false(cp_findings_sources_admit(&source, 2, 3, now));
	now += SN_NS_PER_S / 2;
	t_true(cp_findings_sources_admit(&source, 2, 3, now));
	t_false(cp_findings_sources_admit(&source, 2, 3, now));
	now += 100 * SN_NS_PER_S;
	for (int i = 0; i < 3; i++)
		t_true(cp_findings_sources_admit(&source, 2, 3, now));
	t_false(cp_findings_sources_admit(&source, 2, 3, now));
	t_eq(source.n_limited, 3);
	t_eq(source.n_untold, 3);
}

static void sources_are_told_apart_by_kind_and_bounded(void)
{
	sn_cleanup(
		cp_findings_sources_freep) struct cp_findings_sources *sources =
		NULL;
	struct cp_findings_source *rule, *detector;
	char name[16];

	t_eq(cp_findings_sources_new(&sources), 0);
	rule = cp_findings_sources_need(sources, CP_FINDINGS_KIND_RULE, "a");
	detector = cp_findings_sources_need(sources, CP_FINDINGS_KIND_DETECTOR,
					    "a");
	t_true(rule != detector);
	t_true(cp_findings_sources_need(sources, CP_FINDINGS_KIND_RULE, "a") ==
	       rule);
	for (int i = 2; i < CP_FINDINGS_SOURCES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		t_not_null(cp_findings_sources_need(
			sources, CP_FINDINGS_KIND_RULE, name));
	}
	t_null(cp_findings_sources_need(sources, CP_FINDINGS_KIND_RULE, "b"));
	cp_findings_sources_drop(sources, rule);
	t_null(cp_findings_sources_find(sources, CP_FINDINGS_KIND_RULE, "a"));
	t_not_null(
		cp_findings_sources_need(sources, CP_FINDINGS_KIND_RULE, "b"));
}

T_MAIN("findings", finding_is_held_as_it_was_put,
       readers_are_woken_once_for_many_findings,
       what_is_over_a_rate_is_counted_and_told,
       what_a_dropped_source_left_out_is_told_first,
       text_that_is_no_utf_8_or_too_long_is_held_as_text,
       rate_lets_a_burst_pass_and_then_one_at_a_time,
       sources_are_told_apart_by_kind_and_bounded)
