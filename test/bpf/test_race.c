/* SPDX-License-Identifier: Apache-2.0 */

/* Verdicts while the policy changes under them, and conversations with the
 * resolver that begin at the same moment, on two CPUs or more. Each test is also run on a build of the same programs without the check that it is
 * about, and has to catch that one. SN_TEST_RACE_S lengthens it. */

#include "test/bpf/frames.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "shared/util.h"
#include "test/bpf/policies.h"
#include "test/bpf/world.h"
#define T_LIMIT_S 600
#include "test/unit/t.h"

enum {
	DEFAULT_RACE_S = 2,
	/* Unchecked builds fail within well under a second in which both
	 * threads run. */
	CATCH_S = 60,
	REPEAT = 20000,
	N_OTHERS = 32,
};

enum subject {
	DENIED, /* by every generation */
	ALLOWED, /* by every generation */
	CHANGING, /* denied by odd generations, allowed by even ones */
	SUBJECT_COUNT,
};

struct race {
	struct world *world;
	atomic_bool stops;
	atomic_uint_fast64_t n_changes;
	struct frames_frame frames[SUBJECT_COUNT];
	enum subject subject; /* of the reader */
	uint64_t deadline_ns;
	bool ends_on_failure;
	uint64_t n_verdicts;
	uint64_t n_failures;
};

static void start(struct race *race, const char *path)
{
	(void)memset(race, 0, sizeof(*race));
	race->world = world_new(path);
	world_put_iface(race->world, WORLD_SLOT, SN_ROLE_WORKLOAD, true);
	for (int i = 0; i < SUBJECT_COUNT; i++)
		frames_make_udp4((const uint8_t[]){ 10, 0, (uint8_t)i, 77 },
				 40000, 443, &race->frames[i]);
}

static struct cp_policy_compile_row make_row(uint32_t generation,
					     const uint8_t address[4],
					     uint8_t length,
					     enum sn_verdict verdict)
{
	struct cp_policy_compile_row row = {
		.table = SN_TABLE_RULES,
		.key.rule = { .slot = WORLD_SLOT,
			      .generation = generation,
			      .family = SN_FAMILY_IPV4,
			      .prefix_length = length },
		.value = { .n_items = SN_ITEMS_MAX, .prefix_length = length },
	};

	/* All but the last item speak about something else. */
	(void)memcpy(row.key.rule.address, address, 4);
	for (int i = 0; i < SN_ITEMS_MAX; i++)
		row.value.items[i] = (struct sn_rule_item){
			.protocol = i < SN_ITEMS_MAX - 1 ? IPPROTO_SCTP : 0,
			.verdict = verdict,
			.rule_id = 1 + (uint32_t)i,
			.port_high = UINT16_MAX,
		};
	return row;
}

static void make_generation(uint32_t generation,
			    struct cp_policy_compile_row rows[SUBJECT_COUNT],
			    struct sn_policy *block)
{
	bool odd = generation & 1;

	/* The rules stand at the last of the lengths that are looked up, and
	 * without them an odd generation would pass what an even one drops. */
	*block = (struct sn_policy){
		.generation = generation,
		.mode = odd ? SN_MODE_DENYLIST : SN_MODE_ALLOWLIST,
		.inbound = SN_INBOUND_REPLIES,
		.n_lengths4 = SN_LENGTHS_MAX,
		.lengths4 = { 31, 30, 29, 24 },
	};
	for (int i = 0; i < SUBJECT_COUNT; i++) {
		bool denies = i == DENIED || (i == CHANGING && odd);

		rows[i] = make_row(generation,
				   (const uint8_t[]){ 10, 0, (uint8_t)i, 0 },
				   24,
				   denies ? SN_VERDICT_DENY : SN_VERDICT_ALLOW);
	}
}

/* A race is seen only while both threads run, and on a busy machine they hardly
 * ever do at once: those that have to see one go before all others. */
static void take_processor(const struct race *race)
{
	const struct sched_param param = { .sched_priority = 1 };
	int r;

	if (!race->ends_on_failure)
		return;
	r = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
	if (r)
		(void)printf("no precedence: %s\n", strerror(r));
}

