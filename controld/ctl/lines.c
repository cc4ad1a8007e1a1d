// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/json_read.h"
#include "controld/rpc/json_scan.h"
#include "controld/rpc/message.h"

/* An event with what it was read from. */
struct kept {
	json_t *value;
	ProtobufCMessage *message;
};

struct cp_ctl_lines {
	FILE *file;
	char *text; /* CP_CTL_LINES_BYTES_MAX and a NUL */
	uint64_t number;
	char reason[SN_DIAG_TEXT_BYTES + SN_DIAG_FILE_BYTES + 2];
	struct kept current;
	/* By process: the last event of each, or of another with the same
	 * place, whose parents are not known then. */
	ProtobufCMessage *processes[CP_CTL_LINES_PROCESSES];
};

int cp_ctl_lines_open(struct cp_ctl_lines **ret, const char *path)
{
	sn_cleanup(cp_ctl_lines_closep) struct cp_ctl_lines *lines =
		calloc(1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	lines->text = malloc(CP_CTL_LINES_BYTES_MAX + 1);
	if (!lines->text)
		return -ENOMEM;
	lines->file = fopen(path, "re");
	if (!lines->file)
		return -errno;
	*ret = sn_steal(&lines);
	return 0;
}

struct cp_ctl_lines *cp_ctl_lines_close(struct cp_ctl_lines *lines)
{
	if (!lines)
		return NULL;
	for (size_t i = 0; i < CP_CTL_LINES_PROCESSES; i++)
		(void)cp_rpc_message_free(lines->processes[i]);
	(void)cp_rpc_message_free(lines->current.message);
	json_decref(lines->current.value);
	if (lines->file)
		(void)fclose(lines->file);
	free(lines->text);
	free(lines);
	return NULL;
}

uint64_t cp_ctl_lines_number(const struct cp_ctl_lines *lines)
{
	return lines->number;
}

const char *cp_ctl_lines_reason(const struct cp_ctl_lines *lines)
{
	return lines->reason;
}

static const Sentinel__V1__RuntimeEvent *
event_of(const ProtobufCMessage *message)
{
	return (const Sentinel__V1__RuntimeEvent *)(const void *)message;
}

static size_t place_of(uint32_t pid, uint64_t start_ns)
{
	uint64_t hash = (pid ^ start_ns) * 0x9e3779b97f4a7c15ULL;

	return (size_t)(hash >> 48) % CP_CTL_LINES_PROCESSES;
}

const Sentinel__V1__RuntimeProcess *
cp_ctl_lines_get_parent(void *userdata,
			const Sentinel__V1__RuntimeProcess *process)
{
	const struct cp_ctl_lines *lines = userdata;
	const ProtobufCMessage *message = lines->processes[place_of(
		process->parent_pid, process->parent_start_ns)];
	const Sentinel__V1__RuntimeProcess *parent =
		message ? event_of(message)->process : NULL;

	return parent && parent->pid == process->parent_pid &&
			       parent->start_ns == process->parent_start_ns ?
		       parent :
		       NULL;
}

/* The current one is over; what its process was is kept for its children. */
static void end_current(struct cp_ctl_lines *lines)
{
	ProtobufCMessage *message = sn_steal(&lines->current.message);
	const Sentinel__V1__RuntimeProcess *process =
		message ? event_of(message)->process : NULL;
	ProtobufCMessage **place;

	json_decref(sn_steal(&lines->current.value));
	if (!process)
		return;
	place = &lines->processes[place_of(process->pid, process->start_ns)];
	(void)cp_rpc_message_free(*place);
	*place = message;
}

static int refuse(struct cp_ctl_lines *lines, const char *why)
{
	(void)snprintf(lines->reason, sizeof(lines->reason), "%s", why);
	return CP_CTL_LINES_E_REFUSED;
}

/* A line without its end. */
static int read_text(struct cp_ctl_lines *lines, size_t *ret)
{
	size_t n = 0;
	int c;

	lines->number++;
	while ((c = getc(lines->file)) != EOF && c != '\n') {
		if (n == CP_CTL_LINES_BYTES_MAX)
			return refuse(lines, "the line is longer than 1 MiB");
		lines->text[n++] = (char)c;
	}
	if (ferror(lines->file))
		return errno ? -errno : -EIO;
	lines->text[n] = '\0';
	*ret = n;
	return c == EOF && n == 0 ? CP_CTL_LINES_E_END : 0;
}

static int digit_of(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* trace prints bytes as hex, protobuf's mapping has base64: three bytes are four
 * of its digits. */
static int convert_bytes(json_t *object)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *hex =
		json_string_value(json_object_get(object, "raw_path"));
	size_t size = hex ? strlen(hex) / 2 : 0, n = 0;
	sn_cleanup(sn_freep) char *text = NULL;

	if (!hex)
		return 0;
	text = calloc(1, size * 4 / 3 + 8);
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < size; i += 3) {
		uint32_t word = 0;

		for (size_t j = 0; j < 6; j++) {
			int digit =
				i + j / 2 < size ? digit_of(hex[2 * i + j]) : 0;

			if (digit < 0)
				return CP_CTL_LINES_E_REFUSED;
			word = word << 4 | (uint32_t)digit;
		}
		for (size_t j = 0; j < 4; j++)
			text[n++] = j > size - i ?
					    '=' :
					    digits[word >> (18 - 6 * j) & 63];
	}
	return json_object_set_new(object, "raw_path", json_string(text)) ?
		       -ENOMEM :
		       0;
}

