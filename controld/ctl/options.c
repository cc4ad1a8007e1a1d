// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "controld/config/nearest.h"
#include "controld/config/units.h"
#include "controld/rpc/json.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "shared/util.h"

enum {
	FIRST_VALUE = 256, /* of long options: no letter */
	ENUM_TEXT_BYTES = 32,
};

static const struct cp_ctl_options_row rows[CP_CTL_OPTION_COUNT] = {
	[CP_CTL_OPTION_HELP] = { "help", 'h', NULL, "show help", NULL },
	[CP_CTL_OPTION_OUTPUT] = { "output", 'o', "FORM",
				   "table, json or yaml (table)",
				   .values = "table json yaml" },
	[CP_CTL_OPTION_SOCKET] = { "socket", 0, "PATH",
				   "API socket (SENTINEL_SOCKET)", NULL },
	[CP_CTL_OPTION_VERSION] = { "version", 'V', NULL, "show the version",
				    NULL },
	[CP_CTL_OPTION_ALLOW] = { "allow", 0, "DEST[:PORTS]",
				  "NAME, *.NAME, address or prefix; may be "
				  "repeated",
				  NULL },
	[CP_CTL_OPTION_AUDIT] = { "audit", 0, NULL,
				  "count what would be blocked, but pass it",
				  NULL },
	[CP_CTL_OPTION_BLOCKED] = { "blocked", 0, NULL,
				    "not what audit let pass", NULL },
	[CP_CTL_OPTION_CGROUP] = { "cgroup", 0, "PATH",
				   "directory in the cgroup2 hierarchy", NULL },
	[CP_CTL_OPTION_COMM] = { "comm", 0, "NAME",
				 "of processes of that name; may be repeated",
				 NULL },
	[CP_CTL_OPTION_CONFIG] = { "config", 0, "FILE",
				   "configuration of sentinel-cp", NULL },
	[CP_CTL_OPTION_COUNT_OF] = { "count", 0, "N",
				     "end after N samples, as text", NULL },
	[CP_CTL_OPTION_DRY_RUN] = { "dry-run", 0, NULL,
				    "check and compare, change nothing", NULL },
	[CP_CTL_OPTION_EVENT] = { "event", 0, "EVENT",
				  "file_open, process_exec, ...; may be "
				  "repeated",
				  NULL },
	[CP_CTL_OPTION_FOLLOW] = { "follow", 'f', NULL,
				   "go on with what is yet to come", NULL },
	[CP_CTL_OPTION_ID] = { "id", 0, "ID", "of one attachment only", NULL },
	[CP_CTL_OPTION_INTERFACE] = { "interface", 0, "IF", "network interface",
				      NULL },
	[CP_CTL_OPTION_INTERVAL] = { "interval", 0, "DURATION",
				     "between samples (2s)", NULL },
	[CP_CTL_OPTION_META] = { "meta", 0, "KEY=VALUE",
				 "note kept with the attachment; may be "
				 "repeated",
				 NULL },
	[CP_CTL_OPTION_MODE] = { "mode", 0, "MODE",
				 "allowlist, denylist, block-all or disabled",
				 .values =
					 "allowlist denylist block-all disabled" },
	[CP_CTL_OPTION_PATH] = { "path", 0, "PATH",
				 "of that file or folder, and below; may be "
				 "repeated",
				 NULL },
	[CP_CTL_OPTION_PIDS_LIMIT] = { "pids-limit", 0, "N",
				       "processes and threads at a time, or "
				       "max (4096)",
				       NULL },
	[CP_CTL_OPTION_POLICY] = { "policy", 0, "FILE",
				   "first policy; without it everything is "
				   "closed",
				   NULL },
	[CP_CTL_OPTION_PORTS] = { "ports", 0, "LIST",
				  "443/tcp,8000-8100/udp,53,icmp,proto/47",
				  NULL },
	[CP_CTL_OPTION_RESUME] = { "resume", 0, "CURSOR",
				   "behind the event that has it (-o json)",
				   NULL },
	[CP_CTL_OPTION_ROLE] = { "role", 0, "ROLE",
				 "workload or host (by kind of interface)",
				 .values = "workload host" },
	[CP_CTL_OPTION_RULE] = { "rule", 0, "RULE",
				 "of that detection rule; may be repeated",
				 NULL },
	[CP_CTL_OPTION_SEVERITY] = { "severity", 0, "SEVERITY",
				     "debug to critical; what is less is left out",
				     .values = "debug info notice warning "
					       "error critical" },
	[CP_CTL_OPTION_SINCE] = { "since", 0, "DURATION",
				  "of that time only (60s, 10m, 2h)", NULL },
	[CP_CTL_OPTION_SORT] = { "sort", 0, "KEY",
				 "blocked, allowed, dns or target",
				 .values = "blocked allowed dns target" },
	[CP_CTL_OPTION_SUBDOMAINS] = { "subdomains", 0, NULL,
				       "also every name below it", NULL },
	[CP_CTL_OPTION_TTL] = { "ttl", 0, "DURATION",
				"life of the rule (60s, 5m, 2h, 1d)", NULL },
	[CP_CTL_OPTION_TTL_FLOOR] = { "ttl-floor", 0, "DURATION",
				      "least life of what a name opens", NULL },
	[CP_CTL_OPTION_UID] = { "uid", 0, "UID",
				"of that user, by number; may be repeated",
				NULL },
	[CP_CTL_OPTION_USER] = { "user", 0, "USER",
				 "run the command as this user, for good",
				 NULL },
	[CP_CTL_OPTION_WILDCARD] = { "wildcard", 0, "DOMAIN",
				     "one rule for all names below it; may be "
				     "repeated",
				     NULL },
};

