// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/output.h"
#include "controld/ctl/run/blocked.h"
#include "controld/ctl/table.h"
#include "controld/rpc/json.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	NAMES_MAX = 4096, /* remembered; more are counted */
	NAMES_SHOWN = 32,
	ADDRESSES_SHOWN = 3, /* of one name */
	PAGE = 1000,
};

struct name {
	char *text;
	char *addresses[ADDRESSES_SHOWN];
	size_t n_addresses; /* not bounded by what is kept */
};

struct cp_ctl_run_report {
	struct name names[NAMES_MAX]; /* in the order of their coming */
	size_t n_names;
	bool is_full;
};

int cp_ctl_run_report_new(struct cp_ctl_run_report **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct cp_ctl_run_report *
cp_ctl_run_report_free(struct cp_ctl_run_report *report)
{
	if (!report)
		return NULL;
	for (size_t i = 0; i < report->n_names; i++) {
		free(report->names[i].text);
		for (size_t j = 0; j < ADDRESSES_SHOWN; j++)
			free(report->names[i].addresses[j]);
	}
	free(report);
	return NULL;
}

static struct name *find(struct cp_ctl_run_report *report, const char *text)
{
	struct name *name;

	for (size_t i = 0; i < report->n_names; i++) {
		if (strcmp(report->names[i].text, text) == 0)
			return &report->names[i];
	}
	report->is_full = report->is_full || report->n_names == NAMES_MAX;
	if (report->is_full)
		return NULL;
	name = &report->names[report->n_names];
	name->text = strdup(text);
	if (!name->text)
		return NULL;
	report->n_names++;
	return name;
}

static void take(struct cp_ctl_run_report *report,
		 const Sentinel__V1__Learnt *learnt)
{
	struct name *name = find(report, learnt->name);

	if (!name)
		return;
	for (size_t i = 0; i < ADDRESSES_SHOWN && name->addresses[i]; i++) {
		if (strcmp(name->addresses[i], learnt->address) == 0)
			return;
	}
	if (name->n_addresses < ADDRESSES_SHOWN)
		name->addresses[name->n_addresses] = strdup(learnt->address);
	name->n_addresses++;
}

enum cp_ctl_exit cp_ctl_run_report_gather(struct cp_ctl_run_report *report,
					  struct cp_ctl_session *session,
					  char *id)
{
	sn_cleanup(sn_freep) char *token = strdup("");

	while (token) {
		sn_cleanup(cp_rpc_message_freep)
			ProtobufCMessage *answer = NULL;
		const Sentinel__V1__ListLearntResponse *page;
		Sentinel__V1__ListLearntRequest request;
		enum cp_ctl_exit exit;

		sentinel__v1__list_learnt_request__init(&request);
		request.id = id;
		request.page_size = PAGE;
		request.page_token = token;
		exit = cp_ctl_session_call(
			session, "ListLearnt", &request.base,
			&sentinel__v1__list_learnt_response__descriptor,
			&answer);
		if (exit)
			return exit;
		page = (const Sentinel__V1__ListLearntResponse *)answer;
		for (size_t i = 0; i < page->n_learnt; i++)
			take(report, page->learnt[i]);
		free(token);
		token = *page->next_page_token && page->n_learnt ?
				strdup(page->next_page_token) :
				NULL;
	}
	return CP_CTL_EXIT_OK;
}

static void print_names(const struct cp_ctl_run_report *report, FILE *out)
{
	for (size_t i = 0; i < report->n_names && i < NAMES_SHOWN; i++) {
		const struct name *name = &report->names[i];

		(void)fprintf(out, "    %s ", cp_ctl_table_clean(name->text));
		for (size_t j = 0; j < ADDRESSES_SHOWN && name->addresses[j];
		     j++)
			(void)fprintf(out, " %s",
				      cp_ctl_table_clean(name->addresses[j]));
		(void)fprintf(out, "%s\n",
			      name->n_addresses > ADDRESSES_SHOWN ? " ..." :
								    "");
	}
	if (report->n_names > NAMES_SHOWN)
		(void)fprintf(out, "    and %zu%s more names\n",
			      report->n_names - NAMES_SHOWN,
			      report->is_full ? " or" : "");
}

static void print_text(const struct cp_ctl_run_report *report, FILE *out,
		       const Sentinel__V1__Attachment *one, int n_left)
{
	if (n_left > 0)
		(void)fprintf(out, "  %d process%s left and killed\n", n_left,
			      n_left == 1 ? " was" : "es were");
	(void)fprintf(out,
		      "  allowed   %" PRIu64 " packets, %" PRIu64
		      " bytes, %" PRIu64 " name queries\n",
		      one->packets_allowed, one->bytes_allowed,
		      one->dns_allowed);
	print_names(report, out);
	if (one->packets_blocked + one->calls_refused + one->dns_blocked == 0) {
		(void)fputs("  blocked   nothing\n", out);
		return;
	}
	(void)fprintf(out,
		      "  %s %" PRIu64 " packets, %" PRIu64
		      " calls refused, %" PRIu64 " name queries\n",
		      one->audit ? "to block " : "blocked  ",
		      one->packets_blocked, one->calls_refused,
		      one->dns_blocked);
	for (size_t i = 0; i < one->n_blocked_reasons; i++)
		(void)fprintf(
			out, "    %-16s %" PRIu64 "\n",
			cp_ctl_table_clean(one->blocked_reasons[i]->reason),
			one->blocked_reasons[i]->count);
}

static json_t *names_to_json(const struct cp_ctl_run_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < report->n_names; i++) {
		const struct name *name = &report->names[i];
		json_t *addresses = json_array();

		for (size_t j = 0; j < ADDRESSES_SHOWN && name->addresses[j];
		     j++)
			(void)json_array_append_new(
				addresses, json_string(name->addresses[j]));
		(void)json_array_append_new(
			list, json_pack("{s:s,s:o}", "name", name->text,
					"addresses", addresses));
	}
	return list;
}

