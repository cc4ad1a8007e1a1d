/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the walk through a policy file gathers, shared by file.c and
 * file_dns.c; it is the userdata of the schema's callbacks. A model of the
 * policy serves to find duplicates: the id of a rule in it is the rule's index
 * in `lines` plus one, which leads to its line. */

#include <stdlib.h>
#include <string.h>

#include "controld/policy/policy.h"
#include "sentinel/v1/policy.pb-c.h"

struct cp_policy_file_walk {
	struct cp_policy *model;
	unsigned int *lines; /* of CIDR and domain rules */
	size_t n_lines;
	Sentinel__V1__Rule **rules;
	size_t n_rules;
	Sentinel__V1__DomainRule **domains;
	size_t n_domains;
};

/* Room for one element more; sizes are powers of two. NULL: no memory, the
 * array stays. */
static inline void *cp_policy_file_walk_grow(void *array, size_t n,
					     size_t element_size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n ? 2 * n : 1, element_size);
}

/* The line of the rule that was added to the model last. */
static inline int cp_policy_file_walk_put_line(struct cp_policy_file_walk *walk,
					       unsigned int line)
{
	unsigned int *lines = cp_policy_file_walk_grow(
		walk->lines, walk->n_lines, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	walk->lines = lines;
	walk->lines[walk->n_lines++] = line;
	return 0;
}

/* Copies a text behind a message, and moves on. */
static inline char *cp_policy_file_walk_put_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = *at;

	(void)memcpy(copy, text, size);
	*at += size;
	return copy;
}
