/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { STAT_BYTES = 1024 };

/* Fields of proc(5), counted from the one behind the name, which is the third. */
enum {
	FIELD_UTIME = 14,
	FIELD_STIME = 15,
	FIELD_THREADS = 20,
	FIELD_START = 22,
	FIELD_VSIZE = 23,
	FIELD_RSS = 24,
	FIELD_FIRST = 3,
};

static bool read_stat(uint64_t fields[FIELD_RSS + 1])
{
	char text[STAT_BYTES];
	sn_cleanup(sn_closep) int fd = -1;
	const char *at;
	ssize_t n;

	fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* The name may hold anything, but nothing behind it holds a bracket. */
	at = strrchr(text, ')');
	for (int i = FIELD_FIRST; at && i <= FIELD_RSS; i++) {
		at = strchr(at + 1, ' ');
		if (!at || sscanf(at, " %" SCNu64, &fields[i]) < 0)
			return false;
	}
	return at != NULL;
}

static uint64_t count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!folder)
		return 0;
	while (readdir(folder))
		n++;
	(void)closedir(folder);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the folder's own */
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
	return ticks * (SN_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* Unix time, from the time since boot. */
static uint64_t get_start_ns(uint64_t since_boot_ns)
{
	struct timespec wall, boot;

	(void)clock_gettime(CLOCK_REALTIME, &wall);
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	return (uint64_t)wall.tv_sec * SN_NS_PER_S + (uint64_t)wall.tv_nsec -
	       ((uint64_t)boot.tv_sec * SN_NS_PER_S + (uint64_t)boot.tv_nsec) +
	       since_boot_ns;
}

void cp_metrics_process_put(struct cp_metrics_page *page)
{
	/* Computed once: clocks are set, and the start stays. */
	static uint64_t start_ns;
	uint64_t fields[FIELD_RSS + 1] = { 0 };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		cp_metrics_page_put(page, CP_METRICS_PROCESS_FDS_MAX, "", "",
				    limit.rlim_cur);
	cp_metrics_page_put(page, CP_METRICS_PROCESS_FDS, "", "", count_fds());
	if (!read_stat(fields))
		return;
	if (start_ns == 0)
		start_ns = get_start_ns(ticks_to_ns(fields[FIELD_START]));
	cp_metrics_page_put_ns(
		page, CP_METRICS_PROCESS_CPU, "",
		ticks_to_ns(fields[FIELD_UTIME] + fields[FIELD_STIME]));
	cp_metrics_page_put(page, CP_METRICS_PROCESS_VIRTUAL, "", "",
			    fields[FIELD_VSIZE]);
	cp_metrics_page_put(page, CP_METRICS_PROCESS_RESIDENT, "", "",
			    fields[FIELD_RSS] *
				    (uint64_t)sysconf(_SC_PAGESIZE));
	cp_metrics_page_put(page, CP_METRICS_PROCESS_THREADS, "", "",
			    fields[FIELD_THREADS]);
	cp_metrics_page_put_ns(page, CP_METRICS_PROCESS_START, "", start_ns);
}
