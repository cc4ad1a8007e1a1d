// SPDX-License-Identifier: Apache-2.0
#include "controld/rules/glob.h"

#include "test/unit/t.h"

static struct cp_rules_glob *make(const char *pattern)
{
	struct cp_rules_glob *glob = NULL;
	struct sn_diag diag = { .text = "" };

	if (cp_rules_glob_new(&glob, pattern, &diag))
		t_fail("%s: %s", pattern, diag.text);
	return glob;
}

static bool matches(const char *pattern, const char *path)
{
	sn_cleanup(cp_rules_glob_freep) struct cp_rules_glob *glob =
		make(pattern);

	return cp_rules_glob_match(glob, path, strlen(path));
}

static void star_stays_in_its_part(void)
{
	t_true(matches("/home/*/.ssh", "/home/me/.ssh"));
	t_true(matches("/home/*/.ssh", "/home//.ssh"));
	t_false(matches("/home/*/.ssh", "/home/me/you/.ssh"));
	t_false(matches("/home/*/.ssh", "/home/me/.sshd"));
	t_true(matches("/a*b*c", "/axbxbyc"));
	t_false(matches("/a*b*c", "/axbx/yc"));
	t_true(matches("/*", "/x"));
	t_true(matches("/*", "/"));
	t_false(matches("/*", "/x/y"));
	t_true(matches("/tmp/id_*", "/tmp/id_"));
}

static void two_stars_are_any_text(void)
{
	t_true(matches("/home/**/id_*", "/home/me/.ssh/id_rsa"));
	t_true(matches("/home/**/id_*", "/home/id_rsa"));
	t_false(matches("/home/**/id_*", "/homeid_rsa"));
	t_false(matches("/home/**/id_*", "/home/xid_rsa"));
	t_false(matches("/home/**/id_*", "/home/id_rsa/x"));
	t_true(matches("**/shadow", "/etc/shadow"));
	t_true(matches("**/shadow", "shadow"));
	t_false(matches("**/shadow", "/etc/xshadow"));
	t_true(matches("**shadow", "/etc/xshadow"));
	t_true(matches("/a/**", "/a/b/c"));
	t_false(matches("/a/**", "/a"));
	t_true(matches("/a**b", "/ax/yb"));
	t_true(matches("/a/**/**/b", "/a/b"));
	t_true(matches("/a/**/**/b", "/a/x/b"));
	t_true(matches("/a/**/*/b", "/a/x/b"));
	t_true(matches("/a/**/*/b", "/a/x/y/b"));
	t_false(matches("/a/**/*/b", "/a/b"));
	t_true(matches("/**/*x*/y", "/q/r/axb/y"));
	t_false(matches("/**/*x*/y", "/q/x/r/y"));
	t_true(matches("***", "/a/b"));
}

static void one_byte_of_some(void)
{
	t_true(matches("/dev/sd?", "/dev/sda"));
	t_false(matches("/dev/sd?", "/dev/sd"));
	t_false(matches("/dev/sd?", "/dev/sdab"));
	t_false(matches("/a?b", "/a/b"));
	t_true(matches("/x[a-c0]", "/xb"));
	t_true(matches("/x[a-c0]", "/x0"));
	t_false(matches("/x[a-c0]", "/xd"));
	t_true(matches("/x[!a-c]", "/xd"));
	t_false(matches("/x[!a-c]", "/xa"));
	t_false(matches("/x[!a-c]y", "/x/y"));
	t_true(matches("/x[]-]", "/x]"));
	t_true(matches("/x[]-]", "/x-"));
	t_true(matches("/x[\xc3]\xa4", "/x\xc3\xa4"));
}

static void backslash_makes_it_plain(void)
{
	t_true(matches("/a\\*b", "/a*b"));
	t_false(matches("/a\\*b", "/axb"));
	t_true(matches("/a\\[*", "/a[x"));
	t_true(matches("/\\a", "/a"));
}

static void begin_and_end_do_not_overlap(void)
{
	t_false(matches("/aba*aba", "/ababa"));
	t_false(matches("/aba*aba", "/aba"));
	t_true(matches("/aba*aba", "/abaaba"));
	t_false(matches("/abc", "/ab"));
	t_true(matches("/abc", "/abc"));
	t_false(matches("/abc", "/abcd"));
}

static void says_what_lies_above(void)
{
	static const struct {
		const char *pattern;
		const char *above;
	} rows[] = {
		{ "/home/*/.ssh/**", "/home" },
		{ "/etc/pass*", "/etc" },
		{ "/*", "/" },
		{ "**/x", "/" },
		{ "/etc/passwd", "/etc/passwd" },
		{ "/a\\*b/c?", "/a*b" },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(rows); i++) {
		sn_cleanup(cp_rules_glob_freep) struct cp_rules_glob *glob =
			make(rows[i].pattern);

		t_str_eq(cp_rules_glob_get_above(glob), rows[i].above);
	}
}

