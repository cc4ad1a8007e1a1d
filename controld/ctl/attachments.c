// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/attachments.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/apply.h"
#include "controld/ctl/pages.h"
#include "controld/policy/file.h"
#include "controld/rpc/message.h"

enum {
	ID_SHOWN = 12, /* digits of an id in a table */
	PAGE = 1000,
};

/* Attach. */

/* Metadata as the message has it, borrowed from argv. */
struct metadata {
	Sentinel__V1__AttachRequest__MetadataEntry
		entries[CP_CTL_OPTIONS_META_MAX];
	Sentinel__V1__AttachRequest__MetadataEntry
		*pointers[CP_CTL_OPTIONS_META_MAX];
};

static void fill_metadata(const struct cp_ctl_options *options,
			  struct metadata *metadata,
			  Sentinel__V1__AttachRequest *request)
{
	for (size_t i = 0; i < options->n_meta; i++) {
		char *equals = strchr(options->meta[i], '=');

		*equals = '\0';
		sentinel__v1__attach_request__metadata_entry__init(
			&metadata->entries[i]);
		metadata->entries[i].key = options->meta[i];
		metadata->entries[i].value = equals + 1;
		metadata->pointers[i] = &metadata->entries[i];
	}
	request->metadata = metadata->pointers;
	request->n_metadata = options->n_meta;
}

static enum cp_ctl_exit detach(struct cp_ctl_session *session, char *id)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__DetachRequest request;

	sentinel__v1__detach_request__init(&request);
	request.id = id;
	return cp_ctl_session_call(session, "Detach", &request.base,
				   &sentinel__v1__detach_response__descriptor,
				   &answer);
}

/* Puts a policy that is too large for Attach in force afterwards. */
static enum cp_ctl_exit apply_or_detach(struct cp_ctl_session *session,
					char *id, Sentinel__V1__Policy *policy)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	enum cp_ctl_exit exit;

	exit = cp_ctl_apply_stream(session, id, policy, false, &answer);
	if (exit == CP_CTL_EXIT_OK)
		return exit;
	if (detach(session, id) == CP_CTL_EXIT_OK)
		return cp_ctl_session_fail(session, exit,
					   "the policy was refused, so that "
					   "the target was detached again");
	return cp_ctl_session_fail(session, exit,
				   "%s stays attached and closed; 'sentinelctl "
				   "detach %s' ends that",
				   id, id);
}

static enum cp_ctl_exit print_attached(struct cp_ctl_session *session,
				       Sentinel__V1__AttachResponse *answer)
{
	if (session->options.json)
		return cp_ctl_output_object(session, &answer->base);
	(void)fprintf(session->out, "%s\n", cp_ctl_table_clean(answer->id));
	for (size_t i = 0; i < answer->n_notes; i++)
		(void)fprintf(session->errors, "note: %s\n",
			      cp_ctl_table_clean(answer->notes[i]));
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit call_attach(struct cp_ctl_session *session,
				    Sentinel__V1__AttachRequest *request,
				    Sentinel__V1__Policy *policy)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__AttachResponse *attached;
	enum cp_ctl_exit exit;
	bool is_large;

	request->policy = policy;
	is_large = policy && sentinel__v1__attach_request__get_packed_size(
				     request) > CP_CTL_APPLY_UNARY_MAX_BYTES;
	if (is_large) {
		/* Closed until the stream is through. */
		request->policy = NULL;
		request->mode = SENTINEL__V1__MODE__MODE_UNSPECIFIED;
		request->audit = false;
	}
	exit = cp_ctl_session_call(session, "Attach", &request->base,
				   &sentinel__v1__attach_response__descriptor,
				   &answer);
	if (exit)
		return exit;
	attached = (Sentinel__V1__AttachResponse *)answer;
	if (is_large) {
		exit = apply_or_detach(session, attached->id, policy);
		if (exit)
			return exit;
	}
	return print_attached(session, attached);
}

