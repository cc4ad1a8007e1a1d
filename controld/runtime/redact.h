/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Arguments of programs, made fit to be told: what a pattern matches is
 * replaced. Patterns are extended regular expressions (regex(7)) over all
 * arguments with blanks between them, so that one can reach over an option and
 * its value. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_RUNTIME_REDACT_PATTERNS_MAX = 32,
	CP_RUNTIME_REDACT_PATTERN_BYTES = 256,
	CP_RUNTIME_REDACT_ARGUMENTS_MAX = 128, /* that are told */
};

/* Answers of cp_runtime_redact_add() besides 0. */
enum {
	CP_RUNTIME_REDACT_E_REFUSED = 1, /* *diag says why */
};

struct cp_runtime_redact;

int cp_runtime_redact_new(struct cp_runtime_redact **ret);
struct cp_runtime_redact *
cp_runtime_redact_free(struct cp_runtime_redact *redact);
SN_DEFINE_CLEANUP(struct cp_runtime_redact, cp_runtime_redact_free)

int cp_runtime_redact_add(struct cp_runtime_redact *redact, const char *pattern,
			  struct sn_diag *diag);

/* Texts of protobuf; *ret is freed by the caller as one piece. bytes: each
 * argument ends with a NUL, the last one may be cut. -ENOMEM. */
struct cp_runtime_redact_result {
	size_t n;
	char *texts[CP_RUNTIME_REDACT_ARGUMENTS_MAX];
	bool is_cut; /* there were more */
	char room[];
};
int cp_runtime_redact_apply(const struct cp_runtime_redact *redact,
			    const char *bytes, size_t size,
			    struct cp_runtime_redact_result **ret);
