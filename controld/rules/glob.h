/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Patterns of paths. "*" is any bytes without a slash, "**" any bytes, "?" one
 * that is no slash, "[a-z]" and "[!a-z]" one of these and no slash, a backslash
 * takes the meaning from what follows; "**" and a slash at the start of a part
 * is also nothing. A match costs one step for each byte of the path, whatever
 * the pattern is: all places of the pattern where the path may be are bits of one
 * word. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_RULES_GLOB_BYTES_MAX = 1024,
	/* Between the plain text at the beginning and that at the end. */
	CP_RULES_GLOB_PLACES_MAX = 63,
};

/* Answers besides 0 and -ENOMEM. */
enum {
	CP_RULES_GLOB_E_REFUSED = 1, /* diag->text says why */
};

struct cp_rules_glob;

int cp_rules_glob_new(struct cp_rules_glob **ret, const char *pattern,
		      struct sn_diag *diag);
struct cp_rules_glob *cp_rules_glob_free(struct cp_rules_glob *glob);
SN_DEFINE_CLEANUP(struct cp_rules_glob, cp_rules_glob_free)

bool cp_rules_glob_match(const struct cp_rules_glob *glob, const char *bytes,
			 size_t size);

/* The longest path that is, or lies above, all that matches; "/" at least if the
 * pattern is of absolute paths. */
const char *cp_rules_glob_get_above(const struct cp_rules_glob *glob);
