/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The known word that a mistyped one most likely stood for. Pure. */

#include <stddef.h>

enum {
	CP_CONFIG_NEAREST_MAX_BYTES = 40, /* longer words have no likeness */
};

/* How many insertions, deletions, replacements and swaps of neighbours turn
 * one word into the other; CP_CONFIG_NEAREST_MAX_BYTES if a word is longer
 * than that. */
size_t cp_config_nearest_distance(const char *a, const char *b);

/* Offers one candidate. Makes it *best if it is near enough to word to be
 * meant and nearer than *best was; *best begins as NULL. */
void cp_config_nearest_offer(const char *word, const char *candidate,
			     const char **best);
