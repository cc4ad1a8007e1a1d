// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/commands.h"

#include <ctype.h>
#include <string.h>

#include "controld/config/nearest.h"
#include "controld/ctl/apply.h"
#include "controld/ctl/attachments.h"
#include "controld/ctl/change.h"
#include "controld/ctl/completion.h"
#include "controld/ctl/diff.h"
#include "controld/ctl/doctor/doctor.h"
#include "controld/ctl/events.h"
#include "controld/ctl/explain.h"
#include "controld/ctl/findings.h"
#include "controld/ctl/learn.h"
#include "controld/ctl/rules.h"
#include "controld/ctl/run/run.h"
#include "controld/ctl/status.h"
#include "controld/ctl/top/top.h"
#include "controld/ctl/trace.h"
#include "shared/version.h"

#define BIT(name) CP_CTL_OPTION_BIT(name)

static const struct cp_ctl_command commands[] = {
	{
		.name = "status",
		.summary = "show the daemons, tables, features and warnings",
		.text = "Exits with 1 if sentinel-dp is not connected.",
		.example = "status",
		.run = cp_ctl_status_show,
	},
	{
		.name = "doctor",
		.summary = "look at everything that Sentinel needs",
		.text = "Each thing is ok, warn or fail, with what to do. Works "
			"when nothing runs. Exits with\n1 if something fails.",
		.example = "doctor",
		.options = BIT(CONFIG),
		.run = cp_ctl_doctor_run,
	},
	{
		.name = "features",
		.summary = "show what works on this host, and why not",
		.text = "Each feature is full, partial or unsupported, as probed "
			"by sentinel-dp; so is\neach kind of runtime event.",
		.example = "features",
		.run = cp_ctl_status_features,
	},
	{
		.name = "list",
		.summary = "list the attachments",
		.example = "list -o json",
		.run = cp_ctl_attachments_list,
	},
	{
		.name = "top",
		.summary = "watch rates, and what was blocked last",
		.text = "Allowed and blocked packets, bytes and names a second. "
			"On a terminal: q quits, p\npauses, s sorts, / filters, "
			"arrows scroll. Else one table for each interval.",
		.example = "top --sort dns",
		.options = BIT(COUNT_OF) | BIT(INTERVAL) | BIT(SORT),
		.run = cp_ctl_top_run,
	},
	{
		.name = "show",
		.arguments = "ID",
		.summary = "show one attachment with its counters",
		.example = "show 3f9c01",
		.n_arguments = 1,
		.run = cp_ctl_attachments_show,
	},
	{
		.name = "run",
		.arguments = "[OPTIONS] -- COMMAND [ARGUMENT]...",
		.summary = "run a command under a policy of its own",
		.text = "In a cgroup and with a resolver of its own; nothing is "
			"open but what --allow and\n--policy say, loopback "
			"addresses neither. What was allowed and blocked is "
			"told at\nthe end on standard error. Exits as the "
			"command does; processes that it leaves\nbehind are "
			"killed. More than --pids-limit are refused where the "
			"pids controller is\non for its cgroup; elsewhere a "
			"command that has more is killed. A command that\nruns "
			"as root, or as the user to whom the cgroup is "
			"delegated, can leave it; with\n--user it cannot.",
		.example = "run --allow '*.npmjs.org:443' -- npm install",
		.n_arguments = 1,
		.has_command = true,
		.options = BIT(ALLOW) | BIT(POLICY) | BIT(AUDIT) |
			   BIT(PIDS_LIMIT) | BIT(USER),
		.run = cp_ctl_run_command,
	},
	{
		.name = "attach",
		.arguments = "--interface IF | --cgroup PATH",
		.summary = "put an interface or cgroup under a policy",
		.text = "Prints the id. From that moment on everything is "
			"dropped until the policy is\nin force; without "
			"--policy everything stays closed. --mode and --audit "
			"come\nbefore what the file says.",
		.example = "attach --interface veth7 --policy agent.yaml "
			   "--meta job=42",
		.options = BIT(INTERFACE) | BIT(CGROUP) | BIT(ROLE) |
			   BIT(MODE) | BIT(AUDIT) | BIT(META) | BIT(POLICY),
		.run = cp_ctl_attachments_attach,
	},
	{
		.name = "detach",
		.arguments = "ID",
		.summary = "end an attachment; its traffic is no longer judged",
		.example = "detach 3f9c01",
		.n_arguments = 1,
		.run = cp_ctl_attachments_detach,
	},
	{
		.name = "apply",
		.arguments = "ID FILE",
		.summary = "replace the whole policy by that of a file",
		.text = "The new policy is in force as a whole or not at all.",
		.example = "apply 3f9c01 agent.yaml --dry-run",
		.n_arguments = 2,
		.options = BIT(DRY_RUN),
		.run = cp_ctl_apply_file,
	},
	{
		.name = "mode",
		.arguments = "ID MODE",
		.summary = "set what happens to what no rule decides",
		.text = "MODE is allowlist, denylist, block-all or disabled. "
			"Without --audit, audit ends.",
		.example = "mode 3f9c01 allowlist --audit",
		.n_arguments = 2,
		.options = BIT(AUDIT),
		.run = cp_ctl_change_mode,
	},
	{
		.name = "dns-mode",
		.arguments = "ID MODE",
		.summary = "set what happens to names that no rule decides",
		.text = "MODE is allowlist, denylist, disabled, proxy, or auto: "
			"as the mode for addresses.",
		.example = "dns-mode 3f9c01 denylist",
		.n_arguments = 2,
		.run = cp_ctl_change_dns_mode,
	},
	{
		.name = "rules",
		.arguments =
			"ID | list | reload | check FILE | test FILE EVENTS",
		.summary = "list the rules in force, or detection rules",
		.text = "'list' shows the detection rules of sentinel-cp and "
			"what they hit, 'reload' has it\nread their file again "
			"and ends when the kernel has them.\n"
			"Without a daemon: 'check' says whether FILE has "
			"detection rules as sentinel-cp\ntakes them, and where "
			"not; 'test' judges EVENTS by them, a file with lines as\n"
			"'trace -o json' prints them. A line may say with "
			"\"expected\": [RULE...] what it\nhas to hit, and nothing "
			"else: precision and recall are printed then, and the\n"
			"exit status is 1 if a line came out otherwise.",
		.example = "rules test rules.yaml events.jsonl",
		.n_arguments = 1,
		.n_more = 2,
		.words = "list reload check test",
		.run = cp_ctl_rules_run,
	},
	{
		.name = "learnt",
		.arguments = "ID",
		.summary = "list the addresses that names have opened",
		.example = "learnt 3f9c01",
		.n_arguments = 1,
		.run = cp_ctl_rules_learnt,
	},
	{
		.name = "allow",
		.arguments = "ID CIDR|NAME",
		.summary = "add a rule that allows a prefix, address or name",
		.text = "A rule for the same and with the same ports is "
			"replaced. --ttl is for prefixes\nand addresses, "
			"--subdomains and --ttl-floor are for names.",
		.example = "allow 3f9c01 example.com --subdomains "
			   "--ports 443/tcp",
		.n_arguments = 2,
		.options = BIT(PORTS) | BIT(SUBDOMAINS) | BIT(TTL) |
			   BIT(TTL_FLOOR),
		.run = cp_ctl_change_allow,
	},
	{
		.name = "deny",
		.arguments = "ID CIDR|NAME",
		.summary = "add a rule that denies a prefix, address or name",
		.text = "A rule for the same and with the same ports is "
			"replaced. --ports and --ttl are\nfor prefixes and "
			"addresses, --subdomains is for names.",
		.example = "deny 3f9c01 2001:db8::/32",
		.n_arguments = 2,
		.options = BIT(PORTS) | BIT(SUBDOMAINS) | BIT(TTL),
		.run = cp_ctl_change_deny,
	},
	{
		.name = "remove",
		.arguments = "ID CIDR|NAME",
		.summary = "remove the rules of exactly this prefix or name",
		.text = "With --ports only the rule for exactly these ports.",
		.example = "remove 3f9c01 example.com",
		.n_arguments = 2,
		.options = BIT(PORTS),
		.run = cp_ctl_change_remove,
	},
	{
		.name = "events",
		.summary = "show what was blocked, flows and names",
		.text = "What sentinel-cp still holds, oldest first. With -o "
			"json one object a line. What\nwas left out is told as "
			"an event of its own.",
		.example = "events -f --id 3f9c01 --blocked",
		.options = BIT(FOLLOW) | BIT(ID) | BIT(BLOCKED) | BIT(SINCE),
		.run = cp_ctl_events_show,
	},
	{
		.name = "trace",
		.summary = "show what processes do, as it happens",
		.text = "What the options say is watched for as long as this "
			"runs, whatever the\nconfiguration wants; without any "
			"the events of its rules are shown. With -o\njson one "
			"object a line. What is missing is told as a gap, and "
			"so is what is no\nlonger held behind a cursor; at the "
			"end Ctrl-C says how many there were.",
		.example = "trace --event file_open --path /etc",
		.options = BIT(EVENT) | BIT(PATH) | BIT(COMM) | BIT(UID) |
			   BIT(CGROUP) | BIT(RESUME),
		.run = cp_ctl_trace_show,
	},
	{
		.name = "findings",
		.summary = "show what detection rules and detectors found",
		.text = "What sentinel-cp still holds, oldest first, each with "
			"the processes that led to\nit. With -o json one object "
			"a line. What is missing is told as a gap.",
		.example = "findings -f --severity warning",
		.options = BIT(FOLLOW) | BIT(RULE) | BIT(SEVERITY),
		.run = cp_ctl_findings_show,
	},
	{
		.name = "explain",
		.arguments = "ID DESTINATION[:PORT][/PROTO]",
		.summary = "say what becomes of a new connection, and why",
		.text = "DESTINATION is an address or a name. For addresses "
			"the kernel's own entries are\nread back and judged; "
			"without a port for 443/tcp. With a port, a name is "
			"followed\nby the addresses that it has opened.",
		.example = "explain 3f9c01 192.0.2.10:53/udp",
		.n_arguments = 2,
		.run = cp_ctl_explain_show,
	},
	{
		.name = "learn",
		.arguments = "ID",
		.summary = "print a policy file that allows what was seen",
		.text = "The policy in force and what it blocked, or under "
			"audit would have: by name\nwhere the resolver saw "
			"it. What a rule denies stays denied. Read it, then "
			"'apply'.",
		.example = "learn 3f9c01 --since 10m >agent.yaml",
		.n_arguments = 1,
		.options = BIT(SINCE) | BIT(WILDCARD),
		.run = cp_ctl_learn_print,
	},
	{
		.name = "diff",
		.arguments = "ID FILE",
		.summary = "show what a policy would change for what was seen",
		.text = "Judged are destinations that were blocked, or under "
			"audit would have been, and\nnames that have opened "
			"addresses.",
		.example = "diff 3f9c01 agent.yaml --since 1h",
		.n_arguments = 2,
		.options = BIT(SINCE),
		.run = cp_ctl_diff_show,
	},
	{
		.name = "completion",
		.arguments = "SHELL",
		.summary = "print the completions for bash, zsh or fish",
		.example = "completion bash >"
			   "/etc/bash_completion.d/sentinelctl",
		.n_arguments = 1,
		.run = cp_ctl_completion_print,
	},
};

