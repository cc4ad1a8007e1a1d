/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controld/runtime/redact.h"

#define IN(name)     .offset = offsetof(struct cp_config_runtime, name)
#define RULE(name)   .offset = offsetof(struct cp_config_runtime_rule, name)
#define MATCH(name)  .offset = offsetof(struct cp_config_runtime_match, name)
#define BUDGET(name) .offset = offsetof(struct cp_config_runtime_budget, name)
#define OUTPUT(name) .offset = offsetof(struct cp_config_runtime_output, name)

enum { MS_TO_NS = 1000000, TERMS_MAX = 4096 };

/* One list of a rule. */
struct list {
	struct cp_runtime_rules *rules;
	uint64_t (*find)(const char *cgroup);
};

typedef int (*put_fn)(const struct list *list, const char *text,
		      struct sn_diag *diag);

static int put_event(const struct list *list, const char *text,
		     struct sn_diag *diag)
{
	return cp_runtime_rules_put_event(list->rules, text, diag);
}

static int put_path(const struct list *list, const char *text,
		    struct sn_diag *diag)
{
	return cp_runtime_rules_put_path(list->rules, SN_RT_FIELD_PATH, text,
					 diag);
}

static int put_executable(const struct list *list, const char *text,
			  struct sn_diag *diag)
{
	return cp_runtime_rules_put_path(list->rules, SN_RT_FIELD_EXE_PATH,
					 text, diag);
}

static int put_comm(const struct list *list, const char *text,
		    struct sn_diag *diag)
{
	return cp_runtime_rules_put_comm(list->rules, text, diag);
}

static int put_uid(const struct list *list, const char *text,
		   struct sn_diag *diag)
{
	unsigned long uid;
	char *end;

	errno = 0;
	uid = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno ||
	    uid > UINT32_MAX) {
		sn_diag_set(diag, NULL, "'%.64s' is no number of a user", text);
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	return cp_runtime_rules_put_uid(list->rules, (uint32_t)uid);
}

static int put_cgroup(const struct list *list, const char *text,
		      struct sn_diag *diag)
{
	return cp_runtime_rules_put_cgroup(
		list->rules, list->find ? list->find(text) : 0, text, diag);
}

static int put_result(const struct list *list, const char *text,
		      struct sn_diag *diag)
{
	bool failed = strcmp(text, "failed") == 0;

	if (failed || strcmp(text, "ok") == 0)
		return cp_runtime_rules_put_result(list->rules, failed);
	sn_diag_set(diag, NULL, "'%.64s' is neither 'ok' nor 'failed'", text);
	return CP_RUNTIME_RULES_E_REFUSED;
}

static int put_all(const struct list *list, const char *field,
		   const struct cp_config_schema_strings *texts, put_fn put,
		   struct sn_diag *diag)
{
	for (size_t i = 0; i < texts->n_items; i++) {
		struct sn_diag inner = { .text = "" };
		int r = put(list, texts->items[i], &inner);

		if (r == 0)
			continue;
		sn_diag_set(diag, field, "%s",
			    inner.text[0] ? inner.text : "are too many");
		diag->line = texts->lines[i];
		return r;
	}
	return 0;
}

int cp_config_runtime_add_rule(struct cp_runtime_rules *rules,
			       const struct cp_config_runtime_rule *rule,
			       uint64_t (*find)(const char *cgroup),
			       struct sn_diag *diag)
{
	const struct list list = { rules, find };
	const struct cp_config_runtime_match *match = &rule->match;
	const struct {
		const char *field;
		const struct cp_config_schema_strings *texts;
		put_fn put;
	} lists[] = {
		{ "events", &rule->events, put_event },
		{ "match.path_prefixes", &match->path_prefixes, put_path },
		{ "match.comms", &match->comms, put_comm },
		{ "match.executables", &match->executables, put_executable },
		{ "match.uids", &match->uids, put_uid },
		{ "match.cgroups", &match->cgroups, put_cgroup },
		{ "match.results", &match->results, put_result },
	};
	int r = cp_runtime_rules_add(rules, rule->name, diag);

