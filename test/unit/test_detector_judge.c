/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/detector/judge.h"

#include "shared/util.h"
#include "test/unit/t.h"

enum { PAIRS_MAX = 8 };

static struct {
	Sentinel__V1__EventEnvelope event;
	Sentinel__V1__EventEnvelope__DataEntry pairs[PAIRS_MAX];
	Sentinel__V1__EventEnvelope__DataEntry *pointers[PAIRS_MAX];
	struct cp_detector_judge_verdict verdict;
} scene;

static const struct cp_detector_judge_rules rules = {
	.sensitive = { "/etc", "/usr/bin" },
	.n_sensitive = 2,
	.bytes_max = 1000,
	.usual = { "nginx", "cron" },
	.n_usual = 2,
};

/* pairs: key, value, ..., NULL. */
static bool judge(const char *type, const char *const *pairs)
{
	size_t n = 0;

	sentinel__v1__event_envelope__init(&scene.event);
	scene.event.event_type = (char *)(uintptr_t)type;
	scene.event.data = scene.pointers;
	for (; pairs[2 * n]; n++) {
		sentinel__v1__event_envelope__data_entry__init(&scene.pairs[n]);
		scene.pairs[n].key = (char *)(uintptr_t)pairs[2 * n];
		scene.pairs[n].value = (char *)(uintptr_t)pairs[2 * n + 1];
		scene.pointers[n] = &scene.pairs[n];
	}
	scene.event.n_data = n;
	cp_detector_judge(&rules, &scene.event, &scene.verdict);
	return scene.verdict.is_anomaly;
}

#define T_JUDGE(type, ...) \
	judge(type, (const char *const[]){ __VA_ARGS__, NULL })

static void writes_below_sensitive_paths_are_anomalies(void)
{
	t_true(T_JUDGE("file_write", "filename", "/etc/hosts", "comm",
		       "nginx"));
	t_str_eq(scene.verdict.reason,
		 "file_write below /etc: /etc/hosts by nginx");
	t_true(scene.verdict.score > 0.8 && scene.verdict.score <= 1);
	t_true(T_JUDGE("file_rename", "filename", "/tmp/x", "target",
		       "/usr/bin/ls", "comm", "nginx"));
	t_str_eq(scene.verdict.reason,
		 "file_rename below /usr/bin: /usr/bin/ls by nginx");
	t_true(T_JUDGE("file_chmod", "filename", "/etc", "comm", "nginx"));
}

static void what_is_no_change_or_elsewhere_is_none(void)
{
	t_false(T_JUDGE("file_open", "filename", "/etc/hosts", "comm",
			"nginx"));
	t_false(T_JUDGE("file_write", "filename", "/etcetera", "comm",
			"nginx"));
	t_false(T_JUDGE("file_write", "filename", "etc/hosts", "comm",
			"nginx"));
	t_false(T_JUDGE("file_write", "comm", "nginx"));
	t_str_eq(scene.verdict.reason, "");
	t_true(scene.verdict.score == 0);
}

static void many_bytes_are_an_anomaly(void)
{
	t_true(T_JUDGE("file_read", "filename", "/srv/a", "bytes", "1001",
		       "comm", "nginx"));
	t_str_eq(scene.verdict.reason,
		 "file_read of 1001 bytes: /srv/a by nginx");
	t_false(T_JUDGE("file_read", "bytes", "1000", "comm", "nginx"));
	t_false(T_JUDGE("file_read", "bytes", "-5", "comm", "nginx"));
	t_false(T_JUDGE("file_read", "bytes", "99999999999999999999999", "comm",
			"nginx"));
	t_false(T_JUDGE("file_read", "bytes", "2000x", "comm", "nginx"));
}

static void unusual_processes_are_anomalies(void)
{
	t_true(T_JUDGE("process_exec", "comm", "xmrig"));
	t_str_eq(scene.verdict.reason,
		 "process_exec by an unusual process: xmrig");
	t_false(T_JUDGE("process_exec", "comm", "cron"));
	t_false(T_JUDGE("process_exec", "pid",
			"7")); /* its name is not known */
}

static void reasons_are_plain_text(void)
{
	char path[600] = "/etc/a\x1b[2J\n";

	/* The cut is in the middle of a character. */
	for (size_t n = strlen(path); n + 2 < sizeof(path); n += 2)
		(void)memcpy(path + n, "\xc3\xa9", 3);
	t_true(T_JUDGE("file_write", "filename", path, "comm", "x"));
	t_not_null(strstr(scene.verdict.reason, "/etc/a?[2J?\xc3\xa9"));
	t_not_null(strstr(scene.verdict.reason, "\xef\xbf\xbd by x"));
	t_true(strlen(scene.verdict.reason) < 500);
}

T_MAIN("detector_judge", writes_below_sensitive_paths_are_anomalies,
       what_is_no_change_or_elsewhere_is_none, many_bytes_are_an_anomaly,
       unusual_processes_are_anomalies, reasons_are_plain_text)
