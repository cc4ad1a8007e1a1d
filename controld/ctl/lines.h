/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Runtime events as lines of JSON, as `trace -o json` prints them: each becomes
 * the message that it was made of, by the checks that hold for strangers. What is
 * no event of a process (a gap) is passed over. */

#include <jansson.h>
#include <stdint.h>

#include "sentinel/v1/runtime.pb-c.h"
#include "shared/util.h"

enum {
	CP_CTL_LINES_BYTES_MAX = 1 << 20, /* of a line */
	CP_CTL_LINES_PROCESSES = 65536, /* that are kept as parents */
};

/* Answers of read besides 0 and -errno. */
enum {
	CP_CTL_LINES_E_END = 1,
	CP_CTL_LINES_E_REFUSED, /* reason() says why */
};

/* Good until the next one is read. */
struct cp_ctl_lines_event {
	const Sentinel__V1__RuntimeEvent *message;
	const json_t *expected; /* the array of that name; NULL: none */
};

struct cp_ctl_lines;

int cp_ctl_lines_open(struct cp_ctl_lines **ret, const char *path);
struct cp_ctl_lines *cp_ctl_lines_close(struct cp_ctl_lines *lines);
SN_DEFINE_CLEANUP(struct cp_ctl_lines, cp_ctl_lines_close)

int cp_ctl_lines_read(struct cp_ctl_lines *lines,
		      struct cp_ctl_lines_event *ret);
/* Of the line that was read last, from 1 on. */
uint64_t cp_ctl_lines_number(const struct cp_ctl_lines *lines);
const char *cp_ctl_lines_reason(const struct cp_ctl_lines *lines);

/* The parent as an event before told it, for controld/rules/state.h. */
const Sentinel__V1__RuntimeProcess *
cp_ctl_lines_get_parent(void *lines,
			const Sentinel__V1__RuntimeProcess *process);