	for (size_t i = 0; r == 0 && i < SN_ARRAY_SIZE(lists); i++)
		r = put_all(&list, lists[i].field, lists[i].texts, lists[i].put,
			    diag);
	return r;
}

int cp_config_runtime_check_rule(const void *field, struct sn_diag *diag)
{
	const struct cp_config_runtime_rule *rule = field;
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		NULL;
	int r;

	if (rule->events.n_items == 0) {
		sn_diag_set(diag, "events", "names no event");
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	r = cp_runtime_rules_new(&rules);
	if (r == 0)
		r = cp_config_runtime_add_rule(rules, rule, NULL, diag);
	return r > 0 ? CP_CONFIG_SCHEMA_E_REFUSED : r;
}

int cp_config_runtime_check(const void *field, struct sn_diag *diag)
{
	const struct cp_config_runtime *runtime = field;
	const struct cp_config_runtime_rule *all = runtime->rules.items;
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		NULL;
	int r = cp_runtime_rules_new(&rules);

	for (size_t i = 0; r == 0 && i < runtime->rules.n_items; i++)
		r = cp_config_runtime_add_rule(rules, &all[i], NULL, diag);
	if (r == CP_RUNTIME_RULES_E_FULL)
		sn_diag_set(diag, "rules", "have more than %d values",
			    CP_RUNTIME_RULES_TERMS_MAX);
	return r > 0 ? CP_CONFIG_SCHEMA_E_REFUSED : r;
}

static int check_redact(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *texts = field;
	sn_cleanup(cp_runtime_redact_freep) struct cp_runtime_redact *redact =
		NULL;
	int r = cp_runtime_redact_new(&redact);

	for (size_t i = 0; r == 0 && i < texts->n_items; i++) {
		diag->line = texts->lines[i];
		r = cp_runtime_redact_add(redact, texts->items[i], diag);
	}
	return r > 0 ? CP_CONFIG_SCHEMA_E_REFUSED : r;
}

/* A list that somebody, or what made the file, left empty is one of which no
 * value can fit, and not one that says nothing. */
static int check_values(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *texts = field;

	if (texts->n_items > 0)
		return 0;
	sn_diag_set(diag, NULL,
		    "is empty: name a value, or leave it out for any");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

int cp_config_runtime_check_match(const void *field, struct sn_diag *diag)
{
	const struct cp_config_runtime_match *match = field;

	if (match->path_prefixes.n_items || match->comms.n_items ||
	    match->executables.n_items || match->uids.n_items ||
	    match->cgroups.n_items || match->results.n_items)
		return 0;
	sn_diag_set(diag, NULL,
		    "is empty: state a condition, or leave it out for none");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

const struct cp_config_schema_item cp_config_runtime_match_items[] = {
	{
		.key = "path_prefixes",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		MATCH(path_prefixes),
		.max = TERMS_MAX,
		.reloadable = true,
		.check = check_values,
		.description = "Paths as the process sees them, and what is "
			       "below; for two paths either.",
	},
	{
		.key = "comms",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		MATCH(comms),
		.max = TERMS_MAX,
		.reloadable = true,
		.check = check_values,
		.description = "Names of processes, which they choose.",
	},
	{
		.key = "executables",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		MATCH(executables),
		.max = TERMS_MAX,
		.reloadable = true,
		.check = check_values,
		.description = "Paths of the executed file, and what is below.",
	},
	{
		.key = "uids",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		MATCH(uids),
		.max = TERMS_MAX,
		.reloadable = true,
		.check = check_values,
		.description = "Numbers of users, of the host.",
	},
	{
		.key = "cgroups",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		MATCH(cgroups),
		.max = TERMS_MAX,
		.reloadable = true,
		.check = check_values,
		.description = "Paths of cgroups from the root of the "
			       "hierarchy on, of at most 15 parts, and what "
			       "is below.",
	},
	{
		.key = "results",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		MATCH(results),
		.max = 2,
		.reloadable = true,
		.check = check_values,
		.description = "ok or failed.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item rule_items[] = {
	{
		.key = "name",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		RULE(name),
		.required = true,
		.min = 1,
		.max = CP_RUNTIME_RULES_NAME_BYTES - 1,
		.reloadable = true,
		.description = "What events say of the rule that they match.",
	},
	{
		.key = "enabled",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		RULE(enabled),
		.fallback = "true",
		.reloadable = true,
		.description = "Is it in force?",
	},
	{
		.key = "events",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		RULE(events),
		.required = true,
		.min = 1,
		.max = SN_RT_EVENT_COUNT,
		.reloadable = true,
		.description =
			"What is to be told (file_open, process_exec and "
			"so on).",
	},
	{
		.key = "match",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		RULE(match),
		.items = cp_config_runtime_match_items,
		.reloadable = true,
		.check = cp_config_runtime_check_match,
		.description = "All that is stated has to fit, of each list "
			       "one.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item budget_items[] = {
	{
		.key = "rate",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		BUDGET(rate),
		.max = 1000000,
		.fallback = "5000",
		.reloadable = true,
		.description = "Events each second; 0: no bound.",
	},
	{
		.key = "burst",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		BUDGET(burst),
		.min = 1,
		.max = 1000000,
		.fallback = "10000",
		.reloadable = true,
		.description = "Events at once after a pause.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item output_items[] = {
	{
		.key = "path",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		OUTPUT(path),
		.max = CP_CONFIG_SCHEMA_MAX_STRING,
		.fallback = "",
		.description =
			"File that gets one line of JSON for each event; "
			"empty: none.",
	},
	{
		.key = "max_size",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		OUTPUT(max_bytes),
		.min = 64 << 10,
		.max = 64ULL << 30,
		.fallback = "64MiB",
		.description = "Size at which another file is begun.",
	},
	{
		.key = "files",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		OUTPUT(files),
		.min = 1,
		.max = CP_CONFIG_RUNTIME_FILES_MAX,
		.fallback = "5",
		.description = "Files that are kept, the one that is written "
			       "included.",
	},
	{
		.key = "journal",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		OUTPUT(journal),
		.fallback = "false",
		.reloadable = true,
		.description = "A line (info) for each event, 100 a second at "
			       "most.",
	},
	{ .key = NULL },
};

const struct cp_config_schema_item cp_config_runtime_items[] = {
	{
		.key = "enabled",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(enabled),
		.fallback = "false",
		.reloadable = true,
		.description = "May anything be told? sentinel-dp must run "
			       "with --runtime as well.",
	},
	{
		.key = "window",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		IN(window_ms),
		.unit_ns = MS_TO_NS,
		.min = 200,
		.max = 60000,
		.fallback = "1s",
		.reloadable = true,
		.description = "How long reads and writes of one file by one "
			       "process are summed.",
	},
	{
		.key = "memory",
		.type = CP_CONFIG_SCHEMA_TYPE_SIZE,
		IN(memory_bytes),
		.min = 64 << 10,
		.max = 1 << 30,
		.fallback = "16MiB",
		.description = "Memory for the last events, which slow readers "
			       "have time to fetch.",
	},
	{
		.key = "budget",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		IN(budget),
		.items = budget_items,
		.description = "What one user in one cgroup may cause; what is "
			       "over it is counted and told.",
	},
	{
		.key = "arguments",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		IN(arguments),
		.fallback = "false",
		.reloadable = true,
		.description = "Tell the arguments of executed programs.",
	},
	{
		.key = "redact",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		IN(redact),
		.max = CP_RUNTIME_REDACT_PATTERNS_MAX,
		.reloadable = true,
		.check = check_redact,
		.description = "Extended regular expressions; what they match "
			       "in arguments, blanks between them, is "
			       "replaced.",
	},
	{
		.key = "output",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		IN(output),
		.items = output_items,
		.description = "Where events go besides to readers of the API.",
	},
	{
		.key = "rules",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		IN(rules),
		.max = SN_RT_RULES_MAX / 2,
		.items = rule_items,
		.element_size = sizeof(struct cp_config_runtime_rule),
		.reloadable = true,
		.check = cp_config_runtime_check_rule,
		.description = "Which events are wanted; without one there are "
			       "none.",
	},
	{ .key = NULL },
};
