/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/redact.h"

#include "controld/runtime/judge.h"
#include "test/unit/t.h"

static struct cp_runtime_redact *new_redact(void)
{
	struct cp_runtime_redact *redact = NULL;

	t_eq(cp_runtime_redact_new(&redact), 0);
	return redact;
}

/* Arguments as "a|b|c", told with a bar between them. */
static void expect(const struct cp_runtime_redact *redact, const char *given,
		   const char *expected)
{
	struct cp_runtime_redact_result *result = NULL;
	char bytes[2000], told[4000] = "";
	size_t size = strlen(given) + 1;

	(void)memcpy(bytes, given, size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(bytes[i] == '|' ? '\0' : bytes[i]);
	t_eq(cp_runtime_redact_apply(redact, bytes, size, &result), 0);
	for (size_t i = 0; i < result->n; i++) {
		(void)strcat(told, i ? "|" : "");
		(void)strcat(told, result->texts[i]);
	}
	t_str_eq(told, expected);
	free(result);
}

static void arguments_stay_as_they_are_without_patterns(void)
{
	sn_cleanup(cp_runtime_redact_freep) struct cp_runtime_redact *redact =
		new_redact();

	expect(redact, "ls|-l||/tmp", "ls|-l||/tmp");
	expect(redact, "caf\xc3\xa9|\xff", "caf\xc3\xa9|\xef\xbf\xbd");
}

static void what_matches_is_replaced_also_over_two_arguments(void)
{
	sn_cleanup(cp_runtime_redact_freep) struct cp_runtime_redact *redact =
		new_redact();
	struct sn_diag diag = { .text = "" };

	t_eq(cp_runtime_redact_add(redact, "--password[= ][^ ]*", &diag), 0);
	t_eq(cp_runtime_redact_add(redact, "AKIA[0-9A-Z]{16}", &diag), 0);
	expect(redact, "mysql|--password=hunter2|-u|root",
	       "mysql|[redacted]|-u|root");
	expect(redact, "mysql|--password|hunter2|-u|root",
	       "mysql|[redacted]|[redacted]|-u|root");
	expect(redact, "aws|k=AKIAABCDEFGHIJKLMNOP;x", "aws|k=[redacted];x");
	expect(redact, "a|--password=1|b|--password=2",
	       "a|[redacted]|b|[redacted]");
}

static void pattern_of_nothing_ends_and_hides_nothing(void)
{
	sn_cleanup(cp_runtime_redact_freep) struct cp_runtime_redact *redact =
		new_redact();
	struct sn_diag diag = { .text = "" };

	t_eq(cp_runtime_redact_add(redact, "z*", &diag), 0);
	expect(redact, "a|zz|b", "a|[redacted]|b");
}

static void patterns_without_a_bound_are_refused(void)
{
	static const char *const bad[] = { "(a)\\1", "(a{1,99}){1,99}", "(",
					   "[" };
	sn_cleanup(cp_runtime_redact_freep) struct cp_runtime_redact *redact =
		new_redact();

	for (size_t i = 0; i < SN_ARRAY_SIZE(bad); i++) {
		struct sn_diag diag = { .text = "" };

		t_eq(cp_runtime_redact_add(redact, bad[i], &diag),
		     CP_RUNTIME_REDACT_E_REFUSED);
		t_true(diag.text[0]);
	}
}

static void number_of_arguments_has_a_bound_that_is_told(void)
{
	sn_cleanup(cp_runtime_redact_freep) struct cp_runtime_redact *redact =
		new_redact();
	struct cp_runtime_redact_result *result = NULL;
	char bytes[SN_RT_ARGUMENTS_MAX];

	(void)memset(bytes, 0, sizeof(bytes));
	t_eq(cp_runtime_redact_apply(redact, bytes, sizeof(bytes), &result), 0);
	t_eq(result->n, CP_RUNTIME_REDACT_ARGUMENTS_MAX);
	t_true(result->is_cut);
	free(result);
}

/* Paths that were passed. */

static void cleans(const char *path, const char *expected)
{
	char room[256];
	size_t n = cp_runtime_judge_clean(
		(struct cp_runtime_bytes){ path, strlen(path) }, room);

	room[n] = '\0';
	t_str_eq(room, expected);
}

static void strings_are_judged_by_what_they_mean(void)
{
	cleans("/etc/passwd", "/etc/passwd");
	cleans("/tmp//x/../../etc/./passwd", "/etc/passwd");
	cleans("/../..", "");
	cleans("/", "");
	cleans("/a/..", "");
	cleans("/a/b/", "/a/b");
	cleans("/a/...", "/a/...");
}

struct raw {
	struct sn_rt_record head;
	char strings[512];
};

static struct cp_runtime_record renamed(struct raw *raw, const char *from,
					const char *to, uint32_t flags)
{
	struct cp_runtime_record record;
	size_t n = strlen(from), m = strlen(to);

	(void)memset(raw, 0, sizeof(*raw));
	raw->head = (struct sn_rt_record){
		.size = (uint32_t)((sizeof(raw->head) + n + m + 7) &
				   ~(size_t)7),
		.kind = SN_RT_KIND_EVENT,
		.event = SN_RT_EVENT_FILE_RENAME,
		.file = { .path_bytes = (uint16_t)n, .flags = flags },
		.file2 = { .path_bytes = (uint16_t)m, .flags = flags },
	};
	(void)memcpy(raw->strings, from, n);
	(void)memcpy(raw->strings + n, to, m);
	t_eq(cp_runtime_record_read(raw, raw->head.size, &record), 0);
	return record;
}

static void rename_is_wanted_by_either_of_its_names(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		NULL;
	struct sn_diag diag = { .text = "" };
	struct cp_runtime_record record;
	struct sn_rt_bits bits;
	struct raw raw;

	t_eq(cp_runtime_rules_new(&rules), 0);
	t_eq(cp_runtime_rules_add(rules, "etc", &diag), 0);
	t_eq(cp_runtime_rules_put_event(rules, "file_rename", &diag), 0);
	t_eq(cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH, "/etc", &diag),
	     0);
	record = renamed(&raw, "/tmp/x", "/etc/passwd", SN_RT_PATH_STRING);
	t_true(cp_runtime_judge(rules, &record, NULL, &bits));
	record = renamed(&raw, "/etc/passwd", "/tmp/x", SN_RT_PATH_STRING);
	t_true(cp_runtime_judge(rules, &record, NULL, &bits));
	record = renamed(&raw, "/etcetera/x", "/tmp/x", SN_RT_PATH_STRING);
	t_false(cp_runtime_judge(rules, &record, NULL, &bits));
	record = renamed(&raw, "/tmp/../etc/x", "/tmp/x", SN_RT_PATH_STRING);
	t_true(cp_runtime_judge(rules, &record, NULL, &bits));
	/* What was cut away may have been in /etc. */
	record = renamed(&raw, "rest", "/tmp/x", SN_RT_PATH_CUT);
	t_true(cp_runtime_judge(rules, &record, NULL, &bits));
	record = renamed(&raw, "/etc/x", "/tmp/x", SN_RT_PATH_TEXT);
	t_false(cp_runtime_judge(rules, &record, NULL, &bits));
}

T_MAIN("runtime_redact", arguments_stay_as_they_are_without_patterns,
       what_matches_is_replaced_also_over_two_arguments,
       pattern_of_nothing_ends_and_hides_nothing,
       patterns_without_a_bound_are_refused,
       number_of_arguments_has_a_bound_that_is_told,
       strings_are_judged_by_what_they_mean,
       rename_is_wanted_by_either_of_its_names)
