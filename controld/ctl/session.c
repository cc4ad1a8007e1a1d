// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/session.h"

#include <ctype.h>
#include <grpc/status.h>
#include <stdarg.h>
#include <string.h>

#include "controld/ctl/progress.h"
#include "controld/ctl/table.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	TEXT_BYTES = 2048,
	METHOD_BYTES = 96,
	SHOWN_MAX = 10, /* ids of an ambiguous prefix */
};

void cp_ctl_session_done(struct cp_ctl_session *session)
{
	session->client = cp_rpc_client_free(session->client);
}

enum cp_ctl_exit cp_ctl_session_fail(struct cp_ctl_session *session,
				     enum cp_ctl_exit result,
				     const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(session->errors, "sentinelctl: %s: %s\n", session->name,
		      cp_ctl_table_clean(text));
	return result;
}

enum cp_ctl_exit cp_ctl_session_fail_errno(struct cp_ctl_session *session,
					   const char *what, int r)
{
	return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s: %s", what,
				   strerror(-r));
}

/* What an operator may do next; NULL: the server's text says all. */
static const char *advice(const char *command, int code, bool is_connected)
{
	switch (code) {
	case GRPC_STATUS_UNAVAILABLE:
		return is_connected ?
			       "'sentinelctl status' tells more" :
			       "is sentinel-cp running? Its log tells why not";
	case GRPC_STATUS_PERMISSION_DENIED:
		return "root and members of the API's group (sentinel-admin) "
		       "may call";
	case GRPC_STATUS_NOT_FOUND:
		/* It was the target that is not there. */
		if (strcmp(command, "attach") == 0)
			return NULL;
		if (strcmp(command, "remove") == 0)
			return "'sentinelctl list' shows what is attached, "
			       "'sentinelctl rules ID' its rules";
		return "'sentinelctl list' shows what is attached";
	case GRPC_STATUS_ALREADY_EXISTS:
		return "'sentinelctl list' shows what is attached";
	case GRPC_STATUS_RESOURCE_EXHAUSTED:
		return "'sentinelctl status' shows how full the tables are";
	case GRPC_STATUS_DEADLINE_EXCEEDED:
		return "the change may still happen; see 'sentinelctl list'";
	default:
		return NULL;
	}
}

enum cp_ctl_exit cp_ctl_session_fail_status(struct cp_ctl_session *session,
					    const struct cp_rpc_status *status)
{
	const char *next = advice(session->name, status->code, session->client);

	(void)cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED, "%s",
				  status->text[0] ?
					  status->text :
					  cp_rpc_status_name(status->code));
	if (next)
		(void)fprintf(session->errors, "sentinelctl: next: %s\n", next);
	return CP_CTL_EXIT_FAILED;
}

enum cp_ctl_exit cp_ctl_session_connect(struct cp_ctl_session *session)
{
	struct cp_rpc_status status = { .code = 0 };
	int r;

	if (session->client)
		return CP_CTL_EXIT_OK;
	r = cp_rpc_client_new(&session->client, session->options.socket,
			      CP_CTL_SESSION_TIMEOUT_MS, &status);
	if (r == CP_RPC_CLIENT_E_STATUS)
		return cp_ctl_session_fail_status(session, &status);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot connect", r);
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_session_call(struct cp_ctl_session *session,
				     const char *method,
				     const ProtobufCMessage *request,
				     const ProtobufCMessageDescriptor *response,
				     ProtobufCMessage **ret)
{
	struct cp_rpc_status status = { .code = 0 };
	char path[METHOD_BYTES];
	enum cp_ctl_exit exit;
	int r;

	exit = cp_ctl_session_connect(session);
	if (exit)
		return exit;
	(void)snprintf(path, sizeof(path), "/sentinel.v1.DaemonService/%s",
		       method);
	cp_ctl_progress_begin(method);
	r = cp_rpc_client_call(session->client, path, request, response, ret,
			       &status);
	cp_ctl_progress_end();
	if (r == CP_RPC_CLIENT_E_STATUS)
		return cp_ctl_session_fail_status(session, &status);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, method, r);
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit
cp_ctl_session_stream(struct cp_ctl_session *session, const char *method,
		      const ProtobufCMessage *request,
		      const ProtobufCMessageDescriptor *response,
		      struct cp_rpc_client_stream **ret)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	struct cp_rpc_status status = { .code = 0 };
	char path[METHOD_BYTES];
	enum cp_ctl_exit exit;
	int r;

