/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/windows.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

struct window {
	LIST_ENTRY(window) in_bucket;
	TAILQ_ENTRY(window) by_age;
	uint64_t key;
	size_t count; /* of times */
	size_t next; /* where the next one goes */
	size_t n;
	uint64_t times[]; /* a ring */
};

LIST_HEAD(bucket, window);

struct cp_rules_windows {
	size_t n;
	size_t n_max;
	size_t n_bytes;
	size_t bytes_max;
	uint64_t n_forgotten;
	TAILQ_HEAD(, window) ages; /* the one heard of longest ago first */
	size_t n_buckets; /* a power of two */
	struct bucket buckets[];
};

int cp_rules_windows_new(struct cp_rules_windows **ret, size_t n_max,
			 size_t bytes_max)
{
	struct cp_rules_windows *windows;
	size_t n = 1;

	while (n < n_max)
		n *= 2;
	windows = calloc(1, sizeof(*windows) + n * sizeof(struct bucket));
	if (!windows)
		return -ENOMEM;
	windows->n_max = n_max;
	windows->bytes_max = bytes_max;
	windows->n_buckets = n;
	TAILQ_INIT(&windows->ages);
	*ret = windows;
	return 0;
}

static size_t size_of(size_t count)
{
	return sizeof(struct window) + count * sizeof(uint64_t);
}

static void drop(struct cp_rules_windows *windows, struct window *window)
{
	windows->n--;
	windows->n_bytes -= size_of(window->count);
	LIST_REMOVE(window, in_bucket);
	TAILQ_REMOVE(&windows->ages, window, by_age);
	free(window);
}

struct cp_rules_windows *cp_rules_windows_free(struct cp_rules_windows *windows)
{
	struct window *window;

	if (!windows)
		return NULL;
	while ((window = TAILQ_FIRST(&windows->ages)))
		drop(windows, window);
	free(windows);
	return NULL;
}

static struct bucket *bucket_of(struct cp_rules_windows *windows, uint64_t key)
{
	return &windows->buckets[(key >> 32 ^ key) & (windows->n_buckets - 1)];
}

static struct window *find(struct cp_rules_windows *windows, uint64_t key)
{
	struct window *window;

	LIST_FOREACH(window, bucket_of(windows, key), in_bucket) {
		if (window->key == key)
			return window;
	}
	return NULL;
}

static void make_room(struct cp_rules_windows *windows, size_t size)
{
	while (windows->n > 0 &&
	       (windows->n == windows->n_max ||
		windows->n_bytes + size > windows->bytes_max)) {
		drop(windows, TAILQ_FIRST(&windows->ages));
		windows->n_forgotten++;
	}
}

static struct window *add(struct cp_rules_windows *windows, uint64_t key,
			  size_t count)
{
	struct window *window;

	make_room(windows, size_of(count));
	window = calloc(1, size_of(count));
	if (!window)
		return NULL;
	window->key = key;
	window->count = count;
	windows->n++;
	windows->n_bytes += size_of(count);
	LIST_INSERT_HEAD(bucket_of(windows, key), window, in_bucket);
	TAILQ_INSERT_TAIL(&windows->ages, window, by_age);
	return window;
}

bool cp_rules_windows_put(struct cp_rules_windows *windows, uint64_t key,
			  size_t count, uint64_t window_ns, uint64_t now_ns)
{
	struct window *window = find(windows, key);

	/* Another rate than before a reload. */
	if (window && window->count != count) {
		drop(windows, window);
		window = NULL;
	}
	if (!window)
		window = add(windows, key, count);
	if (!window)
		return true;
	TAILQ_REMOVE(&windows->ages, window, by_age);
	TAILQ_INSERT_TAIL(&windows->ages, window, by_age);
	window->times[window->next] = now_ns;
	window->next = (window->next + 1) % count;
	window->n = SN_MIN(window->n + 1, count);
	/* With all times taken the next place is that of the oldest. */
	if (window->n < count ||
	    now_ns - window->times[window->next] > window_ns)
		return false;
	window->n = 0;
	return true;
}

uint64_t cp_rules_windows_forgotten(const struct cp_rules_windows *windows)
{
	return windows->n_forgotten;
}
