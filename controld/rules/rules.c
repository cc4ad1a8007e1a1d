/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rules/internal.h"
#include "shared/runtime.h"

const char *const cp_rules_severities[] = {
	"debug", "info", "notice", "warning", "error", "critical", NULL,
};

struct cp_rules *cp_rules_ref(struct cp_rules *rules)
{
	rules->n_refs++;
	return rules;
}

static void free_compiled(struct cp_rules_compiled *compiled)
{
	(void)cp_rules_block_free(compiled->match);
	for (size_t i = 0; i < compiled->n_exceptions; i++)
		(void)cp_rules_block_free(compiled->exceptions[i]);
	free(compiled->exceptions);
	(void)cp_rules_output_free(compiled->output);
}

struct cp_rules *cp_rules_unref(struct cp_rules *rules)
{
	if (!rules || --rules->n_refs > 0)
		return NULL;
	for (size_t i = 0; i < rules->n; i++)
		free_compiled(&rules->rules[i]);
	free(rules->rules);
	for (size_t i = 0; i < rules->env.n_macros; i++)
		(void)cp_rules_block_free(rules->env.macros[i].block);
	cp_rules_env_done(&rules->env);
	(void)cp_rules_index_free(rules->index);
	cp_rules_file_done(&rules->file);
	free(rules);
	return NULL;
}

/* What diag says, as that of a part of something that begins in a line. */
static int refuse(struct sn_diag *diag, const char *file, unsigned int line,
		  const char *what, const char *name, const char *part)
{
	char text[SN_DIAG_TEXT_BYTES], field[SN_DIAG_FILE_BYTES];

	(void)memcpy(text, diag->text, sizeof(text));
	(void)snprintf(field, sizeof(field), "%s%s%.64s", part,
		       *part && *diag->field ? "." : "", diag->field);
	sn_diag_set(diag, field, "%s '%s': %s: %s", what, name, field, text);
	sn_diag_at(diag, file, diag->line ? diag->line : line);
	return CP_RULES_E_REFUSED;
}

/* Lists and macros, in the order of the file. */

static int put_lists(struct cp_rules *rules, const char *file,
		     struct sn_diag *diag)
{
	const struct cp_rules_file_list *all = rules->file.lists.items;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->file.lists.n_items; i++) {
		*diag = (struct sn_diag){ .text = "" };
		r = cp_rules_env_put_list(&rules->env, all[i].name,
					  &all[i].items, diag);
		if (r > 0)
			return refuse(diag, file, all[i].line, "list",
				      all[i].name, "items");
	}
	return r;
}

static int put_macros(struct cp_rules *rules, const char *file,
		      struct sn_diag *diag)
{
	const struct cp_rules_file_macro *all = rules->file.macros.items;
	struct cp_rules_env *env = &rules->env;

	for (size_t i = 0; i < rules->file.macros.n_items; i++) {
		struct cp_rules_env_macro *macro = &env->macros[i];
		int r;

		*diag = (struct sn_diag){ .text = "" };
		r = cp_rules_block_new(&macro->block, &all[i].match, env, diag);
		if (r > 0)
			return refuse(diag, file, all[i].line, "macro",
				      all[i].name, "match");
		if (r < 0)
			return r;
		macro->name = all[i].name;
		for (size_t field = 1; field < SN_RT_FIELD_COUNT; field++)
			macro->by_field[field] = cp_rules_block_find(
				macro->block, env, (enum sn_rt_field)field);
		env->n_macros++;
	}
	return 0;
}

static int put_event(struct cp_rules *rules, size_t index, const char *name,
		     struct sn_diag *diag)
{
	struct cp_rules_rule *rule = &rules->rules[index].rule;
	size_t event = SN_RT_EVENT_NONE + 1;

