/* SPDX-License-Identifier: Apache-2.0 */

/* bench-kernel OBJECT ROUNDS QUICK: times the verdict library of one build of
 * bench.bpf.c by BPF_PROG_TEST_RUN. Prints one JSON line for each series: what
 * was done, and the time of one step in ns for each round. Variants of a row
 * take turns, one round each. A wrong verdict ends the run with status 1. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "shared/util.h"
#include "test/bench/prefixes.h"

enum {
	STEPS = 16384, /* of one round */
	ROUNDS_MAX = 256,
	CHUNK = 4096, /* rows of one batch update */
	RULES_CAPACITY = 1 << 20, /* sentinel-dp's preset, and for flows */
	FLOWS_CAPACITY = 1 << 18,
	FLOWS_NEW_CAPACITY = 1 << 17,
	FRAME_BYTES = 128,
	SEED = 20231,
};

enum program {
	EMPTY,
	FIND,
	TRIE4,
	TRIE6,
	ESTABLISHED,
	NEW,
	NEW_TRIE,
	PROGRAM_COUNT,
};

static const char *const program_names[PROGRAM_COUNT] = {
	"bench_empty",	     "bench_find", "bench_trie4",    "bench_trie6",
	"bench_established", "bench_new",  "bench_new_trie",
};

/* One loaded object with tables of its own. */
struct world {
	struct bpf_object *object;
	int programs[PROGRAM_COUNT];
	struct bench_job *job;
	struct bench_address *addresses;
	uint8_t frame[FRAME_BYTES];
	uint32_t steps_done;
};

/* samples[i]: ns of one step in round i. */
struct series {
	const char *variant;
	struct world *world;
	enum program program;
	uint32_t wanted; /* the only verdict that is right */
	double samples[ROUNDS_MAX];
};

static const char *object_path;
static uint32_t n_rounds;
static int is_quick;

static int map_of(const struct world *world, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(world->object, name);

	if (fd < 0)
		errx(1, "%s has no map %s", object_path, name);
	return fd;
}

static uint64_t boot_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void set_size(const struct world *world, const char *name, uint32_t n)
{
	struct bpf_map *map = bpf_object__find_map_by_name(world->object, name);

	if (!map || bpf_map__set_max_entries(map, n))
		errx(1, "cannot set the size of %s", name);
}

static void set_sizes(const struct world *world, uint32_t n_cpus)
{
	struct bpf_map *map;

	set_size(world, "sn_rules", RULES_CAPACITY);
	set_size(world, "sn_prefixes", RULES_CAPACITY);
	set_size(world, "bench_lpm4", RULES_CAPACITY);
	set_size(world, "bench_lpm6", RULES_CAPACITY);
	set_size(world, "sn_flows", FLOWS_CAPACITY);
	set_size(world, "sn_flows_new", FLOWS_NEW_CAPACITY);
	set_size(world, "sn_fragments", 1024);
	set_size(world, "sn_denied", 1024);
	set_size(world, "sn_counters", BENCH_SLOTS * n_cpus);
	set_size(world, "sn_reasons", BENCH_SLOTS);
	set_size(world, "sn_words", BENCH_SLOTS);
	set_size(world, "sn_policies", 2 * BENCH_SLOTS);
	set_size(world, "sn_usage", BENCH_SLOTS);
	/* sn_n_cpus stands first in its section. */
	bpf_object__for_each_map(map, world->object) {
		uint8_t value[CHUNK];
		size_t size = 0;
		const void *initial = bpf_map__initial_value(map, &size);

		if (!initial || !strstr(bpf_map__name(map), ".rodata"))
			continue;
		if (size > sizeof(value))
			errx(1, "too many constants in %s", object_path);
		(void)memcpy(value, initial, size);
		(void)memcpy(value, &n_cpus, sizeof(n_cpus));
		if (bpf_map__set_initial_value(map, value, size))
			errx(1, "cannot set sn_n_cpus");
	}
}

static void *map_memory(int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		err(1, "mmap");
	return at;
}

/* An UDP packet of 64 bytes with its Ethernet header; the steps put other
 * addresses in its place. */
