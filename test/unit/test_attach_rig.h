/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The attachment manager with a state file and a sentinel-dp of its own, and
 * the calls of its API as functions that wait for the answer. */

#include <dirent.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <time.h>

#include "controld/attach/attach.h"
#include "controld/attach/collect.h"
#include "controld/policy/compile.h"
#include "controld/policy/convert.h"
#include "test/unit/test_attach_fake.h"

/* A manager, a state file in a folder of its own, and the fake, on one loop.
 * Boot time is the test's. */
struct rig {
	uv_loop_t loop;
	uv_timer_t guard;
	char folder[64];
	char path[96], socket[96], learnt_path[96];
	struct fake *fake;
	struct cp_state *state;
	struct cp_attach *manager;
	bool is_closed;
	uint64_t group_ns; /* how long the state file gathers changes */
	uint64_t max_rules;
};

static uint64_t now_ns = 1000 * SN_NS_PER_S;

static inline uint64_t get_now(void)
{
	return now_ns;
}

struct outcome {
	bool is_done;
	unsigned int order;
	struct cp_attach_result result;
};

static unsigned int n_done;

static inline void done(void *userdata, const struct cp_attach_result *result)
{
	struct outcome *outcome = userdata;

	t_false(outcome->is_done);
	outcome->is_done = true;
	outcome->order = ++n_done;
	outcome->result = *result;
}

static inline void too_long(uv_timer_t *timer)
{
	(void)timer;
	t_fail("nothing happened for ten seconds");
}

/* Turns the loop until the condition holds. */
#define TURN_UNTIL(rig, condition)                                       \
	do {                                                             \
		(void)uv_timer_start(&(rig)->guard, too_long, 10000, 0); \
		while (!(condition))                                     \
			(void)uv_run(&(rig)->loop, UV_RUN_ONCE);         \
		(void)uv_timer_stop(&(rig)->guard);                      \
	} while (0)

static inline void note_closed(void *userdata)
{
	struct rig *rig = userdata;

	rig->is_closed = true;
}

static inline bool is_ready(const struct rig *rig)
{
	struct cp_attach_status status;

	cp_attach_info_get_status(rig->manager, &status);
	return status.is_ready;
}

static inline bool is_connected(const struct rig *rig)
{
	struct cp_attach_status status;

	cp_attach_info_get_status(rig->manager, &status);
	return status.is_connected;
}

static inline void open_daemon(struct rig *rig)
{
	struct sn_diag diag = { 0 };
	struct cp_attach_options options = {
		.loop = &rig->loop,
		.socket_path = rig->socket,
		.reconnect_min_ns = 1000000,
		.reconnect_max_ns = 2000000,
		.collect_interval_ms = 3600 * 1000,
		.max_attachments = 4,
		.max_rules = rig->max_rules,
		.flow_quota = 100,
		.learnt = { .names = 8,
			    .addresses = 32,
			    .addresses_per_name = 16 },
		.learnt_path = rig->learnt_path,
		.now_ns = get_now,
	};

	t_eq(cp_state_load(&rig->state, &rig->loop, rig->path, rig->group_ns,
			   &diag),
	     0);
	options.store = rig->state;
	t_eq(cp_attach_new(&rig->manager, &options, &diag), 0);
}

static inline void close_daemon(struct rig *rig)
{
	rig->is_closed = false;
	cp_attach_close(rig->manager, note_closed, rig);
	TURN_UNTIL(rig, rig->is_closed);
	rig->is_closed = false;
	cp_state_close(rig->state, note_closed, rig);
	TURN_UNTIL(rig, rig->is_closed);
	rig->manager = NULL;
	rig->state = NULL;
}

static inline void restart(struct rig *rig)
{
	close_daemon(rig);
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
}

static inline struct rig *rig_new(void)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	t_not_null(rig);
	rig->max_rules = 1000;
	(void)snprintf(rig->folder, sizeof(rig->folder),
		       "/tmp/test-attach-XXXXXX");
	t_not_null(mkdtemp(rig->folder));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/state.d", rig->folder);
	t_eq(mkdir(rig->path, 0700), 0);
	(void)snprintf(rig->path, sizeof(rig->path), "%s/state.d/state.pb",
		       rig->folder);
	(void)snprintf(rig->learnt_path, sizeof(rig->learnt_path),
		       "%s/learnt.pb", rig->folder);
	(void)snprintf(rig->socket, sizeof(rig->socket), "%s/dp.sock",
		       rig->folder);
	t_eq(uv_loop_init(&rig->loop), 0);
	t_eq(uv_timer_init(&rig->loop, &rig->guard), 0);
	rig->fake = fake_new(&rig->loop, rig->socket);
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	return rig;
}

static inline void empty_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char name[512];

	while (folder && (entry = readdir(folder))) {
		(void)snprintf(name, sizeof(name), "%s/%s", path,
			       entry->d_name);
		(void)unlink(name);
	}
	if (folder)
		(void)closedir(folder);
}

static inline void state_folder(const struct rig *rig, char path[96])
{
	(void)snprintf(path, 96, "%s/state.d", rig->folder);
}

static inline void rig_free(struct rig *rig)
{
	char path[96];

	if (rig->manager)
		close_daemon(rig);
	fake_free(rig->fake);
	uv_close((uv_handle_t *)&rig->guard, NULL);
	(void)uv_run(&rig->loop, UV_RUN_DEFAULT);
	t_eq(uv_loop_close(&rig->loop), 0);
	state_folder(rig, path);
	empty_folder(path);
	(void)rmdir(path);
	empty_folder(rig->folder);
	(void)rmdir(rig->folder);
	free(rig);
}

