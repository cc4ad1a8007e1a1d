/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/nearest.h"

#include <string.h>

#include "shared/util.h"

size_t cp_config_nearest_distance(const char *a, const char *b)
{
	/* Three rows of the table of prefix distances, reused in turn. */
	size_t rows[3][CP_CONFIG_NEAREST_MAX_BYTES + 1];
	size_t n_a = strnlen(a, CP_CONFIG_NEAREST_MAX_BYTES + 1);
	size_t n_b = strnlen(b, CP_CONFIG_NEAREST_MAX_BYTES + 1);

	if (n_a > CP_CONFIG_NEAREST_MAX_BYTES ||
	    n_b > CP_CONFIG_NEAREST_MAX_BYTES)
		return CP_CONFIG_NEAREST_MAX_BYTES;
	for (size_t j = 0; j <= n_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i - 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

			best = SN_MIN(best, above[j] + 1);
			best = SN_MIN(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				best = SN_MIN(best,
					      rows[(i - 2) % 3][j - 2] + 1);
			row[j] = best;
		}
	}
	return rows[n_a % 3][n_b];
}

void cp_config_nearest_offer(const char *word, const char *candidate,
			     const char **best)
{
	size_t distance = cp_config_nearest_distance(word, candidate);

	/* One slip in three letters still looks like the word. */
	if (distance * 3 > SN_MAX(strlen(candidate), (size_t)3))
		return;
	if (!*best || distance < cp_config_nearest_distance(word, *best))
		*best = candidate;
}
