/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/openings.h"

#include <stdlib.h>
#include <string.h>

#include "controld/policy/compile.h"

struct cp_dns_openings cp_dns_openings_all(uint32_t rule_id)
{
	return (struct cp_dns_openings){
		.n = 1,
		.one = { { .rule_id = rule_id,
			   .ports = { .high = UINT16_MAX } } },
	};
}

static bool same_ports(const struct cp_policy_ports *a,
		       const struct cp_policy_ports *b)
{
	return cp_policy_ports_compare(a, b) == 0;
}

/* The first of the rules that says these ports; NULL: every port. */
static uint32_t find_rule(const struct cp_dns_match *match,
			  const struct cp_policy_ports *ports)
{
	for (uint8_t i = 0; i < match->n_rules; i++) {
		const struct cp_dns_rule *rule = match->rules[i];

		if (!ports && rule->n_ports == 0)
			return rule->id;
		for (uint8_t j = 0; ports && j < rule->n_ports; j++) {
			if (same_ports(&rule->ports[j], ports))
				return rule->id;
		}
	}
	return 0;
}

bool cp_dns_openings_read(const struct cp_dns_match *match,
			  struct cp_dns_openings *ret)
{
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	uint8_t n;

	*ret = cp_dns_openings_all(0);
	if (match->n_rules == 0)
		return true;
	if (cp_dns_rules_get_ports(match, ports, &n) < 0)
		return false;
	if (n == 0) {
		ret->one[0].rule_id = find_rule(match, NULL);
		return true;
	}
	ret->n = n;
	for (uint8_t i = 0; i < n; i++) {
		ret->one[i].rule_id = find_rule(match, &ports[i]);
		ret->one[i].ports = ports[i];
	}
	return true;
}

static bool same_one(const struct cp_dns_openings_one *a,
		     const struct cp_dns_openings_one *b)
{
	return a->rule_id == b->rule_id && same_ports(&a->ports, &b->ports);
}

bool cp_dns_openings_is_equal(const struct cp_dns_openings *a,
			      const struct cp_dns_openings *b)
{
	if (a->n != b->n)
		return false;
	for (uint8_t i = 0; i < a->n; i++) {
		if (!same_one(&a->one[i], &b->one[i]))
			return false;
	}
	return true;
}

bool cp_dns_openings_has(const struct cp_dns_openings *openings,
			 const struct cp_dns_openings_one *one)
{
	for (uint8_t i = 0; i < openings->n; i++) {
		if (same_one(&openings->one[i], one))
			return true;
	}
	return false;
}

struct cp_dns_openings_one
cp_dns_openings_from_item(const struct sn_rule_item *item)
{
	return (struct cp_dns_openings_one){
		.rule_id = item->rule_id,
		.ports = { .low = item->port_low,
			   .high = item->port_high,
			   .protocol = (uint8_t)item->protocol },
	};
}

bool cp_dns_openings_is_of(const struct cp_dns_openings_one *own,
			   const struct cp_dns_rule *rule)
{
	struct cp_dns_openings openings = cp_dns_openings_all(rule->id);

	for (uint8_t i = 0; i < rule->n_ports; i++) {
		openings.one[i].rule_id = rule->id;
		openings.one[i].ports = rule->ports[i];
		openings.n = (uint8_t)(i + 1);
	}
	return cp_dns_openings_has(&openings, own);
}

/* Sums. */

static bool covers(const struct cp_policy_ports *a,
		   const struct cp_policy_ports *b)
{
	return (a->protocol == 0 || a->protocol == b->protocol) &&
	       a->low <= b->low && a->high >= b->high;
}

bool cp_dns_openings_is_covered(const struct cp_dns_openings_one *one,
				const struct sn_rule_item *item)
{
	struct cp_dns_openings_one of = cp_dns_openings_from_item(item);

	return covers(&of.ports, &one->ports);
}

static void add_one(struct cp_dns_openings_sum *sum,
		    const struct cp_dns_openings_one *one, uint64_t expires_ns)
{
	size_t n = 0;

	for (size_t i = 0; i < sum->n; i++) {
		if (sum->parts[i].expires_ns >= expires_ns &&
		    covers(&sum->parts[i].one.ports, &one->ports))
			return;
	}
	for (size_t i = 0; i < sum->n; i++) {
		if (sum->parts[i].expires_ns > expires_ns ||
		    !covers(&one->ports, &sum->parts[i].one.ports))
			sum->parts[n++] = sum->parts[i];
	}
	sum->n = n;
	if (n == CP_DNS_OPENINGS_SUM_MAX) {
		sum->is_over = true;
		return;
	}
	sum->parts[n].one = *one;
	sum->parts[n].expires_ns = expires_ns;
	sum->n = n + 1;
}

void cp_dns_openings_add(struct cp_dns_openings_sum *sum,
			 const struct cp_dns_openings *openings,
			 uint64_t expires_ns)
{
	for (uint8_t i = 0; i < openings->n; i++)
		add_one(sum, &openings->one[i], expires_ns);
}

static int compare_ends(const void *a, const void *b)
{
	const uint64_t x = ((const struct sn_rule_item *)a)->expires;
	const uint64_t y = ((const struct sn_rule_item *)b)->expires;

	return x > y ? -1 : x < y;
}

static int compare_items(const void *a, const void *b)
{
	const struct sn_rule_item *x = a, *y = b;

	if (x->rule_id != y->rule_id)
		return x->rule_id < y->rule_id ? -1 : 1;
	if (x->protocol != y->protocol)
		return x->protocol < y->protocol ? -1 : 1;
	if (x->port_low != y->port_low)
		return x->port_low < y->port_low ? -1 : 1;
	return (int)x->port_high - (int)y->port_high;
}

uint8_t cp_dns_openings_to_items(const struct cp_dns_openings_sum *sum,
				 uint8_t room,
				 struct sn_rule_item items[SN_ITEMS_MAX])
{
	struct sn_rule_item all[CP_DNS_OPENINGS_SUM_MAX];
	size_t n = sum->n;

	for (size_t i = 0; i < n; i++) {
		const struct cp_dns_openings_one *one = &sum->parts[i].one;

		all[i] = (struct sn_rule_item){
			.expires = cp_policy_compile_expires(
					   sum->parts[i].expires_ns) &
				   SN_EXPIRES_MAX,
			.protocol = one->ports.protocol,
			.verdict = SN_VERDICT_ALLOW,
			.rule_id = one->rule_id,
			.port_low = one->ports.low,
			.port_high = one->ports.high,
		};
	}
	if (n > room) {
		qsort(all, n, sizeof(*all), compare_ends);
		n = room;
	}
	if (n > 1)
		qsort(all, n, sizeof(*all), compare_items);
	memcpy(items, all, n * sizeof(*all));
	return (uint8_t)n;
}
