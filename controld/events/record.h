/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One event as the store has it. */

#include <stdbool.h>
#include <stdint.h>

#include "controld/dns/name.h"
#include "shared/abi.h"

enum {
	CP_EVENTS_ID_BYTES = 2 * SN_ID_BYTES + 1, /* hex and NUL */
};

enum cp_events_kind {
	CP_EVENTS_KIND_FLOW = 1,
	CP_EVENTS_KIND_NAME = 2,
	CP_EVENTS_KIND_LOST = 3, /* of one attachment, over its rate */
};

struct cp_events_record {
	uint64_t seq; /* 1 and up, without gaps; the store's */
	int64_t time_ms; /* Unix time */
	uint64_t n_lost; /* LOST */
	char id[CP_EVENTS_ID_BYTES];
	uint8_t kind; /* enum cp_events_kind */
	bool is_audited; /* it passed all the same */
	uint16_t type; /* NAME: of the record that was asked for */
	struct sn_event flow; /* FLOW */
	struct cp_dns_name name; /* size 0: not known or redacted */
};
