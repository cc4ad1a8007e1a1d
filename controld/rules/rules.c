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
}

struct cp_rules *cp_rules_unref(struct cp_rules *rules)
{
	if (!rules || --rules->n_refs > 0)
		return NULL;
	for (size_t i = 0; i < rules->n; i++)
		free_compiled(&rules->rules[i]);
	free(rules->rules);
	cp_rules_file_done(&rules->file);
	free(rules);
	return NULL;
}

/* What diag says, as that of a part of the rule. */
static int refuse(struct sn_diag *diag, const char *file,
		  const struct cp_rules_file_rule *rule, const char *part)
{
	char text[SN_DIAG_TEXT_BYTES], field[SN_DIAG_FILE_BYTES];
	unsigned int line = diag->line ? diag->line : rule->line;

	(void)memcpy(text, diag->text, sizeof(text));
	(void)snprintf(field, sizeof(field), "%s%s%.64s", part,
		       *part && *diag->field ? "." : "", diag->field);
	sn_diag_set(diag, field, "rule '%s': %s: %s", rule->name, field, text);
	sn_diag_at(diag, file, line);
	return CP_RULES_E_REFUSED;
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
	if (!rule->enabled)
		return 0;
	rules->events |= SN_RT_EVENT_BIT(event);
	rules->by_event[event].words[index / 64] |= 1ULL << index % 64;
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
			  struct sn_diag *diag)
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
		r = cp_rules_block_new(&compiled->exceptions[i], &all[i], diag);
	return r;
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
		r = cp_rules_block_new(&compiled->match, &source->match, diag);
	}
	if (r == 0) {
		part = "exceptions";
		r = put_exceptions(compiled, source, diag);
	}
	return r > 0 ? refuse(diag, file, source, part) : r;
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
	for (size_t i = 0; r == 0 && i < rules->n; i++)
		r = compile(rules, i, name, diag);
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

static int put_rule(const struct cp_rules_compiled *compiled,
		    struct cp_runtime_rules *scratch,
		    uint64_t (*find)(const char *cgroup), struct sn_diag *diag)
{
	int r = cp_runtime_rules_add(scratch, compiled->rule.name, diag);

	for (size_t i = 1; r == 0 && i < SN_RT_EVENT_COUNT; i++) {
		if (compiled->rule.events & SN_RT_EVENT_BIT(i))
			r = cp_runtime_rules_put_event(
				scratch, sn_runtime_events[i].name, diag);
	}
	if (r == 0)
		r = cp_rules_block_put_wanted(compiled->match, scratch, find,
					      diag);
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
			r = put_rule(&rules->rules[i], scratch, find, diag);
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