/* As sentinel-dp does: entries, block, word, then the old entries. */
static void *flip(void *argument)
{
	struct cp_policy_compile_row rows[2][SUBJECT_COUNT];
	struct race *race = argument;
	struct sn_policy block;

	take_processor(race);
	for (uint32_t generation = 2; !race->stops; generation++) {
		struct cp_policy_compile_row *new = rows[generation & 1];
		struct cp_policy_compile_row *old = rows[!(generation & 1)];

		make_generation(generation, new, &block);
		if (generation == 2)
			make_generation(1, old, &block);
		make_generation(generation, new, &block);
		for (int i = 0; i < SUBJECT_COUNT; i++)
			world_put_row(race->world, &new[i]);
		world_flip(race->world, WORLD_SLOT, &block, 0);
		for (int i = 0; i < SUBJECT_COUNT; i++)
			world_del_row(race->world, &old[i]);
		race->n_changes++;
	}
	return NULL;
}

static uint64_t reason(const struct race *race, enum sn_reason which)
{
	return *(volatile __u64 *)&race->world->reasons[WORLD_SLOT].count[which];
}

/* Every generation has a rule for every subject. */
static uint64_t count_failures(const struct race *race)
{
	struct sn_counters c = world_get_counters(race->world, WORLD_SLOT);
	uint64_t failures = reason(race, SN_REASON_NO_RULE) +
			    reason(race, SN_REASON_HELPER) +
			    reason(race, SN_REASON_NO_POLICY);

	if (race->subject == DENIED)
		failures += c.allowed_packets[SN_EGRESS];
	if (race->subject == ALLOWED)
		failures += reason(race, SN_REASON_DENY_RULE);
	return failures;
}

static void *judge(void *argument)
{
	const struct frames_frame *frame;
	struct race *race = argument;

	take_processor(race);
	frame = &race->frames[race->subject];
	do {
		(void)world_repeat(race->world, WORLD_TC_INGRESS, frame->bytes,
				   frame->size, REPEAT);
		race->n_verdicts += REPEAT;
		race->n_failures = count_failures(race);
	} while (world_now_ns() < race->deadline_ns &&
		 !(race->ends_on_failure && race->n_failures));
	race->stops = true;
	return NULL;
}

static void run(struct race *race, void *(*writer)(void *), uint64_t seconds)
{
	pthread_t threads[2];

	race->deadline_ns = world_now_ns() + seconds * SN_NS_PER_S;
	t_eq(pthread_create(&threads[0], NULL, writer, race), 0);
	t_eq(pthread_create(&threads[1], NULL, judge, race), 0);
	t_eq(pthread_join(threads[1], NULL), 0);
	t_eq(pthread_join(threads[0], NULL), 0);
	(void)printf("subject %d: %" PRIu64 " verdicts, %" PRIu64
		     " changes, %" PRIu64 " dropped as races, %" PRIu64
		     " failures\n",
		     race->subject, race->n_verdicts, (uint64_t)race->n_changes,
		     reason(race, SN_REASON_RACE), race->n_failures);
	(void)fflush(stdout);
}

static void begin_flips(struct race *race, const char *path,
			enum subject subject)
{
	struct cp_policy_compile_row rows[SUBJECT_COUNT];
	struct sn_policy block;

	start(race, path);
	race->subject = subject;
	make_generation(1, rows, &block);
	for (int i = 0; i < SUBJECT_COUNT; i++)
		world_put_row(race->world, &rows[i]);
	world_flip(race->world, WORLD_SLOT, &block, 0);
}

static uint64_t race_seconds(void)
{
	return world_setting("SN_TEST_RACE_S", DEFAULT_RACE_S);
}

static void flips_never_mix(enum subject subject)
{
	static struct race race;

	begin_flips(&race, NULL, subject);
	run(&race, flip, race_seconds());
	t_eq(race.n_failures, 0);
	t_true(race.n_changes > 1000);
	/* The reader did judge while they went on. */
	t_true(reason(&race, SN_REASON_RACE) < race.n_verdicts / 2);
	world_free(race.world);
}