	while (event < SN_RT_EVENT_COUNT &&
	       strcmp(sn_runtime_events[event].name, name) != 0)
		event++;
	if (event == SN_RT_EVENT_COUNT) {
		sn_diag_set(diag, NULL, "there is no event '%.64s'", name);
		return CP_RULES_E_REFUSED;
	}
	rule->events |= SN_RT_EVENT_BIT(event);
	if (rule->enabled)
		rules->events |= SN_RT_EVENT_BIT(event);
	return 0;
}

static int put_events(struct cp_rules *rules, size_t index,
		      const struct cp_rules_file_rule *source,
		      struct sn_diag *diag)
{
	int r = 0;

	if (source->event)
		return put_event(rules, index, source->event, diag);
	for (size_t i = 0; r == 0 && i < source->events.n_items; i++) {
		r = put_event(rules, index, source->events.items[i], diag);
		if (r)
			diag->line = source->events.lines[i];
	}
	return r;
}

static int put_exceptions(struct cp_rules_compiled *compiled,
			  const struct cp_rules_file_rule *source,
			  struct cp_rules_env *env, struct sn_diag *diag)
{
	const struct cp_rules_file_match *all = source->exceptions.items;
	size_t n = source->exceptions.n_items;
	int r = 0;

	if (n == 0)
		return 0;
	compiled->exceptions = calloc(n, sizeof(struct cp_rules_block *));
	if (!compiled->exceptions)
		return -ENOMEM;
	compiled->n_exceptions = n;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = cp_rules_block_new(&compiled->exceptions[i], &all[i], env,
				       diag);
	return r;
}

static int put_rate(struct cp_rules_compiled *compiled,
		    const struct cp_rules_file_rate *rate, struct sn_diag *diag)
{
	static const char *const words[] = {
		"process", "executable", "uid", "cgroup", "container", "path",
	};

	compiled->rate = SN_MAX(rate->count, (uint64_t)1);
	compiled->window_ns = rate->window_ns;
	for (size_t i = 0; i < rate->by.n_items; i++) {
		size_t j = 0;

		while (j < SN_ARRAY_SIZE(words) &&
		       strcmp(words[j], rate->by.items[i]) != 0)
			j++;
		if (j == SN_ARRAY_SIZE(words)) {
			sn_diag_set(diag, "by",
				    "'%.64s' is none of process, executable, "
				    "uid, cgroup, container, path",
				    rate->by.items[i]);
			diag->line = rate->by.lines[i];
			return CP_RULES_E_REFUSED;
		}
		compiled->by |= 1U << j;
	}
	return 0;
}

static int compile(struct cp_rules *rules, size_t index, const char *file,
		   struct sn_diag *diag)
{
	const struct cp_rules_file_rule *source =
		(const struct cp_rules_file_rule *)rules->file.rules.items +
		index;
	struct cp_rules_compiled *compiled = &rules->rules[index];
	const char *part = "events";
	int r;

	compiled->rule = (struct cp_rules_rule){
		.name = source->name,
		.description = source->description,
		.enabled = source->enabled,
		.severity = (enum cp_rules_severity)source->severity,
		.tags = source->tags.items,
		.n_tags = source->tags.n_items,
		.line = source->line,
	};
	*diag = (struct sn_diag){ .text = "" };
	r = put_events(rules, index, source, diag);
	if (r == 0) {
		part = "match";
		r = cp_rules_block_new(&compiled->match, &source->match,
				       &rules->env, diag);
	}
	if (r == 0) {
		part = "exceptions";
		r = put_exceptions(compiled, source, &rules->env, diag);
	}
	if (r == 0) {
		part = "rate";
		r = put_rate(compiled, &source->rate, diag);
	}
	if (r == 0) {
		part = "output";
		r = cp_rules_output_new(&compiled->output,
					source->output ?
						source->output :
						cp_rules_output_default,
					diag);
	}
	return r > 0 ? refuse(diag, file, source->line, "rule", source->name,
			      part) :
		       r;
}

