/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/metrics/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_BYTES = 256,
	NUMBER_BYTES = 24,
};

const struct cp_metrics_info cp_metrics_page_info[CP_METRICS_COUNT] = {
#define CP_METRIC(NAME, name, type, labels, help) \
	[CP_METRICS_##NAME] = { name, CP_METRICS_TYPE_##type, labels, help },
#include "controld/metrics/metrics.def"
#undef CP_METRIC
};

static const char *const type_names[] = {
	[CP_METRICS_TYPE_COUNTER] = "counter",
	[CP_METRICS_TYPE_GAUGE] = "gauge",
	[CP_METRICS_TYPE_HISTOGRAM] = "histogram",
};

struct text {
	char *data;
	size_t size;
	size_t capacity;
	uint64_t at; /* of its first byte in the page */
};

struct cp_metrics_page {
	struct text texts[CP_METRICS_COUNT];
	uint64_t size;
	unsigned int n_refs;
	unsigned int *n_pages;
	bool is_broken;
};

/* Room for n more bytes, or NULL. */
static char *grow(struct cp_metrics_page *page, enum cp_metrics_id id, size_t n)
{
	struct text *text = &page->texts[id];
	size_t capacity = text->capacity ? text->capacity : FIRST_BYTES;
	char *data;

	if (page->is_broken)
		return NULL;
	while (capacity < text->size + n)
		capacity *= 2;
	if (capacity != text->capacity) {
		data = realloc(text->data, capacity);
		if (!data) {
			page->is_broken = true;
			return NULL;
		}
		text->data = data;
		text->capacity = capacity;
	}
	return text->data + text->size;
}

static char *append(char *to, const char *text, size_t size)
{
	(void)memcpy(to, text, size);
	return to + size;
}

/* NAMEsuffix{labels,more} value\n: a hundred thousand of them are a page. */
static void put_line(struct cp_metrics_page *page, enum cp_metrics_id id,
		     const char *suffix, const char *labels, const char *more,
		     const char *value)
{
	const char *name = cp_metrics_page_info[id].name;
	size_t sizes[] = { strlen(name), strlen(suffix), strlen(labels),
			   strlen(more), strlen(value) };
	char *start, *to;

	start = grow(page, id,
		     sizes[0] + sizes[1] + sizes[2] + sizes[3] + sizes[4] + 5);
	if (!start)
		return;
	to = append(start, name, sizes[0]);
	to = append(to, suffix, sizes[1]);
	if (sizes[2] + sizes[3] > 0) {
		*to++ = '{';
		to = append(to, labels, sizes[2]);
		if (sizes[2] && sizes[3])
			*to++ = ',';
		to = append(to, more, sizes[3]);
		*to++ = '}';
	}
	*to++ = ' ';
	to = append(to, value, sizes[4]);
	*to++ = '\n';
	page->texts[id].size += (size_t)(to - start);
}

static void put_head(struct cp_metrics_page *page, enum cp_metrics_id id)
{
	const struct cp_metrics_info *info = &cp_metrics_page_info[id];
	size_t n = 2 * strlen(info->name) + strlen(info->help) + 64;
	char *to = grow(page, id, n);

	if (to)
		page->texts[id].size += (size_t)snprintf(
			to, n, "# HELP %s %s\n# TYPE %s %s\n", info->name,
			info->help, info->name, type_names[info->type]);
}

int cp_metrics_page_new(struct cp_metrics_page **ret, unsigned int *n_pages)
{
	sn_cleanup(cp_metrics_page_unrefp) struct cp_metrics_page *page = NULL;

	page = calloc(1, sizeof(*page));
	if (!page)
		return -ENOMEM;
	page->n_refs = 1;
	page->n_pages = n_pages;
	(*n_pages)++;
	for (size_t i = 0; i < CP_METRICS_COUNT; i++)
		put_head(page, (enum cp_metrics_id)i);
	if (page->is_broken)
		return -ENOMEM;
	*ret = sn_steal(&page);
	return 0;
}

struct cp_metrics_page *cp_metrics_page_ref(struct cp_metrics_page *page)
{
	page->n_refs++;
	return page;
}

struct cp_metrics_page *cp_metrics_page_unref(struct cp_metrics_page *page)
{
	if (!page || --page->n_refs > 0)
		return NULL;
	for (size_t i = 0; i < CP_METRICS_COUNT; i++)
		free(page->texts[i].data);
	(*page->n_pages)--;
	free(page);
	return NULL;
}

/* Returns where the digits begin. */
static char *format_number(uint64_t value, char buffer[NUMBER_BYTES])
{
	char *at = buffer + NUMBER_BYTES - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	return at;
}

void cp_metrics_page_put(struct cp_metrics_page *page, enum cp_metrics_id id,
			 const char *labels, const char *more, uint64_t value)
{
	char buffer[NUMBER_BYTES];

	put_line(page, id, "", labels, more, format_number(value, buffer));
}

void cp_metrics_page_put_signed(struct cp_metrics_page *page,
				enum cp_metrics_id id, const char *labels,
				int64_t value)
{
	char buffer[NUMBER_BYTES];

	(void)snprintf(buffer, sizeof(buffer), "%" PRId64, value);
	put_line(page, id, "", labels, "", buffer);
}

static const char *format_seconds(uint64_t ns, char buffer[2 * NUMBER_BYTES])
{
	int n = snprintf(buffer, 2 * NUMBER_BYTES, "%llu.%09u",
			 ns / SN_NS_PER_S, (unsigned int)(ns % SN_NS_PER_S));

	/* As bounds of buckets the numbers are names: the shortest form. */
	while (n > 0 && buffer[n - 1] == '0')
		buffer[--n] = '\0';
	if (n > 0 && buffer[n - 1] == '.')
		buffer[--n] = '\0';
	return buffer;
}

void cp_metrics_page_put_ns(struct cp_metrics_page *page, enum cp_metrics_id id,
			    const char *labels, uint64_t ns)
{
	char buffer[2 * NUMBER_BYTES];

	put_line(page, id, "", labels, "", format_seconds(ns, buffer));
}

void cp_metrics_page_put_histogram(struct cp_metrics_page *page,
				   enum cp_metrics_id id, const char *labels,
				   const uint64_t *bounds,
				   const uint64_t *counts, size_t n,
				   uint64_t sum_ns)
{
	char seconds[2 * NUMBER_BYTES], more[sizeof(seconds) + 8];
	char number[NUMBER_BYTES];
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		total += counts[i];
		(void)snprintf(more, sizeof(more), "le=\"%s\"",
			       i + 1 < n ? format_seconds(bounds[i], seconds) :
					   "+Inf");
		put_line(page, id, "_bucket", labels, more,
			 format_number(total, number));
	}
	put_line(page, id, "_sum", labels, "", format_seconds(sum_ns, seconds));
	put_line(page, id, "_count", labels, "", format_number(total, number));
}

