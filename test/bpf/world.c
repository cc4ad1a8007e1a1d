/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bpf/world.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <time.h>

#include "sentinel.skel.h"
#include "shared/ring.h"
#include "shared/util.h"
#include "test/unit/t.h"

enum {
	HASH_ENTRIES = 1024,
	RULE_ENTRIES = 65536,
	NAT_ENTRIES = 1 << 17, /* all ports of a slot, none pushed out */
	RING_BYTES = 65536,
};

static const char *const program_names[WORLD_PROGRAM_COUNT] = {
	[WORLD_TC_INGRESS] = "sn_tc_ingress",
	[WORLD_TC_EGRESS] = "sn_tc_egress",
	[WORLD_SKB_INGRESS] = "sn_skb_ingress",
	[WORLD_SKB_EGRESS] = "sn_skb_egress",
	[WORLD_DNS_RETURN] = "sn_dns_return",
	[WORLD_DNS_FILTER_CGROUP] = "sn_dns_filter_cgroup",
};

static const char *const map_names[WORLD_MAP_COUNT] = {
	[WORLD_RULES] = "sn_rules",	    [WORLD_PREFIXES] = "sn_prefixes",
	[WORLD_FLOWS] = "sn_flows",	    [WORLD_FLOWS_NEW] = "sn_flows_new",
	[WORLD_FRAGMENTS] = "sn_fragments", [WORLD_DENIED] = "sn_denied",
	[WORLD_IFACES] = "sn_ifaces",	    [WORLD_EVENTS] = "sn_events",
	[WORLD_COUNTERS] = "sn_counters",   [WORLD_REASONS] = "sn_reasons",
	[WORLD_WORDS] = "sn_words",	    [WORLD_POLICIES] = "sn_policies",
	[WORLD_USAGE] = "sn_usage",	    [WORLD_DNS] = "sn_dns",
	[WORLD_DNS_NAT] = "sn_dns_nat",
};

static uint32_t entries_of(const char *name, enum bpf_map_type type,
			   uint32_t n_cpus)
{
	if (type == BPF_MAP_TYPE_RINGBUF)
		return RING_BYTES;
	if (!strcmp(name, "sn_rules") || !strcmp(name, "sn_prefixes"))
		return RULE_ENTRIES;
	if (!strcmp(name, "sn_dns_nat"))
		return NAT_ENTRIES;
	if (!strcmp(name, "sn_counters"))
		return WORLD_SLOTS * n_cpus;
	if (!strcmp(name, "sn_policies"))
		return 2 * WORLD_SLOTS;
	return type == BPF_MAP_TYPE_ARRAY ? WORLD_SLOTS : HASH_ENTRIES;
}

/* sn_n_cpus is the object's only constant; each file that was joined left
 * room for its own one. */
static void set_n_cpus(struct bpf_map *map, uint32_t n_cpus)
{
	uint32_t value[16] = { n_cpus };
	size_t size = 0;

	(void)bpf_map__initial_value(map, &size);
	t_true(size >= 4 && size <= sizeof(value));
	t_eq(bpf_map__set_initial_value(map, value, size), 0);
}

static void set_sizes(struct world *world)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, world->object) {
		const char *name = bpf_map__name(map);
		enum bpf_map_type type = bpf_map__type(map);

		if (strstr(name, ".rodata"))
			set_n_cpus(map, world->n_cpus);
		if (strncmp(name, "sn_", 3) != 0 ||
		    type == BPF_MAP_TYPE_CGROUP_STORAGE ||
		    type == BPF_MAP_TYPE_SK_STORAGE)
			continue;
		t_eq(bpf_map__set_max_entries(map, entries_of(name, type,
							      world->n_cpus)),
		     0);
	}
}

static void *map_memory(const struct world *world, enum world_map map,
			size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			world->maps[map], 0);

	if (at == MAP_FAILED)
		t_fail("mmap of %s: %s", map_names[map], strerror(errno));
	return at;
}

static void find_parts(struct world *world)
{
	int r;

	for (int i = 0; i < WORLD_PROGRAM_COUNT; i++) {
		const struct bpf_program *program =
			bpf_object__find_program_by_name(world->object,
							 program_names[i]);

		world->programs[i] = program ? bpf_program__fd(program) : -1;
	}
	for (int i = 0; i < WORLD_MAP_COUNT; i++) {
		world->maps[i] = bpf_object__find_map_fd_by_name(world->object,
								 map_names[i]);
		t_true(world->maps[i] >= 0);
	}
	world->words = map_memory(world, WORLD_WORDS,
				  WORLD_SLOTS * sizeof(*world->words));
	world->policies =
		map_memory(world, WORLD_POLICIES,
			   2 * WORLD_SLOTS * sizeof(*world->policies));
	world->usage = map_memory(world, WORLD_USAGE,
				  WORLD_SLOTS * sizeof(*world->usage));
	world->reasons = map_memory(world, WORLD_REASONS,
				    WORLD_SLOTS * sizeof(*world->reasons));
	world->counters = map_memory(world, WORLD_COUNTERS,
				     WORLD_SLOTS * world->n_cpus *
					     sizeof(*world->counters));
	r = sn_ring_new(&world->events, world->maps[WORLD_EVENTS], RING_BYTES);
	t_eq(r, 0);
}

