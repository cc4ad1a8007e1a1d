// SPDX-License-Identifier: Apache-2.0
#include "controld/rules/file.h"

#include "test/unit/test_rules_rig.h"

static char *refuse(const char *text, size_t size)
{
	static char shown[SN_DIAG_FILE_BYTES + SN_DIAG_TEXT_BYTES];
	struct sn_diag diag = { .text = "" };
	struct cp_rules *rules = NULL;

	t_eq(cp_rules_load(&rules, text, size, "rules.yaml", &diag),
	     CP_RULES_E_REFUSED);
	t_null(rules);
	return sn_diag_format(&diag, shown, sizeof(shown));
}

static void refuses(const char *text, const char *why)
{
	t_str_eq(refuse(text, strlen(text)), why);
}

static void refuses_rule(const char *rest, const char *why)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "rules:\n  - name: x\n    %s\n",
		       rest);
	refuses(text, why);
}

static void names_file_and_line_of_what_is_wrong(void)
{
	refuses("", "rules.yaml: key 'rules' is missing");
	refuses("rule: []", "rules.yaml:1: unknown key 'rule'; did you mean "
			    "'rules'?");
	refuses_rule("event: file_opne",
		     "rules.yaml:2: rule 'x': events: there is no event "
		     "'file_opne'");
	refuses_rule("events: [file_open,\n      file_opne]",
		     "rules.yaml:4: rule 'x': events: there is no event "
		     "'file_opne'");
	refuses_rule(
		"severity: bad",
		"rules.yaml:3: rules[0].severity: 'bad' is not one of debug, "
		"info, notice, warning, error, critical");
	refuses_rule(
		"event: file_open\n    match:\n      paths:\n"
		"        - /etc\n        - etc",
		"rules.yaml:7: rule 'x': match.paths: a path prefix begins "
		"with a slash: 'etc'");
	refuses_rule("event: file_open\n    exceptions:\n      - results:\n"
		     "        - no",
		     "rules.yaml:6: rule 'x': exceptions.results: 'no' is none "
		     "of ok, failed");
	refuses_rule("event: file_open\n    match: {uids: [-1]}",
		     "rules.yaml:4: rule 'x': match.uids: '-1' is no number of "
		     "a user");
	refuses_rule("event: file_open\n    match: {parent_comms: "
		     "[0123456789abcdef]}",
		     "rules.yaml:4: rule 'x': match.parent_comms: "
		     "'0123456789abcdef' is no process name: it has 1 to 15 "
		     "bytes");
}

static void refuses_what_says_nothing(void)
{
	refuses_rule("match: {}",
		     "rules.yaml:2: rules[0]: needs one of 'event' and "
		     "'events'");
	refuses_rule("event: file_open\n    events: [file_open]",
		     "rules.yaml:2: rules[0]: needs one of 'event' and "
		     "'events'");
	refuses_rule("events: []",
		     "rules.yaml:3: rules[0].events: has 0 elements, must have "
		     "at least 1");
	refuses_rule("event: file_open\n    match: {comms: []}",
		     "rules.yaml:4: rules[0].match.comms: has 0 elements, must "
		     "have at least 1");
	refuses_rule("event: file_open\n    exceptions: []",
		     "rules.yaml:4: rules[0].exceptions: has 0 elements, must "
		     "have at least 1");
}

static void refuses_one_key_in_two_spellings(void)
{
	refuses_rule("event: file_open\n"
		     "    match: {pathPrefixes: [/a], path_prefixes: [/b]}",
		     "rules.yaml:4: rules[0].match: key 'path_prefixes' is "
		     "given as 'pathPrefixes' too");
}

static void refuses_two_rules_of_one_name(void)
{
	refuses("rules:\n"
		"  - {name: a, event: ptrace}\n"
		"  - {name: b, event: ptrace}\n"
		"  - {name: a, event: mount}\n",
		"rules.yaml:4: rules[2].name: the one in line 2 is 'a' too");
}

static void refuses_texts_over_a_mebibyte(void)
{
	enum { BYTES = 10 << 20 };
	char *text = malloc(BYTES);

	t_not_null(text);
	(void)memset(text, '#', BYTES);
	t_not_null(strstr(refuse(text, BYTES), "1048576"));
	free(text);
}

static void refuses_too_many_rules(void)
{
	size_t n = 0, room = (CP_RULES_MAX + 1) * 64 + 16;
	char *text = malloc(room);

	t_not_null(text);
	n += (size_t)snprintf(text, room, "rules:\n");
	for (int i = 0; i <= CP_RULES_MAX; i++)
		n += (size_t)snprintf(text + n, room - n,
				      "- {name: r%d, event: ptrace}\n", i);
	t_str_eq(refuse(text, n), "rules.yaml:2: rules: has 1025 elements, "
				  "must have at most 1024");
	free(text);
}

static void refuses_what_names_what_comes_later(void)
{
	refuses("macros:\n"
		"  - {name: a, match: {use: [b]}}\n"
		"  - {name: b, match: {use: [a]}}\n"
		"rules: []\n",
		"rules.yaml:2: macro 'a': match.use: there is no macro 'b' "
		"before this");
	refuses("macros:\n"
		"  - {name: a, match: {use_any: [a]}}\n"
		"rules: []\n",
		"rules.yaml:2: macro 'a': match.use_any: there is no macro 'a' "
		"before this");
	refuses("lists:\n"
		"  - name: a\n"
		"    items:\n"
		"      - $a\n"
		"rules: []\n",
		"rules.yaml:4: list 'a': items: there is no list 'a' before "
		"this");
	refuses_rule(
		"event: mount\n    match: {comms: [$x]}",
		"rules.yaml:4: rule 'x': match.comms: there is no list 'x' "
		"before this");
}

