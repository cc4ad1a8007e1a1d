/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/policy/file_walk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *cp_policy_file_walk_grow(void *array, size_t n, size_t element_size)
{
	if (n > 0 && (n & (n - 1)) != 0)
		return array;
	return reallocarray(array, n ? 2 * n : 1, element_size);
}

int cp_policy_file_walk_put_line(struct cp_policy_file_walk *walk,
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

int cp_policy_file_walk_check(const struct cp_policy_file_walk_rule *rule,
			      struct sn_diag *diag)
{
	if (!rule->allow != !rule->deny)
		return 0;
	sn_diag_set(diag, NULL, "a rule has either 'allow' or 'deny'%s",
		    rule->allow ? ", not both" : "");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

const char *
cp_policy_file_walk_get_subject(const struct cp_policy_file_walk_rule *rule)
{
	return rule->allow ? rule->allow : rule->deny;
}

/* Copies a text behind a message, and moves on. */
static char *put_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = *at;

	(void)memcpy(copy, text, size);
	*at += size;
	return copy;
}

void *cp_policy_file_walk_copy(const struct cp_policy_file_walk_rule *rule,
			       size_t size, char **subject, char ***ports)
{
	const char *text = cp_policy_file_walk_get_subject(rule);
	size_t n = rule->ports.n_items;
	size_t whole = size + n * sizeof(char *) + strlen(text) + 1;
	char **copies;
	char *message, *at;

	assert(size % _Alignof(char *) == 0);
	for (size_t i = 0; i < n; i++)
		whole += strlen(rule->ports.items[i]) + 1;
	message = malloc(whole);
	if (!message)
		return NULL;

	copies = (void *)(message + size);
	at = (void *)(copies + n);
	*subject = put_text(&at, text);
	for (size_t i = 0; i < n; i++)
		copies[i] = put_text(&at, rule->ports.items[i]);
	*ports = n ? copies : NULL;
	return message;
}

void cp_policy_file_walk_find_line(const struct cp_policy_file_walk_rule *rule,
				   struct sn_diag *diag)
{
	size_t index;

	if (sscanf(diag->field, "ports[%zu]", &index) == 1 &&
	    index < rule->ports.n_items)
		diag->line = rule->ports.lines[index];
}
