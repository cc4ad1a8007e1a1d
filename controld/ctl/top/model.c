// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/top/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"

struct sample {
	struct cp_ctl_top_row *rows; /* by id */
	size_t n, n_room;
	uint64_t now_ns;
};

struct cp_ctl_top_model {
	struct sample old, next; /* the one shown, the one that is made */
	const struct cp_ctl_top_row **selected;
};

static const char *const sort_names[] = {
	[CP_CTL_TOP_SORT_BLOCKED] = "blocked",
	[CP_CTL_TOP_SORT_ALLOWED] = "allowed",
	[CP_CTL_TOP_SORT_DNS] = "dns",
	[CP_CTL_TOP_SORT_TARGET] = "target",
};

int cp_ctl_top_model_new(struct cp_ctl_top_model **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct cp_ctl_top_model *cp_ctl_top_model_free(struct cp_ctl_top_model *model)
{
	if (!model)
		return NULL;
	free(model->old.rows);
	free(model->next.rows);
	free(model->selected);
	free(model);
	return NULL;
}

void cp_ctl_top_model_begin(struct cp_ctl_top_model *model, uint64_t now_ns)
{
	model->next.n = 0;
	model->next.now_ns = now_ns;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(((const struct cp_ctl_top_row *)a)->id,
		      ((const struct cp_ctl_top_row *)b)->id);
}

static struct cp_ctl_top_row *find(const struct sample *sample, const char *id)
{
	struct cp_ctl_top_row key;

	if (sample->n == 0)
		return NULL;
	(void)snprintf(key.id, sizeof(key.id), "%s", id);
	return bsearch(&key, sample->rows, sample->n, sizeof(key), compare_ids);
}

static int make_room(struct sample *sample)
{
	size_t n_room = sample->n_room ? 2 * sample->n_room : 64;
	struct cp_ctl_top_row *rows;

	if (sample->n < sample->n_room)
		return 0;
	if (sample->n >= CP_CTL_TOP_MODEL_ROWS_MAX)
		return -ENOBUFS;
	rows = reallocarray(sample->rows, n_room, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	sample->rows = rows;
	sample->n_room = n_room;
	return 0;
}

/* What came since the sample before. Counters do not go back; those that seem
 * to are of another attachment. */
static void set_rates(struct cp_ctl_top_model *model,
		      struct cp_ctl_top_row *row)
{
	const struct cp_ctl_top_row *before = find(&model->old, row->id);
	double seconds = (double)(model->next.now_ns - model->old.now_ns) /
			 (double)SN_NS_PER_S;

	if (!before || model->next.now_ns <= model->old.now_ns)
		return;
	(void)memcpy(row->last, before->last, sizeof(row->last));
	for (size_t i = 0; i < CP_CTL_TOP_RATE_COUNT; i++) {
		if (row->totals[i] > before->totals[i])
			row->rates[i] =
				(double)(row->totals[i] - before->totals[i]) /
				seconds;
	}
}

int cp_ctl_top_model_add(struct cp_ctl_top_model *model,
			 const Sentinel__V1__Attachment *one)
{
	size_t length = strlen(one->target), skipped = 0;
	char mode[CP_CTL_OUTPUT_TEXT_BYTES];
	struct cp_ctl_top_row *row;
	int r = make_room(&model->next);

	if (r < 0)
		return r;
	row = &model->next.rows[model->next.n];
	(void)memset(row, 0, sizeof(*row));
	(void)snprintf(row->id, sizeof(row->id), "%s", one->id);
	if (length >= sizeof(row->target))
		skipped = length - sizeof(row->target) + 1;
	/* Not into the midst of a character. */
	while (((unsigned char)one->target[skipped] & 0xc0) == 0x80)
		skipped++;
	(void)snprintf(row->target, sizeof(row->target), "%s",
		       one->target + skipped);
	(void)cp_ctl_table_clean(row->target);
	(void)snprintf(row->mode, sizeof(row->mode), "%s",
		       cp_ctl_output_mode(one->mode, one->audit, mode));
	row->totals[CP_CTL_TOP_RATE_ALLOWED] = one->packets_allowed;
	row->totals[CP_CTL_TOP_RATE_BLOCKED] =
		one->packets_blocked + one->calls_refused;
	row->totals[CP_CTL_TOP_RATE_BYTES] = one->bytes_allowed;
	row->totals[CP_CTL_TOP_RATE_DNS] =
		one->dns_allowed + one->dns_blocked + one->dns_failed;
	row->totals[CP_CTL_TOP_RATE_DNS_BLOCKED] = one->dns_blocked;
	set_rates(model, row);
	model->next.n++;
	return 0;
}

void cp_ctl_top_model_end(struct cp_ctl_top_model *model)
{
	struct sample old = model->old;

	model->old = model->next;
	model->next = old;
}

void cp_ctl_top_model_block(struct cp_ctl_top_model *model, const char *id,
			    const char *what)
{
	struct cp_ctl_top_row *row = find(&model->old, id);

	if (row)
		(void)snprintf(row->last, sizeof(row->last), "%s", what);
}

static int compare_rows(const void *a, const void *b, void *userdata)
{
	static const enum cp_ctl_top_rate keys[] = {
		[CP_CTL_TOP_SORT_BLOCKED] = CP_CTL_TOP_RATE_BLOCKED,
		[CP_CTL_TOP_SORT_ALLOWED] = CP_CTL_TOP_RATE_ALLOWED,
		[CP_CTL_TOP_SORT_DNS] = CP_CTL_TOP_RATE_DNS,
	};
	const struct cp_ctl_top_row *left =
		*(const struct cp_ctl_top_row *const *)a;
	const struct cp_ctl_top_row *right =
		*(const struct cp_ctl_top_row *const *)b;
	enum cp_ctl_top_sort sort = *(const enum cp_ctl_top_sort *)userdata;
	int r;

	if (sort != CP_CTL_TOP_SORT_TARGET) {
		enum cp_ctl_top_rate key = keys[sort];

		if (left->rates[key] != right->rates[key])
			return left->rates[key] < right->rates[key] ? 1 : -1;
		if (left->totals[key] != right->totals[key])
			return left->totals[key] < right->totals[key] ? 1 : -1;
	}
	r = strcmp(left->target, right->target);
	return r ? r : strcmp(left->id, right->id);
}

size_t cp_ctl_top_model_select(struct cp_ctl_top_model *model,
			       enum cp_ctl_top_sort sort, const char *filter,
			       const struct cp_ctl_top_row *const **ret)
{
	size_t n = 0;

	free(model->selected);
	model->selected = calloc(model->old.n + 1, sizeof(*model->selected));
	*ret = model->selected;
	for (size_t i = 0; model->selected && i < model->old.n; i++) {
		const struct cp_ctl_top_row *row = &model->old.rows[i];

		if (strstr(row->target, filter) || strstr(row->id, filter) ||
		    strstr(row->mode, filter) || strstr(row->last, filter))
			model->selected[n++] = row;
	}
	if (n)
		qsort_r(model->selected, n, sizeof(*model->selected),
			compare_rows, &sort);
	return n;
}

void cp_ctl_top_model_sum(const struct cp_ctl_top_model *model,
			  double rates[CP_CTL_TOP_RATE_COUNT], size_t *n_rows)
{
	(void)memset(rates, 0, sizeof(*rates) * CP_CTL_TOP_RATE_COUNT);
	for (size_t i = 0; i < model->old.n; i++) {
		for (size_t j = 0; j < CP_CTL_TOP_RATE_COUNT; j++)
			rates[j] += model->old.rows[i].rates[j];
	}
	*n_rows = model->old.n;
}

const char *cp_ctl_top_model_sort_name(enum cp_ctl_top_sort sort)
{
	return sort_names[sort];
}

bool cp_ctl_top_model_parse_sort(const char *text, enum cp_ctl_top_sort *ret)
{
	for (unsigned int i = 0; i < CP_CTL_TOP_SORT_COUNT; i++) {
		if (strcmp(sort_names[i], text) == 0) {
			*ret = (enum cp_ctl_top_sort)i;
			return true;
		}
	}
	return false;
}
