/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "test/unit/test_attach_learn.h"

/* CIDR rules that deny whole networks hold against names. The addresses of
 * lessons are in 198.51.0.0/16; a prefix length that a policy has already can
 * be added to its running generation, others need a new one. */

static inline struct cp_policy *a_and_b(void)
{
	struct cp_policy *with =
		policy("192.0.2.0/24", "192.0.2.0/28", "192.168.0.0/16");

	with_domain(with, SN_VERDICT_ALLOW, "a.example");
	return with_domain(with, SN_VERDICT_ALLOW, "b.example");
}

/* An attachment that has learnt 1 and 2 under a.example, and under b.example
 * 2, 3 and 17 .. 20 of 198.51.0.0/24, and 256 of the next. */
struct lab {
	struct rig *rig;
	char id[CP_ATTACH_ID_CHARS + 1];
};

static const unsigned int inside[] = { 1, 2, 3, 17, 18, 19, 20 };

static inline struct lab lab_new(void)
{
	struct lab lab = { .rig = rig_new() };
	struct outcome outcome = attach_workload(lab.rig, a_and_b());

	memcpy(lab.id, outcome.result.id, sizeof(lab.id));
	t_eq(learn(lab.rig, "a.example", 1, 2, 300), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(lab.rig, "b.example", 2, 2, 300), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(lab.rig, "b.example", 17, 4, 300), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(lab.rig, "b.example", 256, 1, 300), CP_ATTACH_DNS_LEARN_OK);
	return lab;
}

/* Of 198.51.0.0/24 those from `from` on are closed and the others are open; what
 * is outside is open. */
static inline void is_closed_from(struct lab *lab, unsigned int from)
{
	struct rig *rig = lab->rig;

	for (size_t i = 0; i < SN_ARRAY_SIZE(inside); i++) {
		const char *name = inside[i] < 2 ? "a.example" : "b.example";
		bool opens = inside[i] < from;

		t_eq(is_open(rig, inside[i], 80), opens);
		t_eq(entry_of(rig, inside[i]) != NULL, opens);
		t_eq(is_learnt(rig, name, inside[i], 200), opens);
	}
	t_true(is_open(rig, 256, 80));
	t_true(is_learnt(rig, "b.example", 256, 200));
}

enum { ALL_OPEN = 256, ALL_CLOSED = 0 };

static inline struct outcome deny(struct lab *lab, const char *cidr)
{
	return add(lab->rig, lab->id, SN_VERDICT_DENY, cidr, 0);
}

static inline struct outcome allow(struct lab *lab, const char *cidr)
{
	return add(lab->rig, lab->id, SN_VERDICT_ALLOW, cidr, 0);
}
