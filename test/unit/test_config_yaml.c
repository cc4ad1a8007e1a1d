/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/yaml.h"

#include <sys/stat.h>
#include <time.h>

#include "test/unit/t.h"

/* The text that parse_refused() filled in last: "test.yaml:line: text". */
static char message[1024];

static int parse_limited(const char *text, size_t size, size_t max_bytes,
			 size_t max_nodes, struct cp_config_yaml **ret)
{
	struct cp_config_yaml_limits limits = {
		.max_bytes = max_bytes,
		.max_nodes = max_nodes,
	};
	struct sn_diag diag = { 0 };
	int r;

	r = cp_config_yaml_parse(text, size, "test.yaml", &limits, ret, &diag);
	(void)sn_diag_format(&diag, message, sizeof(message));
	return r;
}

static int parse(const char *text, struct cp_config_yaml **ret)
{
	return parse_limited(text, strlen(text), 0, 0, ret);
}

/* What the operator is told of a text that must be refused. */
static const char *refused_bytes(const char *text, size_t size)
{
	struct cp_config_yaml *yaml = NULL;

	t_eq(parse_limited(text, size, 0, 0, &yaml), CP_CONFIG_YAML_E_REFUSED);
	t_null(yaml);
	return message;
}

static const char *refused(const char *text)
{
	return refused_bytes(text, strlen(text));
}

static void tree_has_the_values_with_their_lines(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	const struct cp_config_yaml_node *node;

	t_eq(parse("# comment\nmode: allowlist\ncidrs:\n- a\n- 'b'\n", &yaml),
	     0);
	node = cp_config_yaml_get_root(yaml);
	t_eq(cp_config_yaml_get_type(node), CP_CONFIG_YAML_TYPE_MAPPING);
	t_eq(cp_config_yaml_get_count(node), 2);
	node = cp_config_yaml_get_first(node);
	t_str_eq(cp_config_yaml_get_text(node), "mode");
	t_eq(cp_config_yaml_get_line(node), 2);
	node = cp_config_yaml_get_next(node);
	t_str_eq(cp_config_yaml_get_text(node), "allowlist");
	t_eq(cp_config_yaml_get_count(node), 9);
	t_true(cp_config_yaml_is_plain(node));
	node = cp_config_yaml_get_next(node);
	t_str_eq(cp_config_yaml_get_text(node), "cidrs");
	node = cp_config_yaml_get_next(node);
	t_null(cp_config_yaml_get_next(node));
	t_eq(cp_config_yaml_get_type(node), CP_CONFIG_YAML_TYPE_SEQUENCE);
	t_eq(cp_config_yaml_get_count(node), 2);
	node = cp_config_yaml_get_next(cp_config_yaml_get_first(node));
	t_str_eq(cp_config_yaml_get_text(node), "b");
	t_eq(cp_config_yaml_get_line(node), 5);
	t_false(cp_config_yaml_is_plain(node));
}

static void empty_documents_have_no_root(void)
{
	static const char *const texts[] = { "",    "\n",     "# only\n",
					     "---", "---\n~", "null\n" };

	for (size_t i = 0; i < SN_ARRAY_SIZE(texts); i++) {
		sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml =
			NULL;

		t_eq(parse(texts[i], &yaml), 0);
		t_not_null(yaml);
		t_null(cp_config_yaml_get_root(yaml));
	}
}

static void null_is_only_null_without_quotes(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	const struct cp_config_yaml_node *node;
	static const bool is_null[] = { true,  true,  true, true,
					false, false, false };
	size_t i = 0;

	t_eq(parse("- \n- ~\n- null\n- NULL\n- ''\n- 'null'\n- nulls\n", &yaml),
	     0);
	node = cp_config_yaml_get_first(cp_config_yaml_get_root(yaml));
	for (; node; node = cp_config_yaml_get_next(node))
		t_eq(cp_config_yaml_is_null(node), is_null[i++]);
	t_eq(i, SN_ARRAY_SIZE(is_null));
}