static void refuses(const char *pattern, const char *why)
{
	struct cp_rules_glob *glob = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_rules_glob_new(&glob, pattern, &diag), CP_RULES_GLOB_E_REFUSED);
	t_str_eq(diag.text, why);
	t_null(glob);
}

static void refuses_what_is_no_pattern_of_paths(void)
{
	char text[CP_RULES_GLOB_BYTES_MAX + 2];

	refuses("", "a pattern begins with / or **");
	refuses("etc/*", "a pattern begins with / or **");
	refuses("*/etc", "a pattern begins with / or **");
	refuses("/[a", "a pattern has a '[' without its ']'");
	refuses("/[]", "a pattern has a '[' without its ']'");
	refuses("/[b-a]", "a pattern has a range that is empty");
	refuses("/a\\", "a pattern ends with a lone backslash");
	(void)memset(text, '/', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	refuses(text, "a pattern is longer than 1024 bytes");
}

static void refuses_more_places_than_a_word_has_bits(void)
{
	char text[80] = "/";

	for (size_t i = 1; i <= CP_RULES_GLOB_PLACES_MAX; i++)
		text[i] = '?';
	t_true(matches(text, text));
	text[CP_RULES_GLOB_PLACES_MAX + 1] = '?';
	refuses(text, "a pattern has at most 63 bytes from its first wildcard "
		      "to its last one");
}

/* What a pattern means, by trying everything; p0 is where it begins. */
static bool try(const char *p, const char *p0, const char *s);

/* From here on, and from behind each byte that a star may take. */
static bool try_star(const char *p, const char *p0, const char *s, bool slashes)
{
	for (;; s++) {
		if (try(p, p0, s))
			return true;
		if (!*s || (*s == '/' && !slashes))
			return false;
	}
}

static bool try(const char *p, const char *p0, const char *s)
{
	bool is_start = p == p0 || p[-1] == '/';

	if (!*p)
		return !*s;
	if (strncmp(p, "**/", 3) == 0 && is_start && try(p + 3, p0, s))
		return true;
	if (*p == '*')
		return p[1] == '*' ? try_star(p + 2, p0, s, true) :
				     try_star(p + 1, p0, s, false);
	if (!*s || (*p == '?' ? *s == '/' : *s != *p))
		return false;
	return try(p + 1, p0, s + 1);
}

static void agrees_with_what_trying_says(void)
{
	static const char alphabet[] = "ab/*?";
	unsigned int seed = 1;
	size_t n_matches = 0;

	for (int i = 0; i < 50000; i++) {
		char pattern[10] = "/", path[10] = "/";
		size_t n = 1 + (size_t)rand_r(&seed) % 8;
		size_t m = 1 + (size_t)rand_r(&seed) % 8;
		bool expected;

		for (size_t j = 1; j < n; j++)
			pattern[j] = alphabet[rand_r(&seed) % 5];
		for (size_t j = 1; j < m; j++)
			path[j] = alphabet[rand_r(&seed) % 3];
		/* Three stars are two, which trying does not know. */
		if (strstr(pattern, "***"))
			continue;
		expected = try(pattern, pattern, path);
		n_matches += expected;
		if (matches(pattern, path) != expected)
			t_fail("%s %s: %d expected", pattern, path, expected);
	}
	t_true(n_matches > 1000);
}

static void bomb_costs_a_step_a_byte(void)
{
	sn_cleanup(cp_rules_glob_freep) struct cp_rules_glob *glob =
		make("/**a**a**a**a**a**a**a**a**a**a**a**a**a**a**a**a**b");
	char path[4096] = "/";

	/* By trying it would not end. */
	(void)memset(path + 1, 'a', sizeof(path) - 1);
	for (int i = 0; i < 1000; i++)
		t_false(cp_rules_glob_match(glob, path, sizeof(path)));
	path[sizeof(path) - 1] = 'b';
	t_true(cp_rules_glob_match(glob, path, sizeof(path)));
}

T_MAIN("rules_glob", star_stays_in_its_part, two_stars_are_any_text,
       one_byte_of_some, backslash_makes_it_plain, begin_and_end_do_not_overlap,
       says_what_lies_above, refuses_what_is_no_pattern_of_paths,
       refuses_more_places_than_a_word_has_bits, agrees_with_what_trying_says,
       bomb_costs_a_step_a_byte)
