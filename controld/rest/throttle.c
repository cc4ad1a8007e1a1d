/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/throttle.h"

#include <netinet/in.h>
#include <string.h>

enum { PLACE_BYTES = 8, NONE = CP_REST_THROTTLE_PLACES };

/* IPv4 addresses, mapped ones too, in what is no network of IPv6. */
static void find_place(const struct sockaddr *from, uint8_t ret[PLACE_BYTES])
{
	const struct sockaddr_in *in4 = (const void *)from;
	const struct sockaddr_in6 *in6 = (const void *)from;

	(void)memset(ret, 0, PLACE_BYTES);
	if (from->sa_family == AF_INET)
		(void)memcpy(ret + 4, &in4->sin_addr, 4);
	else if (from->sa_family == AF_INET6 &&
		 IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		(void)memcpy(ret + 4, &in6->sin6_addr.s6_addr[12], 4);
	else if (from->sa_family == AF_INET6)
		(void)memcpy(ret, &in6->sin6_addr, PLACE_BYTES);
}

static void forgive(struct cp_rest_throttle *throttle, size_t i,
		    uint64_t now_ms)
{
	uint64_t n = (now_ms - throttle->places[i].forgiven_ms) /
		     CP_REST_THROTTLE_REFILL_MS;

	if (n >= throttle->places[i].n_failures) {
		throttle->places[i].n_failures = 0;
		throttle->places[i].forgiven_ms = now_ms;
		return;
	}
	throttle->places[i].n_failures -= (uint32_t)n;
	throttle->places[i].forgiven_ms += n * CP_REST_THROTTLE_REFILL_MS;
}

/* NONE: nothing is known of it. */
static size_t find(const struct cp_rest_throttle *throttle,
		   const uint8_t place[PLACE_BYTES])
{
	for (size_t i = 0; i < CP_REST_THROTTLE_PLACES; i++)
		if (throttle->places[i].is_used &&
		    memcmp(throttle->places[i].place, place, PLACE_BYTES) == 0)
			return i;
	return NONE;
}

/* A free one, or the one of the oldest. */
static size_t take(struct cp_rest_throttle *throttle,
		   const uint8_t place[PLACE_BYTES], uint64_t now_ms)
{
	size_t best = 0;

	for (size_t i = 0; i < CP_REST_THROTTLE_PLACES; i++) {
		if (!throttle->places[i].is_used) {
			best = i;
			break;
		}
		if (throttle->places[i].forgiven_ms <
		    throttle->places[best].forgiven_ms)
			best = i;
	}
	throttle->places[best].is_used = true;
	throttle->places[best].n_failures = 0;
	throttle->places[best].forgiven_ms = now_ms;
	(void)memcpy(throttle->places[best].place, place, PLACE_BYTES);
	return best;
}

bool cp_rest_throttle_is_over(struct cp_rest_throttle *throttle,
			      const struct sockaddr *from, uint64_t now_ms)
{
	uint8_t place[PLACE_BYTES];
	size_t i;

	find_place(from, place);
	i = find(throttle, place);
	if (i == NONE)
		return false;
	forgive(throttle, i, now_ms);
	return throttle->places[i].n_failures >= CP_REST_THROTTLE_BURST;
}

void cp_rest_throttle_fail(struct cp_rest_throttle *throttle,
			   const struct sockaddr *from, uint64_t now_ms)
{
	uint8_t place[PLACE_BYTES];
	size_t i;

	find_place(from, place);
	i = find(throttle, place);
	if (i == NONE)
		i = take(throttle, place, now_ms);
	forgive(throttle, i, now_ms);
	/* What came beyond the limit is not held against the place, where others
	 * may be as well. */
	if (throttle->places[i].n_failures < CP_REST_THROTTLE_BURST)
		throttle->places[i].n_failures++;
}
