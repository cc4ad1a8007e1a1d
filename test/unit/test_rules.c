// SPDX-License-Identifier: Apache-2.0
#include "controld/rules/rules.h"

#include "shared/runtime.h"
#include "test/unit/test_rules_rig.h"

#define RULE(name, rest) "rules:\n  - name: " name "\n    " rest "\n"

static void small_form_is_read_as_it_is_published(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new("rules:\n"
			"  - name: capture-all-writes\n"
			"    enabled: true\n"
			"    event: file_write\n"
			"    match:\n"
			"      pathPrefixes: [\"/\"]\n"
			"      comms: [nginx]\n");
	const struct cp_rules_rule *rule = cp_rules_get(rig->rules, 0);

	t_eq(cp_rules_count(rig->rules), 1);
	t_str_eq(rule->name, "capture-all-writes");
	t_true(rule->enabled);
	t_eq(rule->severity, CP_RULES_SEVERITY_WARNING);
	t_eq(rule->events, SN_RT_EVENT_BIT(SN_RT_EVENT_FILE_WRITE));
	t_eq(rule->line, 2);
	t_eq(rule->n_tags, 0);
	t_str_eq(rule->description, "");

	t_eq(rig_opened(rig, "/srv/x"), 0);
	rig->event.event = rig_text("file_write");
	t_eq(rig_opened(rig, "/srv/x"), 0);
	rig->process.comm = rig_text("nginx");
	t_eq(rig_opened(rig, "/srv/x"), 1);
	t_eq(rig->hits[0].rule, 0);
	t_eq(rig->hits[0].count, 1);
	t_eq(rig_opened(rig, NULL), 0);
}

static void keys_are_joined_by_and_and_values_by_or(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new(RULE("x", "events: [file_open, file_read]\n"
				  "    match:\n"
				  "      path_prefixes: [/etc, /boot/]\n"
				  "      comms: [cat, tac]\n"
				  "      uids: [1000, 1001]\n"
				  "      executables: [/bin]\n"
				  "      cgroups: [/user.slice]\n"
				  "      results: [ok]"));

	t_eq(rig_opened(rig, "/etc/passwd"), 1);
	t_eq(rig_opened(rig, "/boot"), 1);
	t_eq(rig_opened(rig, "/bootx"), 0);
	t_eq(rig_opened(rig, "/home"), 0);
	rig->process.uid = 1002;
	t_eq(rig_opened(rig, "/etc"), 0);
	rig->process.uid = 1001;
	t_eq(rig_opened(rig, "/etc"), 1);
	rig->event.result = -13;
	t_eq(rig_opened(rig, "/etc"), 0);
	rig->event.result = 3;
	rig->executable.path = rig_text("/usr/bin/cat");
	t_eq(rig_opened(rig, "/etc"), 0);
	rig->executable.path = rig_text("/bin");
	rig->process.cgroup = rig_text("/user.slice2");
	t_eq(rig_opened(rig, "/etc"), 0);
	rig->process.cgroup = rig_text("/user.slice");
	rig->event.event = rig_text("file_read");
	t_eq(rig_opened(rig, "/etc"), 1);
	rig->event.event = rig_text("file_write");
	t_eq(rig_opened(rig, "/etc"), 0);
}

static void rule_without_match_hits_all_of_its_events(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new(RULE("x", "event: ptrace"));

	t_eq(rig_judge(rig), 0);
	rig->event.event = rig_text("ptrace");
	t_eq(rig_judge(rig), 1);
	rig->event.event = rig_text("ptraced");
	t_eq(rig_judge(rig), 0);
}

static void all_keys_of_paths_fit_one_of_two_paths(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		RULE("x", "event: file_rename\n"
			  "    match: {path_prefixes: [/etc], path_suffixes: "
			  "[.conf]}"));

	rig->event.event = rig_text("file_rename");
	rig->event.target = &rig->target;
	rig->target.path = rig_text("/tmp/b.conf");
	rig->target.inode = 3;
	t_eq(rig_opened(rig, "/etc/a"), 0);
	rig->target.path = rig_text("/etc/b.conf");
	t_eq(rig_opened(rig, "/tmp/a"), 1);
	rig->target.text = true;
	t_eq(rig_opened(rig, "/tmp/a"), 0);
	t_eq(rig_opened(rig, "/etc/a.conf"), 1);
}

