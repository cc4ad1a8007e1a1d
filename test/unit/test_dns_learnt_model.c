/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/learnt.h"

#include "test/unit/test_dns_learnt.h"

/* Against a model that keeps every pair and decides by looking at all. */

enum { NAMES = 6, ADDRESSES = 5, STEPS = 3000, PAIRS = NAMES * ADDRESSES };

static const char *const texts[NAMES] = {
	"example",     "a.example", "b.example",
	"x.a.example", "c.test",    "d.c.test",
};

struct naive {
	struct cp_dns_rules *rules;
	uint64_t expires[NAMES][ADDRESSES]; /* 0: not there */
};

static unsigned int random_below(unsigned int n)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)(state % n);
}

static bool naive_opens(const struct naive *naive, unsigned int i,
			uint16_t port, uint64_t at)
{
	for (size_t k = 0; k < NAMES; k++) {
		struct cp_dns_name name = name_of(texts[k]);
		struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
		struct cp_dns_match match;
		uint8_t n;

		if (naive->expires[k][i] <= at)
			continue;
		cp_dns_rules_match(naive->rules, &name, &match);
		t_eq(match.verdict, SN_VERDICT_ALLOW);
		t_eq(cp_dns_rules_get_ports(&match, ports, &n), 0);
		if (n == 0)
			return true;
		for (uint8_t j = 0; j < n; j++) {
			if (ports[j].low <= port && ports[j].high >= port)
				return true;
		}
	}
	return false;
}

static void change_rules(struct naive *naive, uint32_t id)
{
	const char *text = texts[random_below(NAMES)];
	struct cp_dns_rule rule = rule_of(
		id, random_below(4) ? SN_VERDICT_ALLOW : SN_VERDICT_DENY, text,
		0, random_below(2));

	if (rule.verdict == SN_VERDICT_ALLOW && random_below(2)) {
		rule.n_ports = 1;
		rule.ports[0].low = (uint16_t)(1 + random_below(3));
		rule.ports[0].high = rule.ports[0].low;
	} else {
		rule.n_ports = 0;
	}
	if (random_below(2))
		(void)cp_dns_rules_remove(naive->rules, &rule.name, NULL, 0, 0);
	else
		(void)cp_dns_rules_add(naive->rules, &rule, NULL);
	for (size_t k = 0; k < NAMES; k++) {
		struct cp_dns_name name = name_of(texts[k]);
		struct cp_dns_match match;

		cp_dns_rules_match(naive->rules, &name, &match);
		if (match.verdict != SN_VERDICT_ALLOW)
			memset(naive->expires[k], 0, sizeof(naive->expires[k]));
	}
}

static void learn_some(struct naive *naive, struct cp_dns_learnt *learnt,
		       uint64_t now)
{
	unsigned int k = random_below(NAMES), first = random_below(ADDRESSES);
	unsigned int n = 1 + random_below(ADDRESSES - first);
	uint64_t expires = now + (1 + random_below(20)) * S;
	struct cp_dns_name name = name_of(texts[k]);
	struct cp_dns_match match;

	cp_dns_rules_match(naive->rules, &name, &match);
	if (match.verdict != SN_VERDICT_ALLOW)
		return;
	t_eq(put(learnt, naive->rules, texts[k], first, n, expires, now), 0);
	for (unsigned int i = first; i < first + n; i++)
		naive->expires[k][i] = SN_MAX(naive->expires[k][i], expires);
}

static void compare(const struct naive *naive,
		    const struct cp_dns_learnt *learnt, uint64_t now)
{
	size_t n_names = 0, n_addresses = 0;
	bool has[ADDRESSES] = { false };

	for (size_t k = 0; k < NAMES; k++) {
		bool any = false;

		for (size_t i = 0; i < ADDRESSES; i++) {
			any |= naive->expires[k][i] > now;
			has[i] |= naive->expires[k][i] > now;
		}
		n_names += any;
	}
	for (unsigned int i = 0; i < ADDRESSES; i++) {
		n_addresses += has[i];
		for (uint16_t port = 0; port < 5; port++) {
			for (uint64_t t = now; t < now + 22 * S; t += S)
				t_eq(opens(learnt, i, port, t + S / 2),
				     naive_opens(naive, i, port, t + S / 2));
			/* Of the past only as much as was ever open. */
			for (uint64_t t = now - 5 * S; t < now; t += S)
				t_true(!opens(learnt, i, port, t + S / 2) ||
				       naive_opens(naive, i, port, t + S / 2));
		}
	}
	t_eq(cp_dns_learnt_count_names(learnt, now), n_names);
	t_eq(cp_dns_learnt_count_addresses(learnt, now), n_addresses);
}

static void random_changes_agree_with_a_naive_model(void)
{
	struct naive naive = { .rules = rules_of(NULL, 0) };
	struct cp_dns_learnt *learnt = make(100, 100, 100);
	uint64_t now = 100 * S;

	for (uint32_t step = 1; step <= STEPS; step++) {
		struct cp_dns_learnt *copy = NULL;
		struct cp_dns_address lapsed[2];
		size_t n;

		switch (random_below(8)) {
		case 0:
			change_rules(&naive, step);
			(void)cp_dns_learnt_apply(learnt, naive.rules, false,
						  NULL, NULL);
			t_true(cp_dns_learnt_is_current(learnt, naive.rules,
							false));
			break;
		case 1:
			now += random_below(5) * S;
			break;
		case 2:
			t_eq(cp_dns_learnt_copy(learnt, &copy), 0);
			cp_dns_learnt_free(learnt);
			learnt = copy;
			break;
		case 3:
			n = cp_dns_learnt_lapsed(learnt, now, lapsed, 2);
			for (size_t i = 0; i < n; i++)
				cp_dns_learnt_forget(learnt, &lapsed[i]);
			break;
		default:
			learn_some(&naive, learnt, now);
			break;
		}
		if (step % 10 == 0)
			compare(&naive, learnt, now);
	}
	cp_dns_learnt_free(learnt);
	cp_dns_rules_free(naive.rules);
}

T_MAIN("dns_learnt_model", random_changes_agree_with_a_naive_model)
