/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How often wrong credentials may come from one place: an IPv4 address, or an
 * IPv6 network of 64 bits. Who is over it is not judged at all for a while. What
 * is kept is bounded; the place that was quiet longest gives way. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	CP_REST_THROTTLE_PLACES = 256,
	CP_REST_THROTTLE_BURST = 10, /* failures at once */
	CP_REST_THROTTLE_REFILL_MS = 2000, /* for one more */
};

struct cp_rest_throttle {
	struct {
		uint8_t place[8];
		bool is_used;
		uint32_t n_failures; /* that have not been forgiven yet */
		uint64_t forgiven_ms; /* up to when they have been */
	} places[CP_REST_THROTTLE_PLACES];
};

bool cp_rest_throttle_is_over(struct cp_rest_throttle *throttle,
			      const struct sockaddr *from, uint64_t now_ms);
void cp_rest_throttle_fail(struct cp_rest_throttle *throttle,
			   const struct sockaddr *from, uint64_t now_ms);
