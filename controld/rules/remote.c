/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/remote.h"

#include <string.h>

static void put_length(struct cp_rules_cond *cond, unsigned int length)
{
	cond->lengths[length / 64] |= 1ULL << length % 64;
}

int cp_rules_remote_put_cidr(struct cp_rules_cond *cond, const char *text,
			     struct cp_policy_cidr *ret, struct sn_diag *diag)
{
	if (cp_policy_cidr_parse(text, ret, diag))
		return CP_RULES_E_REFUSED;
	(void)cp_rules_set_put(cond->set, ret, sizeof(*ret));
	put_length(cond, ret->length);
	return 0;
}

int cp_rules_remote_put_name(struct cp_rules_cond *cond, const char *text,
			     struct cp_rules_remote_name ret[2],
			     struct sn_diag *diag)
{
	bool has_below = strncmp(text, "*.", 2) == 0;
	struct cp_dns_name name;

	if (cp_dns_name_parse(has_below ? text + 2 : text, &name, diag))
		return CP_RULES_E_REFUSED;
	for (uint8_t i = 0; i <= has_below; i++) {
		ret[i].is_below = i;
		(void)memcpy(ret[i].wire, name.wire, name.size);
		(void)cp_rules_set_put(cond->set, &ret[i], 1U + name.size);
	}
	put_length(cond, cp_dns_name_count_labels(&name));
	return 0;
}

enum cp_rules_fit cp_rules_remote_judge_cidrs(const struct cp_rules_cond *cond,
					      struct cp_rules_view *view)
{
	const struct cp_policy_cidr *host = cp_rules_view_get_address(view);

	for (size_t i = 0; host && i < SN_ARRAY_SIZE(cond->lengths); i++) {
		uint64_t left = cond->lengths[i];

		for (; left; left &= left - 1) {
			size_t length = i * 64 + (size_t)__builtin_ctzll(left);
			struct cp_policy_cidr cidr;

			if (length > host->length)
				return CP_RULES_FIT_NO;
			cidr = cp_policy_cidr_around(
				(enum sn_family)host->family, host->address,
				(uint8_t)length);
			if (cp_rules_set_has(cond->set, &cidr, sizeof(cidr)))
				return CP_RULES_FIT_YES;
		}
	}
	return CP_RULES_FIT_NO;
}

/* Only suffixes of as many labels as a value has are looked up, so that long
 * names cost no more than short ones. */
static bool has_name(const struct cp_rules_cond *cond,
		     const struct cp_dns_name *name)
{
	unsigned int n = cp_dns_name_count_labels(name);

	for (unsigned int length = 0; length <= n; length++) {
		struct cp_rules_remote_name key;
		size_t at, size;

		if (!(cond->lengths[length / 64] & 1ULL << length % 64))
			continue;
		at = (size_t)cp_dns_name_suffix(name, n - length);
		size = name->size - at;
		key.is_below = length < n;
		(void)memcpy(key.wire, name->wire + at, size);
		if (cp_rules_set_has(cond->set, &key, 1 + size))
			return true;
	}
	return false;
}

enum cp_rules_fit cp_rules_remote_judge_names(const struct cp_rules_cond *cond,
					      struct cp_rules_view *view)
{
	const struct cp_rules_view_names *names = cp_rules_view_get_names(view);

	for (size_t i = 0; i < names->n; i++) {
		if (has_name(cond, &names->names[i]))
			return CP_RULES_FIT_YES;
	}
	return names->is_cut ? CP_RULES_FIT_UNKNOWN : CP_RULES_FIT_NO;
}
