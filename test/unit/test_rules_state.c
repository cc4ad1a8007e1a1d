// SPDX-License-Identifier: Apache-2.0
#include "controld/rules/state.h"

#include "controld/rules/windows.h"
#include "test/unit/test_rules_rig.h"

#define RATE(by)                                      \
	"rules:\n  - name: x\n    event: file_open\n" \
	"    rate: {count: 3, window: 1s, by: " by "}\n    output: x\n"

static void says(const char *output, const char *expected)
{
	char text[CP_RULES_STATE_TEXT_BYTES];
	sn_cleanup(rig_freep) struct rig *rig = NULL;

	(void)snprintf(text, sizeof(text),
		       "rules:\n  - name: x\n    event: file_open\n"
		       "    output: '%s'\n",
		       output);
	rig = rig_new(text);
	rig->parent.comm = rig_text("bash");
	rig->event.result = -13;
	rig->process.start_ns = UINT64_MAX;
	rig->event.summed = true;
	rig->event.gap_cause = SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_RING;
	t_eq(rig_opened(rig, "/a\n\xc2\x9b\xff\xc3\xa4"), 1);
	t_str_eq(rig->text[0], expected);
}

static void output_has_fields_of_the_event(void)
{
	says("plain", "plain");
	says("{process.comm} opens {file.path}",
	     "cat opens /a\\x0a\\xc2\\x9b\\xff\xc3\xa4");
	says("{{{event}}", "{file_open}");
	says("{result} {process.uid} {process.start_ns} {summed}",
	     "-13 1000 18446744073709551615 true");
	says("{process.executable.path} {parent.executable.path}",
	     "/bin/cat /bin/sh");
	says("{parent.comm} {gap_cause} {arguments}",
	     "bash RUNTIME_CUT_RING -");
	says("{remote.address} {call} {target.path}.", "- - -.");
}

static void output_has_a_text_of_its_own(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new("rules: [{name: x, event: file_open}]");

	t_eq(rig_opened(rig, "/etc"), 1);
	t_str_eq(rig->text[0], "file_open by cat (pid 100, uid 1000): /etc");
}

static void output_joins_arguments(void)
{
	char *arguments[] = { rig_text("rm"), rig_text("-r") };
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		"rules: [{name: x, event: file_open, output: '{arguments}'}]");

	rig->event.arguments = arguments;
	rig->event.n_arguments = 2;
	t_eq(rig_judge(rig), 1);
	t_str_eq(rig->text[0], "rm -r");
}

static void output_is_cut_between_characters(void)
{
	char path[2 * CP_RULES_STATE_TEXT_BYTES] = "/x";
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		"rules: [{name: x, event: file_open, output: '{file.path}'}]");

	for (size_t i = 1; i + 2 < sizeof(path); i += 2)
		(void)memcpy(path + i, "\xc3\xa4", 3);
	t_eq(rig_opened(rig, path), 1);
	t_eq(strlen(rig->text[0]), CP_RULES_STATE_TEXT_BYTES - 1);
	t_mem_eq(rig->text[0], path, CP_RULES_STATE_TEXT_BYTES - 1);
	path[0] = '\xc3';
	t_eq(rig_opened(rig, path), 1);
	t_true(strlen(rig->text[0]) < CP_RULES_STATE_TEXT_BYTES);
}

static void rate_is_a_count_in_any_window(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(RATE("[uid]"));

	rig->now_ns = 0;
	t_eq(rig_judge(rig), 0);
	rig->now_ns = 900000000;
	t_eq(rig_judge(rig), 0);
	/* The first is out of the window of this one. */
	rig->now_ns = 1000000001;
	t_eq(rig_judge(rig), 0);
	rig->now_ns = 1900000000;
	t_eq(rig_judge(rig), 1);
	t_eq(rig->hits[0].count, 3);
	/* What was told counts no more. */
	t_eq(rig_judge(rig), 0);
	t_eq(rig_judge(rig), 0);
	t_eq(rig_judge(rig), 1);
	t_eq(cp_rules_state_get_count(rig->state, 0).hits, 2);
}

