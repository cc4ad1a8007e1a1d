/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A folder for a spool, which is made by whoever opens it. */

#include <dirent.h>

#include "test/unit/t.h"

struct place {
	char folder[64];
	char path[80];
};

static inline struct place make_place(void)
{
	struct place place = { .folder = "/tmp/sentinel-test-XXXXXX" };

	t_not_null(mkdtemp(place.folder));
	(void)snprintf(place.path, sizeof(place.path), "%s/spool",
		       place.folder);
	return place;
}

static inline void remove_place(const struct place *place)
{
	DIR *folder = opendir(place->path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		(void)unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		(void)closedir(folder);
	(void)rmdir(place->path);
	t_eq(rmdir(place->folder), 0);
}
