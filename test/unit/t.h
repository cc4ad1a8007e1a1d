/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The few macros that tests are written with, over libcheck. A test is a
 * function `static void what_it_pins(void)`; the file ends with one
 * T_MAIN("suite", first_test, second_test, ...). Each test runs in a process
 * of its own unless CK_FORK=no; a failed assertion ends that test. */

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define t_fail(...) _ck_assert_failed(__FILE__, __LINE__, "fail", __VA_ARGS__)

/* A test that takes longer has failed. */
#ifndef T_LIMIT_S
#define T_LIMIT_S 60
#endif

#define t_true(x)                                       \
	do {                                            \
		if (x)                                  \
			mark_point();                   \
		else                                    \
			t_fail("'%s' is not true", #x); \
	} while (0)

#define t_false(x)                                  \
	do {                                        \
		if (!(x))                           \
			mark_point();               \
		else                                \
			t_fail("'%s' is true", #x); \
	} while (0)

/* Integers of any type; a is what was computed, b what is expected. */
#define t_eq(a, b)                                                      \
	do {                                                            \
		intmax_t t_a_ = (intmax_t)(a);                          \
		intmax_t t_b_ = (intmax_t)(b);                          \
		if (t_a_ == t_b_)                                       \
			mark_point();                                   \
		else                                                    \
			t_fail("'%s' is %" PRIdMAX ", expected '%s' = " \
			       "%" PRIdMAX,                             \
			       #a, t_a_, #b, t_b_);                     \
	} while (0)

#define t_str_eq(a, b)	  ck_assert_str_eq((a), (b))
#define t_mem_eq(a, b, n) ck_assert_mem_eq((a), (b), (n))
#define t_null(p)	  ck_assert_ptr_null((p))
#define t_not_null(p)	  ck_assert_ptr_nonnull((p))

/* Tells test/run that this test could not run here, and why. */
static inline void t_note_skip(const char *test, const char *reason)
{
	const char *path = getenv("SENTINEL_TEST_SKIPS");
	char line[512];
	int fd, n;

	n = snprintf(line, sizeof(line), "%s: %.400s\n", test, reason);
	fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			 0600) :
		    dup(STDERR_FILENO);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		t_fail("cannot note that %s was skipped", test);
	(void)close(fd);
}

/* Ends the calling test as skipped; use it in the test function itself. */
#define t_skip(reason)                         \
	do {                                   \
		t_note_skip(__func__, reason); \
		mark_point();                  \
		return;                        \
	} while (0)

struct t_test {
	TTest check; /* first, so that libcheck's pointer is ours */
	void (*run)(void);
};

static inline int t_main(const char *suite_name, const struct t_test *tests,
			 int n_tests)
{
	Suite *suite = suite_create(suite_name);
	TCase *all = tcase_create(suite_name);
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(all, T_LIMIT_S);
	for (int i = 0; i < n_tests; i++)
		_tcase_add_test(all, &tests[i].check, 0, 0, i, i + 1);
	suite_add_tcase(suite, all);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Expands to m(first) m(second) ..., for up to 341 arguments. */
#define T_PARENS       ()
#define T_EXPAND(...)  T_EXPAND3(T_EXPAND3(T_EXPAND3(T_EXPAND3(__VA_ARGS__))))
#define T_EXPAND3(...) T_EXPAND2(T_EXPAND2(T_EXPAND2(T_EXPAND2(__VA_ARGS__))))
#define T_EXPAND2(...) T_EXPAND1(T_EXPAND1(T_EXPAND1(T_EXPAND1(__VA_ARGS__))))
#define T_EXPAND1(...) T_EXPAND0(T_EXPAND0(T_EXPAND0(T_EXPAND0(__VA_ARGS__))))
#define T_EXPAND0(...) __VA_ARGS__
#define T_EACH(m, ...) __VA_OPT__(T_EXPAND(T_EACH_ONE(m, __VA_ARGS__)))
#define T_EACH_ONE(m, first, ...) \
	m(first) __VA_OPT__(T_EACH_AGAIN T_PARENS(m, __VA_ARGS__))
#define T_EACH_AGAIN() T_EACH_ONE

#define T_ROW(test) { { #test, t_run, __FILE__, __LINE__ }, test },

/* libcheck's tests take the number that its loop gives them. */
#define T_MAIN(suite_name, ...)                                                \
	static void t_run(int i);                                              \
	static const struct t_test t_tests[] = { T_EACH(T_ROW, __VA_ARGS__) }; \
	static void t_run(int i)                                               \
	{                                                                      \
		t_tests[i].run();                                              \
	}                                                                      \
	int main(void)                                                         \
	{                                                                      \
		return t_main((suite_name), t_tests,                           \
			      (int)(sizeof(t_tests) / sizeof(t_tests[0])));    \
	}
