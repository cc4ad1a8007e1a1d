// SPDX-License-Identifier: Apache-2.0

/* Sets, and how questions and the engine end. */

#include "controld/upstream/upstream.h"

#include "test/unit/test_upstream_rig.h"

static const struct cp_upstream_options usual = {
	.timeout_ms = 20000,
	.try_ms = 5000,
};

static struct rig rig;
static struct server servers[2];
static struct result results[4];

static struct cp_upstream_set *begin(const struct cp_upstream_options *options,
				     size_t n_servers)
{
	(void)memset(results, 0, sizeof(results));
	return rig_begin(&rig, options, servers, n_servers);
}

static void end(struct cp_upstream_set *set, size_t n_servers)
{
	rig_end(&rig, set, servers, n_servers);
}

static void equal_sets_are_one_and_order_counts(void)
{
	struct cp_upstream_set *set = begin(&usual, 2), *same, *turned, *one;
	struct cp_dns_upstream configs[2] = { servers[1].config,
					      servers[0].config };

	same = rig_set(&rig, servers, 2);
	one = rig_set(&rig, servers, 1);
	t_eq(cp_upstream_set_get(rig.upstream, configs, 2, false, &turned), 0);
	t_true(same == set && turned != set && one != set);
	t_true(cp_upstream_set_id(set) != 0);
	t_true(cp_upstream_set_id(set) != cp_upstream_set_id(turned));
	t_true(cp_upstream_set_id(set) != cp_upstream_set_id(one));
	(void)cp_upstream_set_unref(same);
	(void)cp_upstream_set_unref(turned);
	(void)cp_upstream_set_unref(one);
	end(set, 2);
}

static void cancelled_questions_say_nothing(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);

	rig_ask(set, "a.example", &results[0]);
	cp_upstream_cancel(results[0].request); /* not sent yet */

	rig_ask(set, "b.example", &results[1]);
	server_receive(&rig, &servers[0]);
	cp_upstream_cancel(results[1].request); /* sent */
	server_answer(&servers[0], 0);

	rig_ask(set, "c.example", &results[2]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, results[2].n_calls);
	result_is_answer(&results[2], "c.example");
	t_eq(results[0].n_calls + results[1].n_calls, 0);
	t_eq(rig_stats(&rig).n_mismatched, 0);
	t_eq(rig_stats(&rig).n_under_way, 0);
	end(set, 1);
}

static void cancel_other(struct result *result)
{
	if (result->other->request)
		cp_upstream_cancel(result->other->request);
	result->other->request = NULL;
}

static void a_question_may_cancel_another_as_it_ends(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);

	/* Both have their answers in one batch; the port is closed for both. */
	for (int i = 0; i < 4; i++) {
		results[i].then = cancel_other;
		results[i].other = &results[i ^ 1];
	}
	rig_ask(set, "a.example", &results[0]);
	rig_ask(set, "a.example", &results[1]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, server_try_receive(&servers[0]));
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, rig_stats(&rig).n_under_way == 0);
	t_eq(results[0].n_calls + results[1].n_calls, 1);

	server_close_udp(&servers[0]);
	rig_ask(set, "a.example", &results[2]);
	rig_ask(set, "a.example", &results[3]);
	RIG_RUN_UNTIL(&rig, rig_stats(&rig).n_under_way == 0);
	t_eq(results[2].n_calls + results[3].n_calls, 1);
	end(set, 1);
}

static void ask_again(struct result *result)
{
	int r;

	if (result->n_calls == 50)
		return;
	r = rig_try_ask(result->set, "again.example", result);
	t_true(r == 0 || r == -ECANCELED);
}

static void a_question_may_ask_again_as_it_fails(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);

	server_close_udp(&servers[0]);
	results[0].then = ask_again;
	results[0].set = set;
	rig_ask(set, "again.example", &results[0]);
	RIG_RUN_UNTIL(&rig, results[0].n_calls == 50);
	t_eq(results[0].status, CP_UPSTREAM_E_UNREACHABLE);
	end(set, 1);
}

static void closing_ends_what_is_under_way(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);

	rig_ask(set, "sent.example", &results[0]);
	server_receive(&rig, &servers[0]);
	results[0].then = ask_again; /* which is refused by then */
	results[0].set = set;
	rig_ask(set, "queued.example", &results[1]);
	cp_upstream_close(rig.upstream, rig_closed, &rig);
	t_eq(results[0].n_calls + results[1].n_calls, 0);
	t_eq(rig_try_ask(set, "late.example", &results[2]), -ECANCELED);
	RIG_RUN_UNTIL(&rig, rig.is_closed);
	t_eq(results[0].n_calls, 1);
	t_eq(results[0].status, -ECANCELED);
	t_eq(results[1].n_calls, 1);
	t_eq(results[1].status, -ECANCELED);
	/* The set is still ours to give back. */
	end(set, 1);
}

static void close_engine(struct result *result)
{
	(void)result;
	cp_upstream_close(rig.upstream, rig_closed, &rig);
}

static void an_answer_may_close_the_engine(void)
{
	struct cp_upstream_set *set = begin(&usual, 1);

	results[0].then = close_engine;
	rig_ask(set, "a.example", &results[0]);
	rig_ask(set, "b.example", &results[1]);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	server_receive(&rig, &servers[0]);
	server_answer(&servers[0], 0);
	RIG_RUN_UNTIL(&rig, rig.is_closed);
	t_eq(results[0].n_calls, 1);
	t_eq(results[1].n_calls, 1);
	end(set, 1);
}

T_MAIN("upstream_life", equal_sets_are_one_and_order_counts,
       cancelled_questions_say_nothing,
       a_question_may_cancel_another_as_it_ends,
       a_question_may_ask_again_as_it_fails, closing_ends_what_is_under_way,
       an_answer_may_close_the_engine)