static inline struct cp_policy_rule rule(enum sn_verdict verdict,
					 const char *cidr, uint64_t ttl_s)
{
	struct sn_diag diag = { 0 };
	struct cp_policy_rule ret;

	t_eq(cp_policy_convert_rule_parts(verdict, cidr, NULL, 0, ttl_s,
					  CP_POLICY_OWNER_LOCAL, "", &ret,
					  &diag),
	     0);
	return ret;
}

/* Up to three allowed prefixes, NULL: none. */
static inline struct cp_policy *policy(const char *a, const char *b,
				       const char *c)
{
	const char *cidrs[] = { a, b, c };
	struct cp_policy *ret;

	t_eq(cp_policy_new(&ret, 1000), 0);
	for (size_t i = 0; i < SN_ARRAY_SIZE(cidrs); i++) {
		struct cp_policy_rule one;

		if (!cidrs[i])
			continue;
		one = rule(SN_VERDICT_ALLOW, cidrs[i], 0);
		t_eq(cp_policy_add(ret, &one, NULL, NULL), 0);
	}
	return ret;
}

static inline struct outcome attach_to(struct rig *rig,
				       enum sn_target_type type,
				       const char *target,
				       struct cp_policy *with)
{
	struct cp_attach_pair pair = { (char[]){ "owner" }, (char[]){ "me" } };
	struct cp_attach_request request = {
		.type = type,
		.target = target,
		.metadata = &pair,
		.n_metadata = 1,
		.policy = with,
	};
	struct outcome outcome = { 0 };

	t_eq(cp_attach_add(rig->manager, &request, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome attach(struct rig *rig, struct cp_policy *with)
{
	return attach_to(rig, SN_TARGET_TC, "lo", with);
}

static inline struct outcome apply(struct rig *rig, const char *id,
				   struct cp_policy *with, bool dry_run)
{
	struct outcome outcome = { 0 };

	t_eq(cp_attach_apply(rig->manager, id, with, dry_run, done, &outcome),
	     0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome add(struct rig *rig, const char *id,
				 enum sn_verdict verdict, const char *cidr,
				 uint64_t ttl_s)
{
	struct cp_policy_rule one = rule(verdict, cidr, ttl_s);
	struct outcome outcome = { 0 };

	t_eq(cp_attach_add_rule(rig->manager, id, &one, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

/* The same for one TCP port. */
static inline struct outcome add_port(struct rig *rig, const char *id,
				      const char *cidr, uint16_t port,
				      uint64_t ttl_s)
{
	struct cp_policy_rule one = rule(SN_VERDICT_ALLOW, cidr, ttl_s);
	struct outcome outcome = { 0 };

	one.ports[0] = (struct cp_policy_ports){
		.low = port,
		.high = port,
		.protocol = IPPROTO_TCP,
	};
	one.n_ports = 1;
	t_eq(cp_attach_add_rule(rig->manager, id, &one, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome drop_rules(struct rig *rig, const char *id,
					const char *cidr)
{
	struct cp_policy_rule one = rule(SN_VERDICT_ALLOW, cidr, 0);
	struct outcome outcome = { 0 };

	t_eq(cp_attach_remove_rules(rig->manager, id, &one, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome set_mode(struct rig *rig, const char *id,
				      enum sn_mode mode, bool audit)
{
	struct outcome outcome = { 0 };

	t_eq(cp_attach_set_mode(rig->manager, id, mode, audit, done, &outcome),
	     0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct outcome detach(struct rig *rig, const char *id)
{
	struct outcome outcome = { 0 };

	t_eq(cp_attach_remove(rig->manager, id, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	return outcome;
}

static inline struct cp_attach_info get_info(struct rig *rig, const char *id)
{
	struct cp_attach_info info;
	const struct cp_attach_item *item = cp_attach_get(rig->manager, id);

	t_not_null(item);
	cp_attach_info_get(item, &info);
	return info;
}

/* Background work of operations that were answered. */
static inline void settle(struct rig *rig)
{
	for (int i = 0; i < 40; i++)
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static inline struct fake_slot *slot_of(struct rig *rig)
{
	for (uint32_t i = 1; i < FAKE_SLOTS; i++) {
		if (rig->fake->slots[i].target.state == SN_TARGET_ATTACHED)
			return &rig->fake->slots[i];
	}
	return NULL;
}

/* The kernel has the rows of this policy, and no other of the slot; in
 * block-all rules have no effect, and it has none. */
static inline void kernel_has(struct rig *rig, const struct cp_policy *wanted)
{
	struct fake_slot *slot = slot_of(rig);
	struct cp_policy_settings settings = cp_policy_get_settings(wanted);
	struct cp_policy_prefix prefix;
	size_t cursor = 0, n = 0;

	t_not_null(slot);
	t_eq(slot->policy.mode, settings.mode);
	t_eq(slot->policy.audit, settings.audit);
	while (settings.mode != SN_MODE_BLOCK_ALL &&
	       cp_policy_next_prefix(wanted, &cursor, &prefix)) {
		struct cp_policy_compile_row row, found;
		struct fake_row *in;

		cp_policy_compile_prefix(&prefix, &slot->policy,
					 slot->target.slot, &row);
		in = fake_find(rig->fake, row.table, &row.key);
		t_not_null(in);
		found = (struct cp_policy_compile_row){ .table = row.table };
		memcpy(&found.key, in->key, FAKE_KEY);
		found.value = in->value;
		t_true(cp_policy_compile_is_equal(&row, &found));
		n++;
	}
	t_eq(fake_count(rig->fake, slot->target.slot, 0), n);
}

/* Kernel and model agree. */
static inline void agrees(struct rig *rig, const char *id)
{
	struct cp_attach_info info;

	settle(rig);
	info = get_info(rig, id);
	kernel_has(rig, info.policy);
	t_eq(info.generation, slot_of(rig)->target.generation);
}
