/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a rule says of protocols and ports. One spec is a port or range, with
 * a protocol that has ports or with every such protocol ("443/tcp",
 * "8000-8100/udp", "53"), or a protocol alone ("icmp", "tcp", "proto/47").
 * Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/diag.h"

enum {
	CP_POLICY_PORTS_MAX = SN_ITEMS_MAX, /* specs of one rule */
	CP_POLICY_PORTS_TEXT_BYTES = 24, /* one formatted spec */
	CP_POLICY_PORTS_LIST_BYTES =
		CP_POLICY_PORTS_MAX * CP_POLICY_PORTS_TEXT_BYTES,
};

/* Answers of the parse calls besides 0. */
enum {
	CP_POLICY_PORTS_E_REFUSED = 1, /* diag->text says why */
};

/* protocol 0: every protocol with ports. 0..65535: the protocol alone. No
 * padding. */
struct cp_policy_ports {
	uint16_t low;
	uint16_t high;
	uint8_t protocol;
	uint8_t pad; /* zero */
};
_Static_assert(sizeof(struct cp_policy_ports) == 6, "compared as bytes");

int cp_policy_ports_parse(const char *text, struct cp_policy_ports *ret,
			  struct sn_diag *diag);

/* The specs of a rule, sorted into their canonical order. A spec given twice
 * and more than CP_POLICY_PORTS_MAX are refused; overlapping ranges are not.
 * *index is the refused text then. None is fine: everything. */
int cp_policy_ports_parse_list(const char *const *texts, size_t n_texts,
			       struct cp_policy_ports ret[CP_POLICY_PORTS_MAX],
			       uint8_t *n, size_t *index, struct sn_diag *diag);

/* Parses back to the same value. Returns buffer. */
char *cp_policy_ports_format(const struct cp_policy_ports *ports,
			     char buffer[CP_POLICY_PORTS_TEXT_BYTES]);

/* The specs of a rule with commas between them; "any": it has none. Returns
 * buffer. */
char *cp_policy_ports_format_list(const struct cp_policy_ports *ports,
				  uint8_t n,
				  char buffer[CP_POLICY_PORTS_LIST_BYTES]);

/* The canonical order: by protocol, low, high. */
int cp_policy_ports_compare(const struct cp_policy_ports *a,
			    const struct cp_policy_ports *b);

/* TCP, UDP, DCCP, SCTP, UDP-Lite. */
bool cp_policy_ports_has_ports(uint8_t protocol);

/* Does a packet to this destination port match? remote_port in host order,
 * without meaning if the protocol has no ports. */
bool cp_policy_ports_match(const struct cp_policy_ports *ports,
			   uint8_t protocol, uint16_t remote_port);
