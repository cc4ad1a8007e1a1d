/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/options.h"

#include <arpa/inet.h>
#include <string.h>

#include "shared/util.h"
#include "test/unit/t.h"

enum { WORDS_MAX = 8 };

static int parse(struct dp_options *options, struct sn_diag *diag,
		 const char *name, const char *value)
{
	char words[WORDS_MAX][64] = { "sentinel-dp" };
	char *argv[WORDS_MAX + 1] = { words[0] };
	int argc = 1;

	if (name) {
		(void)snprintf(words[1], sizeof(words[1]), "%s", name);
		(void)snprintf(words[2], sizeof(words[2]), "%s", value);
		argv[1] = words[1];
		argv[2] = words[2];
		argc = 3;
	}
	(void)memset(diag, 0, sizeof(*diag));
	return dp_options_parse(options, argc, argv, diag);
}

static void presets_are_those_of_the_documents(void)
{
	static const uint8_t range6[16] = { 0xfd, 0x53, 0x6e, 0x74,
					    0x6c, 0x64, 0,    1 };
	struct dp_options options;
	struct sn_diag diag;

	t_eq(parse(&options, &diag, NULL, NULL), 0);
	t_str_eq(options.dns_devices[0], "sentinel0");
	t_str_eq(options.dns_devices[1], "sentinel1");
	t_eq(options.dns_range4_bits, 15);
	t_eq(memcmp(options.dns_range4, (uint8_t[]){ 198, 18, 0, 0 }, 4), 0);
	t_eq(memcmp(options.dns_range6, range6, 16), 0);
	t_eq(options.dns_loopback6[7], 2);
	t_eq(ntohs(options.dns_port_tc), 20053);
	t_eq(ntohs(options.dns_port_cgroup), 20054);
	t_eq(options.capacity[SN_TABLE_CAPACITY_DNS_NAT], 65536);
}

static void resolver_options_are_taken(void)
{
	struct dp_options options;
	struct sn_diag diag;

	t_eq(parse(&options, &diag, "--dns-devices", "a,fifteen-letters"), 0);
	t_str_eq(options.dns_devices[0], "a");
	t_str_eq(options.dns_devices[1], "fifteen-letters");
	t_eq(parse(&options, &diag, "--dns-range4", "10.2.0.0/23"), 0);
	t_eq(options.dns_range4_bits, 23);
	t_eq(options.dns_range4[1], 2);
	t_eq(parse(&options, &diag, "--dns-range6", "fd00::/64"), 0);
	t_eq(options.dns_range6[0], 0xfd);
	t_eq(parse(&options, &diag, "--dns-port", "1024"), 0);
	t_eq(parse(&options, &diag, "--dns-port", "65534"), 0);
	t_eq(ntohs(options.dns_port_cgroup), 65535);
	t_eq(options.dns_rate, 1000);
	t_eq(parse(&options, &diag, "--dns-rate", "0"), 0);
	t_eq(options.dns_rate, 0);
}

static void wrong_resolver_options_are_refused_by_name(void)
{
	static const char *const wrong[][2] = {
		{ "--dns-devices", "" },
		{ "--dns-devices", "a" },
		{ "--dns-devices", "a," },
		{ "--dns-devices", ",b" },
		{ "--dns-devices", "a,b,c" },
		{ "--dns-devices", "a,sixteen-letters-" },
		{ "--dns-range4", "10.0.0.0" },
		{ "--dns-range4", "10.0.0.0/" },
		{ "--dns-range4", "10.0.0.0/14" },
		{ "--dns-range4", "10.0.0.0/24" },
		{ "--dns-range4", "10.0.1.0/15" },
		{ "--dns-range4", "10.0.0.0/+16" },
		{ "--dns-range4", "10.0.0.0/016" },
		{ "--dns-range4", "10.0.0/16" },
		{ "--dns-range4", "fd00::/16" },
		{ "--dns-range6", "fd00::/63" },
		{ "--dns-range6", "fd00::/128" },
		{ "--dns-range6", "fd00::1/64" },
		{ "--dns-range6", "10.0.0.0/16" },
		{ "--dns-range6",
		  "0000:0000:0000:0000:0000:0000:0000:0000:0/64" },
		{ "--dns-loopback6", "fd53:6e74:6c64:1::/64" },
		{ "--dns-port", "1023" },
		{ "--dns-port", "65535" },
		{ "--dns-port", "-1" },
		{ "--dns-port", "2000x" },
		{ "--dns-port", "18446744073709551616" },
		{ "--dns-rate", "" },
		{ "--dns-rate", "-1" },
		{ "--dns-rate", "5k" },
		{ "--dns-rate", "1000001" },
		{ "--dns-nat", "15" },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(wrong); i++) {
		struct dp_options options;
		struct sn_diag diag;

		if (parse(&options, &diag, wrong[i][0], wrong[i][1]) != -EINVAL)
			t_fail("%s '%s' is taken", wrong[i][0], wrong[i][1]);
		t_str_eq(diag.field, wrong[i][0] + 2);
	}
}

static void runtime_events_are_asked_for(void)
{
	char name[] = "sentinel-dp", runtime[] = "--runtime";
	char *argv[] = { name, runtime, NULL };
	char compat[] = "--runtime-compat";
	char *compat_argv[] = { name, compat, NULL };
	struct dp_options options;
	struct sn_diag diag = { 0 };

	t_eq(parse(&options, &diag, NULL, NULL), 0);
	t_true(!options.runtime);
	t_str_eq(options.tracefs, "/sys/kernel/tracing");
	t_eq(options.capacity[SN_TABLE_CAPACITY_RT_RING_BYTES], 1 << 23);
	t_eq(dp_options_parse(&options, 2, argv, &diag), 0);
	t_true(options.runtime);
	t_eq(parse(&options, &diag, "--tracefs", "/a"), 0);
	t_str_eq(options.tracefs, "/a");
	t_eq(parse(&options, &diag, "--tracefs", "a"), -EINVAL);
	t_true(options.runtime_fexit);
	t_eq(parse(&options, &diag, "--runtime-way", "tracepoint"), 0);
	t_true(!options.runtime_fexit);
	t_eq(parse(&options, &diag, "--runtime-way", "best"), 0);
	t_true(options.runtime_fexit);
	t_eq(parse(&options, &diag, "--runtime-way", "lsm"), -EINVAL);
	t_true(!options.runtime_compat);
	t_eq(dp_options_parse(&options, 2, compat_argv, &diag), 0);
	t_true(options.runtime_compat);
	t_eq(parse(&options, &diag, "--runtime-ring-bytes", "65537"), -EINVAL);
	t_eq(parse(&options, &diag, "--runtime-ring-bytes", "65536"), 0);
	t_eq(parse(&options, &diag, "--runtime-sums", "15"), -EINVAL);
}

T_MAIN("dp_options", runtime_events_are_asked_for,
       presets_are_those_of_the_documents, resolver_options_are_taken,
       wrong_resolver_options_are_refused_by_name)
