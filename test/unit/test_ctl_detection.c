// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/detection.h"

#include "controld/ctl/commands.h"
#include "controld/ctl/lines.h"
#include "controld/rules/rules.h"
#include "test/unit/t.h"

enum { PATH_BYTES = 64 };

#define RULES                                             \
	"rules:\n"                                        \
	"  - name: shadow\n"                              \
	"    event: file_open\n"                          \
	"    severity: critical\n"                        \
	"    match: {paths: [/etc/shadow]}\n"             \
	"    output: '{process.comm} of {parent.comm}'\n" \
	"  - {name: off, event: mount, enabled: false}\n"

#define OPENED(path, more)                                        \
	"{\"event\": \"file_open\", \"process\": {\"pid\": 6, "   \
	"\"start_ns\": 8, \"comm\": \"cat\", \"parent_pid\": 5, " \
	"\"parent_start_ns\": 7}, \"file\": {\"path\": \"" path   \
	"\", \"inode\": 4}" more "}\n"

/* Two files, and what a run with them wrote. */
struct scene {
	char folder[PATH_BYTES];
	char rules[PATH_BYTES + 16];
	char events[PATH_BYTES + 16];
	char *out;
	char *errors;
	enum cp_ctl_exit exit;
};

static void put_file(const char *path, const char *text, size_t size)
{
	FILE *file = fopen(path, "we");

	t_not_null(file);
	t_eq(fwrite(text, 1, size, file), size);
	t_eq(fclose(file), 0);
}

static struct scene make(const char *rules, const char *events)
{
	struct scene scene = { .folder = "/tmp/sentinel-rules-XXXXXX" };

	t_not_null(mkdtemp(scene.folder));
	(void)snprintf(scene.rules, sizeof(scene.rules), "%s/rules.yaml",
		       scene.folder);
	(void)snprintf(scene.events, sizeof(scene.events), "%s/events",
		       scene.folder);
	put_file(scene.rules, rules, strlen(rules));
	put_file(scene.events, events, strlen(events));
	return scene;
}

static void done(struct scene *scene)
{
	(void)unlink(scene->rules);
	(void)unlink(scene->events);
	(void)rmdir(scene->folder);
	free(scene->out);
	free(scene->errors);
}

/* word: "check" or "test". */
static void run(struct scene *scene, const char *word, bool json)
{
	const char *args[] = { "sentinelctl",
			       "rules",
			       word,
			       scene->rules,
			       strcmp(word, "test") == 0 ? scene->events : NULL,
			       json && strcmp(word, "test") == 0 ? "-ojson" :
								   NULL,
			       NULL };
	char *argv[SN_ARRAY_SIZE(args)];
	size_t out_size, errors_size;
	FILE *out = open_memstream(&scene->out, &out_size);
	FILE *errors = open_memstream(&scene->errors, &errors_size);
	int argc = 0;

	t_true(out && errors);
	for (; args[argc]; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc];
	argv[argc] = NULL;
	scene->exit = cp_ctl_commands_run(argc, argv, NULL, out, errors);
	(void)fclose(out);
	(void)fclose(errors);
}

static void check_counts_rules(void)
{
	struct scene scene = make(RULES, "");

	run(&scene, "check", false);
	t_eq(scene.exit, CP_CTL_EXIT_OK);
	t_not_null(strstr(scene.out, ": 2 rules, 1 of them enabled\n"));
	t_str_eq(scene.errors, "");
	done(&scene);
}

