/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names, addresses, and which belongs to which until when; for learnt.c. A pair
 * is live while it is in the heap of expiries, and lapsed afterwards; names
 * live exactly as long as they have pairs. An address without pairs stays until
 * it is dropped. No quotas here. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "controld/dns/answer.h"
#include "controld/dns/name.h"
#include "controld/dns/openings.h"

/* In a chain of a hash table. */
struct cp_dns_pairs_link {
	struct cp_dns_pairs_link *next;
	uint64_t hash;
};

struct cp_dns_pairs_links {
	struct cp_dns_pairs_link **chains;
	size_t size; /* a power of two, or 0 */
	size_t n;
};

TAILQ_HEAD(cp_dns_pairs_list, cp_dns_pairs_pair);
TAILQ_HEAD(cp_dns_pairs_addresses, cp_dns_pairs_address);

struct cp_dns_pairs_name {
	struct cp_dns_pairs_link link; /* first */
	struct cp_dns_pairs_list pairs;
	uint32_t n_pairs;
	uint32_t n_live;
	struct cp_dns_openings openings;
	struct cp_dns_name name; /* last: only as long as it is */
};

struct cp_dns_pairs_address {
	struct cp_dns_pairs_link link; /* first */
	struct cp_dns_pairs_list pairs;
	uint32_t n_pairs;
	uint32_t n_live;
	TAILQ_ENTRY(cp_dns_pairs_address) entry; /* without a live pair */
	bool is_marked; /* the caller's */
	struct cp_dns_address address;
};

struct cp_dns_pairs_pair {
	TAILQ_ENTRY(cp_dns_pairs_pair) of_name;
	TAILQ_ENTRY(cp_dns_pairs_pair) of_address;
	TAILQ_ENTRY(cp_dns_pairs_pair) lapsed;
	struct cp_dns_pairs_name *name; /* NULL: not known */
	struct cp_dns_pairs_address *address;
	uint64_t expires_ns;
	uint64_t confirmed_ns; /* the kernel has it until then */
	size_t at; /* in the heap; SIZE_MAX: lapsed */
	struct cp_dns_openings_one own; /* of a pair without a name */
};

struct cp_dns_pairs {
	struct cp_dns_pairs_links names;
	struct cp_dns_pairs_links addresses;
	struct cp_dns_pairs_pair **heap; /* live ones, next expiry first */
	size_t n_heap;
	size_t heap_size;
	struct cp_dns_pairs_list lapsed; /* oldest first */
	struct cp_dns_pairs_addresses idle; /* without a live pair */
	size_t n_lapsed;
	size_t n_nameless;
	uint64_t n_renamed; /* rises when a name comes or goes */
	size_t n_live_names;
	size_t n_live_addresses;
	uint64_t seed;
	uint64_t now_ns; /* of the last advance */
};

void cp_dns_pairs_init(struct cp_dns_pairs *pairs, uint64_t seed);
void cp_dns_pairs_done(struct cp_dns_pairs *pairs);

/* NULL: not there. */
struct cp_dns_pairs_name *
cp_dns_pairs_find_name(const struct cp_dns_pairs *pairs,
		       const struct cp_dns_name *name);
struct cp_dns_pairs_address *
cp_dns_pairs_find_address(const struct cp_dns_pairs *pairs,
			  const struct cp_dns_address *address);
struct cp_dns_pairs_pair *
cp_dns_pairs_find(const struct cp_dns_pairs_name *name,
		  const struct cp_dns_pairs_address *address);

/* A new pair, lapsed as of the beginning of time. name NULL: not known. NULL:
 * no memory, nothing changed. */
struct cp_dns_pairs_pair *
cp_dns_pairs_add(struct cp_dns_pairs *pairs, const struct cp_dns_name *name,
		 const struct cp_dns_address *address);
/* Room so that the next n calls of extend cannot fail. -ENOMEM. */
int cp_dns_pairs_reserve(struct cp_dns_pairs *pairs, size_t n);
/* Later or earlier; live afterwards, until the next advance. */
void cp_dns_pairs_extend(struct cp_dns_pairs *pairs,
			 struct cp_dns_pairs_pair *pair, uint64_t expires_ns);
/* The name goes with its last pair, the address stays. */
void cp_dns_pairs_remove(struct cp_dns_pairs *pairs,
			 struct cp_dns_pairs_pair *pair);
/* An address with what is left of its pairs. */
void cp_dns_pairs_drop_address(struct cp_dns_pairs *pairs,
			       struct cp_dns_pairs_address *address);

/* Pairs whose expiry is not after now_ns become lapsed. */
void cp_dns_pairs_advance(struct cp_dns_pairs *pairs, uint64_t now_ns);

/* What the pair opens. */
struct cp_dns_openings
cp_dns_pairs_get_openings(const struct cp_dns_pairs_pair *pair);

/* The names and addresses in no particular order: the one behind `name` (NULL:
 * the first), or NULL behind the last. *chain begins as 0. */
struct cp_dns_pairs_name *
cp_dns_pairs_next_name(const struct cp_dns_pairs *pairs, size_t *chain,
		       const struct cp_dns_pairs_name *name);
struct cp_dns_pairs_address *
cp_dns_pairs_next_address(const struct cp_dns_pairs *pairs, size_t *chain,
			  const struct cp_dns_pairs_address *address);

/* ret is initialised and empty. -ENOMEM. */
int cp_dns_pairs_copy(const struct cp_dns_pairs *pairs,
		      struct cp_dns_pairs *ret);