static void what_all_generations_deny_never_passes(void)
{
	flips_never_mix(DENIED);
}

static void what_all_generations_allow_is_never_denied(void)
{
	flips_never_mix(ALLOWED);
}

static void what_generations_differ_on_follows_one_of_them(void)
{
	flips_never_mix(CHANGING);
}

/* The build directory is three levels above this program. */
static char *build_path(const char *name)
{
	static char path[4096 + 64];
	ssize_t n = readlink("/proc/self/exe", path, 4096);

	t_true(n > 0 && n < 4096);
	path[n] = '\0';
	for (int i = 0; i < 3; i++) {
		char *slash = strrchr(path, '/');

		t_not_null(slash);
		*slash = '\0';
	}
	(void)snprintf(path + strlen(path), 64, "/bpf/%s", name);
	return path;
}

static void without_the_second_look_flips_are_caught_mixing(void)
{
	static struct race race;

	begin_flips(&race, build_path("no_recheck.o"), DENIED);
	race.ends_on_failure = true;
	run(&race, flip, CATCH_S);
	t_true(race.n_failures > 0);
	world_free(race.world);
}

/* The denied address's own entry comes and goes, the network's deny stays, and
 * every other entry, which may take the place of the first in memory, allows. */
static void *churn(void *argument)
{
	static const uint8_t address[4] = { 10, 0, DENIED, 77 };
	struct cp_policy_compile_row own, others[N_OTHERS];
	struct race *race = argument;

	own = make_row(1, address, 32, SN_VERDICT_DENY);
	for (int i = 0; i < N_OTHERS; i++) {
		const uint8_t other[4] = { 10, 9, 9, (uint8_t)i };

		others[i] = make_row(1, other, 32, SN_VERDICT_ALLOW);
		others[i].value.items[0].protocol = 0;
	}
	take_processor(race);
	for (uint32_t i = 0; !race->stops; i++) {
		struct cp_policy_compile_row *other = &others[i % N_OTHERS];

		world_put_row(race->world, &own);
		world_del_row(race->world, &own);
		world_put_row(race->world, other);
		world_del_row(race->world, other);
		race->n_changes++;
	}
	return NULL;
}

static void begin_churn(struct race *race, const char *path)
{
	begin_flips(race, path, DENIED);
	race->subject = DENIED;
}

static void recycled_entries_never_speak_for_others(void)
{
	static struct race race;

	begin_churn(&race, NULL);
	run(&race, churn, race_seconds());
	t_eq(race.n_failures, 0);
	t_true(race.n_changes > 1000);
	world_free(race.world);
}

static void without_the_seal_recycled_entries_are_caught(void)
{
	static struct race race;

	begin_churn(&race, build_path("no_seal.o"));
	race.ends_on_failure = true;
	run(&race, churn, CATCH_S);
	t_true(race.n_failures > 0);
	world_free(race.world);
}

/* A client that asks the resolver, and ends its conversation at once. */
struct asker {
	struct race *race;
	struct frames_frame frame;
	uint16_t port; /* network order */
	struct sn_dns_nat_key place; /* when it was alone */
	atomic_uint_fast64_t n_asked;
	uint64_t n_robbed; /* of its place */
};

static struct sn_dns_nat_key ask(const struct asker *asker)
{
	const struct frames_frame *frame = &asker->frame;
	uint8_t out[FRAMES_BYTES];
	size_t size = sizeof(out);
	struct world_skb skb = { 0 };
	struct sn_dns_nat_key key = { .slot = WORLD_SLOT,
				      .family = SN_FAMILY_IPV4,
				      .protocol = IPPROTO_UDP };

	t_eq((int)world_run_skb(asker->race->world, WORLD_TC_INGRESS,
				frame->bytes, frame->size, &skb, out, &size),
	     WORLD_REDIRECT);
	(void)memcpy(&key.port, out + frame->payload - sizeof(struct udphdr),
		     sizeof(key.port));
	return key;
}

static void end_conversation(const struct asker *asker,
			     const struct sn_dns_nat_key *key)
{
	(void)world_del(asker->race->world, WORLD_DNS_NAT, key);
}

