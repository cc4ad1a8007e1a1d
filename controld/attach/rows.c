/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/rows.h"

#include <stdlib.h>
#include <string.h>

#include "controld/dns/special.h"

struct cp_policy_cidr cp_attach_rows_cidr(const struct cp_dns_address *address)
{
	uint8_t length = address->family == SN_FAMILY_IPV4 ? 32 : 128;

	return cp_policy_cidr_around((enum sn_family)address->family,
				     address->bytes, length);
}

bool cp_attach_rows_address(const struct cp_policy_cidr *cidr,
			    struct cp_dns_address *ret)
{
	if (!cp_policy_cidr_is_host(cidr))
		return false;
	ret->family = cidr->family;
	memcpy(ret->bytes, cidr->address, sizeof(ret->bytes));
	return true;
}

bool cp_attach_rows_learns(const struct cp_policy *policy)
{
	return cp_dns_settings_learns(cp_policy_get_dns(policy),
				      cp_policy_get_settings(policy).mode);
}

static enum cp_dns_mode mode_of(const struct cp_policy *policy)
{
	return cp_dns_settings_mode(cp_policy_get_dns(policy),
				    cp_policy_get_settings(policy).mode);
}

/* What the control plane was not asked about it has not opened. While nothing
 * is learnt nothing is open either, and what may stay is found out later. */
bool cp_attach_rows_keeps_unruled(const struct cp_policy *policy,
				  const struct cp_policy *was)
{
	enum cp_dns_mode mode = mode_of(policy);

	if (!cp_attach_rows_learns(policy))
		return true;
	if (mode == CP_DNS_MODE_PROXY)
		return cp_attach_rows_learns(was) && mode_of(was) == mode;
	return mode == CP_DNS_MODE_DENYLIST;
}

enum sn_verdict cp_attach_rows_add_verdict(enum sn_verdict verdict,
					   const struct cp_policy_rule *rule)
{
	if (rule->n_ports > 0 || rule->ttl_s || rule->expires_ns ||
	    verdict == SN_VERDICT_DENY)
		return verdict;
	return (enum sn_verdict)rule->verdict;
}

enum sn_verdict cp_attach_rows_get_verdict(const struct cp_policy *policy,
					   const struct cp_dns_address *address,
					   int longest, int shortest)
{
	enum sn_family family = (enum sn_family)address->family;

	for (int length = longest; length >= shortest; length--) {
		enum sn_verdict verdict = SN_VERDICT_NONE;
		struct cp_policy_prefix prefix;
		struct cp_policy_cidr cidr;

		if (cp_policy_count_length(policy, family, (uint8_t)length) ==
		    0)
			continue;
		cidr = cp_policy_cidr_around(family, address->bytes,
					     (uint8_t)length);
		if (!cp_policy_get_prefix(policy, &cidr, &prefix))
			continue;
		for (uint8_t i = 0; i < prefix.n_rules; i++)
			verdict = cp_attach_rows_add_verdict(verdict,
							     prefix.rules[i]);
		if (verdict != SN_VERDICT_NONE)
			return verdict;
	}
	return SN_VERDICT_NONE;
}

static bool counts(const struct cp_policy_rule *rule, uint64_t now_ns)
{
	if (now_ns == 0)
		return !rule->ttl_s && !rule->expires_ns;
	return !cp_policy_rule_is_lapsed(rule, now_ns);
}

bool cp_attach_rows_allows(const struct cp_policy *policy,
			   const struct cp_dns_address *address,
			   uint64_t now_ns)
{
	enum sn_family family = (enum sn_family)address->family;

	for (int length = family == SN_FAMILY_IPV4 ? 32 : 128; length >= 0;
	     length--) {
		struct cp_policy_cidr cidr;
		struct cp_policy_prefix prefix;
		bool denies = false, allows = false;

		if (cp_policy_count_length(policy, family, (uint8_t)length) ==
		    0)
			continue;
		cidr = cp_policy_cidr_around(family, address->bytes,
					     (uint8_t)length);
		if (!cp_policy_get_prefix(policy, &cidr, &prefix))
			continue;
		for (uint8_t i = 0; i < prefix.n_rules; i++) {
			const struct cp_policy_rule *rule = prefix.rules[i];

			if (!counts(rule, now_ns))
				continue;
			allows |= rule->verdict == SN_VERDICT_ALLOW;
			denies |= rule->verdict == SN_VERDICT_DENY &&
				  rule->n_ports == 0;
		}
		if (denies || allows)
			return !denies;
	}
	return false;
}

