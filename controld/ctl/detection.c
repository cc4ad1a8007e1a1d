// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/detection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/lines.h"
#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/rules/state.h"

/* What became of a rule. */
struct score {
	uint64_t expected;
	uint64_t hits;
	uint64_t right; /* both */
};

struct test {
	struct cp_ctl_session *session;
	struct cp_ctl_table *table; /* NULL: JSON */
	const struct cp_rules *rules;
	struct cp_rules_state *state;
	struct cp_ctl_lines *lines;
	struct score *scores; /* by rule */
	bool *is_hit; /* by rule, of this line */
	bool *is_expected;
	uint64_t n_events;
	uint64_t n_hits;
	uint64_t n_expecting; /* lines that say what is expected */
	uint64_t n_wrong; /* lines of these that did not come out so */
	enum cp_ctl_exit exit;
};

static enum cp_ctl_exit load(struct cp_ctl_session *session,
			     struct cp_rules **ret)
{
	char text[SN_DIAG_FILE_BYTES + SN_DIAG_TEXT_BYTES];
	struct sn_diag diag = { .text = "" };
	int r = cp_rules_load_file(ret, session->options.args[2], &diag);

	if (r == 0)
		return CP_CTL_EXIT_OK;
	if (r < 0 && !diag.text[0])
		return cp_ctl_session_fail_errno(session, "cannot load", r);
	return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s",
				   sn_diag_format(&diag, text, sizeof(text)));
}

/* The kernel's part, which has to fit into its tables without that of the
 * configuration. */
static enum cp_ctl_exit make_wanted(struct cp_ctl_session *session,
				    const struct cp_rules *rules,
				    struct cp_runtime_rules **ret)
{
	struct sn_diag diag = { .text = "" };
	int r = cp_runtime_rules_new(ret);

	if (r == 0)
		r = cp_rules_put_wanted(rules, *ret, NULL, &diag);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot check", r);
	return r ? cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s: %s",
				       session->options.args[2], diag.text) :
		   CP_CTL_EXIT_OK;
}

/* Does it make every access of the host an event? */
static bool is_wide(const struct cp_runtime_rule *rule)
{
	const uint64_t frequent = SN_RT_EVENT_BIT(SN_RT_EVENT_FILE_OPEN) |
				  SN_RT_EVENT_BIT(SN_RT_EVENT_FILE_READ) |
				  SN_RT_EVENT_BIT(SN_RT_EVENT_FILE_WRITE);
	bool is_frequent = false, is_narrow = false;

	for (size_t i = 0; i < rule->n_terms; i++) {
		const struct cp_runtime_term *term = &rule->terms[i];

		if (term->field == SN_RT_FIELD_EVENT)
			is_frequent |= frequent &
				       SN_RT_EVENT_BIT(term->value[0]);
		else if (term->field != SN_RT_FIELD_RESULT)
			is_narrow |= !term->path || term->path_bytes > 0;
	}
	return is_frequent && !is_narrow;
}

enum cp_ctl_exit cp_ctl_detection_check(struct cp_ctl_session *session)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *wanted =
		NULL;
	sn_cleanup(cp_rules_unrefp) struct cp_rules *rules = NULL;
	enum cp_ctl_exit exit = load(session, &rules);
	size_t n_enabled;

	if (exit == CP_CTL_EXIT_OK)
		exit = make_wanted(session, rules, &wanted);
	if (exit)
		return exit;
	n_enabled = cp_runtime_rules_count(wanted);
	if (session->options.json)
		return cp_ctl_output_line_of(
			session, json_pack("{s:I, s:I}", "rules",
					   (json_int_t)cp_rules_count(rules),
					   "enabled", (json_int_t)n_enabled));
	(void)fprintf(session->out, "%s: %zu rules, %zu of them enabled\n",
		      session->options.args[2], cp_rules_count(rules),
		      n_enabled);
	for (size_t i = 0; i < n_enabled; i++) {
		const struct cp_runtime_rule *rule =
			cp_runtime_rules_get(wanted, i);

		if (is_wide(rule))
			(void)fprintf(session->out,
				      "rule '%s' has no key by which the "
				      "kernel decides: every access of the "
				      "host becomes an event\n",
				      rule->name);
	}
	return CP_CTL_EXIT_OK;
}

