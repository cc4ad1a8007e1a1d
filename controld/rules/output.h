/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Texts with fields of an event: "{process.comm} reads {file.path}". A field is
 * named as in JSON of style PLAIN (controld/rpc/json.h) and found in the message's
 * own description when the rule is loaded; "parent" is a process too. */

#include <stddef.h>

#include "controld/rules/view.h"

struct cp_rules_output;

/* What rules say that say nothing of it. */
extern const char *const cp_rules_output_default;

/* text is used as long as the output. 0, -ENOMEM, or CP_RULES_E_REFUSED with the
 * text of *diag. */
int cp_rules_output_new(struct cp_rules_output **ret, const char *text,
			struct sn_diag *diag);
struct cp_rules_output *cp_rules_output_free(struct cp_rules_output *output);
SN_DEFINE_CLEANUP(struct cp_rules_output, cp_rules_output_free)

/* Cut to size, at the boundary of a character; what is not there is "-". */
void cp_rules_output_format(const struct cp_rules_output *output,
			    struct cp_rules_view *view, char *ret, size_t size);
