// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/top/top.h"

#include <poll.h>
#include <time.h>

#include "controld/ctl/output.h"
#include "controld/ctl/top/lines.h"
#include "controld/ctl/top/screen.h"

enum {
	INTERVAL_S = 2, /* by default */
	INTERVAL_MAX_S = 3600,
	MS_PER_S = 1000,
};

static void print_text(struct cp_ctl_session *session,
		       struct cp_ctl_top_model *model,
		       const struct cp_ctl_top_row *const *rows, size_t n)
{
	char line[CP_CTL_TOP_LINES_BYTES], when[CP_CTL_OUTPUT_TEXT_BYTES];

	cp_ctl_top_lines_sum(model, CP_CTL_TOP_LINES_PLAIN, line);
	(void)fprintf(session->out, "%s  %s\n",
		      cp_ctl_output_time(time(NULL), when), line);
	cp_ctl_top_lines_head(CP_CTL_TOP_LINES_PLAIN, line);
	(void)fprintf(session->out, "%s\n", line);
	for (size_t i = 0; i < n; i++) {
		cp_ctl_top_lines_row(rows[i], CP_CTL_TOP_LINES_PLAIN, line);
		(void)fprintf(session->out, "%s\n", line);
	}
	(void)fputc('\n', session->out);
}

static json_t *row_to_json(const struct cp_ctl_top_row *row)
{
	return json_pack("{s:s,s:o,s:s,s:f,s:f,s:f,s:f,s:f,s:o}", "id", row->id,
			 "target", cp_ctl_output_text(row->target), "mode",
			 row->mode, "allowed",
			 row->rates[CP_CTL_TOP_RATE_ALLOWED], "blocked",
			 row->rates[CP_CTL_TOP_RATE_BLOCKED], "bytes",
			 row->rates[CP_CTL_TOP_RATE_BYTES], "dns",
			 row->rates[CP_CTL_TOP_RATE_DNS], "dns_blocked",
			 row->rates[CP_CTL_TOP_RATE_DNS_BLOCKED],
			 "last_blocked", cp_ctl_output_text(row->last));
}

static enum cp_ctl_exit print_json(struct cp_ctl_session *session,
				   const struct cp_ctl_top_row *const *rows,
				   size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, row_to_json(rows[i]));
	return cp_ctl_output_line_of(session, json_pack("{s:I,s:o}", "time",
							(json_int_t)time(NULL),
							"attachments", list));
}

/* Until --count is reached or nobody reads any more. The first sample has no
 * rates yet and is not shown. */
static enum cp_ctl_exit run_plain(struct cp_ctl_top_source *source,
				  struct cp_ctl_top_model *model,
				  enum cp_ctl_top_sort sort,
				  uint64_t interval_ms)
{
	struct cp_ctl_session *session = source->session;
	const struct cp_ctl_top_row *const *rows;
	uint64_t wanted = session->options.count;
	enum cp_ctl_exit exit = CP_CTL_EXIT_OK;
	struct cp_rpc_status status;

	for (uint64_t n = 0; exit == CP_CTL_EXIT_OK; n++) {
		size_t n_rows;

		if (!cp_ctl_top_source_sample(source, model, &status))
			return cp_ctl_session_fail_status(session, &status);
		n_rows = cp_ctl_top_model_select(model, sort, "", &rows);
		if (n > 0 && session->options.json)
			exit = print_json(session, rows, n_rows);
		else if (n > 0)
			print_text(session, model, rows, n_rows);
		if (exit == CP_CTL_EXIT_OK)
			exit = cp_ctl_session_flush(session);
		if (wanted && n >= wanted)
			break;
		(void)poll(NULL, 0, (int)interval_ms);
	}
	return exit;
}

enum cp_ctl_exit cp_ctl_top_run(struct cp_ctl_session *session)
{
	sn_cleanup(cp_ctl_top_model_freep) struct cp_ctl_top_model *model =
		NULL;
	struct cp_ctl_top_source source = { .session = session };
	const struct cp_ctl_options *options = &session->options;
	enum cp_ctl_top_sort sort = CP_CTL_TOP_SORT_BLOCKED;
	uint64_t interval_s = options->interval_s ? options->interval_s :
						    INTERVAL_S;
	enum cp_ctl_exit exit;
	int r;

	if (options->sort && !cp_ctl_top_model_parse_sort(options->sort, &sort))
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "--sort '%s' is none of: blocked, "
					   "allowed, dns, target",
					   options->sort);
	if (interval_s > INTERVAL_MAX_S)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "--interval is over an hour");
	r = cp_ctl_top_model_new(&model);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "top", r);
	if (cp_ctl_top_screen_is_possible() && !options->json &&
	    !options->count)
		exit = cp_ctl_top_screen_run(&source, model, sort,
					     interval_s * MS_PER_S);
	else
		exit = run_plain(&source, model, sort, interval_s * MS_PER_S);
	cp_ctl_top_source_done(&source);
	return exit;
}