const struct cp_ctl_options_row *cp_ctl_options_get(enum cp_ctl_option option)
{
	return &rows[option];
}

const char *cp_ctl_options_name(enum cp_ctl_option option)
{
	return rows[option].name;
}

void cp_ctl_options_print(FILE *out, uint64_t mask)
{
	for (unsigned int i = 0; i < CP_CTL_OPTION_COUNT; i++) {
		char left[40];
		int n = 0;

		if (!(mask & (1ULL << i)))
			continue;
		if (rows[i].letter)
			n = snprintf(left, sizeof(left), "-%c, ",
				     rows[i].letter);
		(void)snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s",
			       rows[i].name, rows[i].argument ? " " : "",
			       rows[i].argument ? rows[i].argument : "");
		(void)fprintf(out, "  %-24s  %s\n", left, rows[i].text);
	}
}

static int refuse(FILE *errors, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(FILE *errors, const char *format, ...)
{
	va_list args;

	(void)fputs("sentinelctl: ", errors);
	va_start(args, format);
	(void)vfprintf(errors, format, args);
	va_end(args);
	(void)fputc('\n', errors);
	return CP_CTL_OPTIONS_E_USAGE;
}

/* The value of an enum whose short name is text, or 0. */
static int enum_value(const ProtobufCEnumDescriptor *type, const char *text)
{
	char name[ENUM_TEXT_BYTES];

	for (unsigned int i = 0; i < type->n_values; i++) {
		int value = type->values[i].value;

		if (value != 0 &&
		    cp_rpc_json_enum_name(type, value, name, sizeof(name)) &&
		    strcmp(name, text) == 0)
			return value;
	}
	return 0;
}

bool cp_ctl_options_parse_mode(const char *text, Sentinel__V1__Mode *ret)
{
	int value = enum_value(&sentinel__v1__mode__descriptor, text);

	if (value == 0)
		return false;
	*ret = (Sentinel__V1__Mode)value;
	return true;
}

bool cp_ctl_options_parse_dns_mode(const char *text, Sentinel__V1__DnsMode *ret)
{
	int value = enum_value(&sentinel__v1__dns_mode__descriptor, text);

	if (value == 0 && strcmp(text, "auto") != 0)
		return false;
	*ret = (Sentinel__V1__DnsMode)value;
	return true;
}

static int split_ports(struct cp_ctl_options *options, char *list, FILE *errors)
{
	char *part;

	while ((part = strsep(&list, ","))) {
		if (options->n_ports == CP_CTL_OPTIONS_PORTS_MAX)
			return refuse(errors, "there are too many ports");
		options->ports[options->n_ports++] = part;
	}
	return 0;
}

static int put_meta(struct cp_ctl_options *options, char *pair, FILE *errors)
{
	const char *equals = strchr(pair, '=');

	if (!equals || equals == pair)
		return refuse(errors, "--meta '%s' is not KEY=VALUE", pair);
	if (options->n_meta == CP_CTL_OPTIONS_META_MAX)
		return refuse(errors, "--meta is given more than %d times",
			      CP_CTL_OPTIONS_META_MAX);
	for (size_t i = 0; i < options->n_meta; i++) {
		size_t n = (size_t)(equals - pair) + 1;

		if (strncmp(options->meta[i], pair, n) == 0)
			return refuse(errors, "--meta %.*s is given twice",
				      (int)n - 1, pair);
	}
	options->meta[options->n_meta++] = pair;
	return 0;
}

static int put_count(struct cp_ctl_options *options, const char *text,
		     FILE *errors)
{
	char *end;

	errno = 0;
	options->count = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || !options->count)
		return refuse(errors, "--count '%s' is no number from 1 up",
			      text);
	return 0;
}