/* Takes what file owns. */
static int make(struct cp_rules **ret, struct cp_rules_file *file,
		const char *name, struct sn_diag *diag)
{
	sn_cleanup(cp_rules_unrefp) struct cp_rules *rules =
		calloc(1, sizeof(*rules));
	int r = 0;

	if (!rules) {
		cp_rules_file_done(file);
		return -ENOMEM;
	}
	rules->n_refs = 1;
	rules->file = *file;
	rules->rules = calloc(SN_MAX(file->rules.n_items, (size_t)1),
			      sizeof(*rules->rules));
	if (!rules->rules)
		return -ENOMEM;
	rules->n = file->rules.n_items;
	r = put_lists(rules, name, diag);
	if (r == 0)
		r = put_macros(rules, name, diag);
	for (size_t i = 0; r == 0 && i < rules->n; i++)
		r = compile(rules, i, name, diag);
	if (r == 0)
		r = cp_rules_index_new(&rules->index, rules);
	if (r == 0)
		*ret = sn_steal(&rules);
	return r;
}

int cp_rules_load(struct cp_rules **ret, const char *text, size_t size,
		  const char *name, struct sn_diag *diag)
{
	struct cp_rules_file file;
	int r = cp_rules_file_parse(text, size, name, &file, diag);

	return r == 0 ? make(ret, &file, name, diag) : r;
}

int cp_rules_load_file(struct cp_rules **ret, const char *path,
		       struct sn_diag *diag)
{
	struct cp_rules_file file;
	int r = cp_rules_file_load(path, &file, diag);

	return r == 0 ? make(ret, &file, path, diag) : r;
}

size_t cp_rules_count(const struct cp_rules *rules)
{
	return rules->n;
}

const struct cp_rules_rule *cp_rules_get(const struct cp_rules *rules,
					 size_t index)
{
	return &rules->rules[index].rule;
}

uint64_t cp_rules_events(const struct cp_rules *rules)
{
	return rules->events;
}

static int put_rule(const struct cp_rules *rules, size_t index,
		    struct cp_runtime_rules *scratch,
		    uint64_t (*find)(const char *cgroup), struct sn_diag *diag)
{
	const struct cp_rules_compiled *compiled = &rules->rules[index];
	int r = cp_runtime_rules_add(scratch, compiled->rule.name, diag);

	for (size_t i = 1; r == 0 && i < SN_RT_EVENT_COUNT; i++) {
		if (compiled->rule.events & SN_RT_EVENT_BIT(i))
			r = cp_runtime_rules_put_event(
				scratch, sn_runtime_events[i].name, diag);
	}
	for (size_t i = 1; r == 0 && i < SN_RT_FIELD_COUNT; i++) {
		const struct cp_rules_cond *cond = cp_rules_block_find(
			compiled->match, &rules->env, (enum sn_rt_field)i);

		if (cond)
			r = cp_rules_cond_put_wanted(cond, scratch, find, diag);
	}
	return r;
}

int cp_rules_put_wanted(const struct cp_rules *rules,
			struct cp_runtime_rules *wanted,
			uint64_t (*find)(const char *cgroup),
			struct sn_diag *diag)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *scratch =
		NULL;
	int r = cp_runtime_rules_new(&scratch);

	/* Names are told apart within a set only: the configuration may have a
	 * rule of the same one. */
	for (size_t i = 0; r == 0 && i < rules->n; i++) {
		if (rules->rules[i].rule.enabled)
			r = put_rule(rules, i, scratch, find, diag);
	}
	for (size_t i = 0; r == 0 && i < cp_runtime_rules_count(scratch); i++)
		r = cp_runtime_rules_put_rule(wanted,
					      cp_runtime_rules_get(scratch, i));
	if (r == CP_RUNTIME_RULES_E_FULL) {
		sn_diag_set(diag, NULL,
			    "there is no room for so many rules or values");
		return CP_RULES_E_FULL;
	}
	return r > 0 ? CP_RULES_E_REFUSED : r;
}
