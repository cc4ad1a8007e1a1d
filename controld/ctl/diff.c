/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/ctl/diff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/apply.h"
#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/ctl/wanted.h"
#include "controld/policy/cidr.h"
#include "controld/policy/convert.h"
#include "controld/policy/file.h"
#include "controld/rpc/message.h"

enum {
	PAGE = 10000,
	RULES_MAX = 4000000,
	TOKEN_BYTES = 2048,
};

struct diff {
	struct cp_ctl_session *session;
	const struct cp_policy *before;
	const struct cp_policy *after;
	struct cp_ctl_table *table; /* NULL: the array */
	struct cp_ctl_output_array array;
	size_t n_opened;
	size_t n_closed;
	size_t n_same;
	size_t n_unnamed; /* rows whose name no rule can have */
};

bool cp_ctl_diff_read(const Sentinel__V1__Seen *seen,
		      struct cp_ctl_diff_storage *storage,
		      struct cp_ctl_judge_destination *ret)
{
	struct cp_policy_cidr cidr;
	struct sn_diag diag;

	*ret = (struct cp_ctl_judge_destination){
		.protocol = (uint8_t)seen->protocol,
		.port = (uint16_t)seen->port,
	};
	*storage = (struct cp_ctl_diff_storage){ .name = { .size = 0 } };
	if (*seen->name) {
		if (cp_dns_name_parse(seen->name, &storage->name, NULL) != 0)
			return false;
		ret->name = &storage->name;
	}
	if (*seen->address) {
		if (cp_policy_cidr_parse(seen->address, &cidr, &diag) != 0 ||
		    !cp_policy_cidr_is_host(&cidr))
			return false;
		storage->address.family = cidr.family;
		(void)memcpy(storage->address.bytes, cidr.address,
			     sizeof(cidr.address));
		ret->address = &storage->address;
	}
	return ret->name || ret->address;
}

static int put_cells(struct cp_ctl_table *table, const char *change,
		     const Sentinel__V1__Seen *seen,
		     const struct cp_ctl_judge_verdict *before,
		     const struct cp_ctl_judge_verdict *after)
{
	const struct cp_policy_ports ports = {
		.protocol = (uint8_t)seen->protocol,
		.low = (uint16_t)seen->port,
		.high = seen->port ? (uint16_t)seen->port : UINT16_MAX,
	};
	char text[CP_POLICY_PORTS_TEXT_BYTES] = "";
	int r;

	if (*seen->address)
		(void)cp_policy_ports_format(&ports, text);
	r = cp_ctl_table_put(table, change);
	if (r == 0)
		r = cp_ctl_table_put(table,
				     *seen->name ? seen->name : seen->address);
	if (r == 0)
		r = cp_ctl_table_put(table, text);
	if (r == 0)
		r = cp_ctl_table_put(table, before->reason);
	if (r == 0)
		r = cp_ctl_table_put(table, after->reason);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, seen->count);
	return r < 0 ? r : cp_ctl_table_put(table, seen->comm);
}

static json_t *make_json(const char *change, const Sentinel__V1__Seen *seen,
			 const struct cp_ctl_judge_verdict *before,
			 const struct cp_ctl_judge_verdict *after)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:I, s:s}",
			 "change", change, "name", seen->name, "address",
			 seen->address, "protocol", (int)seen->protocol, "port",
			 (int)seen->port, "before", before->reason, "after",
			 after->reason, "count", (json_int_t)seen->count,
			 "comm", seen->comm);
}

static int judge(struct diff *diff, const Sentinel__V1__Seen *seen)
{
	struct cp_ctl_judge_destination destination;
	struct cp_ctl_judge_verdict before, after;
	struct cp_ctl_diff_storage storage;
	const char *change;

	if (!cp_ctl_diff_read(seen, &storage, &destination)) {
		diff->n_unnamed++;
		return 0;
	}
	before = cp_ctl_judge(diff->before, &destination);
	after = cp_ctl_judge(diff->after, &destination);
	if (before.passes == after.passes) {
		diff->n_same++;
		change = after.passes ? "stays allowed" : "stays blocked";
	} else {
		diff->n_opened += after.passes;
		diff->n_closed += before.passes;
		change = after.passes ? "+ allowed" : "- blocked";
	}
	if (diff->table)
		return put_cells(diff->table, change, seen, &before, &after);
	return cp_ctl_output_element_of(
		       &diff->array, make_json(change, seen, &before, &after)) ?
		       -EIO :
		       0;
}