static void check_names_rules_that_want_every_access(void)
{
	struct scene scene = make(
		"rules:\n"
		"- {name: a, event: file_open, match: {results: [ok]}}\n"
		"- {name: b, event: file_read, match: {path_globs: ['**/x']}}\n"
		"- {name: c, event: file_read, match: {path_globs: ['/x/*']}}\n"
		"- {name: d, event: file_write, match: {uids: [0]}}\n"
		"- {name: e, event: ptrace}\n"
		"- {name: f, event: file_open, enabled: false}\n",
		"");
	const char *at;

	run(&scene, "check", false);
	t_eq(scene.exit, CP_CTL_EXIT_OK);
	at = strchr(scene.out, '\n');
	t_str_eq(
		at,
		"\nrule 'a' has no key by which the kernel decides: every "
		"access of the host becomes an event\n"
		"rule 'b' has no key by which the kernel decides: every access "
		"of the host becomes an event\n");
	done(&scene);
}

static void check_says_where(void)
{
	struct scene scene = make("rules:\n  - {name: x, event: y}\n", "");

	run(&scene, "check", false);
	t_eq(scene.exit, CP_CTL_EXIT_FAILED);
	t_not_null(strstr(scene.errors, "rules.yaml:2: rule 'x': events: there "
					"is no event 'y'\n"));
	done(&scene);
}

static void test_prints_hits_and_how_right_they_are(void)
{
	struct scene scene = make(
		RULES, "{\"event\": \"gap\", \"process\": null, \"gap\": 3, "
		       "\"gap_cause\": \"ring\"}\n"
		       "{\"event\": \"file_read\", \"process\": {\"pid\": 5, "
		       "\"start_ns\": 7, \"comm\": \"bash\"}}\n" OPENED(
			       "/etc/shadow", ", \"expected\": [\"shadow\"]")
			       OPENED("/etc/passwd", ", \"expected\": []"));

	run(&scene, "test", false);
	t_str_eq(scene.errors, "");
	t_eq(scene.exit, CP_CTL_EXIT_OK);
	t_str_eq(scene.out, "LINE  SEVERITY  RULE    TEXT\n"
			    "3     critical  shadow  cat of bash\n"
			    "\n"
			    "RULE    EXPECTED  HIT  RIGHT  PRECISION  RECALL\n"
			    "shadow  1         1    1      1.000      1.000\n"
			    "(all)   1         1    1      1.000      1.000\n"
			    "\n"
			    "3 events, 1 hits\n");
	done(&scene);
}

static void test_fails_if_a_line_expects_otherwise(void)
{
	struct scene scene = make(
		RULES, OPENED("/etc/shadow", ", \"expected\": []")
			       OPENED("/etc/x", ", \"expected\": [\"shadow\"]")
				       OPENED("/etc/shadow", ""));

	run(&scene, "test", true);
	t_eq(scene.exit, CP_CTL_EXIT_FAILED);
	t_str_eq(scene.out,
		 "{\"line\":1,\"rule\":\"shadow\",\"severity\":\"critical\","
		 "\"text\":\"cat of -\",\"count\":1}\n"
		 "{\"line\":3,\"rule\":\"shadow\",\"severity\":\"critical\","
		 "\"text\":\"cat of -\",\"count\":1}\n"
		 "{\"events\":3,\"hits\":2,\"expecting\":2,\"wrong\":2,"
		 "\"precision\":0.0,\"recall\":0.0}\n");
	t_str_eq(scene.errors, "sentinelctl: rules: 2 of 2 lines did not hit "
			       "what they expect\n");
	done(&scene);
}

static void refuses(const char *events, const char *why)
{
	struct scene scene = make(RULES, events);
	char expected[256];

	run(&scene, "test", false);
	t_eq(scene.exit, CP_CTL_EXIT_FAILED);
	(void)snprintf(expected, sizeof(expected),
		       "sentinelctl: rules: %s:%s\n", scene.events, why);
	t_str_eq(scene.errors, expected);
	done(&scene);
}

static void lines_that_are_no_events_are_refused(void)
{
	refuses(OPENED("/a", "") "x\n", "2: '[' or '{' expected near 'x'");
	refuses("[]\n", "1: the line is no JSON object");
	refuses(OPENED("/a", ", \"expected\": [\"y\"]"),
		"1: there is no rule 'y'");
	refuses(OPENED("/a", ", \"expected\": 1"), "1: 'expected' is no list");
	refuses(OPENED("/a", ", \"nothing\": 1"), "1: nothing: is not known");
	refuses("{\"process\": {\"executable\": {\"raw_path\": \"x1\"}}}\n",
		"1: raw_path is no hex");
}

