/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/tell.h"

#include "test/unit/t.h"

/* As much of it as telling needs: no loop, no kernel. */
struct world {
	struct cp_config_runtime config;
	struct cp_runtime runtime;
	struct cp_runtime_set *set;
};

/* What came, in order: the event's file or "gap". */
struct seen {
	struct cp_runtime_observer observer;
	size_t n;
	char paths[8][32];
	uint64_t number;
};

static void told(struct cp_runtime_observer *observer,
		 const Sentinel__V1__RuntimeEvent *event, uint64_t number)
{
	struct seen *seen = sn_container_of(observer, struct seen, observer);

	t_true(seen->n < SN_ARRAY_SIZE(seen->paths));
	(void)snprintf(seen->paths[seen->n++], sizeof(seen->paths[0]), "%s",
		       event->file ? event->file->path : event->event);
	t_true(number > seen->number);
	seen->number = number;
}

static void add_rule(struct cp_runtime_rules *rules, const char *name,
		     const char *path)
{
	struct sn_diag diag = { .text = "" };

	t_eq(cp_runtime_rules_add(rules, name, &diag), 0);
	t_eq(cp_runtime_rules_put_event(rules, "file_open", &diag), 0);
	t_eq(cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH, path, &diag),
	     0);
}

/* Rules: the configuration's for /c, observer 1's for /a and /b, observer 2's
 * for /b, a watcher's for /w. */
static void begin(struct world *world, struct seen *one, struct seen *two)
{
	const struct cp_runtime_shares shares = {
		.n_configured = 1,
		.n_lasting = 4,
		.n = 2,
		.of = { { 1, 1, 2, 7 }, { 2, 3, 1, 8 } },
	};
	struct cp_runtime_rules *rules;

	*world = (struct world){ .runtime.options.config = &world->config };
	*one = (struct seen){ .observer = { .id = 1, .told = told } };
	*two = (struct seen){ .observer = { .id = 2, .told = told } };
	LIST_INSERT_HEAD(&world->runtime.observers, &one->observer, link);
	LIST_INSERT_HEAD(&world->runtime.observers, &two->observer, link);
	t_eq(cp_runtime_store_new(&world->runtime.store, 1 << 16), 0);
	t_eq(cp_runtime_mounts_new(&world->runtime.mounts), 0);
	t_eq(cp_runtime_rules_new(&rules), 0);
	add_rule(rules, "configured", "/c");
	add_rule(rules, "a", "/a");
	add_rule(rules, "b", "/b");
	add_rule(rules, "b too", "/b");
	add_rule(rules, "watcher", "/w");
	t_eq(cp_runtime_sets_make(&world->set, rules, &shares), 0);
}

static void end(struct world *world)
{
	cp_runtime_sets_unref(world->set);
	cp_runtime_mounts_free(world->runtime.mounts);
	cp_runtime_store_free(world->runtime.store);
}

/* An open that the rules of these numbers match. */
static void tell(struct world *world, const char *path, uint64_t matched)
{
	const struct sn_rt_record head = {
		.kind = SN_RT_KIND_EVENT,
		.event = SN_RT_EVENT_FILE_OPEN,
	};
	const struct cp_runtime_record record = {
		.head = &head,
		.path = { path, strlen(path) },
		.base = { "", 0 },
		.path2 = { "", 0 },
		.base2 = { "", 0 },
		.arguments = { "", 0 },
	};
	const struct sn_rt_bits bits = { .words = { matched } };
	const struct cp_runtime_telling telling = {
		.record = &record,
		.set = world->set,
		.matched = &bits,
	};

	t_eq(cp_runtime_tell_event(&world->runtime, &telling), 0);
}

static void observers_are_told_what_their_own_rules_match(void)
{
	struct world world;
	struct seen one, two;

	begin(&world, &one, &two);
	tell(&world, "/a", 1 << 1);
	tell(&world, "/b", 1 << 2 | 1 << 3);
	tell(&world, "/c", 1 << 0);
	tell(&world, "/w", 1 << 4);
	t_eq(one.n, 2);
	t_str_eq(one.paths[0], "/a");
	t_str_eq(one.paths[1], "/b");
	t_eq(two.n, 1);
	t_str_eq(two.paths[0], "/b");
	/* Theirs are in the set, whether one of them matched or not. */
	t_eq(one.observer.told_version, 7);
	t_eq(two.observer.told_version, 8);
	end(&world);
}

static void what_only_observers_want_is_not_in_the_store(void)
{
	const struct cp_runtime_stored *stored;
	struct cp_runtime_position at = { .number = 1 };
	uint64_t n_lost;
	struct world world;
	struct seen one, two;

	begin(&world, &one, &two);
	tell(&world, "/a", 1 << 1);
	tell(&world, "/w", 1 << 4 | 1 << 1);
	tell(&world, "/c", 1 << 0 | 1 << 2);
	t_eq(one.n, 3);
	t_eq(cp_runtime_store_next(world.runtime.store).number, 3);
	t_eq(cp_runtime_store_read(world.runtime.store, &at, &stored, &n_lost),
	     0);
	t_true(!stored->is_configured);
	t_eq(cp_runtime_store_read(world.runtime.store, &at, &stored, &n_lost),
	     0);
	t_true(stored->is_configured);
	end(&world);
}

static void gaps_and_steps_of_the_clock_are_told_to_all(void)
{
	struct world world;
	struct seen one, two;

	begin(&world, &one, &two);
	cp_runtime_tell_gap(&world.runtime, SN_RT_EVENT_FILE_OPEN,
			    SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_RING, 7);
	cp_runtime_tell_step(&world.runtime, 5);
	t_eq(one.n, 2);
	t_eq(two.n, 2);
	t_str_eq(one.paths[0], "gap");
	t_str_eq(two.paths[1], "clock");
	end(&world);
}

static void observer_that_came_after_the_set_is_told_nothing_of_it(void)
{
	struct seen one, two, late = { .observer = { .id = 3, .told = told } };
	struct world world;

	begin(&world, &one, &two);
	LIST_INSERT_HEAD(&world.runtime.observers, &late.observer, link);
	tell(&world, "/b", 1 << 2 | 1 << 3);
	t_eq(late.n, 0);
	end(&world);
}

T_MAIN("runtime_tell", observers_are_told_what_their_own_rules_match,
       what_only_observers_want_is_not_in_the_store,
       gaps_and_steps_of_the_clock_are_told_to_all,
       observer_that_came_after_the_set_is_told_nothing_of_it)