static void tell_hit(void *userdata, const struct cp_rules_hit *hit)
{
	struct test *test = userdata;
	const struct cp_rules_rule *rule = cp_rules_get(test->rules, hit->rule);
	const char *severity = cp_rules_severities[rule->severity];
	uint64_t line = cp_ctl_lines_number(test->lines);
	int r = 0;

	test->n_hits++;
	test->is_hit[hit->rule] = true;
	if (!test->table) {
		test->exit = cp_ctl_output_line_of(
			test->session,
			json_pack("{s:I, s:s, s:s, s:s, s:I}", "line",
				  (json_int_t)line, "rule", rule->name,
				  "severity", severity, "text", hit->text,
				  "count", (json_int_t)hit->count));
		return;
	}
	r = cp_ctl_table_putf(test->table, "%" PRIu64, line);
	if (r == 0)
		r = cp_ctl_table_put(test->table, severity);
	if (r == 0)
		r = cp_ctl_table_put(test->table, rule->name);
	if (r == 0)
		r = cp_ctl_table_put(test->table, hit->text);
	if (r < 0)
		test->exit = cp_ctl_session_fail_errno(test->session,
						       "cannot print", r);
}

/* Which rules the line expects; the others it expects not to be hit. */
static enum cp_ctl_exit read_expected(struct test *test, const json_t *names)
{
	size_t n = cp_rules_count(test->rules), at;
	const json_t *name;

	(void)memset(test->is_expected, 0, n * sizeof(bool));
	json_array_foreach(names, at, name)
	{
		size_t i = 0;

		while (i < n && json_is_string(name) &&
		       strcmp(cp_rules_get(test->rules, i)->name,
			      json_string_value(name)) != 0)
			i++;
		if (!json_is_string(name) || i == n)
			return cp_ctl_session_fail(
				test->session, CP_CTL_EXIT_FAILED,
				"%s:%" PRIu64 ": there is no rule '%s'",
				test->session->options.args[3],
				cp_ctl_lines_number(test->lines),
				json_is_string(name) ? json_string_value(name) :
						       "");
		test->is_expected[i] = true;
	}
	return CP_CTL_EXIT_OK;
}

static void score(struct test *test)
{
	size_t n = cp_rules_count(test->rules);
	bool is_wrong = false;

	for (size_t i = 0; i < n; i++) {
		bool is_hit = test->is_hit[i];
		bool is_expected = test->is_expected[i];

		test->scores[i].hits += is_hit;
		test->scores[i].expected += is_expected;
		test->scores[i].right += is_hit && is_expected;
		is_wrong |= is_hit != is_expected;
	}
	test->n_expecting++;
	test->n_wrong += is_wrong;
}

static enum cp_ctl_exit judge(struct test *test,
			      const struct cp_ctl_lines_event *event)
{
	const struct cp_rules_subject subject = {
		.event = event->message,
		.get_parent = cp_ctl_lines_get_parent,
		.userdata = test->lines,
	};
	size_t n = cp_rules_count(test->rules);

	(void)memset(test->is_hit, 0, n * sizeof(bool));
	test->n_events++;
	(void)cp_rules_state_judge(test->state, &subject,
				   event->message->boot_ns, tell_hit, test);
	if (test->exit || !event->expected)
		return test->exit;
	test->exit = read_expected(test, event->expected);
	if (test->exit == CP_CTL_EXIT_OK)
		score(test);
	return test->exit;
}

/* The end: how right the rules were. */

/* Of what was hit, and of what was expected; of nothing all is right. */
static double share(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 1;
}

static struct score sum_up(const struct test *test)
{
	struct score all = { 0 };

	for (size_t i = 0; i < cp_rules_count(test->rules); i++) {
		all.hits += test->scores[i].hits;
		all.expected += test->scores[i].expected;
		all.right += test->scores[i].right;
	}
	return all;
}

static int put_score(struct cp_ctl_table *table, const char *name,
		     const struct score *one)
{
	int r = cp_ctl_table_put(table, name);

	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, one->expected);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, one->hits);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, one->right);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%.3f",
				      share(one->right, one->hits));
	if (r == 0)
		r = cp_ctl_table_putf(table, "%.3f",
				      share(one->right, one->expected));
	return r;
}

