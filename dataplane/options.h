/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* argv of sentinel-dp, the only text that it ever reads. */

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/diag.h"
#include "shared/log.h"
#include "shared/tables.h"

enum dp_options_tc {
	DP_OPTIONS_TC_AUTO,
	DP_OPTIONS_TC_TCX,
	DP_OPTIONS_TC_CLSACT,
};

struct dp_options {
	const char *run_dir;
	const char *bpffs;
	const char *peer_user;
	const char *tracefs; /* where it is mounted, for runtime events */
	/* Name resolution: the two ends of the veth pair, the ranges and the
	 * port of its listeners; ports are in network order. */
	char dns_devices[2][IF_NAMESIZE];
	uint8_t dns_range4[4];
	uint8_t dns_range4_bits;
	uint8_t dns_range6[16];
	uint8_t dns_loopback6[16];
	uint16_t dns_port_tc;
	uint16_t dns_port_cgroup;
	uint32_t dns_rate; /* queries a second of a slot that has too many
			    * unanswered; 0: no bound */
	/* By enum sn_table_capacity; SLOTS and the argv ones are set. */
	uint32_t capacity[SN_TABLE_CAPACITY_COUNT];
	enum dp_options_tc tc;
	enum sn_log_level log_level;
	bool allow_host_role;
	bool runtime; /* load the programs of runtime events */
	bool runtime_fexit; /* those on functions too, where that works */
	bool runtime_compat; /* those for 32-bit calls too */
	bool show_help;
	bool show_version;
};

/* Returns 0, or -EINVAL with *diag telling what is wrong. The strings are
 * argv's. */
int dp_options_parse(struct dp_options *options, int argc, char **argv,
		     struct sn_diag *diag);

/* Entries that a table of this kind has. */
uint32_t dp_options_get_capacity(const struct dp_options *options,
				 enum sn_table_capacity capacity,
				 uint32_t n_cpus);

/* Prints the usage on stdout. */
void dp_options_print_help(void);