bool cp_attach_rows_shuts_special(const struct cp_policy *policy)
{
	return !cp_policy_get_dns(policy)->allow_private &&
	       mode_of(policy) != CP_DNS_MODE_PROXY;
}

bool cp_attach_rows_denies(const struct cp_policy *policy,
			   const struct cp_dns_address *address)
{
	int longest = address->family == SN_FAMILY_IPV4 ? 32 : 128;

	if (cp_attach_rows_get_verdict(policy, address, longest, 0) ==
	    SN_VERDICT_DENY)
		return true;
	return cp_attach_rows_shuts_special(policy) &&
	       cp_dns_special_has(address) &&
	       !cp_attach_rows_allows(policy, address, 0);
}

uint8_t cp_attach_rows_room(const struct cp_policy *policy,
			    const struct cp_dns_address *address)
{
	struct cp_policy_cidr cidr = cp_attach_rows_cidr(address);
	struct cp_policy_prefix prefix;

	if (!cp_policy_get_prefix(policy, &cidr, &prefix) ||
	    cp_attach_rows_denies(policy, address))
		return SN_ITEMS_MAX;
	return (uint8_t)(SN_ITEMS_MAX - prefix.n_items);
}

/* Adds what names have opened to a row of CIDR rules. */
static void add_learnt(const struct cp_policy *policy,
		       const struct cp_dns_learnt *learnt,
		       const struct cp_policy_cidr *cidr,
		       struct cp_policy_compile_row *row)
{
	struct sn_rule_item items[SN_ITEMS_MAX];
	struct cp_dns_address address;
	uint8_t n = row->value.n_items;
	uint8_t n_learnt;

	if (!learnt || !cp_attach_rows_address(cidr, &address) ||
	    !cp_attach_rows_learns(policy))
		return;
	n_learnt = cp_dns_learnt_items(learnt, &address,
				       (uint8_t)(SN_ITEMS_MAX - n), items);
	if (n_learnt == 0 || cp_attach_rows_denies(policy, &address))
		return;
	memcpy(&row->value.items[n], items, n_learnt * sizeof(*items));
	row->value.n_items = (uint8_t)(n + n_learnt);
	row->value.prefix_length = cidr->length;
}

void cp_attach_rows_compile_prefix(const struct cp_policy *policy,
				   const struct cp_dns_learnt *learnt,
				   const struct cp_policy_prefix *prefix,
				   const struct sn_policy *block, uint32_t slot,
				   struct cp_policy_compile_row *ret)
{
	cp_policy_compile_prefix(prefix, block, slot, ret);
	add_learnt(policy, learnt, &prefix->cidr, ret);
}

int cp_attach_rows_compile(const struct cp_policy *policy,
			   const struct cp_dns_learnt *learnt,
			   const struct cp_policy_cidr *cidr,
			   const struct sn_policy *block, uint32_t slot,
			   struct cp_policy_compile_row *ret)
{
	(void)cp_policy_compile_row(policy, cidr, block, slot, ret);
	add_learnt(policy, learnt, cidr, ret);
	return ret->value.n_items > 0 ? 0 : CP_POLICY_COMPILE_E_ABSENT;
}

int cp_attach_rows_reserve(struct cp_attach_rows_list *list, size_t n)
{
	size_t size = SN_MAX(list->size, (size_t)16);
	struct cp_dns_address *addresses;

	while (size < list->n + n)
		size *= 2;
	if (size == list->size)
		return 0;
	addresses = reallocarray(list->addresses, size, sizeof(*addresses));
	if (!addresses)
		return -ENOMEM;
	list->addresses = addresses;
	list->size = size;
	return 0;
}

void cp_attach_rows_add(struct cp_attach_rows_list *list,
			const struct cp_dns_address *address)
{
	if (cp_attach_rows_reserve(list, 1) < 0)
		list->is_cut = true;
	else
		list->addresses[list->n++] = *address;
}

void cp_attach_rows_done(struct cp_attach_rows_list *list)
{
	free(list->addresses);
	*list = (struct cp_attach_rows_list){ .addresses = NULL };
}
