/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/events/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One attachment's addresses are few and chosen by it: a list for each of some
 * buckets bounds what a bad choice costs (all in one: 512 comparisons). */
enum { BUCKETS = 64 };

struct entry {
	LIST_ENTRY(entry) in_bucket;
	TAILQ_ENTRY(entry) by_age; /* oldest first */
	struct cp_dns_address address;
	struct cp_dns_name name;
};

struct cp_events_names {
	LIST_HEAD(, entry) buckets[BUCKETS];
	TAILQ_HEAD(, entry) ages;
	size_t n;
};

int cp_events_names_new(struct cp_events_names **ret)
{
	struct cp_events_names *names = calloc(1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	TAILQ_INIT(&names->ages);
	*ret = names;
	return 0;
}

struct cp_events_names *cp_events_names_free(struct cp_events_names *names)
{
	struct entry *entry;

	while (names && (entry = TAILQ_FIRST(&names->ages))) {
		TAILQ_REMOVE(&names->ages, entry, by_age);
		free(entry);
	}
	free(names);
	return NULL;
}

static unsigned int bucket_of(const struct cp_dns_address *address)
{
	uint32_t h = address->family;

	for (size_t i = 0; i < sizeof(address->bytes); i++)
		h = (h ^ address->bytes[i]) * 0x01000193U;
	return (h ^ h >> 16) % BUCKETS;
}

static struct entry *find(const struct cp_events_names *names,
			  const struct cp_dns_address *address)
{
	struct entry *entry;

	LIST_FOREACH(entry, &names->buckets[bucket_of(address)], in_bucket) {
		if (entry->address.family == address->family &&
		    memcmp(entry->address.bytes, address->bytes,
			   sizeof(address->bytes)) == 0)
			return entry;
	}
	return NULL;
}

int cp_events_names_put(struct cp_events_names *names,
			const struct cp_dns_address *address,
			const struct cp_dns_name *name)
{
	struct entry *entry = find(names, address);

	if (!entry && names->n == CP_EVENTS_NAMES_MAX) {
		entry = TAILQ_FIRST(&names->ages);
		LIST_REMOVE(entry, in_bucket);
		LIST_INSERT_HEAD(&names->buckets[bucket_of(address)], entry,
				 in_bucket);
	}
	if (entry) {
		TAILQ_REMOVE(&names->ages, entry, by_age);
	} else {
		entry = malloc(sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		LIST_INSERT_HEAD(&names->buckets[bucket_of(address)], entry,
				 in_bucket);
		names->n++;
	}
	entry->address = *address;
	entry->name = *name;
	TAILQ_INSERT_TAIL(&names->ages, entry, by_age);
	return 0;
}

const struct cp_dns_name *
cp_events_names_get(const struct cp_events_names *names,
		    const struct cp_dns_address *address)
{
	const struct entry *entry = find(names, address);

	return entry ? &entry->name : NULL;
}
