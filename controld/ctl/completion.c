// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/completion.h"

#include <string.h>

#include "controld/ctl/commands.h"

#define IDS "sentinelctl list 2>/dev/null | sed -n '2,$s/ .*//p'"

static uint64_t mask_of(const struct cp_ctl_command *command)
{
	return command->options | CP_CTL_OPTIONS_GLOBAL;
}

static bool wants_id(const struct cp_ctl_command *command)
{
	return command->arguments && strncmp(command->arguments, "ID", 2) == 0;
}

static const char *words_of(const struct cp_ctl_command *command)
{
	return command->words ? command->words : "";
}

static bool is_argument(const struct cp_ctl_options_row *row, const char *name)
{
	return row->argument && strcmp(row->argument, name) == 0;
}

/* bash */

static void print_bash_values(FILE *out)
{
	for (unsigned int i = 0; i < CP_CTL_OPTION_COUNT; i++) {
		const struct cp_ctl_options_row *row =
			cp_ctl_options_get((enum cp_ctl_option)i);

		if (!row->argument)
			continue;
		(void)fprintf(out, "\t--%s%s%c) ", row->name,
			      row->letter ? "|-" : "",
			      row->letter ? row->letter : ' ');
		if (row->values)
			(void)fprintf(out, "words='%s' ;;\n", row->values);
		else if (is_argument(row, "FILE") || is_argument(row, "PATH"))
			(void)fputs("kind=-f ;;\n", out);
		else if (is_argument(row, "USER"))
			(void)fputs("kind=-u ;;\n", out);
		else if (is_argument(row, "IF"))
			(void)fputs("words=$(ls /sys/class/net) ;;\n", out);
		else if (is_argument(row, "ID"))
			(void)fputs("words=$(" IDS ") ;;\n", out);
		else
			(void)fputs("return ;;\n", out);
	}
}

static void print_bash_commands(FILE *out)
{
	const struct cp_ctl_command *command;

	for (size_t i = 0; (command = cp_ctl_commands_get(i)); i++) {
		(void)fprintf(out, "\t%s) words='", command->name);
		for (unsigned int j = 0; j < CP_CTL_OPTION_COUNT; j++) {
			if (mask_of(command) & (1ULL << j))
				(void)fprintf(out, "--%s ",
					      cp_ctl_options_name(
						      (enum cp_ctl_option)j));
		}
		(void)fputs("'\n", out);
		if (wants_id(command))
			(void)fprintf(out,
				      "\t\t[[ $cur == -* ]] || words=\"%s "
				      "$(" IDS ")\"\n",
				      words_of(command));
		if (command->arguments && strstr(command->arguments, "FILE"))
			(void)fputs("\t\t[[ $cur == -* ]] || kind=-f\n", out);
		if (strcmp(command->name, "completion") == 0)
			(void)fputs("\t\t[[ $cur == -* ]] || words='bash zsh "
				    "fish'\n",
				    out);
		(void)fputs("\t\t;;\n", out);
	}
}

static void print_bash(FILE *out)
{
	const struct cp_ctl_command *command;

	(void)fputs(
		"# bash completion for sentinelctl\n"
		"_sentinelctl() {\n"
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} words='' kind=''\n"
		"\tlocal prev=${COMP_WORDS[COMP_CWORD-1]} command='' i\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tcase ${COMP_WORDS[i]} in\n"
		"\t\t--) # the rest is a command of its own\n"
		"\t\t\tCOMPREPLY=($(compgen -c -f -- \"$cur\")); return ;;\n"
		"\t\t-o|--output|--socket) ((i++)) ;;\n"
		"\t\t-*) ;;\n"
		"\t\t*) [[ $command ]] || command=${COMP_WORDS[i]} ;;\n"
		"\t\tesac\n"
		"\tdone\n"
		"\tcase $prev in\n",
		out);
	print_bash_values(out);
	(void)fputs("\t*) case $command in\n\t'') words='", out);
	for (size_t i = 0; (command = cp_ctl_commands_get(i)); i++)
		(void)fprintf(out, "%s ", command->name);
	(void)fputs("--help --version' ;;\n", out);
	print_bash_commands(out);
	(void)fputs("\tesac ;;\n\tesac\n"
		    "\tCOMPREPLY=($(compgen $kind -W \"$words\" -- \"$cur\"))\n"
		    "}\n"
		    "complete -o filenames -F _sentinelctl sentinelctl\n",
		    out);
}

/* zsh */

/* In single quotes, and inside of brackets. */
static void print_quoted(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			(void)fputs("'\\''", out);
		else if (strchr("[]:\\", *text))
			(void)fprintf(out, "\\%c", *text);
		else
			(void)fputc(*text, out);
	}
}

static const char *zsh_action(const struct cp_ctl_options_row *row)
{
	if (is_argument(row, "FILE") || is_argument(row, "PATH"))
		return "_files";
	if (is_argument(row, "USER"))
		return "_users";
	if (is_argument(row, "IF"))
		return "_net_interfaces";
	return is_argument(row, "ID") ? "_sentinelctl_ids" : " ";
}

