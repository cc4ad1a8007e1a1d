// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/subject.h"

#include <string.h>

#define DIGITS "0123456789"

/* Digits and dots up to the end or a prefix length, or two colons: no name
 * that can be looked up is written so. */
static bool is_like_address(const char *text)
{
	const char *colon = strchr(text, ':');
	char end = text[strspn(text, DIGITS ".")];

	if (colon && strchr(colon + 1, ':'))
		return true;
	return strpbrk(text, DIGITS "/") && (end == '\0' || end == '/');
}

int cp_policy_subject_parse(const char *text, struct cp_policy_subject *ret,
			    struct sn_diag *diag)
{
	struct cp_policy_subject subject = { .is_name = false };

	if (!*text) {
		sn_diag_set(diag, NULL,
			    "an address, a prefix or a name must be given");
		return CP_POLICY_SUBJECT_E_REFUSED;
	}
	if (strstr(text, "://")) {
		sn_diag_set(diag, NULL,
			    "a URL is no name; give only what stands between "
			    "'://' and the next '/' or ':'");
		return CP_POLICY_SUBJECT_E_REFUSED;
	}
	if (cp_policy_cidr_parse(text, &subject.cidr, diag) != 0) {
		if (is_like_address(text))
			return CP_POLICY_SUBJECT_E_REFUSED;
		subject.is_name = true;
		if (cp_dns_name_parse(text, &subject.name, diag) != 0)
			return CP_POLICY_SUBJECT_E_REFUSED;
	}
	*ret = subject;
	return 0;
}
