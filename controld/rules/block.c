/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/block.h"

#include <errno.h>
#include <stdlib.h>

struct cp_rules_block {
	size_t n;
	struct cp_rules_cond conds[];
};

struct cp_rules_block *cp_rules_block_free(struct cp_rules_block *block)
{
	for (size_t i = 0; block && i < block->n; i++)
		cp_rules_cond_done(&block->conds[i]);
	free(block);
	return NULL;
}

int cp_rules_block_new(struct cp_rules_block **ret,
		       const struct cp_rules_file_match *match,
		       struct cp_rules_env *env, struct sn_diag *diag)
{
	sn_cleanup(cp_rules_block_freep) struct cp_rules_block *block = NULL;
	size_t n = 0;

	for (size_t i = 0; i < CP_RULES_KEY_COUNT; i++)
		n += match->keys[i].n_items > 0;
	block = calloc(1, sizeof(*block) + n * sizeof(block->conds[0]));
	if (!block)
		return -ENOMEM;
	for (size_t i = 0; i < CP_RULES_KEY_COUNT; i++) {
		int r;

		if (match->keys[i].n_items == 0)
			continue;
		r = cp_rules_cond_init(&block->conds[block->n++],
				       (enum cp_rules_key)i, &match->keys[i],
				       env, diag);
		if (r)
			return r;
	}
	*ret = sn_steal(&block);
	return 0;
}

static enum cp_rules_fit both(enum cp_rules_fit a, enum cp_rules_fit b)
{
	if (a == CP_RULES_FIT_NO || b == CP_RULES_FIT_NO)
		return CP_RULES_FIT_NO;
	return a == CP_RULES_FIT_YES ? b : a;
}

static enum cp_rules_fit either(enum cp_rules_fit a, enum cp_rules_fit b)
{
	if (a == CP_RULES_FIT_YES || b == CP_RULES_FIT_YES)
		return CP_RULES_FIT_YES;
	return a == CP_RULES_FIT_NO ? b : a;
}

static enum cp_rules_fit judge_path(const struct cp_rules_block *block,
				    const struct cp_rules_text *path)
{
	enum cp_rules_fit fit = CP_RULES_FIT_YES;

	for (size_t i = 0; i < block->n && fit != CP_RULES_FIT_NO; i++) {
		const struct cp_rules_cond *cond = &block->conds[i];

		if (cp_rules_cond_is_path(cond->key))
			fit = both(fit, cp_rules_cond_judge_path(cond, path));
	}
	return fit;
}

/* One path has to fit all keys of paths. */
static enum cp_rules_fit judge_paths(const struct cp_rules_block *block,
				     struct cp_rules_view *view)
{
	enum cp_rules_fit fit = judge_path(
		block, cp_rules_view_get(view, CP_RULES_SOURCE_FILE));

	if (fit == CP_RULES_FIT_YES || !view->event->target)
		return fit;
	return either(fit,
		      judge_path(block, cp_rules_view_get(
						view, CP_RULES_SOURCE_TARGET)));
}

/* A macro uses only those before it, so that this ends. */
static enum cp_rules_fit judge_macro(size_t number, struct cp_rules_view *view,
				     struct cp_rules_memo *memo)
{
	struct cp_rules_memo_fit *known = &memo->fits[number];

	if (known->event != memo->event) {
		known->fit = cp_rules_block_judge(
			memo->env->macros[number].block, view, memo);
		known->event = memo->event;
	}
	return known->fit;
}

static enum cp_rules_fit judge_macros(const struct cp_rules_cond *cond,
				      struct cp_rules_view *view,
				      struct cp_rules_memo *memo)
{
	bool is_all = cond->key == CP_RULES_KEY_USE;
	enum cp_rules_fit fit = is_all ? CP_RULES_FIT_YES : CP_RULES_FIT_NO;

	for (size_t i = 0; i < cond->texts.n; i++) {
		enum cp_rules_fit one =
			judge_macro(cond->numbers[i], view, memo);

		fit = is_all ? both(fit, one) : either(fit, one);
	}
	return fit;
}

static bool is_macro(const struct cp_rules_cond *cond)
{
	return cond->key == CP_RULES_KEY_USE ||
	       cond->key == CP_RULES_KEY_USE_ANY;
}

enum cp_rules_fit cp_rules_block_judge(const struct cp_rules_block *block,
				       struct cp_rules_view *view,
				       struct cp_rules_memo *memo)
{
	enum cp_rules_fit fit = CP_RULES_FIT_YES;
	bool has_paths = false;

	for (size_t i = 0; i < block->n && fit != CP_RULES_FIT_NO; i++) {
		const struct cp_rules_cond *cond = &block->conds[i];

		if (is_macro(cond)) {
			fit = both(fit, judge_macros(cond, view, memo));
		} else if (!cp_rules_cond_is_path(cond->key)) {
			fit = both(fit, cp_rules_cond_judge(cond, view));
		} else if (!has_paths) {
			fit = both(fit, judge_paths(block, view));
			has_paths = true;
		}
	}
	return fit;
}

const struct cp_rules_cond *
cp_rules_block_find(const struct cp_rules_block *block,
		    const struct cp_rules_env *env, enum sn_rt_field field)
{
	for (size_t i = 0; i < block->n; i++) {
		if (cp_rules_cond_field(block->conds[i].key) == field)
			return &block->conds[i];
	}
	for (size_t i = 0; i < block->n; i++) {
		const struct cp_rules_cond *cond = &block->conds[i];

		if (cond->key != CP_RULES_KEY_USE)
			continue;
		for (size_t j = 0; j < cond->texts.n; j++) {
			const struct cp_rules_env_macro *macro =
				&env->macros[cond->numbers[j]];

			if (macro->by_field[field])
				return macro->by_field[field];
		}
	}
	return NULL;
}