static int put_pids_limit(struct cp_ctl_options *options, const char *text,
			  FILE *errors)
{
	char *end;

	options->pids_limit = 0;
	if (strcmp(text, "max") == 0)
		return 0;
	errno = 0;
	options->pids_limit = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' ||
	    !options->pids_limit ||
	    options->pids_limit > CP_CTL_OPTIONS_PIDS_MAX)
		return refuse(errors,
			      "--pids-limit '%s' is neither 'max' nor a number "
			      "from 1 to %d",
			      text, CP_CTL_OPTIONS_PIDS_MAX);
	return 0;
}

static int put_allow(struct cp_ctl_options *options, char *text, FILE *errors)
{
	if (options->n_allow == CP_CTL_OPTIONS_ALLOW_MAX)
		return refuse(errors,
			      "--allow is given more than %d times; write a "
			      "policy file (--policy)",
			      CP_CTL_OPTIONS_ALLOW_MAX);
	options->allow[options->n_allow++] = text;
	return 0;
}

static int put_wildcard(struct cp_ctl_options *options, const char *text,
			FILE *errors)
{
	if (options->n_wildcards == CP_CTL_OPTIONS_WILDCARDS_MAX)
		return refuse(errors, "--wildcard is given more than %d times",
			      CP_CTL_OPTIONS_WILDCARDS_MAX);
	options->wildcards[options->n_wildcards++] = text;
	return 0;
}

static int put_seconds(enum cp_ctl_option option, const char *text,
		       struct cp_ctl_options *options, FILE *errors)
{
	uint64_t ns = 0;

	if (cp_config_units_parse_duration(text, &ns) != 0 || ns == 0 ||
	    ns % SN_NS_PER_S != 0)
		return refuse(errors,
			      "--%s '%s' is not a duration in whole seconds "
			      "such as 60s, 5m or 2h",
			      rows[option].name, text);
	if (option == CP_CTL_OPTION_TTL)
		options->ttl_s = ns / SN_NS_PER_S;
	else if (option == CP_CTL_OPTION_INTERVAL)
		options->interval_s = ns / SN_NS_PER_S;
	else if (option == CP_CTL_OPTION_SINCE)
		options->since_s = ns / SN_NS_PER_S;
	else
		options->ttl_floor_s = ns / SN_NS_PER_S;
	return 0;
}

static int put_words(struct cp_ctl_options *options, enum cp_ctl_option option,
		     const char *text, FILE *errors)
{
	if (option == CP_CTL_OPTION_MODE) {
		if (cp_ctl_options_parse_mode(text, &options->mode))
			return 0;
	} else if (option == CP_CTL_OPTION_ROLE) {
		options->role = (uint32_t)enum_value(
			&sentinel__v1__role__descriptor, text);
		if (options->role)
			return 0;
	} else if (option == CP_CTL_OPTION_SEVERITY) {
		options->severity = (uint32_t)enum_value(
			&sentinel__v1__severity__descriptor, text);
		if (options->severity)
			return 0;
	} else {
		options->yaml = strcmp(text, "yaml") == 0;
		options->json = options->yaml || strcmp(text, "json") == 0;
		if (options->json || strcmp(text, "table") == 0)
			return 0;
	}
	return refuse(errors, "--%s '%s' is none of: %s", rows[option].name,
		      text,
		      option == CP_CTL_OPTION_OUTPUT   ? "table, json, yaml" :
		      option == CP_CTL_OPTION_ROLE     ? "workload, host" :
		      option == CP_CTL_OPTION_SEVERITY ? rows[option].values :
							 rows[option].text);
}

