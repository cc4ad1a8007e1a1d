/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/options.h"

#include <arpa/inet.h>
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
	DNS_DEVICES,
	DNS_RANGE4,
	DNS_RANGE6,
	DNS_LOOPBACK6,
	DNS_PORT,
	DNS_RATE,
	RUNTIME,
	RUNTIME_WAY,
	RUNTIME_COMPAT,
	TRACEFS,
	VERSION,
	HELP,
	CAPACITY = 512, /* + enum sn_table_capacity */
};

enum { DIRECTORY_BYTES_MAX = 80 }; /* a socket's path has 108 */
enum { PREFIX_BYTES = INET6_ADDRSTRLEN + 4 };
enum { DNS_RATE_MAX = 1000000 };
enum { RT_GENERATIONS = 8 };

/* 198.18.0.0/15 is for benchmarks of devices (RFC 2544); the others are unique
 * local addresses (RFC 4193). */
#define DNS_DEVICES_PRESET   "sentinel0,sentinel1"
#define DNS_RANGE4_PRESET    "198.18.0.0/15"
#define DNS_RANGE6_PRESET    "fd53:6e74:6c64:1::/64"
#define DNS_LOOPBACK6_PRESET "fd53:6e74:6c64:2::/64"
#define DNS_PORT_PRESET	     "20053"
#define DNS_RATE_PRESET	     "1000"

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
	[SN_TABLE_CAPACITY_DNS_NAT] = { 1U << 16, 16, 1U << 22 },
	[SN_TABLE_CAPACITY_EVENTS_BYTES] = { 1U << 20, 1U << 16, 1U << 28 },
	[SN_TABLE_CAPACITY_RT_MATCH] = { 1U << 15, 16, 1U << 20 },
	[SN_TABLE_CAPACITY_RT_SUMS] = { 1U << 14, 16, 1U << 20 },
	[SN_TABLE_CAPACITY_RT_SUBJECTS] = { 1U << 12, 16, 1U << 20 },
	[SN_TABLE_CAPACITY_RT_RING_BYTES] = { 1U << 23, 1U << 16, 1U << 30 },
};