__attribute__((format(printf, 2, 0))) static int
print_warnings(enum libbpf_print_level level, const char *format,
	       va_list arguments)
{
	if (level != LIBBPF_WARN)
		return 0;
	return vfprintf(stderr, format, arguments);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static bool has_slept(void)
{
	uint64_t monotonic = read_clock(CLOCK_MONOTONIC);

	return read_clock(CLOCK_BOOTTIME) - monotonic > SN_NS_PER_S;
}

struct world *world_new(const char *path)
{
	struct world *world = calloc(1, sizeof(*world));
	const void *elf;
	size_t size;

	t_not_null(world);
	if (has_slept())
		t_fail("the machine has slept: start it again for this test");
	(void)libbpf_set_print(print_warnings);
	world->n_cpus = (uint32_t)libbpf_num_possible_cpus();
	if (path) {
		world->object = bpf_object__open_file(path, NULL);
	} else {
		elf = sentinel_bpf__elf_bytes(&size);
		world->object = bpf_object__open_mem(elf, size, NULL);
	}
	if (!world->object)
		t_fail("cannot open %s: %s", path ? path : "the object",
		       strerror(errno));
	set_sizes(world);
	t_eq(bpf_object__load(world->object), 0);
	find_parts(world);
	return world;
}

struct world *world_free(struct world *world)
{
	if (!world)
		return NULL;
	sn_ring_free(world->events);
	(void)munmap(world->words, WORLD_SLOTS * sizeof(*world->words));
	(void)munmap(world->policies,
		     2 * WORLD_SLOTS * sizeof(*world->policies));
	(void)munmap(world->usage, WORLD_SLOTS * sizeof(*world->usage));
	(void)munmap(world->reasons, WORLD_SLOTS * sizeof(*world->reasons));
	(void)munmap(world->counters,
		     WORLD_SLOTS * world->n_cpus * sizeof(*world->counters));
	bpf_object__close(world->object);
	free(world);
	return NULL;
}

uint64_t world_now_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

uint64_t world_tick_ns(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

static uint32_t run(const struct world *world, enum world_program program,
		    struct bpf_test_run_opts *options)
{
	int r = bpf_prog_test_run_opts(world->programs[program], options);

	if (r)
		t_fail("test run of %s with %u bytes: %s",
		       program_names[program], options->data_size_in,
		       strerror(-r));
	return options->retval;
}

uint32_t world_run(const struct world *world, enum world_program program,
		   const void *frame, size_t size)
{
	return world_run_gso(world, program, frame, size, 0, 0);
}

uint32_t world_run_gso(const struct world *world, enum world_program program,
		       const void *frame, size_t size, uint32_t gso_segs,
		       uint32_t gso_size)
{
	struct world_skb skb = { .gso_segs = gso_segs, .gso_size = gso_size };

	return world_run_skb(world, program, frame, size, &skb, NULL, NULL);
}

uint32_t world_run_skb(const struct world *world, enum world_program program,
		       const void *frame, size_t size, struct world_skb *skb,
		       void *out, size_t *out_size)
{
	struct __sk_buff context = {
		.gso_segs = skb->gso_segs,
		.gso_size = skb->gso_size,
		.mark = skb->mark,
		.ingress_ifindex = skb->ingress_ifindex,
	};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame,
		    .data_size_in = (uint32_t)size, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .ctx_out = &context,
		    .ctx_size_out = sizeof(context));
	uint32_t r;

	if (out) {
		options.data_out = out;
		options.data_size_out = (uint32_t)*out_size;
	}
	r = run(world, program, &options);
	if (out)
		*out_size = options.data_size_out;
	skb->mark = context.mark;
	return r;
}

uint32_t world_repeat(const struct world *world, enum world_program program,
		      const void *frame, size_t size, uint32_t repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame,
		    .data_size_in = (uint32_t)size, .repeat = (int)repeat);

	return run(world, program, &options);
}

void world_put(const struct world *world, enum world_map map, const void *key,
	       const void *value)
{
	int r = bpf_map_update_elem(world->maps[map], key, value, BPF_ANY);

	if (r)
		t_fail("update of %s: %s", map_names[map], strerror(-r));
}