static void longest_line_has_a_mebibyte(void)
{
	struct scene scene = make(RULES, "");
	size_t size = CP_CTL_LINES_BYTES_MAX + 1;
	char *text = malloc(size);

	t_not_null(text);
	(void)memset(text, ' ', size);
	put_file(scene.events, text, size);
	run(&scene, "test", false);
	t_not_null(strstr(scene.errors, ":1: the line is longer than 1 MiB\n"));
	free(text);
	done(&scene);
}

static void bytes_are_read_back_from_hex(void)
{
	static const char *const hex[] = { "",	     "2f",	 "2fff",
					   "2fff00", "2fff0061", "2fff006162" };
	char line[256];

	for (size_t i = 1; i < SN_ARRAY_SIZE(hex); i++) {
		sn_cleanup(cp_ctl_lines_closep) struct cp_ctl_lines *lines =
			NULL;
		struct cp_ctl_lines_event event;
		struct scene scene;

		(void)snprintf(line, sizeof(line),
			       "{\"process\": {}, \"file\": {\"raw_path\": "
			       "\"%s\"}}",
			       hex[i]);
		scene = make("", line);
		t_eq(cp_ctl_lines_open(&lines, scene.events), 0);
		t_eq(cp_ctl_lines_read(lines, &event), 0);
		t_eq(event.message->file->raw_path.len, i);
		t_mem_eq(event.message->file->raw_path.data, "/\xff\0ab", i);
		t_eq(cp_ctl_lines_read(lines, &event), CP_CTL_LINES_E_END);
		done(&scene);
	}
}

#define DEFAULT "etc/rules.yaml"
#define CORPUS	"test/golden/rules/events.jsonl"

/* Is there a line of the corpus that begins so, for this rule? */
static bool has_line(const char *what, const char *rule)
{
	char line[2048], wanted[128];
	FILE *file = fopen(CORPUS, "re");
	bool is_there = false;

	t_not_null(file);
	(void)snprintf(wanted, sizeof(wanted), "{\"uuid\": \"%s %s\",", what,
		       rule);
	while (!is_there && fgets(line, sizeof(line), file))
		is_there = strncmp(line, wanted, strlen(wanted)) == 0;
	(void)fclose(file);
	return is_there;
}

static void each_default_rule_hits_what_does_it_and_not_what_nearly_does(void)
{
	sn_cleanup(cp_rules_unrefp) struct cp_rules *rules = NULL;
	struct scene scene = { .rules = DEFAULT, .events = CORPUS };
	struct sn_diag diag;

	t_eq(cp_rules_load_file(&rules, DEFAULT, &diag), 0);
	t_true(cp_rules_count(rules) > 20);
	for (size_t i = 0; i < cp_rules_count(rules); i++) {
		const char *name = cp_rules_get(rules, i)->name;

		t_true(cp_rules_get(rules, i)->enabled);
		if (!has_line("does", name) || !has_line("near", name))
			t_fail("no events for %s", name);
	}
	run(&scene, "test", false);
	(void)fputs(strstr(scene.out, "\nRULE "), stdout);
	t_str_eq(scene.errors, "");
	t_eq(scene.exit, CP_CTL_EXIT_OK);
	free(scene.out);
	free(scene.errors);
}

T_MAIN("ctl_detection",
       each_default_rule_hits_what_does_it_and_not_what_nearly_does,
       check_counts_rules, check_names_rules_that_want_every_access,
       check_says_where, test_prints_hits_and_how_right_they_are,
       test_fails_if_a_line_expects_otherwise,
       lines_that_are_no_events_are_refused, longest_line_has_a_mebibyte,
       bytes_are_read_back_from_hex)
