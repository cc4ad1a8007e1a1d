/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/watch.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "controld/target/folders.h"
#include "controld/target/links.h"
#include "controld/target/name.h"
#include "controld/target/probe.h"

/* News about interfaces say themselves what happened. Everything else (a new
 * watch, lost news, any event about a cgroup) only marks items for a look by a
 * worker, a bounded number at a time, whose finding is what counts. What the
 * owner is to be told goes through a list that a timer empties, so no callback
 * runs inside a call. An item is on at most one of the lists `idle`, `marked`
 * and `told`; one that a worker looks at is freed only afterwards. */

enum {
	PROBES_PER_JOB = 1024,
	RETRY_MS = 1000,
};

enum notice {
	NOTICE_NONE,
	NOTICE_RENAMED,
	NOTICE_GONE,
	NOTICE_APPEARED,
};

struct item {
	TAILQ_ENTRY(item) link;
	LIST_ENTRY(item) iface_link;
	struct items *list;
	void *cookie;
	struct cp_target_folders_user user; /* cgroups: user.path is set */
	uint64_t id;
	uint32_t ifindex;
	enum notice notice;
	const char *reason;
	bool is_iface;
	bool is_expected;
	bool is_probed; /* a worker looks at it */
	bool is_dead; /* free it when the worker is done */
	bool is_touched; /* changed since the worker began */
	char name[IF_NAMESIZE];
	char path[];
};

TAILQ_HEAD(items, item);

struct cp_target_watch {
	uv_loop_t *loop;
	uv_timer_t notice_timer;
	uv_timer_t retry_timer;
	uv_work_t work;
	struct cp_target_links links;
	struct cp_target_folders folders;
	struct cp_target_watch_events events;
	void *userdata;
	void *cookies; /* tsearch(3) */
	struct items idle;
	struct items marked;
	struct items told;
	LIST_HEAD(, item) ifaces;
	struct cp_target_probe *probes;
	size_t n_probes;
	int n_handles;
	bool is_working;
	bool is_closing;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

static void start_job(struct cp_target_watch *watch);

static int compare(const void *a, const void *b)
{
	uintptr_t one = (uintptr_t)((const struct item *)a)->cookie;
	uintptr_t other = (uintptr_t)((const struct item *)b)->cookie;

	return (one > other) - (one < other);
}

static struct item *find(struct cp_target_watch *watch, const void *cookie)
{
	const struct item key = { .cookie = (void *)(uintptr_t)cookie };
	void *node = tfind(&key, &watch->cookies, compare);

	return node ? *(struct item **)node : NULL;
}

static void move(struct item *item, struct items *list)
{
	if (item->list)
		TAILQ_REMOVE(item->list, item, link);
	item->list = list;
	if (list)
		TAILQ_INSERT_TAIL(list, item, link);
}

static void drop(struct cp_target_watch *watch, struct item *item)
{
	(void)tdelete(item, &watch->cookies, compare);
	move(item, NULL);
	if (item->is_iface)
		LIST_REMOVE(item, iface_link);
	else
		cp_target_folders_remove(&watch->folders, &item->user);
	if (item->is_probed)
		item->is_dead = true;
	else
		free(item);
}

static void mark(struct cp_target_watch *watch, struct item *item)
{
	item->is_touched = true;
	if (item->notice == NOTICE_NONE)
		move(item, &watch->marked);
	if (!watch->is_working)
		start_job(watch);
}

/* Calls the owner for what has been noticed up to now. */
static void deliver(uv_timer_t *timer)
{
	struct cp_target_watch *watch =
		sn_container_of(timer, struct cp_target_watch, notice_timer);
	struct item *item;

	while (!watch->is_closing && (item = TAILQ_FIRST(&watch->told))) {
		enum notice notice = item->notice;
		void *cookie = item->cookie;
		const char *reason = item->reason;
		char name[IF_NAMESIZE];

		(void)memcpy(name, item->name, sizeof(name));
		item->notice = NOTICE_NONE;
		if (notice == NOTICE_RENAMED)
			mark(watch, item); /* news may have been lost since */
		else
			drop(watch, item);
		if (notice == NOTICE_RENAMED)
			watch->events.renamed(watch->userdata, cookie, name);
		else if (notice == NOTICE_GONE)
			watch->events.gone(watch->userdata, cookie, reason);
		else
			watch->events.appeared(watch->userdata, cookie);
	}
}

/* What ends a watch is not replaced by a later notice. */
static void tell(struct cp_target_watch *watch, struct item *item,
		 enum notice notice, const char *reason)
{
	if (item->notice == NOTICE_GONE || item->notice == NOTICE_APPEARED)
		return;
	item->notice = notice;
	item->reason = reason;
	move(item, &watch->told);
	if (!watch->is_closing)
		(void)uv_timer_start(&watch->notice_timer, deliver, 0, 0);
}

static void rename_item(struct cp_target_watch *watch, struct item *item,
			const char *name)
{
	if (strcmp(item->name, name) == 0)
		return;
	(void)memcpy(item->name, name, sizeof(item->name));
	tell(watch, item, NOTICE_RENAMED, NULL);
}

static void link_changed(struct cp_target_links *links, bool deleted,
			 const struct cp_target_resolve_iface *iface)
{
	struct cp_target_watch *watch =
		sn_container_of(links, struct cp_target_watch, links);
	struct item *item;

	LIST_FOREACH(item, &watch->ifaces, iface_link) {
		if (item->is_expected) {
			if (!deleted && strcmp(item->name, iface->name) == 0)
				tell(watch, item, NOTICE_APPEARED, NULL);
			continue;
		}
		if (item->ifindex != iface->ifindex)
			continue;
		item->is_touched = true;
		if (deleted)
			tell(watch, item, NOTICE_GONE,
			     "interface removed or moved to another namespace");
		else
			rename_item(watch, item, iface->name);
	}
}

static void links_lost(struct cp_target_links *links)
{
	struct cp_target_watch *watch =
		sn_container_of(links, struct cp_target_watch, links);
	struct item *item;

	LIST_FOREACH(item, &watch->ifaces, iface_link)
		mark(watch, item);
}

static void folder_changed(struct cp_target_folders *folders,
			   struct cp_target_folders_user *user)
{
	struct cp_target_watch *watch =
		sn_container_of(folders, struct cp_target_watch, folders);

