/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/util.h"

enum { LINE_BYTES = 2048 };

static enum sn_log_level threshold = SN_LOG_INFO;

/* Syslog priorities of sd-daemon(3). */
static const struct {
	const char *name;
	const char *priority;
} levels[] = {
	[SN_LOG_ERROR] = { "error", "<3>" },
	[SN_LOG_WARNING] = { "warning", "<4>" },
	[SN_LOG_INFO] = { "info", "<6>" },
	[SN_LOG_DEBUG] = { "debug", "<7>" },
	[SN_LOG_TRACE] = { "trace", "<7>" },
};

void sn_log_set_level(enum sn_log_level level)
{
	threshold = level;
}

bool sn_log_parse_level(const char *text, enum sn_log_level *ret)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(levels); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*ret = (enum sn_log_level)i;
			return true;
		}
	}
	return false;
}

void sn_log(enum sn_log_level level, const char *format, ...)
{
	char line[LINE_BYTES];
	int saved = errno;
	va_list args;
	size_t used;
	int n;

	if (level > threshold)
		return;

	if (isatty(STDERR_FILENO))
		n = snprintf(line, sizeof(line), "%s: ", levels[level].name);
	else
		n = snprintf(line, sizeof(line), "%s", levels[level].priority);
	used = (size_t)n;
	va_start(args, format);
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);
	if (n > 0)
		used = SN_MIN(used + (size_t)n, sizeof(line) - 2);
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	(void)!write(STDERR_FILENO, line, used);
	errno = saved;
}
