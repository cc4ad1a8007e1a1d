// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controld/ctl/yaml.h"
#include "controld/rpc/json.h"

/* Takes the reference. */
static enum cp_ctl_exit dump(struct cp_ctl_session *session, json_t *value,
			     size_t flags, bool is_element)
{
	int r;

	if (!value)
		return cp_ctl_session_fail_errno(session, "cannot print",
						 -ENOMEM);
	r = session->options.yaml ?
		    cp_ctl_yaml_write(session->out, value, is_element) :
		    json_dumpf(value, session->out, flags);
	json_decref(value);
	if (r < 0)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "the output could not be written");
	return CP_CTL_EXIT_OK;
}

/* NULL: no memory. */
static json_t *value_of(const ProtobufCMessage *message)
{
	json_t *value = NULL;

	return cp_rpc_json_from_message(message, CP_RPC_JSON_STYLE_PLAIN,
					&value) < 0 ?
		       NULL :
		       value;
}

enum cp_ctl_exit cp_ctl_output_object(struct cp_ctl_session *session,
				      const ProtobufCMessage *message)
{
	enum cp_ctl_exit exit =
		dump(session, value_of(message), JSON_INDENT(2), false);

	if (!session->options.yaml)
		(void)fputc('\n', session->out);
	return exit;
}

enum cp_ctl_exit cp_ctl_output_line(struct cp_ctl_session *session,
				    const ProtobufCMessage *message)
{
	return cp_ctl_output_line_of(session, value_of(message));
}

enum cp_ctl_exit cp_ctl_output_line_of(struct cp_ctl_session *session,
				       json_t *value)
{
	enum cp_ctl_exit exit;

	if (session->options.yaml)
		(void)fputs("---\n", session->out);
	exit = dump(session, value, JSON_COMPACT, false);
	if (!session->options.yaml)
		(void)fputc('\n', session->out);
	return exit ? exit : cp_ctl_session_flush(session);
}

struct rows {
	struct cp_ctl_session *session;
	void (*print)(struct cp_ctl_session *session,
		      ProtobufCMessage *message);
};

static enum cp_ctl_exit print(void *userdata, ProtobufCMessage *message)
{
	const struct rows *rows = userdata;

	if (rows->session->options.json)
		return cp_ctl_output_line(rows->session, message);
	rows->print(rows->session, message);
	return cp_ctl_session_flush(rows->session);
}

enum cp_ctl_exit
cp_ctl_output_stream(struct cp_ctl_session *session,
		     struct cp_rpc_client_stream *stream, const char *header,
		     void (*print_row)(struct cp_ctl_session *session,
				       ProtobufCMessage *message))
{
	struct rows rows = { session, print_row };
	enum cp_ctl_exit exit;

	if (!session->options.json)
		(void)fprintf(session->out, "%s\n", header);
	exit = cp_ctl_session_flush(session);
	return exit ? exit : cp_ctl_session_read(session, stream, print, &rows);
}

struct cp_ctl_output_array cp_ctl_output_begin(struct cp_ctl_session *session)
{
	if (!session->options.yaml)
		(void)fputc('[', session->out);
	return (struct cp_ctl_output_array){ .session = session };
}

enum cp_ctl_exit cp_ctl_output_element(struct cp_ctl_output_array *array,
				       const ProtobufCMessage *message)
{
	return cp_ctl_output_element_of(array, value_of(message));
}

enum cp_ctl_exit cp_ctl_output_element_of(struct cp_ctl_output_array *array,
					  json_t *value)
{
	if (!array->session->options.yaml)
		(void)fputs(array->n ? ",\n  " : "\n  ", array->session->out);
	array->n++;
	return dump(array->session, value, 0, true);
}

void cp_ctl_output_end(struct cp_ctl_output_array *array)
{
	if (array->session->options.yaml)
		(void)fputs(array->n ? "" : "[]\n", array->session->out);
	else
		(void)fputs(array->n ? "\n]\n" : "]\n", array->session->out);
}

json_t *cp_ctl_output_text(const char *text)
{
	sn_cleanup(sn_freep) char *copy = NULL;
	json_t *value = json_string(text);

	if (value)
		return value;
	copy = strdup(text);
	for (char *at = copy; at && *at; at++) {
		if ((unsigned char)*at > 0x7e)
			*at = '?';
	}
	return copy ? json_string(copy) : NULL;
}

char *cp_ctl_output_enum(const ProtobufCEnumDescriptor *type, int value,
			 char buffer[CP_CTL_OUTPUT_TEXT_BYTES])
{
	if (!cp_rpc_json_enum_name(type, value, buffer,
				   CP_CTL_OUTPUT_TEXT_BYTES))
		(void)snprintf(buffer, CP_CTL_OUTPUT_TEXT_BYTES, "%d", value);
	return buffer;
}

char *cp_ctl_output_mode(Sentinel__V1__Mode mode, bool audit,
			 char buffer[CP_CTL_OUTPUT_TEXT_BYTES])
{
	size_t n;

	(void)cp_ctl_output_enum(&sentinel__v1__mode__descriptor, (int)mode,
				 buffer);
	n = strlen(buffer);
	if (audit)
		(void)snprintf(buffer + n, CP_CTL_OUTPUT_TEXT_BYTES - n,
			       "(audit)");
	return buffer;
}

char *cp_ctl_output_seconds(uint64_t seconds,
			    char buffer[CP_CTL_OUTPUT_TEXT_BYTES])
{
	static const struct {
		uint64_t size;
		char name;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	unsigned long long first, second;
	size_t i = 0;

	if (seconds == 0) {
		(void)snprintf(buffer, CP_CTL_OUTPUT_TEXT_BYTES, "-");
		return buffer;
	}
	while (seconds < units[i].size)
		i++;
	first = seconds / units[i].size;
	second = i + 1 < SN_ARRAY_SIZE(units) ?
			 seconds % units[i].size / units[i + 1].size :
			 0;
	if (second)
		(void)snprintf(buffer, CP_CTL_OUTPUT_TEXT_BYTES,
			       "%llu%c %llu%c", first, units[i].name, second,
			       units[i + 1].name);
	else
		(void)snprintf(buffer, CP_CTL_OUTPUT_TEXT_BYTES, "%llu%c",
			       first, units[i].name);
	return buffer;
}

char *cp_ctl_output_time(int64_t unix_s, char buffer[CP_CTL_OUTPUT_TEXT_BYTES])
{
	time_t time = (time_t)unix_s;
	struct tm local;

	if (!localtime_r(&time, &local) ||
	    strftime(buffer, CP_CTL_OUTPUT_TEXT_BYTES, "%Y-%m-%d %H:%M:%S",
		     &local) == 0)
		(void)snprintf(buffer, CP_CTL_OUTPUT_TEXT_BYTES, "%lld",
			       (long long)unix_s);
	return buffer;
}
