// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/apply.h"

#include <inttypes.h>

#include "controld/ctl/output.h"
#include "controld/ctl/progress.h"
#include "controld/policy/file.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	TEXT_BYTES = SN_DIAG_FILE_BYTES + SN_DIAG_TEXT_BYTES + 16,
	RULE_OVERHEAD = 6, /* tag and length of a rule in its part */
};

enum cp_ctl_exit cp_ctl_apply_load(struct cp_ctl_session *session,
				   const char *path, Sentinel__V1__Policy **ret)
{
	struct sn_diag diag = { .text = "" };
	char text[TEXT_BYTES];
	int r;

	r = cp_policy_file_load(path, ret, &diag);
	if (r == 0)
		return CP_CTL_EXIT_OK;
	if (!diag.text[0])
		return cp_ctl_session_fail_errno(session, path, r);
	return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s",
				   sn_diag_format(&diag, text, sizeof(text)));
}

/* How many messages from the first on make one part; at least one. */
static size_t part_of(ProtobufCMessage *const *messages, size_t n_messages)
{
	size_t bytes = 0, n = 0;

	for (; n < n_messages; n++) {
		bytes += protobuf_c_message_get_packed_size(messages[n]) +
			 RULE_OVERHEAD;
		if (n > 0 && bytes > CP_CTL_APPLY_PART_BYTES)
			break;
	}
	return n;
}

static int send_rules(struct cp_rpc_client_stream *stream,
		      const Sentinel__V1__Policy *policy,
		      struct cp_rpc_status *status)
{
	Sentinel__V1__ApplyStreamRequest request;
	size_t n_sent = 0;
	int r = 0;

	while (r == 0 && n_sent < policy->n_rules) {
		sentinel__v1__apply_stream_request__init(&request);
		request.rules = policy->rules + n_sent;
		request.n_rules =
			part_of((ProtobufCMessage *const *)request.rules,
				policy->n_rules - n_sent);
		n_sent += request.n_rules;
		r = cp_rpc_client_stream_send(stream, &request.base, status);
	}
	return r;
}

static int send_domains(struct cp_rpc_client_stream *stream,
			const Sentinel__V1__DnsPolicy *dns,
			struct cp_rpc_status *status)
{
	Sentinel__V1__ApplyStreamRequest request;
	size_t n_sent = 0;
	int r = 0;

	while (r == 0 && n_sent < dns->n_domains) {
		sentinel__v1__apply_stream_request__init(&request);
		request.domains = dns->domains + n_sent;
		request.n_domains =
			part_of((ProtobufCMessage *const *)request.domains,
				dns->n_domains - n_sent);
		n_sent += request.n_domains;
		r = cp_rpc_client_stream_send(stream, &request.base, status);
	}
	return r;
}

/* Sends settings first, then the rules part by part. */
static int send_parts(struct cp_rpc_client_stream *stream, char *id,
		      const Sentinel__V1__Policy *policy, bool dry_run,
		      struct cp_rpc_status *status)
{
	Sentinel__V1__ApplyStreamRequest request;
	Sentinel__V1__Policy settings = *policy;
	Sentinel__V1__DnsPolicy dns;
	int r;

	settings.n_rules = 0;
	if (policy->dns) {
		dns = *policy->dns;
		dns.n_domains = 0;
		settings.dns = &dns;
	}
	sentinel__v1__apply_stream_request__init(&request);
	request.id = id;
	request.policy = &settings;
	request.dry_run = dry_run;
	r = cp_rpc_client_stream_send(stream, &request.base, status);
	if (r == 0)
		r = send_rules(stream, policy, status);
	if (r == 0 && policy->dns)
		r = send_domains(stream, policy->dns, status);
	return r;
}

enum cp_ctl_exit cp_ctl_apply_stream(struct cp_ctl_session *session, char *id,
				     Sentinel__V1__Policy *policy, bool dry_run,
				     ProtobufCMessage **ret)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	struct cp_rpc_status status = { .code = 0 };
	enum cp_ctl_exit exit;
	int r;

	exit = cp_ctl_session_connect(session);
	if (exit)
		return exit;
	r = cp_rpc_client_stream_new(
		&stream, session->client,
		"/sentinel.v1.DaemonService/ApplyStream",
		&sentinel__v1__apply_stream_response__descriptor,
		CP_CTL_APPLY_TIMEOUT_MS);
	if (r == 0)
		r = send_parts(stream, id, policy, dry_run, &status);
	if (r == 0) {
		cp_rpc_client_stream_close(stream);
		cp_ctl_progress_begin("ApplyStream");
		r = cp_rpc_client_stream_finish(stream, ret, &status);
		cp_ctl_progress_end();
	}
	if (r == CP_RPC_CLIENT_E_STATUS)
		return cp_ctl_session_fail_status(session, &status);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "ApplyStream", r);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit print(struct cp_ctl_session *session,
			      const Sentinel__V1__ApplyResponse *answer)
{
	if (!answer)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "the answer has no result");
	if (session->options.json)
		return cp_ctl_output_object(session, &answer->base);
	(void)fprintf(session->out,
		      "%s%" PRIu32 " added, %" PRIu32 " removed, %" PRIu32
		      " unchanged; generation %" PRIu32 " is in force\n",
		      session->options.dry_run ? "dry run: " : "",
		      answer->added, answer->removed, answer->unchanged,
		      answer->generation);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit apply(struct cp_ctl_session *session, char *id,
			      Sentinel__V1__Policy *policy)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__ApplyRequest request;
	bool dry_run = session->options.dry_run;
	enum cp_ctl_exit exit;

	sentinel__v1__apply_request__init(&request);
	request.id = id;
	request.policy = policy;
	request.dry_run = dry_run;
	if (sentinel__v1__apply_request__get_packed_size(&request) >
	    CP_CTL_APPLY_UNARY_MAX_BYTES) {
		exit = cp_ctl_apply_stream(session, id, policy, dry_run,
					   &answer);
		if (exit)
			return exit;
		return print(session,
			     ((const Sentinel__V1__ApplyStreamResponse *)answer)
				     ->result);
	}
	exit = cp_ctl_session_call(session, "Apply", &request.base,
				   &sentinel__v1__apply_response__descriptor,
				   &answer);
	if (exit)
		return exit;
	return print(session, (const Sentinel__V1__ApplyResponse *)answer);
}

enum cp_ctl_exit cp_ctl_apply_file(struct cp_ctl_session *session)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *policy = NULL;
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;

	exit = cp_ctl_apply_load(session, session->options.args[2], &policy);
	if (exit)
		return exit;
	exit = cp_ctl_session_resolve(session, session->options.args[1], id);
	if (exit)
		return exit;
	return apply(session, id, policy);
}
