/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What commands print: messages and other values as JSON or YAML, and the cells
 * of tables. */

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#include "controld/ctl/session.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	CP_CTL_OUTPUT_TEXT_BYTES = 64,
};

/* One object, indented. */
enum cp_ctl_exit cp_ctl_output_object(struct cp_ctl_session *session,
				      const ProtobufCMessage *message);

/* One object on one line, written at once. */
enum cp_ctl_exit cp_ctl_output_line(struct cp_ctl_session *session,
				    const ProtobufCMessage *message);

/* What a stream brings to its end, each at once: a line of JSON or a document of
 * YAML, or else print_row() under the header. */
enum cp_ctl_exit
cp_ctl_output_stream(struct cp_ctl_session *session,
		     struct cp_rpc_client_stream *stream, const char *header,
		     void (*print_row)(struct cp_ctl_session *session,
				       ProtobufCMessage *message));

/* Elements of an array one by one, so that a million of them need no memory:
 * begin, element for each, end. */
struct cp_ctl_output_array {
	struct cp_ctl_session *session;
	size_t n;
};
struct cp_ctl_output_array cp_ctl_output_begin(struct cp_ctl_session *session);
enum cp_ctl_exit cp_ctl_output_element(struct cp_ctl_output_array *array,
				       const ProtobufCMessage *message);
void cp_ctl_output_end(struct cp_ctl_output_array *array);

/* Lines and elements that are no message; the reference is taken. NULL: there
 * was no memory for it. */
enum cp_ctl_exit cp_ctl_output_line_of(struct cp_ctl_session *session,
				       json_t *value);
enum cp_ctl_exit cp_ctl_output_element_of(struct cp_ctl_output_array *array,
					  json_t *value);

/* A text that may be of any bytes, or cut: if it is not UTF-8, what is not ASCII
 * in it is replaced by '?'. NULL: no memory. */
json_t *cp_ctl_output_text(const char *text);

/* Short name of an enum's value, or its number. Returns buffer. */
char *cp_ctl_output_enum(const ProtobufCEnumDescriptor *type, int value,
			 char buffer[CP_CTL_OUTPUT_TEXT_BYTES]);

/* "allowlist", with "(audit)" if it is on. */
char *cp_ctl_output_mode(Sentinel__V1__Mode mode, bool audit,
			 char buffer[CP_CTL_OUTPUT_TEXT_BYTES]);

/* Two units at most ("3d 4h", "50s"); "-" for 0. */
char *cp_ctl_output_seconds(uint64_t seconds,
			    char buffer[CP_CTL_OUTPUT_TEXT_BYTES]);

/* Local date and time. */
char *cp_ctl_output_time(int64_t unix_s, char buffer[CP_CTL_OUTPUT_TEXT_BYTES]);
