/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/findings/sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

LIST_HEAD(bucket, cp_findings_source);

struct cp_findings_sources {
	size_t n;
	TAILQ_HEAD(, cp_findings_source) ages;
	struct bucket buckets[BUCKETS];
};

int cp_findings_sources_new(struct cp_findings_sources **ret)
{
	struct cp_findings_sources *sources = calloc(1, sizeof(*sources));

	if (!sources)
		return -ENOMEM;
	TAILQ_INIT(&sources->ages);
	*ret = sources;
	return 0;
}

struct cp_findings_sources *
cp_findings_sources_free(struct cp_findings_sources *sources)
{
	struct cp_findings_source *source;

	if (!sources)
		return NULL;
	while ((source = TAILQ_FIRST(&sources->ages)))
		cp_findings_sources_drop(sources, source);
	free(sources);
	return NULL;
}

/* Names come from files of root and from the configuration. */
static size_t hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ULL;
	return (size_t)(h % BUCKETS);
}

static struct cp_findings_source *
find(const struct cp_findings_sources *sources, enum cp_findings_kind kind,
     const char *name)
{
	struct cp_findings_source *source;

	LIST_FOREACH(source, &sources->buckets[hash(name)], in_bucket) {
		if (source->kind == kind && strcmp(source->name, name) == 0)
			return source;
	}
	return NULL;
}

const struct cp_findings_source *
cp_findings_sources_find(const struct cp_findings_sources *sources,
			 enum cp_findings_kind kind, const char *name)
{
	return find(sources, kind, name);
}

struct cp_findings_source *
cp_findings_sources_need(struct cp_findings_sources *sources,
			 enum cp_findings_kind kind, const char *name)
{
	struct cp_findings_source *source = find(sources, kind, name);

	if (source || sources->n >= CP_FINDINGS_SOURCES_MAX)
		return source;
	source = calloc(1, sizeof(*source));
	if (!source)
		return NULL;
	source->kind = kind;
	(void)snprintf(source->name, sizeof(source->name), "%s", name);
	LIST_INSERT_HEAD(&sources->buckets[hash(source->name)], source,
			 in_bucket);
	TAILQ_INSERT_TAIL(&sources->ages, source, by_age);
	sources->n++;
	return source;
}

struct cp_findings_source *
cp_findings_sources_next(const struct cp_findings_sources *sources,
			 const struct cp_findings_source *after)
{
	return after ? TAILQ_NEXT(after, by_age) : TAILQ_FIRST(&sources->ages);
}

void cp_findings_sources_drop(struct cp_findings_sources *sources,
			      struct cp_findings_source *source)
{
	TAILQ_REMOVE(&sources->ages, source, by_age);
	LIST_REMOVE(source, in_bucket);
	sources->n--;
	free(source);
}

bool cp_findings_sources_admit(struct cp_findings_source *source, uint64_t rate,
			       uint64_t burst, uint64_t now_ns)
{
	uint64_t each_ns = rate ? SN_NS_PER_S / rate : 0;

	source->due_ns = SN_MAX(source->due_ns, now_ns);
	if (each_ns && source->due_ns - now_ns > (burst - 1) * each_ns) {
		source->n_limited++;
		source->n_untold++;
		return false;
	}
	source->due_ns += each_ns;
	return true;
}
