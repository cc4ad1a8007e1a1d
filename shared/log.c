/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/util.h"

enum {
	LINE_BYTES = 2048,
	/* Kinds that are counted apart; those that share a place share its
	 * allowance as well. */
	KINDS = 256,
};

static enum sn_log_level threshold = SN_LOG_INFO;
static bool shows_targets;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	time_t since;
	unsigned int n_lines;
	unsigned int n_suppressed;
} kinds[KINDS];
static uint64_t n_suppressed;

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

void sn_log_set_targets(bool shown)
{
	shows_targets = shown;
}

const char *sn_log_target(const char *target)
{
	return shows_targets || threshold >= SN_LOG_DEBUG ? target : "-";
}

uint64_t sn_log_count_suppressed(void)
{
	return __atomic_load_n(&n_suppressed, __ATOMIC_RELAXED);
}

/* *missed: lines of this kind that were left out before it. */
static bool admit(enum sn_log_level level, const char *format,
		  unsigned int *missed)
{
	size_t i = (size_t)(((uintptr_t)format * 0x9e3779b97f4a7c15ULL) >> 56) %
		   KINDS;
	struct timespec now = { 0 };
	bool is_admitted;

	*missed = 0;
	if (level > SN_LOG_INFO)
		return true;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	(void)pthread_mutex_lock(&lock);
	if (now.tv_sec - kinds[i].since >= SN_LOG_PERIOD_S) {
		*missed = kinds[i].n_suppressed;
		kinds[i].since = now.tv_sec;
		kinds[i].n_lines = 0;
		kinds[i].n_suppressed = 0;
	}
	is_admitted = kinds[i].n_lines < SN_LOG_BURST;
	kinds[i].n_lines += is_admitted;
	kinds[i].n_suppressed += !is_admitted;
	n_suppressed += !is_admitted;
	(void)pthread_mutex_unlock(&lock);
	return is_admitted;
}

static void put(enum sn_log_level level, unsigned int missed,
		const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void put(enum sn_log_level level, unsigned int missed,
		const char *format, va_list args)
{
	char line[LINE_BYTES];
	size_t used;
	int n;

	if (isatty(STDERR_FILENO))
		n = snprintf(line, sizeof(line), "%s: ", levels[level].name);
	else
		n = snprintf(line, sizeof(line), "%s", levels[level].priority);
	used = (size_t)n;
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	if (n > 0)
		used = SN_MIN(used + (size_t)n, sizeof(line) - 2);
	if (missed) {
		n = snprintf(line + used, sizeof(line) - used - 1,
			     " suppressed=%u", missed);
		used = SN_MIN(used + (size_t)n, sizeof(line) - 2);
	}
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	(void)!write(STDERR_FILENO, line, used);
}

void sn_log(enum sn_log_level level, const char *format, ...)
{
	int saved = errno;
	unsigned int missed;
	va_list args;

	if (level <= threshold && admit(level, format, &missed)) {
		va_start(args, format);
		put(level, missed, format, args);
		va_end(args);
	}
	errno = saved;
}

void sn_log_change(const char *format, ...)
{
	int saved = errno;
	va_list args;

	if (SN_LOG_INFO <= threshold) {
		va_start(args, format);
		put(SN_LOG_INFO, 0, format, args);
		va_end(args);
	}
	errno = saved;
}