static void make_frame(uint8_t *frame, bool is6)
{
	static const uint8_t head4[] = { 0x45, 0,  0,	50, 0,	0,  0,
					 0,    64, 17,	0,  0,	10, 9,
					 8,    7,  1,	2,  3,	4,  0x9c,
					 0x40, 1,  187, 0,  30, 0,  0 };
	static const uint8_t head6[] = { 0x60, 0, 0, 0, 0, 30, 17, 64 };
	static const uint8_t udp[] = { 0x9c, 0x40, 1, 187, 0, 30, 0, 0 };

	(void)memset(frame, 0, FRAME_BYTES);
	frame[0] = 2;
	frame[6] = 2;
	frame[11] = 1;
	frame[12] = is6 ? 0x86 : 0x08;
	frame[13] = is6 ? 0xdd : 0x00;
	if (!is6) {
		(void)memcpy(frame + 14, head4, sizeof(head4));
		return;
	}
	(void)memcpy(frame + 14, head6, sizeof(head6));
	frame[22] = frame[38] = 0x20;
	frame[37] = 1;
	frame[53] = 2;
	(void)memcpy(frame + 54, udp, sizeof(udp));
}

static struct world *world_new(bool is6)
{
	struct world *world = calloc(1, sizeof(*world));
	uint32_t n_cpus = (uint32_t)libbpf_num_possible_cpus();
	struct bpf_program *program;

	if (!world)
		err(1, "world");
	world->object = bpf_object__open_file(object_path, NULL);
	if (!world->object)
		err(1, "%s", object_path);
	bpf_object__for_each_program(program, world->object)
		(void)bpf_program__set_autoload(
			program,
			bpf_program__type(program) == BPF_PROG_TYPE_SCHED_CLS);
	set_sizes(world, n_cpus);
	if (bpf_object__load(world->object))
		err(1, "loading %s", object_path);
	for (int i = 0; i < PROGRAM_COUNT; i++) {
		program = bpf_object__find_program_by_name(world->object,
							   program_names[i]);
		if (!program)
			errx(1, "no program %s", program_names[i]);
		world->programs[i] = bpf_program__fd(program);
	}
	world->job =
		map_memory(map_of(world, "bench_jobs"), sizeof(*world->job));
	world->addresses =
		map_memory(map_of(world, "bench_addresses"),
			   BENCH_ADDRESSES * sizeof(*world->addresses));
	make_frame(world->frame, is6);
	world->job->family = is6 ? SN_FAMILY_IPV6 : SN_FAMILY_IPV4;
	return world;
}

static struct world *world_free(struct world *world)
{
	(void)munmap(world->job, sizeof(*world->job));
	(void)munmap(world->addresses,
		     BENCH_ADDRESSES * sizeof(*world->addresses));
	bpf_object__close(world->object);
	free(world);
	return NULL;
}

/* Rows that wait for one batch update. */
struct batch {
	int fd;
	size_t key_bytes;
	size_t value_bytes;
	uint32_t n;
	uint8_t keys[CHUNK * 64];
	uint8_t values[CHUNK * sizeof(struct sn_rule_value)];
};

static void batch_flush(struct batch *batch)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = BPF_ANY);
	uint32_t n = batch->n;

	if (n && bpf_map_update_batch(batch->fd, batch->keys, batch->values, &n,
				      &options))
		err(1, "batch update");
	batch->n = 0;
}

static void batch_put(struct batch *batch, const void *key, const void *value)
{
	(void)memcpy(batch->keys + batch->n * batch->key_bytes, key,
		     batch->key_bytes);
	(void)memcpy(batch->values + batch->n * batch->value_bytes, value,
		     batch->value_bytes);
	if (++batch->n == CHUNK)
		batch_flush(batch);
}

static struct sn_rule_value make_value(const void *key, uint32_t length)
{
	struct sn_rule_value value = {
		.tag = sn_seal_tag(key),
		.used = boot_ns(),
		.seq = 1,
		.n_items = 1,
		.prefix_length = (uint8_t)length,
		.items = { { .verdict = SN_VERDICT_ALLOW,
			     .rule_id = 7,
			     .port_high = 0xffff } },
	};

	*sn_rule_end(&value, value.n_items) = value.tag + value.seq;
	return value;
}

static bool is_hashed(const struct bench_prefixes *p, uint32_t length)
{
	return length == (p->is6 ? 128U : 32U) || p->n_lengths <= 5;
}

