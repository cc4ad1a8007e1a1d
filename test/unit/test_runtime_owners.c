/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/owners.h"

#include "controld/attach/item.h"
#include "controld/attach/observe.h"
#include "test/unit/t.h"

/* As much of the manager as asking it needs: no loop, no kernel. */
struct world {
	struct cp_attach manager;
	struct cp_runtime_owners *owners;
};

static void find_mount(char *ret, size_t ret_bytes)
{
	(void)snprintf(ret, ret_bytes, "/mount");
}

static void begin(struct world *world)
{
	*world = (struct world){
		.manager.options.learnt = { .names = 1,
					    .addresses = 1,
					    .addresses_per_name = 1 },
	};
	TAILQ_INIT(&world->manager.learnt);
	t_eq(cp_runtime_owners_new(&world->owners, &world->manager, find_mount),
	     0);
}

static void end(struct world *world)
{
	while (world->manager.n_items > 0)
		cp_attach_item_drop(world->manager.items[0]);
	free(world->manager.items);
	world->owners = cp_runtime_owners_free(world->owners);
	t_true(LIST_EMPTY(&world->manager.observers));
}

/* One that nobody has been told of. */
static struct cp_attach_item *add(struct world *world, uint8_t id,
				  const char *target, char *pod)
{
	const uint8_t whole[SN_ID_BYTES] = { id };
	struct cp_attach_pair pair = { (char[]){ "k8s.io/pod" }, pod };
	struct cp_attach_item *item;

	t_eq(cp_attach_item_new(&item, &world->manager, whole, SN_TARGET_CGROUP,
				target),
	     0);
	t_eq(cp_attach_item_put_metadata(item, &pair, 1), 0);
	t_eq(cp_policy_new(&item->policy, 1), 0);
	t_eq(cp_attach_item_add(item), 0);
	return item;
}

static struct cp_attach_item *attach(struct world *world, uint8_t id,
				     const char *target, char *pod)
{
	struct cp_attach_item *item = add(world, id, target, pod);

	cp_attach_observe_attached(item);
	return item;
}

static const char *find_pod(struct world *world, uint64_t cgroup, char *path)
{
	const struct cp_runtime_bytes bytes = { path, strlen(path) };

	return cp_runtime_owners_find(world->owners, cgroup, bytes)->pod;
}

static void the_nearest_attachment_above_owns(void)
{
	struct world world;

	begin(&world);
	(void)attach(&world, 1, "/mount/a", (char[]){ "outer" });
	(void)attach(&world, 2, "/mount/a/b", (char[]){ "inner" });
	t_str_eq(find_pod(&world, 7, (char[]){ "/a/b/c" }), "inner");
	t_str_eq(find_pod(&world, 8, (char[]){ "/a/bc" }), "outer");
	t_str_eq(find_pod(&world, 9, (char[]){ "/ab" }), "");
	end(&world);
}

/* The control: without a word of it nothing is looked up again. */
static void answers_are_kept_for_a_second(void)
{
	struct world world;

	begin(&world);
	t_str_eq(find_pod(&world, 7, (char[]){ "/a" }), "");
	(void)add(&world, 1, "/mount/a", (char[]){ "new" });
	t_str_eq(find_pod(&world, 7, (char[]){ "/a" }), "");
	cp_runtime_owners_forget(world.owners);
	t_str_eq(find_pod(&world, 7, (char[]){ "/a" }), "new");
	end(&world);
}

static void who_is_attached_owns_at_once(void)
{
	struct world world;

	begin(&world);
	(void)attach(&world, 1, "/mount/a", (char[]){ "outer" });
	t_str_eq(find_pod(&world, 7, (char[]){ "/a/b" }), "outer");
	t_str_eq(find_pod(&world, 8, (char[]){ "/c" }), "");
	(void)attach(&world, 2, "/mount/a/b", (char[]){ "inner" });
	(void)attach(&world, 3, "/mount/c", (char[]){ "other" });
	t_str_eq(find_pod(&world, 7, (char[]){ "/a/b" }), "inner");
	t_str_eq(find_pod(&world, 8, (char[]){ "/c" }), "other");
	end(&world);
}

static void who_is_detached_owns_no_more(void)
{
	struct cp_attach_item *inner;
	struct world world;

	begin(&world);
	(void)attach(&world, 1, "/mount/a", (char[]){ "outer" });
	inner = attach(&world, 2, "/mount/a/b", (char[]){ "inner" });
	t_str_eq(find_pod(&world, 7, (char[]){ "/a/b" }), "inner");
	cp_attach_item_drop(inner);
	t_str_eq(find_pod(&world, 7, (char[]){ "/a/b" }), "outer");
	end(&world);
}

static void an_attachment_begins_the_bound_anew(void)
{
	struct world world;
	char path[] = "/a";

	begin(&world);
	for (uint64_t cgroup = 1; cgroup <= 256; cgroup++)
		(void)find_pod(&world, cgroup, path);
	(void)add(&world, 1, "/mount/a", (char[]){ "old" });
	t_str_eq(find_pod(&world, 257, path), "");
	(void)attach(&world, 2, "/mount/b", (char[]){ "new" });
	t_str_eq(find_pod(&world, 257, path), "old");
	end(&world);
}

T_MAIN("runtime_owners", the_nearest_attachment_above_owns,
       answers_are_kept_for_a_second, who_is_attached_owns_at_once,
       who_is_detached_owns_no_more, an_attachment_begins_the_bound_anew)