static bool has(const struct cp_ctl_options *options, enum cp_ctl_option option)
{
	return options->given & (1ULL << option);
}

/* Where a text is kept as it is; NULL: it is something else. */
static const char **text_of(struct cp_ctl_options *options,
			    enum cp_ctl_option option)
{
	if (option == CP_CTL_OPTION_SOCKET)
		return &options->socket;
	if (option == CP_CTL_OPTION_CGROUP)
		return &options->cgroup_path;
	if (option == CP_CTL_OPTION_INTERFACE)
		return &options->interface_name;
	if (option == CP_CTL_OPTION_POLICY)
		return &options->policy_path;
	if (option == CP_CTL_OPTION_USER)
		return &options->user;
	if (option == CP_CTL_OPTION_SORT)
		return &options->sort;
	if (option == CP_CTL_OPTION_RESUME)
		return &options->resume;
	if (option == CP_CTL_OPTION_CONFIG)
		return &options->config;
	if (option == CP_CTL_OPTION_ID)
		return &options->id;
	return NULL;
}

/* Where the texts of an option that may be repeated are kept; NULL: it is another
 * one. */
static struct cp_ctl_options_texts *texts_of(struct cp_ctl_options *options,
					     enum cp_ctl_option option)
{
	if (option == CP_CTL_OPTION_EVENT)
		return &options->events;
	if (option == CP_CTL_OPTION_PATH)
		return &options->paths;
	if (option == CP_CTL_OPTION_COMM)
		return &options->comms;
	if (option == CP_CTL_OPTION_UID)
		return &options->uids;
	if (option == CP_CTL_OPTION_RULE)
		return &options->rules;
	return NULL;
}

static int put_text(struct cp_ctl_options *options, enum cp_ctl_option option,
		    char *text, FILE *errors)
{
	struct cp_ctl_options_texts *texts = texts_of(options, option);
	unsigned long uid;
	char *end;

	if (texts->n == CP_CTL_OPTIONS_TEXTS_MAX)
		return refuse(errors, "--%s is given more than %d times",
			      rows[option].name, CP_CTL_OPTIONS_TEXTS_MAX);
	errno = 0;
	uid = strtoul(text, &end, 10);
	if (option == CP_CTL_OPTION_UID &&
	    (errno || *end || *text < '0' || *text > '9' || uid > UINT32_MAX))
		return refuse(errors, "--uid '%s' is no number of a user",
			      text);
	texts->at[texts->n++] = text;
	return 0;
}

static bool may_be_repeated(enum cp_ctl_option option)
{
	static const uint64_t repeated =
		CP_CTL_OPTION_BIT(META) | CP_CTL_OPTION_BIT(PORTS) |
		CP_CTL_OPTION_BIT(ALLOW) | CP_CTL_OPTION_BIT(WILDCARD) |
		CP_CTL_OPTION_BIT(EVENT) | CP_CTL_OPTION_BIT(PATH) |
		CP_CTL_OPTION_BIT(COMM) | CP_CTL_OPTION_BIT(UID) |
		CP_CTL_OPTION_BIT(RULE);

	return repeated & (1ULL << option);
}

/* What may be given several times. */
static int put_repeated(struct cp_ctl_options *options,
			enum cp_ctl_option option, char *text, FILE *errors)
{
	if (option == CP_CTL_OPTION_ALLOW)
		return put_allow(options, text, errors);
	if (option == CP_CTL_OPTION_WILDCARD)
		return put_wildcard(options, text, errors);
	if (option == CP_CTL_OPTION_META)
		return put_meta(options, text, errors);
	if (texts_of(options, option))
		return put_text(options, option, text, errors);
	return split_ports(options, text, errors);
}

