/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/http/check.h"

#include <string.h>
#include <strings.h>

#include "shared/util.h"

enum {
	STATUS_BAD_REQUEST = 400,
	STATUS_URI_TOO_LONG = 414,
	STATUS_FIELDS_TOO_LARGE = 431,
};

/* RFC 9110 5.6.2. */
static bool is_token(const char *text)
{
	static const char admitted[] =
		"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return text[0] && strspn(text, admitted) == strlen(text);
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') ||
		    *text == 0x7f)
			return true;
	return false;
}

/* Digits only, and no more than can be counted. */
static bool parse_length(const char *text, uint64_t *ret)
{
	uint64_t n = 0;

	if (!text[0] || strlen(text) > 15)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	*ret = n;
	return true;
}

/* Where two readers could each believe another one of two. */
static void count_decider(struct cp_http_check *check, const char *key)
{
	static const char *const deciders[] = {
		"Authorization", "Content-Type",   "Last-Event-ID",
		"Origin",	 "Sec-Fetch-Dest", "Sec-Fetch-Site"
	};

	for (unsigned int i = 0; i < SN_ARRAY_SIZE(deciders); i++) {
		if (strcasecmp(key, deciders[i]) != 0)
			continue;
		if (check->deciders >> i & 1)
			check->is_wrong = true;
		check->deciders |= 1U << i;
	}
}

void cp_http_check_header(struct cp_http_check *check, const char *key,
			  const char *value)
{
	if (!value)
		value = "";
	check->n_headers++;
	if (!is_token(key) || has_control(value))
		check->is_wrong = true;
	if (strcasecmp(key, "Content-Length") == 0) {
		check->n_lengths++;
		if (!parse_length(value, &check->length))
			check->is_wrong = true;
	} else if (strcasecmp(key, "Transfer-Encoding") == 0) {
		check->n_encodings++;
		if (strcasecmp(value, "chunked") != 0)
			check->is_wrong = true;
	} else if (strcasecmp(key, "Host") == 0) {
		check->n_hosts++;
	}
	count_decider(check, key);
}

static uintptr_t at(const char *part)
{
	return (uintptr_t)part;
}

/* Behind the NUL of a part. */
static uintptr_t behind(const char *part)
{
	return at(part) + strlen(part) + 1;
}

void cp_http_check_line(struct cp_http_check *check, const char *method,
			const char *path, bool has_query, const char *version)
{
	uintptr_t end = behind(path);

	/* An empty query leaves its mark only. */
	if (at(path) != behind(method) ||
	    (!has_query && at(version) != end && at(version) != end + 1))
		check->is_wrong = true;
	check->next = behind(version) + 1;
}

void cp_http_check_place(struct cp_http_check *check, const char *key,
			 const char *value)
{
	if (!value || at(key) != check->next)
		check->is_wrong = true;
	/* What it skips before a value is white space. */
	check->next = behind(value ? value : key) + 1;
}

void cp_http_check_end(struct cp_http_check *check, const char *method,
		       size_t size)
{
	if (check->next + 2 != at(method) + size)
		check->is_wrong = true;
}

unsigned int cp_http_check_done(const struct cp_http_check *check,
				const char *version, const char *path)
{
	bool is_10 = strcmp(version, "HTTP/1.0") == 0;

	if (check->n_headers > CP_HTTP_CHECK_HEADERS_MAX)
		return STATUS_FIELDS_TOO_LARGE;
	if (check->is_wrong || check->n_lengths > 1 || check->n_encodings > 1 ||
	    (check->n_lengths && check->n_encodings) ||
	    (is_10 && check->n_encodings))
		return STATUS_BAD_REQUEST;
	if (check->n_hosts > 1 || (!is_10 && check->n_hosts == 0))
		return STATUS_BAD_REQUEST;
	if (strlen(path) > CP_HTTP_CHECK_PATH_MAX)
		return STATUS_URI_TOO_LONG;
	/* Nothing of ours has an absolute URI or an authority for a path. */
	if (path[0] != '/' || has_control(path))
		return STATUS_BAD_REQUEST;
	return 0;
}

bool cp_http_check_has_body(const struct cp_http_check *check)
{
	return check->n_encodings > 0 || check->length > 0;
}