	mark(watch, sn_container_of(user, struct item, user));
}

static void place_and_mark(struct cp_target_watch *watch, struct items *list)
{
	struct item *item, *next;

	for (item = TAILQ_FIRST(list); item; item = next) {
		next = TAILQ_NEXT(item, link);
		if (item->is_iface)
			continue;
		(void)cp_target_folders_put(&watch->folders, &item->user);
		item->is_touched = true;
		if (list == &watch->idle)
			mark(watch, item);
	}
}

static void folders_changed(struct cp_target_folders *folders)
{
	struct cp_target_watch *watch =
		sn_container_of(folders, struct cp_target_watch, folders);

	place_and_mark(watch, &watch->marked);
	place_and_mark(watch, &watch->idle);
}

static void judge_iface(struct cp_target_watch *watch, struct item *item,
			const struct cp_target_probe *probe)
{
	if (item->is_expected) {
		if (probe->status == 0)
			tell(watch, item, NOTICE_APPEARED, NULL);
	} else if (probe->status == -ENOENT) {
		tell(watch, item, NOTICE_GONE, "interface is not there");
	} else if (!item->is_touched) {
		/* Else newer news than the worker's came meanwhile. */
		rename_item(watch, item, probe->name);
	}
}

static void judge_cgroup(struct cp_target_watch *watch, struct item *item,
			 const struct cp_target_probe *probe)
{
	if (item->is_expected) {
		if (probe->status == 0)
			tell(watch, item, NOTICE_APPEARED, NULL);
	} else if (probe->status == -ENOENT) {
		tell(watch, item, NOTICE_GONE, "cgroup removed");
	} else if (probe->id != item->id) {
		tell(watch, item, NOTICE_GONE, "cgroup removed and made anew");
	}
}

static void retry(uv_timer_t *timer)
{
	struct cp_target_watch *watch =
		sn_container_of(timer, struct cp_target_watch, retry_timer);

	if (!watch->is_working && !watch->is_closing)
		start_job(watch);
}

static void judge(struct cp_target_watch *watch,
		  const struct cp_target_probe *probe)
{
	struct item *item = probe->userdata;

	item->is_probed = false;
	if (item->is_dead) {
		free(item);
		return;
	}
	/* What cannot be told now, or has no inotify watch, is looked at again
	 * a little later. */
	if ((probe->status < 0 && probe->status != -ENOENT) ||
	    (!item->is_iface && !cp_target_folders_has(&item->user))) {
		if (!item->is_iface && !cp_target_folders_has(&item->user))
			(void)cp_target_folders_put(&watch->folders,
						    &item->user);
		if (item->notice == NOTICE_NONE)
			move(item, &watch->marked);
	}
	if (probe->status < 0 && probe->status != -ENOENT)
		return;
	if (item->is_iface)
		judge_iface(watch, item, probe);
	else
		judge_cgroup(watch, item, probe);
}

static void close_handles(struct cp_target_watch *watch);

static void worked(uv_work_t *request, int status)
{
	struct cp_target_watch *watch =
		sn_container_of(request, struct cp_target_watch, work);
	bool any_left = !TAILQ_EMPTY(&watch->marked);

	watch->is_working = false;
	for (size_t i = 0; i < watch->n_probes; i++) {
		if (status < 0)
			watch->probes[i].status = -EAGAIN;
		judge(watch, &watch->probes[i]);
	}
	free(watch->probes);
	watch->probes = NULL;
	watch->n_probes = 0;
	if (watch->is_closing)
		close_handles(watch);
	else if (any_left)
		start_job(watch);
	else if (!TAILQ_EMPTY(&watch->marked))
		(void)uv_timer_start(&watch->retry_timer, retry, RETRY_MS, 0);
}

static void work(uv_work_t *request)
{
	struct cp_target_watch *watch =
		sn_container_of(request, struct cp_target_watch, work);

	cp_target_probe_run(watch->probes, watch->n_probes);
}

static void fill_probe(struct cp_target_probe *probe, struct item *item)
{
	*probe = (struct cp_target_probe){ .userdata = item };
	if (!item->is_iface)
		probe->path = item->path;
	else if (!item->is_expected)
		probe->ifindex = item->ifindex;
	(void)memcpy(probe->name, item->name, sizeof(probe->name));
	item->is_probed = true;
	item->is_touched = false;
}

static void start_job(struct cp_target_watch *watch)
{
	struct item *item;
	int r = -ENOMEM;

	if (watch->is_closing || TAILQ_EMPTY(&watch->marked))
		return;
	watch->probes = calloc(PROBES_PER_JOB, sizeof(*watch->probes));
	if (watch->probes) {
		watch->n_probes = 0;
		while (watch->n_probes < PROBES_PER_JOB &&
		       (item = TAILQ_FIRST(&watch->marked))) {
			move(item, &watch->idle);
			fill_probe(&watch->probes[watch->n_probes++], item);
		}
		r = uv_queue_work(watch->loop, &watch->work, work, worked);
	}
	if (r == 0) {
		watch->is_working = true;
		return;
	}
	for (size_t i = 0; i < watch->n_probes; i++) {
		item = watch->probes[i].userdata;
		item->is_probed = false;
		move(item, &watch->marked);
	}
	free(watch->probes);
	watch->probes = NULL;
	watch->n_probes = 0;
	(void)uv_timer_start(&watch->retry_timer, retry, RETRY_MS, 0);
}

/* Takes item, also on failure. */
static int add(struct cp_target_watch *watch, struct item *item)
{
	int r = 0;

	if (find(watch, item->cookie)) {
		free(item);
		return -EEXIST;
	}
	/* What was queued before concerns whoever had this name or ifindex
	 * then. */
	if (item->is_iface)
		cp_target_links_drain(&watch->links);
	else
		r = cp_target_folders_put(&watch->folders, &item->user);
	if (r == 0 && !tsearch(item, &watch->cookies, compare))
		r = -ENOMEM;
	if (r < 0) {
		cp_target_folders_remove(&watch->folders, &item->user);
		free(item);
		return r;
	}
	if (item->is_iface)
		LIST_INSERT_HEAD(&watch->ifaces, item, iface_link);
	mark(watch, item);
	return 0;
}

static int add_iface(struct cp_target_watch *watch, uint32_t ifindex,
		     const char *name, void *cookie, bool is_expected)
{
	struct item *item;

	if (!cp_target_name_is_iface(name))
		return -EINVAL;
	item = calloc(1, sizeof(*item));
	if (!item)
		return -ENOMEM;
	item->cookie = cookie;
	item->ifindex = ifindex;
	item->is_iface = true;
	item->is_expected = is_expected;
	(void)strcpy(item->name, name);
	return add(watch, item);
}

static int add_cgroup(struct cp_target_watch *watch, const char *path,
		      uint64_t id, void *cookie, bool is_expected)
{
	struct item *item;
	size_t bytes;

	if (!cp_target_name_is_cgroup(path))
		return -EINVAL;
	bytes = strlen(path) + 1;
	item = calloc(1, sizeof(*item) + bytes);
	if (!item)
		return -ENOMEM;
	item->cookie = cookie;
	item->id = id;
	item->is_expected = is_expected;
	(void)memcpy(item->path, path, bytes);
	item->user.path = item->path;
	return add(watch, item);
}

int cp_target_watch_add_iface(struct cp_target_watch *watch, uint32_t ifindex,
			      const char *name, void *cookie)
{
	if (ifindex == 0)
		return -EINVAL;
	return add_iface(watch, ifindex, name, cookie, false);
}

int cp_target_watch_add_cgroup(struct cp_target_watch *watch, const char *path,
			       uint64_t id, void *cookie)
{
	return add_cgroup(watch, path, id, cookie, false);
}

int cp_target_watch_expect_iface(struct cp_target_watch *watch,
				 const char *name, void *cookie)
{
	return add_iface(watch, 0, name, cookie, true);
}

int cp_target_watch_expect_cgroup(struct cp_target_watch *watch,
				  const char *path, void *cookie)
{
	return add_cgroup(watch, path, 0, cookie, true);
}

void cp_target_watch_remove(struct cp_target_watch *watch, const void *cookie)
{
	struct item *item = find(watch, cookie);

	if (item)
		drop(watch, item);
}

static void finish_close(struct cp_target_watch *watch)
{
	if (--watch->n_handles > 0)
		return;
	if (watch->closed)
		watch->closed(watch->closed_userdata);
	free(watch);
}

static void notice_timer_closed(uv_handle_t *handle)
{
	finish_close(sn_container_of((void *)handle, struct cp_target_watch,
				     notice_timer));
}

static void retry_timer_closed(uv_handle_t *handle)
{
	finish_close(sn_container_of((void *)handle, struct cp_target_watch,
				     retry_timer));
}

static void links_closed(struct cp_target_links *links)
{
	finish_close(sn_container_of(links, struct cp_target_watch, links));
}

static void folders_closed(struct cp_target_folders *folders)
{
	finish_close(sn_container_of(folders, struct cp_target_watch, folders));
}

static void close_handles(struct cp_target_watch *watch)
{
	struct items *lists[] = { &watch->idle, &watch->marked, &watch->told };
	struct item *item;

	for (size_t i = 0; i < SN_ARRAY_SIZE(lists); i++)
		while ((item = TAILQ_FIRST(lists[i])))
			drop(watch, item);
	uv_close((uv_handle_t *)&watch->notice_timer, notice_timer_closed);
	uv_close((uv_handle_t *)&watch->retry_timer, retry_timer_closed);
	if (watch->links.socket)
		cp_target_links_close(&watch->links);
	if (watch->folders.fd >= 0)
		cp_target_folders_close(&watch->folders);
}

void cp_target_watch_close(struct cp_target_watch *watch,
			   void (*closed)(void *userdata),
			   void *closed_userdata)
{
	assert(!watch->is_closing);
	watch->is_closing = true;
	watch->closed = closed;
	watch->closed_userdata = closed_userdata;
	if (!watch->is_working)
		close_handles(watch);
}

int cp_target_watch_new(struct cp_target_watch **ret, uv_loop_t *loop,
			const struct cp_target_watch_events *events,
			void *userdata)
{
	struct cp_target_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	watch->loop = loop;
	watch->events = *events;
	watch->userdata = userdata;
	TAILQ_INIT(&watch->idle);
	TAILQ_INIT(&watch->marked);
	TAILQ_INIT(&watch->told);
	LIST_INIT(&watch->ifaces);
	watch->links.changed = link_changed;
	watch->links.lost = links_lost;
	watch->links.closed = links_closed;
	watch->folders.changed = folder_changed;
	watch->folders.all_changed = folders_changed;
	watch->folders.closed = folders_closed;
	watch->folders.fd = -1;
	/* Timers cannot fail to be made. */
	(void)uv_timer_init(loop, &watch->notice_timer);
	(void)uv_timer_init(loop, &watch->retry_timer);
	watch->n_handles = 2;
	r = cp_target_links_init(&watch->links, loop);
	if (r == 0) {
		watch->n_handles++;
		r = cp_target_folders_init(&watch->folders, loop);
	}
	if (r < 0) {
		cp_target_watch_close(watch, NULL, NULL);
		return sn_trace(r);
	}
	watch->n_handles++;
	*ret = watch;
	return 0;
}
