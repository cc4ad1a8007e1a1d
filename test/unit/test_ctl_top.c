// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/top/lines.h"

#include <string.h>

#include "controld/ctl/table.h"
#include "test/unit/t.h"

static char ids[3][33] = { "aaaaaaaa000000000000000000000001",
			   "bbbbbbbb000000000000000000000002",
			   "cccccccc000000000000000000000003" };
static char targets[3][64] = { "veth1", "/sys/fs/cgroup/some/very/long/job",
			       "br\033[0" };

static void add(struct cp_ctl_top_model *model, int i, uint64_t allowed,
		uint64_t blocked)
{
	Sentinel__V1__Attachment one;

	sentinel__v1__attachment__init(&one);
	one.id = ids[i];
	one.target = targets[i];
	one.mode = SENTINEL__V1__MODE__MODE_ALLOWLIST;
	one.packets_allowed = allowed;
	one.packets_blocked = blocked;
	t_eq(cp_ctl_top_model_add(model, &one), 0);
}

/* Two samples, two seconds apart. */
static struct cp_ctl_top_model *make(void)
{
	struct cp_ctl_top_model *model;

	t_eq(cp_ctl_top_model_new(&model), 0);
	cp_ctl_top_model_begin(model, SN_NS_PER_S);
	add(model, 0, 100, 5);
	add(model, 1, 0, 50);
	cp_ctl_top_model_end(model);
	cp_ctl_top_model_block(model, ids[1], "evil.test");
	cp_ctl_top_model_begin(model, 3 * SN_NS_PER_S);
	add(model, 0, 300, 5);
	add(model, 1, 0, 70);
	add(model, 2, 1000, 1000);
	cp_ctl_top_model_end(model);
	return model;
}

static void rates_are_differences_of_samples(void)
{
	sn_cleanup(cp_ctl_top_model_freep) struct cp_ctl_top_model *model =
		make();
	const struct cp_ctl_top_row *const *rows;

	t_eq(cp_ctl_top_model_select(model, CP_CTL_TOP_SORT_BLOCKED, "", &rows),
	     3);
	t_str_eq(rows[0]->id, ids[1]);
	t_true(rows[0]->rates[CP_CTL_TOP_RATE_BLOCKED] == 10);
	t_str_eq(rows[0]->last, "evil.test");
	/* A new one has no rate yet: its packets are of an unknown time. */
	t_str_eq(rows[1]->id, ids[2]);
	t_true(rows[1]->rates[CP_CTL_TOP_RATE_ALLOWED] == 0);
	t_eq(cp_ctl_top_model_select(model, CP_CTL_TOP_SORT_ALLOWED, "", &rows),
	     3);
	t_str_eq(rows[0]->id, ids[0]);
	t_true(rows[0]->rates[CP_CTL_TOP_RATE_ALLOWED] == 100);
	t_eq(cp_ctl_top_model_select(model, CP_CTL_TOP_SORT_TARGET, "long",
				     &rows),
	     1);
	t_str_eq(rows[0]->id, ids[1]);
	t_eq(cp_ctl_top_model_select(model, CP_CTL_TOP_SORT_DNS, "no such",
				     &rows),
	     0);
}

/* Of a path that is too long its end stays, and whole characters of it. */
static void long_targets_are_cut_between_characters(void)
{
	char target[2 * CP_CTL_TOP_MODEL_TARGET_BYTES] = "/sys/fs/cgroup/";
	const struct cp_ctl_top_row *const *rows;
	sn_cleanup(cp_ctl_top_model_freep) struct cp_ctl_top_model *model =
		NULL;
	Sentinel__V1__Attachment one;

	while (strlen(target) < CP_CTL_TOP_MODEL_TARGET_BYTES + 40)
		(void)strcat(target, "\xe2\x82\xac");
	sentinel__v1__attachment__init(&one);
	one.id = ids[0];
	one.target = target;
	t_eq(cp_ctl_top_model_new(&model), 0);
	for (size_t i = 0; i < 3; i++) {
		cp_ctl_top_model_begin(model, SN_NS_PER_S);
		t_eq(cp_ctl_top_model_add(model, &one), 0);
		cp_ctl_top_model_end(model);
		t_eq(cp_ctl_top_model_select(model, CP_CTL_TOP_SORT_TARGET, "",
					     &rows),
		     1);
		t_eq((uint8_t)rows[0]->target[0], 0xe2);
		t_str_eq(rows[0]->target,
			 target + strlen(target) - strlen(rows[0]->target));
		(void)strcat(target, "x");
	}
}

static void a_sample_that_has_not_ended_is_not_shown(void)
{
	sn_cleanup(cp_ctl_top_model_freep) struct cp_ctl_top_model *model =
		make();
	const struct cp_ctl_top_row *const *rows;

	cp_ctl_top_model_begin(model, 5 * SN_NS_PER_S);
	add(model, 0, 1, 1);
	t_eq(cp_ctl_top_model_select(model, CP_CTL_TOP_SORT_DNS, "", &rows), 3);
}

static void lines_fit_every_width(void)
{
	sn_cleanup(cp_ctl_top_model_freep) struct cp_ctl_top_model *model =
		make();
	const struct cp_ctl_top_row *const *rows;
	char line[CP_CTL_TOP_LINES_BYTES];
	size_t n = cp_ctl_top_model_select(model, CP_CTL_TOP_SORT_BLOCKED, "",
					   &rows);

	for (size_t width = 1; width <= 600; width++) {
		cp_ctl_top_lines_head(width, line);
		t_true(cp_ctl_table_width(line) <= width);
		cp_ctl_top_lines_sum(model, width, line);
		t_true(cp_ctl_table_width(line) <= width);
		for (size_t i = 0; i < n; i++) {
			cp_ctl_top_lines_row(rows[i], width, line);
			t_true(cp_ctl_table_width(line) <= width);
			t_false(strchr(line, '\033'));
		}
	}
	cp_ctl_top_lines_row(rows[0], 20, line);
	t_str_eq(line, "long/job     0    10");
	cp_ctl_top_lines_head(20, line);
	t_str_eq(line, "TARGET   ALLOW BLOCK");
	cp_ctl_top_lines_sum(model, 600, line);
	n = cp_ctl_table_width(line);
	for (size_t width = 10; width < n; width++) {
		cp_ctl_top_lines_sum(model, width, line);
		t_true(strcmp(line, "3 attached") == 0 ||
		       strcmp(line + strlen(line) - 2, "/s") == 0);
	}
}

static void rates_take_five_columns(void)
{
	static const struct {
		double rate;
		const char *text;
	} cases[] = { { 0, "0" },	  { 0.25, "0.2" },   { 9.94, "9.9" },
		      { 9.96, "10" },	  { 999, "999" },    { 999.6, "1.0k" },
		      { 12345, "12k" },	  { 3.4e6, "3.4M" }, { 5e9, "5.0G" },
		      { 999.6e3, "1.0M" } };
	char text[CP_CTL_TOP_LINES_RATE_BYTES];

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++)
		t_str_eq(cp_ctl_top_lines_rate(cases[i].rate, text),
			 cases[i].text);
}

T_MAIN("ctl_top", rates_are_differences_of_samples,
       a_sample_that_has_not_ended_is_not_shown,
       long_targets_are_cut_between_characters, lines_fit_every_width,
       rates_take_five_columns)
