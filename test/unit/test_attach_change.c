/* SPDX-License-Identifier: Apache-2.0 */
/* What single changes leave on disk. */
#include "controld/attach/change.h"

#include "controld/attach/item.h"
#include "sentinel/state/v1/state.pb-c.h"
#include "test/unit/test_attach_rig.h"

/* Every rule with id, life and owner, as text. */
static char *describe(const struct cp_policy *policy)
{
	static char text[65536];
	char cidr[CP_POLICY_CIDR_TEXT_BYTES];
	const struct cp_policy_rule *rule;
	size_t cursor = 0, at = 0;

	text[0] = '\0';
	while ((rule = cp_policy_walk_rules(policy, &cursor)))
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "%u %u %s %u %u %lu\n", rule->id,
				       rule->verdict,
				       cp_policy_cidr_format(&rule->cidr, cidr),
				       rule->n_ports, rule->ttl_s,
				       (unsigned long)rule->expires_ns);
	(void)snprintf(text + at, sizeof(text) - at, "next %u",
		       cp_policy_get_next_id(policy));
	t_true(at < sizeof(text) - 16);
	return text;
}

static long journal_bytes(const struct rig *rig)
{
	char path[sizeof(rig->path) + 8];
	struct stat status;

	(void)snprintf(path, sizeof(path), "%s.journal", rig->path);
	t_eq(stat(path, &status), 0);
	return status.st_size;
}

static void survives_a_restart(struct rig *rig, const char *id)
{
	char *before = strdup(describe(get_info(rig, id).policy));
	unsigned int n_puts = rig->fake->n_puts;

	restart(rig);
	t_str_eq(describe(get_info(rig, id).policy), before);
	t_eq(rig->fake->n_puts, n_puts);
	agrees(rig, id);
	free(before);
}

static void every_kind_of_change_survives_a_restart(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome;

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	(void)add(rig, id, SN_VERDICT_ALLOW, "2001:db8::/32", 0);
	survives_a_restart(rig, id);
	/* Beside a rule of the same prefix, replaced, with a life. */
	(void)add_port(rig, id, "192.0.2.1", 443, 0);
	(void)add_port(rig, id, "192.0.2.1", 443, 60);
	(void)add(rig, id, SN_VERDICT_DENY, "192.0.2.1", 3600);
	survives_a_restart(rig, id);
	t_eq(drop_rules(rig, id, "192.0.2.1").result.removed, 2);
	t_eq(drop_rules(rig, id, "2001:db8::/32").result.removed, 1);
	t_eq(drop_rules(rig, id, "10.0.0.0/8").result.removed, 1);
	survives_a_restart(rig, id);
	t_eq(cp_policy_count(get_info(rig, id).policy), 0);
	/* An id is not used again because its rule is only in the journal. */
	outcome = add(rig, id, SN_VERDICT_ALLOW, "198.51.100.1", 0);
	t_eq(outcome.result.rule_id, 5);
	rig_free(rig);
}

static void what_the_control_plane_said_survives_a_restart(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach(rig, policy("10.0.0.0/8", 0, 0));
	struct cp_attach_item *item =
		cp_attach_item_find(rig->manager, outcome.result.id);

	item->revision = 7;
	item->held_mode = SN_MODE_DENYLIST;
	item->held_audit = true;
	t_eq(cp_attach_change_put(item, NULL), 0);
	restart(rig);
	item = cp_attach_item_find(rig->manager, outcome.result.id);
	t_not_null(item);
	t_eq(item->revision, 7);
	t_eq(item->held_mode, SN_MODE_DENYLIST);
	t_true(item->held_audit);
	t_eq(cp_policy_count(item->policy), 1);
	rig_free(rig);
}

/* The journal, and the policy beside it, grow with the change and not with the
 * policy; what was appended is folded into it now and then. */
static void change_of_a_large_policy_is_a_small_record(void)
{
	struct rig *rig = rig_new();
	struct cp_policy *large = policy(NULL, NULL, NULL);
	char id[CP_ATTACH_ID_CHARS + 1], cidr[32];
	struct cp_policy_rule one;
	struct outcome outcome;
	bool is_folded = false;
	size_t size, first_size;
	long before;

	for (int i = 0; i < 900; i++) {
		(void)snprintf(cidr, sizeof(cidr), "10.0.%d.%d", i / 250,
			       i % 250);
		one = rule(SN_VERDICT_ALLOW, cidr, 0);
		t_eq(cp_policy_add(large, &one, NULL, NULL), 0);
	}
	outcome = attach(rig, large);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	memcpy(id, outcome.result.id, sizeof(id));
	t_not_null(cp_state_get(rig->state, id, &first_size));
	for (int i = 0; i < 1200; i++) {
		(void)snprintf(cidr, sizeof(cidr), "192.0.2.%d", i % 50);
		before = journal_bytes(rig);
		if (i / 50 % 2)
			outcome = drop_rules(rig, id, cidr);
		else
			outcome = add(rig, id, SN_VERDICT_ALLOW, cidr, 0);
		t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
		t_not_null(cp_state_get(rig->state, id, &size));
		if (size == first_size) {
			t_true(journal_bytes(rig) - before < 400);
			continue;
		}
		is_folded = true;
		first_size = size;
	}
	t_true(is_folded);
	survives_a_restart(rig, id);
	t_eq(cp_policy_count(get_info(rig, id).policy), 900);
	rig_free(rig);
}

/* One policy may be larger than the limit that holds from now on. */
static void lowered_limit_forgets_no_rule(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome;

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	(void)add(rig, id, SN_VERDICT_ALLOW, "192.0.2.1", 0);
	(void)add(rig, id, SN_VERDICT_ALLOW, "192.0.2.2", 0);
	rig->max_rules = 2;
	survives_a_restart(rig, id);
	outcome = add(rig, id, SN_VERDICT_ALLOW, "192.0.2.3", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
	rig_free(rig);
}

static void malformed_change(struct cp_attach_item *item,
			     Sentinel__State__V1__Change *message)
{
	uint8_t blob[512];
	size_t size = sentinel__state__v1__change__pack(message, blob);

	t_eq(cp_attach_change_load(item, blob, size), -EBADMSG);
}

static void what_no_writer_writes_is_refused(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach(rig, policy("10.0.0.0/8", 0, 0));
	struct cp_attach_item *item =
		cp_attach_item_find(rig->manager, outcome.result.id);
	uint8_t address[16] = { 192, 0, 2, 1 };
	Sentinel__State__V1__Change change;
	Sentinel__State__V1__Rule rule, *rules[] = { &rule };

	sentinel__state__v1__change__init(&change);
	sentinel__state__v1__rule__init(&rule);
	change.address.data = address;
	change.address.len = 5;
	malformed_change(item, &change);
	change.address.len = 4;
	change.prefix_length = 33;
	malformed_change(item, &change);
	change.prefix_length = 32;
	change.rules = rules;
	change.n_rules = 1;
	rule.id = 9;
	rule.verdict = SN_VERDICT_ALLOW;
	rule.address.data = address;
	rule.address.len = 4;
	rule.prefix_length = 31; /* not the prefix that it stands under */
	malformed_change(item, &change);
	t_eq(cp_attach_change_load(item, "\xff", 1), -EBADMSG);
	rig_free(rig);
}

T_MAIN("attach_change", every_kind_of_change_survives_a_restart,
       what_the_control_plane_said_survives_a_restart,
       change_of_a_large_policy_is_a_small_record,
       lowered_limit_forgets_no_rule, what_no_writer_writes_is_refused)
