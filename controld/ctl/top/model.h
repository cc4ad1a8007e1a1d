/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `top` shows: the attachments of the last two samples, their rates, and
 * what of each was blocked last. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sentinel/v1/daemon.pb-c.h"
#include "shared/util.h"

enum {
	CP_CTL_TOP_MODEL_ROWS_MAX = 65536, /* more than there are slots */
	CP_CTL_TOP_MODEL_ID_BYTES = 33,
	CP_CTL_TOP_MODEL_TARGET_BYTES = 256, /* its end */
	CP_CTL_TOP_MODEL_MODE_BYTES = 24,
	CP_CTL_TOP_MODEL_LAST_BYTES = 128,
};

enum cp_ctl_top_rate {
	CP_CTL_TOP_RATE_ALLOWED, /* packets */
	CP_CTL_TOP_RATE_BLOCKED, /* packets and calls */
	CP_CTL_TOP_RATE_BYTES, /* allowed */
	CP_CTL_TOP_RATE_DNS, /* queries */
	CP_CTL_TOP_RATE_DNS_BLOCKED,
	CP_CTL_TOP_RATE_COUNT,
};

struct cp_ctl_top_row {
	char id[CP_CTL_TOP_MODEL_ID_BYTES];
	char target[CP_CTL_TOP_MODEL_TARGET_BYTES];
	char mode[CP_CTL_TOP_MODEL_MODE_BYTES];
	char last[CP_CTL_TOP_MODEL_LAST_BYTES]; /* blocked; "": nothing yet */
	uint64_t totals[CP_CTL_TOP_RATE_COUNT];
	double rates[CP_CTL_TOP_RATE_COUNT]; /* a second */
};

enum cp_ctl_top_sort {
	CP_CTL_TOP_SORT_BLOCKED,
	CP_CTL_TOP_SORT_ALLOWED,
	CP_CTL_TOP_SORT_DNS,
	CP_CTL_TOP_SORT_TARGET,
	CP_CTL_TOP_SORT_COUNT,
};

struct cp_ctl_top_model;

int cp_ctl_top_model_new(struct cp_ctl_top_model **ret);
struct cp_ctl_top_model *cp_ctl_top_model_free(struct cp_ctl_top_model *model);
SN_DEFINE_CLEANUP(struct cp_ctl_top_model, cp_ctl_top_model_free)

/* A sample: begin, add in the order of ids, end. -ENOMEM, or -ENOBUFS when
 * there are too many; what was begun counts for nothing until it has ended. */
void cp_ctl_top_model_begin(struct cp_ctl_top_model *model, uint64_t now_ns);
int cp_ctl_top_model_add(struct cp_ctl_top_model *model,
			 const Sentinel__V1__Attachment *one);
void cp_ctl_top_model_end(struct cp_ctl_top_model *model);
/* What was blocked last of an attachment. */
void cp_ctl_top_model_block(struct cp_ctl_top_model *model, const char *id,
			    const char *what);

/* Rows whose target, id or mode has the filter in it ("" has all), in order.
 * Valid until the model changes. */
size_t cp_ctl_top_model_select(struct cp_ctl_top_model *model,
			       enum cp_ctl_top_sort sort, const char *filter,
			       const struct cp_ctl_top_row *const **ret);

/* Sums over all rows. */
void cp_ctl_top_model_sum(const struct cp_ctl_top_model *model,
			  double rates[CP_CTL_TOP_RATE_COUNT], size_t *n_rows);

/* "blocked", ...; false: there is no such order. */
const char *cp_ctl_top_model_sort_name(enum cp_ctl_top_sort sort);
bool cp_ctl_top_model_parse_sort(const char *text, enum cp_ctl_top_sort *ret);
