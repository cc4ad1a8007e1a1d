/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/redact.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/utf8.h"
#include "shared/abi.h"

struct cp_runtime_redact {
	size_t n;
	regex_t patterns[CP_RUNTIME_REDACT_PATTERNS_MAX];
};

static const char mark[] = "[redacted]";

int cp_runtime_redact_new(struct cp_runtime_redact **ret)
{
	struct cp_runtime_redact *redact = calloc(1, sizeof(*redact));

	if (!redact)
		return -ENOMEM;
	*ret = redact;
	return 0;
}

struct cp_runtime_redact *
cp_runtime_redact_free(struct cp_runtime_redact *redact)
{
	for (size_t i = 0; redact && i < redact->n; i++)
		regfree(&redact->patterns[i]);
	free(redact);
	return NULL;
}

/* What would take time or memory without a bound: a reference to what was
 * matched before, and numbers of repetitions within each other. */
static bool is_bounded(const char *pattern)
{
	size_t n_braces = 0;

	for (const char *c = pattern; *c; c++) {
		n_braces += *c == '{';
		if (c[0] == '\\' && isdigit((unsigned char)c[1]))
			return false;
		if (c[0] == '\\' && c[1])
			c++;
	}
	return n_braces <= 1;
}

int cp_runtime_redact_add(struct cp_runtime_redact *redact, const char *pattern,
			  struct sn_diag *diag)
{
	regex_t *fresh = &redact->patterns[redact->n];
	char text[128];
	int r;

	if (redact->n == CP_RUNTIME_REDACT_PATTERNS_MAX ||
	    strlen(pattern) >= CP_RUNTIME_REDACT_PATTERN_BYTES) {
		sn_diag_set(diag, NULL, "more or longer patterns than %d of %d",
			    CP_RUNTIME_REDACT_PATTERNS_MAX,
			    CP_RUNTIME_REDACT_PATTERN_BYTES);
		return CP_RUNTIME_REDACT_E_REFUSED;
	}
	if (!is_bounded(pattern)) {
		sn_diag_set(diag, NULL,
			    "'%.64s' has a back reference or more than one "
			    "bound in braces",
			    pattern);
		return CP_RUNTIME_REDACT_E_REFUSED;
	}
	r = regcomp(fresh, pattern, REG_EXTENDED);
	if (r != 0) {
		(void)regerror(r, fresh, text, sizeof(text));
		sn_diag_set(diag, NULL, "'%.64s': %s", pattern, text);
		return CP_RUNTIME_REDACT_E_REFUSED;
	}
	redact->n++;
	return 0;
}

/* Marks what the pattern matches in text. A match of nothing is none. */
static void find(const regex_t *pattern, const char *text, size_t size,
		 bool *is_hidden)
{
	size_t at = 0;
	regmatch_t match;

	while (at < size && regexec(pattern, text + at, 1, &match,
				    at > 0 ? REG_NOTBOL : 0) == 0) {
		size_t begin = at + (size_t)match.rm_so;
		size_t end = at + (size_t)match.rm_eo;

		(void)memset(is_hidden + begin, true, end - begin);
		at = end > begin ? end : end + 1;
	}
}

/* One argument: runs of what is hidden become the mark. Returns its end. */
static char *put(const char *bytes, const bool *is_hidden, size_t size,
		 char *to)
{
	char plain[SN_RT_ARGUMENTS_MAX * sizeof(mark)];
	size_t n = 0;
	bool is_changed;

	for (size_t i = 0; i < size; i++) {
		if (!is_hidden[i]) {
			plain[n++] = bytes[i];
		} else if (i == 0 || !is_hidden[i - 1]) {
			(void)memcpy(plain + n, mark, sizeof(mark) - 1);
			n += sizeof(mark) - 1;
		}
	}
	return to + cp_rpc_utf8_copy(plain, n, to, &is_changed) + 1;
}

int cp_runtime_redact_apply(const struct cp_runtime_redact *redact,
			    const char *bytes, size_t size,
			    struct cp_runtime_redact_result **ret)
{
	bool is_hidden[SN_RT_ARGUMENTS_MAX] = { false };
	char text[SN_RT_ARGUMENTS_MAX + 1];
	struct cp_runtime_redact_result *result;
	char *to;

	size = SN_MIN(size, (size_t)SN_RT_ARGUMENTS_MAX);
	result = malloc(sizeof(*result) +
			CP_RPC_UTF8_ROOM(sizeof(mark) * (size + 1)) + size);
	if (!result)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++)
		text[i] = (char)(bytes[i] ? bytes[i] : ' ');
	text[size] = '\0';
	for (size_t i = 0; i < redact->n; i++)
		find(&redact->patterns[i], text, size, is_hidden);
	result->n = 0;
	result->is_cut = false;
	to = result->room;
	for (size_t at = 0; at < size;) {
		size_t n = strnlen(bytes + at, size - at);

		if (result->n == CP_RUNTIME_REDACT_ARGUMENTS_MAX) {
			result->is_cut = true;
			break;
		}
		result->texts[result->n++] = to;
		to = put(bytes + at, is_hidden + at, n, to);
		at += n + 1;
	}
	*ret = result;
	return 0;
}
