/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/random.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Bytes that were handed out do not stay behind. */
static void take(struct cp_upstream_random *random, void *ret, size_t size)
{
	uint8_t *at;

	if (random->left < size) {
		ssize_t n = getrandom(random->bytes, sizeof(random->bytes), 0);

		if (n != (ssize_t)sizeof(random->bytes))
			abort();
		random->left = sizeof(random->bytes);
	}
	random->left -= size;
	at = random->bytes + random->left;
	(void)memcpy(ret, at, size);
	(void)memset(at, 0, size);
}

uint64_t cp_upstream_random_u64(struct cp_upstream_random *random)
{
	uint64_t value;

	take(random, &value, sizeof(value));
	return value;
}

uint16_t cp_upstream_random_u16(struct cp_upstream_random *random)
{
	uint16_t value;

	take(random, &value, sizeof(value));
	return value;
}

uint32_t cp_upstream_random_below(struct cp_upstream_random *random, uint32_t n)
{
	return (uint32_t)(cp_upstream_random_u64(random) % n);
}
