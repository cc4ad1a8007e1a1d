/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/util.h"

#include "shared/diag.h"
#include "shared/log.h"
#include "test/unit/t.h"

static void steal_hands_out_the_pointer_and_leaves_null(void)
{
	char *owner = malloc(1);
	sn_cleanup(sn_freep) char *taken = NULL;
	char *was = owner;

	taken = sn_steal(&owner);
	t_true(taken == was);
	t_null(owner);
}

static void steal_fd_leaves_minus_one(void)
{
	int fd = 7;

	t_eq(sn_steal_fd(&fd), 7);
	t_eq(fd, -1);
}

static void closep_closes_once_and_keeps_errno(void)
{
	int fd = dup(STDERR_FILENO);
	int was = fd;

	t_true(fd >= 0);
	errno = EXDEV;
	sn_closep(&fd);
	t_eq(errno, EXDEV);
	t_eq(fd, -1);
	t_eq(fcntl(was, F_GETFD), -1);
	sn_closep(&fd);
	t_eq(fd, -1);
}

struct thing {
	int n_freed;
};

static struct thing *thing_free(struct thing *thing)
{
	if (thing)
		thing->n_freed++;
	return NULL;
}
SN_DEFINE_CLEANUP(struct thing, thing_free)

static void cleanup_calls_the_destructor_at_the_end_of_the_scope(void)
{
	struct thing thing = { 0 };

	{
		sn_cleanup(thing_freep) struct thing *owner = &thing;

		t_eq(owner->n_freed, 0);
	}
	t_eq(thing.n_freed, 1);
}

static void container_of_finds_the_embedding_object(void)
{
	struct {
		int before;
		int member;
	} outer = { 1, 2 };

	t_true(sn_container_of(&outer.member, __typeof__(outer), member) ==
	       &outer);
}

static void trace_returns_its_argument(void)
{
	t_eq(sn_trace(-EPERM), -EPERM);
	t_eq(sn_trace(0), 0);
}

static void diag_formats_what_is_known(void)
{
	struct sn_diag diag = { 0 };
	char out[SN_DIAG_FILE_BYTES + SN_DIAG_TEXT_BYTES];

	sn_diag_set(&diag, "rules[2].ports", "port %d is out of range", 70000);
	t_str_eq(diag.field, "rules[2].ports");
	t_str_eq(sn_diag_format(&diag, out, sizeof(out)),
		 "port 70000 is out of range");
	sn_diag_at(&diag, "web.yaml", 0);
	t_str_eq(sn_diag_format(&diag, out, sizeof(out)),
		 "web.yaml: port 70000 is out of range");
	sn_diag_at(&diag, "web.yaml", 12);
	t_str_eq(sn_diag_format(&diag, out, sizeof(out)),
		 "web.yaml:12: port 70000 is out of range");
}

static void diag_cuts_long_text_and_says_so(void)
{
	struct sn_diag diag = { 0 };
	char longer[2 * SN_DIAG_TEXT_BYTES];

	(void)memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	sn_diag_set(&diag, NULL, "%s", longer);
	t_str_eq(diag.field, "");
	t_eq(strlen(diag.text), SN_DIAG_TEXT_BYTES - 1);
	t_str_eq(diag.text + SN_DIAG_TEXT_BYTES - 4, "...");
}

static void log_level_names_are_parsed_exactly(void)
{
	enum sn_log_level level = SN_LOG_INFO;

	t_true(sn_log_parse_level("trace", &level));
	t_eq(level, SN_LOG_TRACE);
	t_true(sn_log_parse_level("error", &level));
	t_eq(level, SN_LOG_ERROR);
	t_false(sn_log_parse_level("Error", &level));
	t_false(sn_log_parse_level("", &level));
	t_eq(level, SN_LOG_ERROR);
}

/* Runs sn_log() with stderr on a pipe; returns the bytes written. */
static size_t capture(enum sn_log_level level, const char *text, char *out,
		      size_t size)
{
	int saved = dup(STDERR_FILENO);
	int ends[2];
	ssize_t n;

	t_true(saved >= 0);
	t_eq(pipe(ends), 0);
	t_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	sn_log(level, "%s", text);
	t_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	(void)close(ends[1]);
	(void)close(saved);
	n = read(ends[0], out, size - 1);
	(void)close(ends[0]);
	t_true(n >= 0);
	out[n] = '\0';
	return (size_t)n;
}

static void log_line_carries_the_priority_and_cannot_be_forged(void)
{
	char out[256];

	(void)capture(SN_LOG_WARNING, "a=1\n<0>b\x1b[2J", out, sizeof(out));
	t_str_eq(out, "<4>a=1?<0>b?[2J\n");
}

static void log_prints_nothing_below_the_level(void)
{
	char out[64];

	sn_log_set_level(SN_LOG_WARNING);
	t_eq(capture(SN_LOG_INFO, "quiet", out, sizeof(out)), 0);
	t_true(capture(SN_LOG_WARNING, "loud", out, sizeof(out)) > 0);
}

/* Returns how many lines of n were written. */
static unsigned int write_many(bool are_changes, unsigned int n)
{
	sn_cleanup(sn_freep) char *out = malloc(n * 32UL + 1);
	int saved = dup(STDERR_FILENO);
	unsigned int n_lines = 0;
	FILE *file = tmpfile();
	size_t size;

	t_true(saved >= 0);
	t_not_null(file);
	t_not_null(out);
	t_eq(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
	for (unsigned int i = 0; i < n; i++) {
		if (are_changes)
			sn_log_change("audit n=%u", i);
		else
			sn_log(SN_LOG_INFO, "kind n=%u", i);
	}
	t_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	(void)close(saved);
	rewind(file);
	size = fread(out, 1, n * 32UL, file);
	(void)fclose(file);
	for (size_t i = 0; i < size; i++)
		n_lines += out[i] == '\n';
	return n_lines;
}

static void log_limits_lines_of_one_kind_but_not_changes(void)
{
	uint64_t before = sn_log_count_suppressed();

	t_eq(write_many(false, SN_LOG_BURST + 5), SN_LOG_BURST);
	t_eq(sn_log_count_suppressed() - before, 5);
	t_eq(write_many(true, SN_LOG_BURST + 5), SN_LOG_BURST + 5);
	t_eq(sn_log_count_suppressed() - before, 5);
}

static void log_cuts_a_long_line_but_ends_it(void)
{
	char longer[4096];
	char out[8192];
	size_t n;

	(void)memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	n = capture(SN_LOG_ERROR, longer, out, sizeof(out));
	t_true(n <= 2048);
	t_eq(out[n - 1], '\n');
}

T_MAIN("util", steal_hands_out_the_pointer_and_leaves_null,
       steal_fd_leaves_minus_one, closep_closes_once_and_keeps_errno,
       cleanup_calls_the_destructor_at_the_end_of_the_scope,
       container_of_finds_the_embedding_object, trace_returns_its_argument,
       diag_formats_what_is_known, diag_cuts_long_text_and_says_so,
       log_level_names_are_parsed_exactly,
       log_line_carries_the_priority_and_cannot_be_forged,
       log_prints_nothing_below_the_level,
       log_limits_lines_of_one_kind_but_not_changes,
       log_cuts_a_long_line_but_ends_it)