static void *ask_on(void *argument)
{
	struct asker *asker = argument;
	struct race *race = asker->race;
	int map = race->world->maps[WORLD_DNS_NAT];

	take_processor(race);
	do {
		struct sn_dns_nat_key key = ask(asker);
		struct sn_dns_nat nat;

		if (bpf_map_lookup_elem(map, &key, &nat) ||
		    nat.client_port != asker->port)
			asker->n_robbed++;
		end_conversation(asker, &key);
		asker->n_asked++;
		if (race->ends_on_failure && asker->n_robbed)
			race->stops = true;
	} while (world_now_ns() < race->deadline_ns && !race->stops);
	return NULL;
}

static void make_asker(struct race *race, uint16_t port, struct asker *ret)
{
	*ret = (struct asker){ .race = race, .port = htons(port) };
	frames_make_udp4((const uint8_t[]){ 9, 9, 9, 9 }, port, 53,
			 &ret->frame);
	ret->place = ask(ret);
	end_conversation(ret, &ret->place);
}

/* Two clients whose first choice is one place: of 8,192 that choose from some
 * 32,768 there are about a thousand such pairs. */
static void make_rivals(struct race *race, struct asker rivals[2])
{
	static uint16_t taken[1 << 16]; /* by which client's port */

	(void)memset(taken, 0, sizeof(taken));
	for (uint16_t port = 1024; port < 1024 + 8192; port++) {
		make_asker(race, port, &rivals[0]);
		if (taken[rivals[0].place.port]) {
			make_asker(race, taken[rivals[0].place.port],
				   &rivals[1]);
			t_eq(rivals[0].place.port, rivals[1].place.port);
			return;
		}
		taken[rivals[0].place.port] = port;
	}
	t_fail("no two clients want one place");
}

/* Answers how often one took the other's place. */
static uint64_t run_rivals(struct race *race, const char *path,
			   uint64_t seconds)
{
	struct sn_policy block = {
		.generation = 1,
		.mode = SN_MODE_ALLOWLIST,
		.inbound = SN_INBOUND_REPLIES,
		.dns = SN_DNS_STEERING_ON,
	};
	struct sn_dns dns = policies_dns(true);
	static struct asker rivals[2];
	pthread_t threads[2];
	uint32_t zero = 0;

	start(race, path);
	race->ends_on_failure = path;
	world_put(race->world, WORLD_DNS, &zero, &dns);
	world_flip(race->world, WORLD_SLOT, &block, 0);
	make_rivals(race, rivals);
	race->deadline_ns = world_now_ns() + seconds * SN_NS_PER_S;
	for (int i = 0; i < 2; i++)
		t_eq(pthread_create(&threads[i], NULL, ask_on, &rivals[i]), 0);
	for (int i = 0; i < 2; i++)
		t_eq(pthread_join(threads[i], NULL), 0);
	(void)printf("asked %" PRIu64 " and %" PRIu64 " times, robbed %" PRIu64
		     " and %" PRIu64 "\n",
		     (uint64_t)rivals[0].n_asked, (uint64_t)rivals[1].n_asked,
		     rivals[0].n_robbed, rivals[1].n_robbed);
	world_free(race->world);
	t_true(rivals[0].n_asked > 0 && rivals[1].n_asked > 0);
	return rivals[0].n_robbed + rivals[1].n_robbed;
}

static void conversations_that_want_one_free_place_get_two(void)
{
	static struct race race;

	t_eq(run_rivals(&race, NULL, race_seconds()), 0);
}

static void without_the_claim_conversations_are_caught_robbing(void)
{
	static struct race race;

	t_true(run_rivals(&race, build_path("no_claim.o"), CATCH_S) > 0);
}

T_MAIN("race", what_all_generations_deny_never_passes,
       what_all_generations_allow_is_never_denied,
       what_generations_differ_on_follows_one_of_them,
       without_the_second_look_flips_are_caught_mixing,
       recycled_entries_never_speak_for_others,
       without_the_seal_recycled_entries_are_caught,
       conversations_that_want_one_free_place_get_two,
       without_the_claim_conversations_are_caught_robbing)