const struct cp_ctl_command *cp_ctl_commands_get(size_t index)
{
	return index < SN_ARRAY_SIZE(commands) ? &commands[index] : NULL;
}

static const struct cp_ctl_command *find(const char *name)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static void print_help(FILE *out)
{
	(void)fputs("Usage: sentinelctl [OPTIONS] COMMAND [ARGUMENTS]\n\n"
		    "Controls sentinel-cp through its local API.\n\n"
		    "Commands:\n",
		    out);
	for (size_t i = 0; i < SN_ARRAY_SIZE(commands); i++)
		(void)fprintf(out, "  %-10s  %s\n", commands[i].name,
			      commands[i].summary);
	(void)fputs("\nOptions of every command:\n", out);
	cp_ctl_options_print(out, CP_CTL_OPTIONS_GLOBAL);
	(void)fputs("\nAn ID may be shortened to 6 digits or more. "
		    "'sentinelctl COMMAND --help' tells\n"
		    "more. Exit status: 0 done, 1 refused or failed, 2 wrong "
		    "usage.\n",
		    out);
}

static void print_command_help(const struct cp_ctl_command *command, FILE *out)
{
	const char *arguments = command->arguments ? command->arguments : "";

	(void)fprintf(out, "Usage: sentinelctl %s%s%s%s\n\n%c%s.\n",
		      command->name, *arguments ? " " : "", arguments,
		      command->options && !command->has_command ? " [OPTIONS]" :
								  "",
		      toupper((unsigned char)command->summary[0]),
		      command->summary + 1);
	if (command->text)
		(void)fprintf(out, "%s\n", command->text);
	if (command->options) {
		(void)fputs("\nOptions:\n", out);
		cp_ctl_options_print(out, command->options);
	}
	(void)fputs("\nOptions of every command:\n", out);
	cp_ctl_options_print(out, CP_CTL_OPTIONS_GLOBAL);
	(void)fprintf(out, "\nExample:\n  sentinelctl %s\n", command->example);
}