static void refuses_lists_that_grow_without_end(void)
{
	char text[4096] = "lists:\n- {name: l0, items: [/a, /b]}\n";
	size_t n = strlen(text);

	for (int i = 1; i < 40; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "- {name: l%d, items: [$l%d, $l%d]}\n", i,
				      i - 1, i - 1);
	(void)snprintf(text + n, sizeof(text) - n, "rules: []\n");
	refuses(text, "rules.yaml:17: list 'l15': items: there are more than "
		      "65536 values with what lists include");
}

static void refuses_more_patterns_than_have_room(void)
{
	size_t n, room = 65536;
	char *text = malloc(room);

	t_not_null(text);
	n = (size_t)snprintf(text, room,
			     "rules:\n- name: x\n  event: mount\n  match:\n"
			     "    path_globs:\n");
	for (int i = 0; i < 2049; i++)
		n += (size_t)snprintf(text + n, room - n, "    - /a%d*\n", i);
	t_str_eq(refuse(text, n),
		 "rules.yaml:2054: rule 'x': match.path_globs: "
		 "there are more than 2048 patterns");
	free(text);
}

static void refuses_values_that_mean_nothing(void)
{
	refuses_rule("event: mount\n    match: {path_globs: ['/[']}",
		     "rules.yaml:4: rule 'x': match.path_globs: a pattern has "
		     "a '[' without its ']'");
	refuses_rule("event: mount\n    match: {path_globs: ['/../a*']}",
		     "rules.yaml:4: rule 'x': match.path_globs: a path prefix "
		     "has no part . or ..: '/..'");
	refuses_rule("event: mount\n    match: {containers: [web]}",
		     "rules.yaml:4: rule 'x': match.containers: 'web' is "
		     "neither 'any', 'none' nor the first digits of an id");
	refuses_rule("event: mount\n    match: {accesses: [exec]}",
		     "rules.yaml:4: rule 'x': match.accesses: 'exec' is none "
		     "of read, write, create, truncate");
	refuses_rule("event: mount\n    rate: {count: 2, window: 1s, by: "
		     "[pid]}",
		     "rules.yaml:4: rule 'x': rate.by: 'pid' is none of "
		     "process, executable, uid, cgroup, container, path");
	refuses_rule(
		"event: mount\n    rate: {count: 1, window: 1s}",
		"rules.yaml:4: rules[0].rate.count: 1 is out of range, 2 to "
		"256");
	refuses_rule("event: mount\n    match: {cidrs: [10.0.0.1/8]}",
		     "rules.yaml:4: rule 'x': match.cidrs: '10.0.0.1/8' has "
		     "host bits set: the network is 10.0.0.0/8, the single "
		     "address is 10.0.0.1/32");
}

static void refuses_what_is_no_name(void)
{
	static const char *const bad[] = {
		"'*'", "'*.'", "'*.*.a'", "a..b", "10.0.0.1", "'a*.b'", "'a b'",
	};
	char rest[128];

	for (size_t i = 0; i < SN_ARRAY_SIZE(bad); i++) {
		static const char where[] =
			"rules.yaml:6: rule 'x': match.destination_names: ";
		char shown[2 * SN_DIAG_TEXT_BYTES];
		struct sn_diag diag = { .text = "" };
		struct cp_rules *rules = NULL;
		char text[256];

		(void)snprintf(rest, sizeof(rest),
			       "match:\n      destinationNames:\n        - %s",
			       bad[i]);
		(void)snprintf(text, sizeof(text),
			       "rules:\n  - name: x\n    event: net_connect\n"
			       "    %s\n",
			       rest);
		t_eq(cp_rules_load(&rules, text, strlen(text), "rules.yaml",
				   &diag),
		     CP_RULES_E_REFUSED);
		(void)sn_diag_format(&diag, shown, sizeof(shown));
		t_true(strncmp(shown, where, strlen(where)) == 0);
		t_true(strlen(shown) > strlen(where));
	}
}

static void refuses_output_without_such_a_field(void)
{
	refuses_rule("event: mount\n    output: 'a {process.name}'",
		     "rules.yaml:2: rule 'x': output: there is no field "
		     "'process.name'");
	refuses_rule("event: mount\n    output: '{process}'",
		     "rules.yaml:2: rule 'x': output: there is no field "
		     "'process'");
	refuses_rule("event: mount\n    output: '{event.x}'",
		     "rules.yaml:2: rule 'x': output: there is no field "
		     "'event.x'");
	refuses_rule("event: mount\n    output: '{}'",
		     "rules.yaml:2: rule 'x': output: there is no field ''");
	refuses_rule("event: mount\n    output: '{event'",
		     "rules.yaml:2: rule 'x': output: there is no '}' behind "
		     "'{event'");
	refuses_rule("event: mount\n    output: '{file.raw_path}'",
		     "rules.yaml:2: rule 'x': output: there is no field "
		     "'file.raw_path'");
}

T_MAIN("rules_file", names_file_and_line_of_what_is_wrong,
       refuses_what_says_nothing, refuses_one_key_in_two_spellings,
       refuses_two_rules_of_one_name, refuses_texts_over_a_mebibyte,
       refuses_too_many_rules, refuses_what_names_what_comes_later,
       refuses_lists_that_grow_without_end,
       refuses_more_patterns_than_have_room, refuses_values_that_mean_nothing,
       refuses_what_is_no_name, refuses_output_without_such_a_field)