/* Rows come by name. */
static int judge_name(struct diff *diff, const char *name,
		      char last[CP_DNS_NAME_TEXT_BYTES])
{
	Sentinel__V1__Seen seen;

	if (strcmp(last, name) == 0)
		return 0;
	(void)snprintf(last, CP_DNS_NAME_TEXT_BYTES, "%s", name);
	sentinel__v1__seen__init(&seen);
	seen.name = last;
	return judge(diff, &seen);
}

/* Names that were allowed have left what they opened: one row for each. */
static enum cp_ctl_exit judge_learnt(struct diff *diff, char *id)
{
	Sentinel__V1__ListLearntRequest request;
	char last[CP_DNS_NAME_TEXT_BYTES] = "", token[TOKEN_BYTES] = "";
	enum cp_ctl_exit exit;
	int r = 0;

	sentinel__v1__list_learnt_request__init(&request);
	request.id = id;
	request.page_size = PAGE;
	request.page_token = token;
	do {
		sn_cleanup(cp_rpc_message_freep)
			ProtobufCMessage *answer = NULL;
		const Sentinel__V1__ListLearntResponse *page;

		exit = cp_ctl_session_call(
			diff->session, "ListLearnt", &request.base,
			&sentinel__v1__list_learnt_response__descriptor,
			&answer);
		if (exit)
			return exit;
		page = (const void *)answer;
		for (size_t i = 0; r == 0 && i < page->n_learnt; i++)
			r = judge_name(diff, page->learnt[i]->name, last);
		(void)snprintf(token, sizeof(token), "%s",
			       page->next_page_token);
	} while (r == 0 && *token);
	if (r < 0)
		return cp_ctl_session_fail_errno(diff->session, "cannot print",
						 r);
	return exit;
}

static enum cp_ctl_exit load(struct cp_ctl_session *session, const char *path,
			     struct cp_policy **ret)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *message = NULL;
	struct sn_diag diag = { .text = "" };
	enum cp_ctl_exit exit;

	exit = cp_ctl_apply_load(session, path, &message);
	if (exit)
		return exit;
	if (cp_policy_convert_policy(message, RULES_MAX, CP_POLICY_OWNER_LOCAL,
				     "policy", ret, &diag) == 0)
		return CP_CTL_EXIT_OK;
	return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s: %s", path,
				   diag.text[0] ? diag.text : "out of memory");
}

static enum cp_ctl_exit run(struct diff *diff, struct cp_ctl_wanted *wanted)
{
	FILE *out = diff->session->out;
	enum cp_ctl_exit exit;
	int r = 0;

	if (!diff->table)
		diff->array = cp_ctl_output_begin(diff->session);
	for (size_t i = 0; r == 0 && i < wanted->seen->n_seen; i++)
		r = judge(diff, wanted->seen->seen[i]);
	if (r < 0)
		return cp_ctl_session_fail_errno(diff->session, "cannot print",
						 r);
	exit = judge_learnt(diff, wanted->id);
	if (exit)
		return exit;
	if (!diff->table) {
		cp_ctl_output_end(&diff->array);
		return CP_CTL_EXIT_OK;
	}
	(void)cp_ctl_table_flush(diff->table);
	(void)fprintf(
		out,
		"\n%zu would become allowed, %zu blocked; %zu stay as they "
		"are\n",
		diff->n_opened, diff->n_closed, diff->n_same);
	if (diff->n_unnamed)
		(void)fprintf(out, "%zu have names that no rule can have\n",
			      diff->n_unnamed);
	if (wanted->seen->dropped)
		(void)fprintf(out,
			      "%" PRIu64 " more were seen and had no room\n",
			      wanted->seen->dropped);
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_diff_show(struct cp_ctl_session *session)
{
	static const char *const headers[] = {
		"CHANGE", "DESTINATION", "PORT",    "NOW",
		"THEN",	  "COUNT",	 "PROCESS",
	};
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	sn_cleanup(cp_policy_freep) struct cp_policy *after = NULL;
	struct cp_ctl_wanted wanted = { .id = "" };
	struct diff diff = { .session = session };
	enum cp_ctl_exit exit;
	int r = 0;

	exit = load(session, session->options.args[2], &after);
	if (exit)
		return exit;
	if (!session->options.json)
		r = cp_ctl_table_new(&table, session->out, headers,
				     SN_ARRAY_SIZE(headers));
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot print", r);
	exit = cp_ctl_wanted_fetch(session, session->options.args[1], &wanted);
	diff.before = wanted.policy;
	diff.after = after;
	diff.table = table;
	if (exit == CP_CTL_EXIT_OK)
		exit = run(&diff, &wanted);
	cp_ctl_wanted_done(&wanted);
	return exit;
}
