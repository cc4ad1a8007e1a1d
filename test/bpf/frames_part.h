/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files that make frames share. */

#include "test/bpf/frames.h"

/* Zeroed room at the end of the frame. */
uint8_t *frames_grow(struct frames_frame *f, size_t bytes);
void frames_noise(struct frames_frame *f, struct world_random *random,
		  size_t bytes);
void frames_put16(uint8_t *at, uint32_t value);
void frames_ethernet(struct frames_frame *f, const struct frames_wish *wish,
		     uint16_t type);
/* IPv4 header, perhaps with options; returns its length. */
size_t frames_ipv4(struct frames_frame *f, const struct frames_wish *wish,
		   struct world_random *random, uint8_t protocol);
void frames_finish(struct frames_frame *f, const struct frames_wish *wish,
		   struct world_random *random);

/* frames_link.c: what a link needs. These may turn the kind into PLAIN. */
void frames_link_neighbour(struct frames_frame *f,
			   const struct frames_wish *wish,
			   struct world_random *random);
void frames_link_mld(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random, bool good);
void frames_link_dhcp(struct frames_frame *f, const struct frames_wish *wish,
		      struct world_random *random);

/* frames_bad.c: what is not believed. */
void frames_bad_make(struct frames_frame *f, const struct frames_wish *wish,
		     struct world_random *random);