	exit = cp_ctl_session_connect(session);
	if (exit)
		return exit;
	(void)snprintf(path, sizeof(path), "/sentinel.v1.DaemonService/%s",
		       method);
	r = cp_rpc_client_stream_new(&stream, session->client, path, response,
				     0);
	if (r == 0)
		r = cp_rpc_client_stream_send(stream, request, &status);
	if (r == CP_RPC_CLIENT_E_STATUS)
		return cp_ctl_session_fail_status(session, &status);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, method, r);
	cp_rpc_client_stream_close(stream);
	*ret = sn_steal(&stream);
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_session_read(
	struct cp_ctl_session *session, struct cp_rpc_client_stream *stream,
	enum cp_ctl_exit (*take)(void *userdata, ProtobufCMessage *message),
	void *userdata)
{
	struct cp_rpc_status status = { .code = 0 };
	int r;

	for (;;) {
		sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *one = NULL;
		enum cp_ctl_exit exit;

		r = cp_rpc_client_stream_read(stream, &one, &status);
		if (r)
			break;
		exit = take(userdata, one);
		if (exit)
			return exit;
	}
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot read", r);
	return status.code ? cp_ctl_session_fail_status(session, &status) :
			     CP_CTL_EXIT_OK;
}

/* Lower-case digits of an id or prefix; false if it is none. */
static bool read_prefix(const char *text, char id[CP_CTL_SESSION_ID_BYTES])
{
	size_t n = strlen(text);

	if (n < CP_CTL_SESSION_PREFIX_MIN || n >= CP_CTL_SESSION_ID_BYTES)
		return false;
	for (size_t i = 0; i <= n; i++)
		id[i] = (char)tolower((unsigned char)text[i]);
	return strspn(id, "0123456789abcdef") == n;
}

static enum cp_ctl_exit fail_ambiguous(struct cp_ctl_session *session,
				       const char *prefix,
				       const Sentinel__V1__ListResponse *list)
{
	(void)cp_ctl_session_fail(
		session, CP_CTL_EXIT_FAILED,
		"'%s' is the beginning of several ids:", prefix);
	for (size_t i = 0; i < list->n_attachments && i < SHOWN_MAX; i++) {
		const Sentinel__V1__Attachment *one = list->attachments[i];

		(void)fprintf(session->errors, "  %.32s  %.200s\n",
			      cp_ctl_table_clean(one->id),
			      cp_ctl_table_clean(one->target));
	}
	if (list->n_attachments > SHOWN_MAX || *list->next_page_token)
		(void)fputs("  ...\n", session->errors);
	return CP_CTL_EXIT_FAILED;
}

enum cp_ctl_exit cp_ctl_session_resolve(struct cp_ctl_session *session,
					const char *prefix,
					char id[CP_CTL_SESSION_ID_BYTES])
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__ListResponse *list;
	Sentinel__V1__ListRequest request;
	enum cp_ctl_exit exit;

	if (!read_prefix(prefix, id))
		return cp_ctl_session_fail(
			session, CP_CTL_EXIT_USAGE,
			"'%s' is no id: %d to %d hex digits are needed", prefix,
			CP_CTL_SESSION_PREFIX_MIN, CP_CTL_SESSION_ID_BYTES - 1);
	if (strlen(id) == CP_CTL_SESSION_ID_BYTES - 1)
		return CP_CTL_EXIT_OK;

	sentinel__v1__list_request__init(&request);
	request.page_size = SHOWN_MAX + 1;
	request.id_prefix = id;
	exit = cp_ctl_session_call(session, "List", &request.base,
				   &sentinel__v1__list_response__descriptor,
				   &answer);
	if (exit)
		return exit;
	list = (const Sentinel__V1__ListResponse *)answer;
	if (list->n_attachments > 1 || *list->next_page_token)
		return fail_ambiguous(session, id, list);
	if (list->n_attachments == 0 ||
	    strlen(list->attachments[0]->id) != CP_CTL_SESSION_ID_BYTES - 1) {
		const struct cp_rpc_status status = {
			.code = GRPC_STATUS_NOT_FOUND,
			.text = "no attachment has an id that begins so",
		};

		return cp_ctl_session_fail_status(session, &status);
	}
	(void)memcpy(id, list->attachments[0]->id, CP_CTL_SESSION_ID_BYTES);
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_session_flush(struct cp_ctl_session *session)
{
	if (fflush(session->out) == 0 && !ferror(session->out))
		return CP_CTL_EXIT_OK;
	return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
				   "the output could not be written");
}