static void anchors_aliases_tags_and_directives_are_refused(void)
{
	t_str_eq(refused("a: 1\nb: &x 2\n"),
		 "test.yaml:2: anchors ('&x') are not supported");
	t_str_eq(refused("b: &x [1]\n"),
		 "test.yaml:1: anchors ('&x') are not supported");
	t_str_eq(refused("b: &x {c: 1}\n"),
		 "test.yaml:1: anchors ('&x') are not supported");
	t_str_eq(refused("\n\nb: *x\n"),
		 "test.yaml:3: aliases ('*x') are not supported");
	t_str_eq(refused("b: !!int 2\n"),
		 "test.yaml:1: tags ('tag:yaml.org,2002:int') are not "
		 "supported");
	t_str_eq(refused("b: !x [2]\n"),
		 "test.yaml:1: tags ('!x') are not supported");
	t_str_eq(refused("# c\n%YAML 1.1\n---\na: 1\n"),
		 "test.yaml:2: a line must not begin with '%': directives are "
		 "not supported");
	t_true(strstr(refused("\xc2\x85%YAML 1.1\n---\na: 1\n"), "directives"));
	t_true(strstr(refused("\xe2\x80\xa8%TAG ! b\n---\na\n"), "directives"));
	t_true(strstr(refused("#\r%TAG ! b\n---\na\n"), "directives"));
}

static void percent_inside_a_line_is_text(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;

	t_eq(parse("a: 50%\nb: '%x'\n", &yaml), 0);
}

static void duplicate_keys_are_refused_with_both_lines(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;

	t_str_eq(refused("a: 1\nb: 2\n'a': 3\n"),
		 "test.yaml:3: key 'a' is given twice, first in line 1");
	t_eq(parse("a: {a: 1}\nb: {a: 1}\n", &yaml), 0);
}

static void keys_must_be_text(void)
{
	t_true(strstr(refused("? [a]\n: b\n"), "a key must be text"));
	t_true(strstr(refused("{{a: 1}: b}\n"), "a key must be text"));
	t_true(strstr(refused(": b\n"), "test.yaml:1: "));
	t_true(strstr(refused("? \n: b\n"), "a key is missing"));
	t_true(strstr(refused("~: b\n"), "a key is missing"));
}

static void mapping_has_a_limit_of_keys(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	char text[CP_CONFIG_YAML_MAX_KEYS * 16 + 16];
	size_t used = 0;

	for (int i = 0; i < CP_CONFIG_YAML_MAX_KEYS; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "k%d: v\n", i);
	t_eq(parse(text, &yaml), 0);
	(void)snprintf(text + used, sizeof(text) - used, "more: v\n");
	t_str_eq(refused(text),
		 "test.yaml:65: more than 64 keys in one mapping");
}

static void second_document_is_refused(void)
{
	t_str_eq(refused("a: 1\n---\nb: 1\n"),
		 "test.yaml:2: a second document begins here, only one is "
		 "supported");
}

static void nul_and_bad_utf8_are_refused(void)
{
	static const char nul[] = "a: 1\nb: \0\n";
	static const char utf16[] = "\xff\xfe\x61\x00";

	t_true(strstr(refused_bytes(nul, sizeof(nul) - 1), "test.yaml:2: "));
	t_true(strstr(refused_bytes(utf16, sizeof(utf16) - 1),
		      "test.yaml:1: "));
	t_str_eq(refused("a: \"x\\0y\"\n"),
		 "test.yaml:1: a text must not contain a NUL byte");
	t_true(strstr(refused("a: 1\n\nb: \xff\n"), "test.yaml:3: "));
	t_true(strstr(refused("a: \xc0\x80\n"), "test.yaml:1: "));
	t_true(strstr(refused("a: \xed\xa0\x80\n"), "test.yaml:1: "));
	t_true(strstr(refused("a: \x1b[2J\n"), "test.yaml:1: "));
}

static void syntax_errors_name_the_line(void)
{
	t_str_eq(refused("a: 1\nb: [1, 2\nc: 3\n"),
		 "test.yaml:3: did not find expected ',' or ']' while parsing "
		 "a flow sequence that begins in line 2");
	t_true(strstr(refused("a: 1\n\tb: 2\n"), "test.yaml:2: "));
	t_true(strstr(refused("a: 1\n b: 2\n"), "test.yaml:2: "));
	t_true(strstr(refused("a: 'open\n"), "quoted scalar"));
}

static void messages_show_no_control_bytes(void)
{
	t_str_eq(refused("\"a\\e[2J\": 1\n\"a\\e[2J\": 2\n"),
		 "test.yaml:2: key 'a?[2J' is given twice, first in line 1");
}