static void fill_rules(const struct world *world,
		       const struct bench_prefixes *p)
{
	static struct batch hash, trie;

	hash.fd = map_of(world, "sn_rules");
	trie.fd = map_of(world, "sn_prefixes");
	hash.key_bytes = sizeof(struct sn_rule_key);
	trie.key_bytes = sizeof(struct sn_prefix_key);
	hash.value_bytes = trie.value_bytes = sizeof(struct sn_rule_value);
	for (size_t i = 0; i < p->n; i++) {
		const struct bench_prefix *x = &p->all[i];
		uint8_t family = p->is6 ? SN_FAMILY_IPV6 : SN_FAMILY_IPV4;
		struct sn_rule_key key = {
			.slot = BENCH_SLOT,
			.generation = BENCH_GENERATION,
			.family = family,
			.prefix_length = (uint8_t)x->length,
		};
		struct sn_prefix_key prefix = {
			.prefix_bits = SN_PREFIX_FIXED_BITS + x->length,
			.slot = BENCH_SLOT,
			.generation = BENCH_GENERATION,
			.family = family,
		};
		struct sn_rule_value value;

		(void)memcpy(key.address, x->address, 16);
		(void)memcpy(prefix.address, x->address, 16);
		if (is_hashed(p, x->length)) {
			value = make_value(&key, x->length);
			batch_put(&hash, &key, &value);
		} else {
			value = make_value(&prefix, x->length);
			batch_put(&trie, &prefix, &value);
		}
	}
	batch_flush(&hash);
	batch_flush(&trie);
}

static void fill_lpm(const struct world *world, const struct bench_prefixes *p)
{
	static struct batch batch;
	struct bench_lpm_value value = { .verdict = SN_VERDICT_ALLOW,
					 .rule_id = 7 };

	batch.fd = map_of(world, p->is6 ? "bench_lpm6" : "bench_lpm4");
	batch.key_bytes = p->is6 ? sizeof(struct bench_lpm6_key) :
				   sizeof(struct bench_lpm4_key);
	batch.value_bytes = sizeof(value);
	for (size_t i = 0; i < p->n; i++) {
		struct bench_lpm6_key key = { .prefix_bits = p->all[i].length };

		(void)memcpy(key.address, p->all[i].address, 16);
		batch_put(&batch, &key, &value);
	}
	batch_flush(&batch);
}

/* The block, the word and the quota; also what the loops read of them. */
static void set_policy(const struct world *world,
		       const struct bench_prefixes *p)
{
	uint32_t slot = BENCH_SLOT;
	uint32_t at = 2 * BENCH_SLOT + (BENCH_GENERATION & 1);
	uint64_t word = SN_WORD(BENCH_GENERATION, 0);
	struct sn_usage usage = { .flow_quota = FLOWS_CAPACITY };
	struct sn_policy policy = {
		.generation = BENCH_GENERATION,
		.mode = SN_MODE_ALLOWLIST,
		.inbound = SN_INBOUND_REPLIES,
	};

	for (size_t i = 0; p->n_lengths <= 5 && i + 1 < p->n_lengths; i++) {
		if (p->is6)
			policy.lengths6[policy.n_lengths6++] =
				(uint8_t)p->lengths[i + 1];
		else
			policy.lengths4[policy.n_lengths4++] =
				(uint8_t)p->lengths[i + 1];
	}
	if (p->n_lengths > 5)
		*(p->is6 ? &policy.trie6 : &policy.trie4) = 1;
	world->job->policy = policy;
	if (bpf_map_update_elem(map_of(world, "sn_policies"), &at, &policy,
				BPF_ANY) ||
	    bpf_map_update_elem(map_of(world, "sn_usage"), &slot, &usage,
				BPF_ANY) ||
	    bpf_map_update_elem(map_of(world, "sn_words"), &slot, &word,
				BPF_ANY))
		err(1, "policy");
}

/* Answered flows to addresses that no rule allows, n in all; the prepared keys
 * name them in random order. */
