/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The commands of sentinelctl: one row each, from which come dispatch, checks
 * of arguments and options, and every help text. */

#include <stdio.h>

#include "controld/ctl/session.h"

struct cp_ctl_command {
	const char *name;
	const char *arguments; /* as help shows them; empty: none */
	const char *summary; /* one line */
	const char *text; /* more, or empty */
	const char *example; /* after "sentinelctl " */
	unsigned int n_arguments; /* exactly, with n_more: at least */
	unsigned int n_more; /* arguments that may follow */
	const char *words; /* what the first argument may be, with blanks between
			    * them; NULL: anything */
	bool has_command; /* or more: a command with its own arguments */
	uint64_t options; /* bits, besides the global ones */
	enum cp_ctl_exit (*run)(struct cp_ctl_session *session);
};

/* The row at this place; NULL after the last. */
const struct cp_ctl_command *cp_ctl_commands_get(size_t index);

/* Everything between main()'s arguments and its exit status. socket: what the
 * environment says, or NULL. */
enum cp_ctl_exit cp_ctl_commands_run(int argc, char **argv, const char *socket,
				     FILE *out, FILE *errors);