static const struct option longs[] = {
	{ "run-dir", required_argument, NULL, RUN_DIR },
	{ "bpffs", required_argument, NULL, BPFFS },
	{ "peer-user", required_argument, NULL, PEER_USER },
	{ "allow-host-role", no_argument, NULL, ALLOW_HOST_ROLE },
	{ "log-level", required_argument, NULL, LOG_LEVEL },
	{ "tc", required_argument, NULL, TC },
	{ "dns-devices", required_argument, NULL, DNS_DEVICES },
	{ "dns-range4", required_argument, NULL, DNS_RANGE4 },
	{ "dns-range6", required_argument, NULL, DNS_RANGE6 },
	{ "dns-loopback6", required_argument, NULL, DNS_LOOPBACK6 },
	{ "dns-port", required_argument, NULL, DNS_PORT },
	{ "dns-rate", required_argument, NULL, DNS_RATE },
	{ "runtime", no_argument, NULL, RUNTIME },
	{ "runtime-way", required_argument, NULL, RUNTIME_WAY },
	{ "runtime-compat", no_argument, NULL, RUNTIME_COMPAT },
	{ "tracefs", required_argument, NULL, TRACEFS },
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
	{ "dns-nat", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_DNS_NAT },
	{ "events-bytes", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_EVENTS_BYTES },
	{ "runtime-match", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_RT_MATCH },
	{ "runtime-sums", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_RT_SUMS },
	{ "runtime-subjects", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_RT_SUBJECTS },
	{ "runtime-ring-bytes", required_argument, NULL,
	  CAPACITY + SN_TABLE_CAPACITY_RT_RING_BYTES },
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
	if ((which == SN_TABLE_CAPACITY_EVENTS_BYTES ||
	     which == SN_TABLE_CAPACITY_RT_RING_BYTES) &&
	    (number & (number - 1)))
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

static int parse_way(bool *ret, struct sn_diag *diag)
{
	*ret = strcmp(optarg, "best") == 0;
	return *ret || strcmp(optarg, "tracepoint") == 0 ?
		       0 :
		       refuse(diag, "runtime-way",
			      "neither best nor tracepoint");
}

static int parse_devices(struct dp_options *options, const char *text,
			 struct sn_diag *diag)
{
	const char *comma = strchr(text, ',');
	size_t first = comma ? (size_t)(comma - text) : 0;
	size_t second = comma ? strlen(comma + 1) : 0;

	if (!first || !second || first >= IF_NAMESIZE ||
	    second >= IF_NAMESIZE || strchr(comma + 1, ','))
		return refuse(diag, "dns-devices",
			      "not two interface names with a comma between");
	(void)snprintf(options->dns_devices[0], IF_NAMESIZE, "%.*s", (int)first,
		       text);
	(void)snprintf(options->dns_devices[1], IF_NAMESIZE, "%s", comma + 1);
	return 0;
}

/* "ADDRESS/BITS" without bits beyond the prefix. */
static int parse_prefix(int family, const char *text, uint8_t *address,
			unsigned int low, unsigned int high, uint8_t *bits)
{
	size_t bytes = family == AF_INET ? 4 : 16;
	char copy[PREFIX_BYTES];
	unsigned int length = 0;
	char *slash;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	(void)memcpy(copy, text, strlen(text) + 1);
	slash = strchr(copy, '/');
	if (!slash || !slash[1] || strlen(slash) > 3)
		return -EINVAL;
	*slash = '\0';
	for (const char *c = slash + 1; *c; c++) {
		if (*c < '0' || *c > '9')
			return -EINVAL;
		length = 10 * length + (unsigned int)(*c - '0');
	}
	if (length < low || length > high ||
	    inet_pton(family, copy, address) != 1)
		return -EINVAL;
	for (size_t bit = length; bit < 8 * bytes; bit++) {
		if (address[bit / 8] & (0x80U >> (bit % 8)))
			return -EINVAL;
	}
	*bits = (uint8_t)length;
	return 0;
}

static int parse_range4(struct dp_options *options, const char *text,
			struct sn_diag *diag)
{
	if (parse_prefix(AF_INET, text, options->dns_range4, 15, 23,
			 &options->dns_range4_bits) < 0)
		return refuse(diag, "dns-range4",
			      "not an IPv4 network of 15 to 23 bits");
	return 0;
}

static int parse_range6(uint8_t address[16], const char *text,
			const char *option, struct sn_diag *diag)
{
	uint8_t bits;

	if (parse_prefix(AF_INET6, text, address, 64, 64, &bits) < 0)
		return refuse(diag, option, "not an IPv6 network of 64 bits");
	return 0;
}

/* The listeners of the cgroup path have the next port. */
static int parse_port(struct dp_options *options, const char *text,
		      struct sn_diag *diag)
{
	unsigned long port;
	char *end = NULL;

	errno = 0;
	port = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || port < 1024 ||
	    port >= UINT16_MAX)
		return refuse(diag, "dns-port", "not a port of 1024 to 65534");
	options->dns_port_tc = htons((uint16_t)port);
	options->dns_port_cgroup = htons((uint16_t)(port + 1));
	return 0;
}

static int parse_rate(struct dp_options *options, const char *text,
		      struct sn_diag *diag)
{
	unsigned long rate;
	char *end = NULL;

	errno = 0;
	rate = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || rate > DNS_RATE_MAX)
		return refuse(diag, "dns-rate", "not a number up to 1000000");
	options->dns_rate = (uint32_t)rate;
	return 0;
}

static int parse_dns(struct dp_options *options, int c, const char *option,
		     struct sn_diag *diag)
{
	switch (c) {
	case DNS_DEVICES:
		return parse_devices(options, optarg, diag);
	case DNS_RANGE4:
		return parse_range4(options, optarg, diag);
	case DNS_RANGE6:
		return parse_range6(options->dns_range6, optarg, option, diag);
	case DNS_LOOPBACK6:
		return parse_range6(options->dns_loopback6, optarg, option,
				    diag);
	case DNS_PORT:
		return parse_port(options, optarg, diag);
	default: /* DNS_RATE */
		return parse_rate(options, optarg, diag);
	}
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
	case RUNTIME:
		options->runtime = true;
		return 0;
	case RUNTIME_WAY:
		return parse_way(&options->runtime_fexit, diag);
	case RUNTIME_COMPAT:
		options->runtime_compat = true;
		return 0;
	case TRACEFS:
		return parse_directory(&options->tracefs, option, diag);
	case TC:
		return parse_tc(&options->tc, diag);
	case VERSION:
		options->show_version = true;
		return 0;
	case HELP:
		options->show_help = true;
		return 0;
	default:
		return c < CAPACITY ?
			       parse_dns(options, c, option, diag) :
			       parse_capacity(options, (size_t)(c - CAPACITY),
					      option, diag);
	}
}

