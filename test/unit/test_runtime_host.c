/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/host.h"

#include "test/unit/t.h"
#include "test/unit/test_link_peer.h"

enum { SLOT = 3 };

/* What a sentinel-dp has, and what it shall refuse. */
struct fake {
	struct peer peer;
	bool is_attached;
	uint32_t generation;
	uint32_t staged; /* generation of the rows that came */
	size_t n_rows;
	size_t n_settings;
	uint64_t events; /* of the last FLIP */
	struct sn_rt_settings settings;
	enum sn_ipc_type refused; /* once, with ENOSPC */
	unsigned int n_served[SN_IPC_TYPE_END];
	/* A change of mind while rows are on their way. */
	struct cp_runtime_host *host;
	const struct cp_runtime_compiled *meanwhile;
};

/* What the host tells its owner. */
struct told {
	unsigned int n_staged;
	uint32_t staged;
};

static void staged(void *userdata, uint32_t generation)
{
	struct told *told = userdata;

	told->n_staged++;
	told->staged = generation;
}

static const struct cp_runtime_host_settings plain = { .flags = 0 };

static void take_rows(struct fake *fake)
{
	const struct sn_ipc_table *body = peer_body(&fake->peer);
	const uint8_t *rows = (const uint8_t *)(body + 1);

	t_eq(body->slot, SLOT);
	t_eq(body->generation, fake->generation + 1);
	if (fake->staged != body->generation)
		fake->n_rows = fake->n_settings = 0;
	fake->staged = body->generation;
	if (body->table == SN_TABLE_RT_SETTINGS) {
		const struct sn_rt_settings_key *key = (const void *)rows;

		t_eq(fake->peer.header.n_rows, 1);
		t_eq(key->slot, SLOT);
		t_eq(key->generation, body->generation);
		(void)memcpy(&fake->settings, key + 1, sizeof(fake->settings));
		fake->n_settings++;
		return;
	}
	t_eq(body->table, SN_TABLE_RT_MATCH);
	for (uint32_t i = 0; i < fake->peer.header.n_rows; i++) {
		const struct cp_runtime_row *row =
			(const void *)(rows + i * sizeof(*row));

		t_eq(row->key.slot, SLOT);
		t_eq(row->key.generation, body->generation);
		fake->n_rows++;
	}
	if (fake->meanwhile) {
		const struct cp_runtime_compiled *wanted =
			sn_steal(&fake->meanwhile);

		t_eq(cp_runtime_host_want(fake->host, wanted, 2, &plain), 0);
	}
}

static void answer_list(struct fake *fake)
{
	const struct sn_ipc_target target = {
		.id = { 7 },
		.slot = SLOT,
		.generation = fake->generation,
		.next_generation = fake->generation + 1,
		.type = SN_TARGET_HOST,
		.state = SN_TARGET_ATTACHED,
	};
	const struct peer_answer answer = {
		.type = SN_IPC_LIST,
		.seq = fake->peer.header.seq,
		.rows = &target,
		.n_rows = fake->is_attached,
		.row_bytes = sizeof(target),
	};

	peer_answer(&fake->peer, &answer);
}

static void answer_attach(struct fake *fake)
{
	const struct sn_ipc_attach *body = peer_body(&fake->peer);
	const struct sn_ipc_attach_answer attached = { .slot = SLOT };
	const struct peer_answer answer = { .type = SN_IPC_ATTACH,
					    .seq = fake->peer.header.seq,
					    .body = &attached };

	t_eq(body->type, SN_TARGET_HOST);
	t_eq(body->initial_mode, SN_MODE_NONE);
	t_false(fake->is_attached);
	fake->is_attached = true;
	fake->generation = 0;
	peer_answer(&fake->peer, &answer);
}

static void answer_sweep(struct fake *fake)
{
	const struct sn_ipc_page_answer page = { .done = 1 };
	const struct peer_answer answer = { .type = SN_IPC_TABLE_SWEEP,
					    .seq = fake->peer.header.seq,
					    .body = &page };

	/* Rows of the current generation are never swept. */
	if (fake->staged > fake->generation)
		fake->staged = 0;
	peer_answer(&fake->peer, &answer);
}

