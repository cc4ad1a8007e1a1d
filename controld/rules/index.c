/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/index.h"

#include <errno.h>
#include <stdlib.h>

#include "controld/rules/internal.h"

/* In the order of their cost. */
static const enum sn_rt_field fields[] = {
	SN_RT_FIELD_UID,      SN_RT_FIELD_COMM,	  SN_RT_FIELD_PATH,
	SN_RT_FIELD_EXE_PATH, SN_RT_FIELD_CGROUP,
};

struct field {
	struct cp_rules_set *set; /* values; NULL: no rule names any */
	__u64 *words; /* n_words for each value, by its number */
	struct sn_rt_bits any; /* rules that do not name this field */
};

struct cp_rules_index {
	size_t n_words;
	struct sn_rt_bits by_event[SN_RT_EVENT_COUNT];
	struct field fields[SN_ARRAY_SIZE(fields)];
};

struct cp_rules_index *cp_rules_index_free(struct cp_rules_index *index)
{
	for (size_t i = 0; index && i < SN_ARRAY_SIZE(fields); i++) {
		(void)cp_rules_set_free(index->fields[i].set);
		free(index->fields[i].words);
	}
	free(index);
	return NULL;
}

static const struct cp_rules_cond *
find_cond(const struct cp_rules *rules, size_t rule, enum sn_rt_field field)
{
	const struct cp_rules_compiled *compiled = &rules->rules[rule];

	return compiled->rule.enabled ?
		       cp_rules_block_find(compiled->match, &rules->env,
					   field) :
		       NULL;
}

static void set_bit(__u64 *words, size_t bit)
{
	words[bit / 64] |= 1ULL << bit % 64;
}

/* Of the values of one condition, which more rules may use. */
static void put_values(struct cp_rules_index *index, struct field *field,
		       const struct cp_rules_cond *cond,
		       const struct sn_rt_bits *users)
{
	for (size_t i = 0; i < cond->texts.n; i++) {
		size_t size;
		const void *bytes = cp_rules_cond_get_value(cond, i, &size);
		size_t number = cp_rules_set_put(field->set, bytes, size);

		for (size_t j = 0; j < index->n_words; j++)
			field->words[number * index->n_words + j] |=
				users->words[j];
	}
}

static int make_room(struct cp_rules_index *index, struct field *field,
		     size_t n)
{
	field->words = calloc(n * index->n_words, sizeof(*field->words));
	return field->words ? cp_rules_set_new(&field->set, n) : -ENOMEM;
}