char *cp_metrics_page_escape(const char *text, char *to, size_t size)
{
	size_t n = 0;

	for (; *text && n + 3 <= size; text++) {
		if (*text == '\\' || *text == '"' || *text == '\n')
			to[n++] = '\\';
		to[n++] = *text;
		if (*text == '\n')
			to[n - 1] = 'n';
	}
	to[n] = '\0';
	return to;
}

int cp_metrics_page_finish(struct cp_metrics_page *page)
{
	if (page->is_broken)
		return -ENOMEM;
	page->size = 0;
	for (size_t i = 0; i < CP_METRICS_COUNT; i++) {
		page->texts[i].at = page->size;
		page->size += page->texts[i].size;
	}
	return 0;
}

uint64_t cp_metrics_page_get_size(const struct cp_metrics_page *page)
{
	return page->size;
}

size_t cp_metrics_page_read(const struct cp_metrics_page *page, uint64_t at,
			    char *to, size_t n)
{
	size_t copied = 0;

	for (size_t i = 0; i < CP_METRICS_COUNT && copied < n; i++) {
		const struct text *text = &page->texts[i];
		size_t from, part;

		if (at >= text->at + text->size)
			continue;
		from = (size_t)(at - text->at);
		part = SN_MIN(text->size - from, n - copied);
		(void)memcpy(to + copied, text->data + from, part);
		copied += part;
		at += part;
	}
	return copied;
}