static void take_flip(struct fake *fake)
{
	const struct sn_ipc_flip *body = peer_body(&fake->peer);
	const struct sn_policy expected = {
		.generation = fake->generation + 1,
		.runtime_events = body->policy.runtime_events,
	};

	t_eq(body->slot, SLOT);
	t_mem_eq(&body->policy, &expected, sizeof(expected));
	t_eq(fake->staged, fake->generation + 1);
	t_eq(fake->n_settings, 1);
	fake->events = body->policy.runtime_events;
	fake->generation++;
}

/* The next request, whichever it is. */
static void serve(struct fake *fake)
{
	struct peer *peer = &fake->peer;
	enum sn_ipc_type type;

	PEER_RUN_UNTIL(peer, peer_try_receive(peer));
	type = peer->header.type;
	fake->n_served[type]++;
	if (type == fake->refused) {
		fake->refused = 0;
		peer_reply(peer, -ENOSPC);
		return;
	}
	if (type == SN_IPC_LIST) {
		answer_list(fake);
		return;
	}
	if (type == SN_IPC_ATTACH) {
		answer_attach(fake);
		return;
	}
	if (type == SN_IPC_TABLE_SWEEP) {
		answer_sweep(fake);
		return;
	}
	if (type == SN_IPC_TABLE_PUT)
		take_rows(fake);
	else if (type == SN_IPC_FLIP)
		take_flip(fake);
	else if (type == SN_IPC_DETACH)
		fake->is_attached = false;
	else
		t_fail("request %d", type);
	peer_reply(peer, 0);
}

/* Serves until the host is in this state. */
static void settle(struct fake *fake, struct cp_runtime_host *host,
		   enum cp_runtime_host_state state)
{
	while (cp_runtime_host_get_state(host) != state) {
		PEER_RUN_UNTIL(&fake->peer,
			       cp_runtime_host_get_state(host) == state ||
				       recv(fake->peer.fd, fake->peer.in, 1,
					    MSG_PEEK | MSG_DONTWAIT) > 0);
		if (cp_runtime_host_get_state(host) != state)
			serve(fake);
	}
}

/* n rows, of which each names another user. */
static struct cp_runtime_compiled compile(uint32_t n)
{
	struct cp_runtime_compiled compiled;
	struct cp_runtime_rules *rules = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_runtime_rules_new(&rules), 0);
	t_eq(cp_runtime_rules_add(rules, "one", &diag), 0);
	t_eq(cp_runtime_rules_put_event(rules, "file_open", &diag), 0);
	for (uint32_t i = 0; i + 1 < n; i++)
		t_eq(cp_runtime_rules_put_uid(rules, i), 0);
	t_eq(cp_runtime_compile_init(&compiled, rules), 0);
	t_eq(compiled.n_rows, n);
	cp_runtime_rules_free(rules);
	return compiled;
}

struct rig {
	struct fake fake;
	struct owner owner;
	struct told told;
	struct cp_link *link;
	struct cp_runtime_host *host;
	struct sn_ipc_hello_answer hello;
};

static void begin(struct rig *rig)
{
	const struct cp_runtime_host_options options = {
		.loop = &rig->fake.peer.loop,
		.userdata = &rig->told,
		.staged = staged,
	};

	(void)memset(rig, 0, sizeof(*rig));
	peer_init(&rig->fake.peer);
	rig->link = owner_connect(&rig->fake.peer, &rig->owner);
	rig->hello = peer_hello();
	rig->hello.runtime = 1;
	t_eq(cp_runtime_host_new(&rig->host, &options), 0);
	rig->fake.host = rig->host;
}

static void finish(struct rig *rig)
{
	cp_runtime_host_close(rig->host);
	owner_close(&rig->fake.peer, &rig->owner, rig->link);
}

static void want(struct rig *rig, uint32_t n_rows, uint64_t events)
{
	struct cp_runtime_compiled compiled = compile(n_rows);

	t_eq(cp_runtime_host_want(rig->host, &compiled, events, &plain), 0);
	cp_runtime_compile_done(&compiled);
}

static void host_is_attached_and_gets_rows_of_one_generation(void)
{
	static struct rig rig;

	begin(&rig);
	want(&rig, 3, 2);
	t_eq(cp_runtime_host_get_state(rig.host), CP_RUNTIME_HOST_AWAY);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_true(rig.fake.is_attached);
	t_eq(rig.fake.n_rows, 3);
	t_eq(rig.fake.events, 2);
	t_eq(rig.told.staged, 1);
	t_eq(cp_runtime_host_generation(rig.host), 1);
	t_true(rig.fake.settings.epoch != 0);
	t_eq(rig.fake.settings.n_words, 1);
	finish(&rig);
}

