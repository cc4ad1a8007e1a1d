/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

enum {
	RUN_DIR = 256,
	BPFFS,
	PEER_USER,
	ALLOW_HOST_ROLE,
	LOG_LEVEL,
	TC,
	VERSION,
	HELP,
	CAPACITY = 512, /* + enum sn_table_capacity */
};

enum { DIRECTORY_BYTES_MAX = 80 }; /* a socket's path has 108 */

/* Memory is taken at start for flows, flows-new, fragments and denied (about
 * 150 bytes each) and for each slot (about 700 bytes and 64 a CPU). */
static const struct {
	uint32_t preset;
	uint32_t low;
	uint32_t high;
} capacities[SN_TABLE_CAPACITY_COUNT] = {
	[SN_TABLE_CAPACITY_SLOTS] = { 16384, 2, 1U << 18 },
	[SN_TABLE_CAPACITY_RULES] = { 1U << 20, 16, 1U << 26 },
	[SN_TABLE_CAPACITY_PREFIXES] = { 1U << 18, 16, 1U << 24 },
	[SN_TABLE_CAPACITY_FLOWS] = { 1U << 18, 16, 1U << 26 },
	[SN_TABLE_CAPACITY_FLOWS_NEW] = { 1U << 17, 16, 1U << 26 },
	[SN_TABLE_CAPACITY_FRAGMENTS] = { 1U << 14, 16, 1U << 22 },
	[SN_TABLE_CAPACITY_DENIED] = { 1U << 16, 16, 1U << 22 },
	[SN_TABLE_CAPACITY_EVENTS_BYTES] = { 1U << 20, 1U << 16, 1U << 28 },
};

static const struct option longs[] = {
	{ "run-dir", required_argument, NULL, RUN_DIR },
	{ "bpffs", required_argument, NULL, BPFFS },
	{ "peer-user", required_argument, NULL, PEER_USER },
	{ "allow-host-role", no_argument, NULL, ALLOW_HOST_ROLE },
	{ "log-level", required_argument, NULL, LOG_LEVEL },
	{ "tc", required_argument, NULL, TC },
	{ "version", no_argument, NULL, VERSION },
	{ "help", no_argument, NULL, HELP },
	{ "slots", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_SLOTS },
	{ "rules", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_RULES },
	{ "prefixes", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_PREFIXES },
	{ "flows", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_FLOWS },
	{ "flows-new", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_FLOWS_NEW },
	{ "fragments", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_FRAGMENTS },
	{ "denied", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_DENIED },
	{ "events-bytes", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_EVENTS_BYTES },
	{ NULL, 0, NULL, 0 },
};

static int refuse(struct sn_diag *diag, const char *option, const char *text)
{
	sn_diag_set(diag, option, "--%s: %s", option, text);
	return -EINVAL;
}

static int parse_capacity(struct dp_options *options, size_t which,
			  const char *option, struct sn_diag *diag)
{
	unsigned long long number;
	char *end = NULL;

	errno = 0;
	number = strtoull(optarg, &end, 10);
	if (errno || end == optarg || *end || *optarg < '0' || *optarg > '9')
		return refuse(diag, option, "not a number");
	if (number < capacities[which].low || number > capacities[which].high) {
		sn_diag_set(diag, option, "--%s: %llu is outside %u..%u",
			    option, number, capacities[which].low,
			    capacities[which].high);
		return -EINVAL;
	}
	if (which == SN_TABLE_CAPACITY_EVENTS_BYTES && (number & (number - 1)))
		return refuse(diag, option, "not a power of two");
	options->capacity[which] = (uint32_t)number;
	return 0;
}

static int parse_directory(const char **ret, const char *option,
			   struct sn_diag *diag)
{
	if (optarg[0] != '/')
		return refuse(diag, option, "not an absolute path");
	if (strlen(optarg) > DIRECTORY_BYTES_MAX)
		return refuse(diag, option, "longer than 80 bytes");
	*ret = optarg;
	return 0;
}

static int parse_tc(enum dp_options_tc *ret, struct sn_diag *diag)
{
	static const char *const names[] = {
		[DP_OPTIONS_TC_AUTO] = "auto",
		[DP_OPTIONS_TC_TCX] = "tcx",
		[DP_OPTIONS_TC_CLSACT] = "clsact",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(names); i++) {
		if (strcmp(optarg, names[i]) == 0) {
			*ret = (enum dp_options_tc)i;
			return 0;
		}
	}
	return refuse(diag, "tc", "neither auto, tcx nor clsact");
}

static int parse_one(struct dp_options *options, int c, const char *option,
		     struct sn_diag *diag)
{
	switch (c) {
	case RUN_DIR:
		return parse_directory(&options->run_dir, option, diag);
	case BPFFS:
		return parse_directory(&options->bpffs, option, diag);
	case PEER_USER:
		options->peer_user = optarg;
		return 0;
	case ALLOW_HOST_ROLE:
		options->allow_host_role = true;
		return 0;
	case LOG_LEVEL:
		if (!sn_log_parse_level(optarg, &options->log_level))
			return refuse(diag, option, "no such level");
		return 0;
	case TC:
		return parse_tc(&options->tc, diag);
	case VERSION:
		options->show_version = true;
		return 0;
	case HELP:
		options->show_help = true;
		return 0;
	default:
		return parse_capacity(options, (size_t)(c - CAPACITY), option,
				      diag);
	}
}

int dp_options_parse(struct dp_options *options, int argc, char **argv,
		     struct sn_diag *diag)
{
	int at, c;

	(void)memset(options, 0, sizeof(*options));
	options->run_dir = "/run/sentinel";
	options->bpffs = "/sys/fs/bpf/sentinel";
	options->peer_user = "sentinel";
	options->log_level = SN_LOG_INFO;
	for (size_t i = 0; i < SN_TABLE_CAPACITY_COUNT; i++)
		options->capacity[i] = capacities[i].preset;

	opterr = 0;
	optind = 0;
	for (;;) {
		at = 0;
		c = getopt_long(argc, argv, ":", longs, &at);
		if (c < 0)
			break;
		if (c == '?' || c == ':') {
			sn_diag_set(diag, NULL, "%s: %s", argv[optind - 1],
				    c == ':' ? "a value is missing" :
					       "no such option");
			return -EINVAL;
		}
		if (parse_one(options, c, longs[at].name, diag) < 0)
			return -EINVAL;
	}
	if (optind < argc) {
		sn_diag_set(diag, NULL, "%s: no argument is expected",
			    argv[optind]);
		return -EINVAL;
	}
	return 0;
}

void dp_options_print_help(void)
{
	(void)puts(
		"Usage: sentinel-dp [OPTION]...\n"
		"Loads, pins and attaches Sentinel's BPF programs and applies"
		" what sentinel-cp decides.\n\n"
		"  --run-dir DIR       socket DIR/dp.sock (/run/sentinel)\n"
		"  --bpffs DIR         pins (/sys/fs/bpf/sentinel)\n"
		"  --peer-user NAME    user of sentinel-cp (sentinel)\n"
		"  --allow-host-role   admit every interface, and role host\n"
		"  --tc auto|tcx|clsact  how to attach to interfaces (auto)\n"
		"  --log-level LEVEL   error, warning, info, debug or trace\n"
		"  --version, --help");
	for (const struct option *o = longs; o->name; o++) {
		if (o->val < CAPACITY)
			continue;
		(void)printf("  --%-12s N    capacity (%u)\n", o->name,
			     capacities[o->val - CAPACITY].preset);
	}
}