static void whole_path_is_that_path_only(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(RULE(
		"x", "event: file_open\n    match: {paths: [/etc/shadow, /]}"));

	t_eq(rig_opened(rig, "/etc/shadow"), 1);
	t_eq(rig_opened(rig, "/"), 1);
	t_eq(rig_opened(rig, "/etc/shadow/x"), 0);
	t_eq(rig_opened(rig, "/etc"), 0);
	t_eq(rig_opened(rig, "memfd:x"), 0);
}

static void passed_string_is_cleaned(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(RULE(
		"x", "event: file_open\n    match: {paths: [/etc/shadow]}"));

	t_eq(rig_opened(rig, "/tmp/..//etc/./shadow"), 0);
	rig->file.as_passed = true;
	t_eq(rig_opened(rig, "/tmp/..//etc/./shadow"), 1);
	t_eq(rig_opened(rig, "/tmp/.../etc/shadow"), 0);
}

static void bytes_that_are_no_text_are_judged_as_they_are(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(RULE(
		"x",
		"event: file_open\n    match: {path_suffixes: [/shadow]}"));
	uint8_t raw[] = "/e\xff/shadow";

	rig->file.raw_path.data = raw;
	rig->file.raw_path.len = sizeof(raw) - 1;
	t_eq(rig_opened(rig, "/e\xef\xbf\xbd/shado"), 1);
}

static void what_is_not_known_fits_the_match_and_no_exception(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new(RULE("x", "event: file_open\n"
				  "    match: {path_prefixes: [/etc]}\n"
				  "    exceptions:\n"
				  "      - executables: [/usr/bin]"));

	t_eq(rig_opened(rig, "/etc/x"), 1);
	rig->executable.path = rig_text("/usr/bin/dpkg");
	t_eq(rig_opened(rig, "/etc/x"), 0);
	rig->process.executable = NULL;
	t_eq(rig_opened(rig, "/etc/x"), 1);
	/* The inode alone says that there is a file. */
	t_eq(rig_opened(rig, ""), 1);
	rig->file.cut = true;
	t_eq(rig_opened(rig, "c/x"), 1);
	rig->process.executable = &rig->executable;
	t_eq(rig_opened(rig, "c/x"), 0);
	rig->executable.cut = true;
	t_eq(rig_opened(rig, "c/x"), 1);
	rig->event.file = NULL;
	t_eq(rig_judge(rig), 0);
}

static void end_of_a_cut_path_is_known(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(RULE(
		"x", "event: file_open\n    match: {path_suffixes: [.key]}"));

	rig->file.cut = true;
	t_eq(rig_opened(rig, "x/y.key"), 1);
	t_eq(rig_opened(rig, "x/y.pem"), 0);
	/* Of a string the beginning is kept. */
	rig->file.as_passed = true;
	t_eq(rig_opened(rig, "x/y.pem"), 1);
}

static void any_exception_takes_an_event_out(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new(RULE("x", "event: file_open\n"
				  "    match: {path_prefixes: [/etc]}\n"
				  "    exceptions:\n"
				  "      - {paths: [/etc/hosts]}\n"
				  "      - {comms: [cat], uids: [0]}"));

	t_eq(rig_opened(rig, "/etc/passwd"), 1);
	t_eq(rig_opened(rig, "/etc/hosts"), 0);
	rig->process.uid = 0;
	t_eq(rig_opened(rig, "/etc/passwd"), 0);
	rig->process.comm = rig_text("tac");
	t_eq(rig_opened(rig, "/etc/passwd"), 1);
}

static void parent_is_asked_for_once_and_only_where_it_counts(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		"rules:\n"
		"  - name: a\n"
		"    event: process_exec\n"
		"    match: {paths: [/bin/sh], parent_comms: [nginx]}\n"
		"  - name: b\n"
		"    event: process_exec\n"
		"    match: {paths: [/bin/sh], parent_executables: [/opt]}\n");

	rig->event.event = rig_text("process_exec");
	t_eq(rig_opened(rig, "/bin/ls"), 0);
	t_eq(rig->n_asked, 0);
	rig->parent.comm = rig_text("nginx");
	t_eq(rig_opened(rig, "/bin/sh"), 1);
	t_eq(rig->n_asked, 1);
	rig->parent_executable.path = rig_text("/opt/nginx");
	t_eq(rig_opened(rig, "/bin/sh"), 2);
	t_eq(rig->n_asked, 2);
	rig->has_parent = false;
	t_eq(rig_opened(rig, "/bin/sh"), 0);
}