static void another_set_waits_until_the_one_before_is_whole(void)
{
	static struct rig rig;
	struct cp_runtime_compiled more = compile(5);

	begin(&rig);
	want(&rig, 3, 2);
	rig.fake.meanwhile = &more;
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_eq(rig.fake.generation, 2);
	t_eq(rig.fake.n_rows, 5);
	t_eq(rig.told.n_staged, 2);
	t_eq(rig.fake.n_served[SN_IPC_FLIP], 2);
	/* The first one was put into force with its own three rows. */
	t_eq(rig.fake.n_served[SN_IPC_TABLE_PUT], 4);
	cp_runtime_compile_done(&more);
	finish(&rig);
}

static void refusal_keeps_what_is_in_force_and_is_tried_again(void)
{
	static struct rig rig;

	begin(&rig);
	want(&rig, 3, 2);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	rig.fake.refused = SN_IPC_TABLE_PUT;
	want(&rig, 4, 2);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_REFUSED);
	t_not_null(strstr(cp_runtime_host_error(rig.host), "--runtime-match"));
	t_eq(rig.fake.generation, 1);
	t_eq(cp_runtime_host_generation(rig.host), 1);
	want(&rig, 2, 2);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_str_eq(cp_runtime_host_error(rig.host), "");
	t_eq(rig.fake.generation, 2);
	t_eq(rig.fake.n_rows, 2);
	finish(&rig);
}

static void host_that_is_there_is_taken_over_under_a_new_epoch(void)
{
	static struct rig rig;
	uint32_t epoch;

	begin(&rig);
	rig.fake.is_attached = true;
	rig.fake.generation = 41;
	want(&rig, 3, 2);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_eq(rig.fake.n_served[SN_IPC_ATTACH], 0);
	t_eq(rig.fake.generation, 42);
	epoch = rig.fake.settings.epoch;
	cp_runtime_host_down(rig.host);
	t_eq(cp_runtime_host_get_state(rig.host), CP_RUNTIME_HOST_AWAY);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_eq(rig.fake.generation, 43);
	t_true(rig.fake.settings.epoch != epoch);
	finish(&rig);
}

static void link_that_is_lost_midway_leaves_nothing_half_done(void)
{
	static struct rig rig;

	begin(&rig);
	want(&rig, 3, 2);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	while (rig.fake.n_served[SN_IPC_TABLE_PUT] == 0)
		serve(&rig.fake);
	cp_runtime_host_down(rig.host);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_eq(rig.fake.generation, 1);
	t_eq(rig.fake.n_rows, 3);
	t_eq(rig.fake.n_served[SN_IPC_ATTACH], 1);
	finish(&rig);
}

static void host_is_detached_when_nothing_is_wanted(void)
{
	static struct rig rig;

	begin(&rig);
	rig.fake.is_attached = true;
	rig.fake.generation = 5;
	want(&rig, 1, 0);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_false(rig.fake.is_attached);
	t_eq(cp_runtime_host_generation(rig.host), 0);
	want(&rig, 2, 2);
	settle(&rig.fake, rig.host, CP_RUNTIME_HOST_IN_FORCE);
	t_true(rig.fake.is_attached);
	t_eq(rig.fake.generation, 1);
	finish(&rig);
}

static void nothing_is_asked_of_one_without_runtime(void)
{
	static struct rig rig;

	begin(&rig);
	rig.hello.runtime = 0;
	want(&rig, 3, 2);
	cp_runtime_host_up(rig.host, rig.link, &rig.hello);
	t_eq(cp_runtime_host_get_state(rig.host), CP_RUNTIME_HOST_UNSUPPORTED);
	cp_runtime_host_flush(rig.host);
	(void)uv_run(&rig.fake.peer.loop, UV_RUN_NOWAIT);
	t_false(peer_try_receive(&rig.fake.peer));
	finish(&rig);
}

T_MAIN("runtime_host", host_is_attached_and_gets_rows_of_one_generation,
       another_set_waits_until_the_one_before_is_whole,
       refusal_keeps_what_is_in_force_and_is_tried_again,
       host_that_is_there_is_taken_over_under_a_new_epoch,
       link_that_is_lost_midway_leaves_nothing_half_done,
       host_is_detached_when_nothing_is_wanted,
       nothing_is_asked_of_one_without_runtime)