bool world_del(const struct world *world, enum world_map map, const void *key)
{
	int r = bpf_map_delete_elem(world->maps[map], key);

	if (r && r != -ENOENT)
		t_fail("delete in %s: %s", map_names[map], strerror(-r));
	return r == 0;
}

void world_take_all(const struct world *world, enum world_map map,
		    struct world_found *ret)
{
	int fd = world->maps[map];
	struct world_found found = { .n = 0 };

	_Static_assert(sizeof(found.keys[0]) == 44, "one key size");
	for (uint8_t key[44]; bpf_map_get_next_key(fd, NULL, key) == 0;) {
		if (found.n < WORLD_FOUND_MAX) {
			(void)memcpy(&found.keys[found.n], key, sizeof(key));
			t_eq(bpf_map_lookup_elem(fd, key,
						 &found.values[found.n]),
			     0);
		}
		found.n++;
		t_true(world_del(world, map, key));
	}
	*ret = found;
}

size_t world_take_nat(const struct world *world, struct sn_dns_nat_key *keys,
		      struct sn_dns_nat *values, size_t max)
{
	int fd = world->maps[WORLD_DNS_NAT];
	size_t n = 0;

	for (struct sn_dns_nat_key key;
	     bpf_map_get_next_key(fd, NULL, &key) == 0; n++) {
		if (n < max) {
			keys[n] = key;
			t_eq(bpf_map_lookup_elem(fd, &key, &values[n]), 0);
		}
		t_true(world_del(world, WORLD_DNS_NAT, &key));
	}
	return n;
}

void world_put_iface(const struct world *world, uint32_t slot,
		     enum sn_role role, bool ethernet)
{
	uint32_t ifindex = WORLD_IFINDEX;
	struct sn_iface iface = {
		.slot = slot,
		.ifindex = ifindex,
		.role = (uint8_t)role,
		.ethernet = ethernet,
	};

	world_put(world, WORLD_IFACES, &ifindex, &iface);
}

void world_put_row(struct world *world, struct cp_policy_compile_row *row)
{
	row->value.tag = sn_seal_tag(&row->key);
	row->value.seq = ++world->next_seq;
	*sn_rule_end(&row->value, row->value.n_items) =
		row->value.tag + row->value.seq;
	row->value.used = world_now_ns();
	world_put(world,
		  row->table == SN_TABLE_PREFIXES ? WORLD_PREFIXES :
						    WORLD_RULES,
		  &row->key, &row->value);
}

void world_del_row(const struct world *world,
		   const struct cp_policy_compile_row *row)
{
	(void)world_del(world,
			row->table == SN_TABLE_PREFIXES ? WORLD_PREFIXES :
							  WORLD_RULES,
			&row->key);
}

void world_flip(const struct world *world, uint32_t slot,
		const struct sn_policy *block, uint32_t revision)
{
	world->policies[2 * slot + (block->generation & 1)] = *block;
	__atomic_store_n(&world->words[slot],
			 SN_WORD(block->generation, revision),
			 __ATOMIC_RELEASE);
}

struct sn_counters world_get_counters(const struct world *world, uint32_t slot)
{
	struct sn_counters sum = { .allowed_packets = { 0 } };

	for (uint32_t cpu = 0; cpu < world->n_cpus; cpu++) {
		const struct sn_counters *c =
			&world->counters[slot * world->n_cpus + cpu];

		for (int i = 0; i < 2; i++) {
			sum.allowed_packets[i] += c->allowed_packets[i];
			sum.allowed_bytes[i] += c->allowed_bytes[i];
			sum.blocked_packets[i] += c->blocked_packets[i];
			sum.blocked_bytes[i] += c->blocked_bytes[i];
		}
	}
	return sum;
}

static void keep_event(void *userdata, const void *record, size_t size)
{
	t_eq(size, sizeof(struct sn_event));
	(void)memcpy(userdata, record, size);
}

unsigned int world_take_events(const struct world *world, struct sn_event *ret)
{
	unsigned int n = 0;

	t_eq(sn_ring_read(world->events, UINT32_MAX, &n, keep_event, ret), 0);
	return n;
}

uint64_t world_random(struct world_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t world_random_below(struct world_random *random, uint32_t n)
{
	return (uint32_t)((world_random(random) >> 32) * n >> 32);
}

bool world_random_chance(struct world_random *random, uint32_t percent)
{
	return world_random_below(random, 100) < percent;
}

uint64_t world_setting(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : fallback;
}

uint64_t world_seed(const char *test)
{
	uint64_t seed = world_setting("SN_TEST_SEED", world_now_ns());

	(void)printf("%s: SN_TEST_SEED=%" PRIu64 "\n", test, seed);
	(void)fflush(stdout);
	return seed;
}