/* The policy file under --mode and --audit. */
static enum cp_ctl_exit load_policy(struct cp_ctl_session *session,
				    Sentinel__V1__Policy **ret)
{
	const struct cp_ctl_options *options = &session->options;
	enum cp_ctl_exit exit;

	if (!options->policy_path)
		return CP_CTL_EXIT_OK;
	exit = cp_ctl_apply_load(session, options->policy_path, ret);
	if (exit)
		return exit;
	if (options->mode)
		(*ret)->mode = options->mode;
	if (options->audit)
		(*ret)->audit = true;
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_attachments_attach(struct cp_ctl_session *session)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *policy = NULL;
	const struct cp_ctl_options *options = &session->options;
	Sentinel__V1__AttachRequest request;
	struct metadata metadata;
	char path[PATH_MAX];
	enum cp_ctl_exit exit;

	if (!options->interface_name == !options->cgroup_path)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "give either --interface or "
					   "--cgroup");
	if (options->cgroup_path ? !*options->cgroup_path :
				   !*options->interface_name)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "the target has no name");
	if (options->cgroup_path && options->role)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "--role is for interfaces only");
	exit = load_policy(session, &policy);
	if (exit)
		return exit;

	sentinel__v1__attach_request__init(&request);
	if (options->cgroup_path) {
		if (!realpath(options->cgroup_path, path))
			return cp_ctl_session_fail_errno(
				session, options->cgroup_path, -errno);
		request.cgroup_path = path;
	} else {
		request.interface_name =
			(char *)(uintptr_t)options->interface_name;
	}
	request.role = (Sentinel__V1__Role)options->role;
	request.mode = options->mode;
	request.audit = policy ? policy->audit : options->audit;
	fill_metadata(options, &metadata, &request);
	return call_attach(session, &request, policy);
}

enum cp_ctl_exit cp_ctl_attachments_detach(struct cp_ctl_session *session)
{
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;

	exit = cp_ctl_session_resolve(session, session->options.args[1], id);
	if (exit)
		return exit;
	exit = detach(session, id);
	if (exit)
		return exit;
	if (session->options.json)
		(void)fputs("{}\n", session->out);
	else
		(void)fprintf(session->out, "detached %s\n", id);
	return CP_CTL_EXIT_OK;
}

/* List. */

/* "off" where port 53 is judged like all else. */
static char *dns_mode_of(const Sentinel__V1__Attachment *one,
			 char buffer[CP_CTL_OUTPUT_TEXT_BYTES])
{
	if (one->dns_steering == SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF)
		(void)snprintf(buffer, CP_CTL_OUTPUT_TEXT_BYTES, "off");
	else
		(void)cp_ctl_output_enum(&sentinel__v1__dns_mode__descriptor,
					 (int)one->dns_mode, buffer);
	return buffer;
}

static int put_attachment(struct cp_ctl_table *table,
			  const ProtobufCMessage *message)
{
	const Sentinel__V1__Attachment *one =
		(const Sentinel__V1__Attachment *)message;
	char text[CP_CTL_OUTPUT_TEXT_BYTES];
	int r;

	r = cp_ctl_table_putf(table, "%.*s", ID_SHOWN, one->id);
	if (r == 0)
		r = cp_ctl_table_put(table, one->target);
	if (r == 0)
		r = cp_ctl_table_put(
			table, cp_ctl_output_mode(one->mode, one->audit, text));
	(void)cp_ctl_output_enum(&sentinel__v1__inbound__descriptor,
				 (int)one->inbound, text);
	if (r == 0)
		r = cp_ctl_table_put(table, text);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu32, one->rules);
	if (r == 0)
		r = cp_ctl_table_put(table, dns_mode_of(one, text));
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu32, one->domain_rules);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu32, one->learnt_addresses);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, one->packets_allowed);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, one->packets_blocked);
	(void)cp_ctl_output_enum(&sentinel__v1__attachment_state__descriptor,
				 (int)one->state, text);
	return r < 0 ? r : cp_ctl_table_put(table, text);
}

enum cp_ctl_exit cp_ctl_attachments_list(struct cp_ctl_session *session)
{
	static const struct cp_ctl_pages pages = {
		.method = "List",
		.request = &sentinel__v1__list_request__descriptor,
		.response = &sentinel__v1__list_response__descriptor,
		.elements = "attachments",
		.size = PAGE,
		.put = put_attachment,
	};
	static const char *const headers[] = {
		"ID",	 "TARGET", "MODE",    "INBOUND", "RULES", "DNS",
		"NAMES", "LEARNT", "ALLOWED", "BLOCKED", "STATE",
	};
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	struct cp_ctl_output_array array = { .session = NULL };
	enum cp_ctl_exit exit;
	int r;

	if (!session->options.json) {
		r = cp_ctl_table_new(&table, session->out, headers,
				     SN_ARRAY_SIZE(headers));
		if (r < 0)
			return cp_ctl_session_fail_errno(session, "list", r);
	}
	exit = cp_ctl_pages_print(session, &pages, NULL, table, &array, NULL);
	if (exit)
		return exit;
	if (table)
		(void)cp_ctl_table_flush(table);
	else
		cp_ctl_output_end(&array);
	return CP_CTL_EXIT_OK;
}

/* Show. */

static void line(struct cp_ctl_session *session, const char *name,
		 const char *value)
{
	(void)fprintf(session->out, "%-12s %s\n", name, *value ? value : "-");
}