static void fill_flows(const struct world *world, struct bench_prefixes *p,
		       uint32_t n)
{
	static struct sn_flow_key keys[BENCH_FLOWS];
	uint64_t now = boot_ns(), state = SEED;
	struct sn_flow flow = {
		.admitted = now,
		.judged = now,
		.last_seen = now,
		.rule_id = 7,
		.flags = SN_FLOW_ANSWERED,
	};
	int flows = map_of(world, "sn_flows");
	int prepared = map_of(world, "bench_flows");

	for (uint32_t i = 0; i < n; i++) {
		struct sn_flow_key key = {
			.slot = BENCH_SLOT,
			.protocol = IPPROTO_UDP,
			.family = SN_FAMILY_IPV4,
			.local_port = htons(40000),
			.remote_port = htons((uint16_t)(1 + (i & 0x7fff))),
		};

		(void)memcpy(key.local, world->frame + 26, 4);
		if (!bench_prefixes_miss(p, key.remote))
			errx(1, "the rules cover everything");
		keys[i] = key;
		flow.sealed_word = SN_WORD(BENCH_GENERATION, 0) ^
				   sn_flow_tag(&key);
		if (bpf_map_update_elem(flows, &key, &flow, BPF_ANY))
			err(1, "flow");
	}
	for (uint32_t i = 0; i < BENCH_FLOWS; i++) {
		uint32_t k = (uint32_t)(bench_random(&state) % n);

		if (bpf_map_update_elem(prepared, &i, &keys[k], BPF_ANY))
			err(1, "flow key");
	}
}

static void fill_addresses(const struct world *world, struct bench_prefixes *p,
			   bool hits)
{
	for (uint32_t i = 0; i < BENCH_ADDRESSES; i++) {
		uint8_t address[16] = { 0 };

		if (hits)
			bench_prefixes_hit(p, address);
		else if (!bench_prefixes_miss(p, address))
			errx(1, "the rules cover everything");
		(void)memcpy(world->addresses[i].bytes, address, 16);
	}
}

/* One timed loop; returns ns a step. */
static double run(const struct series *s, uint32_t round)
{
	struct world *world = s->world;
	struct bench_job *job = world->job;
	uint32_t mask = s->program == ESTABLISHED ? BENCH_FLOWS - 1 :
						    BENCH_ADDRESSES - 1;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = world->frame,
		    .data_size_in = world->job->family == SN_FAMILY_IPV4 ? 64 :
									   84);

	job->now = boot_ns();
	job->n = STEPS;
	job->mask = mask;
	job->first = round * STEPS;
	job->port = htons((uint16_t)(1024 + round));
	(void)memset(job->verdicts, 0, sizeof(job->verdicts));
	if (bpf_prog_test_run_opts(world->programs[s->program], &options))
		err(1, "test run of %s", program_names[s->program]);
	if (options.retval)
		errx(1, "%s did not run", program_names[s->program]);
	if (s->program != EMPTY && job->verdicts[s->wanted] != STEPS)
		errx(1,
		     "wrong: %s (%s): of %d verdicts %llu, %llu, %llu, %llu,"
		     " only number %u is right",
		     program_names[s->program], s->variant, STEPS,
		     job->verdicts[0], job->verdicts[1], job->verdicts[2],
		     job->verdicts[3], s->wanted);
	return (double)job->elapsed_ns / STEPS;
}

/* The variants take turns; the first round warms up and is not kept. */
static void race(struct series *all, size_t n, const char *row)
{
	for (uint32_t round = 0; round <= n_rounds; round++) {
		for (size_t i = 0; i < n; i++) {
			double ns = run(&all[i], round);

			if (round)
				all[i].samples[round - 1] = ns;
		}
	}
	for (size_t i = 0; i < n; i++) {
		(void)printf("{%s, \"variant\": \"%s\", \"unit\": \"ns\","
			     " \"samples\": [",
			     row, all[i].variant);
		for (uint32_t k = 0; k < n_rounds; k++)
			(void)printf("%s%.2f", k ? ", " : "",
				     all[i].samples[k]);
		(void)printf("]}\n");
	}
	(void)fflush(stdout);
}

