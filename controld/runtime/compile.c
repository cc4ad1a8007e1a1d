/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const struct cp_runtime_row *x = a;
	const struct cp_runtime_row *y = b;

	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static void set(struct cp_runtime_compiled *compiled, size_t rule,
		uint8_t field, const uint64_t value[2])
{
	struct cp_runtime_row *row = &compiled->rows[compiled->n_rows++];

	row->key.field = field;
	row->key.any = value ? 0 : 1;
	if (value)
		(void)memcpy(row->key.value, value, sizeof(row->key.value));
	row->bits.words[rule / 64] |= 1ULL << rule % 64;
}

static void measure(struct sn_rt_settings *settings,
		    const struct cp_runtime_term *term)
{
	settings->fields |= 1U << term->field;
	if (term->field == SN_RT_FIELD_PATH)
		settings->path_bytes = SN_MAX(settings->path_bytes,
					      (uint32_t)term->path_bytes);
	if (term->field == SN_RT_FIELD_EXE_PATH)
		settings->exe_bytes =
			SN_MAX(settings->exe_bytes, (uint32_t)term->path_bytes);
}

static void merge(struct cp_runtime_compiled *compiled)
{
	size_t n = 0;

	qsort(compiled->rows, compiled->n_rows, sizeof(*compiled->rows),
	      compare);
	for (size_t i = 0; i < compiled->n_rows; i++) {
		if (n == 0 ||
		    compare(&compiled->rows[n - 1], &compiled->rows[i]) != 0) {
			compiled->rows[n++] = compiled->rows[i];
			continue;
		}
		for (size_t j = 0; j < SN_RT_WORDS; j++)
			compiled->rows[n - 1].bits.words[j] |=
				compiled->rows[i].bits.words[j];
	}
	compiled->n_rows = n;
}

int cp_runtime_compile_init(struct cp_runtime_compiled *compiled,
			    const struct cp_runtime_rules *rules)
{
	size_t n = cp_runtime_rules_count(rules);
	size_t n_most = n * SN_RT_FIELD_COUNT;

	(void)memset(compiled, 0, sizeof(*compiled));
	for (size_t i = 0; i < n; i++) {
		const struct cp_runtime_rule *rule =
			cp_runtime_rules_get(rules, i);

		n_most += rule->n_terms;
		for (size_t j = 0; j < rule->n_terms; j++)
			measure(&compiled->settings, &rule->terms[j]);
	}
	compiled->settings.n_words = (uint32_t)SN_MAX((n + 63) / 64, 1U);
	compiled->rows = calloc(n_most + 1, sizeof(*compiled->rows));
	if (!compiled->rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct cp_runtime_rule *rule =
			cp_runtime_rules_get(rules, i);
		uint32_t open = compiled->settings.fields & ~rule->fields &
				~(1U << SN_RT_FIELD_EVENT);

		for (size_t j = 0; j < rule->n_terms; j++)
			set(compiled, i, rule->terms[j].field,
			    rule->terms[j].value);
		for (uint8_t field = 0; field < SN_RT_FIELD_COUNT; field++) {
			if (open & 1U << field)
				set(compiled, i, field, NULL);
		}
	}
	merge(compiled);
	return 0;
}

void cp_runtime_compile_done(struct cp_runtime_compiled *compiled)
{
	free(compiled->rows);
	(void)memset(compiled, 0, sizeof(*compiled));
}