static enum cp_ctl_exit refuse_command(const char *name, FILE *errors)
{
	const char *best = NULL;

	for (size_t i = 0; i < SN_ARRAY_SIZE(commands); i++)
		cp_config_nearest_offer(name, commands[i].name, &best);
	(void)fprintf(errors, "sentinelctl: there is no command '%s'", name);
	if (best)
		(void)fprintf(errors, "; did you mean '%s'?\n", best);
	else
		(void)fputs("; 'sentinelctl --help' lists them\n", errors);
	return CP_CTL_EXIT_USAGE;
}

/* Do arguments and options suit the command? */
static enum cp_ctl_exit check(const struct cp_ctl_command *command,
			      struct cp_ctl_session *session)
{
	size_t n = session->options.n_args;
	uint64_t foreign = session->options.given &
			   ~(command->options | CP_CTL_OPTIONS_GLOBAL);

	for (unsigned int i = 0; i < CP_CTL_OPTION_COUNT; i++) {
		if (foreign & (1ULL << i))
			return cp_ctl_session_fail(
				session, CP_CTL_EXIT_USAGE,
				"has no option --%s; see 'sentinelctl %s "
				"--help'",
				cp_ctl_options_name((enum cp_ctl_option)i),
				command->name);
	}
	if (command->has_command ?
		    n <= command->n_arguments :
		    n < command->n_arguments + 1 ||
			    n > command->n_arguments + command->n_more + 1)
		return cp_ctl_session_fail(
			session, CP_CTL_EXIT_USAGE, "usage: sentinelctl %s%s%s",
			command->name, command->arguments ? " " : "",
			command->arguments ? command->arguments : "");
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit run(const struct cp_ctl_command *command,
			    struct cp_ctl_session *session)
{
	enum cp_ctl_exit exit, flushed;

