// SPDX-License-Identifier: Apache-2.0

/* Makes a manual page of a template: a line that is only @commands@, @options@,
 * @config@, @policy@ or @rules@ is replaced by what the tables say, @help@ by the
 * options of the --help text on standard input. Runs when Sentinel is built. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/config/config.h"
#include "controld/config/schema_value.h"
#include "controld/ctl/commands.h"
#include "controld/policy/file.h"
#include "controld/rules/file.h"

enum {
	LINE_BYTES = 1024,
	NAME_BYTES = 256,
	TABLES_MAX = 16, /* of one schema */
	FIRST_COLUMN = 2, /* of an option in a help text */
};

/* Text that mdoc takes for nothing else, each sentence on a line of its own. */
static void put_text(const char *text)
{
	bool is_first = true, has_ended = false;

	for (; *text; text++) {
		bool is_blank = *text == '\n' || *text == ' ';

		if (is_blank && has_ended)
			(void)putchar('\n');
		else if (is_blank)
			(void)putchar(' ');
		else if (is_first && (*text == '.' || *text == '\''))
			(void)printf("\\&%c", *text);
		else if (*text == '\\')
			(void)fputs("\\e", stdout);
		else
			(void)putchar(*text);
		is_first = is_blank && has_ended;
		has_ended = *text == '.' || *text == '!' || *text == '?';
	}
}

static void put_line(const char *text)
{
	put_text(text);
	(void)putchar('\n');
}

static void put_option(const struct cp_ctl_options_row *row)
{
	(void)fputs(".It ", stdout);
	if (row->letter)
		(void)printf("Fl %c , ", row->letter);
	(void)printf("Fl Fl %s", row->name);
	if (row->argument) {
		(void)fputs(" Ar ", stdout);
		put_text(row->argument);
	}
	(void)putchar('\n');
	put_line(row->text);
}

static void put_options(uint64_t mask)
{
	(void)puts(".Bl -tag -width Ds");
	for (unsigned int i = 0; i < CP_CTL_OPTION_COUNT; i++) {
		if (mask & (1ULL << i))
			put_option(cp_ctl_options_get((enum cp_ctl_option)i));
	}
	(void)puts(".El");
}

static void put_commands(void)
{
	const struct cp_ctl_command *command;

	for (size_t i = 0; (command = cp_ctl_commands_get(i)); i++) {
		(void)printf(".Ss %s\n.Nm sentinelctl Cm %s", command->name,
			     command->name);
		if (command->arguments) {
			(void)fputs(" Ar ", stdout);
			put_text(command->arguments);
		}
		(void)fputs("\n.Pp\n", stdout);
		(void)printf("%c", command->summary[0] - 'a' + 'A');
		put_text(command->summary + 1);
		(void)puts(".");
		if (command->text)
			put_line(command->text);
		if (command->options)
			put_options(command->options);
		(void)fputs(".Pp\nExample:\n.Dl sentinelctl ", stdout);
		put_line(command->example);
	}
}

/* How a schema is told. */
enum {
	RELOAD = 1, /* say what takes a restart */
	ONCE = 2, /* a table that stands at several places only at the first */
};

static const char *const type_names[] = {
	[CP_CONFIG_SCHEMA_TYPE_BOOL] = "true or false",
	[CP_CONFIG_SCHEMA_TYPE_UINT] = "number",
	[CP_CONFIG_SCHEMA_TYPE_SIZE] = "size",
	[CP_CONFIG_SCHEMA_TYPE_DURATION] = "duration",
	[CP_CONFIG_SCHEMA_TYPE_ENUM] = "one of",
	[CP_CONFIG_SCHEMA_TYPE_STRING] = "text",
	[CP_CONFIG_SCHEMA_TYPE_PATH] = "absolute path",
	[CP_CONFIG_SCHEMA_TYPE_STRINGS] = "list of texts",
	[CP_CONFIG_SCHEMA_TYPE_MAPPING] = "mapping",
	[CP_CONFIG_SCHEMA_TYPE_SEQUENCE] = "list of mappings",
};

static void put_range(const struct cp_config_schema_item *item)
{
	char least[64], most[64];

	(void)cp_config_schema_value_format(item, item->min, least,
					    sizeof(least));
	(void)cp_config_schema_value_format(item, item->max, most,
					    sizeof(most));
	if (item->max)
		(void)printf(", %s to %s", least, most);
	else if (item->min)
		(void)printf(", at least %s", least);
}

static void put_values(const struct cp_config_schema_item *item)
{
	if (item->type != CP_CONFIG_SCHEMA_TYPE_ENUM) {
		put_range(item);
		return;
	}
	for (size_t i = 0; item->names[i]; i++)
		(void)printf("%s %s", i ? "," : "", item->names[i]);
}

