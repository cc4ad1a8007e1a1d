/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Log lines on stderr, one write(2) each: "<N>event key=value ..." where <N>
 * is the syslog priority that the journal understands; on a terminal a
 * readable level name stands instead. Only a component's top folder logs. */

#include <stdbool.h>
#include <stdint.h>

enum sn_log_level {
	SN_LOG_ERROR,
	SN_LOG_WARNING,
	SN_LOG_INFO,
	SN_LOG_DEBUG,
	SN_LOG_TRACE,
};

/* The level from which on lines are printed; SN_LOG_INFO at start. */
void sn_log_set_level(enum sn_log_level level);

/* Parses error|warning|info|debug|trace. Returns false on anything else and
 * leaves *ret as it was. */
bool sn_log_parse_level(const char *text, enum sn_log_level *ret);

/* May lines of level info and above name targets of workloads (interfaces,
 * cgroups) and not their ids alone? No at start. */
void sn_log_set_targets(bool shown);

/* The target for a line; "-" unless such lines may name it, or lines of level
 * debug are printed. */
const char *sn_log_target(const char *target);

enum {
	/* Lines of one kind (format) in one period; of error, warning and info. */
	SN_LOG_BURST = 1000,
	SN_LOG_PERIOD_S = 10,
};

/* Lines left out so far. What was left out of a period is told by the next line
 * of its kind. */
uint64_t sn_log_count_suppressed(void);

/* Control bytes in the finished line are shown as '?', so that a peer's text
 * cannot forge a line. Lines over 2,048 bytes are cut. Keeps errno. */
void sn_log(enum sn_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line of level info about a change that was made: none is left out, so that
 * the audit trail has all of them. What was refused is no change: whoever may
 * ask can have any number of these told. */
void sn_log_change(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
