/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void cp_rules_env_texts_done(struct cp_rules_texts *texts)
{
	free(texts->items);
	free(texts->lines);
	*texts = (struct cp_rules_texts){ 0 };
}

void cp_rules_env_done(struct cp_rules_env *env)
{
	for (size_t i = 0; i < env->n_lists; i++)
		cp_rules_env_texts_done(&env->lists[i].texts);
	env->n_lists = 0;
}

/* NULL: it is no name of a list. */
static int find_list(const struct cp_rules_env *env, const char *text,
		     unsigned int line, const struct cp_rules_texts **ret,
		     struct sn_diag *diag)
{
	*ret = NULL;
	if (text[0] != '$')
		return 0;
	for (size_t i = 0; i < env->n_lists; i++) {
		if (strcmp(env->lists[i].name, text + 1) == 0)
			*ret = &env->lists[i].texts;
	}
	if (*ret)
		return 0;
	sn_diag_set(diag, NULL, "there is no list '%.64s' before this",
		    text + 1);
	diag->line = line;
	return CP_RULES_E_REFUSED;
}

static int count(struct cp_rules_env *env,
		 const struct cp_config_schema_strings *source, size_t *n,
		 struct sn_diag *diag)
{
	*n = 0;
	for (size_t i = 0; i < source->n_items; i++) {
		const struct cp_rules_texts *list;
		int r = find_list(env, source->items[i], source->lines[i],
				  &list, diag);

		if (r)
			return r;
		*n += list ? list->n : 1;
		if (env->n_values + *n <= CP_RULES_VALUES_MAX)
			continue;
		sn_diag_set(diag, NULL,
			    "there are more than %d values with what lists "
			    "include",
			    CP_RULES_VALUES_MAX);
		diag->line = source->lines[i];
		return CP_RULES_E_REFUSED;
	}
	env->n_values += *n;
	return 0;
}

int cp_rules_env_expand(struct cp_rules_env *env,
			const struct cp_config_schema_strings *source,
			struct cp_rules_texts *ret, struct sn_diag *diag)
{
	struct cp_rules_texts texts = { 0 };
	size_t n;
	int r = count(env, source, &n, diag);

	if (r)
		return r;
	texts.items = calloc(n, sizeof(*texts.items));
	texts.lines = calloc(n, sizeof(*texts.lines));
	if (!texts.items || !texts.lines) {
		cp_rules_env_texts_done(&texts);
		return -ENOMEM;
	}
	for (size_t i = 0; i < source->n_items; i++) {
		const struct cp_rules_texts *list;

		/* It was found when it was counted. */
		(void)find_list(env, source->items[i], 0, &list, diag);
		for (size_t j = 0; j < (list ? list->n : 1); j++) {
			texts.items[texts.n] = list ? list->items[j] :
						      source->items[i];
			texts.lines[texts.n++] = source->lines[i];
		}
	}
	*ret = texts;
	return 0;
}

int cp_rules_env_put_list(struct cp_rules_env *env, const char *name,
			  const struct cp_config_schema_strings *source,
			  struct sn_diag *diag)
{
	struct cp_rules_env_list *list = &env->lists[env->n_lists];
	int r = cp_rules_env_expand(env, source, &list->texts, diag);

	if (r)
		return r;
	list->name = name;
	env->n_lists++;
	return 0;
}

int cp_rules_env_find_macro(const struct cp_rules_env *env, const char *name)
{
	for (size_t i = 0; i < env->n_macros; i++) {
		if (strcmp(env->macros[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}