/* Where a table was told before; NULL: nowhere, from now on at name. */
static const char *find_told(const struct cp_config_schema_item *items,
			     const char *name)
{
	static struct {
		const struct cp_config_schema_item *items;
		char name[NAME_BYTES];
	} told[TABLES_MAX];
	static size_t n;

	for (size_t i = 0; i < n; i++) {
		if (told[i].items == items)
			return told[i].name;
	}
	if (n < SN_ARRAY_SIZE(told)) {
		told[n].items = items;
		(void)snprintf(told[n++].name, NAME_BYTES, "%s", name);
	}
	return NULL;
}

static void put_items(const struct cp_config_schema_item *item,
		      const char *above, unsigned int how)
{
	for (; item->key; item++) {
		bool is_list = item->type == CP_CONFIG_SCHEMA_TYPE_SEQUENCE;
		const char *before;
		char name[NAME_BYTES];

		(void)snprintf(name, sizeof(name), "%s%s%s%s", above,
			       *above ? "." : "", item->key,
			       is_list ? "[]" : "");
		(void)printf(".It Cm %s : No %s", name, type_names[item->type]);
		put_values(item);
		(void)putchar('\n');
		put_line(item->description);
		if (item->fallback && *item->fallback) {
			(void)fputs("Default: ", stdout);
			put_text(item->fallback);
			(void)puts(".");
		}
		if (item->required)
			(void)puts("Required.");
		if (how & RELOAD && !item->reloadable &&
		    item->type != CP_CONFIG_SCHEMA_TYPE_MAPPING)
			(void)puts("Takes a restart.");
		if (!item->items)
			continue;
		before = how & ONCE ? find_told(item->items, name) : NULL;
		if (before)
			(void)printf("Keys are those of\n.Cm %s .\n", before);
		else
			put_items(item->items, name, how);
	}
}

static void put_schema(const struct cp_config_schema_item *items,
		       unsigned int how)
{
	(void)puts(".Bl -tag -width Ds");
	put_items(items, "", how);
	(void)puts(".El");
}

/* Letters of arguments: NAME, A,B, auto|tcx. */
static bool is_argument(const char *word, size_t n)
{
	return n > 0 &&
	       (memchr(word, '|', n) ||
		strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,") >= n);
}

/* "--name ARGUMENT  what it is", or "--name, --name". */
static void put_help_option(char *at)
{
	size_t n = strcspn(at, " ,");
	const char *rest = at + n;

	(void)printf(".It Fl Fl %.*s", (int)n - 2, at + 2);
	if (strncmp(rest, ", --", 4) == 0) {
		(void)printf(" , Fl Fl %s\n", rest + 4);
		return;
	}
	rest += strspn(rest, " ");
	n = strcspn(rest, " ");
	if (is_argument(rest, n)) {
		(void)printf(" Ar %.*s", (int)n, rest);
		rest += n + strspn(rest + n, " ");
	}
	(void)putchar('\n');
	if (*rest)
		put_line(rest);
}

static void put_help(void)
{
	char line[LINE_BYTES];
	bool is_begun = false;

	(void)puts(".Bl -tag -width Ds");
	while (fgets(line, sizeof(line), stdin)) {
		size_t blanks = strspn(line, " ");
		char *at = line + blanks;

		at[strcspn(at, "\n")] = '\0';
		if (blanks == FIRST_COLUMN && strncmp(at, "--", 2) == 0) {
			is_begun = true;
			put_help_option(at);
		} else if (is_begun && blanks > FIRST_COLUMN && *at) {
			put_line(at);
		}
	}
	(void)puts(".El");
}

static void put_part(const char *line)
{
	if (strcmp(line, "@commands@\n") == 0)
		put_commands();
	else if (strcmp(line, "@options@\n") == 0)
		put_options(CP_CTL_OPTIONS_GLOBAL);
	else if (strcmp(line, "@config@\n") == 0)
		put_schema(cp_config_items, RELOAD);
	else if (strcmp(line, "@policy@\n") == 0)
		put_schema(cp_policy_file_items, 0);
	else if (strcmp(line, "@rules@\n") == 0)
		put_schema(cp_rules_file_items, ONCE);
	else if (strcmp(line, "@help@\n") == 0)
		put_help();
	else
		(void)fputs(line, stdout);
}

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
	char line[LINE_BYTES];

	if (!file) {
		(void)fputs("usage: manual TEMPLATE\n", stderr);
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), file))
		put_part(line);
	(void)fclose(file);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
