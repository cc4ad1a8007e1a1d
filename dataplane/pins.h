/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinel-dp's directory on a bpffs: what is pinned there outlives the
 * process. Folders: maps, programs, links; maps_new and programs_new while
 * they are being filled (bpffs refuses names with a dot). Renaming a folder is
 * what makes a set of pins valid. */

#include <stdint.h>

#include "shared/diag.h"

enum { DP_PINS_PATH_BYTES = 200 };

struct dp_pins {
	char root[DP_PINS_PATH_BYTES - 100];
	int fd; /* of root, flocked; -1 */
};

#define DP_PINS_INIT     \
	{                \
		.fd = -1 \
	}

/* Makes the directory if it is missing and locks it. Returns 0, or -errno and
 * *diag; -EWOULDBLOCK: another process holds it. */
int dp_pins_open(struct dp_pins *pins, const char *root, struct sn_diag *diag);
void dp_pins_done(struct dp_pins *pins);

/* Makes a folder; one that is there already is fine. */
int dp_pins_make(const struct dp_pins *pins, const char *folder);
/* Pins fd; a pin of that name must not exist. */
int dp_pins_put(const struct dp_pins *pins, const char *folder,
		const char *name, int fd);
/* Returns an fd, or -errno: -ENOENT without such a pin. */
int dp_pins_get(const struct dp_pins *pins, const char *folder,
		const char *name);
/* Returns 0 also if there is no such pin. */
int dp_pins_remove(const struct dp_pins *pins, const char *folder,
		   const char *name);
/* Removes a folder and its pins; 0 also if it does not exist. */
int dp_pins_remove_folder(const struct dp_pins *pins, const char *folder);
int dp_pins_rename(const struct dp_pins *pins, const char *from,
		   const char *to);
/* 1, 0 or -errno. */
int dp_pins_has(const struct dp_pins *pins, const char *folder);

/* Calls visit for each name in the folder; it may remove that pin. Stops at
 * the first negative result and returns it. */
int dp_pins_each(const struct dp_pins *pins, const char *folder,
		 int (*visit)(void *arg, const char *name), void *arg);

/* The number of new runtime programs: behind `last`, and behind those of all that
 * are pinned on hooks. An upgrade that was cut short may have put some there, and
 * these must not tell what the new ones do. Returns 0 or -errno. */
int dp_pins_pass_instances(const struct dp_pins *pins, uint32_t last,
			   uint32_t *ret);