static void rule_that_is_off_hits_nothing(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new(RULE("x", "event: file_open\n    enabled: false"));
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *wanted =
		NULL;
	struct sn_diag diag;

	t_eq(rig_opened(rig, "/"), 0);
	t_eq(cp_rules_events(rig->rules), 0);
	t_eq(cp_runtime_rules_new(&wanted), 0);
	t_eq(cp_rules_put_wanted(rig->rules, wanted, NULL, &diag), 0);
	t_eq(cp_runtime_rules_count(wanted), 0);
}

static void event_without_a_process_hits_nothing(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new(RULE("x", "event: file_open"));

	rig->event.process = NULL;
	t_eq(rig_judge(rig), 0);
}

static void counts_outlive_a_set_by_the_name_of_the_rule(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new("rules:\n"
			"  - {name: a, event: file_open}\n"
			"  - {name: b, event: file_open}\n");
	sn_cleanup(cp_rules_unrefp) struct cp_rules *next = NULL;

	t_eq(rig_judge(rig), 2);
	rig->now_ns++;
	t_eq(rig_judge(rig), 2);
	rig_load(&next, "rules:\n"
			"  - {name: c, event: file_open}\n"
			"  - {name: b, event: file_open}\n");
	t_eq(cp_rules_state_put(rig->state, next), 0);
	t_true(cp_rules_state_get(rig->state) == next);
	t_eq(cp_rules_state_get_count(rig->state, 0).hits, 0);
	t_eq(cp_rules_state_get_count(rig->state, 0).last_ns, 0);
	t_eq(cp_rules_state_get_count(rig->state, 1).hits, 2);
	t_eq(cp_rules_state_get_count(rig->state, 1).last_ns,
	     RIG_EVENTS_NS + 1);
}

static uint64_t find_cgroup(const char *path)
{
	return strcmp(path, "/a") == 0 ? 42 : 0;
}

static void kernel_gets_what_it_can_decide(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new(RULE("x", "events: [file_open, file_read]\n"
				  "    match:\n"
				  "      path_prefixes: [/etc, /boot]\n"
				  "      path_suffixes: [.conf]\n"
				  "      cgroups: [/a]\n"
				  "      parent_comms: [sh]\n"
				  "      uids: [0]"));
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *wanted =
		NULL;
	const struct cp_runtime_rule *rule;
	struct sn_diag diag;
	size_t n_cgroups = 0;

	t_eq(cp_runtime_rules_new(&wanted), 0);
	t_eq(cp_runtime_rules_add(wanted, "x", &diag), 0);
	t_eq(cp_rules_put_wanted(rig->rules, wanted, find_cgroup, &diag), 0);
	t_eq(cp_runtime_rules_count(wanted), 2);
	rule = cp_runtime_rules_get(wanted, 1);
	t_str_eq(rule->name, "x");
	t_eq(rule->fields, 1U << SN_RT_FIELD_EVENT | 1U << SN_RT_FIELD_PATH |
				   1U << SN_RT_FIELD_CGROUP |
				   1U << SN_RT_FIELD_UID);
	t_eq(rule->n_terms, 6);
	for (size_t i = 0; i < rule->n_terms; i++) {
		if (rule->terms[i].field != SN_RT_FIELD_CGROUP)
			continue;
		t_eq(rule->terms[i].value[0], 42);
		n_cgroups++;
	}
	t_eq(n_cgroups, 1);
}

T_MAIN("rules", small_form_is_read_as_it_is_published,
       keys_are_joined_by_and_and_values_by_or,
       rule_without_match_hits_all_of_its_events,
       all_keys_of_paths_fit_one_of_two_paths, whole_path_is_that_path_only,
       passed_string_is_cleaned, bytes_that_are_no_text_are_judged_as_they_are,
       what_is_not_known_fits_the_match_and_no_exception,
       end_of_a_cut_path_is_known, any_exception_takes_an_event_out,
       parent_is_asked_for_once_and_only_where_it_counts,
       rule_that_is_off_hits_nothing, event_without_a_process_hits_nothing,
       counts_outlive_a_set_by_the_name_of_the_rule,
       kernel_gets_what_it_can_decide)
