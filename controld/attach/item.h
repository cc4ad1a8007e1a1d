/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One attachment and the manager's own data, for controld/attach only. The
 * registry is sorted by id. */

#include <sys/queue.h>

#include "controld/attach/attach.h"
#include "controld/attach/dns.h"
#include "controld/attach/info.h"
#include "controld/attach/observe.h"
#include "controld/dns/doh.h"
#include "controld/link/link.h"
#include "controld/state/blob.h"
#include "controld/target/watch.h"

struct cp_attach_op;
TAILQ_HEAD(cp_attach_ops, cp_attach_op);
TAILQ_HEAD(cp_attach_items, cp_attach_item);

struct cp_attach_learn;
TAILQ_HEAD(cp_attach_learns, cp_attach_learn);
struct cp_attach_rows_list;

/* The set of another policy that is kept up while addresses are learnt: the one
 * that is being staged (then its entries are to be written, hence touched), or
 * the one that was replaced and may come back. All borrowed. */
struct cp_attach_learn_shadow {
	struct cp_dns_learnt *learnt; /* NULL: there is none */
	const struct cp_policy *policy;
	struct cp_attach_rows_list *touched; /* NULL: nothing to be written */
};

struct cp_attach_item {
	struct cp_attach *manager;
	uint8_t id[SN_ID_BYTES];
	char id_text[CP_ATTACH_ID_CHARS + 1];
	enum sn_target_type type;
	enum sn_role role; /* what was asked for or found */
	char *target;
	uint64_t object; /* ifindex or cgroup id */
	struct cp_attach_pair *metadata;
	size_t n_metadata;
	uint64_t attached_wall_ns;
	uint64_t attached_boot_ns;

	struct cp_policy *policy; /* the acknowledged one */
	struct sn_policy block; /* current in the kernel */
	uint64_t revision; /* the control plane's in force; 0: none */
	/* Settings of the local policy while it is held (remote.c); NONE: it
	 * is not. */
	enum sn_mode held_mode;
	bool held_audit;
	cp_attach_done waiter; /* who attached it and has no answer yet */
	void *waiter_userdata;
	uint32_t slot; /* 0: sentinel-dp does not have it */
	uint32_t generation;
	int32_t position;
	struct cp_attach_totals base; /* of the slot when it was given out */

	bool is_new; /* not acknowledged, hidden */
	bool is_waiting; /* the target is not there */
	bool is_gone; /* it went away, to be removed */
	bool is_recovering; /* its rules are being read from the kernel */
	bool is_detaching; /* found so in the state file */
	bool is_suspect; /* the kernel may differ, to be staged again */
	int told_cause; /* why trying again fails, logged once; 0: it did not */

	struct cp_attach_ops ops; /* waiting, oldest first */
	struct cp_attach_op *running;
	TAILQ_ENTRY(cp_attach_item) ready;
	bool is_in_ready;
	uint64_t retry_lapsed_ns; /* prefixes in use are asked for again */
	size_t n_lapsed; /* lapsed rules that stayed when last asked */

	/* What names have opened; never ahead of the kernel but for learns that
	 * are under way. */
	struct cp_dns_learnt *learnt;
	struct cp_attach_learn_shadow shadow;
	struct cp_attach_learns learns; /* wait, oldest first */
	struct cp_attach_learns asking; /* sent */
	unsigned int n_learns;
	bool holds_learns;
	bool is_releasing; /* in the manager's list of those that go on */
	TAILQ_ENTRY(cp_attach_item) releasing;
	uint64_t retry_learnt_ns; /* lapsed addresses are asked for again */
	bool is_trimming; /* that is on its way */
	uint64_t dns_ends[CP_ATTACH_INFO_DNS_ENDS];
	bool is_dns_changed; /* since it was packed for learnt.pb */
	struct cp_state_blob *names; /* packed; NULL: not yet */

	/* What LIST and the scan of the tables said (reconcile.c). */
	struct sn_ipc_target listed;
	bool is_listed;
	bool is_different;
	bool has_strays;
	size_t n_matched;
	struct cp_dns_learnt *adopted; /* what the kernel has of names */
};

struct cp_attach_counters;
struct cp_attach_guest;
struct cp_attach_names;

struct cp_attach {
	struct cp_attach_options options;
	char boot_id[40];
	struct cp_link *link; /* NULL while closing */
	struct cp_target_watch *watch;
	struct cp_attach_item **items; /* sorted by id */
	size_t n_items;
	size_t items_size;
	struct cp_attach_item **by_slot; /* n_slots entries, while connected */
	struct cp_attach_counters *counters; /* NULL: not mapped yet */
	struct cp_dns_doh *doh; /* NULL: nothing is listed */