static int build(struct cp_rules_index *index, const struct cp_rules *rules,
		 size_t at)
{
	const struct cp_rules_cond *conds[CP_RULES_MAX];
	struct field *field = &index->fields[at];
	size_t n = 0;

	/* All values together are CP_RULES_VALUES_MAX at most, if those of a
	 * macro are counted once. */
	for (size_t i = 0; i < rules->n; i++) {
		conds[i] = find_cond(rules, i, fields[at]);
		if (!conds[i])
			set_bit(field->any.words, i);
		else
			n = SN_MIN(n + conds[i]->texts.n,
				   (size_t)CP_RULES_VALUES_MAX);
	}
	if (n > 0 && make_room(index, field, n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < rules->n; i++) {
		const struct cp_rules_cond *cond = conds[i];
		struct sn_rt_bits users = { 0 };

		if (!cond)
			continue;
		for (size_t j = i; j < rules->n; j++) {
			if (conds[j] != cond)
				continue;
			set_bit(users.words, j);
			conds[j] = NULL;
		}
		put_values(index, field, cond, &users);
	}
	return 0;
}

int cp_rules_index_new(struct cp_rules_index **ret,
		       const struct cp_rules *rules)
{
	sn_cleanup(cp_rules_index_freep) struct cp_rules_index *index =
		calloc(1, sizeof(*index));
	int r = 0;

	if (!index)
		return -ENOMEM;
	index->n_words = (rules->n + 63) / 64;
	for (size_t i = 0; i < rules->n; i++) {
		const struct cp_rules_rule *rule = &rules->rules[i].rule;

		for (size_t j = 1; rule->enabled && j < SN_RT_EVENT_COUNT;
		     j++) {
			if (rule->events & SN_RT_EVENT_BIT(j))
				set_bit(index->by_event[j].words, i);
		}
	}
	for (size_t i = 0; r == 0 && i < SN_ARRAY_SIZE(fields); i++)
		r = build(index, rules, i);
	if (r == 0)
		*ret = sn_steal(&index);
	return r;
}

/* Finding. */

struct search {
	const struct cp_rules_index *index;
	const struct field *field;
	struct sn_rt_bits fits; /* this field */
};

static void add_value(struct search *search, uint64_t hash, const void *bytes,
		      size_t size)
{
	size_t n = search->index->n_words;
	size_t number =
		cp_rules_set_find(search->field->set, hash, bytes, size);

	for (size_t i = 0; number != CP_RULES_SET_NONE && i < n; i++)
		search->fits.words[i] |= search->field->words[number * n + i];
}

/* False: it is not known, so that every value may fit. */
static bool add_path(struct search *search, const struct cp_rules_text *text)
{
	for (size_t i = 0; i < text->n_bounds; i++)
		add_value(search, text->bounds[i].hash, text->at,
			  text->bounds[i].size);
	return text->known != CP_RULES_KNOWN_NOT;
}

static bool add_paths(struct search *search, struct cp_rules_view *view)
{
	return add_path(search,
			cp_rules_view_get(view, CP_RULES_SOURCE_FILE)) &&
	       (!view->event->target ||
		add_path(search,
			 cp_rules_view_get(view, CP_RULES_SOURCE_TARGET)));
}

static bool add(struct search *search, enum sn_rt_field field,
		struct cp_rules_view *view)
{
	const uint32_t uid = view->process->uid;
	const struct cp_rules_text *text;

	switch (field) {
	case SN_RT_FIELD_UID:
		add_value(search, cp_rules_set_hash(&uid, sizeof(uid)), &uid,
			  sizeof(uid));
		return true;
	case SN_RT_FIELD_COMM:
		text = cp_rules_view_get(view, CP_RULES_SOURCE_COMM);
		add_value(search, text->hash, text->at, text->size);
		return true;
	case SN_RT_FIELD_PATH:
		return add_paths(search, view);
	case SN_RT_FIELD_EXE_PATH:
		return add_path(search,
				cp_rules_view_get(view,
						  CP_RULES_SOURCE_EXECUTABLE));
	case SN_RT_FIELD_CGROUP:
		return add_path(search, cp_rules_view_get(
						view, CP_RULES_SOURCE_CGROUP));
	case SN_RT_FIELD_EVENT:
	case SN_RT_FIELD_RESULT:
	case SN_RT_FIELD_EXE:
	case SN_RT_FIELD_DEVINO:
	case SN_RT_FIELD_COUNT:
		break;
	}
	return false;
}

/* Does one of the rules that are left name the field? */
static bool is_named(const struct field *field, const struct sn_rt_bits *left,
		     size_t n_words)
{
	uint64_t named = 0;

	for (size_t i = 0; i < n_words; i++)
		named |= left->words[i] & ~field->any.words[i];
	return named != 0;
}

size_t cp_rules_index_find(const struct cp_rules_index *index,
			   struct cp_rules_view *view, struct sn_rt_bits *ret)
{
	const size_t n = index->n_words;
	struct search search = { .index = index };

	for (size_t i = 0; i < n; i++)
		ret->words[i] = index->by_event[view->kind].words[i];
	for (size_t i = 0; i < SN_ARRAY_SIZE(fields); i++) {
		search.field = &index->fields[i];
		if (!is_named(search.field, ret, n))
			continue;
		for (size_t j = 0; j < n; j++)
			search.fits.words[j] = search.field->any.words[j];
		if (!add(&search, fields[i], view))
			continue;
		for (size_t j = 0; j < n; j++)
			ret->words[j] &= search.fits.words[j];
	}
	return n;
}
