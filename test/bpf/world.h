/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The BPF object with its maps, loaded for one test process and driven by
 * BPF_PROG_TEST_RUN; nothing is pinned or attached. Failures end the test. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/policy/compile.h"
#include "shared/abi.h"

enum {
	WORLD_SLOTS = 8,
	WORLD_SLOT = 3, /* the one that tests use */
	WORLD_IFINDEX = 1, /* test runs enter by the loopback device */
	WORLD_PASS = -1, /* what the TC programs return */
	WORLD_DROP = 2,
	WORLD_REDIRECT = 7,
	WORLD_MARK = 0x5e471e1, /* of answers, in sn_dns */
	WORLD_FOUND_MAX = 4,
};

enum world_program {
	WORLD_TC_INGRESS,
	WORLD_TC_EGRESS,
	WORLD_SKB_INGRESS,
	WORLD_SKB_EGRESS,
	WORLD_DNS_RETURN,
	WORLD_DNS_FILTER_CGROUP,
	WORLD_PROGRAM_COUNT,
};

enum world_map {
	WORLD_RULES,
	WORLD_PREFIXES,
	WORLD_FLOWS,
	WORLD_FLOWS_NEW,
	WORLD_FRAGMENTS,
	WORLD_DENIED,
	WORLD_IFACES,
	WORLD_EVENTS,
	WORLD_COUNTERS,
	WORLD_REASONS,
	WORLD_WORDS,
	WORLD_POLICIES,
	WORLD_USAGE,
	WORLD_DNS,
	WORLD_DNS_NAT,
	WORLD_MAP_COUNT,
};

struct world {
	struct bpf_object *object;
	int programs[WORLD_PROGRAM_COUNT]; /* -1: the object has none */
	int maps[WORLD_MAP_COUNT];
	uint32_t n_cpus;
	uint64_t *words;
	struct sn_policy *policies;
	struct sn_usage *usage;
	struct sn_reasons *reasons;
	struct sn_counters *counters;
	struct sn_ring *events;
	uint32_t next_seq;
};

/* Entries found in a hash, all of them removed from it. */
struct world_found {
	size_t n; /* may exceed WORLD_FOUND_MAX: the rest was not kept */
	union {
		struct sn_flow_key flow;
		struct sn_fragment_key fragment;
	} keys[WORLD_FOUND_MAX];
	union {
		struct sn_flow flow;
		struct sn_fragment fragment;
	} values[WORLD_FOUND_MAX];
};

/* path: another build of the programs than the shipped one, or NULL. */
struct world *world_new(const char *path);
struct world *world_free(struct world *world);

/* The programs read the flows' clock this much late at most. */
#define WORLD_TICK_NS 20000000ULL

/* Boot time, and the flows' clock too: world_new() ends the test on a machine
 * that has slept since it was started, where the two differ. */
uint64_t world_now_ns(void);

/* The flows' clock as the programs read it: late by a tick, and by more where
 * ticks come late. */
uint64_t world_tick_ns(void);

/* Runs a program on a frame; returns what it returned. */
uint32_t world_run(const struct world *world, enum world_program program,
		   const void *frame, size_t size);
/* As a GSO packet. segs 0: not counted yet; size 0: no GSO. */
uint32_t world_run_gso(const struct world *world, enum world_program program,
		       const void *frame, size_t size, uint32_t gso_segs,
		       uint32_t gso_size);

/* What comes with a packet besides its bytes. */
struct world_skb {
	uint32_t gso_segs; /* 0: not counted yet */
	uint32_t gso_size; /* 0: no GSO */
	uint32_t mark;
	uint32_t ingress_ifindex; /* by which it came to be forwarded; 0: none */
};

/* skb: as it goes in and as it comes out. out (may be NULL) has room for
 * *out_size bytes; *out_size: what came out. */
uint32_t world_run_skb(const struct world *world, enum world_program program,
		       const void *frame, size_t size, struct world_skb *skb,
		       void *out, size_t *out_size);
/* The same `repeat` times in one call; the last run's answer. */
uint32_t world_repeat(const struct world *world, enum world_program program,
		      const void *frame, size_t size, uint32_t repeat);

void world_put(const struct world *world, enum world_map map, const void *key,
	       const void *value);
/* False: there was none. */
bool world_del(const struct world *world, enum world_map map, const void *key);
void world_take_all(const struct world *world, enum world_map map,
		    struct world_found *ret);

/* Entries of sn_dns_nat, all of them removed from it; at most max are kept in
 * the arrays. */
size_t world_take_nat(const struct world *world, struct sn_dns_nat_key *keys,
		      struct sn_dns_nat *values, size_t max);

void world_put_iface(const struct world *world, uint32_t slot,
		     enum sn_role role, bool ethernet);
/* Seals a row as sentinel-dp does and writes it. */
void world_put_row(struct world *world, struct cp_policy_compile_row *row);
void world_del_row(const struct world *world,
		   const struct cp_policy_compile_row *row);
/* Writes the block and then the word. */
void world_flip(const struct world *world, uint32_t slot,
		const struct sn_policy *block, uint32_t revision);

/* Sums over the CPUs. */
struct sn_counters world_get_counters(const struct world *world, uint32_t slot);
/* Takes what the ring holds; the last record goes to *ret. */
unsigned int world_take_events(const struct world *world, struct sn_event *ret);

/* Numbers from a seed (splitmix64). */
struct world_random {
	uint64_t state;
};

uint64_t world_random(struct world_random *random);
/* 0..n - 1, n > 0. */
uint32_t world_random_below(struct world_random *random, uint32_t n);
bool world_random_chance(struct world_random *random, uint32_t percent);

/* SN_TEST_SEED or one from the clock, printed; a number from the
 * environment. */
uint64_t world_seed(const char *test);
uint64_t world_setting(const char *name, uint64_t fallback);
