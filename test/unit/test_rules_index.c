// SPDX-License-Identifier: Apache-2.0
#include "controld/rules/index.h"

#include "controld/rules/internal.h"
#include "test/unit/test_rules_rig.h"

enum {
	RULES = 150, /* more than two words */
	EVENTS = 3000,
	TEXT_BYTES = 64 * 1024,
};

static unsigned int seed = 7;

static const char *pick(const char *const *words, size_t n)
{
	return words[(size_t)rand_r(&seed) % n];
}

#define PICK(...)                                  \
	pick((const char *const[]){ __VA_ARGS__ }, \
	     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* Keys that the index knows and some that it does not, as they come. */
static size_t put_match(char *text, size_t room)
{
	size_t n = 0;

#define PUT(...) n += (size_t)snprintf(text + n, room - n, __VA_ARGS__)
	if (rand_r(&seed) % 2)
		PUT("path_prefixes: [%s, %s], ", PICK("/", "/a", "/a/b", "/c"),
		    PICK("/d", "/a/b/c", "/c/d"));
	if (rand_r(&seed) % 4 == 0)
		PUT("paths: [%s], ", PICK("/a", "/a/b", "/c/d"));
	if (rand_r(&seed) % 4 == 0)
		PUT("path_globs: ['%s'], ",
		    PICK("/a/*", "/**/c", "**/b", "/c/?"));
	if (rand_r(&seed) % 4 == 0)
		PUT("path_suffixes: [%s], ", PICK("b", "/c"));
	if (rand_r(&seed) % 3 == 0)
		PUT("comms: [%s, %s], ", PICK("x", "y"), PICK("y", "z"));
	if (rand_r(&seed) % 4 == 0)
		PUT("executables: [%s], ", PICK("/bin", "/bin/x", "/usr"));
	if (rand_r(&seed) % 4 == 0)
		PUT("uids: [%s], ", PICK("0", "1"));
	if (rand_r(&seed) % 4 == 0)
		PUT("cgroups: [%s], ", PICK("/s", "/s/t", "/u"));
	if (rand_r(&seed) % 3 == 0)
		PUT("use: [%s], ", PICK("m0", "m1", "m2"));
	if (rand_r(&seed) % 4 == 0)
		PUT("results: [%s], ", PICK("ok", "failed"));
#undef PUT
	return n;
}

static struct rig *make(void)
{
	char *text = malloc(TEXT_BYTES);
	struct rig *rig;
	size_t n = 0;

	t_not_null(text);
#define PUT(...) n += (size_t)snprintf(text + n, TEXT_BYTES - n, __VA_ARGS__)
	PUT("macros:\n"
	    "- {name: m0, match: {path_prefixes: [/a]}}\n"
	    "- {name: m1, match: {comms: [x], use: [m0]}}\n"
	    "- {name: m2, match: {path_suffixes: [c], uids: [0]}}\n"
	    "rules:\n");
	for (int i = 0; i < RULES; i++) {
		PUT("- {name: r%d, events: [%s, %s], enabled: %s, match: {", i,
		    PICK("file_open", "file_write"),
		    PICK("file_rename", "file_write"),
		    PICK("true", "true", "false"));
		n += put_match(text + n, TEXT_BYTES - n);
		PUT("}}\n");
	}
#undef PUT
	rig = rig_new(text);
	free(text);
	return rig;
}

static void make_event(struct rig *rig)
{
	rig->event.event =
		rig_text(PICK("file_open", "file_write", "file_rename"));
	rig_open(rig, PICK("/", "/a", "/a/b", "/a/b/c", "/c/d", "/d", "", "c",
			   "memfd:c"));
	if (rand_r(&seed) % 8 == 0)
		rig->event.file = NULL;
	rig->file.cut = rand_r(&seed) % 8 == 0;
	rig->event.target = rand_r(&seed) % 3 ? NULL : &rig->target;
	rig->target.path = rig_text(PICK("/a/b", "/c/d", ""));
	rig->target.inode = 4;
	rig->target.text = rand_r(&seed) % 4 == 0;
	rig->process.comm = rig_text(PICK("x", "y", "z"));
	rig->process.uid = (uint32_t)rand_r(&seed) % 3;
	rig->process.cgroup = rig_text(PICK("/s", "/s/t", "/v", ""));
	rig->executable.path = rig_text(PICK("/bin/x", "/usr/y", ""));
	rig->event.result = -(rand_r(&seed) % 2);
}

static void no_rule_that_fits_is_left_out(void)
{
	sn_cleanup(rig_freep) struct rig *rig = make();
	struct cp_rules_memo *memo = calloc(1, sizeof(*memo));
	struct cp_rules_view *view = calloc(1, sizeof(*view));
	const struct cp_rules_subject subject = {
		.event = &rig->event,
		.get_parent = rig_get_parent,
		.userdata = rig,
	};
	size_t n_fits = 0, n_candidates = 0;

	t_true(memo && view);
	memo->env = &rig->rules->env;
	for (int i = 0; i < EVENTS; i++) {
		struct sn_rt_bits bits = { 0 };

		make_event(rig);
		t_true(cp_rules_view_set(view, &subject));
		t_eq(cp_rules_index_find(rig->rules->index, view, &bits),
		     (RULES + 63) / 64);
		memo->event++;
		for (size_t j = 0; j < RULES; j++) {
			const struct cp_rules_compiled *rule =
				&rig->rules->rules[j];
			bool is_candidate = bits.words[j / 64] >> j % 64 & 1;
			bool fits =
				rule->rule.enabled &&
				rule->rule.events &
					SN_RT_EVENT_BIT(view->kind) &&
				cp_rules_block_judge(rule->match, view, memo) !=
					CP_RULES_FIT_NO;

			if (fits && !is_candidate)
				t_fail("event %d: rule %zu is left out", i, j);
			n_fits += fits;
			n_candidates += is_candidate;
		}
	}
	/* It says something as well. */
	t_true(n_fits > EVENTS);
	t_true(n_candidates < 4 * n_fits);
	free(memo);
	free(view);
}

static void rules_that_share_a_macro_share_its_values(void)
{
	enum { VALUES = 20000, USERS = 1000 };
	size_t n = 0, room = VALUES * 16 + USERS * 64 + 256;
	char *text = malloc(room);
	struct rig *rig;

	/* Values by users would be 20 million. */
	t_not_null(text);
	n += (size_t)snprintf(text, room,
			      "macros: [{name: m, match: {paths: [/x");
	for (int i = 0; i < VALUES; i++)
		n += (size_t)snprintf(text + n, room - n, ", /p%d", i);
	n += (size_t)snprintf(text + n, room - n, "]}}]\nrules:\n");
	for (int i = 0; i < USERS; i++)
		n += (size_t)snprintf(text + n, room - n,
				      "- {name: r%d, event: file_open, match: "
				      "{use: [m], uids: [%d]}}\n",
				      i, i);
	rig = rig_new(text);
	rig->process.uid = 999;
	t_eq(rig_opened(rig, "/p19999"), 1);
	t_eq(rig->hits[0].rule, 999);
	t_eq(rig_opened(rig, "/p20000"), 0);
	(void)rig_free(rig);
	free(text);
}

T_MAIN("rules_index", no_rule_that_fits_is_left_out,
       rules_that_share_a_macro_share_its_values)