static int print_scores(struct test *test)
{
	static const char *const headers[] = {
		"RULE", "EXPECTED", "HIT", "RIGHT", "PRECISION", "RECALL",
	};
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	const struct score all = sum_up(test);
	int r = cp_ctl_table_new(&table, test->session->out, headers,
				 SN_ARRAY_SIZE(headers));

	if (r < 0)
		return r;
	cp_ctl_table_space(table);
	for (size_t i = 0; r == 0 && i < cp_rules_count(test->rules); i++) {
		const struct score *one = &test->scores[i];

		if (one->expected || one->hits)
			r = put_score(table, cp_rules_get(test->rules, i)->name,
				      one);
	}
	if (r == 0)
		r = put_score(table, "(all)", &all);
	return r == 0 ? cp_ctl_table_flush(table) : r;
}

static enum cp_ctl_exit print_end(struct test *test)
{
	const struct score all = sum_up(test);
	int r;

	if (!test->table)
		return cp_ctl_output_line_of(
			test->session,
			json_pack("{s:I, s:I, s:I, s:I, s:f, s:f}", "events",
				  (json_int_t)test->n_events, "hits",
				  (json_int_t)test->n_hits, "expecting",
				  (json_int_t)test->n_expecting, "wrong",
				  (json_int_t)test->n_wrong, "precision",
				  share(all.right, all.hits), "recall",
				  share(all.right, all.expected)));
	r = cp_ctl_table_flush(test->table);
	if (r == 0 && test->n_expecting)
		r = print_scores(test);
	if (r < 0)
		return cp_ctl_session_fail_errno(test->session, "cannot print",
						 r);
	(void)fprintf(test->session->out,
		      "\n%" PRIu64 " events, %" PRIu64 " hits\n",
		      test->n_events, test->n_hits);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit run(struct test *test)
{
	struct cp_ctl_session *session = test->session;
	struct cp_ctl_lines_event event;
	enum cp_ctl_exit exit = CP_CTL_EXIT_OK;
	int r;

	do {
		r = cp_ctl_lines_read(test->lines, &event);
		if (r == 0)
			exit = judge(test, &event);
	} while (r == 0 && exit == CP_CTL_EXIT_OK);
	if (exit)
		return exit;
	if (r == CP_CTL_LINES_E_REFUSED)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "%s:%" PRIu64 ": %s",
					   session->options.args[3],
					   cp_ctl_lines_number(test->lines),
					   cp_ctl_lines_reason(test->lines));
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot read", r);
	exit = print_end(test);
	if (exit || test->n_wrong == 0)
		return exit;
	return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
				   "%" PRIu64 " of %" PRIu64
				   " lines did not hit what they expect",
				   test->n_wrong, test->n_expecting);
}

static int prepare(struct test *test)
{
	static const char *const headers[] = { "LINE", "SEVERITY", "RULE",
					       "TEXT" };
	size_t n = SN_MAX(cp_rules_count(test->rules), (size_t)1);

	test->scores = calloc(n, sizeof(*test->scores));
	test->is_hit = calloc(n, sizeof(*test->is_hit));
	test->is_expected = calloc(n, sizeof(*test->is_expected));
	if (!test->scores || !test->is_hit || !test->is_expected)
		return -ENOMEM;
	if (test->session->options.json)
		return 0;
	return cp_ctl_table_new(&test->table, test->session->out, headers,
				SN_ARRAY_SIZE(headers));
}

enum cp_ctl_exit cp_ctl_detection_test(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rules_unrefp) struct cp_rules *rules = NULL;
	struct test test = { .session = session };
	enum cp_ctl_exit exit = load(session, &rules);
	int r;

	if (exit)
		return exit;
	test.rules = rules;
	r = cp_ctl_lines_open(&test.lines, session->options.args[3]);
	if (r < 0)
		return cp_ctl_session_fail_errno(session,
						 session->options.args[3], r);
	r = cp_rules_state_new(&test.state, rules);
	if (r == 0)
		r = prepare(&test);
	exit = r == 0 ? run(&test) :
			cp_ctl_session_fail_errno(session, "cannot test", r);
	(void)cp_ctl_table_free(test.table);
	(void)cp_rules_state_free(test.state);
	(void)cp_ctl_lines_close(test.lines);
	free(test.scores);
	free(test.is_hit);
	free(test.is_expected);
	return exit;
}