static void bench_lookup(enum bench_mix mix, bool is6, uint32_t n)
{
	struct bench_prefixes *p = bench_prefixes_new(mix, is6, n, SEED + n);
	struct world *world = world_new(is6);
	enum program trie = is6 ? TRIE6 : TRIE4;
	char row[160];

	if (!p)
		err(1, "prefixes");
	fill_rules(world, p);
	fill_lpm(world, p);
	set_policy(world, p);
	for (int hits = 1; hits >= 0; hits--) {
		struct series lookups[] = {
			{ "empty", world, EMPTY, 0, { 0 } },
			{ "sentinel", world, FIND, (uint32_t)hits, { 0 } },
			{ "trie", world, trie, (uint32_t)hits, { 0 } },
		};
		struct series flows[] = {
			{ "empty", world, EMPTY, 0, { 0 } },
			{ "sentinel", world, NEW, 1, { 0 } },
			{ "trie", world, NEW_TRIE, 1, { 0 } },
		};

		/* 0.0.0.0/0 is one of the 33 lengths: nothing misses. */
		if (!hits && !is6 && mix == BENCH_MIX_LENGTHS)
			break;
		fill_addresses(world, p, hits);
		(void)snprintf(row, sizeof(row),
			       "\"row\": \"lookup\", \"family\": %d, \"mix\":"
			       " \"%s\", \"rules\": %u, \"case\": \"%s\"",
			       is6 ? 6 : 4,
			       mix == BENCH_MIX_HOSTS ? "hosts+4" : "33", n,
			       hits ? "hit" : "miss");
		race(lookups, SN_ARRAY_SIZE(lookups), row);
		if (!hits)
			break;
		(void)snprintf(row, sizeof(row),
			       "\"row\": \"new\", \"family\": %d, \"mix\":"
			       " \"%s\", \"rules\": %u, \"case\": \"hit\"",
			       is6 ? 6 : 4,
			       mix == BENCH_MIX_HOSTS ? "hosts+4" : "33", n);
		race(flows, SN_ARRAY_SIZE(flows), row);
	}
	(void)world_free(world);
	(void)bench_prefixes_free(p);
}

static void bench_established(void)
{
	static const uint32_t sizes[] = { 10, 10000, 1000000 };
	static const uint32_t flows[] = { 1000, 100000 };
	static const char *const names[] = { "10", "10000", "1000000" };
	struct bench_prefixes *p[SN_ARRAY_SIZE(sizes)];
	struct world *worlds[SN_ARRAY_SIZE(sizes)];
	struct series all[1 + SN_ARRAY_SIZE(sizes)] = { { 0 } };
	char row[80];

	for (size_t i = 0; i < SN_ARRAY_SIZE(sizes); i++) {
		p[i] = bench_prefixes_new(BENCH_MIX_HOSTS, false, sizes[i],
					  SEED);
		if (!p[i])
			err(1, "prefixes");
		worlds[i] = world_new(false);
		fill_rules(worlds[i], p[i]);
		set_policy(worlds[i], p[i]);
		all[i + 1].variant = names[i];
		all[i + 1].world = worlds[i];
		all[i + 1].program = ESTABLISHED;
		all[i + 1].wanted = 1;
	}
	all[0].variant = "empty";
	all[0].world = worlds[0];
	for (size_t k = 0; k < SN_ARRAY_SIZE(flows); k++) {
		for (size_t i = 0; i < SN_ARRAY_SIZE(sizes); i++)
			fill_flows(worlds[i], p[2], flows[k]);
		(void)snprintf(row, sizeof(row),
			       "\"row\": \"established\", \"flows\": %u",
			       flows[k]);
		race(all, SN_ARRAY_SIZE(all), row);
	}
	for (size_t i = 0; i < SN_ARRAY_SIZE(sizes); i++) {
		(void)world_free(worlds[i]);
		(void)bench_prefixes_free(p[i]);
	}
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 100000, 1000000 };

	if (argc != 4)
		errx(2, "usage: bench-kernel OBJECT ROUNDS QUICK");
	object_path = argv[1];
	n_rounds = (uint32_t)strtoul(argv[2], NULL, 10);
	is_quick = strcmp(argv[3], "1") == 0;
	if (n_rounds < 1 || n_rounds > ROUNDS_MAX)
		errx(2, "rounds: 1 to %d", ROUNDS_MAX);
	bench_established();
	for (size_t i = 0; i < (is_quick ? 1 : SN_ARRAY_SIZE(sizes)); i++) {
		for (int is6 = 0; is6 < 2; is6++) {
			bench_lookup(BENCH_MIX_HOSTS, is6, sizes[i]);
			bench_lookup(BENCH_MIX_LENGTHS, is6, sizes[i]);
		}
	}
	return 0;
}
