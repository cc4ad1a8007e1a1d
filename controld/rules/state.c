/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rules/internal.h"
#include "controld/rules/windows.h"

struct cp_rules_state {
	struct cp_rules *rules;
	struct cp_rules_count *counts; /* by rule */
	struct cp_rules_windows *windows;
	struct cp_rules_memo memo;
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
	r = cp_rules_windows_new(&state->windows, CP_RULES_STATE_WINDOWS_MAX,
				 CP_RULES_STATE_WINDOWS_BYTES_MAX);
	if (r == 0)
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
	(void)cp_rules_windows_free(state->windows);
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
	state->memo.env = &rules->env;
	return 0;
}

struct cp_rules *cp_rules_state_get(const struct cp_rules_state *state)
{
	return state->rules;
}

static bool hits(struct cp_rules_state *state,
		 const struct cp_rules_compiled *rule)
{
	if (cp_rules_block_judge(rule->match, &state->view, &state->memo) ==
	    CP_RULES_FIT_NO)
		return false;
	for (size_t i = 0; i < rule->n_exceptions; i++) {
		if (cp_rules_block_judge(rule->exceptions[i], &state->view,
					 &state->memo) == CP_RULES_FIT_YES)
			return false;
	}
	return true;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < size; i++)
		hash = sn_rt_hash(hash, at[i]);
	/* An end of its own, so that parts do not run into each other. */
	return sn_rt_hash(hash, 0xff);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
	return mix(hash, text, strlen(text));
}

static uint64_t find_key(const struct cp_rules_compiled *rule,
			 const struct cp_rules_view *view)
{
	const Sentinel__V1__RuntimeProcess *process = view->process;
	const Sentinel__V1__RuntimeFile *exe = process->executable;
	const Sentinel__V1__RuntimeFile *file = view->event->file;
	uint64_t key = mix_text(SN_RT_HASH_FIRST, rule->rule.name);

	if (rule->by & CP_RULES_BY_PROCESS) {
		key = mix(key, &process->pid, sizeof(process->pid));
		key = mix(key, &process->start_ns, sizeof(process->start_ns));
	}
	if (rule->by & CP_RULES_BY_EXECUTABLE)
		key = mix_text(key, exe ? exe->path : "");
	if (rule->by & CP_RULES_BY_UID)
		key = mix(key, &process->uid, sizeof(process->uid));
	if (rule->by & CP_RULES_BY_CGROUP)
		key = mix(key, &process->cgroup_id, sizeof(process->cgroup_id));
	if (rule->by & CP_RULES_BY_CONTAINER)
		key = mix_text(key, process->container_id);
	if (rule->by & CP_RULES_BY_PATH)
		key = mix_text(key, file ? file->path : "");
	return key;
}

static bool is_often(struct cp_rules_state *state,
		     const struct cp_rules_compiled *rule, uint64_t now_ns)
{
	return rule->rate == 1 ||
	       cp_rules_windows_put(state->windows,
				    find_key(rule, &state->view), rule->rate,
				    rule->window_ns, now_ns);
}

static void tell(struct cp_rules_state *state, size_t index, uint64_t now_ns,
		 cp_rules_hit_fn hit, void *userdata)
{
	const struct cp_rules_compiled *rule = &state->rules->rules[index];
	const struct cp_rules_hit what = {
		.rule = index,
		.text = state->text,
		.count = rule->rate,
	};

	cp_rules_output_format(rule->output, &state->view, state->text,
			       sizeof(state->text));
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
	struct sn_rt_bits candidates;
	size_t n = 0, n_words;

	if (!cp_rules_view_set(&state->view, subject))
		return 0;
	state->memo.event++;
	n_words = cp_rules_index_find(rules->index, &state->view, &candidates);
	for (size_t i = 0; i < n_words; i++) {
		uint64_t left = candidates.words[i];

		for (; left; left &= left - 1) {
			size_t index = i * 64 + (size_t)__builtin_ctzll(left);
			const struct cp_rules_compiled *rule =
				&rules->rules[index];

			if (!hits(state, rule) ||
			    !is_often(state, rule, now_ns))
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

uint64_t cp_rules_state_get_forgotten(const struct cp_rules_state *state)
{
	return cp_rules_windows_forgotten(state->windows);
}
