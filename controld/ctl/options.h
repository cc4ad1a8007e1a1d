/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The command line of sentinelctl. Texts are borrowed from argv. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sentinel/v1/policy.pb-c.h"

#define CP_CTL_OPTIONS_SOCKET "/run/sentinel/api.sock"

enum {
	CP_CTL_OPTIONS_META_MAX = 64, /* as the API has it */
	CP_CTL_OPTIONS_ALLOW_MAX = 256, /* more belongs into a file */
	CP_CTL_OPTIONS_WILDCARDS_MAX = 64,
	CP_CTL_OPTIONS_TEXTS_MAX = 64,
	CP_CTL_OPTIONS_PORTS_MAX = 64, /* the API's limit is below it */
	CP_CTL_OPTIONS_PIDS_LIMIT = 4096, /* unless another is given */
	CP_CTL_OPTIONS_PIDS_MAX = 4194304, /* the kernel's PID_MAX_LIMIT */
};

/* Answers of cp_ctl_options_parse() besides 0. */
enum {
	CP_CTL_OPTIONS_E_USAGE = 1, /* told on `errors` */
};

/* In the order of the table that they index. */
enum cp_ctl_option {
	CP_CTL_OPTION_HELP,
	CP_CTL_OPTION_OUTPUT,
	CP_CTL_OPTION_SOCKET,
	CP_CTL_OPTION_VERSION,
	CP_CTL_OPTION_ALLOW,
	CP_CTL_OPTION_AUDIT,
	CP_CTL_OPTION_BLOCKED,
	CP_CTL_OPTION_CGROUP,
	CP_CTL_OPTION_COMM,
	CP_CTL_OPTION_CONFIG,
	CP_CTL_OPTION_COUNT_OF,
	CP_CTL_OPTION_DRY_RUN,
	CP_CTL_OPTION_EVENT,
	CP_CTL_OPTION_FOLLOW,
	CP_CTL_OPTION_ID,
	CP_CTL_OPTION_INTERFACE,
	CP_CTL_OPTION_INTERVAL,
	CP_CTL_OPTION_META,
	CP_CTL_OPTION_MODE,
	CP_CTL_OPTION_PATH,
	CP_CTL_OPTION_PIDS_LIMIT,
	CP_CTL_OPTION_POLICY,
	CP_CTL_OPTION_PORTS,
	CP_CTL_OPTION_RESUME,
	CP_CTL_OPTION_ROLE,
	CP_CTL_OPTION_RULE,
	CP_CTL_OPTION_SEVERITY,
	CP_CTL_OPTION_SINCE,
	CP_CTL_OPTION_SORT,
	CP_CTL_OPTION_SUBDOMAINS,
	CP_CTL_OPTION_TTL,
	CP_CTL_OPTION_TTL_FLOOR,
	CP_CTL_OPTION_UID,
	CP_CTL_OPTION_USER,
	CP_CTL_OPTION_WILDCARD,
	CP_CTL_OPTION_COUNT,
};
_Static_assert(CP_CTL_OPTION_COUNT <= 64, "masks have a bit for each");

#define CP_CTL_OPTION_BIT(name) (1ULL << CP_CTL_OPTION_##name)
#define CP_CTL_OPTIONS_GLOBAL                                  \
	(CP_CTL_OPTION_BIT(HELP) | CP_CTL_OPTION_BIT(OUTPUT) | \
	 CP_CTL_OPTION_BIT(SOCKET) | CP_CTL_OPTION_BIT(VERSION))

/* Of an option that may be repeated. */
struct cp_ctl_options_texts {
	char *at[CP_CTL_OPTIONS_TEXTS_MAX];
	size_t n;
};

struct cp_ctl_options {
	uint64_t given; /* bits of enum cp_ctl_option */
	const char *socket;
	bool json; /* for programs; as YAML with the next one */
	bool yaml;
	bool audit;
	bool dry_run;
	const char *interface_name;
	const char *cgroup_path;
	const char *policy_path;
	Sentinel__V1__Mode mode;
	uint32_t role; /* Sentinel__V1__Role */
	uint32_t severity; /* Sentinel__V1__Severity */
	bool subdomains;
	uint64_t ttl_s;
	uint64_t ttl_floor_s;
	uint64_t since_s;
	const char *wildcards[CP_CTL_OPTIONS_WILDCARDS_MAX]; /* names */
	size_t n_wildcards;
	const char *id; /* or a prefix of it */
	char *meta[CP_CTL_OPTIONS_META_MAX]; /* "key=value" */
	size_t n_meta;
	char *ports[CP_CTL_OPTIONS_PORTS_MAX];
	size_t n_ports;
	const char *user;
	uint64_t pids_limit; /* processes and threads; 0: any number */
	const char *config;
	const char *sort;
	const char *resume; /* a cursor */
	uint64_t interval_s;
	uint64_t count;
	char *allow[CP_CTL_OPTIONS_ALLOW_MAX];
	size_t n_allow;
	struct cp_ctl_options_texts events;
	struct cp_ctl_options_texts paths;
	struct cp_ctl_options_texts comms;
	struct cp_ctl_options_texts uids; /* numbers */
	struct cp_ctl_options_texts rules;
	char **args; /* the command and its arguments */
	size_t n_args;
};

/* environment_socket may be NULL; --socket comes before it. Sorts argv so
 * that arguments come last, and cuts lists of ports in it. */
int cp_ctl_options_parse(int argc, char **argv, const char *environment_socket,
			 struct cp_ctl_options *ret, FILE *errors);

/* "allowlist", ...; false if there is no such mode. */
bool cp_ctl_options_parse_mode(const char *text, Sentinel__V1__Mode *ret);

/* The same for names; "auto" is UNSPECIFIED. */
bool cp_ctl_options_parse_dns_mode(const char *text,
				   Sentinel__V1__DnsMode *ret);

/* The table's rows, for help, completions and manuals. */
struct cp_ctl_options_row {
	const char *name;
	int letter; /* 0: none */
	const char *argument; /* NULL: none */
	const char *text;
	const char *values; /* all there are, between blanks; NULL: any */
};
const struct cp_ctl_options_row *cp_ctl_options_get(enum cp_ctl_option option);

/* "ports", for messages. */
const char *cp_ctl_options_name(enum cp_ctl_option option);

/* The lines of a help text about the options in the mask. */
void cp_ctl_options_print(FILE *out, uint64_t mask);
