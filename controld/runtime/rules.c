/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/runtime.h"

struct cp_runtime_rules {
	size_t n;
	size_t n_terms;
	uint64_t events;
	struct cp_runtime_rule rules[SN_RT_RULES_MAX];
	struct sn_rt_bits by_event[SN_RT_EVENT_COUNT];
};

int cp_runtime_rules_new(struct cp_runtime_rules **ret)
{
	struct cp_runtime_rules *rules = calloc(1, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	*ret = rules;
	return 0;
}

struct cp_runtime_rules *cp_runtime_rules_free(struct cp_runtime_rules *rules)
{
	for (size_t i = 0; rules && i < rules->n; i++) {
		struct cp_runtime_rule *rule = &rules->rules[i];

		for (size_t j = 0; j < rule->n_terms; j++)
			free(rule->terms[j].path);
		free(rule->terms);
	}
	free(rules);
	return NULL;
}

size_t cp_runtime_rules_count(const struct cp_runtime_rules *rules)
{
	return rules->n;
}

const struct cp_runtime_rule *
cp_runtime_rules_get(const struct cp_runtime_rules *rules, size_t index)
{
	return &rules->rules[index];
}

uint64_t cp_runtime_rules_events(const struct cp_runtime_rules *rules)
{
	return rules->events;
}

int cp_runtime_rules_add(struct cp_runtime_rules *rules, const char *name,
			 struct sn_diag *diag)
{
	struct cp_runtime_rule *rule = &rules->rules[rules->n];
	size_t bytes = strlen(name) + 1;

	if (rules->n == SN_RT_RULES_MAX)
		return CP_RUNTIME_RULES_E_FULL;
	if (bytes == 1 || bytes > sizeof(rule->name)) {
		sn_diag_set(diag, "name", "a rule's name has 1 to %zu bytes",
			    sizeof(rule->name) - 1);
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	for (size_t i = 0; i < rules->n; i++) {
		if (strcmp(rules->rules[i].name, name) != 0)
			continue;
		sn_diag_set(diag, "name", "there are two rules '%s'", name);
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	(void)memcpy(rule->name, name, bytes);
	rules->n++;
	return 0;
}

/* path: path_bytes of it are copied; NULL: none. Terms double when their number
 * is a power of two. */
static int put(struct cp_runtime_rules *rules, struct cp_runtime_term term)
{
	struct cp_runtime_rule *rule = &rules->rules[rules->n - 1];
	struct cp_runtime_term *terms = rule->terms;

	if (rules->n_terms == CP_RUNTIME_RULES_TERMS_MAX)
		return CP_RUNTIME_RULES_E_FULL;
	if ((rule->n_terms & (rule->n_terms - 1)) == 0) {
		size_t n = rule->n_terms ? 2 * rule->n_terms : 1;

		terms = reallocarray(terms, n, sizeof(*terms));
		if (!terms)
			return -ENOMEM;
		rule->terms = terms;
	}
	if (term.path) {
		term.path = strndup(term.path, term.path_bytes);
		if (!term.path)
			return -ENOMEM;
	}
	terms[rule->n_terms++] = term;
	rule->fields |= 1U << term.field;
	rules->n_terms++;
	return 0;
}

/* Of the last rule. */
static void note_event(struct cp_runtime_rules *rules, uint64_t event)
{
	rules->events |= SN_RT_EVENT_BIT(event);
	rules->by_event[event].words[(rules->n - 1) / 64] |=
		1ULL << (rules->n - 1) % 64;
}

int cp_runtime_rules_put_rule(struct cp_runtime_rules *rules,
			      const struct cp_runtime_rule *rule)
{
	struct cp_runtime_rule *fresh = &rules->rules[rules->n];
	int r = 0;

	if (rules->n == SN_RT_RULES_MAX)
		return CP_RUNTIME_RULES_E_FULL;
	(void)memcpy(fresh->name, rule->name, sizeof(fresh->name));
	rules->n++;
	for (size_t i = 0; r == 0 && i < rule->n_terms; i++) {
		const struct cp_runtime_term *term = &rule->terms[i];

		r = put(rules, *term);
		if (r == 0 && term->field == SN_RT_FIELD_EVENT)
			note_event(rules, term->value[0]);
	}
	return r;
}

int cp_runtime_rules_put_event(struct cp_runtime_rules *rules, const char *name,
			       struct sn_diag *diag)
{
	size_t event = SN_RT_EVENT_NONE + 1;
	int r;

	while (event < SN_RT_EVENT_COUNT &&
	       strcmp(sn_runtime_events[event].name, name) != 0)
		event++;
	if (event == SN_RT_EVENT_COUNT) {
		sn_diag_set(diag, "event", "there is no event '%s'", name);
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	r = put(rules, (struct cp_runtime_term){ .field = SN_RT_FIELD_EVENT,
						 .value = { event } });
	if (r == 0)
		note_event(rules, event);
	return r;
}

int cp_runtime_rules_put_result(struct cp_runtime_rules *rules, bool failed)
{
	return put(rules, (struct cp_runtime_term){ .field = SN_RT_FIELD_RESULT,
						    .value = { failed } });
}

int cp_runtime_rules_put_uid(struct cp_runtime_rules *rules, uint32_t uid)
{
	return put(rules, (struct cp_runtime_term){ .field = SN_RT_FIELD_UID,
						    .value = { uid } });
}

int cp_runtime_rules_put_comm(struct cp_runtime_rules *rules, const char *comm,
			      struct sn_diag *diag)
{
	struct cp_runtime_term term = { .field = SN_RT_FIELD_COMM };
	size_t size = strlen(comm);

	if (size == 0 || size >= SN_COMM_BYTES) {
		sn_diag_set(diag, "comm",
			    "'%s' is no process name: it has 1 to %d bytes",
			    comm, SN_COMM_BYTES - 1);
		return CP_RUNTIME_RULES_E_REFUSED;
	}
	(void)memcpy(term.value, comm, size);
	return put(rules, term);
}

_Static_assert(SN_RT_CGROUP_LEVELS == 16, "see the text of a refusal");

static int refuse_path(struct sn_diag *diag, const char *path, const char *why)
{
	sn_diag_set(diag, "path", "a path prefix %s: '%s'", why, path);
	return CP_RUNTIME_RULES_E_REFUSED;
}

int cp_runtime_rules_check_path(const char *path, size_t *ret,
				struct sn_diag *diag)
{
	size_t size = strlen(path);
	size_t n = 0;

	if (path[0] != '/')
		return refuse_path(diag, path, "begins with a slash");
	if (path[size - 1] == '/')
		size--; /* "/" becomes "" */
	if (size >= SN_RT_PATH_MAX)
		return refuse_path(diag, path, "has less than 4096 bytes");
	for (size_t at = 0; at < size; n++) {
		const char *part = path + at + 1;
		const char *end = memchr(part, '/', size - at - 1);
		size_t part_size = end ? (size_t)(end - part) : size - at - 1;

		if (part_size == 0)
			return refuse_path(diag, path, "has no empty part");
		if (part[0] == '.' &&
		    (part_size == 1 || (part_size == 2 && part[1] == '.')))
			return refuse_path(diag, path, "has no part . or ..");
		at += 1 + part_size;
	}
	if (n >= SN_RT_DEPTH_MAX)
		return refuse_path(diag, path, "has at most 63 parts");
	*ret = size;
	return 0;
}

int cp_runtime_rules_put_path(struct cp_runtime_rules *rules,
			      enum sn_rt_field field, const char *path,
			      struct sn_diag *diag)
{
	struct cp_runtime_term term = { .field = (uint8_t)field };
	uint64_t hash = SN_RT_HASH_FIRST;
	int r = cp_runtime_rules_check_path(path, &term.path_bytes, diag);

	if (r != 0)
		return r;
	for (size_t i = 0; i < term.path_bytes; i++)
		hash = sn_rt_hash(hash, (uint8_t)path[i]);
	term.value[0] = hash;
	term.value[1] = term.path_bytes;
	term.path = (char *)(uintptr_t)path;
	return put(rules, term);
}

int cp_runtime_rules_put_file(struct cp_runtime_rules *rules,
			      enum sn_rt_field field, uint32_t major,
			      uint32_t minor, uint64_t inode)
{
	return put(rules,
		   (struct cp_runtime_term){
			   .field = (uint8_t)field,
			   .value = { SN_RT_DEV(major, minor), inode } });
}

int cp_runtime_rules_put_cgroup(struct cp_runtime_rules *rules, uint64_t id,
				const char *path, struct sn_diag *diag)
{
	struct cp_runtime_term term = { .field = SN_RT_FIELD_CGROUP,
					.value = { id },
					.path = (char *)(uintptr_t)path };
	int r = cp_runtime_rules_check_path(path, &term.path_bytes, diag);
	size_t level = 0;

	for (size_t i = 0; r == 0 && i < term.path_bytes; i++)
		level += path[i] == '/';
	if (level >= SN_RT_CGROUP_LEVELS)
		return refuse_path(diag, path,
				   "of a cgroup has at most 15 parts");
	return r == 0 ? put(rules, term) : r;
}

static bool is_below(struct cp_runtime_bytes path,
		     const struct cp_runtime_term *term)
{
	return path.size >= term->path_bytes &&
	       memcmp(path.at, term->path, term->path_bytes) == 0 &&
	       (path.size == term->path_bytes ||
		path.at[term->path_bytes] == '/');
}

static bool is_same(const uint64_t a[2], const uint64_t b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

/* What is not known fits. */
static bool may_be_below(struct cp_runtime_bytes path,
			 const struct cp_runtime_term *term)
{
	return !path.at || is_below(path, term);
}

static bool fits_path(const struct cp_runtime_term *term,
		      const struct cp_runtime_subject *subject)
{
	if (subject->has_file && may_be_below(subject->path, term))
		return true;
	return subject->has_target && may_be_below(subject->target, term);
}

static bool fits(const struct cp_runtime_term *term,
		 const struct cp_runtime_subject *subject)
{
	switch ((enum sn_rt_field)term->field) {
	case SN_RT_FIELD_EVENT:
		return term->value[0] == subject->event;
	case SN_RT_FIELD_RESULT:
		return (term->value[0] != 0) == subject->failed;
	case SN_RT_FIELD_UID:
		return term->value[0] == subject->uid;
	case SN_RT_FIELD_COMM:
		return memcmp(term->value, subject->comm, SN_COMM_BYTES) == 0;
	case SN_RT_FIELD_CGROUP:
		return term->value[0] == subject->cgroup ||
		       may_be_below(subject->cgroup_path, term);
	case SN_RT_FIELD_EXE:
		return !subject->has_exe || is_same(term->value, subject->exe);
	case SN_RT_FIELD_EXE_PATH:
		return may_be_below(subject->exe_path, term);
	case SN_RT_FIELD_DEVINO:
		return subject->has_file && is_same(term->value, subject->file);
	case SN_RT_FIELD_PATH:
		return fits_path(term, subject);
	case SN_RT_FIELD_COUNT:
		break;
	}
	return false;
}

static bool rule_matches(const struct cp_runtime_rule *rule,
			 const struct cp_runtime_subject *subject)
{
	uint32_t open = rule->fields;

	for (size_t i = 0; open && i < rule->n_terms; i++) {
		const struct cp_runtime_term *term = &rule->terms[i];

		if ((open & 1U << term->field) && fits(term, subject))
			open &= ~(1U << term->field);
	}
	return open == 0;
}

bool cp_runtime_rules_match(const struct cp_runtime_rules *rules,
			    const struct cp_runtime_subject *subject,
			    struct sn_rt_bits *ret)
{
	bool is_any = false;

	(void)memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < SN_RT_WORDS; i++) {
		uint64_t left = rules->by_event[subject->event].words[i];

		for (; left; left &= left - 1) {
			size_t bit = (size_t)__builtin_ctzll(left);

			if (!rule_matches(&rules->rules[i * 64 + bit], subject))
				continue;
			ret->words[i] |= 1ULL << bit;
			is_any = true;
		}
	}
	return is_any;
}