static int put(struct cp_ctl_options *options, enum cp_ctl_option option,
	       char *text, FILE *errors)
{
	const char **kept = text_of(options, option);

	if (has(options, option) && !may_be_repeated(option))
		return refuse(errors, "--%s is given twice", rows[option].name);
	options->given |= 1ULL << option;
	options->audit = has(options, CP_CTL_OPTION_AUDIT);
	options->dry_run = has(options, CP_CTL_OPTION_DRY_RUN);
	options->subdomains = has(options, CP_CTL_OPTION_SUBDOMAINS);
	if (kept) {
		*kept = text;
		return 0;
	}
	if (option == CP_CTL_OPTION_OUTPUT || option == CP_CTL_OPTION_MODE ||
	    option == CP_CTL_OPTION_ROLE || option == CP_CTL_OPTION_SEVERITY)
		return put_words(options, option, text, errors);
	if (option == CP_CTL_OPTION_COUNT_OF)
		return put_count(options, text, errors);
	if (option == CP_CTL_OPTION_PIDS_LIMIT)
		return put_pids_limit(options, text, errors);
	if (may_be_repeated(option))
		return put_repeated(options, option, text, errors);
	if (option == CP_CTL_OPTION_TTL || option == CP_CTL_OPTION_TTL_FLOOR ||
	    option == CP_CTL_OPTION_SINCE || option == CP_CTL_OPTION_INTERVAL)
		return put_seconds(option, text, options, errors);
	return 0;
}

static int refuse_unknown(const char *text, FILE *errors)
{
	const char *best = NULL;

	if (strncmp(text, "--", 2) != 0)
		return refuse(errors, "there is no option '%s'", text);
	for (unsigned int i = 0; i < CP_CTL_OPTION_COUNT; i++)
		cp_config_nearest_offer(text + 2, rows[i].name, &best);
	if (best)
		return refuse(errors,
			      "there is no option '%s'; did you mean '--%s'?",
			      text, best);
	return refuse(errors, "there is no option '%s'", text);
}

static int read_next(int argc, char **argv, const struct option *table,
		     struct cp_ctl_options *options, FILE *errors, bool *end)
{
	int at = optind ? optind : 1;
	int value = getopt_long(argc, argv, ":fho:V", table, NULL);

	*end = value < 0;
	if (*end)
		return 0;
	if (value == ':')
		return refuse(errors, "'%s' needs a value", argv[optind - 1]);
	if (value == '?') {
		char letter[] = { '-', (char)optopt, '\0' };

		if (optopt > 0 && optopt < FIRST_VALUE)
			return refuse_unknown(letter, errors);
		if (optopt >= FIRST_VALUE)
			return refuse(errors, "--%s takes no value",
				      rows[optopt - FIRST_VALUE].name);
		return refuse_unknown(argv[SN_MAX(at, optind - 1)], errors);
	}
	if (value >= FIRST_VALUE)
		return put(options, (enum cp_ctl_option)(value - FIRST_VALUE),
			   optarg, errors);
	for (unsigned int i = 0; i < CP_CTL_OPTION_COUNT; i++) {
		if (rows[i].letter == value)
			return put(options, (enum cp_ctl_option)i, optarg,
				   errors);
	}
	return 0;
}

int cp_ctl_options_parse(int argc, char **argv, const char *environment_socket,
			 struct cp_ctl_options *ret, FILE *errors)
{
	struct option table[CP_CTL_OPTION_COUNT + 1] = { { .name = NULL } };
	struct cp_ctl_options options = {
		.socket = environment_socket && *environment_socket ?
				  environment_socket :
				  CP_CTL_OPTIONS_SOCKET,
		.pids_limit = CP_CTL_OPTIONS_PIDS_LIMIT,
	};
	bool end = false;
	int r;

	for (int i = 0; i < CP_CTL_OPTION_COUNT; i++)
		table[i] = (struct option){
			.name = rows[i].name,
			.has_arg = rows[i].argument ? required_argument :
						      no_argument,
			.val = FIRST_VALUE + i,
		};
	optind = 0; /* begins anew, whoever parsed before */
	opterr = 0;
	while (!end) {
		r = read_next(argc, argv, table, &options, errors, &end);
		if (r)
			return r;
	}
	options.args = argv + optind;
	options.n_args = (size_t)(argc - optind);
	*ret = options;
	return 0;
}