static int preset(struct dp_options *options, struct sn_diag *diag)
{
	int r;

	(void)memset(options, 0, sizeof(*options));
	options->run_dir = "/run/sentinel";
	options->bpffs = "/sys/fs/bpf/sentinel";
	options->peer_user = "sentinel";
	options->tracefs = "/sys/kernel/tracing";
	options->log_level = SN_LOG_INFO;
	options->runtime_fexit = true;
	for (size_t i = 0; i < SN_TABLE_CAPACITY_COUNT; i++)
		options->capacity[i] = capacities[i].preset;
	r = parse_devices(options, DNS_DEVICES_PRESET, diag);
	if (r >= 0)
		r = parse_range4(options, DNS_RANGE4_PRESET, diag);
	if (r >= 0)
		r = parse_range6(options->dns_range6, DNS_RANGE6_PRESET,
				 "dns-range6", diag);
	if (r >= 0)
		r = parse_range6(options->dns_loopback6, DNS_LOOPBACK6_PRESET,
				 "dns-loopback6", diag);
	if (r >= 0)
		r = parse_port(options, DNS_PORT_PRESET, diag);
	if (r >= 0)
		r = parse_rate(options, DNS_RATE_PRESET, diag);
	return r;
}

/* One address cannot be both a slot's on the wire and its loopback one. */
static int check(const struct dp_options *options, struct sn_diag *diag)
{
	if (memcmp(options->dns_range6, options->dns_loopback6, 8) == 0)
		return refuse(diag, "dns-loopback6",
			      "the same as --dns-range6");
	return 0;
}

int dp_options_parse(struct dp_options *options, int argc, char **argv,
		     struct sn_diag *diag)
{
	int at, c;

	if (preset(options, diag) < 0)
		return -EINVAL;
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
	return check(options, diag);
}

uint32_t dp_options_get_capacity(const struct dp_options *options,
				 enum sn_table_capacity capacity,
				 uint32_t n_cpus)
{
	switch (capacity) {
	case SN_TABLE_CAPACITY_NONE:
		return 0;
	case SN_TABLE_CAPACITY_ONE:
		return 1;
	case SN_TABLE_CAPACITY_SLOTS2:
		return 2 * options->capacity[SN_TABLE_CAPACITY_SLOTS];
	case SN_TABLE_CAPACITY_SLOT_CPUS:
		return options->capacity[SN_TABLE_CAPACITY_SLOTS] * n_cpus;
	case SN_TABLE_CAPACITY_RT_EVENT_CPUS:
		return (uint32_t)SN_RT_EVENT_SLOTS * n_cpus;
	case SN_TABLE_CAPACITY_RT_GENERATIONS:
		return RT_GENERATIONS;
	case SN_TABLE_CAPACITY_SLOTS:
	case SN_TABLE_CAPACITY_RULES:
	case SN_TABLE_CAPACITY_PREFIXES:
	case SN_TABLE_CAPACITY_FLOWS:
	case SN_TABLE_CAPACITY_FLOWS_NEW:
	case SN_TABLE_CAPACITY_FRAGMENTS:
	case SN_TABLE_CAPACITY_DENIED:
	case SN_TABLE_CAPACITY_DNS_NAT:
	case SN_TABLE_CAPACITY_EVENTS_BYTES:
	case SN_TABLE_CAPACITY_RT_MATCH:
	case SN_TABLE_CAPACITY_RT_SUMS:
	case SN_TABLE_CAPACITY_RT_SUBJECTS:
	case SN_TABLE_CAPACITY_RT_RING_BYTES:
	case SN_TABLE_CAPACITY_COUNT:
		break;
	}
	return options->capacity[capacity];
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
		"  --dns-devices A,B   veth pair that steers port 53 (" DNS_DEVICES_PRESET
		")\n"
		"  --dns-range4 NET    addresses of its slots (" DNS_RANGE4_PRESET
		")\n"
		"  --dns-range6 NET    the same (" DNS_RANGE6_PRESET ")\n"
		"  --dns-loopback6 NET addresses of cgroups' resolvers (" DNS_LOOPBACK6_PRESET
		")\n"
		"  --dns-port N        listeners have N and N + 1 (" DNS_PORT_PRESET
		")\n"
		"  --dns-rate N        queries a second of an attachment with"
		" too many unanswered,\n"
		"                      0: all of them (" DNS_RATE_PRESET ")\n"
		"  --runtime           load the programs of runtime events\n"
		"  --runtime-way best|tracepoint  on functions of the kernel"
		" too, or not (best)\n"
		"  --runtime-compat    see 32-bit calls, too; this costs"
		" every system call\n"
		"  --tracefs DIR       for them (/sys/kernel/tracing)\n"
		"  --log-level LEVEL   error, warning, info, debug or trace\n"
		"  --version, --help");
	for (const struct option *o = longs; o->name; o++) {
		if (o->val < CAPACITY)
			continue;
		(void)printf("  --%-18s N  capacity (%u)\n", o->name,
			     capacities[o->val - CAPACITY].preset);
	}
}