static enum cp_ctl_exit print_json(const struct cp_ctl_run_report *report,
				   struct cp_ctl_session *session,
				   const struct cp_ctl_run_bound *bound,
				   const Sentinel__V1__Attachment *one,
				   int n_left)
{
	json_t *attachment = NULL;
	int r;

	r = cp_rpc_json_from_message(&one->base, CP_RPC_JSON_STYLE_PLAIN,
				     &attachment);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot print", r);
	return cp_ctl_output_line_of(
		session,
		json_pack("{s:o,s:o,s:i,s:I,s:I,s:b}", "attachment", attachment,
			  "names", names_to_json(report), "processes_left",
			  n_left, "pids_limit", (json_int_t)bound->limit,
			  "forks_refused",
			  (json_int_t)cp_ctl_run_bound_count_refused(bound),
			  "pids_exceeded",
			  (int)atomic_load(&bound->was_exceeded)));
}

enum cp_ctl_exit cp_ctl_run_report_print(struct cp_ctl_run_report *report,
					 struct cp_ctl_session *session,
					 const struct cp_ctl_run_bound *bound,
					 char *id, int n_left)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__Attachment *one;
	Sentinel__V1__GetRequest request;
	enum cp_ctl_exit exit;

	exit = cp_ctl_run_report_gather(report, session, id);
	if (exit)
		return exit;
	sentinel__v1__get_request__init(&request);
	request.id = id;
	exit = cp_ctl_session_call(session, "Get", &request.base,
				   &sentinel__v1__get_response__descriptor,
				   &answer);
	if (exit)
		return exit;
	one = ((const Sentinel__V1__GetResponse *)answer)->attachment;
	if (!one)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "the answer has no attachment");
	if (session->options.json)
		return print_json(report, session, bound, one, n_left);
	cp_ctl_run_bound_tell(bound, session);
	print_text(report, session->out, one, n_left);
	return cp_ctl_run_blocked_print(session, id);
}