static void print_counters(struct cp_ctl_session *session,
			   Sentinel__V1__Attachment *one)
{
	(void)fprintf(session->out,
		      "%-12s %" PRIu64 " packets, %" PRIu64 " bytes\n",
		      "allowed", one->packets_allowed, one->bytes_allowed);
	(void)fprintf(session->out,
		      "%-12s %" PRIu64 " packets, %" PRIu64 " bytes%s\n",
		      "blocked", one->packets_blocked, one->bytes_blocked,
		      one->audit ? " (passed, audit)" : "");
	(void)fprintf(session->out, "%-12s %" PRIu64 " calls\n", "refused",
		      one->calls_refused);
	for (size_t i = 0; i < one->n_blocked_reasons; i++)
		(void)fprintf(
			session->out, "  %-18s %" PRIu64 "\n",
			cp_ctl_table_clean(one->blocked_reasons[i]->reason),
			one->blocked_reasons[i]->count);
}

/* What is about names. */
static void print_dns(struct cp_ctl_session *session,
		      Sentinel__V1__Attachment *one)
{
	char text[CP_CTL_OUTPUT_TEXT_BYTES];

	(void)fprintf(session->out, "%-12s %s%s%s\n", "dns",
		      dns_mode_of(one, text), *one->dns_address ? " at " : "",
		      cp_ctl_table_clean(one->dns_address));
	(void)fprintf(session->out, "%-12s %" PRIu32 "\n", "name rules",
		      one->domain_rules);
	(void)fprintf(session->out,
		      "%-12s %" PRIu32 " names, %" PRIu32 " addresses\n",
		      "learnt", one->learnt_names, one->learnt_addresses);
	(void)fprintf(session->out,
		      "%-12s %" PRIu64 " allowed, %" PRIu64
		      " blocked%s, %" PRIu64 " failed\n",
		      "queries", one->dns_allowed, one->dns_blocked,
		      one->audit ? " (answered, audit)" : "", one->dns_failed);
}

static void print_attachment(struct cp_ctl_session *session,
			     Sentinel__V1__Attachment *one)
{
	char text[CP_CTL_OUTPUT_TEXT_BYTES];

	line(session, "id", cp_ctl_table_clean(one->id));
	line(session, "target", cp_ctl_table_clean(one->target));
	line(session, "type",
	     cp_ctl_output_enum(&sentinel__v1__target_type__descriptor,
				(int)one->type, text));
	if (one->role)
		line(session, "role",
		     cp_ctl_output_enum(&sentinel__v1__role__descriptor,
					(int)one->role, text));
	line(session, "state",
	     cp_ctl_output_enum(&sentinel__v1__attachment_state__descriptor,
				(int)one->state, text));
	line(session, "mode", cp_ctl_output_mode(one->mode, one->audit, text));
	line(session, "inbound",
	     cp_ctl_output_enum(&sentinel__v1__inbound__descriptor,
				(int)one->inbound, text));
	(void)fprintf(session->out,
		      "%-12s %" PRIu32 " (generation %" PRIu32 ")\n", "rules",
		      one->rules, one->generation);
	print_dns(session, one);
	line(session, "attached", cp_ctl_output_time(one->attached_at, text));
	print_counters(session, one);
	for (size_t i = 0; i < one->n_metadata; i++)
		(void)fprintf(session->out, "%-12s %s=%s\n",
			      i ? "" : "metadata",
			      cp_ctl_table_clean(one->metadata[i]->key),
			      cp_ctl_table_clean(one->metadata[i]->value));
	for (size_t i = 0; i < one->n_notes; i++)
		line(session, i ? "" : "notes",
		     cp_ctl_table_clean(one->notes[i]));
}

enum cp_ctl_exit cp_ctl_attachments_show(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	char id[CP_CTL_SESSION_ID_BYTES];
	Sentinel__V1__Attachment *one;
	Sentinel__V1__GetRequest request;
	enum cp_ctl_exit exit;

	exit = cp_ctl_session_resolve(session, session->options.args[1], id);
	if (exit)
		return exit;
	sentinel__v1__get_request__init(&request);
	request.id = id;
	exit = cp_ctl_session_call(session, "Get", &request.base,
				   &sentinel__v1__get_response__descriptor,
				   &answer);
	if (exit)
		return exit;
	one = ((Sentinel__V1__GetResponse *)answer)->attachment;
	if (!one)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "the answer has no attachment");
	if (session->options.json)
		return cp_ctl_output_object(session, &one->base);
	print_attachment(session, one);
	return CP_CTL_EXIT_OK;
}
