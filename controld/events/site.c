/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/events/site.h"

#include <stdlib.h>
#include <string.h>

enum { MS_PER_S = 1000 };

static struct cp_events_site *free_site(struct cp_events_site *site)
{
	if (!site)
		return NULL;
	cp_events_names_free(site->names);
	cp_events_seen_free(site->seen);
	free(site);
	return NULL;
}
SN_DEFINE_CLEANUP(struct cp_events_site, free_site)

/* Ids are random. */
static size_t chain_of(const char *id)
{
	char digits[9] = { 0 };

	(void)memcpy(digits, id, strnlen(id, sizeof(digits) - 1));
	return strtoul(digits, NULL, 16) % CP_EVENTS_SITE_CHAINS;
}

static struct cp_events_site **find(struct cp_events_site **at, const char *id)
{
	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

struct cp_events_site *cp_events_site_get(const struct cp_events_sites *sites,
					  const char *id)
{
	struct cp_events_site *site = sites->chains[chain_of(id)];

	while (site && strcmp(site->id, id) != 0)
		site = site->next;
	return site;
}

struct cp_events_site *cp_events_site_need(struct cp_events_sites *sites,
					   const char *id)
{
	sn_cleanup(free_sitep) struct cp_events_site *site = NULL;
	struct cp_events_site **at = find(&sites->chains[chain_of(id)], id);

	if (*at)
		return *at;
	site = calloc(1, sizeof(*site));
	if (!site || cp_events_names_new(&site->names) < 0 ||
	    cp_events_seen_new(&site->seen) < 0)
		return NULL;
	(void)memcpy(site->id, id, strnlen(id, sizeof(site->id) - 1));
	*at = sn_steal(&site);
	return *at;
}

void cp_events_site_drop(struct cp_events_sites *sites, const char *id)
{
	struct cp_events_site **at = find(&sites->chains[chain_of(id)], id);
	struct cp_events_site *site = *at;

	if (!site)
		return;
	*at = site->next;
	free_site(site);
}

void cp_events_site_done(struct cp_events_sites *sites)
{
	for (size_t i = 0; i < CP_EVENTS_SITE_CHAINS; i++) {
		struct cp_events_site *site;

		while ((site = sites->chains[i])) {
			sites->chains[i] = site->next;
			free_site(site);
		}
	}
}

bool cp_events_site_admit(struct cp_events_site *site, uint32_t rate,
			  int64_t now_ms)
{
	uint64_t second = (uint64_t)now_ms / MS_PER_S;

	if (site->second != second) {
		site->second = second;
		site->n_in_second = 0;
	}
	if (site->n_in_second >= rate) {
		site->n_limited++;
		return false;
	}
	site->n_in_second++;
	return true;
}
