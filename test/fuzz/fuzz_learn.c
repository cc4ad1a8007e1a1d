/* SPDX-License-Identifier: Apache-2.0 */

/* What sentinelctl makes of texts that are not its own: destinations that are
 * typed, and names, processes and reasons that a server tells. A file that
 * learn writes can be read again, whatever they were. */

#include <stdlib.h>
#include <string.h>

#include "controld/ctl/explain.h"
#include "controld/ctl/learn.h"
#include "controld/policy/file.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_MAX = 16, TEXTS = 4 };

static void type_destination(const char *text)
{
	struct cp_ctl_explain_target target;
	const char *why = NULL;

	if (!cp_ctl_explain_parse(text, &target, &why)) {
		require(why && *why);
		return;
	}
	require(strlen(target.host) <= strlen(text));
	require(target.port <= UINT16_MAX && target.protocol <= UINT8_MAX);
}

static void write_file(const struct cp_ctl_wanted *wanted)
{
	Sentinel__V1__Policy *policy = NULL;
	struct sn_diag diag = { .text = "" };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	require(out);
	require(cp_ctl_learn_write(wanted, NULL, 0, out) == 0);
	(void)fclose(out);
	require(cp_policy_file_parse(text, size, "learnt", &policy, &diag) ==
		0);
	cp_policy_file_free(policy);
	free(text);
}

/* Texts end with a line; four of them are a row. */
static size_t read_rows(char *text, Sentinel__V1__Seen *rows,
			Sentinel__V1__Seen **pointers)
{
	size_t n = 0;

	while (n < ROWS_MAX) {
		char *parts[TEXTS];

		for (int i = 0; i < TEXTS; i++) {
			parts[i] = strsep(&text, "\n");
			if (!parts[i])
				return n;
		}
		sentinel__v1__seen__init(&rows[n]);
		rows[n].name = parts[0];
		rows[n].address = parts[1];
		rows[n].comm = parts[2];
		rows[n].reason = parts[3];
		rows[n].protocol = (uint8_t)parts[2][0];
		rows[n].port = 7U * (uint8_t)parts[3][0];
		rows[n].audited = parts[0][0] & 1;
		pointers[n] = &rows[n];
		n++;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Sentinel__V1__GetSeenResponse seen;
	Sentinel__V1__Policy settings;
	Sentinel__V1__Seen rows[ROWS_MAX], *pointers[ROWS_MAX];
	struct cp_ctl_wanted wanted = { .seen = &seen };
	char *text = malloc(size + 1);

	require(text && cp_policy_new(&wanted.policy, 16) == 0);
	(void)memcpy(text, data, size);
	text[size] = '\0';
	type_destination(text);
	sentinel__v1__get_seen_response__init(&seen);
	sentinel__v1__policy__init(&settings);
	seen.settings = &settings;
	seen.seen = pointers;
	seen.n_seen = read_rows(text, rows, pointers);
	write_file(&wanted);
	cp_policy_free(wanted.policy);
	free(text);
	return 0;
}