	session->name = command->name;
	exit = check(command, session);
	if (exit)
		return exit;
	exit = command->run(session);
	flushed = cp_ctl_session_flush(session);
	cp_ctl_session_done(session);
	return exit ? exit : flushed;
}

enum cp_ctl_exit cp_ctl_commands_run(int argc, char **argv, const char *socket,
				     FILE *out, FILE *errors)
{
	struct cp_ctl_session session = { .out = out, .errors = errors };
	const struct cp_ctl_options *options = &session.options;
	const struct cp_ctl_command *command;
	const char *name;

	if (cp_ctl_options_parse(argc, argv, socket, &session.options, errors))
		return CP_CTL_EXIT_USAGE;
	if (options->given & BIT(VERSION)) {
		(void)fputs("sentinelctl " SN_VERSION "\n", out);
		return CP_CTL_EXIT_OK;
	}
	name = options->n_args ? options->args[0] : NULL;
	command = name ? find(name) : NULL;
	if (name && !command)
		return refuse_command(name, errors);
	if (options->given & BIT(HELP)) {
		if (command)
			print_command_help(command, out);
		else
			print_help(out);
		return CP_CTL_EXIT_OK;
	}
	if (!command) {
		print_help(errors);
		return CP_CTL_EXIT_USAGE;
	}
	return run(command, &session);
}
