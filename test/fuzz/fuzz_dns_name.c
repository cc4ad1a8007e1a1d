/* SPDX-License-Identifier: Apache-2.0 */

/* A name that is accepted, from text or from a message, is well formed, and its
 * text leads back to it. The first byte chooses: text, or a message in which
 * the name begins at that offset. */

#include "controld/dns/name.h"

#include <stdlib.h>
#include <string.h>

#include "controld/dns/rules.h"

static void check_text(const struct cp_dns_name *name)
{
	char text[CP_DNS_NAME_TEXT_BYTES];
	struct cp_dns_name again;

	for (size_t i = 0; i < name->size; i++) {
		if (name->wire[i] >= 'A' && name->wire[i] <= 'Z')
			abort();
	}
	if (strlen(cp_dns_name_format(name, text)) >= sizeof(text) ||
	    cp_dns_name_parse(text, &again, NULL) != 0 ||
	    !cp_dns_name_is_equal(name, &again))
		abort();
}

static void check(const struct cp_dns_name *name)
{
	struct cp_dns_name suffix;
	unsigned int n = cp_dns_name_count_labels(name);
	size_t at = 0;

	if (n > CP_DNS_NAME_LABELS_MAX || name->size < 1)
		abort();
	for (unsigned int i = 0; i <= n; i++) {
		if (cp_dns_name_suffix(name, i) != (int)at)
			abort();
		suffix.size = (uint8_t)(name->size - at);
		(void)memcpy(suffix.wire, name->wire + at, suffix.size);
		if (!cp_dns_name_is_below(name, &suffix) ||
		    cp_dns_name_is_below(&suffix, name) != (i == 0))
			abort();
		at += 1u + name->wire[at];
	}
	if (at != name->size || name->wire[at - 1] != 0 ||
	    cp_dns_name_suffix(name, n + 1) != -1)
		abort();
	check_text(name);
}

static void check_rule(const struct cp_dns_name *name)
{
	struct cp_dns_rule rule = {
		.id = 1,
		.verdict = SN_VERDICT_ALLOW,
		.subdomains = true,
		.name = { .size = 1 },
	};
	struct cp_dns_rules *rules = NULL;
	struct cp_dns_match match;

	if (cp_dns_rules_new(&rules) < 0)
		return;
	if (cp_dns_rules_add(rules, &rule, NULL) < 0)
		abort();
	rule.id = 2;
	rule.verdict = SN_VERDICT_DENY;
	rule.subdomains = false;
	rule.name = *name;
	if (cp_dns_rules_add(rules, &rule, NULL) < 0)
		abort();
	cp_dns_rules_match(rules, name, &match);
	if (match.verdict != SN_VERDICT_DENY || match.n_rules != 1 ||
	    match.rules[0]->id != 2)
		abort();
	cp_dns_rules_free(rules);
}

static void read_message(const uint8_t *message, size_t size, size_t offset)
{
	struct cp_dns_name name, cased;
	size_t end = 0, cased_end = 0;
	int r = cp_dns_name_read(message, size, offset, &name, &end);

	if (cp_dns_name_read_cased(message, size, offset, &cased, &cased_end) !=
	    r)
		abort();
	if (r != 0)
		return;
	if (end <= offset || end > size || end != cased_end)
		abort();
	cp_dns_name_lower(&cased);
	if (!cp_dns_name_is_equal(&name, &cased))
		abort();
	check(&name);
	check_rule(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sn_diag diag = { .text = "" };
	struct cp_dns_name name;
	char *text;

	if (size == 0)
		return 0;
	if (data[0] > 0) {
		read_message(data + 1, size - 1, data[0]);
		return 0;
	}
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		return 0;
	if (cp_dns_name_parse(text, &name, &diag) == 0)
		check(&name);
	else if (!diag.text[0])
		abort();
	free(text);
	return 0;
}