	uv_async_t kick;
	uv_timer_t collect_timer;
	uv_timer_t poll_timer;
	struct cp_attach_names *names; /* learnt.pb; NULL: not kept */
	LIST_HEAD(, cp_attach_observer) observers;
	const struct cp_attach_guest *guest; /* NULL: none */
	bool is_guest_up;
	bool is_remote; /* there is a control plane */
	bool permits_local_rules; /* beside those of the control plane */
	struct cp_attach_ops incoming;
	struct cp_attach_items ready;
	size_t n_ops; /* incoming, waiting, running */
	size_t n_running;
	struct cp_attach_items releasing; /* their learns go on */
	struct cp_attach_learns learnt; /* ended, to be answered */
	unsigned int n_learns;
	bool is_path_new; /* the listener has not been told */
	cp_attach_dns_path_fn path_fn; /* NULL: nobody listens */
	void *path_userdata;
	int path_fds[2]; /* filters of the TC and the cgroup path, or -1 */

	bool is_ready; /* reconciled since the link came up */
	bool is_scanning; /* no operation may start */
	bool wants_scan; /* once no operation runs */
	bool has_scan_failed; /* to be tried again */
	bool is_closing;
	bool has_hello;
	unsigned int epoch; /* rises when the link comes up or breaks */
	size_t n_settling; /* operations that reconciling waits for */
	bool is_sweeping; /* idle flows */
	bool is_polling;
	unsigned int n_tasks; /* scans and requests without an operation */
	unsigned int n_handles; /* to be closed */
	unsigned int n_closing; /* link and watch */
	bool is_done; /* closing: only handles are left */
	struct sn_ipc_hello_answer hello;
	struct sn_ipc_stats_answer stats;
	uint64_t polled_ns; /* the end of the last poll of positions */
	uint64_t n_connected;
	char last_error[CP_LINK_WHY_BYTES];

	void (*closed)(void *userdata);
	void *closed_userdata;
};

/* target is copied. Metadata and policy are put in later. */
int cp_attach_item_new(struct cp_attach_item **ret, struct cp_attach *manager,
		       const uint8_t id[SN_ID_BYTES], enum sn_target_type type,
		       const char *target);
struct cp_attach_item *cp_attach_item_free(struct cp_attach_item *item);
SN_DEFINE_CLEANUP(struct cp_attach_item, cp_attach_item_free)

int cp_attach_item_put_metadata(struct cp_attach_item *item,
				const struct cp_attach_pair *pairs, size_t n);

/* The registry. add takes the item on success; -EEXIST. drop frees it. */
int cp_attach_item_add(struct cp_attach_item *item);
void cp_attach_item_drop(struct cp_attach_item *item);
/* The index of the first item whose id is above `id_text`. */
size_t cp_attach_item_index_after(const struct cp_attach *manager,
				  const char *id_text);
struct cp_attach_item *cp_attach_item_find(const struct cp_attach *manager,
					   const char *id_text);
struct cp_attach_item *cp_attach_item_find_id(const struct cp_attach *manager,
					      const uint8_t id[SN_ID_BYTES]);
/* Another attachment of the same target, or NULL. */
struct cp_attach_item *
cp_attach_item_find_target(const struct cp_attach *manager,
			   const struct cp_attach_item *item);
struct cp_attach_item *cp_attach_item_by_slot(const struct cp_attach *manager,
					      uint32_t slot);
/* Also keeps by_slot right; slot 0: none. */
void cp_attach_item_put_slot(struct cp_attach_item *item, uint32_t slot);

/* One of the manager's handles is gone; the last one of a closed manager takes
 * it along. */
void cp_attach_item_handle_closed(struct cp_attach *manager);

/* All our links died: of an interface, with it, and whatever has its ifindex now
 * is another one (clsact filters also when somebody deletes them). A cgroup that
 * is still there has lost them to somebody, which is told and not forgotten. */
bool cp_attach_item_is_lost(const struct cp_attach_item *item);

/* Where rules have no effect their rows are not written: a block of everything
 * must not fail because a table is full. */
bool cp_attach_item_has_rows(const struct sn_policy *block);

/* The block of a policy of this attachment. Port 53 of role HOST is never
 * steered: the daemon's own questions to upstream servers leave there. */
void cp_attach_item_compile_block(const struct cp_attach_item *item,
				  const struct cp_policy *policy,
				  uint32_t generation,
				  const struct sn_policy *reserve,
				  struct sn_policy *ret);

size_t cp_attach_item_count_prefixes(const struct cp_attach_item *item);

uint64_t cp_attach_item_now(const struct cp_attach *manager);
uint64_t cp_attach_item_wall_now(void);
