// SPDX-License-Identifier: Apache-2.0

/* The first byte of an input chooses what reads the rest: a prefix, a list of
 * ports, a policy file. What is accepted must survive being written and read
 * again, be converted, and compile to rows that give the same rules back. */

#include <stdlib.h>
#include <string.h>

#include "controld/policy/compile.h"
#include "controld/policy/convert.h"
#include "controld/policy/file.h"
#include "controld/policy/match.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	RULES_MAX = 10000,
	LIST_MAX = 16,
};

static void read_cidr(const char *text)
{
	char buffer[CP_POLICY_CIDR_TEXT_BYTES];
	struct cp_policy_cidr cidr, again;
	struct sn_diag diag = { .text = "" };

	if (cp_policy_cidr_parse(text, &cidr, &diag) != 0) {
		require(diag.text[0] != '\0');
		return;
	}
	require(cp_policy_cidr_contains(&cidr, cidr.address));
	(void)cp_policy_cidr_format(&cidr, buffer);
	require(cp_policy_cidr_parse(buffer, &again, &diag) == 0);
	require(memcmp(&cidr, &again, sizeof(cidr)) == 0);
}

static void read_ports(char *text)
{
	struct cp_policy_ports list[CP_POLICY_PORTS_MAX], again;
	char buffer[CP_POLICY_PORTS_TEXT_BYTES];
	const char *texts[LIST_MAX];
	struct sn_diag diag = { .text = "" };
	size_t n_texts = 0, index = 0;
	uint8_t n = 0;

	while (text && n_texts < LIST_MAX)
		texts[n_texts++] = strsep(&text, ",");
	if (cp_policy_ports_parse_list(texts, n_texts, list, &n, &index,
				       &diag) != 0) {
		require(diag.text[0] != '\0' && index < n_texts);
		return;
	}
	require(n == n_texts);
	for (uint8_t i = 0; i < n; i++) {
		(void)cp_policy_ports_format(&list[i], buffer);
		require(cp_policy_ports_parse(buffer, &again, &diag) == 0);
		require(memcmp(&list[i], &again, sizeof(again)) == 0);
		require(i == 0 ||
			cp_policy_ports_compare(&list[i - 1], &list[i]) < 0);
	}
}

/* Compiles the policy, reads its rows back and compares every rule. */
static void compile(const struct cp_policy *policy)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *again = NULL;
	struct cp_policy_compile_row row;
	struct cp_policy_prefix prefix;
	struct sn_policy block;
	size_t cursor = 0;

	require(cp_policy_new(&again, RULES_MAX) == 0);
	cp_policy_compile_block(policy, 1, NULL, &block);
	while (cp_policy_next_prefix(policy, &cursor, &prefix)) {
		require(cp_policy_compile_fits(&block, &prefix.cidr));
		cp_policy_compile_prefix(&prefix, &block, 1, &row);
		require(cp_policy_compile_adopt(again, &row, 0) == 0);
	}
	require(cp_policy_count(again) == cp_policy_count(policy));
	for (const struct cp_policy_rule *rule = cp_policy_next_rule(policy, 0);
	     rule; rule = cp_policy_next_rule(policy, rule->id)) {
		const struct cp_policy_rule *same =
			cp_policy_get_rule(again, rule->id);
		struct cp_policy_match_packet packet = {
			.family = (enum sn_family)rule->cidr.family,
			.protocol = 6,
			.remote_port = 443,
		};
		struct cp_policy_match_source plain =
			cp_policy_match_source_policy(policy, false);
		struct cp_policy_match_source indexed =
			cp_policy_match_source_policy(again, true);

		require(same && same->verdict == rule->verdict);
		(void)memcpy(packet.remote, rule->cidr.address, 16);
		indexed.settings = plain.settings;
		require(cp_policy_match_judge(&plain, &packet, NULL, 1).rule_id ==
			cp_policy_match_judge(&indexed, &packet, NULL, 1)
				.rule_id);
	}
}

static void read_file(const char *text, size_t size)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *message = NULL;
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	struct sn_diag diag = { .text = "" };
	int r;

	r = cp_policy_file_parse(text, size, "fuzz", &message, &diag);
	if (r != 0) {
		require(r == CP_POLICY_FILE_E_REFUSED && diag.text[0] != '\0');
		return;
	}
	require(cp_policy_convert_policy(message, RULES_MAX,
					 CP_POLICY_OWNER_LOCAL, "", &policy,
					 &diag) == 0);
	require(cp_policy_count(policy) == message->n_rules);
	require(cp_dns_rules_count(cp_policy_get_domains(policy)) ==
		(message->dns ? message->dns->n_domains : 0));
	compile(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		return 0;
	if (data[0] % 3 == 0)
		read_cidr(text);
	else if (data[0] % 3 == 1)
		read_ports(text);
	else
		read_file((const char *)data + 1, size - 1);
	free(text);
	return 0;
}
