/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Log lines on stderr, one write(2) each: "<N>event key=value ..." where <N>
 * is the syslog priority that the journal understands; on a terminal a
 * readable level name stands instead. Only a component's top folder logs. */

#include <stdbool.h>

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

/* Control bytes in the finished line are shown as '?', so that a peer's text
 * cannot forge a line. Lines over 2,048 bytes are cut. Keeps errno. */
void sn_log(enum sn_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
