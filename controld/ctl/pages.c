// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/message.h"

static const ProtobufCFieldDescriptor *
field_of(const ProtobufCMessageDescriptor *type, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(type, name);

	assert(field);
	return field;
}

static void put_text(ProtobufCMessage *message, const char *name, char *text)
{
	unsigned int at = field_of(message->descriptor, name)->offset;

	(void)memcpy((char *)message + at, &text, sizeof(text));
}

static ProtobufCMessage *make_request(const struct cp_ctl_pages *pages,
				      char *id, char *token)
{
	ProtobufCMessage *request = calloc(1, pages->request->sizeof_message);
	unsigned int at;

	if (!request)
		return NULL;
	protobuf_c_message_init(pages->request, request);
	at = field_of(pages->request, "page_size")->offset;
	(void)memcpy((char *)request + at, &pages->size, sizeof(pages->size));
	put_text(request, "page_token", token);
	if (id)
		put_text(request, "id", id);
	return request;
}

static enum cp_ctl_exit print_page(struct cp_ctl_session *session,
				   const struct cp_ctl_pages *pages,
				   const ProtobufCMessage *page,
				   struct cp_ctl_table *table,
				   struct cp_ctl_output_array *array, size_t *n)
{
	const ProtobufCFieldDescriptor *field =
		field_of(pages->response, pages->elements);
	ProtobufCMessage *const *elements;
	enum cp_ctl_exit exit;
	int r;

	(void)memcpy(n, (const char *)page + field->quantifier_offset,
		     sizeof(*n));
	(void)memcpy(&elements, (const char *)page + field->offset,
		     sizeof(elements));
	for (size_t i = 0; i < *n; i++) {
		if (!table) {
			exit = cp_ctl_output_element(array, elements[i]);
			if (exit)
				return exit;
			continue;
		}
		r = pages->put(table, elements[i]);
		if (r < 0)
			return cp_ctl_session_fail_errno(session,
							 "cannot print", r);
	}
	return CP_CTL_EXIT_OK;
}

/* A page, and the token of the next one; empty after the last. */
static enum cp_ctl_exit call(struct cp_ctl_session *session,
			     const struct cp_ctl_pages *pages, char *id,
			     char **token, struct cp_ctl_table *table,
			     struct cp_ctl_output_array *array, size_t *n)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	sn_cleanup(sn_freep)
		ProtobufCMessage *request = make_request(pages, id, *token);
	const char *next;
	enum cp_ctl_exit exit;

	if (!request)
		return cp_ctl_session_fail_errno(session, pages->method,
						 -ENOMEM);
	exit = cp_ctl_session_call(session, pages->method, request,
				   pages->response, &answer);
	if (exit)
		return exit;
	if (session->options.json && !array->session)
		*array = cp_ctl_output_begin(session);
	exit = print_page(session, pages, answer, table, array, n);
	if (exit)
		return exit;
	(void)memcpy(
		&next,
		(const char *)answer +
			field_of(pages->response, "next_page_token")->offset,
		sizeof(next));
	free(*token);
	/* A page without elements would have no end. */
	*token = strdup(*n ? next : "");
	if (!*token)
		return cp_ctl_session_fail_errno(session, pages->method,
						 -ENOMEM);
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_pages_print(struct cp_ctl_session *session,
				    const struct cp_ctl_pages *pages, char *id,
				    struct cp_ctl_table *table,
				    struct cp_ctl_output_array *array,
				    size_t *n)
{
	sn_cleanup(sn_freep) char *token = strdup("");
	enum cp_ctl_exit exit;
	size_t n_page = 0, sum = 0;

	if (!token)
		return cp_ctl_session_fail_errno(session, pages->method,
						 -ENOMEM);
	do {
		exit = call(session, pages, id, &token, table, array, &n_page);
		if (exit)
			return exit;
		sum += n_page;
	} while (*token);
	if (n)
		*n = sum;
	return CP_CTL_EXIT_OK;
}