static void depth_is_limited_to_sixteen(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;

	t_eq(parse("[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]", &yaml), 0);
	t_str_eq(refused("[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]"),
		 "test.yaml:1: nested deeper than 16 levels");
}

static void sizes_are_limited_by_the_caller(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	struct cp_config_yaml *none = NULL;

	t_eq(parse_limited("[a, b]", 6, 6, 3, &yaml), 0);
	t_eq(parse_limited("[a, b]", 6, 5, 3, &none), CP_CONFIG_YAML_E_REFUSED);
	t_str_eq(message, "test.yaml: larger than 5 bytes");
	t_eq(parse_limited("[a, b]", 6, 6, 2, &none), CP_CONFIG_YAML_E_REFUSED);
	t_str_eq(message,
		 "test.yaml:1: more than 2 values, keys and collections");
}

static double seconds(void)
{
	struct timespec now;

	t_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Ten megabytes of unit, refused: returns the processor time in seconds. */
static double time_of_hostile(const char *unit)
{
	size_t length = strlen(unit), size = (10 << 20) / length * length;
	sn_cleanup(sn_freep) char *text = malloc(size);
	double begin;

	t_not_null(text);
	for (size_t i = 0; i < size; i += length)
		(void)memcpy(text + i, unit, length);
	begin = seconds();
	(void)refused_bytes(text, size);
	return seconds() - begin;
}

static void hostile_megabytes_are_refused_quickly(void)
{
	static const char *const units[] = {
		"[",	  "{a: ",   "- ",	    "? ",     "%TAG !a! b\n",
		"- [",	  "--- \n", "[],",	    "!a ",    "&a ",
		"{? ",	  "\"",	    "'a",	    "a: b: ", "[a]: ",
		"k: v\n", ": ",	    "? a\n: ? b\n",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(units); i++)
		if (time_of_hostile(units[i]) > 5)
			t_fail("megabytes of '%s' take too long", units[i]);
}

/* A new file with the text; the caller removes it. */
static void write_file(char *path, const char *text)
{
	ssize_t size = (ssize_t)strlen(text);
	int fd = mkstemp(path);

	t_true(fd >= 0);
	t_eq(write(fd, text, (size_t)size), size);
	t_eq(close(fd), 0);
}

static void load_reads_a_regular_file(void)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	struct cp_config_yaml_limits limits = { .max_bytes = 5 };
	struct cp_config_yaml *none = NULL;
	char path[] = "/tmp/test_config_yaml.XXXXXX";
	struct sn_diag diag = { 0 };

	write_file(path, "a: 1\n");
	t_eq(cp_config_yaml_load(path, &limits, &yaml, &diag), 0);
	t_eq(cp_config_yaml_get_count(cp_config_yaml_get_root(yaml)), 1);
	limits.max_bytes = 4;
	t_eq(cp_config_yaml_load(path, &limits, &none, &diag),
	     CP_CONFIG_YAML_E_REFUSED);
	t_str_eq(diag.text, "larger than 4 bytes");
	t_eq(unlink(path), 0);

	t_eq(cp_config_yaml_load(path, &limits, &none, &diag), -ENOENT);
	t_str_eq(diag.text, "cannot open: No such file or directory");
	t_str_eq(diag.file, path);
	t_eq(mkfifo(path, 0600), 0);
	t_eq(cp_config_yaml_load(path, &limits, &none, &diag),
	     CP_CONFIG_YAML_E_REFUSED);
	t_str_eq(diag.text, "not a regular file");
	t_eq(unlink(path), 0);
	t_eq(cp_config_yaml_load("/", &limits, &none, &diag),
	     CP_CONFIG_YAML_E_REFUSED);
}

T_MAIN("config_yaml", tree_has_the_values_with_their_lines,
       empty_documents_have_no_root, null_is_only_null_without_quotes,
       anchors_aliases_tags_and_directives_are_refused,
       percent_inside_a_line_is_text,
       duplicate_keys_are_refused_with_both_lines, keys_must_be_text,
       mapping_has_a_limit_of_keys, second_document_is_refused,
       nul_and_bad_utf8_are_refused, syntax_errors_name_the_line,
       messages_show_no_control_bytes, depth_is_limited_to_sixteen,
       sizes_are_limited_by_the_caller, hostile_megabytes_are_refused_quickly,
       load_reads_a_regular_file)