static void rate_counts_by_its_keys(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		RATE("[process, executable, uid, cgroup, container, path]"));

	for (int round = 0; round < 2; round++) {
		t_eq(rig_opened(rig, "/a"), 0);
		rig->process.uid++;
		t_eq(rig_opened(rig, "/a"), 0);
		rig->process.uid--;
		rig->process.start_ns++;
		t_eq(rig_opened(rig, "/a"), 0);
		rig->process.start_ns--;
		rig->process.cgroup_id++;
		t_eq(rig_opened(rig, "/a"), 0);
		rig->process.cgroup_id--;
		rig->process.container_id = rig_text("1");
		t_eq(rig_opened(rig, "/a"), 0);
		rig->process.container_id = rig_text("");
		rig->executable.path = rig_text("/bin/x");
		t_eq(rig_opened(rig, "/a"), 0);
		rig->executable.path = rig_text("/bin/cat");
		t_eq(rig_opened(rig, "/b"), 0);
	}
	t_eq(rig_opened(rig, "/a"), 1);
	t_eq(rig_opened(rig, "/a"), 0);
	t_eq(rig_opened(rig, "/b"), 1);
}

static void rate_outlives_a_set(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(RATE("[uid]"));
	sn_cleanup(cp_rules_unrefp) struct cp_rules *next = NULL;

	t_eq(rig_judge(rig), 0);
	t_eq(rig_judge(rig), 0);
	rig_load(&next, RATE("[uid]"));
	t_eq(cp_rules_state_put(rig->state, next), 0);
	t_eq(rig_judge(rig), 1);
}

static void windows_are_bounded_and_the_oldest_goes(void)
{
	enum { BOUND = 4, BYTES = 100000 };
	sn_cleanup(cp_rules_windows_freep) struct cp_rules_windows *windows =
		NULL;

	t_eq(cp_rules_windows_new(&windows, BOUND, BYTES), 0);
	for (uint64_t key = 0; key < BOUND; key++)
		t_false(cp_rules_windows_put(windows, key, 2, 10, 0));
	t_eq(cp_rules_windows_forgotten(windows), 0);
	/* 0 is younger than 1 now, which makes room. */
	t_true(cp_rules_windows_put(windows, 0, 2, 10, 1));
	t_false(cp_rules_windows_put(windows, 9, 2, 10, 1));
	t_eq(cp_rules_windows_forgotten(windows), 1);
	t_true(cp_rules_windows_put(windows, 2, 2, 10, 1));
	t_false(cp_rules_windows_put(windows, 1, 2, 10, 1));
}

static void windows_are_bounded_by_their_bytes(void)
{
	enum { BYTES = 10000, TIMES = 256 };
	sn_cleanup(cp_rules_windows_freep) struct cp_rules_windows *windows =
		NULL;

	t_eq(cp_rules_windows_new(&windows, 1000, BYTES), 0);
	for (uint64_t key = 0; key < 100; key++)
		t_false(cp_rules_windows_put(windows, key, TIMES, 10, 0));
	t_eq(cp_rules_windows_forgotten(windows), 96);
}

static void another_rate_begins_anew(void)
{
	sn_cleanup(cp_rules_windows_freep) struct cp_rules_windows *windows =
		NULL;

	t_eq(cp_rules_windows_new(&windows, 10, 10000), 0);
	t_false(cp_rules_windows_put(windows, 7, 2, 10, 0));
	t_false(cp_rules_windows_put(windows, 7, 3, 10, 0));
	t_false(cp_rules_windows_put(windows, 7, 3, 10, 0));
	t_true(cp_rules_windows_put(windows, 7, 3, 10, 0));
}

T_MAIN("rules_state", output_has_fields_of_the_event,
       output_has_a_text_of_its_own, output_joins_arguments,
       output_is_cut_between_characters, rate_is_a_count_in_any_window,
       rate_counts_by_its_keys, rate_outlives_a_set,
       windows_are_bounded_and_the_oldest_goes,
       windows_are_bounded_by_their_bytes, another_rate_begins_anew)