/* Into what controld/rpc/json_read.h takes. */
static int convert(struct cp_ctl_lines *lines, json_t *value)
{
	json_t *process = json_object_get(value, "process");
	json_t *const files[] = {
		json_object_get(value, "file"),
		json_object_get(value, "target"),
		json_object_get(process, "executable"),
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < SN_ARRAY_SIZE(files); i++)
		r = convert_bytes(files[i]);
	if (r > 0)
		return refuse(lines, "raw_path is no hex");
	/* Of gaps, and by a short name. */
	(void)json_object_del(value, "gap_cause");
	return r;
}

static int read_message(struct cp_ctl_lines *lines, json_t *value)
{
	struct sn_diag diag = { .text = "" };
	int r = convert(lines, value);

	if (r == 0)
		r = cp_rpc_json_read_value(
			&sentinel__v1__runtime_event__descriptor, value,
			&lines->current.message, &diag);
	if (r == CP_RPC_JSON_READ_E_INVALID && diag.text[0]) {
		(void)snprintf(lines->reason, sizeof(lines->reason), "%s%s%s",
			       diag.field, *diag.field ? ": " : "", diag.text);
		return CP_CTL_LINES_E_REFUSED;
	}
	return r;
}

static int parse(struct cp_ctl_lines *lines, size_t size, json_t **ret)
{
	json_error_t error;

	if (cp_rpc_json_scan(lines->text, size))
		return refuse(lines, "the JSON is too deep, or of too many "
				     "values");
	*ret = json_loadb(lines->text, size, JSON_REJECT_DUPLICATES, &error);
	if (!*ret)
		return refuse(lines, error.text);
	lines->current.value = *ret;
	return json_is_object(*ret) ?
		       0 :
		       refuse(lines, "the line is no JSON object");
}

int cp_ctl_lines_read(struct cp_ctl_lines *lines,
		      struct cp_ctl_lines_event *ret)
{
	json_t *value, *expected;
	size_t size = 0;
	int r;

	do {
		end_current(lines);
		r = read_text(lines, &size);
		if (r == 0)
			r = parse(lines, size, &value);
		if (r)
			return r;
	} while (!json_is_object(json_object_get(value, "process")));
	expected = json_object_get(value, "expected");
	if (expected && !json_is_array(expected))
		return refuse(lines, "'expected' is no list");
	json_incref(expected);
	(void)json_object_del(value, "expected");
	r = read_message(lines, value);
	if (r) {
		json_decref(expected);
		return r;
	}
	/* What the message was read from is not needed any more. */
	json_decref(value);
	lines->current.value = expected;
	ret->message = event_of(lines->current.message);
	ret->expected = expected;
	return 0;
}