static void print_zsh_option(FILE *out, const struct cp_ctl_options_row *row)
{
	(void)fprintf(out, " \\\n\t\t\t'*--%s[", row->name);
	print_quoted(out, row->text);
	(void)fputc(']', out);
	if (row->argument) {
		(void)fputc(':', out);
		print_quoted(out, row->argument);
		if (row->values)
			(void)fprintf(out, ":(%s)", row->values);
		else
			(void)fprintf(out, ":%s", zsh_action(row));
	}
	(void)fputc('\'', out);
}

static void print_zsh(FILE *out)
{
	const struct cp_ctl_command *command;

	(void)fputs("#compdef sentinelctl\n"
		    "_sentinelctl_ids() { compadd -- $(" IDS ") }\n"
		    "_sentinelctl() {\n"
		    "\tlocal -a commands=(\n",
		    out);
	for (size_t i = 0; (command = cp_ctl_commands_get(i)); i++) {
		(void)fprintf(out, "\t\t'%s:", command->name);
		print_quoted(out, command->summary);
		(void)fputs("'\n", out);
	}
	(void)fputs("\t)\n"
		    "\tif ((CURRENT == 2)); then\n"
		    "\t\t_describe command commands\n\t\treturn\n\tfi\n"
		    "\tlocal command=$words[2]\n"
		    "\tshift words; ((CURRENT--))\n"
		    "\tcase $command in\n",
		    out);
	for (size_t i = 0; (command = cp_ctl_commands_get(i)); i++) {
		(void)fprintf(out, "\t%s) _arguments", command->name);
		for (unsigned int j = 0; j < CP_CTL_OPTION_COUNT; j++) {
			if (mask_of(command) & (1ULL << j))
				print_zsh_option(out,
						 cp_ctl_options_get((
							 enum cp_ctl_option)j));
		}
		if (wants_id(command))
			(void)fprintf(out,
				      " \\\n\t\t\t'1:ID:{compadd -- %s; "
				      "_sentinelctl_ids}'",
				      words_of(command));
		if (command->has_command)
			(void)fputs(" \\\n\t\t\t'*::command:_normal'", out);
		else if (command->n_arguments + command->n_more >
			 wants_id(command))
			(void)fputs(" \\\n\t\t\t'*:argument:_files'", out);
		(void)fputs(" ;;\n", out);
	}
	(void)fputs("\tesac\n}\n_sentinelctl \"$@\"\n", out);
}

/* fish */

static void print_fish_option(FILE *out, const struct cp_ctl_command *command,
			      const struct cp_ctl_options_row *row)
{
	(void)fprintf(out,
		      "complete -c sentinelctl -n '__fish_seen_subcommand_from "
		      "%s' -l %s",
		      command->name, row->name);
	if (row->letter)
		(void)fprintf(out, " -s %c", row->letter);
	if (row->values)
		(void)fprintf(out, " -x -a '%s'", row->values);
	else if (is_argument(row, "FILE") || is_argument(row, "PATH"))
		(void)fputs(" -r -F", out);
	else if (is_argument(row, "USER"))
		(void)fputs(" -x -a '(__fish_complete_users)'", out);
	else if (is_argument(row, "ID"))
		(void)fputs(" -x -a \"(" IDS ")\"", out);
	else if (row->argument)
		(void)fputs(" -x", out);
	(void)fprintf(out, " -d '%s'\n", row->text);
}

static void print_fish(FILE *out)
{
	const struct cp_ctl_command *command;

	(void)fputs("complete -c sentinelctl -f\n", out);
	for (size_t i = 0; (command = cp_ctl_commands_get(i)); i++) {
		(void)fprintf(out,
			      "complete -c sentinelctl -n "
			      "__fish_use_subcommand -a %s -d '%s'\n",
			      command->name, command->summary);
		if (wants_id(command))
			(void)fprintf(out,
				      "complete -c sentinelctl -n "
				      "'__fish_seen_subcommand_from %s' -a "
				      "\"%s (" IDS ")\"\n",
				      command->name, words_of(command));
		for (unsigned int j = 0; j < CP_CTL_OPTION_COUNT; j++) {
			if (mask_of(command) & (1ULL << j))
				print_fish_option(
					out, command,
					cp_ctl_options_get(
						(enum cp_ctl_option)j));
		}
	}
}

enum cp_ctl_exit cp_ctl_completion_print(struct cp_ctl_session *session)
{
	static const struct {
		const char *name;
		void (*print)(FILE *out);
	} shells[] = {
		{ "bash", print_bash },
		{ "zsh", print_zsh },
		{ "fish", print_fish },
	};
	const char *name = session->options.args[1];

	for (size_t i = 0; i < SN_ARRAY_SIZE(shells); i++) {
		if (strcmp(shells[i].name, name) != 0)
			continue;
		shells[i].print(session->out);
		return CP_CTL_EXIT_OK;
	}
	return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
				   "'%s' is no shell that is known: bash, zsh "
				   "or fish",
				   name);
}
