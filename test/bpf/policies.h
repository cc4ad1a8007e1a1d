/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Random policies over an address universe that is small enough for prefixes
 * to nest, tie and cover the packets that frames are made of. */

#include "controld/policy/match.h"
#include "test/bpf/world.h"

struct policies_set {
	struct cp_policy *policy;
	struct sn_policy block;
	struct cp_policy_compile_row *rows;
	size_t n_rows;
};

void policies_make(struct world_random *random, uint32_t generation,
		   uint64_t now_ns, struct policies_set *ret);
void policies_put(const struct policies_set *set, struct world *world);
/* Also takes the rows out of the tables. */
void policies_done(struct policies_set *set, const struct world *world);

void policies_choose_address(struct world_random *random, enum sn_family family,
			     uint8_t ret[16]);
void policies_choose_local(enum sn_family family, uint8_t ret[16]);
/* An address that belongs to the resolver if there is a path. */
void policies_choose_reserved(const struct sn_dns *dns, enum sn_family family,
			      uint8_t ret[16]);
/* Name resolution over that universe: some of its addresses are the
 * resolver's. */
struct sn_dns policies_dns(bool has_tc);
bool policies_is_reserved(const struct sn_dns *dns, enum sn_family family,
			  const uint8_t address[16]);
uint16_t policies_choose_port(struct world_random *random);
/* The expiry of a rule that has lapsed, as the table has it; 0: there is
 * none. */
uint64_t policies_choose_lapsed(struct world_random *random,
				const struct policies_set *set,
				uint64_t now_ns);
/* Settings and the rules that cover the packet's remote address. */
void policies_print(const struct policies_set *set,
		    const struct cp_policy_match_packet *packet,
		    uint64_t now_ns);
