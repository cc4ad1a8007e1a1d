/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rules/internal.h"

struct cp_rules_state {
	struct cp_rules *rules;
	struct cp_rules_count *counts; /* by rule */
	struct cp_rules_view view;
	char text[CP_RULES_STATE_TEXT_BYTES];
};

int cp_rules_state_new(struct cp_rules_state **ret, struct cp_rules *rules)
{
	sn_cleanup(cp_rules_state_freep) struct cp_rules_state *state =
		calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	r = cp_rules_state_put(state, rules);
	if (r < 0)
		return r;
	*ret = sn_steal(&state);
	return 0;
}

struct cp_rules_state *cp_rules_state_free(struct cp_rules_state *state)
{
	if (!state)
		return NULL;
	(void)cp_rules_unref(state->rules);
	free(state->counts);
	free(state);
	return NULL;
}

/* What was counted of a rule of that name. */
static struct cp_rules_count find_count(const struct cp_rules_state *state,
					const char *name)
{
	for (size_t i = 0; state->rules && i < state->rules->n; i++) {
		if (strcmp(state->rules->rules[i].rule.name, name) == 0)
			return state->counts[i];
	}
	return (struct cp_rules_count){ 0 };
}

int cp_rules_state_put(struct cp_rules_state *state, struct cp_rules *rules)
{
	struct cp_rules_count *counts =
		calloc(SN_MAX(rules->n, (size_t)1), sizeof(*counts));

	if (!counts)
		return -ENOMEM;
	for (size_t i = 0; i < rules->n; i++)
		counts[i] = find_count(state, rules->rules[i].rule.name);
	(void)cp_rules_ref(rules);
	(void)cp_rules_unref(state->rules);
	free(state->counts);
	state->rules = rules;
	state->counts = counts;
	return 0;
}

struct cp_rules *cp_rules_state_get(const struct cp_rules_state *state)
{
	return state->rules;
}

static bool hits(const struct cp_rules_compiled *rule,
		 struct cp_rules_view *view)
{
	if (cp_rules_block_judge(rule->match, view) == CP_RULES_FIT_NO)
		return false;
	for (size_t i = 0; i < rule->n_exceptions; i++) {
		if (cp_rules_block_judge(rule->exceptions[i], view) ==
		    CP_RULES_FIT_YES)
			return false;
	}
	return true;
}

static void tell(struct cp_rules_state *state, size_t index, uint64_t now_ns,
		 cp_rules_hit_fn hit, void *userdata)
{
	const struct cp_rules_hit what = {
		.rule = index,
		.text = state->text,
		.count = 1,
	};
	const struct cp_rules_view *view = &state->view;

	(void)snprintf(state->text, sizeof(state->text), "%s: %s by pid %u",
		       state->rules->rules[index].rule.name, view->event->event,
		       view->process->pid);
	state->counts[index].hits++;
	state->counts[index].last_ns = now_ns;
	hit(userdata, &what);
}

size_t cp_rules_state_judge(struct cp_rules_state *state,
			    const struct cp_rules_subject *subject,
			    uint64_t now_ns, cp_rules_hit_fn hit,
			    void *userdata)
{
	const struct cp_rules *rules = state->rules;
	size_t n = 0;

	if (!cp_rules_view_set(&state->view, subject))
		return 0;
	for (size_t i = 0; i < SN_RT_WORDS; i++) {
		uint64_t left = rules->by_event[state->view.kind].words[i];

		for (; left; left &= left - 1) {
			size_t index = i * 64 + (size_t)__builtin_ctzll(left);

			if (!hits(&rules->rules[index], &state->view))
				continue;
			tell(state, index, now_ns, hit, userdata);
			n++;
		}
	}
	return n;
}

struct cp_rules_count
cp_rules_state_get_count(const struct cp_rules_state *state, size_t index)
{
	return state->counts[index];
}
